//! Anthropic's messages, whole or streamed.

use serde_json::{Value, json};
use swegym_core::Digest;

use super::events::{Events, halves};

/// The document in this protocol.
pub(super) fn whole(document: &Value) -> Value {
    let choice = &document["choices"][0];
    let message = &choice["message"];
    let thought = message["reasoning_content"].as_str();
    let mut content: Vec<Value> = thought
        .map(|text| json!({"type": "thinking", "thinking": text, "signature": Digest::of(text.as_bytes()).short()}))
        .into_iter()
        .collect();
    let words = message["content"].as_str().unwrap_or_default();
    if !words.is_empty() {
        content.push(json!({"type": "text", "text": words}));
    }
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let input = swegym_core::json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
        content.push(
            json!({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input}),
        );
    }
    let stop = &choice["stop_reason"];
    let reason = match choice["finish_reason"].as_str() {
        Some("tool_calls") => "tool_use",
        Some("length") => "max_tokens",
        Some("content_filter") => "refusal",
        _ if stop.is_string() => "stop_sequence",
        _ => "end_turn",
    };
    let usage = &document["usage"];
    json!({
        "id": super::id("msg", document), "type": "message", "role": message["role"],
        "model": document["model"], "content": content, "stop_reason": reason, "stop_sequence": stop,
        "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
    })
}

/// The same in the protocol's events.
pub(super) fn stream(document: &Value) -> String {
    let whole = whole(document);
    let mut begun = whole.clone();
    (begun["content"], begun["stop_reason"], begun["stop_sequence"]) = (json!([]), Value::Null, Value::Null);
    begun["usage"]["output_tokens"] = json!(1);
    let mut events = Events::default();
    events.add_named(&json!({"type": "message_start", "message": begun}));
    events.add_named(&json!({"type": "ping"}));
    for (index, block) in whole["content"].as_array().into_iter().flatten().enumerate() {
        let (empty, deltas) = pieces(block);
        events.add_named(&json!({"type": "content_block_start", "index": index, "content_block": empty}));
        for delta in deltas {
            events.add_named(&json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.add_named(&json!({"type": "content_block_stop", "index": index}));
    }
    let delta = json!({"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]});
    let usage = json!({"output_tokens": whole["usage"]["output_tokens"]});
    events.add_named(&json!({"type": "message_delta", "delta": delta, "usage": usage}));
    events.add_named(&json!({"type": "message_stop"}));
    events.whole()
}

/// A block as it begins, and what is added to it.
fn pieces(block: &Value) -> (Value, Vec<Value>) {
    let mut empty = block.clone();
    let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
    let deltas = |kind: &str, key: &str, text: &str| -> Vec<Value> {
        let pieces = halves(text).into_iter().filter(|piece| !piece.is_empty());
        pieces.map(|piece| json!({"type": kind, key: piece})).collect()
    };
    match block["type"].as_str() {
        Some("thinking") => {
            (empty["thinking"], empty["signature"]) = (json!(""), json!(""));
            let mut thought = deltas("thinking_delta", "thinking", &text("thinking"));
            thought.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            (empty, thought)
        }
        Some("tool_use") => {
            empty["input"] = json!({});
            // What is no JSON comes as it was written.
            let input = block["input"].as_str().map_or_else(|| block["input"].to_string(), str::to_owned);
            (empty, deltas("input_json_delta", "partial_json", &input))
        }
        _ => {
            empty["text"] = json!("");
            (empty, deltas("text_delta", "text", &text("text")))
        }
    }
}
