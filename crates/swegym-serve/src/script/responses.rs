//! OpenAI's responses, whole or streamed.

use serde_json::{Value, json};

use super::events::{Events, halves};

/// How many answers there are in a request: of the response that it goes on
/// from, whose number is in its id, and among its own items.
pub(super) fn answers(request: &Value) -> usize {
    let earlier = request["previous_response_id"].as_str().and_then(|id| {
        let number = id.strip_prefix("resp_")?.split('_').next()?;
        number.parse::<usize>().ok()
    });
    let is_said = |item: &Value| match item["type"].as_str() {
        Some("reasoning" | "function_call") => true,
        // The type of a message may be left out.
        _ => item["role"] == "assistant",
    };
    let items = request["input"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Words and calls that stand together were one answer.
    let groups = items.chunk_by(|a, b| is_said(a) == is_said(b));
    earlier.map_or(0, |number| number + 1) + groups.filter(|group| group.iter().all(is_said)).count()
}

/// The document in this protocol, the answer after `said` others.
pub(super) fn whole(document: &Value, request: &Value, said: usize) -> Value {
    let choice = &document["choices"][0];
    let reason = match choice["finish_reason"].as_str() {
        Some("length") => Some("max_output_tokens"),
        Some("content_filter") => Some("content_filter"),
        _ => None,
    };
    let status = if reason.is_some() { "incomplete" } else { "completed" };
    let usage = &document["usage"];
    let count = |key: &str| usage[key].as_u64().unwrap_or(0);
    json!({
        "id": super::id(&format!("resp_{said}"), document), "object": "response", "created_at": 0,
        "status": status, "error": null, "incomplete_details": reason.map(|reason| json!({"reason": reason})),
        "model": document["model"], "output": items(&choice["message"], status, document),
        "instructions": request["instructions"], "previous_response_id": request["previous_response_id"],
        "max_output_tokens": request["max_output_tokens"], "metadata": {}, "parallel_tool_calls": true,
        "temperature": request["temperature"], "top_p": request["top_p"], "tool_choice": "auto",
        "tools": request["tools"].as_array().cloned().unwrap_or_default(), "text": {"format": {"type": "text"}},
        "usage": {
            "input_tokens": count("prompt_tokens"), "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": count("completion_tokens"), "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": count("prompt_tokens") + count("completion_tokens"),
        },
    })
}

/// What was thought, said and called, in this order.
fn items(message: &Value, status: &str, document: &Value) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(thought) = message["reasoning_content"].as_str() {
        let summary = json!([{"type": "summary_text", "text": thought}]);
        items.push(json!({"type": "reasoning", "id": super::id("rs", document), "summary": summary}));
    }
    if let Some(words) = message["content"].as_str().filter(|words| !words.is_empty()) {
        let content = json!([{"type": "output_text", "text": words, "annotations": []}]);
        let (id, role) = (super::id("msg", document), &message["role"]);
        items.push(json!({"type": "message", "id": id, "status": status, "role": role, "content": content}));
    }
    for (nth, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let function = &call["function"];
        items.push(json!({
            "type": "function_call", "id": super::id(&format!("fc_{nth}"), document), "call_id": call["id"],
            "name": function["name"], "arguments": function["arguments"], "status": status,
        }));
    }
    items
}

/// The same in the protocol's events.
pub(super) fn stream(document: &Value, request: &Value, said: usize) -> String {
    let whole = whole(document, request, said);
    let mut begun = whole.clone();
    (begun["status"], begun["output"]) = (json!("in_progress"), json!([]));
    (begun["usage"], begun["incomplete_details"]) = (Value::Null, Value::Null);
    let mut events = Events::default();
    for kind in ["response.created", "response.in_progress"] {
        events.add_numbered(json!({"type": kind, "response": begun}));
    }
    for (index, item) in whole["output"].as_array().into_iter().flatten().enumerate() {
        add_item(&mut events, index, item);
    }
    let kind = format!("response.{}", whole["status"].as_str().unwrap_or("completed"));
    events.add_numbered(json!({"type": kind, "response": whole}));
    events.whole()
}

/// The events of one item, from its beginning to its end.
fn add_item(events: &mut Events, index: usize, item: &Value) {
    let (id, mut empty) = (&item["id"], item.clone());
    let kind = item["type"].as_str().unwrap_or_default();
    empty[match kind {
        "function_call" => "arguments",
        "reasoning" => "summary",
        _ => "content",
    }] = if kind == "function_call" { json!("") } else { json!([]) };
    if kind != "reasoning" {
        empty["status"] = json!("in_progress");
    }
    events.add_numbered(json!({"type": "response.output_item.added", "output_index": index, "item": empty}));
    let (of, place, key, value) = match kind {
        "function_call" => ("function_call_arguments", None, "arguments", &item["arguments"]),
        "reasoning" => (
            "reasoning_summary_text",
            Some(("reasoning_summary_part", "summary_index", &item["summary"][0])),
            "text",
            &item["summary"][0]["text"],
        ),
        _ => (
            "output_text",
            Some(("content_part", "content_index", &item["content"][0])),
            "text",
            &item["content"][0]["text"],
        ),
    };
    let event = |kind: String, more: &[(&str, Value)]| {
        let mut event = json!({"type": kind, "item_id": id, "output_index": index});
        if let Some((_, number, _)) = place {
            event[number] = json!(0);
        }
        if kind.starts_with("response.output_text") {
            event["logprobs"] = json!([]);
        }
        more.iter().for_each(|(key, value)| event[*key] = value.clone());
        event
    };
    if let Some((part, _, content)) = place {
        let mut empty = content.clone();
        empty["text"] = json!("");
        events.add_numbered(event(format!("response.{part}.added"), &[("part", empty)]));
    }
    for piece in halves(value.as_str().unwrap_or_default()).into_iter().filter(|piece| !piece.is_empty()) {
        events.add_numbered(event(format!("response.{of}.delta"), &[("delta", json!(piece))]));
    }
    let mut done = vec![(key, value.clone())];
    if kind == "function_call" {
        done.push(("name", item["name"].clone()));
    }
    events.add_numbered(event(format!("response.{of}.done"), &done));
    if let Some((part, _, content)) = place {
        events.add_numbered(event(format!("response.{part}.done"), &[("part", content.clone())]));
    }
    events.add_numbered(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
}
