//! `serve`: a local model behind OpenAI's protocol.
//!
//! One thread computes ([`engine`]); requests are read and answered here. A request
//! is answered with exactly the numbers that training computes on the same tokens.

mod answer;
mod engine;
mod fields;
mod numbers;
mod policies;
mod question;
mod score;
mod shelf;
mod text;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_train::generation::Limits;
use swegym_train::policy::{self, Loaded};
use swegym_train::tokenizer::Tokenizer;
use tokio::sync::watch;

use crate::door::{self, Door};
use crate::settings::ServeSettings;
use engine::{Counts, Engine};
use policies::Policies;
use question::{Kind, Question};
use shelf::Shelf;

/// What every request needs.
pub struct Served {
    policies: Policies,
    /// Classes of the model's head, if it cannot write.
    classes: Option<usize>,
    /// Where requests may load adapters from, if they may.
    shelf: Option<Shelf>,
    /// One adapter is read at a time.
    loading: tokio::sync::Mutex<()>,
    tokenizer: Tokenizer,
    engine: Engine,
    context: usize,
    max_tokens: usize,
    queue: usize,
    begun: i64,
}

/// Why a request is not answered.
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// The field of the request that is to blame, where it is one.
    field: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    fn about(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::bad(message) }
    }

    fn into_response(self) -> Response {
        door::refuse(self.status, self.code, &self.message, self.field.as_deref())
    }
}

/// Serves until it is told to stop; requests under way have a few seconds then.
pub async fn run(
    printer: Printer,
    cores: usize,
    settings: &ServeSettings,
    mut stop: watch::Receiver<bool>,
) -> Result<u8, CommandError> {
    let served = open(cores, settings)?;
    let name = served.policies.base().to_owned();
    let listener = tokio::net::TcpListener::bind(&settings.listen).await.map_err(|e| {
        CommandError::usage(format!("cannot listen at {}: {e}", settings.listen), "give another --listen")
    })?;
    let endpoint = format!("http://{}/v1", listener.local_addr()?);
    let table = vec![vec!["endpoint".to_owned(), "model".to_owned()], vec![endpoint.clone(), name.clone()]];
    printer.result(&json!({"endpoint": endpoint, "model": name}), &table);
    let app = router(Arc::new(served));
    let stopped = async move {
        // An error means that nobody can ask any more.
        _ = stop.wait_for(|stop| *stop).await;
    };
    door_of(settings).serve(listener, app, stopped).await;
    Ok(exit::DONE)
}

/// A server within a pipeline, at an address of its own choice.
pub struct Local {
    /// Where it answers.
    pub endpoint: String,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// Serves a model until [`Local::stop`].
pub async fn start(cores: usize, model: &Path, name: &str) -> Result<Local, CommandError> {
    let settings = ServeSettings::here(model.to_owned(), name);
    let served = tokio::task::block_in_place(|| open(cores, &settings))?;
    let listener = tokio::net::TcpListener::bind(&settings.listen).await?;
    let endpoint = format!("http://{}/v1", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let until = async move {
        // Whoever drops the server wants it to stop as well.
        _ = stopped.await;
    };
    let app = router(Arc::new(served));
    let task = tokio::spawn(door_of(&settings).serve(listener, app, until));
    Ok(Local { endpoint, stop, task })
}

impl Local {
    /// Answers what is under way, and ends.
    pub async fn stop(self) -> Result<(), CommandError> {
        _ = self.stop.send(());
        Ok(self.task.await.map_err(std::io::Error::other)?)
    }
}

/// Every request that may wait has a connection, and some more look on.
fn door_of(settings: &ServeSettings) -> Arc<Door> {
    let connections = settings.queue.saturating_add(settings.at_once).saturating_add(128);
    Door::of(&settings.door, &settings.listen, connections)
}

fn open(cores: usize, settings: &ServeSettings) -> Result<Served, CommandError> {
    let Loaded { decoder, tokenizer, folder } = policy::load(&settings.model)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build();
    let pool = pool.map_err(|e| CommandError::from(std::io::Error::other(e)))?;
    let context = decoder.shape.context;
    let limits = Limits { running: settings.at_once, ..Limits::default() };
    let named = settings.model.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = settings.name.clone().or(named).unwrap_or_else(|| "model".to_owned());
    let (classes, decoder) = (decoder.shape.classes, Arc::new(decoder));
    let policies = Policies::new(Arc::clone(&decoder), &name, &folder)?;
    let mut folders: Vec<&Path> = settings.adapter_folders.iter().map(PathBuf::as_path).collect();
    for (name, place) in &settings.adapters {
        policies.load(name, place)?;
        folders.push(place);
    }
    Ok(Served {
        policies,
        classes,
        shelf: settings.hot_swap.then(|| Shelf::open(folders.into_iter())).transpose()?,
        loading: tokio::sync::Mutex::default(),
        tokenizer,
        engine: Engine::start(decoder, Arc::new(pool), limits)?,
        context,
        max_tokens: settings.max_tokens,
        queue: settings.queue + settings.at_once,
        begun: jiff::Timestamp::now().as_second(),
    })
}

fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completion))
        .route("/v1/score", post(judge))
        .route("/v1/load_lora_adapter", post(load))
        .route("/v1/unload_lora_adapter", post(unload))
        .route("/health", get(|| async { "ok" }))
        .route("/metrics", get(metrics))
        .fallback(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such path").into_response()
        })
        .method_not_allowed_fallback(|| async {
            let message = "this path is asked with another method";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).into_response()
        })
        // The door has a limit of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(served)
}

