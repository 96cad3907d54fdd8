//! A model behind an address: OpenAI's or Anthropic's protocol over HTTP.
//!
//! Bytes of both directions are given back as they were, but for the key: where
//! an endpoint repeats it in an error, it is struck out.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use swegym_core::chat::Usage;
use swegym_core::visible;
use swegym_core::wire::{Refusal, RefusalKind, Wire};
use tokio::sync::Semaphore;

use super::budget::Budget;
use super::{Answer, Answered, Ask, FailedTry, Model, ModelError};

/// Longest body that is read.
const LONGEST_BODY: usize = 64 << 20;
/// Longest wait between two tries, whatever the endpoint asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The first wait; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Price of a model, in US dollars for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Read.
    pub prompt: f64,
    /// Read from a cache.
    pub cached: f64,
    /// Written.
    pub completion: f64,
}

impl Price {
    fn of(&self, usage: &Usage) -> f64 {
        let fresh = usage.prompt_tokens.saturating_sub(usage.cached_tokens) as f64;
        let cached = usage.cached_tokens as f64;
        (fresh * self.prompt + cached * self.cached + usage.completion_tokens as f64 * self.completion) / 1e6
    }
}

/// How an endpoint is reached.
#[derive(Clone, PartialEq)]
pub struct EndpointSettings {
    /// Everything before `chat/completions` or `messages`.
    pub address: String,
    /// The protocol.
    pub wire: Wire,
    /// The model's name there.
    pub model: String,
    /// The key, if it wants one.
    pub key: Option<String>,
    /// Header that carries the session.
    pub session_header: String,
    /// Requests at once.
    pub concurrent: usize,
    /// Tries after the first.
    pub retries: u32,
    /// Longest time of one try.
    pub timeout: Duration,
    /// Ask for answers piece by piece.
    pub stream: bool,
    /// What tokens cost, where the endpoint does not say.
    pub price: Option<Price>,
    /// What stands between us and the endpoint wants to be spoken to by TLS.
    pub encrypted_proxy: bool,
}

impl EndpointSettings {
    /// A model at an address, asked as usual and without a key.
    #[must_use]
    pub fn usual(model: String, address: String, wire: Wire, concurrent: usize) -> Self {
        Self {
            address,
            wire,
            model,
            key: None,
            session_header: "x-session-id".to_owned(),
            concurrent,
            retries: 8,
            timeout: Duration::from_secs(600),
            stream: false,
            price: None,
            encrypted_proxy: false,
        }
    }
}

/// A model behind an address. Share it: limits hold for all who do.
pub struct Endpoint {
    settings: EndpointSettings,
    url: String,
    client: reqwest::Client,
    turn: Semaphore,
    budget: Arc<Budget>,
    /// What ends the run for everybody, once it is known.
    over: OnceLock<ModelError>,
}

/// What one try gave.
enum Tried {
    Answer(Box<Answer>),
    Again { failed: FailedTry, asked_wait: Option<Duration> },
    Never(ModelError),
}

