//! From text to a policy that works: a tokenizer, a model from nothing,
//! fine-tuning on a teacher's attempt, an endpoint, and an agent that asks it.

mod common;

use common::rows;
use common::toy::{gym, id, listen, result};
use serde_json::{Value, json};

#[test]
fn a_model_from_nothing_learns_a_teachers_attempt_by_heart_and_resolves_the_instance() {
    let gym = gym();
    gym.must(&["rollout", "--instances", "one.jsonl", "--scaffold", "gold", "--out", "teacher"]);
    gym.must(&["export", "teacher", "--out", "teacher.jsonl", "--calls", "text"]);
    let messages = &rows(&gym.read("teacher.jsonl"))[0]["messages"];
    let lines = messages.as_array().unwrap().iter().map(|m| json!({"text": m["content"]}).to_string() + "\n");
    gym.write("corpus.jsonl", &lines.collect::<String>());
    gym.must(&["train", "tokenizer", "--text", "corpus.jsonl", "--vocabulary", "1200", "--out", "tokenizer"]);
    let size = ["--width", "96", "--layers", "2", "--context", "256", "--steps", "40", "--batch", "2"];
    let source = ["--text", "corpus.jsonl", "--tokenizer", "tokenizer", "--out", "base"];
    gym.must(&[&["train", "pretrain"][..], &source, &size].concat());
    let flags =
        ["--context", "8192", "--steps", "150", "--batch", "1", "--rate", "3e-3", "--save-every", "50"];
    let learn =
        [&["train", "sft", "--model", "base", "--data", "teacher.jsonl", "--out", "policy"][..], &flags]
            .concat();
    let done: Value = serde_json::from_str(&gym.must(&[&learn[..], &["--json"]].concat())).unwrap();
    assert!(done["loss"].as_f64().unwrap() < 0.02, "{done}");
    assert!(gym.read("policy/report.html").contains("<polyline"));

    let words = ["serve", "--model", "policy", "--name", "pupil", "--listen", "127.0.0.1:0"];
    let served = listen(&gym, &words);
    let ask =
        ["--model", "pupil", "--endpoint", &served.address, "--tool-calls", "text", "--temperature", "0"];
    let flags = ["--instances", "one.jsonl", "--scaffold", "codeact", "--evaluate", "--out", "pupil"];
    gym.must(&[&["rollout"][..], &flags, &ask].concat());
    let attempt = result(&gym, "pupil", 0);
    assert_eq!(attempt["exit_status"], "submitted", "{attempt}");
    let report = &rows(&gym.read("pupil/reports.jsonl"))[0];
    assert!(report["instance_id"] == id(&gym).as_str() && report["resolved"] == true, "{report}");
}
