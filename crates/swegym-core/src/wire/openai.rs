//! OpenAI's chat completions, with what vLLM, SGLang and OpenRouter add.

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Reply, Request, WireError, sound_arguments};
use crate::chat::{Finish, Message, Role, Tokens, Tool, ToolCall, Usage};

/// A request's document. Keys stand in a fixed order, and earlier messages are
/// written alike every time, so that a prefix cache finds them. Everything is
/// lent: conversations are long, and are written out once a step.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Offered<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_token_ids: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Body<'a> {
    pub(super) fn of(request: &Request<'a>) -> Self {
        let sampling = request.sampling;
        let captures = sampling.capture_tokens.then_some(true);
        Self {
            model: request.model,
            messages: request.messages.iter().map(Said::of).collect(),
            tools: request.tools.iter().map(Offered::of).collect(),
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            max_tokens: sampling.max_tokens,
            seed: sampling.seed,
            stop: request.stop,
            logprobs: captures,
            return_token_ids: captures,
            stream: request.stream.then_some(true),
            stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

/// What servers say of a model's thoughts in an answer, and want to hear again:
/// `reasoning_content` (DeepSeek, vLLM, SGLang) or `reasoning` (vLLM, OpenRouter)
/// as text, the others as they are.
const THOUGHTS: [&str; 4] = ["reasoning_content", "reasoning", "reasoning_details", "extra_content"];

/// A message as the protocol writes it.
#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Called<'a>>,
    /// There, if empty, in every answer of a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(flatten)]
    aside: Aside<'a>,
}

/// [`Message::aside`], as it came.
#[derive(Default)]
struct Aside<'a> {
    fields: Option<&'a Map<String, Value>>,
    reasoning: Option<&'a str>,
}

impl Serialize for Aside<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.fields.into_iter().flatten().filter(|(key, _)| *key != "tool_calls") {
            match value {
                Value::Null => map.serialize_entry(key, &self.reasoning)?,
                value => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Called<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CalledFunction<'a>,
    #[serde(flatten)]
    aside: Option<&'a Map<String, Value>>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: Cow<'a, str>,
}

impl<'a> Said<'a> {
    fn of(message: &'a Message) -> Self {
        let silent = message.content.is_empty() && !message.calls.is_empty();
        let answers = message.role == Role::Tool;
        let aside = |i: usize| message.aside.get("tool_calls")?.get(i)?.as_object();
        let called = |(i, call)| Called { aside: aside(i), ..Called::of(call) };
        Self {
            role: message.role.as_str(),
            content: (!silent).then_some(&message.content),
            tool_calls: message.calls.iter().enumerate().map(called).collect(),
            tool_call_id: answers.then_some(message.call_id.as_deref()),
            name: message.tool.as_deref().filter(|_| answers),
            aside: Aside { fields: Some(&message.aside), reasoning: message.reasoning.as_deref() },
        }
    }
}

impl<'a> Called<'a> {
    /// To the byte, even where it is no JSON.
    fn as_said(call: &'a ToolCall) -> Self {
        let said = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
        let function = CalledFunction { name: &call.name, arguments: said.into() };
        Self { id: &call.id, kind: "function", function, aside: None }
    }

    /// As an endpoint accepts it.
    fn of(call: &'a ToolCall) -> Self {
        // A call that was sound is repeated to the byte.
        let is_sound = call.arguments.len() <= crate::calls::LONGEST_ARGUMENTS
            && serde_json::from_str::<Map<String, Value>>(&call.arguments).is_ok();
        let arguments =
            if is_sound { call.arguments.as_str().into() } else { sound_arguments(call).to_string().into() };
        Self {
            id: &call.id,
            kind: "function",
            function: CalledFunction { name: &call.name, arguments },
            aside: None,
        }
    }
}

/// A tool as the protocol writes it.
#[derive(Serialize)]
struct Offered<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: OfferedFunction<'a>,
}

