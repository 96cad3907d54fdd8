//! The method over the command line: the shipped policy in rounds, killed and
//! taken up again; choosing with tests and calibrated scores.

use std::sync::LazyLock;

use serde_json::Value;

use crate::common::base::lasting;
use crate::common::toy::listen;
use crate::common::{Gym, rows};

/// Flags that fit the gym's policies.
const AGENT: &str =
    "--scaffold codeact --prompts terse --tool-calls text --max-steps 6 --max-tokens 90 --concurrent 8";
const LESSON: &str = "--context 1024 --batch 2 --rate 1e-3 --steps 6";

/// Tasks, a teacher's attempts at them, and the shipped policy.
static SCHOOL: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting().founded();
    for (split, count) in [("train", "10"), ("test", "6")] {
        gym.must(&["micro", "--split", split, "--count", count, "--levels", "1", "--out", split]);
    }
    let flags = ["--scaffold", "noisy-expert", "--prompts", "terse", "--attempts", "2", "--evaluate"];
    gym.must(
        &[&["rollout", "--instances", "train/candidates.jsonl", "--out", "taught"][..], &flags].concat(),
    );
    gym.must(&["micro", "--policy", "policy", "--size", "small"]);
    gym
});

fn school() -> Gym {
    Gym::new().like(&SCHOOL)
}

fn improve<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let flags = [
        "improve",
        "--model",
        "policy",
        "--instances",
        "train/candidates.jsonl",
        "--measure",
        "test/candidates.jsonl",
        "--mix",
        "taught",
        "--measure-attempts",
        "1",
        "--attempts",
        "1",
        "--rollout",
        AGENT,
        "--curate",
        "--calls text --prompts terse",
        "--train",
        LESSON,
    ];
    [&flags[..], more].concat()
}

