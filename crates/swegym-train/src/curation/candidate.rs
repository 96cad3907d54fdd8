//! What rules of curation look at.

use swegym_core::{Class, StopReason};

/// What is known of an attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate {
    /// The instance.
    pub instance_id: String,
    /// Its repository.
    pub repo: String,
    /// Which set it belongs to: the run that it is of.
    pub set: String,
    /// Which attempt of that set.
    pub attempt: u32,
    /// By its hidden tests; nothing where nobody ran them.
    pub resolved: Option<bool>,
    /// What it came to: this decides whether it is a lesson.
    pub class: Option<Class>,
    /// Why it ended.
    pub stop: Option<StopReason>,
    /// Steps with an action.
    pub turns: usize,
    /// Its length in tokens, as it would be learnt.
    pub tokens: usize,
    /// It ended in a loop.
    pub stuck: bool,
    /// Its patch.
    pub patch: String,
    /// A verifier's score, where there is one.
    pub score: Option<f64>,
}

impl Candidate {
    /// Whether it did something else than its task.
    pub(super) fn cheated(&self) -> bool {
        self.class == Some(Class::Cheating)
    }

    /// Whether a limit of ours ended it. Where nobody tested it, no class says so.
    pub(super) fn is_cut(&self) -> bool {
        match self.class {
            Some(Class::Budget | Class::ResolvedOverBudget) => true,
            Some(Class::Ungraded | Class::Cheating) | None => self.stop.is_some_and(StopReason::is_budget),
            _ => false,
        }
    }
}