#[derive(Serialize)]
struct OfferedFunction<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a Map<String, Value>>,
}

impl<'a> Offered<'a> {
    fn of(tool: &'a Tool) -> Self {
        let (name, description) = (&tool.name, &tool.description);
        let function = OfferedFunction { name, description, parameters: tool.parameters.as_ref() };
        Self { kind: "function", function }
    }
}

/// A message as a document, for whoever did not say it: without what only its
/// endpoint understands, and with its reasoning where most look for it.
#[must_use]
pub fn message_json(message: &Message) -> Value {
    let calls = message.calls.iter().map(Called::as_said).collect();
    let mut value = json!(Said { tool_calls: calls, aside: Aside::default(), ..Said::of(message) });
    if let Some(reasoning) = &message.reasoning {
        value["reasoning_content"] = json!(reasoning);
    }
    value
}

/// A tool as a document.
#[must_use]
pub fn tool_json(tool: &Tool) -> Value {
    json!(Offered::of(tool))
}

/// Reads a message of a request, or of a dataset's row.
///
/// # Errors
/// It has no role that we know, or a call without a name.
pub fn read_message(value: &Value) -> Result<Message, WireError> {
    let word = value.get("role").and_then(Value::as_str).unwrap_or("(none)");
    let role = match word {
        "developer" => Role::System,
        word => {
            Role::parse(word).ok_or_else(|| WireError::Malformed(format!("there is no role `{word}`")))?
        }
    };
    let mut message = Message::of(role, words(value.get("content")));
    let text =
        |key: &str| value.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    message.reasoning = text("reasoning_content").or_else(|| text("reasoning"));
    (message.call_id, message.tool) = (text("tool_call_id"), text("name"));
    for (i, call) in value.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
        message.calls.push(read_call(call, i)?);
    }
    Ok(message)
}

/// Reads a tool that a request offers.
///
/// # Errors
/// It has no name.
pub fn read_tool(value: &Value) -> Result<Tool, WireError> {
    let function = value.get("function").unwrap_or(value);
    let name = function.get("name").and_then(Value::as_str);
    Ok(Tool {
        name: name.ok_or_else(|| WireError::Malformed("a tool has no name".into()))?.to_owned(),
        description: function.get("description").and_then(Value::as_str).unwrap_or_default().to_owned(),
        parameters: function.get("parameters").and_then(Value::as_object).cloned(),
    })
}

/// Reads a whole answer.
///
/// # Errors
/// When it has no choice, or is not the protocol's.
pub fn read(value: &Value) -> Result<Reply, WireError> {
    let choices = value.get("choices").and_then(Value::as_array);
    let choices = choices.ok_or_else(|| WireError::Malformed("there is no list `choices`".into()))?;
    let choice = choices.first().ok_or(WireError::NoChoices)?;
    let reason = choice.get("finish_reason").and_then(Value::as_str).unwrap_or("stop");
    // The server broke off: vLLM and SGLang in the one way, routers in the other.
    if matches!(reason, "abort" | "error") {
        return Err(WireError::Malformed(
            choice.get("error").map_or_else(|| reason.into(), Value::to_string),
        ));
    }
    let said = choice.get("message").and_then(Value::as_object);
    let said = said.ok_or_else(|| WireError::Malformed("the choice has no `message`".into()))?;
    let mut message = Message::of(Role::Assistant, words(said.get("content")));
    for key in THOUGHTS {
        match said.get(key) {
            Some(Value::String(text)) if text.is_empty() || message.reasoning.as_ref() == Some(text) => {}
            Some(Value::String(text)) if message.reasoning.is_none() => {
                message.reasoning = Some(text.clone());
                message.aside.insert(key.to_owned(), Value::Null);
            }
            None | Some(Value::Null) => {}
            Some(other) => {
                message.aside.insert(key.to_owned(), other.clone());
            }
        }
    }
    let mut asides = Vec::new();
    for (i, call) in said.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
        message.calls.push(read_call(call, i)?);
        let known = ["id", "type", "index", "function"];
        let more = call.as_object().into_iter().flatten();
        let more = more.filter(|(key, value)| !known.contains(&key.as_str()) && !value.is_null());
        asides.push(Value::Object(more.map(|(key, value)| (key.clone(), value.clone())).collect()));
    }
    if asides.iter().any(|aside| *aside != json!({})) {
        message.aside.insert("tool_calls".into(), Value::Array(asides));
    }
    let role = said.get("role").and_then(Value::as_str).unwrap_or("assistant");
    Ok(Reply {
        message,
        wrong_role: (role != "assistant").then(|| role.to_owned()),
        finish: Finish::parse(reason),
        usage: read_usage(value.get("usage")),
    })
}

