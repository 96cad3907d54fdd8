//! The micro gym from a seed to verdicts: its instances are ordinary ones.

use serde_json::Value;

use crate::common::{Gym, rows};

#[test]
fn what_is_drawn_is_valid_and_the_same_again() {
    let gym = Gym::new().founded();
    let draw = |seed: &str, split: &str, out: &str| {
        gym.must(&["micro", "--count", "18", "--seed", seed, "--split", split, "--out", out]);
        rows(&gym.read(&format!("{out}/candidates.jsonl")))
    };
    let drawn = draw("7", "train", "train");
    assert!(drawn.len() > 14, "{} of 18", drawn.len());
    assert_eq!(drawn, draw("7", "train", "again"), "images and commits included");
    let patches =
        |rows: &[Value]| -> Vec<String> { rows.iter().map(|row| row["patch"].to_string()).collect() };
    let test = draw("7", "test", "test");
    assert!(patches(&test).iter().all(|patch| !patches(&drawn).contains(patch)));
    let levels: std::collections::HashSet<String> =
        drawn.iter().map(|row| row["difficulty"].to_string()).collect();
    assert_eq!(levels.len(), 3, "{levels:?}");

    gym.must(&["validate", "--instances", "train/candidates.jsonl", "--repeats", "1", "--out", "valid"]);
    assert_eq!(
        rows(&gym.read("valid/instances.jsonl")).len(),
        drawn.len(),
        "{}",
        gym.read("valid/dropped.jsonl")
    );
    // What everybody sees passes before: only hidden tests tell.
    assert!(drawn.iter().all(|row| row["test_patch"].as_str().unwrap().contains("test_issue.py")));
    let flags = ["--instances", "valid/instances.jsonl", "--evaluate"];
    gym.must(&[&["rollout", "--scaffold", "gold", "--out", "gold"][..], &flags].concat());
    assert!(rows(&gym.read("gold/reports.jsonl")).iter().all(|report| report["resolved"] == true));
    gym.must(&[&["rollout", "--scaffold", "noisy-expert", "--out", "teacher"][..], &flags].concat());
    let reports = rows(&gym.read("teacher/reports.jsonl"));
    let resolved = reports.iter().filter(|report| report["resolved"] == true).count();
    assert!(resolved > 0 && resolved < reports.len(), "a teacher that is sometimes wrong: {resolved}");
}

#[test]
fn the_policy_has_the_template_of_new_tokenizers() {
    let gym = Gym::new();
    gym.must(&["micro", "--policy", "base"]);
    gym.write("text.txt", &"one two three ".repeat(99));
    gym.must(&["train", "tokenizer", "--text", "text.txt", "--vocabulary", "300", "--out", "tokenizer"]);
    assert_eq!(gym.read("base/chat_template.jinja"), gym.read("tokenizer/chat_template.jinja"));
}

/// Outcomes that are known without an attempt are those that the tests give.
#[test]
fn known_answers_are_what_their_tests_say() {
    let gym = Gym::new().founded();
    gym.must(&["micro", "--count", "12", "--seed", "5", "--out", "drawn"]);
    let answers = rows(&gym.read("drawn/answers.jsonl"));
    let of = |key: &str, row: &Value| row[key].to_string();
    let resolved = answers.iter().filter(|row| row["resolved"] == true).count();
    assert!(resolved >= rows(&gym.read("drawn/candidates.jsonl")).len() && resolved < answers.len());
    for attempt in 0..5 {
        let chosen: Vec<&Value> = answers.iter().filter(|row| row["attempt"] == attempt).collect();
        let line = |row: &&Value| {
            let patch = &row["test_result"]["git_patch"];
            serde_json::json!({"instance_id": row["instance_id"], "model_name_or_path": "known", "model_patch": patch})
                .to_string()
                + "\n"
        };
        gym.write("predictions.jsonl", &chosen.iter().map(line).collect::<String>());
        let out = format!("tested-{attempt}");
        gym.must(&[
            "evaluate",
            "--instances",
            "drawn/candidates.jsonl",
            "--predictions",
            "predictions.jsonl",
            "--out",
            &out,
        ]);
        let reports = rows(&gym.read(&format!("{out}/reports.jsonl")));
        for row in chosen {
            let report = reports.iter().find(|report| report["instance_id"] == row["instance_id"]).unwrap();
            assert_eq!(report["resolved"], row["resolved"], "{} {row}", of("instance_id", row));
        }
    }
}

#[test]
fn families_and_levels_are_chosen() {
    let gym = Gym::new().founded();
    gym.must(&["micro", "--count", "8", "--families", "text,table", "--levels", "1", "--out", "run"]);
    for row in rows(&gym.read("run/candidates.jsonl")) {
        assert!(["micro/text", "micro/table"].contains(&row["repo"].as_str().unwrap()), "{row}");
        assert_eq!(row["difficulty"], "level 1");
    }
    for (flags, words) in [
        (["--families", "music"], "invalid value 'music' for '--families"),
        (["--levels", "9"], "[possible values: 1, 2, 3]"),
        (["--levels", "x"], "[possible values: 1, 2, 3]"),
        (["--split", "dev"], "invalid value 'dev' for '--split"),
    ] {
        let output = gym.run(&[&["micro", "--out", "no"][..], &flags].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains("hint: ") || text.contains("[possible values: ");
        assert!(text.contains(words) && told, "{text}");
    }
}
