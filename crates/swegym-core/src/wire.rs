//! The protocols that model endpoints speak: bytes out, bytes in.
//!
//! Pure: who sends the bytes, and how often, is decided elsewhere. The bytes of
//! both directions go into the record as they are; everything here is a view.

pub mod anthropic;
pub mod openai;
mod refusal;
mod stream;

use serde_json::Value;
use thiserror::Error;

use crate::chat::{Finish, Message, Sampling, Tokens, Tool, ToolCall, Usage};
pub use refusal::{Refusal, RefusalKind};

/// Which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// `POST …/chat/completions`.
    OpenAi,
    /// `POST …/messages`.
    Anthropic,
}

/// One request, before it is bytes.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The model's name at the endpoint.
    pub model: &'a str,
    /// The conversation so far.
    pub messages: &'a [Message],
    /// Tools with fields of their own; none where calls are text.
    pub tools: &'a [Tool],
    /// How tokens are drawn.
    pub sampling: &'a Sampling,
    /// Words that end the answer.
    pub stop: &'a [&'a str],
    /// Ask for the answer piece by piece.
    pub stream: bool,
}

/// One answer, read from bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What the model says and calls.
    pub message: Message,
    /// The role it came in, if that is not the assistant's.
    pub wrong_role: Option<String>,
    /// Why it stopped.
    pub finish: Finish,
    /// What it used.
    pub usage: Usage,
}

/// Why an answer cannot be read. Asking again may help.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum WireError {
    /// Not JSON, or not the protocol's.
    #[error("the answer is not what the protocol has: {0}")]
    Malformed(String),
    /// An answer without an answer.
    #[error("the answer has no choices")]
    NoChoices,
    /// The stream ended in the middle.
    #[error("the answer ended in the middle")]
    CutStream,
}

impl Wire {
    /// Both protocols.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// The word in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// Reads the word of [`Wire::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|w| w.as_str() == word)
    }

    /// What stands behind the endpoint's address.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "chat/completions",
            Self::Anthropic => "messages",
        }
    }

    /// The text of a request.
    #[must_use]
    pub fn write(self, request: &Request<'_>) -> String {
        let extra = &request.sampling.extra;
        let mut body = match self {
            // Every key is text, and that is all that could go wrong.
            Self::OpenAi if extra.is_empty() => {
                return serde_json::to_string(&openai::Body::of(request)).unwrap_or_default();
            }
            Self::OpenAi => serde_json::to_value(openai::Body::of(request)).unwrap_or_default(),
            Self::Anthropic => anthropic::write(request),
        };
        for (key, value) in extra {
            match (&mut body, value) {
                (Value::Object(body), Value::Null) => drop(body.shift_remove(key)),
                (body, value) => body[key] = value.clone(),
            }
        }
        body.to_string()
    }

    /// Reads the bytes of an answer, streamed or not.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn read(self, body: &[u8]) -> Result<Reply, WireError> {
        let value = self.whole(body)?;
        match self {
            Self::OpenAi => openai::read(&value),
            Self::Anthropic => anthropic::read(&value),
        }
    }

    /// Token ids and log-probabilities of a recorded answer.
    #[must_use]
    pub fn tokens(self, body: &[u8]) -> Tokens {
        match (self, self.whole(body)) {
            (Self::OpenAi, Ok(value)) => openai::tokens(&value),
            _ => Tokens::default(),
        }
    }

    /// Which weights answered, where the endpoint tells (`system_fingerprint`).
    #[must_use]
    pub fn fingerprint(self, body: &[u8]) -> Option<String> {
        self.whole(body).ok()?.get("system_fingerprint")?.as_str().map(str::to_owned)
    }

    /// The document; a stream is put together first.
    fn whole(self, body: &[u8]) -> Result<Value, WireError> {
        if stream::is_stream(body) {
            return match self {
                Self::OpenAi => stream::openai(body),
                Self::Anthropic => stream::anthropic(body),
            };
        }
        crate::json::from_str(&String::from_utf8_lossy(body)).map_err(|e| WireError::Malformed(e.to_string()))
    }
}

/// Arguments of an earlier call as an endpoint accepts them: it may insist on
/// a JSON object even where the model wrote none.
fn sound_arguments(call: &ToolCall) -> Value {
    match crate::json::from_str(call.arguments.trim()) {
        Ok(Value::Object(map)) if call.arguments.len() <= crate::calls::LONGEST_ARGUMENTS => {
            Value::Object(map)
        }
        _ if call.arguments.trim().is_empty() => Value::Object(serde_json::Map::new()),
        _ => {
            let start: String = call.arguments.chars().take(2000).collect();
            serde_json::json!({"unreadable_arguments": start})
        }
    }
}
