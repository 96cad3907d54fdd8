//! How far something is, where there is no terminal: plain lines on stderr.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Gym;
use crate::common::toy::{bash, finish};

/// A command whose progress nobody has turned off.
fn open(gym: &Gym, arguments: &[&str]) -> Command {
    let mut command = gym.command(arguments);
    command.env_remove("SWEGYM_NO_PROGRESS").env_remove("TERM");
    command
}

#[test]
fn what_lasts_says_in_plain_lines_how_far_it_is() {
    let gym = Gym::new().founded();
    gym.must(&["micro", "--count", "1", "--levels", "1", "--seed", "4", "--out", "drawn"]);
    let replies = [bash("sleep 5"), finish()];
    gym.write("slow.script", &format!("{}\n", json!({"replies": replies})));
    let rollout = ["rollout", "--instances", "drawn/candidates.jsonl", "--model", "scripted:slow.script"];
    let said = |out: &str, more: &[&str], variable: Option<&str>| {
        let mut command = open(&gym, &[&rollout[..], &["--json", "--out", out], more].concat());
        command.envs(variable.map(|name| (name, "1")));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["outcomes"].as_object().unwrap().len(), 1, "{value}");
        assert!(!said.contains(['\r', '\u{1b}']), "{said}");
        let lines = said.lines().filter(|line| line.starts_with("rollout: ")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let lines = said("slow", &[], None);
    let (first, last) = (lines.first().unwrap(), lines.last().unwrap());
    assert!(first.starts_with("rollout: 0 of 1, 1 running, ") && first.ends_with("s, eta -"), "{lines:?}");
    assert!(last.starts_with("rollout: 1 of 1, 0 running, ") && !last.contains("eta"), "{lines:?}");
    assert!(said("quiet", &["--quiet"], None).is_empty());
    assert!(said("unwanted", &[], Some("SWEGYM_NO_PROGRESS")).is_empty());
}

/// Steps without end: their lines are waited for.
#[test]
fn training_says_its_steps_and_when_it_will_be_over() {
    let gym = Gym::new();
    gym.write("text.txt", &"count to ten, and back again; then rest. ".repeat(40));
    gym.must(&["train", "tokenizer", "--text", "text.txt", "--vocabulary", "300", "--out", "tokenizer"]);
    let words = ["train", "pretrain", "--text", "text.txt", "--tokenizer", "tokenizer", "--out", "base"];
    let flags = ["--width", "32", "--layers", "1", "--context", "32", "--batch", "1", "--steps", "10000000"];
    let mut command = open(&gym, &[&words[..], &flags].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.starts_with("train: ")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let form = "^train: [0-9]+ of 10000000, (loss [0-9.]+, [0-9]+ tokens/s, )?[0-9msh]+, eta [0-9msh-]+$";
    assert!(regex::Regex::new(form).unwrap().is_match(&line), "{line}");
}
