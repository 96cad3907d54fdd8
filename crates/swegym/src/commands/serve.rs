//! A model of this machine behind OpenAI's protocol.
//!
//! One thread computes ([`engine`]); requests are read and answered here. What
//! a request gives is what training on the same tokens computes, to the bit.

mod answer;
mod engine;
mod policies;
mod question;
mod score;
mod text;

use std::future::IntoFuture as _;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use swegym_train::generation::Limits;
use swegym_train::tokenizer::Tokenizer;

use super::policy::{self, Loaded};
use crate::args::ServeArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::session::listen_for_stop;
use engine::{Counts, Engine};
use policies::Policies;
use question::{Kind, Question};

/// What every request needs.
pub(crate) struct Served {
    policies: Policies,
    /// Classes of the model's head, if it cannot write.
    classes: Option<usize>,
    /// Whether requests may load and unload adapters.
    hot_swap: bool,
    tokenizer: Tokenizer,
    engine: Engine,
    context: usize,
    max_tokens: usize,
    queue: usize,
    begun: i64,
}

/// Why a request is not answered.
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "invalid_request_error", message: message.into() }
    }

    fn into_response(self) -> Response {
        let error = json!({"message": self.message, "type": self.code, "code": self.code});
        let mut response = reply(self.status, &json!({ "error": error }));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Serves until it is told to stop; requests under way are answered first.
pub(crate) async fn run(printer: Printer, cores: usize, args: &ServeArgs) -> Result<u8, CommandError> {
    let served = open(cores, args)?;
    let name = served.policies.base().to_owned();
    let listener = tokio::net::TcpListener::bind(&args.listen).await.map_err(|e| {
        CommandError::usage(format!("cannot listen at {}: {e}", args.listen), "give another --listen")
    })?;
    let endpoint = format!("http://{}/v1", listener.local_addr()?);
    let table = vec![vec!["endpoint".to_owned(), "model".to_owned()], vec![endpoint.clone(), name.clone()]];
    printer.result(&json!({"endpoint": endpoint, "model": name}), &table);
    let mut stop = listen_for_stop();
    let app = router(Arc::new(served));
    let stopped = async move {
        // An error means that nobody can ask any more.
        _ = stop.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, app).with_graceful_shutdown(stopped).await?;
    Ok(exit::DONE)
}

/// A server within a pipeline, at an address of its own choice.
pub(crate) struct Local {
    /// Where it answers.
    pub(crate) endpoint: String,
    stop: tokio::sync::oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// Serves a model until [`Local::stop`].
pub(crate) async fn start(cores: usize, args: &ServeArgs) -> Result<Local, CommandError> {
    let served = tokio::task::block_in_place(|| open(cores, args))?;
    let listener = tokio::net::TcpListener::bind(&args.listen).await?;
    let endpoint = format!("http://{}/v1", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let until = async move {
        // Whoever drops the server wants it to stop as well.
        _ = stopped.await;
    };
    let app = router(Arc::new(served));
    let task = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(until).into_future());
    Ok(Local { endpoint, stop, task })
}

impl Local {
    /// Answers what is under way, and ends.
    pub(crate) async fn stop(self) -> Result<(), CommandError> {
        _ = self.stop.send(());
        Ok(self.task.await.map_err(std::io::Error::other)??)
    }
}

fn open(cores: usize, args: &ServeArgs) -> Result<Served, CommandError> {
    let Loaded { decoder, tokenizer, folder } = policy::load(&args.model)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build();
    let pool = pool.map_err(|e| CommandError::from(std::io::Error::other(e)))?;
    let context = decoder.shape.context;
    let limits = Limits { running: args.at_once.max(1), ..Limits::default() };
    let named = args.model.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or(named).unwrap_or_else(|| "model".to_owned());
    let (classes, decoder) = (decoder.shape.classes, Arc::new(decoder));
    let policies = Policies::new(Arc::clone(&decoder), &name, &folder)?;
    for adapter in &args.adapters {
        let (name, place) = adapter.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("`{adapter}` names no adapter"), "--adapter NAME=DIR")
        })?;
        policies.load(name, std::path::Path::new(place))?;
    }
    Ok(Served {
        policies,
        classes,
        hot_swap: args.hot_swap,
        tokenizer,
        engine: Engine::start(decoder, Arc::new(pool), limits)?,
        context,
        max_tokens: args.max_tokens,
        queue: args.queue + args.at_once,
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
            let message = "there is no such path".to_owned();
            Refusal { status: StatusCode::NOT_FOUND, code: "not_found", message }.into_response()
        })
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
    let message = "too many requests are waiting".to_owned();
    Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, code: "overloaded", message })
}

async fn respond(served: &Arc<Served>, kind: Kind, body: &[u8]) -> Response {
    let asked =
        Question::read(served, kind, body).and_then(|question| refuse_overload(served).map(|()| question));
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
    let swapped = swap(&served, &body).and_then(|(name, body)| {
        let folder = body["lora_path"].as_str().ok_or_else(|| Refusal::bad("`lora_path` is missing"))?;
        // Reading an adapter takes the disk's time, not the clock's.
        let loaded =
            tokio::task::block_in_place(|| served.policies.load(&name, std::path::Path::new(folder)));
        let generation = loaded.map_err(|e| Refusal::bad(e.message))?;
        Ok(json!({"lora_name": name, "generation": generation}))
    });
    swapped.map_or_else(Refusal::into_response, |document| reply(StatusCode::OK, &document))
}

async fn unload(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let swapped = swap(&served, &body).and_then(|(name, _)| {
        served.policies.unload(&name)?;
        Ok(json!({"lora_name": name}))
    });
    swapped.map_or_else(Refusal::into_response, |document| reply(StatusCode::OK, &document))
}

/// A request to change the adapters, if such requests are allowed.
fn swap(served: &Served, body: &[u8]) -> Result<(String, Value), Refusal> {
    if !served.hot_swap {
        let message = "adapters cannot be changed; serve with --hot-swap".to_owned();
        return Err(Refusal { status: StatusCode::FORBIDDEN, code: "forbidden", message });
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
    let name = body["lora_name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Refusal::bad("`lora_name` is missing"))?.to_owned();
    Ok((name, body))
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
