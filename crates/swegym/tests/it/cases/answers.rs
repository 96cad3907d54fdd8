//! Predictions, scores and requests.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{Gym, rows, toy};

/// An input of a kind.
fn case(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/answers").join(name);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn text(name: &str) -> String {
    String::from_utf8(case(name)).unwrap()
}

fn write(gym: &Gym, name: &str, bytes: &[u8]) {
    fs::write(gym.path(name), bytes).unwrap();
}

/// What a run of the binary said to people, and its exit code.
fn refused(gym: &Gym, arguments: &[&str]) -> (Option<i32>, String) {
    let output = gym.run(arguments);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// UTF-16 with a mark, as PowerShell writes it.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn answers_in_every_known_form_are_graded_and_others_are_refused() {
    let gym = toy::gym();
    let instance = &rows(&gym.read("one.jsonl"))[0];
    let (id, gold) = (instance["instance_id"].as_str().unwrap(), instance["patch"].as_str().unwrap());
    // The inputs of the kind, with an id and a patch that are at hand.
    let ours = |name: &str| {
        let text = text(name);
        let row = text
            .trim_start_matches('\u{feff}')
            .trim()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let row: Value = serde_json::from_str(&row.replace("\\ud83d", "CUT")).unwrap();
        let old =
            ["model_patch", "git_patch", "prediction", "patch"].iter().find_map(|key| row[*key].as_str());
        let old = old.or_else(|| row["test_result"]["git_patch"].as_str()).unwrap().to_owned();
        let line = gold.lines().find(|line| line.starts_with('+') && !line.starts_with("+++")).unwrap();
        let new =
            if old.contains("CUT") { gold.replace(line, &format!("{line}  # CUT")) } else { gold.to_owned() };
        let text = text.replace("\\ud83d", "CUT").replace("pypi__shelf-77ea2f048c", id);
        text.replace(&json!(old).to_string(), &json!(new).to_string()).replace("CUT", "\\ud83d").into_bytes()
    };
    let row = |patch: &str| json!({"instance_id": id, "model_name_or_path": "m", "model_patch": patch});
    let map = json!({id: {"model_name_or_path": "m", "model_patch": gold}});
    let forms: Vec<(&str, Vec<u8>)> = vec![
        ("git_patch", ours("pred-keys/p_gitpatch.jsonl")),
        ("prediction", ours("pred-keys/p_modelpred.jsonl")),
        ("openhands", ours("pred-keys/p_oh.jsonl")),
        ("patch", ours("pred-keys/p_patchkey.jsonl")),
        ("pro", ours("pred-keys/p_pro.json")),
        ("mark", ours("bom/predictions.jsonl")),
        ("surrogate", ours("surrogate/predictions.jsonl")),
        ("map", map.to_string().into_bytes()),
        ("pretty_map", format!("{map:#}").into_bytes()),
        ("pretty", format!("{:#}\n", row(gold)).into_bytes()),
        ("utf16", utf16(&format!("{}\r\n", row(gold)))),
    ];
    for (name, bytes) in forms {
        write(&gym, "answers", &bytes);
        gym.must(&["evaluate", "--instances", "one.jsonl", "--predictions", "answers", "--out", name]);
        let report: Value = serde_json::from_str(&gym.read(&format!("{name}/report.json"))).unwrap();
        assert_eq!(
            (&report["resolved_ids"], &report["empty_patch_instances"]),
            (&json!([id]), &json!(0)),
            "{name}"
        );
    }
    let good = row(gold).to_string();
    for (row, why) in [
        (
            json!({"instance_id": "a-1", "model_pach": gold}),
            "unknown field `model_pach`; did you mean `model_patch`?",
        ),
        (
            json!({"instance_id": "a-1", "modelPatch": gold}),
            "unknown field `modelPatch`; did you mean `model_patch`?",
        ),
        (json!({"instance_id": "a-1", "final_answer": gold}), "no field holds the answer's patch"),
        (
            json!({"instance-id": "a-1", "model_patch": gold}),
            "unknown field `instance-id`; did you mean `instance_id`?",
        ),
        (json!({"instance_id": "a-1", "model_patch": {"diff": gold}}), "`model_patch` must be a string"),
        (instance.clone(), "this is a row of a dataset"),
    ] {
        for (text, line) in [(format!("{good}\n\n{row}\n"), 3), (format!("[{good},\n{row:#}]"), 2)] {
            gym.write("answers", &text);
            let evaluate =
                ["evaluate", "--instances", "one.jsonl", "--predictions", "answers", "--out", "none"];
            let (code, said) = refused(&gym, &evaluate);
            assert!(
                code == Some(2) && said.contains(&format!("answers:{line}: ")) && said.contains(why),
                "{said}"
            );
            assert!(said.contains("\nhint: "), "{said}");
        }
    }
    gym.write("answers", &json!({"a-1": {"model_pach": ""}}).to_string());
    let (code, said) = refused(&gym, &["evaluate", "--instances", "one.jsonl", "--predictions", "answers"]);
    assert!(code == Some(2) && said.contains("answers:1: unknown field `model_pach`"), "{said}");
    write(&gym, "answers", b"{\"instance_id\": \"a\"}\n{\"instance_id\": \"\xe9\"}\n");
    let (code, said) = refused(&gym, &["evaluate", "--instances", "one.jsonl", "--predictions", "answers"]);
    assert!(code == Some(2) && said.contains("answers:2: not UTF-8 text"), "{said}");
}

