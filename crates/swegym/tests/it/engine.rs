//! From text to a policy that works: a tokenizer, a model from nothing,
//! fine-tuning on a teacher's attempt, an endpoint, and an agent that asks it.

use serde_json::{Value, json};
use swegym_train::tokens::TokenRow;

use crate::common::toy::{gym, id, listen, result};
use crate::common::{Gym, contents, rows};

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
    let events = std::fs::metadata(gym.path("policy/tensorboard/events.out.tfevents.0000000000.swegym"));
    assert!(events.unwrap().len() > 150 * 100);

    let words = ["serve", "--model", "policy", "--name", "pupil", "--listen", "127.0.0.1:0"];
    let served = listen(&gym, &words);
    let ask =
        ["--model", "pupil", "--endpoint", &served.address, "--tool-calls", "text", "--temperature", "0"];
    let flags = ["--instances", "one.jsonl", "--scaffold", "codeact", "--evaluate", "--out", "pupil"];
    gym.must(&[&["rollout", "--capture-tokens"][..], &flags, &ask].concat());
    let attempt = result(&gym, "pupil", 0);
    assert_eq!(attempt["exit_status"], "submitted", "{attempt}");
    let report = &rows(&gym.read("pupil/reports.jsonl"))[0];
    assert!(report["instance_id"] == id(&gym).as_str() && report["resolved"] == true, "{report}");

    // Its own tokens train it on; what was sampled is what is scored.
    let tokens =
        ["export", "pupil", "--to", "tokens", "--model", "policy", "--out", "pupil.parquet", "--json"];
    let made: Value = serde_json::from_str(&gym.must(&tokens)).unwrap();
    assert_eq!(
        (&made["sampled"], &made["rendered"], &made["rows"]),
        (&json!(1), &json!(0), &json!(1)),
        "{made}"
    );
    let again =
        ["train", "sft", "--model", "policy", "--data", "pupil.parquet", "--out", "again", "--context"];
    gym.must(&[&again[..], &["8192", "--steps", "1", "--batch", "1"]].concat());
    let first: Value = serde_json::from_str(gym.read("again/metrics.jsonl").lines().next().unwrap()).unwrap();
    let (_, sampled) = logprobs(&gym, "pupil.parquet");
    assert!((first["loss"].as_f64().unwrap() + sampled).abs() < 1e-6, "{first} and {sampled}");
}

/// Learnt tokens of a token file, and their mean log-probability when they were sampled.
fn logprobs(gym: &Gym, file: &str) -> (usize, f64) {
    let (mut learnt, mut total) = (0, 0.0);
    swegym_train::token_file::read(&gym.path(file), |row| {
        learnt += row.learnt();
        total += row.logprobs.iter().flatten().map(|&l| f64::from(l)).sum::<f64>();
        Ok::<(), swegym_train::token_file::TokenFileError>(())
    })
    .unwrap();
    (learnt, total / learnt as f64)
}

fn counted(count: usize) -> String {
    (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

/// A small model of no use, and the conversations that it was made of.
fn model() -> Gym {
    let gym = Gym::new();
    let row = |i: usize| {
        let messages = json!([
            {"role": "user", "content": format!("count to {i}")},
            {"role": "assistant", "content": counted(i)},
        ]);
        json!({"instance_id": format!("count-{i}"), "messages": messages}).to_string() + "\n"
    };
    gym.write("rows.jsonl", &(1..40).map(row).collect::<String>());
    let text = |i: usize| json!({"text": format!("count to {i}: 1 2 3 4 5 6 7 8 9 {i}")}).to_string() + "\n";
    gym.write("text.jsonl", &(1..40).map(text).collect::<String>());
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "300", "--out", "tokenizer"]);
    let flags = ["--width", "64", "--layers", "1", "--context", "64", "--steps", "5", "--out", "base"];
    gym.must(
        &[&["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer"][..], &flags].concat(),
    );
    gym
}

