//! What broke, told apart from what was decided.

use std::borrow::Cow;
use std::fmt;

use crate::hint::{Hint, Trouble};

/// The border at which something broke. A fault that is not the agent's is
/// retried, never counted as a verdict and never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Boundary {
    /// The model endpoint.
    Model,
    /// The box: namespaces, limits, storage.
    Sandbox,
    /// The task itself: its image, its tests, its recipe.
    Task,
    /// What the agent wrote.
    Agent,
    /// swegym.
    Internal,
}

impl Boundary {
    const ALL: [Self; 5] = [Self::Model, Self::Sandbox, Self::Task, Self::Agent, Self::Internal];

    /// The word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Sandbox => "sandbox",
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Internal => "internal",
        }
    }

    /// Reads the word of [`Boundary::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|b| b.as_str() == word)
    }

    /// Whether trying the same job again can help: only where the machinery
    /// broke, not where a task or an answer is wrong.
    #[must_use]
    pub fn is_infrastructure(self) -> bool {
        matches!(self, Self::Model | Self::Sandbox)
    }
}

/// What a run does after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same job again: the machinery broke.
    Again,
    /// Nothing: the same would come of it.
    Never,
    /// It begins no further job: each would meet the same.
    Halt,
}

/// Codes of a model's faults that every job of the run would meet.
const EVERYBODYS: [&str; 3] = ["unauthorized", "not_found", "budget_spent"];
/// Codes of a model's faults that come again: it understood, and has no other answer.
const FINAL: [&str; 2] = ["refused", "script"];

/// One thing that broke, as data: it is recorded and never cancels its siblings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub boundary: Boundary,
    /// A stable code, for counting (`timeout`, `collection_error`, `no_space`, …).
    pub code: String,
    /// For people: what failed, on what, why.
    pub message: String,
    /// What to do about it, where there is something to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault without a hint.
    pub fn new(boundary: Boundary, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { boundary, code: code.into(), message: message.into(), hint: None }
    }

    /// What a run does after it.
    #[must_use]
    pub fn retry(&self) -> Retry {
        let (code, of_model) = (self.code.as_str(), self.boundary == Boundary::Model);
        if of_model && EVERYBODYS.contains(&code) {
            Retry::Halt
        } else if !self.boundary.is_infrastructure() || of_model && FINAL.contains(&code) {
            Retry::Never
        } else {
            Retry::Again
        }
    }

    /// The same fault, saying what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same fault, saying what another error says to do.
    #[must_use]
    pub fn hinted_by(mut self, error: &dyn Hint) -> Self {
        self.hint = error.hint().map(Cow::into_owned).or(self.hint);
        self
    }
}

impl Hint for Fault {
    fn hint(&self) -> Option<Cow<'static, str>> {
        self.hint.clone().map(Cow::Owned)
    }

    /// Without its code, which is for counting.
    fn message(&self) -> String {
        self.message.clone()
    }

    fn trouble(&self) -> Trouble {
        match self.boundary {
            Boundary::Model | Boundary::Sandbox => Trouble::Infrastructure,
            Boundary::Task | Boundary::Agent => Trouble::Tasks,
            Boundary::Internal => Trouble::Unexpected,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.boundary.as_str(), self.message)
    }
}

impl std::error::Error for Fault {}
