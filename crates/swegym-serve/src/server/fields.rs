//! Request fields that are not supported. A field that would change the answer is
//! refused by name, unless its value asks for what happens anyway: an answer drawn
//! in another way than requested is worse than none.

use serde_json::Value;

use super::Refusal;
use super::question::Kind;

/// What a request of either kind is read for.
const HONOURED: [&str; 17] = [
    "model",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "stop",
    "stop_token_ids",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "ignore_eos",
    "return_token_ids",
];

/// What a chat is read for besides.
const HONOURED_IN_CHATS: [&str; 5] =
    ["messages", "tools", "tool_choice", "parallel_tool_calls", "top_logprobs"];

/// What a completion is read for besides.
const HONOURED_IN_COMPLETIONS: [&str; 2] = ["prompt", "echo"];

/// What says something about the request, and nothing about its answer.
const ASIDE: [&str; 10] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "cache_salt",
    "request_id",
    "priority",
];

/// Values, as JSON, that ask for what happens anyway.
const NEUTRAL: [(&str, &str); 31] = [
    ("echo", "false"),
    ("min_p", "0"),
    ("repetition_penalty", "1"),
    ("length_penalty", "1"),
    ("min_tokens", "0"),
    ("logit_bias", "{}"),
    ("bad_words", "[]"),
    ("allowed_token_ids", "[]"),
    ("best_of", "1"),
    ("suffix", "\"\""),
    ("use_beam_search", "false"),
    ("early_stopping", "false"),
    ("response_format", "{\"type\": \"text\"}"),
    ("text", "{\"format\": {\"type\": \"text\"}}"),
    ("modalities", "[\"text\"]"),
    ("functions", "[]"),
    ("function_call", "\"none\""),
    ("documents", "[]"),
    ("chat_template_kwargs", "{}"),
    ("add_generation_prompt", "true"),
    ("continue_final_message", "false"),
    ("add_special_tokens", "false"),
    ("include_stop_str_in_output", "false"),
    ("skip_special_tokens", "true"),
    ("spaces_between_special_tokens", "true"),
    ("return_tokens_as_token_ids", "false"),
    ("detokenize", "true"),
    ("include_reasoning", "true"),
    ("logits_processors", "[]"),
    ("mm_processor_kwargs", "{}"),
    ("stop_regex", "[]"),
];

/// Refuses what would change the answer and is not acted upon.
pub(super) fn check(kind: Kind, body: &Value) -> Result<(), Refusal> {
    let Value::Object(fields) = body else {
        return Err(Refusal::bad("the body is no JSON object"));
    };
    for (name, value) in fields {
        let own = match kind {
            Kind::Chat => HONOURED_IN_CHATS.as_slice(),
            Kind::Completion => HONOURED_IN_COMPLETIONS.as_slice(),
        };
        let is_known = [&HONOURED, own, &ASIDE].iter().any(|names| names.contains(&name.as_str()));
        let is_neutral = NEUTRAL.iter().any(|(known, neutral)| known == name && is_same(value, neutral));
        if !value.is_null() && !is_known && !is_neutral {
            let message = format!("`{name}` is not acted upon here, and may change the answer: leave it out");
            return Err(Refusal::about(name, message));
        }
    }
    match kind {
        Kind::Chat => {
            check_messages(&body["messages"])?;
            check_tools(body)
        }
        Kind::Completion => Ok(()),
    }
}

/// Whether a value is the one that is written as JSON; 1 and 1.0 are one number.
fn is_same(value: &Value, written: &str) -> bool {
    let written: Value = serde_json::from_str(written).unwrap_or_default();
    match (value.as_f64(), written.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => *value == written,
    }
}

/// Whoever reads a message takes its words alone.
fn check_messages(messages: &Value) -> Result<(), Refusal> {
    let refuse = |what: String| Err(Refusal::about("messages", what));
    let Some(messages) = messages.as_array() else { return refuse("`messages` must be a list".to_owned()) };
    for (index, message) in messages.iter().enumerate() {
        for key in ["function_call", "audio"] {
            if !message[key].is_null() {
                return refuse(format!("message {index}: `{key}` is not read here"));
            }
        }
        match &message["content"] {
            Value::Null | Value::String(_) => {}
            Value::Array(parts) => {
                let is_text =
                    |part: &&Value| part.is_string() || part["text"].is_string() && is_text_type(part);
                if let Some(part) = parts.iter().find(|part| !is_text(part)) {
                    let kind = part["type"].as_str().unwrap_or("nothing known");
                    return refuse(format!("message {index}: a part is of type `{kind}`; only text is read"));
                }
            }
            _ => return refuse(format!("message {index}: `content` must be a text or a list of parts")),
        }
    }
    Ok(())
}

fn is_text_type(part: &Value) -> bool {
    matches!(part["type"].as_str(), None | Some("text"))
}

/// Tools are offered; nothing makes a model use one, or write by a schema.
fn check_tools(body: &Value) -> Result<(), Refusal> {
    let tools = match &body["tools"] {
        Value::Null => &[],
        Value::Array(tools) => tools.as_slice(),
        _ => return Err(Refusal::about("tools", "`tools` must be a list")),
    };
    for (index, tool) in tools.iter().enumerate() {
        if !matches!(tool["type"].as_str(), None | Some("function")) {
            let message = format!("tool {index} is of type {}; only functions can be called", tool["type"]);
            return Err(Refusal::about("tools", message));
        }
        if tool["function"]["strict"] == true || tool["strict"] == true {
            let message = format!("tool {index}: nothing makes arguments fit its schema; leave `strict` out");
            return Err(Refusal::about("tools", message));
        }
    }
    let choice = &body["tool_choice"];
    if !choice.is_null() && choice != "auto" && choice != "none" {
        let message = "nothing makes the model call a tool: `tool_choice` must be auto or none";
        return Err(Refusal::about("tool_choice", message));
    }
    if !matches!(body["parallel_tool_calls"], Value::Null | Value::Bool(true)) && !tools.is_empty() {
        let message = "nothing keeps the model from calling several tools: leave `parallel_tool_calls` out";
        return Err(Refusal::about("parallel_tool_calls", message));
    }
    Ok(())
}
