//! Which of an attempt's turns are learnt.

use swegym_core::Trajectory;
use swegym_core::calls::CallProblem;
use swegym_core::calls::text::parts_of_turns;
use swegym_core::chat::{Message, Role};
use swegym_core::trajectory::Step;

/// Which of an assistant's turns are learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mask {
    /// Only the last turn.
    pub last_only: bool,
    /// Turns that are not learnt, counting assistants' messages from 0.
    pub skip: Vec<usize>,
    /// Turns that a limit cut, counted alike: what ends them was never said.
    pub cut: Vec<usize>,
}

impl Mask {
    /// Whether a turn of so many is learnt.
    pub fn learns(&self, turn: usize, turns: usize) -> bool {
        (!self.last_only || turn + 1 == turns) && !self.skip.contains(&turn)
    }

    /// The same for a conversation whose calls are told in words, one a turn. A call
    /// that was cut is not learnt then: nobody knows how far it came.
    #[must_use]
    pub fn in_words(&self, messages: &[Message]) -> Self {
        let parts = parts_of_turns(messages);
        let calls = |turn: &&usize| {
            let mut turns = messages.iter().filter(|message| message.role == Role::Assistant);
            turns.nth(**turn).is_some_and(|message| !message.calls.is_empty())
        };
        let spread = |turns: &[usize]| -> Vec<usize> {
            let first = |turn: usize| parts[..turn].iter().sum::<usize>();
            let known = turns.iter().filter(|turn| **turn < parts.len());
            known.flat_map(|&turn| first(turn)..first(turn) + parts[turn]).collect()
        };
        let half_said: Vec<usize> = self.cut.iter().filter(calls).copied().collect();
        let skip = [spread(&self.skip), spread(&half_said)].concat();
        Self { last_only: self.last_only, skip, cut: spread(&self.cut) }
    }
}

/// A kind of turn that is no lesson (SWE-Lego's turn masks; reference/training.md, 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blemish {
    /// A tool refused the call: no such file, no such text, no such argument.
    Errors,
    /// The answer could not be read as a call.
    Malformed,
    /// The same call with the same answer as the turn before, or a loop that
    /// was pointed out.
    Loops,
}

impl Blemish {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Malformed, Self::Loops];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Malformed => "malformed",
            Self::Loops => "loops",
        }
    }

    /// By its name in settings.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|blemish| blemish.name() == word)
    }

    fn marks(self, step: &Step, before: Option<&Step>) -> bool {
        match self {
            Self::Errors => step.actions.iter().any(swegym_core::trajectory::Action::is_error),
            Self::Malformed => step.problem.is_some(),
            Self::Loops => {
                let said = |step: &Step| -> Vec<(String, String, String)> {
                    let told = |a: &swegym_core::trajectory::Action| {
                        (a.call.name.clone(), a.call.arguments.clone(), a.observation.clone())
                    };
                    step.actions.iter().map(told).collect()
                };
                let again =
                    before.is_some_and(|before| !step.actions.is_empty() && said(before) == said(step));
                again || !step.nudges.is_empty()
            }
        }
    }
}

/// The turns of an attempt, from 0, that a limit cut.
pub fn cut(attempt: &Trajectory) -> Vec<usize> {
    let steps = attempt.steps.iter().enumerate();
    steps
        .filter(|(_, step)| step.problem.as_deref() == Some(CallProblem::Cut.code()))
        .map(|(at, _)| at)
        .collect()
}

/// The turns of an attempt, from 0, that have one of some blemishes.
pub fn blemished(attempt: &Trajectory, blemishes: &[Blemish]) -> Vec<usize> {
    let steps = attempt.steps.iter().enumerate();
    let bad = |(index, step): &(usize, &Step)| {
        let before = index.checked_sub(1).map(|before| &attempt.steps[before]);
        blemishes.iter().any(|blemish| blemish.marks(step, before))
    };
    steps.filter(bad).map(|(index, _)| index).collect()
}