const LEARN: [&str; 17] = [
    "train",
    "sft",
    "--model",
    "base",
    "--data",
    "rows.jsonl",
    "--context",
    "128",
    "--batch",
    "2",
    "--epochs",
    "12",
    "--save-every",
    "3",
    "--rate",
    "5e-3",
    "--held-out",
];

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_weights_of_an_unbroken_one() {
    let gym = model();
    let began = std::time::Instant::now();
    gym.must(&[&LEARN[..], &["0.2", "--out", "unbroken"]].concat());
    let took = began.elapsed();
    let arguments = [&LEARN[..], &["0.2", "--out", "broken"]].concat();
    let resume = || gym.path("broken/training.json").exists().then_some("--resume");
    let mut kills = 0;
    for share in [0.05, 0.1, 0.15, 0.2, 0.35, 0.5] {
        let words: Vec<&str> = arguments.iter().copied().chain(resume()).collect();
        let mut child = gym.spawn(&words);
        std::thread::sleep(took.mul_f64(share));
        child.kill().unwrap();
        // What a signal ended has no code.
        kills += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(kills > 2, "the run is too short to be killed");
    let words: Vec<&str> = arguments.iter().copied().chain(resume()).chain(["--cores", "1"]).collect();
    gym.must(&words);
    let weights = |run: &str| std::fs::read(gym.path(&format!("{run}/model/model.safetensors"))).unwrap();
    assert!(weights("broken") == weights("unbroken"));
    // Each step is told once, and its loss is the same.
    let steps = |run: &str| -> Vec<(u64, String)> {
        let of = |row: &Value| {
            (row["step"].as_u64().unwrap(), format!("{} {}", row["loss"], row["held_out_loss"]))
        };
        rows(&gym.read(&format!("{run}/metrics.jsonl"))).iter().map(of).collect()
    };
    assert_eq!(steps("broken"), steps("unbroken"));
    let left = std::fs::read_dir(gym.path("broken/checkpoints")).unwrap();
    let drafts = left.flatten().filter(|e| e.file_name().to_string_lossy().starts_with('.')).count();
    assert!(drafts <= kills, "what a kill leaves is hidden and bounded");
}

/// A kill may come before there is a checkpoint, or anything.
#[test]
fn a_run_that_was_killed_at_once_is_taken_up() {
    let gym = model();
    std::fs::create_dir(gym.path("early")).unwrap();
    gym.must(&[&LEARN[..], &["0.2", "--out", "early", "--resume"]].concat());
    assert!(gym.path("early/model/model.safetensors").is_file());
}

#[test]
fn a_run_stops_without_a_better_loss_and_keeps_the_best() {
    let gym = model();
    // What is held out counts backwards: the better the rest is learnt, the worse.
    let row = |i: usize| {
        let (repo, numbers) =
            if i < 30 { ("up", counted(i % 9 + 3)) } else { ("down", "9 8 7 6 5 4".to_owned()) };
        let messages = json!([
            {"role": "user", "content": "count"}, {"role": "assistant", "content": numbers},
        ]);
        json!({"instance_id": format!("{repo}-{i}"), "repo": repo, "messages": messages}).to_string() + "\n"
    };
    gym.write("both.jsonl", &(0..60).map(row).collect::<String>());
    let data = ["train", "sft", "--model", "base", "--data", "both.jsonl", "--context", "128", "--json"];
    let course = ["--held-out", "0.5", "--split-by", "repo", "--patience", "2", "--measure-every", "2"];
    let flags =
        ["--rate", "1e-2", "--epochs", "60", "--batch", "2", "--schedule", "constant", "--out", "run"];
    let done = gym.must(&[&data[..], &course, &flags].concat());
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(done["stopped"], "no better loss", "{done}");
    let metrics = rows(&gym.read("run/metrics.jsonl"));
    let held_out: Vec<(f64, u64)> = metrics
        .iter()
        .filter_map(|row| Some((row["held_out_loss"].as_f64()?, row["step"].as_u64()?)))
        .collect();
    let best = held_out.iter().fold((f64::MAX, 0), |best, of| if of.0 < best.0 { *of } else { best });
    assert_eq!((&done["held_out_loss"], &done["steps"]), (&json!(best.0), &json!(best.1)), "{held_out:?}");
    assert!(held_out.len() as u64 * 2 == best.1 + 4, "{held_out:?}");
    // One repository is learnt, the other is not.
    let about: Value = serde_json::from_str(&gym.read("run/training.json")).unwrap();
    assert_eq!((&about["rows"], &about["held_out"]), (&json!(30), &json!(30)), "{about}");
    let one = ["--held-out", "0.5", "--split-by", "repo", "--out", "no"];
    gym.write("one.jsonl", &(0..30).map(row).collect::<String>());
    let output = gym.run(&[&["train", "sft", "--model", "base", "--data", "one.jsonl"][..], &one].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("all rows are of one repo; none can be held out"), "{text}");
}

#[test]
fn a_run_that_is_taken_up_stops_where_one_in_peace_does() {
    let gym = model();
    let row = |i: usize| {
        let (repo, numbers) =
            if i < 30 { ("up", counted(i % 9 + 3)) } else { ("down", "9 8 7 6 5 4".to_owned()) };
        let messages = json!([
            {"role": "user", "content": "count"}, {"role": "assistant", "content": numbers},
        ]);
        json!({"instance_id": format!("{repo}-{i}"), "repo": repo, "messages": messages}).to_string() + "\n"
    };
    gym.write("both.jsonl", &(0..60).map(row).collect::<String>());
    let words = |rate: &'static str, out: &'static str| -> Vec<&str> {
        let data = ["train", "sft", "--model", "base", "--data", "both.jsonl", "--context", "128", "--json"];
        let course = ["--held-out", "0.5", "--split-by", "repo", "--patience", "4", "--measure-every", "1"];
        let flags = ["--save-every", "1", "--epochs", "60", "--batch", "2", "--schedule", "constant"];
        [&data[..], &course, &flags, &["--rate", rate, "--out", out]].concat()
    };
    let whole: Value = serde_json::from_str(&gym.must(&words("1e-2", "whole"))).unwrap();
    assert_eq!(whole["stopped"], "no better loss", "{whole}");
    let weights = |run: &str| std::fs::read(gym.path(run).join("model/model.safetensors")).unwrap();

    // Cut within the patience: the best is behind, and worse has been counted.
    copy(&gym.path("whole"), &gym.path("cut"));
    let checkpoints = gym.path("cut/checkpoints");
    let mut steps: Vec<_> = std::fs::read_dir(&checkpoints).unwrap().flatten().map(|e| e.path()).collect();
    steps.sort();
    assert_eq!(steps.len(), 2, "the best and the last: {steps:?}");
    std::fs::remove_dir_all(gym.path("cut/model")).unwrap();
    // What the metrics say of it may be lost with the machine.
    std::fs::remove_file(gym.path("cut/metrics.jsonl")).unwrap();
    let again: Value =
        serde_json::from_str(&gym.must(&[&words("1e-2", "cut")[..], &["--resume"]].concat())).unwrap();
    assert_eq!(again["held_out_loss"], whole["held_out_loss"], "{again}");
    assert_eq!(weights("cut"), weights("whole"));

    // A run that is refused is as it was.
    let before = contents(&gym.path("whole"), &|_| false);
    let refused = gym.run(&[&words("1e-3", "whole")[..], &["--resume"]].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("`rate` was"), "{said}");
    assert_eq!(contents(&gym.path("whole"), &|_| false), before);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for (name, bytes) in contents(from, &|_| false) {
        let place = to.join(name);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
}

/// Asks over a real socket; gives status and body.
fn ask(address: &str, path: &str, body: Option<&Value>) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let host = address.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let (verb, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
    let head = format!(
        "{verb} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn the_endpoint_speaks_the_protocol() {
    let gym = model();
    let row =
        |i: usize| gym.read("rows.jsonl").lines().nth(i).unwrap().replace(&counted(i + 1), "1 2 3") + "\n";
    gym.write("same.jsonl", &(0..39).map(row).collect::<String>());
    let data = [&LEARN[..4], &["--data", "same.jsonl"], &LEARN[6..]].concat();
    gym.must(&[&data[..], &["0", "--steps", "60", "--out", "policy"]].concat());
    let served = listen(&gym, &["serve", "--model", "policy", "--listen", "127.0.0.1:0", "--queue", "2"]);
    let post = |path: &str, body: Value| {
        let (status, text) = ask(&served.address, path, Some(&body));
        (status, serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)))
    };
    let models: Value = serde_json::from_str(&ask(&served.address, "/v1/models", None).1).unwrap();
    assert_eq!(models["data"][0]["id"], "policy");

    let chat = json!({
        "model": "policy", "messages": [{"role": "user", "content": "count to 3"}], "temperature": 0,
        "max_tokens": 20, "logprobs": true, "top_logprobs": 2, "return_token_ids": true, "seed": 1,
    });
    let (status, answer) = post("/v1/chat/completions", chat.clone());
    assert_eq!((status, &answer["choices"][0]["finish_reason"]), (200, &json!("stop")), "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "1 2 3", "{answer}");
    let ids = answer["choices"][0]["token_ids"].as_array().unwrap();
    let logprobs = answer["choices"][0]["logprobs"]["content"].as_array().unwrap();
    assert_eq!(
        (ids.len(), logprobs.len()),
        (answer["usage"]["completion_tokens"].as_u64().unwrap() as usize, ids.len())
    );
    assert!(
        logprobs.iter().all(|of| of["top_logprobs"][0]["logprob"] == of["logprob"]),
        "greedy takes the likeliest"
    );

    // What was sampled, scored as a prompt: the same numbers.
    let prompt: Vec<Value> =
        answer["prompt_token_ids"].as_array().unwrap().iter().chain(ids).cloned().collect();
    let echo = json!({"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 0});
    let (_, scored) = post("/v1/completions", echo);
    let scored = scored["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap().clone();
    let sampled: Vec<&Value> = logprobs.iter().map(|of| &of["logprob"]).collect();
    assert_eq!(scored[scored.len() - sampled.len()..].iter().collect::<Vec<_>>(), sampled);

    // The same in pieces.
    let mut pieces = chat.clone();
    (pieces["stream"], pieces["stream_options"]) = (json!(true), json!({"include_usage": true}));
    let (_, text) = ask(&served.address, "/v1/chat/completions", Some(&pieces));
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let events: Vec<Value> =
        events[..events.len() - 1].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    let said: String = events.iter().filter_map(|e| e["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(said, "1 2 3");
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], answer["usage"]["completion_tokens"]);
    // The prompt is known from before, but for the token that asks.
    assert_eq!(
        usage["prompt_tokens_details"]["cached_tokens"],
        answer["usage"]["prompt_tokens"].as_u64().unwrap() - 1
    );

    // Several answers, a stop word, a seed.
    let mut several = chat.clone();
    for (key, value) in [("n", json!(3)), ("temperature", json!(2)), ("stop", json!(["2"]))] {
        several[key] = value;
    }
    let (_, first) = post("/v1/chat/completions", several.clone());
    let (_, again) = post("/v1/chat/completions", several);
    assert_eq!(first["choices"], again["choices"], "a seed repeats itself");
    assert_eq!(first["choices"].as_array().unwrap().len(), 3);
    assert!(!first["choices"].to_string().contains("\"content\":\"1 2"), "{first}");

    for (body, status, code) in [
        (json!({"model": "other", "messages": [{"role": "user", "content": "x"}]}), 404, "model_not_found"),
        (json!({"messages": []}), 400, "invalid_request_error"),
        (json!({"messages": [{"role": "nobody", "content": "x"}]}), 400, "invalid_request_error"),
        (
            json!({"messages": [{"role": "user", "content": "x"}], "temperature": -1}),
            400,
            "invalid_request_error",
        ),
        (
            json!({"messages": [{"role": "user", "content": "x "}], "max_tokens": 9999}),
            400,
            "context_length_exceeded",
        ),
    ] {
        let (found, answer) = post("/v1/chat/completions", body);
        assert_eq!((found, answer["error"]["code"].as_str()), (status, Some(code)), "{answer}");
    }
    // A verifier's score, of two of its tokens.
    let judged = json!({"messages": [{"role": "user", "content": "count to 3"}], "labels": ["1", "9"]});
    let (status, verdict) = post("/v1/score", judged.clone());
    assert!(status == 200 && verdict["score"].as_f64().unwrap() > 0.9, "{verdict}");
    let logprob = |label: &str| verdict["logprobs"][label].as_f64().unwrap();
    let share = 1.0 / (1.0 + (logprob("9") - logprob("1")).exp());
    assert!((verdict["score"].as_f64().unwrap() - share).abs() < 1e-6, "{verdict}");
    assert_eq!(
        logprob("1"),
        logprobs[0]["logprob"].as_f64().unwrap(),
        "the likeliest first token, as sampled"
    );
    let long = json!({"prompt": "count ".repeat(9000), "labels": ["1", "9"]});
    let (_, refused) = post("/v1/score", long.clone());
    assert!(refused["score"].is_null() && refused["overlong"] == "refused", "{refused}");
    let mut cut = long;
    cut["overlong"] = json!("cut");
    let (_, cut) = post("/v1/score", cut);
    assert!(cut["score"].is_f64() && cut["overlong"] == "cut", "{cut}");
    let (status, unknown) = post("/v1/score", json!({"prompt": "x", "labels": ["1", "count to nine"]}));
    assert!(
        status == 400 && unknown["error"]["message"].as_str().unwrap().contains("a label is one"),
        "{unknown}"
    );
    assert_eq!(ask(&served.address, "/v1/nothing", None).0, 404);
    let metrics = ask(&served.address, "/metrics", None).1;
    assert!(metrics.contains("\nswegym_answers_total "), "{metrics}");
}

/// Attempts at counting, the right ones resolved.
fn attempts() -> String {
    let row = |i: usize| {
        let (asked, resolved) = (i / 2 % 8 + 2, i.is_multiple_of(2));
        let said = if resolved { counted(asked) } else { "9 9 9".to_owned() };
        let messages = json!([
            {"role": "user", "content": format!("count to {asked}")},
            {"role": "assistant", "content": said},
        ]);
        json!({"instance_id": format!("count-{}", i / 2), "messages": messages, "resolved": resolved})
    };
    (0..64).map(|i| row(i).to_string() + "\n").collect()
}

#[test]
fn a_verifier_is_trained_served_and_scores_attempts() {
    let gym = model();
    gym.write("attempts.jsonl", &attempts());
    gym.write("question.jinja", "{% for turn in turns %}{{ turn.text }} {% endfor %}");
    let learn = ["train", "verifier", "--model", "base", "--data", "attempts.jsonl", "--held-out", "0.2"];
    let flags = ["--template", "question.jinja", "--context", "128", "--batch", "4", "--rate", "4e-3"];
    let course = [&learn[..], &flags].concat();
    gym.must(&[&course[..], &["--epochs", "30", "--out", "judge"]].concat());
    let done = gym.must(
        &[&course[..], &["--answer", "class", "--epochs", "30", "--out", "classes", "--json"]].concat(),
    );
    let done: Value = serde_json::from_str(&done).unwrap();
    assert!(done["loss"].as_f64().unwrap() < 0.3, "{done}");
    let by_adapter = ["--answer", "class", "--lora", "8", "--rate", "1e-2", "--epochs", "30"];
    gym.must(&[&learn[..], &flags[..6], &by_adapter, &["--out", "adapted"]].concat());
    for model in ["judge", "classes", "adapted"] {
        let served = listen(&gym, &["serve", "--model", model, "--listen", "127.0.0.1:0"]);
        let models: Value = serde_json::from_str(&ask(&served.address, "/v1/models", None).1).unwrap();
        assert_eq!(models["data"][0]["verifier"], true, "{models}");
        let score = |line: &str| {
            let body = json!({"attempt": serde_json::from_str::<Value>(line).unwrap()});
            let (status, text) = ask(&served.address, "/v1/score", Some(&body));
            let verdict: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(status, 200, "{verdict}");
            verdict["score"].as_f64().unwrap()
        };
        let lines = gym.read("attempts.jsonl");
        let scores: Vec<f64> = lines.lines().take(16).map(score).collect();
        for (right, wrong) in scores.iter().step_by(2).zip(scores.iter().skip(1).step_by(2)) {
            assert!(right > wrong, "{model}: {scores:?}");
        }
        let chat = json!({"messages": [{"role": "user", "content": "count to 3"}]});
        let (status, text) = ask(&served.address, "/v1/chat/completions", Some(&chat));
        assert_eq!(status == 200, model == "judge", "{text}");
    }
    let refused = |arguments: &[&str], words: &str| {
        let output = gym.run(&[&course[..], &["--out", "no"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains("hint: ") || text.contains("[possible values: ");
        assert!(!output.status.success() && text.contains(words) && told, "{text}");
    };
    refused(&["--labels", "YES"], "1 labels were given");
    refused(&["--labels", "YES,YES"], "begin with the same token");
    refused(&["--overlong", "window"], "a question is not `window` where it is too long");
    let swapped = ["serve", "--model", "base", "--adapter", "x=adapted", "--listen", "127.0.0.1:0"];
    let output = gym.run(&swapped);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("the adapter `x` has a head of classes of its own"), "{text}");
    let resolved = gym.read("attempts.jsonl").replace("false", "true");
    gym.write("attempts.jsonl", &resolved);
    refused(&[], "64 resolved and 0 unresolved attempts teach no difference");
    gym.write("attempts.jsonl", &resolved.replace("true", "null"));
    refused(&[], "nobody knows whether it is resolved");
}

#[test]
fn adapters_are_swapped_while_a_model_is_served() {
    let gym = model();
    let learn = |says: &str, out: &str| {
        let row = |i: usize| {
            let of = gym.read("rows.jsonl").lines().nth(i).unwrap().replace(&counted(i + 1), says);
            of + "\n"
        };
        gym.write("says.jsonl", &(0..39).map(row).collect::<String>());
        let data = ["train", "sft", "--model", "base", "--data", "says.jsonl", "--lora", "8", "--out", out];
        gym.must(
            &[&data[..], &["--context", "128", "--batch", "2", "--steps", "60", "--rate", "1e-2"]].concat(),
        );
    };
    learn("1 2 3", "three");
    learn("9 9", "nines");
    let words = ["serve", "--model", "base", "--adapter", "pupil=three", "--hot-swap"];
    let served = listen(&gym, &[&words[..], &["--adapter-folder", ".", "--listen", "127.0.0.1:0"]].concat());
    let chat = |model: &str| {
        let body = json!({
            "model": model, "messages": [{"role": "user", "content": "count to 3"}], "temperature": 0,
            "max_tokens": 12,
        });
        let (status, text) = ask(&served.address, "/v1/chat/completions", Some(&body));
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let swap = |path: &str, body: Value| {
        let (status, text) = ask(&served.address, path, Some(&body));
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let said = |answer: &Value| answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let (_, first) = chat("pupil");
    assert_eq!((said(&first).as_str(), &first["system_fingerprint"]), ("1 2 3", &json!("pupil@1")));
    assert_ne!(said(&chat("base").1), "1 2 3");
    let place = gym.path("nines");
    let (status, loaded) = swap("/v1/load_lora_adapter", json!({"lora_name": "pupil", "lora_path": place}));
    assert_eq!((status, &loaded["generation"]), (200, &json!(2)), "{loaded}");
    let (_, second) = chat("pupil");
    assert_eq!((said(&second).as_str(), &second["system_fingerprint"]), ("9 9", &json!("pupil@2")));
    let (status, refused) =
        swap("/v1/load_lora_adapter", json!({"lora_name": "pupil", "lora_path": gym.path("no")}));
    assert_eq!(status, 400, "{refused}");
    assert_eq!(said(&chat("pupil").1), "9 9", "what cannot be read changes nothing");
    assert_eq!(swap("/v1/unload_lora_adapter", json!({"lora_name": "pupil"})).0, 200);
    assert_eq!(chat("pupil").0, 404);
    assert_eq!(swap("/v1/unload_lora_adapter", json!({"lora_name": "pupil"})).0, 404);

    let fixed = listen(&gym, &["serve", "--model", "base", "--listen", "127.0.0.1:0"]);
    let body = json!({"lora_name": "pupil", "lora_path": place});
    assert_eq!(ask(&fixed.address, "/v1/load_lora_adapter", Some(&body)).0, 403);
}

#[test]
fn what_cannot_be_trained_is_named() {
    let gym = model();
    let refused = |arguments: &[&str], words: &str| {
        let output = gym.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains("hint: ") || text.contains("[possible values: ");
        assert!(!output.status.success() && text.contains(words) && told, "{text}");
    };
    let base = ["train", "sft", "--model", "base", "--out", "run", "--data"];
    gym.write("broken.jsonl", "{\"messages\": [{\"role\": \"robot\"}]}\nnot json\n");
    refused(
        &[&base[..], &["broken.jsonl"]].concat(),
        "no line can be used; line 1: the answer is not what the protocol has: there is no role `robot`",
    );
    gym.write("mute.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}\n");
    refused(
        &[&base[..], &["mute.jsonl"]].concat(),
        "of 1, 0 are longer than the context of 4096 tokens and 1 have no learnt token",
    );
    refused(
        &[&base[..], &["rows.jsonl", "--lora", "4", "--lora-targets", "head"]].concat(),
        "there is no projection `head`",
    );
    refused(
        &[&base[..], &["rows.jsonl", "--schedule", "square"]].concat(),
        "invalid value 'square' for '--schedule",
    );
    refused(
        &["train", "sft", "--model", "rows.jsonl", "--out", "run", "--data", "rows.jsonl"],
        "cannot read rows.jsonl/config.json",
    );
    refused(
        &["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "100", "--out", "t"],
        "a vocabulary of 100 is too small",
    );
    // What would be learnt instead of unlearnt, by us and by whoever reads our files.
    let mut writer = swegym_train::token_file::TokenWriter::create(&gym.path("centred.parquet")).unwrap();
    for weight in [1.0, -0.5] {
        let row =
            TokenRow { input_ids: vec![1, 2, 3], loss_mask: vec![false, true, true], ..TokenRow::default() };
        // What is only read may weigh what it likes.
        writer.push(TokenRow { weights: Some(vec![-1.0, 1.0, weight]), ..row }).unwrap();
    }
    writer.finish().unwrap();
    let words = "centred.parquet: row 2: a learnt token has the weight -0.5";
    refused(&[&base[..], &["centred.parquet"]].concat(), words);
    for framework in ["trl", "torchtune", "verl"] {
        refused(
            &["export", "centred.parquet", "--to", framework, "--model", "base", "--out", "there"],
            words,
        );
    }
    assert!(!gym.path("run").exists() && !gym.path("there").exists());
    gym.must(&[&base[..], &["rows.jsonl", "--steps", "2"]].concat());
    refused(&[&base[..], &["rows.jsonl", "--steps", "2"]].concat(), "is a run already");
}
