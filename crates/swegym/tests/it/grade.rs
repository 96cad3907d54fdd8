//! The verb `grade`: what it makes of bad input, and what it explains.

use serde_json::{Value, json};

use crate::common::{Gym, rows};

const LOG: &str = "+ : '>>>>> Start Test Output'\nPASSED t.py::a\nSKIPPED t.py::b\nPASSED t.py::c[x y]\n+ : '>>>>> End Test Output'\n>>>>> Test Exit Code: 0\n";

fn row(id: &str) -> Value {
    json!({"instance_id": id, "repo": "pallets/flask", "version": "1.0", "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": ["t.py::b"]})
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

const GRADE: [&str; 7] =
    ["grade", "--instances", "instances.jsonl", "--logs", "logs.jsonl", "--out", "reports.jsonl"];

/// A row's log is a path or the text itself, told apart by a rule; the verdict is the same.
#[test]
fn a_log_may_be_in_the_manifest() {
    let gym = Gym::new();
    gym.write("logs/log.txt", LOG);
    let junit = "<testsuite><testcase classname=\"t\" name=\"a\" file=\"t.py\"/></testsuite>";
    gym.write("logs/junit.xml", junit);
    gym.write("instances.jsonl", &lines(&[row("a-1")]));
    let cut = LOG.split("PASSED t.py::c").next().unwrap();
    let crlf = LOG.replace('\n', "\r\n");
    let texts = [LOG, &crlf, cut, ">>>>> Patch Apply Failed", &format!("{LOG}{}", "x".repeat(40 << 10))];
    for (number, text) in texts.iter().enumerate() {
        let file = format!("logs/{number}.txt");
        gym.write(&file, text);
        let told = [
            json!({"instance_id": "a-1", "log": format!("{number}.txt")}),
            json!({"instance_id": "a-1", "log": text}),
            json!({"instance_id": "a-1", "log": text, "semantics": "v4", "patch": "x"}),
            json!({"instance_id": "a-1", "log": format!("{number}.txt"), "semantics": "v4", "patch": "x"}),
            json!({"instance_id": "a-1", "log": text, "junit": junit}),
            json!({"instance_id": "a-1", "log": text, "junit": "junit.xml"}),
        ];
        gym.write("logs/logs.jsonl", &lines(&told));
        gym.must(&[
            "grade",
            "--instances",
            "instances.jsonl",
            "--logs",
            "logs/logs.jsonl",
            "--out",
            "r.jsonl",
        ]);
        let mut reports = rows(&gym.read("r.jsonl"));
        let named: Vec<String> = reports.iter().map(|row| row["log"].as_str().unwrap().to_owned()).collect();
        assert!(named[1].ends_with("logs.jsonl:2") && named[0] == format!("{number}.txt"), "{named:?}");
        reports.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("log")));
        for (one, other) in [(0, 1), (2, 3), (4, 5)] {
            assert_eq!(reports[one], reports[other], "{text}");
        }
    }
    // What is neither is a path, and the hint says how a text is told.
    gym.write("logs/logs.jsonl", &lines(&[json!({"instance_id": "a-1", "log": "PASSED t.py::a"})]));
    gym.run(&["grade", "--instances", "instances.jsonl", "--logs", "logs/logs.jsonl", "--out", "r.jsonl"]);
    let report = &rows(&gym.read("r.jsonl"))[0];
    assert!(report["error"]["hint"].as_str().unwrap().contains("line break"), "{report}");
}

