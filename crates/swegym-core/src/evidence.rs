//! What became of an answer and of the tests that were run on it, in words that
//! the one who runs, the file, and the one who grades share.

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
