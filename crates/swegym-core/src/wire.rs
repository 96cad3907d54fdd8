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
        [Self::OpenAi, Self::Anthropic].into_iter().find(|w| w.as_str() == word)
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
        parse(&String::from_utf8_lossy(body)).map_err(|e| WireError::Malformed(e.to_string()))
    }
}

/// Reads JSON of servers that cut characters in two: half a surrogate pair, which
/// Python writes and reads, is no character, and the rest of the answer still counts.
fn parse(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text).or_else(|error| match without_half_pairs(text) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// The text with a replacement character for each escape of half a pair; `None`
/// where there is none.
fn without_half_pairs(text: &str) -> Option<String> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut mended, mut from, mut at) = (String::new(), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        at += match unit(at) {
            Some(0xd800..0xdc00) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => 12,
            Some(0xd800..0xe000) => {
                mended.push_str(&text[from..at]);
                mended.push_str("\\ufffd");
                from = at + 6;
                6
            }
            // What is escaped is one character; it may be the last.
            _ => 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
    }
    mended.push_str(&text[from..]);
    (from > 0).then_some(mended)
}

/// Arguments of an earlier call as an endpoint accepts them: it may insist on
/// a JSON object even where the model wrote none.
fn sound_arguments(call: &ToolCall) -> Value {
    match serde_json::from_str(call.arguments.trim()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_one_odd_character() {
        for (text, read) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\ude00\ud83d\ude00b""#, "a\u{fffd}\u{1f600}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d \ud83dé""#, "\\ud83d \u{fffd}é"),
        ] {
            assert_eq!(parse(text).ok(), Some(Value::String(read.to_owned())), "{text}");
        }
        assert!(parse(r#""\ud83d"#).is_err() && parse("\"\\").is_err());
    }
}
