//! What becomes of an attempt: its class, and from that whether it is tried
//! again and who may learn from it (reference/agents.md, appendix D).
//!
//! One stopped command is no class: the attempt goes on, and is kept. The
//! context that an endpoint says is full is a budget like any other; a key that
//! it refuses is a fault that trying again does not mend.

use crate::{Boundary, Fault, StopReason};

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
    /// It looked where the answer may be lying about
    /// ([`crate::trajectory::conduct`]), whatever its tests say.
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

/// What is done about an attempt that came to this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Nothing: it is done.
    No,
    /// It goes on from its last whole step, a few times.
    Again,
    /// Its answer is tested again; nothing is sampled anew.
    GradeAgain,
    /// Nothing before somebody has mended something; `--resume` then takes it up.
    AfterMending,
}

/// Who may learn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Whoever trains.
    Yes,
    /// Whoever asks for it.
    Asked,
    /// Nobody.
    No,
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

    /// Of an attempt that ended: why it did, whether it resolves its instance
    /// if that is known, whether it cheated.
    #[must_use]
    pub fn of(stop: StopReason, resolved: Option<bool>, cheated: bool) -> Self {
        match (resolved, stop.is_budget()) {
            _ if cheated => Self::Cheating,
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

    /// What is done about it.
    #[must_use]
    pub fn retry(self) -> Retry {
        match self {
            Self::Resolved | Self::ResolvedOverBudget | Self::Policy | Self::Budget | Self::Cheating => {
                Retry::No
            }
            Self::Ungraded => Retry::GradeAgain,
            Self::Endpoint | Self::Sandbox => Retry::Again,
            Self::Task | Self::Harness => Retry::AfterMending,
        }
    }

    /// Whether a policy may learn to do the same. Failures are for those who
    /// leave their bad turns out of the loss.
    #[must_use]
    pub fn imitation(self) -> Admission {
        match self {
            Self::Resolved => Admission::Yes,
            Self::ResolvedOverBudget | Self::Policy | Self::Budget | Self::Cheating => Admission::Asked,
            Self::Ungraded | Self::Endpoint | Self::Sandbox | Self::Task | Self::Harness => Admission::No,
        }
    }

    /// Whether it says something about success and failure, to a verifier or as
    /// a reward. What a limit ended may have been on its way.
    #[must_use]
    pub fn judgement(self) -> Admission {
        match self {
            Self::Resolved | Self::Policy => Admission::Yes,
            Self::ResolvedOverBudget | Self::Budget | Self::Cheating => Admission::Asked,
            Self::Ungraded | Self::Endpoint | Self::Sandbox | Self::Task | Self::Harness => Admission::No,
        }
    }

    /// The reward where it is admitted: whether it resolves its instance, and
    /// nothing for what cheated.
    #[must_use]
    pub fn reward(self) -> Option<f64> {
        (self.judgement() != Admission::No)
            .then(|| f64::from(u8::from(matches!(self, Self::Resolved | Self::ResolvedOverBudget))))
    }

    /// Whether training leaves it out unless somebody asks for it.
    #[must_use]
    pub fn is_masked(self) -> bool {
        self.judgement() != Admission::Yes
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
            assert_eq!(Class::of(stop, resolved, cheated), class);
        }
    }

    /// The table, row by row.
    #[test]
    fn only_what_is_known_to_be_the_models_doing_is_learnt_from() {
        for class in Class::ALL {
            let known = matches!(class, Class::Resolved | Class::Policy);
            assert_eq!(class.is_masked(), !known, "{class:?}");
            assert_eq!(class.imitation() == Admission::Yes, class == Class::Resolved);
            assert_eq!(class.reward().is_none(), class.judgement() == Admission::No);
            let ended = Class::ALL[..5].contains(&class);
            assert_eq!(class.retry() == Retry::No, ended);
        }
        assert_eq!(Class::Cheating.reward(), Some(0.0));
        let fault = |boundary| Class::of_fault(&Fault::new(boundary, "x", "x"));
        assert_eq!(fault(Boundary::Model).retry(), Retry::Again);
        assert_eq!(fault(Boundary::Internal).retry(), Retry::AfterMending);
    }
}
