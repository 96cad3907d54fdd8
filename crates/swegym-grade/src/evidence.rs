//! What one test run left behind. Grading looks at nothing else.

pub use swegym_core::evidence::{PatchOutcome, RunEnd};

use crate::junit::Case;
use crate::reading::Reading;

/// The evidence of one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Whether the answer's patch went on; with the tool's words if not.
    pub patch: PatchOutcome,
    /// What the tests printed, read; `None` when they were not run.
    pub reading: Option<Reading>,
    /// How the test command ended, by the supervisor; `None` when only a log is left.
    pub end: Option<RunEnd>,
    /// Structured results.
    pub structured: Structured,
    /// A limit of the box that the tests ran into (`memory`, `disk`, `processes`, `output`).
    pub limit_hit: Option<String>,
}

/// The second witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Structured {
    /// The runner does not write any.
    NotOffered,
    /// It should have, and did not, or wrote something unreadable.
    Missing(String),
    /// Case by case.
    Cases(Vec<Case>),
}