#[test]
fn scores_without_their_attempt_or_as_text_are_refused_by_line() {
    let gym = toy::gym();
    let gold = ["--scaffold", "gold", "--attempts", "2", "--evaluate", "--out", "run"];
    gym.must(&[&["rollout", "--instances", "one.jsonl"][..], &gold].concat());
    let id = toy::id(&gym);
    let row = |more: &str| format!("{{\"instance_id\": \"{id}\", {more}}}\n");
    let select = |name: &str, text: &[u8]| {
        write(&gym, name, text);
        refused(&gym, &["select", "run", "--scores", name, "--out", "chosen"])
    };
    let first = row("\"attempt\": 0, \"score\": 0.1");
    for (name, text, line, why) in [
        (
            "sc_noatt.jsonl",
            text("select-rows/sc_noatt.jsonl"),
            1,
            "unknown field `attempt_id`; did you mean `attempt`?",
        ),
        (
            "sc_str.jsonl",
            text("select-rows/sc_str.jsonl"),
            2,
            "the field `score` must be a number, or null for none, this is a string",
        ),
        ("twice", format!("{first}{first}"), 2, "duplicate id"),
        ("nan", format!("{first}{}", row("\"attempt\": 1, \"score\": NaN")), 2, "not valid JSON"),
        ("none", format!("{first}\n{}", row("\"attempt\": 1")), 3, "the field `score` is missing"),
        ("k", format!("{first}{}", row("\"k\": 1, \"score\": 1")), 2, "the field `attempt` is missing"),
    ] {
        let (code, said) = select(name, text.as_bytes());
        assert!(code == Some(2) && said.contains(&format!("{name}:{line}: {why}")), "{name}: {said}");
        assert!(said.contains("\nhint: "), "{said}");
    }
    let good = first + &row("\"attempt\": 1, \"score\": null");
    for (name, bytes) in [
        ("lines", good.clone().into_bytes()),
        ("mark", format!("\u{feff}{good}").into_bytes()),
        ("utf16", utf16(&good)),
        ("list", format!("[{}]", good.trim().replace('\n', ",\n")).into_bytes()),
    ] {
        let (code, said) = select(name, &bytes);
        assert_eq!(code, Some(0), "{name}: {said}");
    }
}