#[test]
fn rounds_are_taken_up_where_they_were_cut() {
    let gym = school();
    gym.must(&improve(&["--rounds", "2", "--out", "rounds"]));
    let whole: Value = serde_json::from_str(&gym.read("rounds/improve.json")).unwrap();
    let found = whole["rounds"].as_array().unwrap();
    assert_eq!(found.len(), 3);
    assert!(found[1]["learnt"].as_u64() > Some(0), "the teacher's successes are mixed in: {whole}");
    assert!(found.iter().all(|round| round["resolve_rate"]["attempts"].as_u64() > Some(0)), "{whole}");
    assert!(gym.read("rounds/report.html").contains("<polyline"));
    assert!(gym.read("rounds/data-2/card.md").contains("attempts"));

    // Killed at some moment, then taken up: nothing that was done is done again.
    let mut child = gym.spawn(&improve(&["--rounds", "1", "--out", "cut"]));
    for _ in 0..600 {
        if std::fs::read_to_string(gym.path("cut/steps.jsonl")).is_ok_and(|steps| steps.contains('\n')) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "the kill came too late");
    let before = rows(&gym.read("cut/steps.jsonl"));
    assert!(!before.is_empty());
    let refused = gym.run(&improve(&["--rounds", "1", "--out", "cut"]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--resume"));
    // As a power cut may leave it.
    gym.write("cut/steps.jsonl", &(gym.read("cut/steps.jsonl") + "{\"step\":\"sam"));
    gym.must(&improve(&["--rounds", "1", "--out", "cut", "--resume"]));
    let after = rows(&gym.read("cut/steps.jsonl"));
    assert_eq!(after[..before.len()], before);
    assert_eq!(after.len(), 5, "measure, sample, data, model, measure");
    // What is measured does not depend on the kill.
    let again: Value = serde_json::from_str(&gym.read("cut/improve.json")).unwrap();
    assert_eq!(again["rounds"][0]["resolve_rate"], whole["rounds"][0]["resolve_rate"]);

    let other = gym.run(&improve(&["--rounds", "1", "--temperature", "0.5", "--out", "cut", "--resume"]));
    assert!(String::from_utf8_lossy(&other.stderr).contains("other settings"), "{other:?}");
    let mut same = improve(&["--rounds", "1", "--out", "no"]);
    same[6] = "train/candidates.jsonl";
    let same = gym.run(&same);
    assert!(String::from_utf8_lossy(&same.stderr).contains("learnt from and measured with"), "{same:?}");
    let mut wrong = improve(&["--rounds", "1", "--out", "no"]);
    *wrong.iter_mut().find(|word| **word == AGENT).unwrap() = "--no-such-flag";
    let odd = gym.run(&wrong);
    let said = String::from_utf8_lossy(&odd.stderr);
    assert!(odd.status.code() == Some(2) && said.contains("`swegym rollout --help`"), "{said}");
    assert!(said.contains("--no-such-flag") && !said.contains("Usage:"), "{said}");
    gym.must(&["rollout", "--help"]);
}

/// A value with blanks and quotes is one value, as it stands and as it is typed in a
/// shell; what it says reaches the endpoint's settings.
#[test]
fn flags_of_a_step_take_any_value() {
    let gym = school();
    for (out, extra) in [("plain", r#"--extra {"top_k": 20}"#), ("typed", r#"--extra '{"top_k": 20}'"#)] {
        let agent = format!("{AGENT} {extra}");
        let mut words = improve(&["--rounds", "0", "--out", out]);
        *words.iter_mut().find(|word| **word == AGENT).unwrap() = &agent;
        gym.must(&words);
        let asked: Value = serde_json::from_str(&gym.read(&format!("{out}/measure-0/run.json"))).unwrap();
        assert_eq!(asked["settings"]["extra"]["top_k"], 20, "{asked}");
    }
    let mut words = improve(&["--rounds", "0", "--out", "open"]);
    *words.iter_mut().find(|word| **word == AGENT).unwrap() = "--prompts 'terse";
    let open = gym.run(&words);
    let said = String::from_utf8_lossy(&open.stderr);
    assert!(open.status.code() == Some(2) && said.contains("a quote in --rollout does not end"), "{said}");
    assert!(!gym.path("open/steps.jsonl").exists());
}

#[test]
fn rounds_at_an_endpoint_hand_it_their_adapters() {
    let gym = school();
    let words = [
        "serve",
        "--model",
        "policy",
        "--name",
        "pupil",
        "--hot-swap",
        "--adapter-folder",
        ".",
        "--listen",
        "127.0.0.1:0",
    ];
    let server = listen(&gym, &words);
    let lesson = format!("{LESSON} --lora 4");
    let there = ["--endpoint", &server.address, "--policy", "pupil", "--rounds", "2", "--out", "there"];
    let mut words = improve(&there);
    *words.iter_mut().find(|word| **word == LESSON).unwrap() = &lesson;
    gym.must(&words);
    let found: Value = serde_json::from_str(&gym.read("there/improve.json")).unwrap();
    assert_eq!(found["rounds"].as_array().unwrap().len(), 3);
    let asked = gym.read("there/measure-2/run.json");
    assert!(asked.contains("pupil-round-2"), "{asked}");
    // Without an adapter there is nothing to hand over.
    let refused = gym.run(&improve(&[
        "--endpoint",
        &server.address,
        "--policy",
        "pupil",
        "--rounds",
        "1",
        "--out",
        "no",
    ]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--lora"), "{refused:?}");
}

#[test]
fn choosing_uses_tests_and_calibrated_scores() {
    let gym = school();
    let examples = ["evaluate", "--instances", "train/examples.jsonl", "--predictions", "taught"];
    gym.must(&[&examples[..], &["--out", "tried"]].concat());
    // Scores that know nothing: the tests decide.
    let line = |row: &Value| {
        let attempt = row["attempt"].as_u64().unwrap_or(0);
        serde_json::json!({"instance_id": row["instance_id"], "attempt": attempt, "score": 0.9}).to_string()
            + "\n"
    };
    let reports = rows(&gym.read("taught/reports.jsonl"));
    gym.write("scores.jsonl", &reports.iter().map(line).collect::<String>());
    let select = ["select", "taught", "--scores", "scores.jsonl"];
    let calibrate = ["--calibrate", "taught", "--calibrate-scores", "scores.jsonl"];
    let hybrid = ["--tests", "tried", "--by", "hybrid", "--out", "chosen"];
    gym.must(&[&select[..], &calibrate, &hybrid].concat());
    let found: Value = serde_json::from_str(&gym.read("chosen/selection.json")).unwrap();
    let last = |way: &str, what: &str| found["ways"][way][1][what]["mean"].as_f64().unwrap();
    assert!(last("hybrid", "best") > last("verifier", "best"), "{found}");
    assert!((last("hybrid", "best") - last("hybrid", "pass")).abs() < 1e-9, "examples tell right from wrong");
    // All have one score: what it is worth is the share that resolves.
    assert!(found["calibration_error"].as_f64().unwrap() < 0.02, "{found}");
    let none = gym.run(&[&select[..], &["--by", "hybrid", "--out", "no"]].concat());
    assert!(String::from_utf8_lossy(&none.stderr).contains("--tests"));
}
