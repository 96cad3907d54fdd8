//! Anthropic's messages.

use serde_json::{Map, Value, json};

use super::{Reply, Request, WireError, sound_arguments};
use crate::chat::{Finish, Message, Role, Tool, ToolCall, Usage};

/// The protocol insists on a longest answer; this one holds any edit of a file.
const DEFAULT_MAX_TOKENS: u64 = 8192;

/// Where a message keeps its blocks of reasoning.
const THOUGHTS: &str = "thinking_blocks";

/// A request's document. The end of the system prompt and of the conversation
/// are marked for the cache.
#[must_use]
pub fn write(request: &Request<'_>) -> Value {
    let mut body = Map::new();
    let sampling = request.sampling;
    body.insert("model".into(), json!(request.model));
    body.insert("max_tokens".into(), json!(sampling.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS)));
    let system: Vec<_> =
        request.messages.iter().filter(|m| m.role == Role::System).map(|m| m.content.as_str()).collect();
    if !system.is_empty() {
        let cached = json!({"type": "ephemeral"});
        let block = json!({"type": "text", "text": system.join("\n\n"), "cache_control": cached});
        body.insert("system".into(), json!([block]));
    }
    body.insert("messages".into(), messages(request.messages));
    if !request.tools.is_empty() {
        body.insert("tools".into(), request.tools.iter().map(tool_json).collect());
    }
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.into(), value);
        }
    };
    add("temperature", sampling.temperature.map(Value::from));
    add("top_p", sampling.top_p.map(Value::from));
    add("stop_sequences", (!request.stop.is_empty()).then(|| json!(request.stop)));
    add("stream", request.stream.then_some(Value::Bool(true)));
    Value::Object(body)
}

fn tool_json(tool: &Tool) -> Value {
    let none = || json!({"type": "object", "properties": {}});
    let schema = tool.parameters.clone().map_or_else(none, Value::Object);
    json!({"name": tool.name, "description": tool.description, "input_schema": schema})
}

/// User and assistant take turns here: what follows one another in one role is
/// one message of several blocks.
fn messages(all: &[Message]) -> Value {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in all.iter().filter(|m| m.role != Role::System) {
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        let blocks = blocks(message);
        match turns.last_mut() {
            Some((last, there)) if *last == role => there.extend(blocks),
            _ => turns.push((role, blocks)),
        }
    }
    if let Some(block) = turns.last_mut().and_then(|(_, blocks)| blocks.last_mut()) {
        block["cache_control"] = json!({"type": "ephemeral"});
    }
    turns.into_iter().map(|(role, blocks)| json!({"role": role, "content": blocks})).collect()
}

fn blocks(message: &Message) -> Vec<Value> {
    let text = |text: &str| json!({"type": "text", "text": text});
    match message.role {
        Role::Tool => {
            let content = [text(&message.content)];
            let answer = json!({"type": "tool_result", "tool_use_id": message.call_id, "content": content});
            vec![answer]
        }
        _ => {
            // The protocol wants them first, and every byte of them.
            let thoughts = message.aside.get(THOUGHTS).and_then(Value::as_array);
            let mut blocks = thoughts.cloned().unwrap_or_default();
            // Empty text blocks are refused; a message must have some block.
            if !message.content.is_empty() || message.calls.is_empty() {
                blocks.push(text(if message.content.is_empty() { " " } else { &message.content }));
            }
            blocks.extend(message.calls.iter().map(|call| {
                json!({"type": "tool_use", "id": call.id, "name": call.name, "input": sound_arguments(call)})
            }));
            blocks
        }
    }
}