#[test]
fn columns_that_nobody_needs_cost_no_row_and_stay() {
    let gym = Gym::new();
    for name in ["live.jsonl", "live.parquet", "types.jsonl"] {
        write(&gym, name, &case(&format!("live-difficulty/{name}")));
        gym.must(&["dataset", "convert", name, "out.jsonl", "--json"]);
        gym.must(&["dataset", "convert", "out.jsonl", "out.parquet", "--json"]);
        let said = gym.must(&["dataset", "diff", "out.jsonl", "out.parquet", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["added"], &said["removed"]), (&json!([]), &json!([])), "{name}");
        if name == "types.jsonl" {
            let (before, after) = (rows(&text("live-difficulty/types.jsonl")), rows(&gym.read("out.jsonl")));
            assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(&after) {
                for (column, value) in before.as_object().unwrap() {
                    assert_eq!(after[column], *value, "{column}");
                }
            }
        } else {
            let after = &rows(&gym.read("out.jsonl"))[0];
            assert_eq!(after["difficulty"], json!({"files": 1, "hunks": 1, "lines": 3}), "{name}");
            assert_eq!(after["test_cmds"], json!(["pytest -rA"]), "{name}");
        }
        let check = gym.must(&["dataset", "check", name, "--json"]);
        assert!(!check.contains("field_type"), "{check}");
    }
}

#[test]
fn names_that_no_test_has_are_found() {
    let gym = Gym::new();
    gym.write("rows.jsonl", &text("check-names/rows.jsonl"));
    let said: Value = serde_json::from_str(&gym.must(&["dataset", "check", "rows.jsonl", "--json"])).unwrap();
    let found = said["findings"].as_array().unwrap().iter();
    let found: Vec<_> = found.map(|f| (f["code"].as_str().unwrap(), f["field"].as_str())).collect();
    assert!(found.contains(&("no_test_name", Some("PASS_TO_PASS"))), "{found:?}");
    assert!(found.contains(&("truncated_test_id", Some("FAIL_TO_PASS"))), "{found:?}");
    assert!(!found.contains(&("no_test_name", Some("FAIL_TO_PASS"))), "{found:?}");
    let message = said["findings"].to_string();
    assert!(message.contains("4 names are no test's, the first `[100%]`"), "{message}");
}

#[test]
fn half_a_surrogate_pair_costs_one_character() {
    let gym = Gym::new();
    gym.write("rows.jsonl", &text("surrogate/rows.jsonl"));
    gym.must(&["dataset", "convert", "rows.jsonl", "out.jsonl"]);
    let read = rows(&gym.read("out.jsonl"));
    assert_eq!((read.len(), read[0]["problem_statement"].as_str()), (2, Some("cut \u{fffd} here")));
    // A name that was cut so, as text within the text.
    let odd = text("surrogate/rows.jsonl").replace("::test_g", "::test_g[\\\\ud83d]");
    gym.write("names.jsonl", &odd);
    gym.must(&["dataset", "convert", "names.jsonl", "out.jsonl", "--to", "swe-gym"]);
    assert_eq!(rows(&gym.read("out.jsonl"))[0]["PASS_TO_PASS"], json!(["tests/test_a.py::test_g[\u{fffd}]"]));
    // Whoever asks a server.
    gym.write("script", "{\"replies\": [\"well\"]}\n");
    let endpoint = toy::serve(&gym, &["--script", "script"]);
    let (status, said) = post(&endpoint.address, "/chat/completions", &case("surrogate/request.json"));
    assert!(status == 200 && said.contains("well"), "{said}");
}

/// One request; the status and the body.
fn post(address: &str, path: &str, body: &[u8]) -> (u16, String) {
    let (host, base) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /{base}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[test]
fn a_server_of_policies_reads_half_pairs_and_adapters_are_to_be_merged() {
    let gym = Gym::new();
    let line = |i: usize| json!({"text": format!("count to {i}: 1 2 3 4 5 6 7 8 9")}).to_string() + "\n";
    gym.write("text.jsonl", &format!("\u{feff}{}", (1..30).map(line).collect::<String>()));
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "300", "--out", "tokenizer"]);
    let from = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer"];
    let size = ["--width", "64", "--layers", "1", "--context", "128", "--steps", "1", "--out", "base"];
    gym.must(&[&from[..], &size].concat());
    let served = toy::listen(&gym, &["serve", "--model", "base", "--listen", "127.0.0.1:0"]);
    let models = gym.path("base/model");
    assert!(models.is_dir());
    let request: Value =
        serde_json::from_str(&text("surrogate/request.json").replace("\\ud83d", "CUT")).unwrap();
    let body = |model: &str| {
        let mut request = request.clone();
        request["model"] = json!(model);
        request.to_string().replace("CUT", "\\ud83d").into_bytes()
    };
    let (status, said) = post(&served.address, "/chat/completions", &body("base"));
    assert!(status == 200 && said.contains("\"choices\""), "{said}");
    drop(served);
    let config: Value = serde_json::from_str(&text("adapter-hint/adapter_config.json")).unwrap();
    for (name, changes) in [
        ("as-it-is", json!({})),
        ("head", json!({"base_model_name_or_path": models})),
        ("dora", json!({"base_model_name_or_path": models, "modules_to_save": null, "use_dora": true})),
        ("other", json!({"peft_type": "IA3", "modules_to_save": null})),
        ("no-base", json!({"modules_to_save": null})),
    ] {
        let mut config = config.clone();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        gym.write(&format!("{name}/adapter_config.json"), &config.to_string());
        for words in [
            &["serve", "--model", name, "--listen", "127.0.0.1:0"][..],
            &["train", "sft", "--model", name, "--data", "text.jsonl", "--out", "never"],
        ] {
            let (code, said) = refused(&gym, words);
            assert!(
                code == Some(2) && said.contains("merge") && !said.contains("damaged"),
                "{words:?}: {said}"
            );
        }
    }
}

