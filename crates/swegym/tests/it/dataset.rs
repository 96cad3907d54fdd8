//! The verbs of `dataset`, on datasets of every format.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::common::{Gym, rows};

const PATCH: &str = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@ def f(x):\n     y = x\n-    return y - 1\n+    return y + 1\n";
const TESTS: &str = "diff --git a/tests/test_x.py b/tests/test_x.py\n--- a/tests/test_x.py\n+++ b/tests/test_x.py\n@@ -1 +1,2 @@\n import x\n+def test_f(): assert x.f(1) == 2\n";

fn instance(n: usize) -> Value {
    json!({
        "repo": "pallets/flask", "instance_id": format!("pallets__flask-{n}"), "base_commit": format!("{n:040x}"),
        "patch": PATCH, "test_patch": TESTS, "problem_statement": format!("f({n}) is wrong\nIt should be more.\n"),
        "hints_text": "look at \u{1f600}", "created_at": "2024-01-02T03:04:05Z", "version": "3.10",
        "FAIL_TO_PASS": json!([format!("tests/test_x.py::test_f[{n}-\"a\"]")]).to_string(),
        "PASS_TO_PASS": json!(["tests/test_x.py::test_g", "tests/test_x.py::test_h"]).to_string(),
        "environment_setup_commit": "abc", "difficulty": "<15 min", "eval_script": "#!/bin/bash\npytest\n",
        "log_parser": "parse_log_pytest", "eval_type": "pass_and_fail", "image": format!("img:{n}"),
    })
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn said(gym: &Gym, arguments: &[&str]) -> Value {
    serde_json::from_str(&gym.must(&[arguments, &["--json"]].concat())).unwrap()
}

/// The fields that differ, of those that the first dataset says.
fn differing(gym: &Gym, new: &str) -> Vec<String> {
    let known = instance(1);
    let fields = said(gym, &["dataset", "diff", "old.jsonl", new]);
    assert_eq!((&fields["added"], &fields["removed"]), (&json!([]), &json!([])), "{new}: {fields}");
    let fields = fields["fields"].as_object().unwrap();
    fields.keys().filter(|name| known.get(*name).is_some()).cloned().collect()
}

#[test]
fn what_a_format_cannot_hold_is_all_that_is_lost() {
    let gym = Gym::new();
    let count = 130;
    gym.write("old.jsonl", &lines(&(1..=count).map(instance).collect::<Vec<_>>()));
    let shapes = ["swe-bench", "swe-gym", "swe-rebench", "swe-smith", "multi-swe-bench", "nemo"];
    for shape in shapes {
        for kind in ["jsonl", "json", "parquet", "arrow", "hub", "saved"] {
            let out = format!("{shape}.{kind}");
            let done = said(&gym, &["dataset", "convert", "old.jsonl", &out, "--to", shape, "--file", kind]);
            assert_eq!(done["instances"], count, "{out}");
            let losses = done["losses"].as_array().unwrap();
            let lost: Vec<&str> = losses.iter().map(|loss| loss["field"].as_str().unwrap()).collect();
            let silent: Vec<String> =
                differing(&gym, &out).into_iter().filter(|f| !lost.contains(&f.as_str())).collect();
            assert_eq!(silent, [""; 0], "{out} loses fields and does not say so");
            assert!(losses.iter().all(|l| l["instances"] == count && l["first"] == "pallets__flask-1"));
        }
    }
    for format in ["swe-bench-tasks", "harbor"] {
        let done = said(&gym, &["dataset", "convert", "old.jsonl", format, "--to", format]);
        assert_eq!((&done["instances"], &done["losses"]), (&json!(count), &json!([])), "{format}");
        assert_eq!(differing(&gym, format), [""; 0], "{format}");
    }
    let smith = rows(&gym.read("swe-smith.jsonl"));
    assert!(smith[0]["patch"].as_str().unwrap().contains("-    return y + 1\n+    return y - 1\n"));
    assert!(gym.read("harbor/pallets__flask-7/task.toml").contains("docker_image = \"img:7\""));
}

#[test]
fn r2e_rows_keep_their_statuses_and_say_what_they_lose() {
    let gym = Gym::new();
    gym.write("old.jsonl", &lines(&[instance(1)]));
    insta::assert_snapshot!(gym.show(&["dataset", "convert", "old.jsonl", "r2e.jsonl", "--to", "r2e"]));
    let row = &rows(&gym.read("r2e.jsonl"))[0];
    assert_eq!(row["repo_name"], "flask");
    let expected: Value = serde_json::from_str(row["expected_output_json"].as_str().unwrap()).unwrap();
    assert_eq!(expected, json!({"test_f[1-\"a\"]": "PASSED", "test_g": "PASSED", "test_h": "PASSED"}));
}

#[test]
fn bad_rows_and_bad_targets_cost_nothing_else() {
    let gym = Gym::new();
    let text = lines(&[instance(1), instance(2)])
        + "{\"instance_id\": \"x\", \"n\": NaN}\n"
        + &lines(&[instance(3)]);
    gym.write("old.jsonl", &text);
    gym.write("full/file", "");
    let shown = [
        gym.show(&["dataset", "convert", "old.jsonl", "new.parquet"]),
        gym.show(&["dataset", "convert", "old.jsonl", "new.csv"]),
        gym.show(&["dataset", "convert", "old.jsonl", "new.jsonl", "--to", "swebench"]),
        gym.show(&["dataset", "convert", "old.jsonl", "full", "--to", "harbor"]),
        gym.show(&["dataset", "convert", "missing.jsonl", "new.jsonl"]),
        gym.show(&["dataset", "stats", "full/file"]),
    ];
    insta::assert_snapshot!(shown.join("\n"));
    assert_eq!(said(&gym, &["dataset", "stats", "new.parquet"])["all"]["instances"], 3);
    assert!(!gym.path("new.parquet.partial").exists());
}

#[test]
fn check_finds_each_trouble_and_its_line() {
    let gym = Gym::new();
    let row = |n: usize, changes: &[(&str, Value)]| {
        let mut row = instance(n);
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        row
    };
    let text = lines(&[
        row(1, &[]),
        row(1, &[("problem_statement", json!(""))]),
        row(2, &[("instance_id", json!("../etc"))]),
        row(3, &[("FAIL_TO_PASS", json!(["tests/test_x.py::test_g", "tests/test_x.py::test_f[a"]))]),
        row(4, &[("FAIL_TO_PASS", json!("[]")), ("patch", json!("nothing"))]),
        row(5, &[("patch", json!(format!("{PATCH}{TESTS}"))), ("log_parser", json!("parse_log_what"))]),
        row(6, &[("repo", json!("nobody/nothing")), ("log_parser", Value::Null)]),
        row(7, &[]),
        row(8, &[]),
    ]) + "{\"instance_id\": \"y\"";
    gym.write("old.jsonl", &text);
    let log = |n: usize, status: &str| {
        format!(
            ">>>>> Start Test Output\n{status} tests/test_x.py::test_f[{n}-\"a\"]\nPASSED tests/test_x.py::test_g\nPASSED tests/test_x.py::test_h\n>>>>> End Test Output\n>>>>> Test Exit Code: 0\n"
        )
    };
    gym.write("1.log", &log(1, "PASSED"));
    gym.write("7.log", &log(7, "FAILED").replace("Code: 0", "Code: 1"));
    gym.write("8.log", "");
    let manifest = [1, 7, 8, 3]
        .map(|n| json!({"instance_id": format!("pallets__flask-{n}"), "log": format!("{n}.log")}));
    gym.write("logs.jsonl", &lines(&manifest));
    insta::assert_snapshot!(gym.show(&["dataset", "check", "old.jsonl", "--logs", "logs.jsonl"]));
    // Neither does a bad row of the manifest end the check.
    gym.write("bad.jsonl", "{\"instance_id\": \"nobody\", \"log\": \"1.log\"}\n{\"log\": \"1.log\"}\n{");
    let output = gym.run(&["dataset", "check", "old.jsonl", "--logs", "bad.jsonl", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes = found["findings"].as_array().unwrap().iter().filter(|f| f["file"] == "bad.jsonl");
    assert_eq!(
        codes.map(|f| f["code"].as_str().unwrap()).collect::<Vec<_>>(),
        ["row_unreadable", "row_unreadable", "gold_inconsistent"]
    );
    // Warnings alone let a dataset pass.
    gym.write(
        "new.jsonl",
        &lines(&[row(6, &[("log_parser", Value::Null), ("repo", json!("nobody/nothing"))])]),
    );
    assert!(gym.run(&["dataset", "check", "new.jsonl"]).status.success());
    assert_eq!(gym.run(&["dataset", "check", "new.jsonl", "--strict"]).status.code(), Some(11));
    gym.write("good.jsonl", &lines(&[row(1, &[])]));
    assert_eq!(gym.must(&["dataset", "check", "good.jsonl"]), "1 rows, nothing wrong\n");
}

#[test]
fn stats_count_what_the_paper_counts() {
    let gym = Gym::new();
    let mut other = instance(2);
    (other["repo"], other["patch"]) = (json!("o/r"), json!("nothing"));
    gym.write("old.jsonl", &lines(&[instance(1), instance(3), other]));
    insta::assert_snapshot!(gym.show(&["dataset", "stats", "old.jsonl", "--chart", "chart.svg"]));
    let value = said(&gym, &["dataset", "stats", "old.jsonl"]);
    let flask = &value["repositories"]["pallets/flask"];
    assert_eq!(flask["issue_words"], json!({"mean": 7.0, "median": 7.0, "max": 7}));
    assert_eq!(
        (&flask["gold_lines"]["mean"], &flask["gold_functions"]["mean"], &flask["tests"]["mean"]),
        (&json!(2.0), &json!(1.0), &json!(3.0))
    );
    assert_eq!(
        (&value["all"]["unreadable_patches"], &value["all"]["gold_lines"]["mean"]),
        (&json!(1), &json!(2.0))
    );
    let chart = gym.read("chart.svg");
    assert!(chart.starts_with("<svg") && chart.contains(">pallets&#x2f;flask<"), "{chart}");
}

#[test]
fn lite_keeps_small_tasks_and_says_why_others_go() {
    let gym = Gym::new();
    let long = "many plain words ".repeat(14);
    let row = |n: usize, text: &str| {
        let mut row = instance(n);
        row["problem_statement"] = json!(format!("{long}{text}"));
        row
    };
    let short = instance(1);
    let text = lines(&[short, row(2, ""), row(3, "see #12"), row(4, "see #13 at https://x.org/a.png")]);
    gym.write("old.jsonl", &text);
    insta::assert_snapshot!(gym.show(&["dataset", "lite", "old.jsonl", "--out", "lite.jsonl"]));
    assert_eq!(gym.read("lite.jsonl"), text.lines().nth(1).unwrap().to_owned() + "\n");
    let dropped = rows(&gym.read("lite.dropped.jsonl"));
    assert_eq!(dropped[0], json!({"instance_id": "pallets__flask-1", "reasons": ["short_statement"]}));
    assert_eq!(dropped[2]["reasons"], json!(["hyperlink", "issue_reference", "image"]));
    // A site that knows issue 13 alone.
    let site = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", site.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in site.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut request).unwrap();
            let known = request[..length].starts_with(b"GET /pallets/flask/issues/13 ");
            let status = if known { "200 OK" } else { "404 Not Found" };
            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
    let done =
        said(&gym, &["dataset", "lite", "old.jsonl", "--out", "lite.parquet", "--issues-at", &address]);
    assert_eq!((&done["kept"], &done["reasons"]["issue_reference"]), (&json!(2), &json!(1)));
    assert_eq!(said(&gym, &["dataset", "stats", "lite.parquet"])["all"]["instances"], 2);
}

#[test]
fn diff_names_instances_and_fields() {
    let gym = Gym::new();
    let mut changed = instance(2);
    changed["PASS_TO_PASS"] = json!(["tests/test_x.py::test_h", "tests/test_x.py::test_i"]);
    changed["version"] = json!("3.11");
    let mut same = instance(3);
    // Neither order nor encoding is a difference.
    same["PASS_TO_PASS"] = json!(["tests/test_x.py::test_h", "tests/test_x.py::test_g"]);
    gym.write("old.jsonl", &lines(&[instance(1), instance(2), instance(3)]));
    gym.write("new.jsonl", &lines(&[changed, same, instance(4)]));
    insta::assert_snapshot!(gym.show(&["dataset", "diff", "old.jsonl", "new.jsonl"]));
    let value = said(&gym, &["dataset", "diff", "old.jsonl", "new.jsonl"]);
    assert_eq!(value["changed"]["pallets__flask-2"]["PASS_TO_PASS"], json!({"added": 1, "removed": 1}));
}

#[test]
fn a_late_row_changes_the_columns_of_all() {
    let gym = Gym::new();
    let row = |n: usize| {
        let mut row = instance(n);
        row["stars"] = if n < 900 { json!(n) } else { json!("many") };
        // Long enough for the filter, and the statement of some has a link.
        row["problem_statement"] =
            json!("word ".repeat(50) + if n.is_multiple_of(3) { "https://a.b" } else { "" });
        if n > 700 {
            row["late"] = json!([n]);
        }
        row
    };
    let all: Vec<_> = (1..=1000).map(row).collect();
    gym.write("all.jsonl", &(lines(&all) + "{\n"));
    for verb in [
        ["convert", "all.jsonl", "all.parquet", "--to", "swe-bench"].as_slice(),
        &["lite", "all.jsonl", "--out", "lite.arrow"],
    ] {
        // One row is no JSON.
        assert_eq!(gym.run(&[&["dataset"], verb].concat()).status.code(), Some(11), "{verb:?}");
    }
    for (written, kept) in [("all.parquet", 1000), ("lite.arrow", 667)] {
        gym.must(&["dataset", "convert", written, "again.jsonl", "--to", "swe-bench"]);
        let again = rows(&gym.read("again.jsonl"));
        assert_eq!(again.len(), kept, "{written}");
        let (first, last) = (&again[0], &again[kept - 1]);
        // Numbers and words in one column are JSON text.
        assert_eq!((&first["stars"], &first["late"]), (&json!("1"), &Value::Null), "{written}");
        assert_eq!((&last["stars"], &last["late"]), (&json!("many"), &json!([1000])), "{written}");
    }
}

/// What a process has open is no name that can be given to a file.
#[test]
fn nothing_is_put_in_the_place_of_a_device() {
    let gym = Gym::new();
    gym.write(
        "rows.jsonl",
        "{\"instance_id\": \"a__b-1\", \"repo\": \"a/b\", \"base_commit\": \"c\", \"patch\": \"\"}\n",
    );
    std::os::unix::fs::symlink("/proc/self/fd/1", gym.path("stdout")).unwrap();
    for out in ["/dev/null", "stdout"] {
        let output = gym.run(&["dataset", "convert", "rows.jsonl", out, "--file", "jsonl"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains("it is no regular file"), "{said}");
    }
    assert!(gym.path("stdout").is_symlink());
}
