//! Requests to the host, one after the other: limits are waited out, failures tried again.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use swegym_console::printer::{Printer, Shown};
use swegym_console::progress::Bar;
use ureq::http::{Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::error::ApiError;
use super::limit::{Pause, Told};
use crate::cut::cut;

/// Larger answers are refused, in bytes.
const LARGEST: u64 = 32 << 20;
/// Asked so often before the host counts as out of order.
const TRIES: u32 = 5;
/// Waited for so often in a row before limits count as endless.
const MOST_WAITS: u32 = 12;
/// Followed so often: a repository may have been renamed more than once.
const MOST_REDIRECTS: u32 = 5;
/// What is kept of the host's own words, in bytes.
pub(super) const LONGEST_WORDS: usize = 300;

/// What the host answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    /// Where a list goes on.
    pub(super) next: Option<String>,
    pub(super) body: Vec<u8>,
    /// What it says of limits.
    pub(super) told: Told,
    location: Option<String>,
}

impl Answer {
    /// The host's words for why it refuses, for people.
    fn words(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = value["message"].as_str().unwrap_or("it does not say why");
        cut(words, LONGEST_WORDS).to_owned()
    }
}

/// One host, and who asks it.
pub(super) struct Client {
    agent: Agent,
    token: Option<String>,
    printer: Printer,
    /// Which repository it is about, for people.
    about: String,
    bar: Bar,
    /// What the last answer said is to be waited for before the next request.
    owed: Option<Pause>,
}

impl Client {
    pub(super) fn new(printer: Printer, about: &str, token: Option<String>) -> Self {
        let bar = Bar::counting(printer, about, "requests");
        Self { agent: agent(), token, printer, about: about.to_owned(), bar, owed: None }
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Says something for people beside how far it is.
    pub(super) fn say(&self, words: &str) {
        self.printer.say(&format!("{}: {words}", self.about));
    }

    /// Asks for an address: statuses 200, 304, and those that say that there is nothing.
    pub(super) fn get(&mut self, url: &str, etag: Option<&str>) -> Result<Answer, ApiError> {
        let mut place = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(&place, |agent, authorization| {
                let mut request = agent.get(&place).header("Accept", "application/vnd.github+json");
                request = request.header("X-GitHub-Api-Version", "2022-11-28");
                for (name, text) in [("If-None-Match", etag), ("Authorization", authorization)] {
                    if let Some(text) = text {
                        request = request.header(name, text);
                    }
                }
                request.call()
            })?;
            match &answer.location {
                Some(location) => place = beside(&place, location)?,
                None => return Ok(answer),
            }
        }
        Err(ApiError::Odd { url: url.to_owned(), why: "it leads from one address to the next".to_owned() })
    }

    /// Sends a document.
    pub(super) fn post(&mut self, url: &str, document: &str) -> Result<Answer, ApiError> {
        let answer = self.ask(url, |agent, authorization| {
            let mut request = agent.post(url).header("Content-Type", "application/json");
            if let Some(authorization) = authorization {
                request = request.header("Authorization", authorization);
            }
            request.send(document)
        })?;
        match answer.status {
            200 => Ok(answer),
            status => Err(ApiError::Refused { url: url.to_owned(), status, said: answer.words() }),
        }
    }

