//! One answer of the model and what came of it.

use crate::chat::{ToolCall, Usage};
use crate::record::ActionReport;

/// A call with its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What the model asked for.
    pub call: ToolCall,
    /// What it saw.
    pub observation: String,
    /// How it went, where something was carried out.
    pub report: Option<ActionReport>,
}

impl Action {
    /// Whether the answer is an error, by the tool or by the command's status.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.report.as_ref().is_none_or(|r| r.refused)
    }
}

/// One answer of the model and what came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// From 1.
    pub number: u32,
    /// The model's words.
    pub words: String,
    /// Its calls with their answers.
    pub actions: Vec<Action>,
    /// The code of what was wrong with the answer.
    pub problem: Option<String>,
    /// Predicates that saw a loop here.
    pub nudges: Vec<String>,
    /// What the answer used.
    pub usage: Usage,
    /// How long it took.
    pub latency_ms: u64,
    /// The answer to the problem after this step, if it changed in it.
    pub patch: Option<String>,
}
