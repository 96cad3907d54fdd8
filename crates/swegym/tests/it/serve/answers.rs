//! What a served model said is what is told of it: calls that were cut, fields
//! that nobody honours, and the bytes of tokens.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{MODEL, Served};
use crate::common::Gym;
use crate::common::base::lasting;

/// A call as our scaffolds write it, and as Qwen's models do.
const CALLS: [(&str, &str); 2] = [
    ("count", "Now.\n<function=add>\n<parameter=a>1</parameter>\n<parameter=b>2</parameter>\n</function>"),
    (
        "call",
        "Now.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": \"1\", \"b\": \"2\"}}\n</tool_call>",
    ),
];

/// Knows two answers by heart, both of them calls.
static CALLER: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting();
    let text = |i: usize| json!({"text": format!("{} {i}", CALLS[i % 2].1)}).to_string() + "\n";
    gym.write("text.jsonl", &(0..30).map(text).collect::<String>());
    let row = |i: usize| {
        let (asked, said) = CALLS[i % 2];
        let messages = json!([{"role": "user", "content": asked}, {"role": "assistant", "content": said}]);
        json!({"instance_id": format!("row-{i}"), "messages": messages}).to_string() + "\n"
    };
    gym.write("rows.jsonl", &(0..20).map(row).collect::<String>());
    // With a place for tools, so that they need not be told in words.
    let turn = r#"{{- "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n" }}"#;
    let ask = r#"{%- if add_generation_prompt %}{{- "<|im_start|>assistant\n" }}{%- endif %}"#;
    let turns = format!("{{%- for message in messages %}}{turn}{{%- endfor %}}");
    gym.write("template.jinja", &format!("{{%- if tools %}}{{%- endif %}}{turns}{ask}"));
    let words = ["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "300"];
    gym.must(&[&words[..], &["--template", "template.jinja", "--out", "tokenizer"]].concat());
    let from = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer"];
    let size = ["--width", "64", "--layers", "1", "--context", "64", "--steps", "5", "--out", "start"];
    gym.must(&[&from[..], &size].concat());
    let learn = ["train", "sft", "--model", "start", "--data", "rows.jsonl", "--context", "128"];
    let pace = ["--batch", "2", "--rate", "5e-3", "--steps", "80", "--out", "base"];
    gym.must(&[&learn[..], &pace].concat());
    gym
});

