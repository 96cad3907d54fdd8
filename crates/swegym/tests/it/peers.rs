//! Datasets that we write, read by the libraries of the field: `datasets`,
//! `pyarrow`, and the reference's own reader of task folders. They are
//! installed from the package index into a private environment.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::Gym;

const PATCH: &str = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\r\n";

/// Values that formats like to change: versions that look like numbers, words
/// that look like truths, dates, line ends, text beyond ASCII, empty lists.
fn instance(n: usize) -> Value {
    let version = ["3.10", "1e5", "no", "0x1f", "2024-01-02", "~"][n % 6];
    let holds: Vec<String> = (0..n).map(|k| format!("t.py::g[{k}: 'a' \"b\" \u{e9}\u{1f600}]")).collect();
    json!({
        "repo": "pallets/flask", "instance_id": format!("pallets__flask-{n}"), "base_commit": format!("{n:040}"),
        "patch": PATCH, "test_patch": PATCH, "problem_statement": format!("line\r\n\ttab \u{2028} {n}\n\n"),
        "hints_text": "# no comment: it's here", "created_at": "2024-01-02T03:04:05Z", "version": version,
        "FAIL_TO_PASS": ["t.py::f"], "PASS_TO_PASS": holds, "environment_setup_commit": "12345678",
        "eval_script": ">>>>> Start Test Output\n>>>>> End Test Output\n", "log_parser": "parse_log_pytest",
        "eval_type": "pass_and_fail",
        "image": format!("swebench/sweb.eval.x86_64.pallets_1776_flask-{n}:latest"),
    })
}

#[test]
fn the_libraries_of_the_field_read_what_we_write() {
    let gym = Gym::new();
    let instances: Vec<Value> = (1..=100).map(instance).collect();
    gym.write("old.jsonl", &instances.iter().map(|row| format!("{row}\n")).collect::<String>());
    for (out, more) in [
        ("hub", ["--file", "hub", "--split", "test"].as_slice()),
        ("saved", &["--file", "saved", "--split", "validation"]),
        ("rows.parquet", &[]),
        ("rows.arrow", &[]),
        ("tasks", &["--to", "swe-bench-tasks", "--name", "org/set", "--split", "test"]),
    ] {
        gym.must(&[["dataset", "convert", "old.jsonl", out].as_slice(), more].concat());
    }
    let found = ask_libraries(&gym);
    for name in ["hub", "saved", "parquet", "arrow", "tasks"] {
        let rows = found[name].as_object().unwrap();
        assert_eq!(rows.len(), instances.len(), "{name}");
        for instance in &instances {
            let row = &rows[instance["instance_id"].as_str().unwrap()];
            for (field, value) in instance.as_object().unwrap() {
                let read = &row[field];
                let list =
                    value.is_array().then(|| read.as_str().map(|text| serde_json::from_str(text).unwrap()));
                let read = list.flatten().unwrap_or_else(|| read.clone());
                assert_eq!(&read, value, "{name}: {field} of {}", instance["instance_id"]);
            }
        }
    }
    assert_eq!(found["splits"], json!(["test", "validation"]));
    assert_eq!(found["check"], json!([]));
    assert_eq!(found["published"], json!({"org/set": {"test": 100}}));
}

#[expect(clippy::disallowed_methods, reason = "a test starts its peers")]
fn ask_libraries(gym: &Gym) -> Value {
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let environment = gym.path("environment");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let python = environment.join("bin/python");
    let pip = |packages: &[&str]| {
        run(Command::new(&python)
            // Most of what comes along is never imported.
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"])
            .args(packages));
    };
    pip(&["datasets==4.4.1", "pyyaml"]);
    pip(&["--no-deps", "swebench==5.0.2"]);
    let mut read = Command::new(&python);
    read.arg("-c").arg(include_str!("peers/read.py")).arg(gym.folder.path());
    read.env("HF_HUB_OFFLINE", "1").env("HF_HOME", gym.path("hf"));
    serde_json::from_str(&run(&mut read)).unwrap()
}
