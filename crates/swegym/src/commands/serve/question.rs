//! What a request asks for: its prompt as tokens, and how to answer.

use serde_json::Value;
use swegym_core::chat::{Message, Tool};
use swegym_core::wire::openai::{read_message, read_tool};
use swegym_train::generation::{Drawing, Request};

use super::policies::Policy;
use super::{Refusal, Served};

/// Which of the two protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Completion,
}

/// A request that can be answered.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) kind: Kind,
    /// Who is asked.
    pub(super) policy: Policy,
    pub(super) request: Request,
    /// Words that end the answer, and are not part of it.
    pub(super) stops: Vec<String>,
    pub(super) tools: Vec<Tool>,
    /// Answers to the same prompt.
    pub(super) count: usize,
    pub(super) stream: bool,
    pub(super) stream_usage: bool,
    pub(super) logprobs: bool,
    pub(super) token_ids: bool,
    pub(super) echo: bool,
}

impl Question {
    pub(super) fn read(served: &Served, kind: Kind, body: &[u8]) -> Result<Self, Refusal> {
        let body: Value =
            serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
        let tools: Result<Vec<Tool>, _> = list(&body, "tools").iter().map(read_tool).collect();
        let tools = tools.map_err(|e| Refusal::bad(e.to_string()))?;
        let tools = if body["tool_choice"] == "none" { Vec::new() } else { tools };
        let policy = served.policies.pick(body["model"].as_str())?;
        if served.classes.is_some() {
            return Err(Refusal::bad("this model has a head of classes and cannot write; ask /v1/score"));
        }
        let prompt = prompt_of(served, kind, &body, &tools)?;
        let asked = ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body[*key].as_u64());
        let room = served.context.saturating_sub(prompt.len());
        if room == 0 || asked.is_some_and(|asked| asked as usize > room) {
            let message = format!(
                "This model's maximum context length is {} tokens. However, you requested {} tokens ({} in the \
                 messages, {} in the completion). Please reduce the length of the messages or completion.",
                served.context,
                prompt.len() + asked.unwrap_or(1) as usize,
                prompt.len(),
                asked.unwrap_or(1),
            );
            return Err(Refusal { code: "context_length_exceeded", ..Refusal::bad(message) });
        }
        let max_new = asked.map_or(served.max_tokens.min(room), |asked| asked as usize);
        let (logprobs, alternatives) = match (&body["logprobs"], kind) {
            (Value::Bool(on), Kind::Chat) => (*on, body["top_logprobs"].as_u64().unwrap_or(0)),
            (Value::Number(n), Kind::Completion) => (true, n.as_u64().unwrap_or(0)),
            _ => (false, 0),
        };
        let count = body["n"].as_u64().unwrap_or(1);
        if !(1..=128).contains(&count) || alternatives > 20 {
            return Err(Refusal::bad("`n` must be 1 to 128, and at most 20 alternatives can be asked for"));
        }
        let echo = kind == Kind::Completion && body["echo"] == true;
        Ok(Self {
            kind,
            policy,
            request: Request {
                prompt,
                max_new,
                drawing: drawing(&body)?,
                ends: if body["ignore_eos"] == true { Vec::new() } else { served.tokenizer.ends.clone() },
                alternatives: alternatives as usize,
                watched: Vec::new(),
                prompt_logprobs: echo && logprobs,
            },
            stops: stops(&body)?,
            tools,
            count: count as usize,
            stream: body["stream"] == true,
            stream_usage: body["stream_options"]["include_usage"] == true,
            logprobs,
            token_ids: body["return_token_ids"] == true,
            echo,
        })
    }
}

/// The prompt of a request, as tokens.
pub(super) fn prompt_of(
    served: &Served,
    kind: Kind,
    body: &Value,
    tools: &[Tool],
) -> Result<Vec<u32>, Refusal> {
    let prompt = match kind {
        Kind::Chat => chat_prompt(served, body, tools)?,
        Kind::Completion => plain_prompt(served, &body["prompt"])?,
    };
    let vocabulary = served.tokenizer.len() as u32;
    if prompt.is_empty() || prompt.iter().any(|&id| id >= vocabulary) {
        return Err(Refusal::bad("the prompt is empty, or has a token that the model does not"));
    }
    Ok(prompt)
}

fn list<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn chat_prompt(served: &Served, body: &Value, tools: &[Tool]) -> Result<Vec<u32>, Refusal> {
    let messages: Result<Vec<Message>, _> = list(body, "messages").iter().map(read_message).collect();
    let messages = messages.map_err(|e| Refusal::bad(e.to_string()))?;
    if messages.is_empty() {
        return Err(Refusal::bad("`messages` is missing or empty"));
    }
    let template = served.tokenizer.template.as_ref();
    let template =
        template.ok_or_else(|| Refusal::bad("the model has no chat template; use /v1/completions"))?;
    let suited = template.suited(&messages, tools).map_err(|e| Refusal::bad(e.to_string()))?;
    let rendered = template.render(&suited.0, suited.1, true).map_err(|e| Refusal::bad(e.to_string()))?;
    served.tokenizer.encode(&rendered).map_err(|e| Refusal::bad(e.to_string()))
}

/// Text, or the tokens themselves.
fn plain_prompt(served: &Served, prompt: &Value) -> Result<Vec<u32>, Refusal> {
    match prompt {
        Value::String(text) => served.tokenizer.encode(text).map_err(|e| Refusal::bad(e.to_string())),
        Value::Array(items) => {
            let id = |item: &Value| item.as_u64().and_then(|id| u32::try_from(id).ok());
            let ids: Option<Vec<u32>> = items.iter().map(id).collect();
            ids.ok_or_else(|| Refusal::bad("`prompt` must be a text or a list of token ids"))
        }
        _ => Err(Refusal::bad("`prompt` must be a text or a list of token ids")),
    }
}

fn drawing(body: &Value) -> Result<Drawing, Refusal> {
    let number = |key: &str, default: f64| match &body[key] {
        Value::Null => Ok(default),
        value => value.as_f64().ok_or_else(|| Refusal::bad(format!("`{key}` must be a number"))),
    };
    let (temperature, top_p) = (number("temperature", 1.0)?, number("top_p", 1.0)?);
    if !(0.0..=100.0).contains(&temperature) || !(0.0..=1.0).contains(&top_p) {
        return Err(Refusal::bad("`temperature` must not be negative, and `top_p` must be 0 to 1"));
    }
    Ok(Drawing {
        temperature: temperature as f32,
        top_k: body["top_k"].as_i64().map_or(0, |k| usize::try_from(k).unwrap_or(0)),
        top_p: top_p as f32,
        // Without a seed, every request draws anew.
        seed: body["seed"].as_u64().unwrap_or_else(rand::random),
    })
}

fn stops(body: &Value) -> Result<Vec<String>, Refusal> {
    let bad = || Refusal::bad("`stop` must be a text or a list of texts");
    let stops: Vec<String> = match &body["stop"] {
        Value::Null => Vec::new(),
        Value::String(stop) => vec![stop.clone()],
        Value::Array(stops) => {
            stops.iter().map(|s| s.as_str().map(str::to_owned).ok_or_else(bad)).collect::<Result<_, _>>()?
        }
        _ => return Err(bad()),
    };
    Ok(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
}
