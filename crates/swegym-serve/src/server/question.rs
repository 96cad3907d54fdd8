//! What a request asks for: its prompt as tokens, and its sampling settings.

use serde_json::Value;
use swegym_core::chat::{Message, Tool};
use swegym_core::wire::openai::{read_message, read_tool};
use swegym_train::generation::{Drawing, Request};

use super::policies::Policy;
use super::{Refusal, Served, fields, numbers};

/// Most tokens that a request may ask for; far beyond every context.
const MOST: u64 = 1 << 40;

/// Most alternatives to a token that are reported.
const ALTERNATIVES: u64 = 20;

/// Tokens that one request may ask for in all its answers, where the context is
/// not longer.
const WORK: usize = 1 << 18;

/// Stop words of a request, and the bytes of one: each new token is held against all.
const STOPS: usize = 32;
const STOP_BYTES: usize = 1024;

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
        let body: Value = swegym_core::json::from_slice(body)
            .map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
        fields::check(kind, &body)?;
        let tools: Result<Vec<Tool>, _> = list(&body, "tools").iter().map(read_tool).collect();
        let tools = tools.map_err(|e| Refusal::bad(e.to_string()))?;
        let tools = if body["tool_choice"] == "none" { Vec::new() } else { tools };
        let policy = served.policies.pick(numbers::text(&body, "model")?)?;
        if served.classes.is_some() {
            return Err(Refusal::bad("this model has a head of classes and cannot write; ask /v1/score"));
        }
        let prompt = prompt_of(served, kind, &body, &tools)?;
        let asked = [
            numbers::whole(&body, "max_completion_tokens", 0..=MOST)?,
            numbers::whole(&body, "max_tokens", 0..=MOST)?,
        ];
        let asked = asked.into_iter().flatten().next();
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
        let (logprobs, alternatives) = match kind {
            Kind::Chat => (
                numbers::switch(&body, "logprobs")?,
                numbers::whole(&body, "top_logprobs", 0..=ALTERNATIVES)?,
            ),
            Kind::Completion => {
                let asked = numbers::whole(&body, "logprobs", 0..=ALTERNATIVES)?;
                (asked.is_some(), asked)
            }
        };
        let alternatives = alternatives.filter(|_| logprobs).unwrap_or(0);
        let count = numbers::whole(&body, "n", 1..=128)?.unwrap_or(1) as usize;
        let work = count.saturating_mul(max_new);
        if work > WORK.max(served.context) {
            let message = format!(
                "`n` answers of `max_tokens` are {work} tokens; one request has at most {}",
                WORK.max(served.context)
            );
            return Err(Refusal::about("n", message));
        }
        let echo = kind == Kind::Completion && numbers::switch(&body, "echo")?;
        let mut ends = stop_tokens(&body)?;
        if !numbers::switch(&body, "ignore_eos")? {
            ends.extend(&served.tokenizer.ends);
        }
        Ok(Self {
            kind,
            policy,
            request: Request {
                prompt,
                max_new,
                drawing: drawing(&body)?,
                ends,
                alternatives: alternatives as usize,
                watched: Vec::new(),
                prompt_logprobs: echo && logprobs,
            },
            stops: stops(&body)?,
            tools,
            count,
            stream: numbers::switch(&body, "stream")?,
            stream_usage: numbers::switch(&body["stream_options"], "include_usage")?,
            logprobs,
            token_ids: numbers::switch(&body, "return_token_ids")?,
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
    let top_k = numbers::signed(body, "top_k", -1..=i64::from(i32::MAX))?.unwrap_or(0);
    let penalty = |name: &str| -> Result<f32, Refusal> {
        Ok(numbers::real(body, name, -2.0..=2.0)?.unwrap_or(0.0) as f32)
    };
    Ok(Drawing {
        temperature: numbers::real(body, "temperature", 0.0..=2.0)?.unwrap_or(1.0) as f32,
        // Both 0 and -1 stand for all tokens.
        top_k: usize::try_from(top_k).unwrap_or(0),
        top_p: numbers::real(body, "top_p", 0.0..=1.0)?.unwrap_or(1.0) as f32,
        presence_penalty: penalty("presence_penalty")?,
        frequency_penalty: penalty("frequency_penalty")?,
        // Without a seed, every request draws anew.
        seed: numbers::seed(body)?.unwrap_or_else(rand::random),
    })
}

/// Tokens that end the answer as the model's own do.
fn stop_tokens(body: &Value) -> Result<Vec<u32>, Refusal> {
    let bad = || {
        let message = format!("`stop_token_ids` must be a list of at most {STOPS} token ids");
        Refusal::about("stop_token_ids", message)
    };
    let items = match &body["stop_token_ids"] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) if items.len() <= STOPS => items,
        _ => return Err(bad()),
    };
    let id = |item: &Value| item.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(bad);
    items.iter().map(id).collect()
}

fn stops(body: &Value) -> Result<Vec<String>, Refusal> {
    let bad = || Refusal::about("stop", "`stop` must be a text or a list of texts");
    let stops: Vec<String> = match &body["stop"] {
        Value::Null => Vec::new(),
        Value::String(stop) => vec![stop.clone()],
        Value::Array(stops) => {
            stops.iter().map(|s| s.as_str().map(str::to_owned).ok_or_else(bad)).collect::<Result<_, _>>()?
        }
        _ => return Err(bad()),
    };
    if stops.len() > STOPS || stops.iter().any(|stop| stop.len() > STOP_BYTES) {
        let message = format!("`stop` has at most {STOPS} texts of {STOP_BYTES} bytes");
        return Err(Refusal::about("stop", message));
    }
    Ok(stops.into_iter().filter(|stop| !stop.is_empty()).collect())
}
