//! Rows into packs: which trajectories pass through the decoder together.
//!
//! Best fit, longest first (as TRL's `bfd`): each row goes where it leaves the
//! least room. Attention stays inside each row and positions start again, so
//! packing changes nothing but speed.

use crate::decoder::Pack;
use crate::tokens::TokenRow;

/// What becomes of rows that are longer than the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlong {
    /// They are left out.
    #[default]
    Drop,
    /// Their end is cut off.
    Cut,
    /// They become several rows that overlap by half, each token learnt where
    /// most stands before it.
    Window,
}

impl Overlong {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Cut, Self::Window];

    /// By its name in settings.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == word)
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Cut => "cut",
            Self::Window => "window",
        }
    }
}

/// What became of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fitted {
    /// Rows that are trained on, windows counted each.
    pub kept: usize,
    /// Rows that were longer than the context.
    pub overlong: usize,
    /// Rows that teach nothing: no token of theirs is learnt.
    pub empty: usize,
}

/// A row of the tokens that one pass reads, with the weight of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// The weight of each one's loss.
    pub weights: Vec<f32>,
    /// The row it came from.
    pub row: usize,
}

/// Brings rows to at most `context` tokens (and one more to predict).
pub fn fit(rows: &[TokenRow], context: usize, overlong: Overlong) -> (Vec<Sequence>, Fitted) {
    let longest = context + 1;
    let mut fitted = Fitted::default();
    let mut sequences = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let (tokens, mut weights) = (&row.input_ids, row.loss_weights());
        let mut add = |range: std::ops::Range<usize>, weights: &[f32]| {
            // The first token is not predicted.
            if weights.iter().skip(1).all(|&w| w == 0.0) {
                return false;
            }
            sequences.push(Sequence {
                tokens: tokens[range].to_vec(),
                weights: weights.to_vec(),
                row: index,
            });
            true
        };
        if tokens.len() <= longest {
            if add(0..tokens.len(), &weights) {
                fitted.kept += 1;
            } else {
                fitted.empty += 1;
            }
            continue;
        }
        fitted.overlong += 1;
        match overlong {
            Overlong::Drop => {}
            Overlong::Cut => {
                if add(0..longest, &weights[..longest]) {
                    fitted.kept += 1;
                } else {
                    fitted.empty += 1;
                }
            }
            Overlong::Window => {
                for first in (0..tokens.len()).step_by(longest.div_ceil(2)) {
                    let last = tokens.len().min(first + longest);
                    if add(first..last, &weights[first..last]) {
                        fitted.kept += 1;
                    }
                    // What was learnt here is only read in the next window.
                    weights[first..last].fill(0.0);
                    if last == tokens.len() {
                        break;
                    }
                }
            }
        }
    }
    (sequences, fitted)
}

/// Groups sequences by their lengths into packs of at most `context` tokens.
/// Returns their indices; within a pack and among packs, in a fixed order.
pub fn best_fit(lengths: &[usize], context: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut packs: Vec<Vec<usize>> = Vec::new();
    // Packs by the room they have left.
    let mut by_room: std::collections::BTreeSet<(usize, usize)> = std::collections::BTreeSet::new();
    for index in order {
        let len = lengths[index];
        let best = by_room.range((len, 0)..).next().copied();
        let (room, pack) = best.unwrap_or_else(|| {
            packs.push(Vec::new());
            (context.max(len), packs.len() - 1)
        });
        by_room.remove(&(room, pack));
        by_room.insert((room - len, pack));
        packs[pack].push(index);
    }
    packs
}

/// The pack of some sequences.
pub fn pack(sequences: &[Sequence], indices: &[usize]) -> Pack {
    let mut pack = Pack::default();
    for &index in indices {
        pack.push(&sequences[index].tokens, &sequences[index].weights);
    }
    pack
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_sequence_is_packed_once_and_no_pack_is_too_long(lengths in prop::collection::vec(1..100usize, 0..80)) {
            let packs = best_fit(&lengths, 100);
            let mut seen: Vec<usize> = packs.iter().flatten().copied().collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for pack in &packs {
                prop_assert!(pack.iter().map(|&i| lengths[i]).sum::<usize>() <= 100);
            }
            // No two packs would fit into one another: best fit's promise.
            let total: usize = lengths.iter().sum();
            prop_assert!(packs.len() <= 2 * total.div_ceil(100) + 1);
        }

        #[test]
        fn windows_learn_each_token_once(len in 2..200usize, context in 2..40usize) {
            let row = TokenRow { input_ids: (0..len as u32).collect(), loss_mask: vec![true; len], ..TokenRow::default() };
            let (sequences, fitted) = fit(&[row], context, Overlong::Window);
            let mut learnt = vec![0; len];
            for sequence in &sequences {
                prop_assert!(sequence.tokens.len() <= context + 1);
                for (&token, &weight) in sequence.tokens.iter().zip(&sequence.weights).skip(1) {
                    learnt[token as usize] += usize::from(weight > 0.0);
                }
            }
            prop_assert_eq!(learnt[1..].iter().filter(|&&n| n != 1).count(), 0);
            prop_assert_eq!(fitted.overlong, usize::from(len > context + 1));
        }
    }
}
