//! Runs against a model behind an address, with everything that goes wrong
//! there; and runs that are cut off and taken up again.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::toy::{bash, finish, gym, id, play, result, serve};
use crate::common::{Gym, contents, rows};

#[test]
fn a_real_socket_with_every_fault_gives_the_same_attempt() {
    let gym = gym();
    let replies = [bash("ls"), bash("echo '# mine' >> toy.py"), bash("cat toy.py"), finish()];
    let (_, straight) = play(&gym, "socket", &replies, &[]);
    let faults = [
        "429=0.06",
        "500=0.06",
        "drop=0.06",
        "malformed=0.06",
        "empty-choices=0.06",
        "cut-stream=0.06",
        "timeout=0.02",
    ];
    let mut flags = vec!["--script", "socket.script", "--key", "sesame-4711"];
    flags.extend(faults.iter().flat_map(|f| ["--fault", f]));
    let server = serve(&gym, &flags);
    for (name, more) in [
        ("plain", &[][..]),
        ("stream", &["--stream"]),
        ("anthropic", &["--wire", "anthropic"]),
        ("anthropic-stream", &["--wire", "anthropic", "--stream"]),
    ] {
        let out = format!("http-{name}");
        let mut arguments =
            vec!["rollout", "--instances", "one.jsonl", "--model", "m", "--endpoint", &server.address];
        arguments.extend([
            "--retries",
            "30",
            "--request-timeout",
            "2",
            "--price",
            "1,2",
            "--attempts",
            "2",
            "--out",
            &out,
        ]);
        arguments.extend(more);
        arguments.extend(["--key-from", "THE_KEY"]);
        let mut command = gym.command(&arguments);
        let output = command.env("THE_KEY", "sesame-4711").output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found = result(&gym, &out, 1);
        assert_eq!((&found["patch"], &found["steps"]), (&straight["patch"], &straight["steps"]), "{name}");
        assert!(found["cost_usd"].as_f64().unwrap() > 0.0);
        for (file, bytes) in contents(&gym.path(&out), &|_| false) {
            assert!(!String::from_utf8_lossy(&bytes).contains("sesame"), "the key is in {file}");
        }
    }
}

/// The last request of an attempt, as it was sent.
fn last_request(gym: &Gym, run: &str) -> Value {
    let record = format!("{run}/trajectories/{}/0.jsonl", id(gym));
    let text = gym.read(&record);
    let events = swegym_core::format::record::read(&record, &text).unwrap().into_events();
    serde_json::from_str(&swegym_core::Trajectory::fold(&events).unwrap().last_request).unwrap()
}

