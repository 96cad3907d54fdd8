//! Runs that are stopped, and taken up by the line that they print: it needs the
//! folder alone.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::common::{Gym, rows};

/// Starts a command, stops it politely once `begun` holds what says that it works;
/// gives what it said last: the command to go on with.
fn stopped(gym: &Gym, typed: &str, begun: &str, sign: &str) -> String {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let mut child = gym.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let works = || std::fs::read_to_string(gym.path(begun)).is_ok_and(|text| text.contains(sign));
    while !works() {
        assert!(child.try_wait().unwrap().is_none(), "`{typed}` ended before it could be stopped");
        std::thread::sleep(Duration::from_millis(20));
    }
    interrupt(child.id());
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(130), "`{typed}`: {said}");
    let (_, line) = said.rsplit_once("go on with: ").unwrap_or_else(|| panic!("`{typed}`: {said}"));
    line.trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a test stops the program that it tests")]
fn interrupt(process: u32) {
    let process = process.to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
}

fn go_on(gym: &Gym, line: &str) -> String {
    let words = shlex::split(line).unwrap();
    gym.must(&words[1..].iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_line_to_go_on_is_of_the_command_that_was_typed_and_needs_its_folder_alone() {
    let gym = Gym::new().founded();
    let finished = "\"job_finished\"";
    let line = stopped(&gym, "micro --count 60 --seed 3 --out drawn", "drawn/events.jsonl", finished);
    assert_eq!(line, "swegym micro --resume --out drawn");
    go_on(&gym, &line);
    gym.must(&["micro", "--count", "60", "--seed", "3", "--out", "whole"]);
    assert!(gym.read("drawn/candidates.jsonl") == gym.read("whole/candidates.jsonl"));

    // A run of steps is taken up by its own verb, whatever step was cut.
    let typed = "quickstart --out first";
    let line = stopped(&gym, typed, "first/gym/first-tasks/events.jsonl", finished);
    assert_eq!(line, "swegym quickstart --resume --out first");

    gym.write("text.txt", &"count to ten, and back again; then rest. ".repeat(400));
    gym.must(&["train", "tokenizer", "--text", "text.txt", "--vocabulary", "300", "--out", "tokenizer"]);
    let typed = "train pretrain --text text.txt --tokenizer tokenizer --width 64 --layers 2 --context 32 \
                 --steps 3000 --save-every 5 --out base";
    let line = stopped(&gym, typed, "base/metrics.jsonl", "\"step\":9,");
    assert_eq!(line, "swegym train pretrain --resume --out base");
    // What does not fit is refused, and not remembered.
    let refused = gym.run(&["train", "pretrain", "--resume", "--out", "base", "--context", "128"]);
    assert_eq!(refused.status.code(), Some(2), "{}", String::from_utf8_lossy(&refused.stderr));
    let kept = gym.read("base/command.json");
    assert!(kept.contains("\"32\"") && !kept.contains("\"128\""), "{kept}");
}

#[test]
fn a_run_goes_on_by_its_folder_even_where_its_instances_are_elsewhere() {
    let gym = Gym::new().founded();
    gym.must(&["micro", "--count", "4", "--seed", "2", "--out", "drawn"]);
    let flags = ["--scaffold", "noisy-expert", "--attempts", "2", "--noise", "0.5", "--evaluate"];
    let made = ["rollout", "--instances", "drawn/candidates.jsonl", "--out", "taught"];
    gym.must(&[&made[..], &flags].concat());
    let reports = gym.read("taught/reports.jsonl");
    let judged =
        ["evaluate", "--instances", "drawn/candidates.jsonl", "--predictions", "gold", "--out", "gold"];
    gym.must(&judged);
    gym.must(&["validate", "--instances", "drawn/candidates.jsonl", "--repeats", "1", "--out", "valid"]);
    gym.must(&["validate", "--resume", "--out", "valid"]);
    gym.write("drawn/mine.jsonl", &gym.read("taught/predictions.0.jsonl"));
    let filed = ["--predictions", "drawn/mine.jsonl", "--out", "filed"];
    gym.must(&[&["evaluate", "--instances", "drawn/candidates.jsonl"][..], &filed].concat());
    std::fs::rename(gym.path("drawn"), gym.path("away")).unwrap();
    std::fs::remove_file(gym.path("taught/reports.jsonl")).unwrap();
    gym.must(&["rollout", "--resume", "--out", "taught"]);
    assert_eq!(gym.read("taught/reports.jsonl"), reports);
    for (verb, run) in [("evaluate", "gold"), ("evaluate", "filed"), ("validate", "valid")] {
        gym.must(&[verb, "--resume", "--out", run]);
    }
    // A copy that is damaged is named.
    let copy = gym.read("valid/given.jsonl");
    gym.write("valid/given.jsonl", &copy[..copy.len() - 30]);
    let refused = gym.run(&["validate", "--resume", "--out", "valid"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("valid/given.jsonl:"), "{said}");
    gym.write("valid/given.jsonl", &copy);
    // More of the same is asked for beside it, and remembered.
    gym.must(&["rollout", "--resume", "--out", "taught", "--attempts", "3"]);
    gym.must(&["rollout", "--resume", "--out", "taught"]);
    assert_eq!(rows(&gym.read("taught/reports.jsonl")).len(), rows(&reports).len() / 2 * 3);
    // Flags that do not agree are refused as ever, and leave the folder as it was.
    let refused = gym.run(&["rollout", "--resume", "--out", "taught", "--noise", "0.9"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && said.contains("noise was 0.5, is 0.9"), "{said}");
    gym.must(&["rollout", "--resume", "--out", "taught"]);
    // Folders from before the command line was kept have their settings.
    for run in ["taught", "gold", "valid"] {
        std::fs::remove_file(gym.path(&format!("{run}/command.json"))).unwrap();
    }
    std::fs::rename(gym.path("away"), gym.path("drawn")).unwrap();
    gym.must(&["rollout", "--resume", "--out", "taught"]);
    gym.must(&["evaluate", "--resume", "--out", "gold"]);
    gym.must(&["validate", "--resume", "--out", "valid"]);
    // A folder that nothing was begun in stays away.
    let none = gym.run(&["rollout", "--resume", "--out", "deep/none", "--instances", "x.jsonl"]);
    assert!(none.status.code() == Some(2) && !gym.path("deep").exists());
}