fn question(asked: &str, more: &Value) -> String {
    let parameters = json!({"type": "object", "properties": {
        "a": {"type": "string"}, "b": {"type": "string"}}, "required": ["a"]});
    let mut body = json!({
        "messages": [{"role": "user", "content": asked}], "temperature": 0,
        "tools": [{"type": "function", "function": {"name": "add", "parameters": parameters}}],
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[test]
fn a_call_that_the_longest_length_cut_is_never_completed() {
    let served = Served::start(&CALLER, &[]);
    for (asked, said) in CALLS {
        let ask = |more: &Value| served.post("/v1/chat/completions", &question(asked, more));
        let (status, whole) = ask(&json!({"max_tokens": 100}));
        let choice = &whole["choices"][0];
        assert_eq!((status, choice["finish_reason"].as_str()), (200, Some("tool_calls")), "{whole}");
        assert_eq!(choice["message"]["content"], "Now.", "{whole}");
        let arguments = choice["message"]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(arguments).unwrap(), json!({"a": "1", "b": "2"}), "{whole}");
        let tokens = whole["usage"]["completion_tokens"].as_u64().unwrap();
        assert!(tokens > 8, "{whole}");
        for most in 1..tokens {
            let (_, cut) = ask(&json!({"max_tokens": most}));
            let choice = &cut["choices"][0];
            assert_eq!(choice["finish_reason"], "length", "{most}: {cut}");
            assert!(choice["message"].get("tool_calls").is_none(), "{most}: {cut}");
            let words = choice["message"]["content"].as_str().unwrap();
            assert!(!words.is_empty() && said.starts_with(words), "{most}: {cut}");
        }
        let body = question(asked, &json!({"max_tokens": tokens - 2, "stream": true}));
        let pieces = served.events("/v1/chat/completions", &body);
        let last = &pieces.last().unwrap()["choices"][0];
        assert_eq!((&last["finish_reason"], last["delta"].get("tool_calls")), (&json!("length"), None));
        let words: String =
            pieces.iter().filter_map(|piece| piece["choices"][0]["delta"]["content"].as_str()).collect();
        assert!(said.starts_with(&words) && words.len() > "Now.".len(), "{words}");
    }
}

#[test]
fn a_field_that_would_change_the_answer_is_honoured_or_refused_by_its_name() {
    let served = Served::start(&CALLER, &[]);
    let (chat, plain) = ("/v1/chat/completions", "/v1/completions");
    let ask = |path: &str, more: &Value| {
        let mut body = if path == chat {
            json!({"messages": [{"role": "user", "content": "count"}], "max_tokens": 1})
        } else {
            json!({"prompt": "count", "max_tokens": 1})
        };
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        served.post(path, &body.to_string())
    };
    let refused = |path: &str, more: &Value, field: &str| {
        let (status, answer) = ask(path, more);
        assert_eq!(
            (status, answer["error"]["param"].as_str()),
            (400, Some(field)),
            "{path} {more}: {answer}"
        );
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{answer}");
    };
    for more in [
        json!({"min_p": 0.1}),
        json!({"repetition_penalty": 1.1}),
        json!({"logit_bias": {"5": -100}}),
        json!({"min_tokens": 5}),
        json!({"best_of": 4}),
        json!({"suffix": "x"}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}),
        json!({"guided_json": {"type": "object"}}),
        json!({"structured_outputs": {"regex": "a+"}}),
        json!({"prompt_logprobs": 1}),
        json!({"skip_special_tokens": false}),
        json!({"include_stop_str_in_output": true}),
        json!({"some_field_of_tomorrow": 1}),
    ] {
        let field = more.as_object().unwrap().keys().next().unwrap();
        refused(chat, &more, field);
        refused(plain, &more, field);
    }
    let tool = json!({"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}});
    let said = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let named = json!({"type": "function", "function": {"name": "add"}});
    let old = json!({"role": "assistant", "content": null, "function_call": {"name": "a", "arguments": ""}});
    for (more, field) in [
        (json!({"tools": [tool], "tool_choice": "required"}), "tool_choice"),
        (json!({"tools": [tool], "tool_choice": named}), "tool_choice"),
        (json!({"tools": [tool], "parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"tools": [{"type": "web_search"}]}), "tools"),
        (json!({"tools": [{"type": "function", "function": {"name": "add", "strict": true}}]}), "tools"),
        (json!({"tools": {"name": "add"}}), "tools"),
        (json!({"functions": [{"name": "add"}]}), "functions"),
        (json!({"reasoning_effort": "high"}), "reasoning_effort"),
        (json!({"chat_template_kwargs": {"enable_thinking": false}}), "chat_template_kwargs"),
        (json!({"continue_final_message": true}), "continue_final_message"),
        (json!({"echo": true}), "echo"),
        (said(json!([{"type": "text", "text": "x"}, image])), "messages"),
        (said(json!([{"type": "input_audio", "input_audio": {}}])), "messages"),
        (said(json!(5)), "messages"),
        (json!({"messages": {"role": "user", "content": "x"}}), "messages"),
        (json!({"messages": [old]}), "messages"),
        (json!({"stop_token_ids": ["a"]}), "stop_token_ids"),
    ] {
        refused(chat, &more, field);
    }
    // What asks for what happens anyway, or says nothing about the answer.
    let neutral = json!({
        "min_p": 0.0, "repetition_penalty": 1, "logit_bias": {}, "response_format": {"type": "text"},
        "best_of": 1, "guided_json": null, "user": "me", "metadata": {"run": "1"}, "echo": false,
    });
    assert_eq!((ask(chat, &neutral).0, ask(plain, &neutral).0), (200, 200));
    let offered = json!({"tools": [tool], "tool_choice": "auto", "parallel_tool_calls": true});
    assert_eq!(ask(chat, &offered).0, 200);
    assert_eq!(ask(chat, &said(json!([{"type": "text", "text": "count"}]))).0, 200);
}

#[test]
fn penalties_and_stop_tokens_are_honoured() {
    let served = Served::start(&CALLER, &[]);
    let ask = |more: Value| {
        let mut body =
            json!({"prompt": "1 1 1 1", "max_tokens": 12, "temperature": 0, "return_token_ids": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, answer) = served.post("/v1/completions", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        answer["choices"][0].clone()
    };
    let ids = |choice: &Value| -> Vec<u64> {
        choice["token_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
    };
    let distinct = |ids: &[u64]| ids.iter().collect::<std::collections::BTreeSet<_>>().len();
    let free = ids(&ask(json!({"ignore_eos": true})));
    let urged = ids(&ask(json!({"ignore_eos": true, "presence_penalty": -2, "frequency_penalty": -2})));
    let varied = ids(&ask(json!({"ignore_eos": true, "presence_penalty": 2, "frequency_penalty": 2})));
    assert!(distinct(&varied) > distinct(&urged), "{varied:?} {free:?} {urged:?}");
    let stopped = ask(json!({"stop_token_ids": [free[2]], "ignore_eos": true}));
    let at = free.iter().position(|id| *id == free[2]).unwrap();
    assert_eq!((ids(&stopped), &stopped["finish_reason"]), (free[..=at].to_vec(), &json!("stop")));
}

#[test]
fn the_bytes_of_tokens_are_the_bytes_of_the_answer() {
    let served = Served::start(&MODEL, &[]);
    let mut whole_characters = 0;
    // A model of no use says anything, halves of characters too.
    for seed in 0..40 {
        let stop = if seed % 2 == 0 { json!(["1"]) } else { json!(null) };
        let body = json!({
            "messages": [{"role": "user", "content": "count"}], "temperature": 2, "max_tokens": 24,
            "seed": seed, "logprobs": true, "top_logprobs": 2, "stop": stop,
        });
        let (status, answer) = served.post("/v1/chat/completions", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        let choice = &answer["choices"][0];
        let bytes = |of: &Value| -> Vec<u8> {
            of["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect()
        };
        let tokens = choice["logprobs"]["content"].as_array().unwrap();
        let joined: Vec<u8> = tokens.iter().flat_map(bytes).collect();
        let said = choice["message"]["content"].as_str().unwrap();
        assert_eq!(String::from_utf8_lossy(&joined), said, "{seed}: {answer}");
        whole_characters += usize::from(String::from_utf8(joined).is_ok());
        // Half of a character has its own byte, not the sign that stands for what is amiss.
        assert!(tokens.iter().all(|token| bytes(token) != "\u{FFFD}".as_bytes()), "{seed}: {answer}");
    }
    assert!(whole_characters < 40, "no answer held half of a character: nothing was tried");
}