#[test]
fn a_model_hears_again_what_it_thought_and_what_its_user_adds() {
    let gym = gym();
    let mut look = bash("ls");
    look["reasoning"] = json!("What is there?");
    gym.write("s.script", &format!("{}\n", json!({"replies": [look, finish()]})));
    let server = serve(&gym, &["--script", "s.script"]);
    let said = |name: &str, more: &[&str]| {
        let out = format!("thinks-{name}");
        let of_run = ["rollout", "--instances", "one.jsonl", "--model", "m", "--endpoint", &server.address];
        let extra = ["--extra", "{\"top_k\": 20}", "--out", &out];
        gym.must(&[of_run.as_slice(), &extra, more].concat());
        let request = last_request(&gym, &out);
        assert_eq!(request["top_k"], 20, "{name}");
        let messages = request["messages"].as_array().unwrap().clone();
        messages.into_iter().find(|message| message["role"] == "assistant").unwrap()
    };
    for (name, more) in [("plain", &[][..]), ("stream", &["--stream"]), ("text", &["--tool-calls", "text"])] {
        let message = said(name, more);
        assert_eq!(message["reasoning_content"], "What is there?", "{name}: {message}");
        assert_eq!(message.get("tool_calls").is_some(), name != "text", "{name}: {message}");
    }
    let message = said("anthropic", &["--wire", "anthropic"]);
    let thought = &message["content"][0];
    assert!(thought["type"] == "thinking" && thought["signature"].is_string(), "{message}");
    gym.must(&["export", "thinks-plain", "--out", "rows.jsonl"]);
    let row = &rows(&gym.read("rows.jsonl"))[0];
    assert_eq!(row["messages"][2]["reasoning_content"], "What is there?");
    let refused =
        gym.run(&["rollout", "--instances", "one.jsonl", "--model", "m", "--extra", "{\"seed\": 1}"]);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && words.contains("--sampling-seed"), "{words}");
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said_once() {
    let gym = gym();
    gym.write("s.script", &format!("{}\n", json!({"replies": [bash("ls"), finish()]})));
    let say = |flags: &[&str], more: &[&str], code: i32| {
        let server = serve(&gym, &[&["--script", "s.script"], flags].concat());
        let out = format!("down-{}", flags.concat().replace(['=', '.', '-'], "_"));
        let mut arguments = vec![
            "rollout",
            "--instances",
            "instances.jsonl",
            "--model",
            "m",
            "--endpoint",
            &server.address,
            "--out",
            &out,
        ];
        arguments.extend(more);
        let output = gym.run(&arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{flags:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let key = say(&["--key", "right"], &[], 10);
    assert!(
        key.contains("refuses the key (status 401)")
            && key.contains("hint:")
            && key.matches("401").count() == 1,
        "{key}"
    );
    let model = say(&["--fault", "404=1"], &[], 10);
    assert!(model.contains("no such model") && model.contains("--endpoint"), "{model}");
    let broken = say(&["--fault", "500=1"], &["--retries", "1"], 10);
    assert!(broken.contains("no answer in 2 tries: status 500") && broken.contains("--resume"), "{broken}");
    say(&["--fault", "overflow=1"], &[], 0);
    let ended = rows(&gym.read("down-__faultoverflow_1/events.jsonl"));
    assert!(ended.iter().any(|e| e["event"]["outcome"] == "context_overflow"), "{ended:?}");
    let nobody = gym.run(&[
        "rollout",
        "--instances",
        "one.jsonl",
        "--model",
        "m",
        "--endpoint",
        "http://127.0.0.1:9/v1",
        "--retries",
        "1",
        "--out",
        "nobody",
    ]);
    let words = String::from_utf8_lossy(&nobody.stderr);
    assert!(
        nobody.status.code() == Some(10)
            && words.contains("no answer in 2 tries")
            && words.contains("refused"),
        "{words}"
    );
}

#[test]
fn a_budget_stops_the_run_and_a_larger_one_goes_on() {
    let gym = gym();
    let replies: Vec<Value> = (0..5).map(|i| bash(&format!("echo {i}"))).chain([finish()]).collect();
    gym.write("s.script", &format!("{}\n", json!({"replies": replies})));
    let server = serve(&gym, &["--script", "s.script"]);
    let arguments = [
        "rollout",
        "--instances",
        "instances.jsonl",
        "--model",
        "m",
        "--endpoint",
        &server.address,
        "--concurrent",
        "2",
        "--out",
        "run",
    ];
    let output = gym.run(&[&arguments[..], &["--run-requests", "10"]].concat());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(130) && words.contains("10 of 10 requests"), "{words}");
    gym.must(&[&arguments[..], &["--resume"]].concat());
    let count = rows(&gym.read("instances.jsonl")).len();
    assert_eq!(rows(&gym.read("run/predictions.jsonl")).len(), count);
    let asked: usize = contents(&gym.path("run/trajectories"), &|_| false)
        .iter()
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).matches("\"kind\":\"answered\"").count())
        .sum();
    assert_eq!(asked, 6 * count, "no answer was paid for twice");
}

#[test]
fn a_killed_run_goes_on_where_it_was_and_loses_nothing() {
    let gym = gym();
    let replies: Vec<Value> =
        (0..12).map(|i| bash(&format!("echo '# {i}' >> toy.py; sleep 0.02"))).chain([finish()]).collect();
    gym.write("s.script", &format!("{}\n", json!({"replies": replies})));
    let arguments = [
        "rollout",
        "--instances",
        "instances.jsonl",
        "--model",
        "scripted:s.script",
        "--attempts",
        "12",
        "--concurrent",
        "4",
    ];
    gym.must(&[&arguments[..], &["--out", "whole"]].concat());
    let records = |run: &str| -> BTreeMap<String, Vec<u8>> {
        contents(&gym.path(&format!("{run}/trajectories")), &|_| false).into_iter().collect()
    };
    let is_over = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\"kind\":\"ended\"");
    let mut finished: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut kills = 0;
    let mut wait = 200;
    loop {
        let mut run = vec!["--out", "killed"];
        if gym.path("killed/run.json").exists() {
            run.push("--resume");
        }
        let mut child = gym.spawn(&[&arguments[..], &run].concat());
        std::thread::sleep(Duration::from_millis(wait));
        wait = 120 + (wait * 7919) % 160;
        if child.try_wait().unwrap().is_some() || kills == 20 {
            assert!(child.wait().unwrap().success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let now = if gym.path("killed/trajectories").exists() { records("killed") } else { BTreeMap::new() };
        for (name, bytes) in &finished {
            assert_eq!(now.get(name), Some(bytes), "{name} changed after its end");
        }
        finished.extend(now.into_iter().filter(|(_, bytes)| is_over(bytes)));
    }
    assert_eq!(kills, 20, "the run was over before");
    // All but what says when it was, and the records, which hold what was done again.
    let outputs = |run: &str| {
        let skip = |name: &str| matches!(name, "events.jsonl" | "run.json");
        let mut all = contents(&gym.path(run), &skip);
        all.retain(|(name, _)| !name.starts_with("trajectories/"));
        all
    };
    assert!(outputs("whole").len() > 12);
    assert_eq!(outputs("killed"), outputs("whole"));
    // No step counts twice, whatever had to be done again.
    for path in records("killed").keys() {
        let shown: Value = serde_json::from_str(&gym.must(&[
            "show",
            "trajectory",
            &format!("killed/trajectories/{path}"),
            "--json",
        ]))
        .unwrap();
        assert_eq!(
            (shown["steps"].as_array().unwrap().len(), shown["exit_status"].as_str()),
            (13, Some("submitted"))
        );
    }
}

/// The events of an answer in pieces: each has its data's type for a name.
fn events(address: &str, path: &str, body: &Value) -> Vec<Value> {
    let (status, text) = ask(address, path, body);
    assert_eq!(status, 200, "{text}");
    let event = |block: &str| -> Value {
        let (name, data) = block.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str(), "{block}");
        data
    };
    text.trim_end().split("\n\n").map(event).collect()
}