impl Endpoint {
    /// Prepares the connection; nothing is sent yet.
    ///
    /// # Errors
    /// In words, when address or key cannot be used.
    pub fn new(settings: EndpointSettings, budget: Arc<Budget>) -> Result<Self, String> {
        // Whoever was first has chosen the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        if let Some(key) = &settings.key {
            let (name, text) = match settings.wire {
                Wire::OpenAi => ("authorization", format!("Bearer {key}")),
                Wire::Anthropic => ("x-api-key", key.clone()),
            };
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| "the key holds characters that no header can".to_owned())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if settings.wire == Wire::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        let url = format!("{}/{}", settings.address.trim_end_matches('/'), settings.wire.path());
        let parsed =
            reqwest::Url::parse(&url).map_err(|e| format!("`{}` is no address: {e}", settings.address))?;
        let mut client = reqwest::Client::builder();
        if parsed.scheme() == "http" && !settings.encrypted_proxy {
            // Nothing will be encrypted: reading the machine's certificates
            // takes longer than a box, and more memory than an attempt.
            client = client.tls_certs_only([]);
        }
        let client = client
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(30))
            .timeout(settings.timeout)
            .pool_max_idle_per_host(settings.concurrent)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|e| e.to_string())?;
        let turn = Semaphore::new(settings.concurrent.max(1));
        Ok(Self { settings, url, client, turn, budget, over: OnceLock::new() })
    }

    async fn try_once(&self, ask: &Ask<'_>, body: &bytes::Bytes) -> Tried {
        let started = Instant::now();
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(self.settings.session_header.as_bytes()),
            HeaderValue::from_str(ask.session),
        ) {
            request = request.header(name, value);
        }
        let (status, headers, bytes) = match self.send(request.body(body.clone())).await {
            Ok(answer) => answer,
            Err(words) => return again(None, words, None),
        };
        if status == 200 {
            return match self.settings.wire.read(&bytes) {
                Ok(mut reply) => {
                    if let (None, Some(price)) = (reply.usage.cost_usd, &self.settings.price) {
                        reply.usage.cost_usd = Some(price.of(&reply.usage));
                    }
                    let latency = started.elapsed();
                    Tried::Answer(Box::new(Answer { response: bytes, reply, latency }))
                }
                Err(error) => match Refusal::status_within(&bytes) {
                    Some(status) => self.refused(status, &headers, bytes),
                    // Servers under load send halves of answers; asking again helps.
                    None => again(Some(status), format!("{error}: {}", start_of(&bytes)), None),
                },
            };
        }
        self.refused(status, &headers, bytes)
    }

    fn refused(&self, status: u16, headers: &HeaderMap, bytes: Vec<u8>) -> Tried {
        let bytes = self.without_key(bytes);
        let refusal = Refusal::read(&bytes);
        let kind = refusal.kind(status);
        let moved = headers
            .get(LOCATION)
            .filter(|_| (300..400).contains(&status))
            .and_then(|place| place.to_str().ok());
        let words = moved.map_or(refusal.message, |place| format!("it is at {place}"));
        Tried::Never(match kind {
            RefusalKind::Passing => return again(Some(status), start_of(&bytes), retry_after(headers)),
            RefusalKind::TooLong => ModelError::ContextOverflow(words),
            RefusalKind::NoAccess => ModelError::Unauthorized { status, words },
            RefusalKind::NotFound => ModelError::NotFound { status, words },
            RefusalKind::Final => ModelError::Refused { status, words },
        })
    }

    /// Sends and reads to the end, or says what went wrong.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<(u16, HeaderMap, Vec<u8>), String> {
        let words = |error: reqwest::Error| {
            let error = error.without_url();
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            text
        };
        let mut response = request.send().await.map_err(words)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(words)? {
            if bytes.len() + piece.len() > LONGEST_BODY {
                return Err(format!("the answer is longer than {LONGEST_BODY} bytes"));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok((status, headers, bytes))
    }

    fn without_key(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.settings.key {
            Some(key) if !key.is_empty() => {
                String::from_utf8_lossy(&bytes).replace(key.as_str(), "[key]").into_bytes()
            }
            _ => bytes,
        }
    }

    async fn ask_until_answered(
        &self,
        ask: &Ask<'_>,
        request: &Arc<str>,
        failed: &mut Vec<FailedTry>,
    ) -> Result<Answer, ModelError> {
        // Shared with the connection.
        let body = bytes::Bytes::from_owner(Arc::<[u8]>::from(Arc::clone(request)));
        for number in 0..=self.settings.retries {
            if let Some(over) = self.over.get() {
                return Err(over.clone());
            }
            self.budget.take_request().map_err(ModelError::BudgetSpent)?;
            let tried = {
                let _turn = self.turn.acquire().await;
                self.try_once(ask, &body).await
            };
            match tried {
                Tried::Answer(mut answer) => {
                    answer.response = self.without_key(answer.response);
                    self.budget.spend(&answer.reply.usage);
                    return Ok(*answer);
                }
                Tried::Never(error) => return Err(error),
                Tried::Again { failed: mut try_, asked_wait } => {
                    if number < self.settings.retries {
                        try_.wait = wait(number, asked_wait);
                    }
                    let pause = try_.wait;
                    failed.push(try_);
                    tokio::time::sleep(pause).await;
                }
            }
        }
        let last = failed.last().map_or(String::new(), |f| match f.status {
            Some(status) => format!("status {status}: {}", f.body),
            None => f.body.clone(),
        });
        Err(ModelError::Unreachable { tries: failed.len(), last })
    }
}

fn again(status: Option<u16>, body: String, asked_wait: Option<Duration>) -> Tried {
    Tried::Again { failed: FailedTry { status, body, wait: Duration::ZERO }, asked_wait }
}

fn start_of(bytes: &[u8]) -> String {
    visible(&String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])).into_owned()
}

/// Seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = headers.get("date").and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok())?;
    httpdate::parse_http_date(text).ok()?.duration_since(date).ok()
}

/// What the endpoint asks for, or a wait that doubles; either with up to as
/// much again by chance, so that many who wait do not come back at once.
fn wait(number: u32, asked: Option<Duration>) -> Duration {
    let chance = f64::from(RandomState::new().hash_one(number) as u32) / f64::from(u32::MAX);
    let doubled = FIRST_WAIT.saturating_mul(1 << number.min(16));
    let wait = match asked {
        Some(asked) => asked + FIRST_WAIT.mul_f64(chance),
        None => doubled.mul_f64(0.5 + 0.5 * chance),
    };
    wait.min(LONGEST_WAIT)
}

#[async_trait]
impl Model for Endpoint {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn wire(&self) -> Wire {
        self.settings.wire
    }

    fn request(&self, ask: &Ask<'_>) -> Arc<str> {
        ask.write(self.settings.wire, &self.settings.model, self.settings.stream)
    }

    async fn answer(&self, ask: &Ask<'_>, request: &Arc<str>) -> Answered {
        let mut failed = Vec::new();
        let result = self.ask_until_answered(ask, request, &mut failed).await;
        if let Err(error) = &result
            && error.is_everybodys()
        {
            // Somebody else may have met it first.
            let _ = self.over.set(error.clone());
        }
        Answered { failed, result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded() {
        for number in 0..20 {
            let wait = wait(number, None);
            let doubled = FIRST_WAIT.saturating_mul(1 << number.min(16));
            assert!(wait <= LONGEST_WAIT && wait >= (doubled / 2).min(LONGEST_WAIT), "{number}: {wait:?}");
        }
        assert!(wait(0, Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert_eq!(wait(0, Some(Duration::from_secs(9999))), LONGEST_WAIT);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("3"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(3)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:10 GMT"));
        headers.insert("date", HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(10)));
    }

    #[test]
    fn prices_tell_cached_tokens_apart() {
        let price = Price { prompt: 2.0, cached: 0.5, completion: 8.0 };
        let usage = Usage {
            prompt_tokens: 1_000_000,
            cached_tokens: 500_000,
            completion_tokens: 1000,
            cost_usd: None,
        };
        assert!((price.of(&usage) - (1.0 + 0.25 + 0.008)).abs() < 1e-12);
    }
}
