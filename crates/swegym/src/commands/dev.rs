//! A script behind an address, so that clients of model endpoints meet a real
//! socket, and every fault that real endpoints have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use swegym_agent::model::scripted::Script;
use swegym_core::Digest;
use swegym_core::calls::text;

use crate::args::DevModelArgs;
use crate::door::Door;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;

/// Enough for every run of agents.
pub(crate) const CONNECTIONS: usize = 4096;

/// What can go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Timeout,
    Drop,
    TooMany,
    Broken,
    Unauthorized,
    NotFound,
    Overflow,
    CutStream,
    Malformed,
    EmptyChoices,
    WrongRole,
}

impl Fault {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "timeout" => Self::Timeout,
            "drop" => Self::Drop,
            "429" => Self::TooMany,
            "500" => Self::Broken,
            "401" => Self::Unauthorized,
            "404" => Self::NotFound,
            "overflow" => Self::Overflow,
            "cut-stream" => Self::CutStream,
            "malformed" => Self::Malformed,
            "empty-choices" => Self::EmptyChoices,
            "wrong-role" => Self::WrongRole,
            _ => return None,
        })
    }
}

pub(crate) struct Server {
    script: Script,
    faults: Vec<(Fault, f64)>,
    latency: Duration,
    key: Option<String>,
    seed: u64,
    requests: AtomicU64,
}

/// Serves until it is ended.
pub(crate) async fn model(printer: Printer, args: &DevModelArgs) -> Result<u8, CommandError> {
    let text = crate::text::read(&args.script)?;
    let script = Script::read(&text).map_err(|why| {
        CommandError::usage(format!("`{}` is no script: {why}", args.script.display()), "see --help")
    })?;
    let fault = |text: &String| {
        let parts =
            text.split_once('=').and_then(|(kind, share)| Some((Fault::parse(kind)?, share.parse().ok()?)));
        parts.ok_or_else(|| {
            CommandError::usage(format!("`{text}` is no fault"), "for example 429=0.1; see --help")
        })
    };
    let server = Server {
        script,
        faults: args.faults.iter().map(fault).collect::<Result<_, _>>()?,
        latency: Duration::from_millis(args.latency),
        key: args.key.clone(),
        seed: args.seed,
        requests: AtomicU64::new(0),
    };
    let door = Door::of(&args.door, &args.listen, CONNECTIONS);
    let (address, server) = listen(&args.listen, door, server).await?;
    printer.result(&json!({"endpoint": address}), &[vec!["endpoint".into()], vec![address.clone()]]);
    server.await;
    Ok(exit::DONE)
}

/// Opens the address; the future serves.
pub(crate) async fn listen(
    listens: &str,
    door: Arc<Door>,
    server: Server,
) -> Result<(String, impl Future<Output = ()> + Send + use<>), CommandError> {
    let listener = tokio::net::TcpListener::bind(listens).await?;
    let address = format!("http://{}/v1", listener.local_addr()?);
    let app = axum::Router::new().fallback(answer).with_state(Arc::new(server));
    let app = app.layer(DefaultBodyLimit::disable());
    Ok((address, door.serve(listener, app, std::future::pending())))
}

