//! Answers: whole or streamed.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use serde_json::{Map, Value, json};
use swegym_core::calls::text as call_text;
use swegym_core::chat::{Message, Tool, ToolCall};
use swegym_core::wire::openai::message_json;
use swegym_train::generation::{Drawn, End, Progress};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::question::{Kind, Question};
use super::text::Writing;
use super::{Refusal, Served};

/// What an answer is said to have ended by that the longest length cut.
const CUT: &str = "length";

/// One answer, as far as it is.
struct Answer {
    text: String,
    tokens: Vec<Drawn>,
    prompt_logprobs: Vec<f32>,
    shared: usize,
    finish: &'static str,
    /// Whether a stop word ended it.
    stopped: bool,
}

/// Answers in one document.
pub(super) async fn whole(served: &Served, question: &Question) -> Result<Value, Refusal> {
    let receivers: Vec<_> = (0..question.count).map(|nth| ask(served, question, nth)).collect();
    let mut choices = Vec::new();
    let mut usage = Usage::of(question);
    for (index, receiver) in receivers.into_iter().enumerate() {
        let answer = collect(served, question, receiver, |_| true).await?;
        usage.add(&answer);
        choices.push(choice(served, question, index, &answer));
    }
    let mut document = head(question, "");
    document.insert("choices".into(), Value::Array(choices));
    document.insert("usage".into(), usage.to_json());
    if question.token_ids {
        document.insert("prompt_token_ids".into(), json!(question.request.prompt));
    }
    Ok(Value::Object(document))
}

