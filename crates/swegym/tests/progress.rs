//! How far something is, where there is no terminal: plain lines on stderr.

mod common;

use common::Gym;
use serde_json::Value;

/// What a command says on its way, with lines and without.
fn said(gym: &Gym, arguments: &[&str], variable: Option<&str>) -> String {
    let mut command = gym.command(arguments);
    command.env_remove("SWEGYM_NO_PROGRESS").env_remove("TERM");
    if let Some(name) = variable {
        command.env(name, "1");
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn what_lasts_says_in_plain_lines_how_far_it_is_and_what_is_quick_says_nothing() {
    let gym = Gym::new();
    gym.write("text.txt", &"count to ten, and back again; then rest. ".repeat(400));
    gym.must(&["train", "tokenizer", "--text", "text.txt", "--vocabulary", "300", "--out", "tokenizer"]);
    // So many steps that they last longer than two seconds on any machine; they are over long before
    // half a minute is.
    let pretrain = |out: &str, steps: &str, more: &[&str], variable: Option<&str>| {
        let flags = ["--tokenizer", "tokenizer", "--width", "64", "--layers", "2", "--context", "64"];
        let words = ["train", "pretrain", "--text", "text.txt", "--steps", steps, "--out", out];
        let told = said(&gym, &[&words[..], &flags, more].concat(), variable);
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("train: ")).collect();
        lines.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = pretrain("long", "400", &[], None);
    assert!(lines.len() >= 2, "{lines:?}");
    assert!(lines[0].contains(" of 400, loss ") && lines[0].contains(", eta "), "{lines:?}");
    let last = lines.last().unwrap();
    assert!(last.starts_with("train: 400 of 400, loss ") && !last.contains("eta"), "{last}");
    assert!(lines.iter().all(|line| !line.contains('\r') && !line.contains('\u{1b}')), "{lines:?}");
    assert!(pretrain("quick", "1", &[], None).is_empty());
    assert!(pretrain("silent", "400", &["--quiet"], None).is_empty());
    assert!(pretrain("unwanted", "400", &[], Some("SWEGYM_NO_PROGRESS")).is_empty());
    // Results stay what they are.
    let words = ["micro", "--count", "40", "--out", "drawn", "--json"];
    let mut command = gym.command(&words);
    let output = command.env_remove("SWEGYM_NO_PROGRESS").output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(value["outcomes"]["candidate"].as_u64().unwrap() > 20, "{value}");
}
