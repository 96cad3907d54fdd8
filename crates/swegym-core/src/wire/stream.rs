//! Answers that come piece by piece (server-sent events), put together into
//! the document that the same endpoint sends at once otherwise.

use serde_json::{Map, Value, json};

use super::WireError;

/// Whether bytes are events rather than a document.
pub(super) fn is_stream(body: &[u8]) -> bool {
    let start = body.trim_ascii_start();
    start.starts_with(b"data:") || start.starts_with(b"event:") || start.starts_with(b":")
}

/// The data of each event.
fn events(body: &[u8]) -> Result<Vec<Value>, WireError> {
    let text = String::from_utf8_lossy(body);
    let data = text.lines().filter_map(|l| l.strip_prefix("data:")).map(str::trim);
    let parse = |data: &str| crate::json::from_str(data).map_err(|_| WireError::CutStream);
    data.filter(|d| !d.is_empty() && *d != "[DONE]").map(parse).collect()
}

/// Appends text to a text field.
fn append(to: &mut Map<String, Value>, key: &str, piece: Option<&Value>) {
    let Some(piece) = piece.and_then(Value::as_str) else { return };
    match to.get_mut(key) {
        Some(Value::String(text)) => text.push_str(piece),
        _ => {
            to.insert(key.to_owned(), json!(piece));
        }
    }
}

/// Appends a list to a list field.
fn extend(to: &mut Map<String, Value>, key: &str, piece: Option<&Value>) {
    let Some(Value::Array(piece)) = piece else { return };
    match to.get_mut(key) {
        Some(Value::Array(list)) => list.extend(piece.iter().cloned()),
        _ => {
            to.insert(key.to_owned(), json!(piece));
        }
    }
}

pub(super) fn openai(body: &[u8]) -> Result<Value, WireError> {
    let (mut message, mut choice, mut whole) = (Map::new(), Map::new(), Map::new());
    let mut calls: Vec<Map<String, Value>> = Vec::new();
    let mut logprobs = Map::new();
    message.insert("role".into(), json!("assistant"));
    for event in events(body)? {
        for key in ["model", "usage", "prompt_token_ids"] {
            if let Some(value) = event.get(key).filter(|v| !v.is_null()) {
                whole.insert(key.into(), value.clone());
            }
        }
        if let Some(error) = event.get("error") {
            return Err(WireError::Malformed(error.to_string()));
        }
        let Some(piece) = event.pointer("/choices/0") else { continue };
        let delta = piece.get("delta").cloned().unwrap_or_default();
        for key in ["content", "reasoning_content", "reasoning"] {
            append(&mut message, key, delta.get(key));
        }
        extend(&mut message, "reasoning_details", delta.get("reasoning_details"));
        if let Some(role) = delta.get("role").filter(|r| r.as_str().is_some_and(|r| !r.is_empty())) {
            message.insert("role".into(), role.clone());
        }
        for part in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
            add_call(&mut calls, part);
        }
        extend(&mut choice, "token_ids", piece.get("token_ids"));
        extend(&mut logprobs, "content", piece.pointer("/logprobs/content"));
        if let Some(reason) = piece.get("finish_reason").filter(|r| !r.is_null()) {
            choice.insert("finish_reason".into(), reason.clone());
        }
    }
    if !choice.contains_key("finish_reason") {
        return Err(WireError::CutStream);
    }
    if !calls.is_empty() {
        message.insert("tool_calls".into(), json!(calls));
    }
    if !logprobs.is_empty() {
        choice.insert("logprobs".into(), Value::Object(logprobs));
    }
    choice.insert("message".into(), Value::Object(message));
    whole.insert("choices".into(), json!([choice]));
    Ok(Value::Object(whole))
}