/// Answers in events, each a piece.
pub(super) fn stream(served: Arc<Served>, question: Question) -> Response {
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move { send_pieces(&served, &question, &sender).await });
    let pieces = stream::unfold(receiver, |mut receiver: UnboundedReceiver<String>| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<Bytes, Infallible>(Bytes::from(format!("data: {piece}\n\n"))), receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

async fn send_pieces(served: &Served, question: &Question, sender: &UnboundedSender<String>) {
    let created = head(question, ".chunk");
    let piece = |choice: Value| {
        let mut document = created.clone();
        document.insert("choices".into(), json!([choice]));
        Value::Object(document).to_string()
    };
    let delta = |index: usize, text: &str| match question.kind {
        Kind::Chat => json!({"index": index, "delta": {"content": text}, "finish_reason": null}),
        Kind::Completion => json!({"index": index, "text": text, "finish_reason": null}),
    };
    let receivers: Vec<_> = (0..question.count).map(|nth| ask(served, question, nth)).collect();
    let mut usage = Usage::of(question);
    for (index, receiver) in receivers.into_iter().enumerate() {
        if question.kind == Kind::Chat {
            let role =
                json!({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
            _ = sender.send(piece(role));
        }
        // With tools nobody knows before the end which words are a call.
        let at_once = question.tools.is_empty();
        let give = |text: &str| {
            if at_once && !text.is_empty() {
                _ = sender.send(piece(delta(index, text)));
            }
            !sender.is_closed()
        };
        let Ok(answer) = collect(served, question, receiver, give).await else { return };
        usage.add(&answer);
        let mut last = choice(served, question, index, &answer);
        if let Some(mut message) = last.as_object_mut().and_then(|last| last.remove("message")) {
            let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
            for (nth, call) in calls.into_iter().flatten().enumerate() {
                call["index"] = json!(nth);
            }
            last["delta"] = if at_once { json!({}) } else { message };
        } else {
            last["text"] = json!("");
        }
        _ = sender.send(piece(last));
    }
    if question.stream_usage {
        let mut document = created.clone();
        document.insert("choices".into(), json!([]));
        document.insert("usage".into(), usage.to_json());
        _ = sender.send(Value::Object(document).to_string());
    }
    _ = sender.send("[DONE]".to_owned());
}

/// Asks for one of several answers, which differ in their seeds alone.
fn ask(served: &Served, question: &Question, nth: usize) -> UnboundedReceiver<Progress> {
    let mut request = question.request.clone();
    request.drawing.seed = request.drawing.seed.wrapping_add(nth as u64);
    served.engine.ask(request, question.policy.adapter.clone())
}

/// Takes one answer in until it ends, by itself or by a stop word. `give` gets
/// its pieces, and says whether anybody still wants them.
async fn collect(
    served: &Served,
    question: &Question,
    mut receiver: UnboundedReceiver<Progress>,
    give: impl Fn(&str) -> bool,
) -> Result<Answer, Refusal> {
    let mut writing = Writing::new(&served.tokenizer, &question.stops);
    let mut answer = Answer {
        text: String::new(),
        tokens: Vec::new(),
        prompt_logprobs: Vec::new(),
        shared: 0,
        finish: "stop",
        stopped: false,
    };
    loop {
        match receiver.recv().await {
            Some(Progress::Read { logprobs, shared, .. }) => {
                (answer.prompt_logprobs, answer.shared) = (logprobs, shared);
            }
            Some(Progress::Token { token, .. }) => {
                let stopped = writing.push(token.id);
                answer.tokens.push(token);
                if !give(&writing.give(false)) {
                    let message = "nobody reads the answer";
                    return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "gone", message));
                }
                if stopped {
                    answer.stopped = true;
                    break;
                }
            }
            Some(Progress::Done { end, .. }) => {
                answer.finish = if end == End::Token { "stop" } else { CUT };
                break;
            }
            None => {
                let message = "the engine has stopped";
                return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", message));
            }
        }
    }
    writing.end();
    give(&writing.give(true));
    answer.text = writing.text().to_owned();
    Ok(answer)
}

fn head(question: &Question, suffix: &str) -> Map<String, Value> {
    let (prefix, object) = match question.kind {
        Kind::Chat => ("chatcmpl", "chat.completion"),
        Kind::Completion => ("cmpl", "text_completion"),
    };
    let suffix = if question.kind == Kind::Chat { suffix } else { "" };
    let mut document = Map::new();
    document.insert("id".into(), json!(format!("{prefix}-{:016x}", rand::random::<u64>())));
    document.insert("object".into(), json!(format!("{object}{suffix}")));
    document.insert("created".into(), json!(jiff::Timestamp::now().as_second()));
    let policy = &question.policy;
    document.insert("model".into(), json!(policy.name));
    // Which weights these words are from: a trainer needs to know.
    document.insert("system_fingerprint".into(), json!(format!("{}@{}", policy.name, policy.generation)));
    document
}

fn choice(served: &Served, question: &Question, index: usize, answer: &Answer) -> Value {
    let mut choice = Map::new();
    choice.insert("index".into(), json!(index));
    let mut finish = answer.finish;
    match question.kind {
        Kind::Chat => {
            // A call that was cut is words: nobody knows how it would have gone on.
            let tools = if finish == CUT { &[] } else { question.tools.as_slice() };
            let message = message(tools, &answer.text);
            if !message.calls.is_empty() {
                finish = "tool_calls";
            }
            choice.insert("message".into(), message_json(&message));
        }
        Kind::Completion => {
            let echoed =
                if question.echo { served.tokenizer.decode(&question.request.prompt) } else { String::new() };
            choice.insert("text".into(), json!(echoed + &answer.text));
        }
    }
    choice.insert("finish_reason".into(), json!(finish));
    let logprobs = question.logprobs.then(|| match question.kind {
        Kind::Chat => chat_logprobs(served, question, answer),
        Kind::Completion => plain_logprobs(served, question, answer),
    });
    choice.insert("logprobs".into(), json!(logprobs));
    if question.token_ids {
        choice.insert("token_ids".into(), answer.tokens.iter().map(|t| json!(t.id)).collect());
    }
    Value::Object(choice)
}

/// What was said, with calls taken out of the text where there are tools:
/// `<function=…>` as our scaffolds write it, `<tool_call>` as Qwen does.
fn message(tools: &[Tool], text: &str) -> Message {
    let said = Message::assistant(text, Vec::new());
    if tools.is_empty() {
        return said;
    }
    if let Some((content, calls)) = tagged_calls(text) {
        return Message::assistant(content, calls);
    }
    let repaired = call_text::repair(text, call_text::Dialect::default());
    match call_text::parse(&repaired, tools, call_text::Dialect::default()) {
        Ok(Some(found)) => {
            let arguments = Value::Object(found.arguments).to_string();
            Message::assistant(found.content, vec![ToolCall { id: call_id(), name: found.name, arguments }])
        }
        // Words that are no sound call stay words; whoever asked can see them.
        _ => said,
    }
}

fn tagged_calls(text: &str) -> Option<(String, Vec<ToolCall>)> {
    const OPEN: &str = "<tool_call>";
    let (content, rest) = text.split_once(OPEN)?;
    let mut calls = Vec::new();
    for block in rest.split(OPEN) {
        let inner = block.split("</tool_call>").next().unwrap_or_default().trim();
        let call: Value = swegym_core::json::from_str(inner).ok()?;
        let arguments = match &call["arguments"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        calls.push(ToolCall { id: call_id(), name: call["name"].as_str()?.to_owned(), arguments });
    }
    Some((content.trim_end().to_owned(), calls))
}

fn call_id() -> String {
    format!("call_{:012x}", rand::random::<u64>() >> 16)
}

/// How many bytes stand before the first of some words.
fn first_of(words: &[String], bytes: &[u8]) -> usize {
    let place = |word: &String| bytes.windows(word.len()).position(|at| at == word.as_bytes());
    words.iter().filter_map(place).min().unwrap_or(bytes.len())
}

fn chat_logprobs(served: &Served, question: &Question, answer: &Answer) -> Value {
    let entry = |id: u32, logprob: f32, bytes: Vec<u8>| {
        let token = served.tokenizer.token(id).unwrap_or_default();
        json!({"token": token, "logprob": logprob, "bytes": bytes})
    };
    let ids: Vec<u32> = answer.tokens.iter().map(|token| token.id).collect();
    let each = served.tokenizer.bytes_of_each(&ids);
    // A stop word is no part of the answer, though its tokens were said.
    let mut left = if answer.stopped { first_of(&question.stops, &each.concat()) } else { usize::MAX };
    let bytes = each.into_iter().map(|mut bytes| {
        bytes.truncate(left);
        left -= bytes.len();
        bytes
    });
    let content = answer.tokens.iter().zip(bytes).map(|(token, bytes)| {
        let mut of = entry(token.id, token.logprob, bytes);
        let other = |&(id, logprob): &(u32, f32)| entry(id, logprob, served.tokenizer.bytes(id));
        of["top_logprobs"] = token.alternatives.iter().map(other).collect();
        of
    });
    json!({"content": content.collect::<Vec<_>>()})
}

fn plain_logprobs(served: &Served, question: &Question, answer: &Answer) -> Value {
    let name = |id: u32| served.tokenizer.token(id).unwrap_or_default();
    let prompt = if question.echo { question.request.prompt.as_slice() } else { &[] };
    let before = prompt.iter().enumerate().map(|(i, &id)| {
        // Nothing stands before the first token.
        let logprob = i.checked_sub(1).and_then(|i| answer.prompt_logprobs.get(i).copied());
        (name(id), logprob, Value::Null)
    });
    let after = answer.tokens.iter().map(|token| {
        let top: Map<String, Value> =
            token.alternatives.iter().map(|(id, l)| (name(*id), json!(l))).collect();
        (name(token.id), Some(token.logprob), Value::Object(top))
    });
    let all: Vec<_> = before.chain(after).collect();
    json!({
        "tokens": all.iter().map(|(token, ..)| token).collect::<Vec<_>>(),
        "token_logprobs": all.iter().map(|(_, logprob, _)| logprob).collect::<Vec<_>>(),
        "top_logprobs": all.iter().map(|(.., top)| top).collect::<Vec<_>>(),
    })
}

/// Tokens of all answers together.
struct Usage {
    prompt: usize,
    shared: usize,
    new: usize,
}

impl Usage {
    fn of(question: &Question) -> Self {
        Self { prompt: question.request.prompt.len(), shared: 0, new: 0 }
    }

    fn add(&mut self, answer: &Answer) {
        self.new += answer.tokens.len();
        self.shared = self.shared.max(answer.shared);
    }

    fn to_json(&self) -> Value {
        json!({
            "prompt_tokens": self.prompt, "completion_tokens": self.new, "total_tokens": self.prompt + self.new,
            "prompt_tokens_details": {"cached_tokens": self.shared},
        })
    }
}
