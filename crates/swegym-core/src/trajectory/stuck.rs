//! Whether an agent goes round in circles: predicates over the steps of a
//! record, each with a name and a version, so that what a run says about loops
//! can be said again of any other.
//!
//! Sources: the paper, section 3.2; OpenHands' detector, reference/agents.md,
//! section 5.

use super::{Action, Step};

/// One idea of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stuck {
    /// The paper's: the last three turns do exactly the same.
    Trailing3,
    /// The same action with the same outcome, four times.
    Repeating4,
    /// The same action, refused three times.
    Refused3,
    /// The same words without an action, three times.
    Monologue3,
    /// Two actions in turn with their two outcomes, three times over.
    Alternating6,
}

impl Stuck {
    /// All of them; the paper's is the one that metrics count.
    pub const ALL: [Self; 5] =
        [Self::Trailing3, Self::Repeating4, Self::Refused3, Self::Monologue3, Self::Alternating6];

    /// Those that watch an attempt while it runs. The paper's is left out: a
    /// third look at the same thing is no reason yet to stop.
    pub const ONLINE: [Self; 4] = [Self::Repeating4, Self::Refused3, Self::Monologue3, Self::Alternating6];

    /// Steps that the longest of them looks back on.
    pub const WINDOW: usize = 6;

    /// Name and version.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trailing3 => "trailing-3@1",
            Self::Repeating4 => "repeating-4@1",
            Self::Refused3 => "refused-3@1",
            Self::Monologue3 => "monologue-3@1",
            Self::Alternating6 => "alternating-6@1",
        }
    }

    /// Whether the last of these steps end in such a loop.
    #[must_use]
    pub fn holds(self, steps: &[Step]) -> bool {
        let last = |n: usize| steps.len().checked_sub(n).map(|from| &steps[from..]);
        let all_like_first =
            |steps: &[Step], alike: fn(&Step, &Step) -> bool| steps.iter().all(|step| alike(step, &steps[0]));
        match self {
            Self::Trailing3 => last(3).is_some_and(|s| acts(&s[0]) && all_like_first(s, same_actions)),
            Self::Repeating4 => last(4).is_some_and(|s| acts(&s[0]) && all_like_first(s, same_outcomes)),
            Self::Refused3 => last(3).is_some_and(|s| {
                acts(&s[0])
                    && all_like_first(s, same_actions)
                    && s.iter().flat_map(|s| &s.actions).all(Action::is_error)
            }),
            Self::Monologue3 => last(3).is_some_and(|s| {
                s.iter().all(|s| !acts(s) && s.problem.is_none())
                    && all_like_first(s, |a, b| a.words == b.words)
            }),
            Self::Alternating6 => last(6).is_some_and(|s| {
                let (even, odd) = (&s[0], &s[1]);
                let in_turn =
                    |(i, step): (usize, &Step)| same_outcomes(step, if i % 2 == 0 { even } else { odd });
                acts(even) && acts(odd) && !same_actions(even, odd) && s.iter().enumerate().all(in_turn)
            }),
        }
    }

    /// The first of these that holds.
    #[must_use]
    pub fn first(which: &[Self], steps: &[Step]) -> Option<Self> {
        which.iter().copied().find(|stuck| stuck.holds(steps))
    }
}

fn acts(step: &Step) -> bool {
    !step.actions.is_empty()
}

fn same_actions(a: &Step, b: &Step) -> bool {
    let call = |action: &Action| (action.call.name.clone(), action.call.arguments.clone());
    a.actions.len() == b.actions.len() && a.actions.iter().map(call).eq(b.actions.iter().map(call))
}

/// Commands are compared by their status, as in the reference: output holds
/// times and process ids.
fn same_outcomes(a: &Step, b: &Step) -> bool {
    let alike = |(x, y): (&Action, &Action)| {
        let code = |a: &Action| a.report.as_ref().and_then(|r| r.exit_code);
        match (code(x), code(y)) {
            (Some(x), Some(y)) => x == y,
            (None, None) => x.observation == y.observation,
            _ => false,
        }
    };
    same_actions(a, b) && a.actions.iter().zip(&b.actions).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ToolCall;
    use crate::record::ActionReport;

    fn step(command: &str, observation: &str, exit_code: Option<i32>, refused: bool) -> Step {
        let call = ToolCall { id: "c".into(), name: "bash".into(), arguments: command.into() };
        let report = Some(ActionReport { exit_code, refused, ..ActionReport::default() });
        Step { actions: vec![Action { call, observation: observation.into(), report }], ..Step::default() }
    }

    fn words(words: &str) -> Step {
        Step { words: words.into(), ..Step::default() }
    }

    fn found(steps: &[Step]) -> Vec<&'static str> {
        Stuck::ALL.into_iter().filter(|s| s.holds(steps)).map(Stuck::name).collect()
    }

    #[test]
    fn each_loop_is_seen_and_told_apart() {
        let ls = |i: usize| step("ls", &format!("at {i}"), Some(0), false);
        assert_eq!(found(&(0..2).map(ls).collect::<Vec<_>>()), [] as [&str; 0]);
        assert_eq!(found(&(0..3).map(ls).collect::<Vec<_>>()), ["trailing-3@1"]);
        assert_eq!(found(&(0..4).map(ls).collect::<Vec<_>>()), ["trailing-3@1", "repeating-4@1"]);
        let refused = vec![step("view", "no such file", None, true); 3];
        assert_eq!(found(&refused), ["trailing-3@1", "refused-3@1"]);
        assert_eq!(found(&vec![words("done?"); 3]), ["monologue-3@1"]);
        let turns: Vec<_> = (0..6).map(|i| step(["a", "b"][i % 2], "", Some(0), false)).collect();
        assert_eq!(found(&turns), ["alternating-6@1"]);
        assert_eq!(found(&turns[1..]), [] as [&str; 0]);
    }

    #[test]
    fn another_outcome_is_progress() {
        let mut steps = vec![step("pytest", "", Some(1), false); 4];
        steps[3] = step("pytest", "", Some(0), false);
        assert_eq!(found(&steps), ["trailing-3@1"]);
        steps[2] = step("edit", "", Some(0), false);
        assert_eq!(found(&steps), [] as [&str; 0]);
    }
}