#[test]
fn bad_rows_cost_only_themselves() {
    let gym = Gym::new();
    gym.write("log.txt", LOG);
    gym.write("empty.txt", "");
    std::fs::write(gym.path("bytes.txt"), [b"\xff\xfe\0\r\n".as_slice(), LOG.as_bytes()].concat()).unwrap();
    gym.write("other.txt", &LOG.replace("t.py", "u.py"));
    let mut instances = lines(&[row("a-1")]);
    let mut null = row("a-2");
    null["FAIL_TO_PASS"] = Value::Null;
    let mut printed = row("a-3");
    printed["FAIL_TO_PASS"] = json!("['t.py::a']");
    let mut unknown = row("a-4");
    unknown["log_parser"] = json!("parse_log_nothing");
    let mut nameless = row("a-5");
    nameless["repo"] = json!("nobody/nothing");
    instances += &lines(&[null, printed, unknown, nameless]);
    instances += "{\"instance_id\": \"a-6\", \"x\": NaN}\n{\"instance_id\": \"a-7\"";
    gym.write("instances.jsonl", &instances);
    let manifest = [
        json!({"instance_id": "a-1", "log": "log.txt"}),
        json!({"instance_id": "a-2", "log": "log.txt"}),
        json!({"instance_id": "a-3", "log": "log.txt"}),
        json!({"instance_id": "a-4", "log": "log.txt"}),
        json!({"instance_id": "a-5", "log": "log.txt"}),
        json!({"instance_id": "a-6", "log": "log.txt"}),
        json!({"instance_id": "a-1", "log": "missing.txt"}),
        json!({"instance_id": "a-1", "log": "."}),
        json!({"instance_id": "a-1", "log": "empty.txt"}),
        json!({"instance_id": "a-1", "log": "bytes.txt"}),
        json!({"instance_id": "a-1", "log": "other.txt"}),
        json!({"instance_id": "a-1", "log": "log.txt", "semantics": "v9"}),
        json!({"instance_id": "a-1", "log": "log.txt", "patch": null}),
        json!({"instance_id": "a-1", "log": "log.txt", "patch": 3}),
        json!({"instance_id": "a-1", "log": "log.txt", "junit": "missing.xml"}),
        json!({"log": "log.txt"}),
        json!(7),
    ];
    gym.write("logs.jsonl", &(lines(&manifest) + "{\"instance_id\": \"a-1\", \"log\""));
    let shown = gym.show(&GRADE);
    let verdict = |row: &Value| {
        let reason = if row["error"].is_null() { &row["reason"] } else { &row["error"] };
        format!("{} {} {}: {}", row["instance_id"], row["log"], row["resolved"], reason["message"])
    };
    let reports: Vec<String> = rows(&gym.read("reports.jsonl")).iter().map(verdict).collect();
    insta::assert_snapshot!(format!("{shown}\n{}", reports.join("\n")));
}

#[test]
fn a_pipe_that_nobody_writes_to_is_not_waited_for() {
    let gym = Gym::new();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, gym.path("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    gym.write("log.txt", LOG);
    gym.write("instances.jsonl", &lines(&[row("a-1")]));
    let manifest = [
        json!({"instance_id": "a-1", "log": "pipe"}),
        json!({"instance_id": "a-1", "log": "log.txt", "junit": "pipe"}),
    ];
    gym.write("logs.jsonl", &lines(&manifest));
    gym.run(&GRADE);
    let reports = rows(&gym.read("reports.jsonl"));
    assert_eq!(reports[0]["error"]["code"], "log_unreadable", "{reports:#?}");
    assert_eq!(reports[1]["resolved"], false, "{reports:#?}");
}

#[test]
fn a_verdict_is_explained_test_by_test() {
    let gym = Gym::new();
    gym.write("log.txt", LOG);
    let mut cut = row("a-1");
    cut["PASS_TO_PASS"] = json!(["t.py::b", "t.py::c[x", "t.py::d"]);
    gym.write("instances.jsonl", &lines(&[cut]));
    gym.write("logs.jsonl", &lines(&[json!({"instance_id": "a-1", "log": "log.txt"})]));
    let mut arguments = GRADE.to_vec();
    arguments.push("--explain");
    insta::assert_snapshot!(gym.show(&arguments));
}

#[test]
fn reports_are_in_the_order_of_the_logs_whatever_the_datasets_order() {
    let gym = Gym::new();
    gym.write("log.txt", LOG);
    let ids: Vec<String> = (0..700).map(|n| format!("a-{n}")).collect();
    let list = Value::Array(ids.iter().rev().map(|id| row(id)).collect());
    gym.write("instances.jsonl", &format!("{list:#}"));
    let manifest: Vec<Value> =
        ids.iter().chain(&ids[..5]).map(|id| json!({"instance_id": id, "log": "log.txt"})).collect();
    gym.write("logs.jsonl", &lines(&manifest));
    gym.must(&GRADE);
    let reports = rows(&gym.read("reports.jsonl"));
    let order: Vec<&Value> = reports.iter().map(|row| &row["instance_id"]).collect();
    assert_eq!(order, manifest.iter().map(|row| &row["instance_id"]).collect::<Vec<_>>());
    assert!(reports.iter().all(|row| row["resolved"] == true));
    let run: Value = serde_json::from_str(&gym.read("reports.run_report.json")).unwrap();
    assert_eq!((&run["total_instances"], &run["resolved_instances"]), (&json!(700), &json!(700)));
    assert!(!gym.path("reports.jsonl.early").exists());
}