#[test]
fn an_instance_is_in_one_list_of_the_run_report_and_a_summary_is_a_sign_of_tests() {
    let gym = Gym::new();
    let instance = json!({"instance_id": "a-1", "repo": "pallets/flask", "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": [],
        "log_parser": "pytest", "eval_script": "x", "eval_type": "pass_and_fail"});
    gym.write("instances.jsonl", &format!("{instance}\n"));
    let log = |text: &str, exit: u8| {
        format!(">>>>> Start Test Output\n{text}\n>>>>> End Test Output\n>>>>> Test Exit Code: {exit}\n")
    };
    gym.write("good.log", &log("PASSED t.py::a", 0));
    gym.write("bad.log", &log("FAILED t.py::a", 1));
    for (first, second, list) in [("good", "bad", "resolved_ids"), ("bad", "good", "unresolved_ids")] {
        let row = |log: &str| format!("{}\n", json!({"instance_id": "a-1", "log": format!("{log}.log")}));
        gym.write("logs.jsonl", &(row(first) + &row(second) + &row("gone")));
        gym.run(&[
            "grade",
            "--instances",
            "instances.jsonl",
            "--logs",
            "logs.jsonl",
            "--out",
            "reports.jsonl",
        ]);
        let report: Value = serde_json::from_str(&gym.read("reports.run_report.json")).unwrap();
        let lists = ["resolved_ids", "unresolved_ids", "error_ids", "empty_patch_ids", "incomplete_ids"];
        let holding: Vec<_> = lists.iter().filter(|name| report[**name] == json!(["a-1"])).collect();
        assert_eq!(holding, [&list], "{report:#}");
    }
    for (text, exit, code) in [
        ("...   [100%]\n3 passed in 0.10s", 0, "tests_not_named"),
        ("= 1 failed, 2 passed in 1.20s (0:00:01) =", 1, "tests_not_named"),
        ("===== no tests ran in 0.01s =====", 5, "no_tests_ran"),
        ("nothing", 0, "no_test_results"),
        (".....    5 / 5 (100%)\n\nOK (5 tests, 6 assertions)", 0, "tests_not_named"),
        ("OK, but there were issues!\nTests: 5, Assertions: 5, Skipped: 1.", 0, "tests_not_named"),
        ("No tests executed!", 0, "no_tests_ran"),
        // A reporter of dots: the runner counts, and names nothing.
        ("  .....\n\n  5 passing (8ms)", 0, "tests_not_named"),
    ] {
        gym.write("one.log", &log(text, exit));
        gym.write("logs.jsonl", &format!("{}\n", json!({"instance_id": "a-1", "log": "one.log"})));
        gym.run(&[
            "grade",
            "--instances",
            "instances.jsonl",
            "--logs",
            "logs.jsonl",
            "--out",
            "reports.jsonl",
        ]);
        let report = &rows(&gym.read("reports.jsonl"))[0];
        assert_eq!((&report["reason"]["code"], &report["resolved"]), (&json!(code), &json!(false)), "{text}");
    }
}
