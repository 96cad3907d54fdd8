//! `dev model`: a scripted model endpoint on a real socket, with all the faults that
//! real endpoints have.

mod chat;
mod events;
mod messages;
mod responses;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde_json::{Value, json};
use swegym_agent::model::scripted::Script;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_core::Digest;
use swegym_core::calls::text;

use crate::door::Door;
use crate::settings::DoorSettings;

/// Enough for every run of agents.
pub const CONNECTIONS: usize = 4096;

/// What `dev model` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptSettings {
    /// A file of replies.
    pub script: PathBuf,
    /// An address with its port.
    pub listen: String,
    /// Whom it lets in.
    pub door: DoorSettings,
    /// Before each answer, in milliseconds.
    pub latency: u64,
    /// Kinds of faults with their shares of the requests, `KIND=SHARE`.
    pub faults: Vec<String>,
    /// What requests must carry.
    pub key: Option<String>,
    /// Of the faults.
    pub seed: u64,
}

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

/// A script with its faults.
pub struct Server {
    script: Script,
    faults: Vec<(Fault, f64)>,
    latency: Duration,
    key: Option<String>,
    seed: u64,
    requests: AtomicU64,
}

/// Serves until it is ended.
pub async fn model(printer: Printer, settings: &ScriptSettings) -> Result<u8, CommandError> {
    let text = swegym_console::text::read(&settings.script)?;
    let script = Script::read(&text).map_err(|why| {
        CommandError::usage(format!("`{}` is no script: {why}", settings.script.display()), "see --help")
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
        faults: settings.faults.iter().map(fault).collect::<Result<_, _>>()?,
        latency: Duration::from_millis(settings.latency),
        key: settings.key.clone(),
        seed: settings.seed,
        requests: AtomicU64::new(0),
    };
    let door = Door::of(&settings.door, &settings.listen, CONNECTIONS);
    let (address, server) = listen(&settings.listen, door, server).await?;
    printer.result(&json!({"endpoint": address}), &[vec!["endpoint".into()], vec![address.clone()]]);
    server.await;
    Ok(exit::DONE)
}

/// Opens the address; the future serves.
pub async fn listen(
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
            response.headers_mut().insert("retry-after", HeaderValue::from_static("0.05"));
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
    let protocol = Protocol::of(uri.path());
    let said = protocol.answers(&request);
    let stops = ["stop", "stop_sequences"].iter().filter_map(|k| request.get(*k)?.as_array()).flatten();
    let as_text = stops.into_iter().any(|s| s == text::STOP);
    let mut document = match server.script.document(session, said, as_text, body.len()) {
        Ok(document) => document,
        Err(error) => return refuse(422, "script", &error.to_string()),
    };
    if fault == Some(Fault::WrongRole) {
        document["choices"][0]["message"]["role"] = json!("user");
    }
    let cut = fault == Some(Fault::CutStream);
    if request["stream"] == true || cut {
        let mut events = protocol.stream(&document, &request, said);
        if cut {
            events
                .truncate((0..=events.len() / 2).rev().find(|at| events.is_char_boundary(*at)).unwrap_or(0));
        }
        return typed("text/event-stream", reply(200, events));
    }
    reply(200, protocol.whole(document, &request, said).to_string())
}

/// What a client speaks, by the path that it asks.
#[derive(Debug, Clone, Copy)]
enum Protocol {
    Chat,
    Messages,
    Responses,
}

impl Protocol {
    fn of(path: &str) -> Self {
        match path.rsplit('/').next() {
            Some("messages") => Self::Messages,
            Some("responses") => Self::Responses,
            _ => Self::Chat,
        }
    }

    /// How many answers a request holds: which one comes next follows from it.
    fn answers(self, request: &Value) -> usize {
        match self {
            Self::Chat | Self::Messages => {
                let messages = request["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
                messages.iter().filter(|message| message["role"] == "assistant").count()
            }
            Self::Responses => responses::answers(request),
        }
    }

    fn whole(self, document: Value, request: &Value, said: usize) -> Value {
        match self {
            Self::Chat => document,
            Self::Messages => messages::whole(&document),
            Self::Responses => responses::whole(&document, request, said),
        }
    }

    fn stream(self, document: &Value, request: &Value, said: usize) -> String {
        match self {
            Self::Chat => chat::stream(document),
            Self::Messages => messages::stream(document),
            Self::Responses => responses::stream(document, request, said),
        }
    }
}

/// A name for a part of an answer, which the same answer always has.
fn id(prefix: &str, document: &Value) -> String {
    let said = format!("{} {}", document["id"], document["choices"]);
    format!("{prefix}_{}", Digest::of(said.as_bytes()).short())
}

impl Server {
    /// A script without faults.
    pub fn of(script: Script, latency: Duration) -> Self {
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
    typed("application/json", response)
}

fn typed(kind: &'static str, mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refuse(status: u16, code: &str, words: &str) -> Response {
    // What either protocol looks for.
    let error = json!({"type": code, "code": code, "message": words, "param": null});
    reply(status, json!({"type": "error", "error": error}).to_string())
}

/// A body that is promised and does not come.
fn dropped() -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert("content-length", HeaderValue::from_static("1000"));
    response
}
