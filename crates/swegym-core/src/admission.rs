//! What an attempt came to: its class, and from that whether training leaves it
//! out and what it is worth as a reward (reference/agents.md, appendix D). What
//! is tried again is the boundary's to say ([`Boundary::is_infrastructure`]).
//!
//! One stopped command is no class: the attempt goes on, and is kept. The
//! context that an endpoint says is full is a budget like any other.

use crate::{Boundary, Fault, StopReason};

/// What is known of an answer that was tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether its tests say that it resolves its instance.
    pub resolved: bool,
    /// Whether its patch has a mark ([`crate::conduct::patch`]).
    pub marked: bool,
}

impl Verdict {
    /// Whether it resolves its instance, and perhaps not by mending anything.
    #[must_use]
    pub fn is_bought(self) -> bool {
        self.resolved && self.marked
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It resolves its instance.
    Resolved,
    /// It resolves its instance, and a limit of ours ended it before it said so.
    ResolvedOverBudget,
    /// It ended by itself and does not resolve its instance.
    Policy,
    /// A limit of ours ended it, and what it left does not resolve its instance.
    Budget,
    /// It looked where the answer may be lying about, or resolves its instance by
    /// a patch that does something to the tests
    /// ([`crate::conduct`]), whatever its tests say.
    Cheating,
    /// It ended, and nobody knows yet whether it resolves its instance.
    Ungraded,
    /// The model's endpoint broke.
    Endpoint,
    /// The box broke.
    Sandbox,
    /// The task is broken: its image, its tests, its recipe.
    Task,
    /// swegym broke.
    Harness,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Resolved,
        Self::ResolvedOverBudget,
        Self::Policy,
        Self::Budget,
        Self::Cheating,
        Self::Ungraded,
        Self::Endpoint,
        Self::Sandbox,
        Self::Task,
        Self::Harness,
    ];

    /// Of an attempt that ended: why it did, what is known of its answer, whether
    /// its commands show that it cheated.
    #[must_use]
    pub fn of(stop: StopReason, verdict: Option<Verdict>, cheated: bool) -> Self {
        match (verdict.map(|v| v.resolved), stop.is_budget()) {
            _ if cheated || verdict.is_some_and(Verdict::is_bought) => Self::Cheating,
            (None, _) => Self::Ungraded,
            (Some(true), false) => Self::Resolved,
            (Some(true), true) => Self::ResolvedOverBudget,
            (Some(false), false) => Self::Policy,
            (Some(false), true) => Self::Budget,
        }
    }

    /// Of an attempt that broke. What the agent's doing broke is the agent's.
    #[must_use]
    pub fn of_fault(fault: &Fault) -> Self {
        match fault.boundary {
            Boundary::Model => Self::Endpoint,
            Boundary::Sandbox => Self::Sandbox,
            Boundary::Task => Self::Task,
            Boundary::Agent => Self::Policy,
            Boundary::Internal => Self::Harness,
        }
    }

    /// The word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::ResolvedOverBudget => "resolved_over_budget",
            Self::Policy => "policy",
            Self::Budget => "budget",
            Self::Cheating => "cheating",
            Self::Ungraded => "ungraded",
            Self::Endpoint => "endpoint",
            Self::Sandbox => "sandbox",
            Self::Task => "task",
            Self::Harness => "harness",
        }
    }

    /// Reads the word of [`Class::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }

    /// What it is worth as a reward, where anybody knows: nothing for what
    /// cheated, whatever its tests say.
    #[must_use]
    pub fn reward(self) -> Option<f64> {
        match self {
            Self::Resolved | Self::ResolvedOverBudget => Some(1.0),
            Self::Policy | Self::Budget | Self::Cheating => Some(0.0),
            Self::Ungraded | Self::Endpoint | Self::Sandbox | Self::Task | Self::Harness => None,
        }
    }

    /// Whether training leaves it out unless somebody asks for it: what a limit
    /// ended may have been on its way, and what cheated is no lesson.
    #[must_use]
    pub fn is_masked(self) -> bool {
        !matches!(self, Self::Resolved | Self::Policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_cheating_and_missing_verdicts_are_told_apart() {
        use StopReason::{StepLimit, StuckInLoop, Submitted};
        for (stop, resolved, cheated, class) in [
            (Submitted, Some(true), false, Class::Resolved),
            (StepLimit, Some(true), false, Class::ResolvedOverBudget),
            (StepLimit, Some(false), false, Class::Budget),
            (StuckInLoop, Some(false), false, Class::Policy),
            (Submitted, Some(true), true, Class::Cheating),
            (Submitted, None, true, Class::Cheating),
            (StepLimit, None, false, Class::Ungraded),
        ] {
            let verdict = resolved.map(|resolved| Verdict { resolved, marked: false });
            assert_eq!(Class::of(stop, verdict, cheated), class);
        }
        // A marked patch matters where it resolves something.
        let marked = |resolved| Some(Verdict { resolved, marked: true });
        assert_eq!(Class::of(Submitted, marked(true), false), Class::Cheating);
        assert_eq!(Class::of(StepLimit, marked(true), false), Class::Cheating);
        assert_eq!(Class::of(Submitted, marked(false), false), Class::Policy);
    }

    #[test]
    fn only_what_is_known_to_be_the_models_doing_is_learnt_from() {
        for class in Class::ALL {
            // What broke is worth nothing known, and is left out.
            let ended = Class::ALL[..5].contains(&class);
            assert_eq!(class.reward().is_some(), ended, "{class:?}");
            assert!(ended || class.is_masked(), "{class:?}");
        }
        assert_eq!(Class::Cheating.reward(), Some(0.0));
        let fault = |boundary| Class::of_fault(&Fault::new(boundary, "x", "x"));
        assert_eq!(fault(Boundary::Internal), Class::Harness);
        assert_eq!(fault(Boundary::Agent), Class::Policy);
    }
}