async fn chat(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    respond(&served, Kind::Chat, &body).await
}

async fn completion(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    respond(&served, Kind::Completion, &body).await
}

async fn judge(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    match refuse_overload(&served) {
        Ok(()) => match score::score(&served, &body).await {
            Ok(document) => reply(StatusCode::OK, &document),
            Err(refusal) => refusal.into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

fn refuse_overload(served: &Served) -> Result<(), Refusal> {
    let counts = served.engine.counts();
    if counts.waiting + counts.running < served.queue {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", "too many requests are waiting"))
}

async fn respond(served: &Arc<Served>, kind: Kind, body: &[u8]) -> Response {
    // Long prompts take their time to be cut into tokens; others go on meanwhile.
    let asked = refuse_overload(served)
        .and_then(|()| tokio::task::block_in_place(|| Question::read(served, kind, body)));
    match asked {
        Ok(question) if question.stream => answer::stream(Arc::clone(served), question),
        Ok(question) => match answer::whole(served, &question).await {
            Ok(document) => reply(StatusCode::OK, &document),
            Err(refusal) => refusal.into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

async fn models(State(served): State<Arc<Served>>) -> Response {
    reply(StatusCode::OK, &served.policies.list(served.context, served.begun))
}

async fn load(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let (shelf, name, body) = match swap(&served, &body) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let _alone = served.loading.lock().await;
    // Reading an adapter takes the disk's time, not the clock's.
    let loaded = tokio::task::block_in_place(|| {
        let place = numbers::text(&body, "lora_path")?;
        let place = place.ok_or_else(|| Refusal::about("lora_path", "`lora_path` is missing"))?;
        served.policies.load_from(shelf, &name, Path::new(place))
    });
    let told = loaded.map(|generation| json!({"lora_name": name, "generation": generation}));
    told.map_or_else(Refusal::into_response, |document| reply(StatusCode::OK, &document))
}

async fn unload(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let swapped = swap(&served, &body).and_then(|(_, name, _)| {
        served.policies.unload(&name)?;
        Ok(json!({"lora_name": name}))
    });
    swapped.map_or_else(Refusal::into_response, |document| reply(StatusCode::OK, &document))
}

/// A request to change the adapters, if such requests are allowed.
fn swap<'a>(served: &'a Served, body: &[u8]) -> Result<(&'a Shelf, String, Value), Refusal> {
    let Some(shelf) = &served.shelf else {
        let message = "adapters cannot be changed; serve with --hot-swap";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", message));
    };
    let body: Value = swegym_core::json::from_slice(body)
        .map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
    let name = numbers::text(&body, "lora_name")?.filter(|name| !name.is_empty() && name.len() <= 256);
    let name = name.ok_or_else(|| Refusal::about("lora_name", "`lora_name` is missing, or too long"))?;
    Ok((shelf, name.to_owned(), body))
}

/// Counters as Prometheus reads them.
async fn metrics(State(served): State<Arc<Served>>) -> String {
    let Counts { waiting, running, prompt_tokens, shared_tokens, new_tokens, answers } =
        served.engine.counts();
    let mut text = String::new();
    for (name, kind, value) in [
        ("requests_waiting", "gauge", waiting as u64),
        ("requests_running", "gauge", running as u64),
        ("prompt_tokens_total", "counter", prompt_tokens),
        ("shared_prompt_tokens_total", "counter", shared_tokens),
        ("generation_tokens_total", "counter", new_tokens),
        ("answers_total", "counter", answers),
    ] {
        text += &format!("# TYPE swegym_{name} {kind}\nswegym_{name} {value}\n");
    }
    text
}

fn reply(status: StatusCode, document: &Value) -> Response {
    let mut response = Response::new(Body::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
