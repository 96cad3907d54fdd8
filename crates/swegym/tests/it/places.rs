//! Where verbs write: never over what they read, in folders that need not be there.

use serde_json::{Value, json};

use crate::common::Gym;

/// What people read of a command that is refused.
fn refusal(gym: &Gym, arguments: &[&str]) -> String {
    let output = gym.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains("hint: "), "{arguments:?}: {said}");
    said
}

fn row(id: &str) -> Value {
    json!({
        "instance_id": id, "repo": "a/b", "base_commit": "c0ffee", "version": "1", "log_parser": "pytest",
        "patch": "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n",
        "test_patch": "", "problem_statement": "The value of x is wrong, and it should be two.",
        "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": [],
    })
}

/// A dataset, a log, and the manifest that names it.
fn gym() -> Gym {
    let gym = Gym::new();
    gym.write("rows.jsonl", &format!("{}\n", row("a__b-1")));
    gym.write(
        "run.log",
        ">>>>> Start Test Output\nPASSED t.py::a\n>>>>> End Test Output\n>>>>> Test Exit Code: 0\n",
    );
    gym.write("logs.jsonl", &format!("{}\n", json!({"instance_id": "a__b-1", "log": "run.log"})));
    gym
}

#[test]
fn nothing_is_written_over_what_is_read() {
    let gym = gym();
    let grade = ["grade", "--instances", "rows.jsonl", "--logs", "logs.jsonl", "--out"];
    for arguments in [
        &["dataset", "lite", "rows.jsonl", "--out", "rows.jsonl"][..],
        // By another name of the same file.
        &["dataset", "lite", "rows.jsonl", "--out", "./rows.jsonl"],
        &["dataset", "lite", "rows.jsonl", "--out", "small.jsonl", "--dropped", "rows.jsonl"],
        &["dataset", "lite", "rows.jsonl", "--out", "small.jsonl", "--dropped", "small.jsonl"],
        &["dataset", "convert", "rows.jsonl", "rows.jsonl", "--to", "swe-bench"],
        &["dataset", "stats", "rows.jsonl", "--chart", "rows.jsonl"],
        &[&grade[..], &["rows.jsonl"]].concat(),
        &[&grade[..], &["logs.jsonl"]].concat(),
        &[&grade[..], &["reports.jsonl", "--report", "rows.jsonl"]].concat(),
    ] {
        let before = (gym.read("rows.jsonl"), gym.read("logs.jsonl"));
        let said = refusal(&gym, arguments);
        assert!(said.contains("overwritten") || said.contains("small.jsonl"), "{said}");
        assert_eq!((gym.read("rows.jsonl"), gym.read("logs.jsonl")), before, "{arguments:?}");
        assert!(!gym.path("small.jsonl").exists() && !gym.path("reports.jsonl").exists(), "{arguments:?}");
    }
    // Files of a folder that is read.
    gym.write("set/train.jsonl", &gym.read("rows.jsonl"));
    let convert = ["dataset", "convert", "--to", "swe-bench", "set"];
    refusal(&gym, &[&convert[..], &["set/train.jsonl"]].concat());
    gym.must(&[&convert[..], &["set.jsonl"]].concat());
}

#[test]
fn folders_above_an_output_are_made() {
    let gym = gym();
    let grade = ["grade", "--instances", "rows.jsonl", "--logs", "logs.jsonl"];
    for (place, arguments) in [
        ("a/b/x.jsonl", &["dataset", "lite", "rows.jsonl", "--out", "a/b/x.jsonl"][..]),
        ("b/b/no.jsonl", &["dataset", "lite", "rows.jsonl", "--out", "y.jsonl", "--dropped", "b/b/no.jsonl"]),
        ("c/b/x.parquet", &["dataset", "convert", "rows.jsonl", "c/b/x.parquet", "--to", "swe-bench"]),
        ("d/b/x.svg", &["dataset", "stats", "rows.jsonl", "--chart", "d/b/x.svg"]),
        ("e/b/x.jsonl", &[&grade[..], &["--out", "e/b/x.jsonl"]].concat()),
        ("f/b/r.json", &[&grade[..], &["--out", "z.jsonl", "--report", "f/b/r.json"]].concat()),
        ("g/b/texts.jsonl", &["micro", "--count", "2", "--text", "g/b/texts.jsonl"]),
    ] {
        gym.must(arguments);
        assert!(gym.path(place).is_file(), "{arguments:?}");
    }
}

#[test]
fn what_is_in_a_runs_way_is_told_with_what_to_do() {
    let gym = gym();
    let validate = ["validate", "--instances", "rows.jsonl", "--out", "run"];
    for (name, is_folder) in [("results", false), ("events.jsonl", true), ("run.json", true)] {
        let at = gym.path("run").join(name);
        if is_folder {
            std::fs::create_dir_all(&at).unwrap();
        } else {
            gym.write(&format!("run/{name}"), "x");
        }
        let said = refusal(&gym, &validate);
        assert!(said.contains(name) && said.contains("move it away"), "{said}");
        std::fs::remove_dir_all(gym.path("run")).unwrap();
    }
    gym.write("run", "a file");
    let said = refusal(&gym, &validate);
    assert!(said.contains("run"), "{said}");
}

#[test]
fn a_run_that_was_killed_before_it_began_is_begun_by_resume() {
    let gym = gym();
    // As the first moments leave it.
    let command = json!({"version": 1, "verb": "validate", "flags": {"instances": ["rows.jsonl"]}});
    gym.write("run/command.json", &command.to_string());
    let output = gym.run(&["validate", "--resume", "--out", "run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It has begun: what is wrong is the row's image.
    assert!(said.contains("names no image"), "{said}");
    assert!(gym.path("run/run.json").is_file());
    // A folder of something else is none to go on with.
    gym.write("other/notes.txt", "mine");
    let said = refusal(&gym, &["validate", "--instances", "rows.jsonl", "--resume", "--out", "other"]);
    assert!(said.contains("holds no run to resume"), "{said}");
}