/// Asks over a real socket; gives status and body.
fn ask(address: &str, path: &str, body: &Value) -> (u16, String) {
    let host = address.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    let body = body.to_string();
    let head = format!("POST {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_script_is_told_in_every_protocol() {
    let gym = gym();
    let mut first = bash("ls \"é\"");
    (first["reasoning"], first["content"]) = (json!("I wonder."), json!("I look: é."));
    let cut = json!({"content": "half", "finish": "length"});
    gym.write("told.script", &format!("{}\n", json!({"replies": [first, cut]})));
    let server = serve(&gym, &["--script", "told.script"]);
    let at = &server.address;

    let body = json!({"messages": [{"role": "user", "content": "Go."}], "max_tokens": 9});
    let whole: Value = serde_json::from_str(&ask(at, "/v1/messages", &body).1).unwrap();
    let kinds: Vec<&str> =
        whole["content"].as_array().unwrap().iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thinking", "text", "tool_use"], "{whole}");
    assert_eq!((&whole["type"], &whole["stop_reason"]), (&json!("message"), &json!("tool_use")));
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let pieces = events(at, "/v1/messages", &streamed);
    let mut blocks: Vec<Value> = Vec::new();
    for piece in &pieces {
        let index = piece["index"].as_u64().map(|index| index as usize);
        match piece["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(index, Some(blocks.len()));
                blocks.push(piece["content_block"].clone());
            }
            "content_block_delta" => {
                let block = blocks.last_mut().unwrap();
                for (key, text) in
                    piece["delta"].as_object().unwrap().iter().filter(|(key, _)| *key != "type")
                {
                    let so_far = block[key].as_str().unwrap_or_default().to_owned();
                    block[key] = json!(so_far + text.as_str().unwrap());
                }
            }
            _ => {}
        }
    }
    let input: Value = serde_json::from_str(blocks[2]["partial_json"].as_str().unwrap()).unwrap();
    blocks[2]["input"] = input;
    blocks[2].as_object_mut().unwrap().remove("partial_json");
    assert_eq!(json!(blocks), whole["content"]);
    let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
    assert_eq!(
        (kind(&pieces[0]), kind(pieces.last().unwrap())),
        ("message_start".into(), "message_stop".into())
    );
    assert_eq!(pieces[pieces.len() - 2]["delta"]["stop_reason"], "tool_use");

    let asked = json!({"input": "Go."});
    let whole: Value = serde_json::from_str(&ask(at, "/v1/responses", &asked).1).unwrap();
    let output = whole["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        (kinds, &whole["status"]),
        (vec!["reasoning", "message", "function_call"], &json!("completed"))
    );
    assert_eq!(output[2]["arguments"], "{\"command\":\"ls \\\"é\\\"\"}");
    let pieces = events(at, "/v1/responses", &json!({"input": "Go.", "stream": true}));
    let numbers: Vec<u64> = pieces.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..pieces.len() as u64).collect::<Vec<_>>());
    assert_eq!(pieces.last().unwrap()["type"], "response.completed");
    assert_eq!(pieces.last().unwrap()["response"]["output"], whole["output"]);
    let deltas = |of: &str| -> String {
        pieces
            .iter()
            .filter(|event| kind(event) == of)
            .map(|event| event["delta"].as_str().unwrap())
            .collect()
    };
    assert_eq!(deltas("response.output_text.delta"), "I look: é.");
    assert_eq!(deltas("response.reasoning_summary_text.delta"), "I wonder.");
    assert_eq!(deltas("response.function_call_arguments.delta"), output[2]["arguments"].as_str().unwrap());
    // What was said is told again in full, or by the name of the response before.
    let answer = json!({"type": "function_call_output", "call_id": output[2]["call_id"], "output": "x"});
    let again: Vec<Value> = [&output[..], std::slice::from_ref(&answer)].concat();
    for asked in [json!({"input": again}), json!({"input": [answer], "previous_response_id": whole["id"]})] {
        let next: Value = serde_json::from_str(&ask(at, "/v1/responses", &asked).1).unwrap();
        assert_eq!(next["output"][0]["content"][0]["text"], "half", "{next}");
        assert_eq!(
            (&next["status"], &next["incomplete_details"]["reason"]),
            (&json!("incomplete"), &json!("max_output_tokens"))
        );
        let (status, over) =
            ask(at, "/v1/responses", &json!({"input": "On.", "previous_response_id": next["id"]}));
        assert_eq!(status, 422, "{over}");
    }
}