/// Reads a whole answer.
///
/// # Errors
/// When it is not the protocol's.
pub fn read(value: &Value) -> Result<Reply, WireError> {
    let blocks = value.get("content").and_then(Value::as_array);
    let blocks = blocks.ok_or_else(|| WireError::Malformed("there is no list `content`".into()))?;
    let mut message = Message::of(Role::Assistant, "");
    for block in blocks {
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match block.get("type").and_then(Value::as_str) {
            Some("text") => message.content += &text("text"),
            Some("thinking" | "redacted_thinking") => {
                let thoughts = message.aside.entry(THOUGHTS).or_insert_with(|| json!([]));
                thoughts.as_array_mut().into_iter().for_each(|list| list.push(block.clone()));
                let words = text("thinking");
                if !words.is_empty() {
                    *message.reasoning.get_or_insert_default() += &words;
                }
            }
            Some("tool_use") => message.calls.push(ToolCall {
                id: text("id"),
                name: text("name"),
                arguments: block.get("input").map_or_else(String::new, Value::to_string),
            }),
            _ => {}
        }
    }
    let usage = |key: &str| value.pointer(&format!("/usage/{key}")).and_then(Value::as_u64).unwrap_or(0);
    let cached = usage("cache_read_input_tokens");
    let role = value.get("role").and_then(Value::as_str).unwrap_or("assistant");
    Ok(Reply {
        message,
        wrong_role: (role != "assistant").then(|| role.to_owned()),
        finish: match value.get("stop_reason").and_then(Value::as_str) {
            Some("end_turn" | "stop_sequence") | None => Finish::Stop,
            Some("tool_use") => Finish::ToolCalls,
            Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
            Some(_) => Finish::Other,
        },
        usage: Usage {
            prompt_tokens: usage("input_tokens") + cached + usage("cache_creation_input_tokens"),
            completion_tokens: usage("output_tokens"),
            cached_tokens: cached,
            cost_usd: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Sampling;
    use crate::wire::Wire;

    #[test]
    fn turns_alternate_and_answers_are_blocks() {
        let calls = ["a", "b"].map(|id| ToolCall {
            id: id.into(),
            name: "bash".into(),
            arguments: "{\"command\":\"ls\"}".into(),
        });
        let tool = Tool { name: "bash".into(), description: "Runs.".into(), parameters: None };
        let messages = [
            Message::of(Role::System, "s"),
            Message::of(Role::User, "u"),
            Message::assistant("", calls.to_vec()),
            Message::answer(&calls[0], "x"),
            Message::answer(&calls[1], ""),
            Message::of(Role::User, "go on"),
        ];
        let request = Request {
            model: "m",
            messages: &messages,
            tools: &[tool],
            sampling: &Sampling::default(),
            stop: &[],
            stream: false,
        };
        insta::assert_snapshot!(format!("{:#}", write(&request)));
    }

    #[test]
    fn whatever_cut_an_answer_is_told_as_length() {
        for (word, finish) in [
            ("max_tokens", Finish::Length),
            ("model_context_window_exceeded", Finish::Length),
            ("stop_sequence", Finish::Stop),
            ("refusal", Finish::Other),
        ] {
            let body = json!({"role": "assistant", "stop_reason": word, "content": []});
            assert_eq!(Wire::Anthropic.read(body.to_string().as_bytes()).unwrap().finish, finish, "{word}");
            let choice = json!({"message": {"content": "x"}, "finish_reason": word});
            let body = json!({"choices": [choice]});
            assert_eq!(Wire::OpenAi.read(body.to_string().as_bytes()).unwrap().finish, finish, "{word}");
        }
    }

    #[test]
    fn an_answer_is_read() {
        let body = json!({
            "role": "assistant", "stop_reason": "tool_use",
            "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}}],
            "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5},
        });
        let reply = Wire::Anthropic.read(body.to_string().as_bytes()).unwrap();
        assert_eq!((reply.message.content.as_str(), reply.message.reasoning.as_deref()), ("hi", Some("hm")));
        assert_eq!(reply.message.calls[0].arguments, "{\"command\":\"ls\"}");
        assert_eq!(
            (reply.finish, reply.usage.prompt_tokens, reply.usage.cached_tokens),
            (Finish::ToolCalls, 8, 5)
        );
        // Said again as it came, but for the mark of the cache.
        assert_eq!(json!(blocks(&reply.message)), body["content"]);
    }
}