    fn ask(
        &mut self,
        url: &str,
        send: impl Fn(&Agent, Option<&str>) -> Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer, ApiError> {
        let authorization = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let (mut failures, mut refusals) = (0, 0);
        loop {
            if let Some(pause) = self.owed.take() {
                self.wait(pause);
            }
            let sent = send(&self.agent, authorization.as_deref());
            self.bar.add(1);
            let answer = match sent.and_then(|response| read(response, url)) {
                Ok(answer) => answer?,
                Err(source) if failures + 1 == TRIES => {
                    return Err(ApiError::Silent { url: url.to_owned(), source: Box::new(source) });
                }
                Err(_) => {
                    rest(&mut failures);
                    continue;
                }
            };
            let refused = |said| ApiError::Refused { url: url.to_owned(), status: answer.status, said };
            match answer.status {
                200 | 304 => {
                    self.owed = answer.told.after_success();
                    return Ok(answer);
                }
                404 | 410 | 451 => return Ok(answer),
                301 | 302 | 307 | 308 if answer.location.is_some() => return Ok(answer),
                401 => {
                    let has_token = self.has_token();
                    return Err(ApiError::Token { url: url.to_owned(), has_token });
                }
                status @ (403 | 429) => {
                    let said = answer.words();
                    let Some(pause) = answer.told.after_refusal(status, &said, refusals) else {
                        return Err(refused(said));
                    };
                    self.wait_again(url, pause, &mut refusals)?;
                }
                500..600 if failures + 1 == TRIES => {
                    return Err(ApiError::Failing { url: url.to_owned(), status: answer.status });
                }
                500..600 => rest(&mut failures),
                _ => return Err(refused(answer.words())),
            }
        }
    }

    /// Waits after a refusal, but not for ever.
    pub(super) fn wait_again(&mut self, url: &str, pause: Pause, refusals: &mut u32) -> Result<(), ApiError> {
        if *refusals == MOST_WAITS {
            return Err(ApiError::Limited { url: url.to_owned(), times: *refusals });
        }
        *refusals += 1;
        self.wait(pause);
        Ok(())
    }

    fn wait(&self, pause: Pause) {
        let words = format!("waiting {}s: the API's {}", pause.time.as_secs(), pause.limit.name());
        self.bar.say(&words);
        // A bar shows it already.
        if self.printer.shows_progress() == Shown::Lines {
            self.say(&words);
        }
        std::thread::sleep(pause.time);
        self.bar.say("");
    }
}

/// Rests after a failure, each time for longer.
pub(super) fn rest(failures: &mut u32) {
    std::thread::sleep(Duration::from_millis(300 << *failures));
    *failures += 1;
}

/// How often a request is made that fails.
pub(super) const fn tries() -> u32 {
    TRIES
}

/// Reads an answer to its end. An answer that is cut off is a failure of the network; one
/// that is too large is the host's.
fn read(mut response: Response<Body>, url: &str) -> Result<Result<Answer, ApiError>, ureq::Error> {
    let headers = response.headers().clone();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let status = response.status();
    let mut body = Vec::new();
    let reader = response.body_mut().with_config().limit(u64::MAX).reader();
    reader.take(LARGEST + 1).read_to_end(&mut body).map_err(ureq::Error::Io)?;
    if body.len() as u64 > LARGEST {
        let why = format!("it is larger than {} MiB", LARGEST >> 20);
        return Ok(Err(ApiError::Odd { url: url.to_owned(), why }));
    }
    let moved = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    let next = match text("link").and_then(next_of) {
        Some(next) => match beside(url, next) {
            Ok(next) => Some(next),
            Err(error) => return Ok(Err(error)),
        },
        None => None,
    };
    Ok(Ok(Answer {
        status: status.as_u16(),
        etag: text("etag").map(str::to_owned),
        next,
        told: Told::read(text),
        location: text("location").filter(|_| moved).map(str::to_owned),
        body,
    }))
}

/// The address behind `rel="next"` in a `Link` header.
fn next_of(link: &str) -> Option<&str> {
    let parts = link.split(',').filter_map(|part| part.trim().strip_prefix('<')?.split_once('>'));
    let mut next = parts.filter(|(_, rest)| rest.split(';').any(|word| word.trim() == "rel=\"next\""));
    next.next().map(|(url, _)| url)
}

/// An address that an answer names, of the same host: nobody else is told the token.
fn beside(url: &str, named: &str) -> Result<String, ApiError> {
    let own = origin(url);
    let whole = match named.starts_with('/') && !named.starts_with("//") {
        true => format!("{own}{named}"),
        false => named.to_owned(),
    };
    if origin(&whole) == own && whole.len() <= 4096 {
        return Ok(whole);
    }
    Err(ApiError::Odd { url: url.to_owned(), why: "it leads to another host".to_owned() })
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#', '\\']).map_or(url.len(), |at| start + at);
    &url[..end]
}

fn agent() -> Agent {
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<Certificate<'static>> =
        found.certs.iter().map(|one| Certificate::from_der(one.as_ref()).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(certificates))).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        // Whoever follows tells the token.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("swegym")
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(120)))
        .build();
    config.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_of_the_same_host() {
        let link = r#"<https://h.org/a?page=1>; rel="prev", <https://h.org/a?page=3>; rel="next""#;
        assert_eq!(next_of(link), Some("https://h.org/a?page=3"));
        assert_eq!(next_of(r#"<https://h.org/a>; rel="last""#), None);
        assert_eq!(next_of("nonsense, <, >;"), None);
        let from = "https://h.org/a";
        assert_eq!(beside(from, "https://h.org/b").unwrap(), "https://h.org/b");
        assert_eq!(beside(from, "/b?x=1").unwrap(), "https://h.org/b?x=1");
        for other in [
            "https://evil.org/a",
            "http://h.org/a",
            "https://h.org.evil.org/a",
            "https://h.org:444/a",
            "https://h.org@evil.org/a",
            "https://h.org\\@evil.org/a",
            "//evil.org/a",
            "file:///etc/passwd",
            "b",
        ] {
            let named = beside(from, other);
            assert!(
                named.is_err() || named.as_deref().is_ok_and(|url| origin(url) == "https://h.org"),
                "{other}"
            );
        }
    }
}