fn add_call(calls: &mut Vec<Map<String, Value>>, part: &Value) {
    let index = part.get("index").cloned().unwrap_or_else(|| json!(0));
    let id = part.get("id").filter(|id| id.as_str().is_some_and(|id| !id.is_empty()));
    // Some servers number every call 0 and tell them apart by their ids; others
    // have another id in every piece, but a name in the first alone.
    let is_named =
        part.pointer("/function/name").is_some_and(|name| name.as_str().is_some_and(|n| !n.is_empty()));
    let is_same = |call: &Map<String, Value>| {
        call.get("index") == Some(&index) && (!is_named || !call.contains_key("id") || call.get("id") == id)
    };
    let at = calls.iter().rposition(is_same).unwrap_or(calls.len());
    if at == calls.len() {
        let function = json!({"name": "", "arguments": ""});
        calls.push(Map::from_iter([("index".to_owned(), index), ("function".to_owned(), function)]));
    }
    let call = &mut calls[at];
    for (key, value) in part.as_object().into_iter().flatten() {
        if !value.is_null() && !matches!(key.as_str(), "index" | "function") && value != "" {
            call.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    if let Some(Value::Object(function)) = call.get_mut("function") {
        append(function, "name", part.pointer("/function/name"));
        match part.pointer("/function/arguments") {
            // All at once, and not as text.
            Some(whole @ Value::Object(_)) => function.insert("arguments".into(), json!(whole.to_string())),
            piece => {
                append(function, "arguments", piece);
                None
            }
        };
    }
}

pub(super) fn anthropic(body: &[u8]) -> Result<Value, WireError> {
    let mut whole = Map::new();
    let mut blocks: Vec<Map<String, Value>> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    let mut over = false;
    for event in events(body)? {
        match event.get("type").and_then(Value::as_str) {
            Some("message_start") => {
                if let Some(Value::Object(message)) = event.get("message") {
                    whole = message.clone();
                }
            }
            Some("content_block_start") => {
                let block = event.get("content_block").and_then(Value::as_object).cloned();
                blocks.push(block.unwrap_or_default());
                inputs.push(String::new());
            }
            Some("content_block_delta") => {
                let (Some(block), Some(input)) = (blocks.last_mut(), inputs.last_mut()) else { continue };
                let delta = event.get("delta").cloned().unwrap_or_default();
                append(block, "text", delta.get("text"));
                append(block, "thinking", delta.get("thinking"));
                append(block, "signature", delta.get("signature"));
                input.push_str(delta.get("partial_json").and_then(Value::as_str).unwrap_or_default());
            }
            Some("message_delta") => {
                if let Some(reason) = event.pointer("/delta/stop_reason") {
                    whole.insert("stop_reason".into(), reason.clone());
                }
                if let (Some(Value::Object(sum)), Some(Value::Object(more))) =
                    (whole.get_mut("usage"), event.get("usage"))
                {
                    sum.extend(more.clone());
                }
            }
            Some("message_stop") => over = true,
            Some("error") => return Err(WireError::Malformed(event.to_string())),
            _ => {}
        }
    }
    if !over {
        return Err(WireError::CutStream);
    }
    for (block, input) in blocks.iter_mut().zip(inputs).filter(|(_, input)| !input.is_empty()) {
        // What is no JSON stays text, and is answered as such.
        let value = crate::json::from_str(&input).unwrap_or(Value::String(input));
        block.insert("input".into(), value);
    }
    whole.insert("content".into(), json!(blocks));
    Ok(Value::Object(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Wire;

    const PIECES: &str = r#"data: {"choices":[{"delta":{"role":"assistant","content":"Let me "}}]}

data: {"choices":[{"delta":{"content":"look."}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"bash","arguments":"{\"comm"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"and\":\"ls\"}"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}

data: [DONE]
"#;

    #[test]
    fn pieces_become_the_whole() {
        let reply = Wire::OpenAi.read(PIECES.as_bytes()).unwrap();
        assert_eq!(reply.message.content, "Let me look.");
        assert_eq!(reply.message.calls[0].arguments, "{\"command\":\"ls\"}");
        assert_eq!(reply.usage.prompt_tokens, 9);
    }

    #[test]
    fn calls_that_are_all_numbered_alike_are_told_apart_by_their_ids() {
        let call = |id: &str, arguments: &Value| {
            json!({"choices": [{"delta": {"tool_calls": [
            {"index": 0, "id": id, "function": {"name": "bash", "arguments": arguments}}]}}]})
        };
        let end = json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]});
        let events = [call("a", &json!("{\"command\":\"ls\"}")), call("b", &json!({"command": "pwd"})), end];
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let calls = Wire::OpenAi.read(body.as_bytes()).unwrap().message.calls;
        let read: Vec<_> = calls.iter().map(|c| (c.id.as_str(), c.arguments.as_str())).collect();
        assert_eq!(read, [("a", "{\"command\":\"ls\"}"), ("b", "{\"command\":\"pwd\"}")]);
    }

    #[test]
    fn a_call_keeps_its_first_id() {
        let piece = |call: Value| json!({"choices": [{"delta": {"tool_calls": [call]}}]});
        let events = [
            piece(json!({"index": 0, "id": "a", "function": {"name": "bash", "arguments": "{\"command\":"}})),
            piece(json!({"index": 0, "id": "b", "function": {"arguments": "\"ls\"}"}})),
            json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}),
        ];
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        let calls = Wire::OpenAi.read(body.as_bytes()).unwrap().message.calls;
        assert_eq!((calls.len(), calls[0].id.as_str()), (1, "a"));
        assert_eq!(calls[0].arguments, "{\"command\":\"ls\"}");
    }

    #[test]
    fn a_cut_stream_is_no_answer() {
        let end = PIECES.find("finish_reason").unwrap();
        for cut in 6..end {
            if PIECES.is_char_boundary(cut) {
                assert!(Wire::OpenAi.read(&PIECES.as_bytes()[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn anthropic_pieces_become_the_whole() {
        let text = [
            json!({"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 3}}}),
            json!({"type": "content_block_start", "content_block": {"type": "thinking", "thinking": ""}}),
            json!({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "s"}}),
            json!({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hi"}}),
            json!({"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "bash", "input": {}}}),
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{\"command\":"}}),
            json!({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "\"ls\"}"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}}),
            json!({"type": "message_stop"}),
        ];
        let body: String = text.iter().map(|e| format!("event: x\ndata: {e}\n\n")).collect();
        let reply = Wire::Anthropic.read(body.as_bytes()).unwrap();
        assert_eq!((reply.message.content.as_str(), reply.usage.completion_tokens), ("hi", 5));
        assert_eq!(reply.message.calls[0].arguments, "{\"command\":\"ls\"}");
        let thoughts = json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]);
        assert_eq!(
            (reply.message.reasoning.as_deref(), &reply.message.aside["thinking_blocks"]),
            (Some("hm"), &thoughts)
        );
        assert_eq!(Wire::Anthropic.read(&body.as_bytes()[..body.len() - 30]), Err(WireError::CutStream));
    }
}
