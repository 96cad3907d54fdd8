//! Rows from the tokens that a record holds: what was sampled, as it was
//! sampled, and never tokenised again.
//!
//! A turn's prompt is most often what stood there before, the answer and what
//! was observed: then all turns are one row. Where a template or a harness
//! rewrote the conversation, a new row begins, which learns only what follows.

use swegym_core::record::{AttemptHead, RecordEvent};
use swegym_core::trajectory::{FoldError, live};

use crate::mask::Mask;
use crate::token_row::TokenRow;

/// One answer with what was read before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The whole prompt.
    pub prompt: Vec<u32>,
    /// What was drawn.
    pub answer: Vec<u32>,
    /// The log-probability of each drawn token.
    pub logprobs: Option<Vec<f32>>,
    /// The weights that said it, where the endpoint tells (`system_fingerprint`).
    pub policy: Option<String>,
}

/// The answers of an attempt as tokens; nothing if the endpoint did not give
/// them for each.
///
/// # Errors
/// The events are no attempt.
pub fn turns(events: &[RecordEvent]) -> Result<Option<Vec<Turn>>, FoldError> {
    let live = live(events)?;
    let Some(RecordEvent::Started(head)) = live.first() else { return Err(FoldError::NoStart) };
    let answers = live.iter().filter_map(|event| match event {
        RecordEvent::Answered { response, .. } => Some(turn(head, response)),
        _ => None,
    });
    let turns: Option<Vec<Turn>> = answers.collect();
    Ok(turns.filter(|turns| !turns.is_empty()))
}

fn turn(head: &AttemptHead, response: &[u8]) -> Option<Turn> {
    let tokens = head.wire.tokens(response);
    let ids = |ids: Vec<u64>| -> Option<Vec<u32>> { ids.into_iter().map(|id| id.try_into().ok()).collect() };
    let (prompt, answer) = (ids(tokens.prompt_ids?)?, ids(tokens.ids?)?);
    let logprobs = tokens.logprobs.filter(|list| list.len() == answer.len());
    let logprobs = logprobs.map(|list| list.into_iter().map(|x| x as f32).collect());
    Some(Turn { prompt, answer, logprobs, policy: head.wire.fingerprint(response) })
}

/// The rows that the turns make. Each answer is learnt in one row, if the mask
/// has it learnt at all.
pub fn rows(turns: &[Turn], mask: &Mask) -> Vec<TokenRow> {
    let sampled = turns.iter().all(|turn| turn.logprobs.is_some());
    let mut rows: Vec<TokenRow> = Vec::new();
    for (number, turn) in turns.iter().enumerate() {
        let goes_on = rows.last().is_some_and(|row| turn.prompt.starts_with(&row.input_ids));
        if !goes_on {
            let (turns, logprobs) = (Some(Vec::new()), sampled.then(Vec::new));
            rows.push(TokenRow { turns, logprobs, policy: turn.policy.clone(), ..TokenRow::default() });
        }
        let row = rows.last_mut().expect("one was just put there");
        let read = turn.prompt[row.input_ids.len()..].iter().map(|&id| (id, false, -1, 0.0));
        let learnt = mask.learns(number, turns.len());
        let said = turn.answer.iter().enumerate().map(|(i, &id)| {
            let logprob = turn.logprobs.as_ref().map_or(0.0, |list| list[i]);
            (id, learnt, number as i32, logprob)
        });
        for (id, learnt, turn, logprob) in read.chain(said) {
            row.input_ids.push(id);
            row.loss_mask.push(learnt);
            row.turns.iter_mut().for_each(|turns| turns.push(turn));
            row.logprobs.iter_mut().for_each(|list| list.push(logprob));
        }
    }
    rows.retain(|row| row.learnt() > 0);
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turn(prompt: &[u32], answer: &[u32]) -> Turn {
        let logprobs = answer.iter().map(|&id| -(id as f32)).collect();
        Turn { prompt: prompt.to_vec(), answer: answer.to_vec(), logprobs: Some(logprobs), policy: None }
    }

    #[test]
    fn turns_that_go_on_are_one_row() {
        let rows = rows(&[turn(&[1, 2], &[3, 4]), turn(&[1, 2, 3, 4, 5], &[6])], &Mask::default());
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!(row.input_ids, [1, 2, 3, 4, 5, 6]);
        assert_eq!(row.loss_mask, [false, false, true, true, false, true]);
        assert_eq!(row.turns.as_deref(), Some(&[-1, -1, 0, 0, -1, 1][..]));
        assert_eq!(row.logprobs.as_deref(), Some(&[0.0, 0.0, -3.0, -4.0, 0.0, -6.0][..]));
    }

    #[test]
    fn a_rewritten_conversation_begins_a_row_that_learns_what_follows() {
        let turns = [turn(&[1, 2], &[3]), turn(&[1, 9, 3, 5], &[6])];
        let found = rows(&turns, &Mask::default());
        assert_eq!(found[1].loss_mask, [false, false, false, false, true]);
        let last = rows(&turns, &Mask { last_only: true, ..Mask::default() });
        assert_eq!(last, found[1..]);
        assert!(rows(&turns, &Mask { skip: vec![0, 1], ..Mask::default() }).is_empty());
    }

    proptest! {
        #[test]
        fn every_sampled_token_is_learnt_once(
            pieces in prop::collection::vec((prop::collection::vec(0..50u32, 1..6), prop::collection::vec(0..50u32, 1..6), prop::bool::weighted(0.2)), 1..8),
        ) {
            let (mut turns, mut before) = (Vec::new(), Vec::new());
            for (observed, said, rewritten) in pieces {
                if rewritten {
                    before.iter_mut().for_each(|id| *id += 100);
                }
                before.extend(observed);
                turns.push(turn(&before, &said));
                before.extend(said);
            }
            let rows = rows(&turns, &Mask::default());
            let learnt: Vec<u32> = rows
                .iter()
                .flat_map(|row| row.input_ids.iter().zip(&row.loss_mask).filter(|(_, l)| **l).map(|(id, _)| *id))
                .collect();
            let said: Vec<u32> = turns.iter().flat_map(|turn| turn.answer.clone()).collect();
            prop_assert_eq!(learnt, said);
        }
    }
}