async fn answer(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let number = server.requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(server.latency).await;
    if let Some(key) = &server.key {
        let has = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if has("authorization") != format!("Bearer {key}") && has("x-api-key") != key {
            return refuse(
                401,
                "invalid_api_key",
                &format!("Incorrect API key provided: {}", has("authorization")),
            );
        }
    }
    let fault = server.fault(number);
    match fault {
        Some(Fault::Timeout) => tokio::time::sleep(Duration::from_secs(3600)).await,
        Some(Fault::Drop) => return dropped(),
        Some(Fault::TooMany) => {
            let mut response = refuse(429, "rate_limit_exceeded", "slow down");
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("0.05"));
            return response;
        }
        Some(Fault::Broken) => return refuse(500, "internal_error", "something broke"),
        Some(Fault::Unauthorized) => return refuse(401, "invalid_api_key", "wrong key"),
        Some(Fault::NotFound) => return refuse(404, "model_not_found", "no such model"),
        Some(Fault::Overflow) => {
            let words = "This model's maximum context length is 10 tokens. Please reduce the length.";
            return refuse(400, "context_length_exceeded", words);
        }
        Some(Fault::Malformed) => {
            return reply(200, "{\"choices\": [{\"message\": {\"content\": \"half".into());
        }
        Some(Fault::EmptyChoices) => return reply(200, json!({"choices": []}).to_string()),
        Some(Fault::CutStream | Fault::WrongRole) | None => {}
    }
    let Ok(request) = swegym_core::json::from_slice::<Value>(&body) else {
        return refuse(400, "invalid_request", "the body is not JSON");
    };
    let session = headers.get("x-session-id").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let said = messages.iter().filter(|m| m["role"] == "assistant").count();
    let stops = ["stop", "stop_sequences"].iter().filter_map(|k| request.get(*k)?.as_array()).flatten();
    let as_text = stops.into_iter().any(|s| s == text::STOP);
    let mut document = match server.script.document(session, said, as_text, body.len()) {
        Ok(document) => document,
        Err(error) => return refuse(422, "script", &error.to_string()),
    };
    if fault == Some(Fault::WrongRole) {
        document["choices"][0]["message"]["role"] = json!("user");
    }
    if uri.path().ends_with("/messages") {
        return reply(200, anthropic(&document).to_string());
    }
    if request["stream"] == true || fault == Some(Fault::CutStream) {
        let mut events = stream(&document);
        if fault == Some(Fault::CutStream) {
            events.truncate(events.len() / 2);
        }
        return reply(200, events);
    }
    reply(200, document.to_string())
}

impl Server {
    /// A script without faults.
    pub(crate) fn of(script: Script, latency: Duration) -> Self {
        Self { script, faults: Vec::new(), latency, key: None, seed: 0, requests: AtomicU64::new(0) }
    }

    /// The fault that this request meets, if any: a draw by number and seed.
    fn fault(&self, number: u64) -> Option<Fault> {
        let digest = Digest::of(format!("{} {number}", self.seed).as_bytes()).short();
        let mut draw = u64::from_str_radix(&digest, 16).unwrap_or(0) as f64 / u64::MAX as f64;
        for (fault, share) in &self.faults {
            if draw < *share {
                return Some(*fault);
            }
            draw -= share;
        }
        None
    }
}

fn reply(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}

fn refuse(status: u16, code: &str, words: &str) -> Response {
    reply(status, json!({"error": {"code": code, "message": words}}).to_string())
}

/// A body that is promised and does not come.
fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert("content-length", axum::http::HeaderValue::from_static("1000"));
    response
}

/// The document in three pieces.
fn stream(document: &Value) -> String {
    let choice = &document["choices"][0];
    let mut calls = choice["message"]["tool_calls"].clone();
    for (i, call) in calls.as_array_mut().into_iter().flatten().enumerate() {
        call["index"] = json!(i);
    }
    let mut delta = json!({"role": choice["message"]["role"], "content": choice["message"]["content"]});
    for (key, value) in
        [("tool_calls", calls), ("reasoning_content", choice["message"]["reasoning_content"].clone())]
    {
        if !value.is_null() {
            delta[key] = value;
        }
    }
    let pieces = [
        json!({"choices": [{"delta": delta}]}),
        json!({"choices": [{"delta": {}, "finish_reason": choice["finish_reason"]}]}),
        json!({"choices": [], "usage": document["usage"]}),
    ];
    pieces.iter().map(|p| format!("data: {p}\n\n")).collect::<String>() + "data: [DONE]\n\n"
}

/// The document in the other protocol.
fn anthropic(document: &Value) -> Value {
    let choice = &document["choices"][0];
    let thought = choice["message"]["reasoning_content"].as_str();
    let mut content: Vec<Value> = thought
        .map(|text| json!({"type": "thinking", "thinking": text, "signature": Digest::of(text.as_bytes()).short()}))
        .into_iter()
        .collect();
    content.push(json!({"type": "text", "text": choice["message"]["content"]}));
    for call in choice["message"]["tool_calls"].as_array().into_iter().flatten() {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let input = swegym_core::json::from_str(arguments).unwrap_or_else(|_| json!(arguments));
        content.push(
            json!({"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": input}),
        );
    }
    let reason = match choice["finish_reason"].as_str() {
        Some("tool_calls") => "tool_use",
        Some("length") => "max_tokens",
        _ => "end_turn",
    };
    let usage = &document["usage"];
    json!({
        "role": choice["message"]["role"], "content": content, "stop_reason": reason,
        "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
    })
}
