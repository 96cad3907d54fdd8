//! The seam between agents and models: one question, one answer.

pub mod adapters;
pub mod budget;
pub mod endpoint;
pub mod replayed;
pub mod scripted;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use swegym_core::chat::{Message, Role, Sampling, Tool};
use swegym_core::wire::{Reply, Request, Wire};
use swegym_core::{Boundary, Fault, Retry};
use thiserror::Error;

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The conversation so far.
    pub messages: &'a [Message],
    /// Tools with fields of their own; none where calls are text.
    pub tools: &'a [Tool],
    /// How tokens are drawn.
    pub sampling: &'a Sampling,
    /// Words that end the answer.
    pub stop: &'a [&'a str],
    /// What asks: questions of one session share a beginning, so that they
    /// belong where that beginning is cached.
    pub session: &'a str,
}

impl Ask<'_> {
    /// The text of the question to this model, in memory of its own length:
    /// conversations are long, and many wait for their answers.
    fn write(&self, wire: Wire, model: &str, stream: bool) -> Arc<str> {
        let Self { messages, tools, sampling, stop, .. } = *self;
        wire.write(&Request { model, messages, tools, sampling, stop, stream }).into()
    }

    /// How many answers the conversation holds: the number of the next one.
    fn answers(&self) -> usize {
        self.messages.iter().filter(|m| m.role == Role::Assistant).count()
    }
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTry {
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// Its body, or what went wrong.
    pub body: String,
    /// How long was waited after it.
    pub wait: Duration,
}

/// An answer, with its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// As received.
    pub response: Vec<u8>,
    /// What it says.
    pub reply: Reply,
    /// From the last try to its answer.
    pub latency: Duration,
}

/// What came of a question, with the tries that failed on the way.
#[derive(Debug)]
pub struct Answered {
    /// Before the last.
    pub failed: Vec<FailedTry>,
    /// The last.
    pub result: Result<Answer, ModelError>,
}

/// Why there is no answer.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ModelError {
    /// The conversation no longer fits the model.
    #[error("the conversation no longer fits the model: {0}")]
    ContextOverflow(String),
    /// The endpoint does not know us.
    #[error("the endpoint refuses the key (status {status}): {words}")]
    Unauthorized {
        /// 401 to 403; others where the account is empty.
        status: u16,
        /// The endpoint's.
        words: String,
    },
    /// No such model or address.
    #[error("the endpoint has no such model or address (status {status}): {words}")]
    NotFound {
        /// 404, or 400.
        status: u16,
        /// The endpoint's.
        words: String,
    },
    /// The endpoint does not accept the request; asking again does not help.
    #[error("the endpoint refuses the request (status {status}): {words}")]
    Refused {
        /// Another status.
        status: u16,
        /// The endpoint's.
        words: String,
    },
    /// Every try failed.
    #[error("no answer in {tries} tries: {last}")]
    Unreachable {
        /// How many.
        tries: usize,
        /// Of the last.
        last: String,
    },
    /// The run may use no more.
    #[error("the run's budget is spent: {0}")]
    BudgetSpent(String),
    /// A script has no answer.
    #[error("the script {0}")]
    Script(String),
}

impl ModelError {
    /// The same as a fault, with what to do.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let (code, hint) = match self {
            Self::ContextOverflow(_) => ("context_overflow", "set --max-context below the model's length"),
            Self::Unauthorized { .. } => {
                ("unauthorized", "set the key in the variable that --key-from names, and check the account")
            }
            Self::NotFound { .. } => {
                ("not_found", "check --model and --endpoint; the address usually ends in /v1")
            }
            Self::Refused { .. } => ("refused", "the endpoint's own words say what it does not accept"),
            Self::Unreachable { .. } => {
                ("unreachable", "check that the endpoint runs, then go on with --resume; nothing is lost")
            }
            Self::BudgetSpent(_) => ("budget_spent", "go on with --resume and a larger budget"),
            Self::Script(_) => ("script", "give the script more answers"),
        };
        Fault::new(Boundary::Model, code, self.to_string()).with_hint(hint)
    }

    /// Whether every other question of the run would end in the same way.
    #[must_use]
    pub fn is_everybodys(&self) -> bool {
        self.to_fault().retry() == Retry::Halt
    }
}

/// Something that answers.
#[async_trait]
pub trait Model: Send + Sync {
    /// Its name, for records and predictions.
    fn name(&self) -> &str;

    /// The protocol of its bytes.
    fn wire(&self) -> Wire;

    /// The text of a question, as it is sent.
    fn request(&self, ask: &Ask<'_>) -> Arc<str> {
        ask.write(self.wire(), self.name(), false)
    }

    /// Answers one question, which [`Self::request`] has written, after retries
    /// where they can help.
    async fn answer(&self, ask: &Ask<'_>, request: &Arc<str>) -> Answered;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_say_whether_to_ask_again() {
        let words = String::new;
        for (error, retry) in [
            (ModelError::Unauthorized { status: 401, words: words() }, Retry::Halt),
            (ModelError::NotFound { status: 404, words: words() }, Retry::Halt),
            (ModelError::BudgetSpent(words()), Retry::Halt),
            (ModelError::Refused { status: 400, words: words() }, Retry::Never),
            (ModelError::Script(words()), Retry::Never),
            (ModelError::ContextOverflow(words()), Retry::Again),
        ] {
            assert_eq!(error.to_fault().retry(), retry, "{error}");
        }
    }
}