/// Text, or a list of parts of which the textual ones count.
fn words(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|p| p.as_str().or_else(|| p.get("text")?.as_str())).collect()
        }
        _ => String::new(),
    }
}

fn read_call(call: &Value, at: usize) -> Result<ToolCall, WireError> {
    let function = call.get("function").unwrap_or(call);
    let name = function.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| WireError::Malformed("a tool call has no name".into()))?;
    let arguments = match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        // Some servers give the object itself.
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map_or_else(|| format!("call_{at}"), str::to_owned);
    Ok(ToolCall { id, name: name.to_owned(), arguments })
}

fn read_usage(usage: Option<&Value>) -> Usage {
    let number = |key: &str| usage.and_then(|u| u.pointer(key)).and_then(Value::as_u64).unwrap_or(0);
    Usage {
        prompt_tokens: number("/prompt_tokens"),
        completion_tokens: number("/completion_tokens"),
        cached_tokens: number("/prompt_tokens_details/cached_tokens"),
        cost_usd: usage.and_then(|u| u.get("cost")).and_then(Value::as_f64),
    }
}

/// vLLM's `prompt_token_ids` and `token_ids`, and the standard `logprobs`.
#[must_use]
pub fn tokens(value: &Value) -> Tokens {
    let ids = |v: Option<&Value>| -> Option<Vec<u64>> { v?.as_array()?.iter().map(Value::as_u64).collect() };
    let choice = value.pointer("/choices/0");
    let logprobs = choice.and_then(|c| c.pointer("/logprobs/content")).and_then(Value::as_array);
    Tokens {
        prompt_ids: ids(value.get("prompt_token_ids")).or_else(|| ids(choice?.get("prompt_token_ids"))),
        ids: ids(choice.and_then(|c| c.get("token_ids"))),
        logprobs: logprobs.and_then(|list| list.iter().map(|t| t.get("logprob")?.as_f64()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Sampling;
    use crate::wire::Wire;

    fn call(arguments: &str) -> ToolCall {
        ToolCall { id: "c1".into(), name: "bash".into(), arguments: arguments.into() }
    }

    #[test]
    fn a_request_is_written_in_a_fixed_order() {
        let parameters = json!({"type": "object", "properties": {"command": {"type": "string"}}});
        let tool = Tool {
            name: "bash".into(),
            description: "Runs.".into(),
            parameters: parameters.as_object().cloned(),
        };
        let (good, bad) = (call("{\"command\": \"ls\"}"), call("{\"command\": "));
        let messages = [
            Message::of(Role::System, "s"),
            Message::assistant("", vec![good.clone()]),
            Message::answer(&good, "a b"),
            Message::assistant("w", vec![bad.clone()]),
            Message::answer(&bad, "no JSON"),
        ];
        let sampling =
            Sampling { temperature: Some(0.5), seed: Some(3), capture_tokens: true, ..Sampling::default() };
        let request = Request {
            model: "m",
            messages: &messages,
            tools: &[tool],
            sampling: &sampling,
            stop: &["x"],
            stream: false,
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&Body::of(&request)).unwrap());
    }

    #[test]
    fn answers_of_many_servers_are_read() {
        let body = json!({
            "prompt_token_ids": [1, 2],
            "choices": [{"message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}], "reasoning_content": "hm",
                "tool_calls": [{"function": {"name": "bash", "arguments": {"command": "ls"}}}]},
                "finish_reason": "tool_calls", "token_ids": [3, 4], "logprobs": {"content": [{"logprob": -0.5}, {"logprob": 0}]}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 5}, "cost": 0.25},
        });
        let bytes = body.to_string().into_bytes();
        let reply = Wire::OpenAi.read(&bytes).unwrap();
        assert_eq!((reply.message.content.as_str(), reply.message.reasoning.as_deref()), ("hi", Some("hm")));
        assert_eq!(
            reply.message.calls,
            [ToolCall { id: "call_0".into(), name: "bash".into(), arguments: "{\"command\":\"ls\"}".into() }]
        );
        assert_eq!(reply.finish, Finish::ToolCalls);
        assert_eq!(
            reply.usage,
            Usage { prompt_tokens: 7, completion_tokens: 2, cached_tokens: 5, cost_usd: Some(0.25) }
        );
        let tokens = Wire::OpenAi.tokens(&bytes);
        assert_eq!(
            tokens,
            Tokens { prompt_ids: Some(vec![1, 2]), ids: Some(vec![3, 4]), logprobs: Some(vec![-0.5, 0.0]) }
        );
    }

    #[test]
    fn what_a_model_thought_is_told_again_as_it_came() {
        let signed = json!({"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "x"}}});
        for said in [
            json!({"role": "assistant", "content": "w", "reasoning_content": "hm"}),
            json!({"role": "assistant", "content": "w", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.encrypted", "data": "y"}]}),
            json!({"role": "assistant", "content": null, "tool_calls": [signed]}),
        ] {
            let answer = json!({"choices": [{"message": said, "finish_reason": "stop"}]}).to_string();
            let message = Wire::OpenAi.read(answer.as_bytes()).unwrap().message;
            assert_eq!(json!(Said::of(&message)), said);
        }
        let twice = json!({"choices": [{"message": {"content": "w", "reasoning": "hm", "reasoning_content": "hm", "refusal": null}}]});
        let message = Wire::OpenAi.read(twice.to_string().as_bytes()).unwrap().message;
        assert_eq!(
            json!(Said::of(&message)),
            json!({"role": "assistant", "content": "w", "reasoning_content": "hm"})
        );
    }

    #[test]
    fn fields_of_a_users_own_go_along() {
        let extra = json!({"top_k": 20, "stop": null, "chat_template_kwargs": {"enable_thinking": false}});
        let sampling = Sampling { extra: extra.as_object().unwrap().clone(), ..Sampling::default() };
        let request = Request {
            model: "m",
            messages: &[],
            tools: &[],
            sampling: &sampling,
            stop: &["x"],
            stream: false,
        };
        let text = Wire::OpenAi.write(&request);
        assert_eq!(
            text,
            r#"{"model":"m","messages":[],"top_k":20,"chat_template_kwargs":{"enable_thinking":false}}"#
        );
    }

    #[test]
    fn an_answer_without_an_answer_is_an_error() {
        assert_eq!(Wire::OpenAi.read(b"{\"choices\": []}"), Err(WireError::NoChoices));
        assert!(matches!(Wire::OpenAi.read(b"<html>"), Err(WireError::Malformed(_))));
        assert!(matches!(Wire::OpenAi.read(b"{\"choices\": [{}]}"), Err(WireError::Malformed(_))));
        let broken = b"{\"choices\": [{\"message\": {\"content\": \"ha\"}, \"finish_reason\": \"abort\"}]}";
        assert!(matches!(Wire::OpenAi.read(broken), Err(WireError::Malformed(_))));
        let other = Wire::OpenAi
            .read(b"{\"choices\": [{\"message\": {\"role\": \"user\", \"content\": \"x\"}}]}")
            .unwrap();
        assert_eq!(other.wrong_role.as_deref(), Some("user"));
    }
}
