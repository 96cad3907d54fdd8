//! What one test run left behind. Grading looks at nothing else.

use crate::junit::Case;
use crate::reading::Reading;

/// How the test command ended, as the supervisor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It returned this status.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It was stopped at its time limit.
    TimedOut,
}

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

/// What became of the answer's patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchOutcome {
    /// There was none.
    Absent,
    /// It applies and was applied.
    Applied,
    /// It was refused before anything ran it: (code, message, hint).
    Refused(String, String, String),
    /// No tool could apply it.
    Failed(String),
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
