//! The head and its loss, without logits of the whole sequence.
//!
//! Every loss is a weighted negative log-likelihood: the weight of a token is
//! the only interface, zero for a token that is not learnt from. Tokens that
//! count are gathered, and their logits exist for some rows and
//! [`VOCABULARY`] tokens at a time. A vocabulary of one block is gone through
//! once; a larger one twice, first for the sums and then for the gradients.

use super::isa::widest;
use super::math::{exp, largest, scale, sum_exp};
use super::product::{Into, Sizes, View, product};
use super::{Shared, split, with_scratch};

/// Tokens of the vocabulary in a block. Part of the arithmetic.
pub(crate) const VOCABULARY: usize = 8192;

/// Logits that exist at once in one block, about.
const AT_ONCE: usize = 1 << 19;

/// The head's weights: `[width][vocabulary]`, however they lie.
#[derive(Clone, Copy)]
pub(crate) struct HeadWeights<'a> {
    pub(crate) view: View<'a>,
    pub(crate) width: usize,
    pub(crate) vocabulary: usize,
}

/// Where the head's gradient goes, and how it lies.
pub(crate) struct HeadGradient<'a> {
    pub(crate) array: &'a mut [f32],
    /// `[vocabulary][width]`, as the embedding lies.
    pub(crate) by_token: bool,
}

/// Tokens to learn from, or to score.
#[derive(Clone, Copy)]
pub(crate) struct Targets<'a> {
    /// The token that should come, one a row.
    pub(crate) tokens: &'a [u32],
    /// The weight of its loss, one a row.
    pub(crate) weights: &'a [f32],
}

/// What a row's logits say about its target.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// The logarithm of the target's probability.
    pub logprob: f32,
    /// Whether no token is likelier.
    pub greedy: bool,
}

/// Scores every row that has a weight, and where `gradient` is given computes
/// the way back: `dhidden` is added to, `factor` being the derivative of the
/// loss by a row's weighted negative log-likelihood.
pub(crate) fn cross_entropy(
    width: usize,
    head: HeadWeights<'_>,
    hidden: &[f32],
    targets: Targets<'_>,
    outcomes: &mut [Outcome],
    mut gradient: Option<(f32, &mut [f32], Option<HeadGradient<'_>>)>,
) {
    let size = head.width;
    let counted: Vec<usize> = (0..targets.tokens.len()).filter(|&row| targets.weights[row] != 0.0).collect();
    let block = VOCABULARY.min(head.vocabulary);
    let at_once = (AT_ONCE / block).clamp(128, 512);
    for rows in counted.chunks(at_once) {
        let n = rows.len();
        with_scratch(n * (size * 2 + block + 3), |scratch| {
            let (gathered, rest) = scratch.split_at_mut(n * size);
            let (dgathered, rest) = rest.split_at_mut(n * size);
            let (logits, state) = rest.split_at_mut(n * block);
            for (row, to) in rows.iter().zip(gathered.chunks_exact_mut(size)) {
                to.copy_from_slice(&hidden[row * size..][..size]);
            }
            let mut sums = LogSums::new(state, n);
            for first in (0..head.vocabulary).step_by(block) {
                let len = block.min(head.vocabulary - first);
                logits_of(width, head, gathered, first, &mut logits[..n * len]);
                sums.take(width, &logits[..n * len], first, |i| targets.tokens[rows[i]]);
            }
            for (i, &row) in rows.iter().enumerate() {
                outcomes[row] = sums.outcome(i);
            }
            let Some((factor, dhidden, dhead)) = gradient.as_mut() else { return };
            for first in (0..head.vocabulary).step_by(block) {
                let len = block.min(head.vocabulary - first);
                let logits = &mut logits[..n * len];
                if head.vocabulary > block {
                    logits_of(width, head, gathered, first, logits);
                }
                let weight = |i: usize| targets.weights[rows[i]] * *factor;
                sums.back(width, logits, first, |i| (targets.tokens[rows[i]], weight(i)));
                head_back(width, head, gathered, logits, first, dgathered, dhead.as_mut());
            }
            for (&row, from) in rows.iter().zip(dgathered.chunks_exact(size)) {
                super::math::add(&mut dhidden[row * size..][..size], from);
            }
        });
    }
}

/// The logits of some rows, for as many tokens from `first` on as there is room.
pub(crate) fn logits_of(
    width: usize,
    head: HeadWeights<'_>,
    hidden: &[f32],
    first: usize,
    logits: &mut [f32],
) {
    let rows = hidden.len() / head.width;
    let columns = logits.len() / rows;
    let sizes = Sizes { rows, inner: head.width, columns };
    let right = View { array: &head.view.array[first * head.view.right..], ..head.view };
    product(width, sizes, 1.0, View::rows(hidden, head.width), right, (logits, columns), Into::Set);
}

fn head_back(
    width: usize,
    head: HeadWeights<'_>,
    hidden: &[f32],
    dlogits: &[f32],
    first: usize,
    dhidden: &mut [f32],
    dhead: Option<&mut HeadGradient<'_>>,
) {
    let size = head.width;
    let rows = hidden.len() / size;
    let columns = dlogits.len() / rows;
    let right = View { array: &head.view.array[first * head.view.right..], ..head.view }.turned();
    let into = if first == 0 { Into::Set } else { Into::Add };
    let sizes = Sizes { rows, inner: columns, columns: size };
    product(width, sizes, 1.0, View::rows(dlogits, columns), right, (dhidden, size), into);
    let Some(dhead) = dhead else { return };
    let (dlogits, hidden) = (View::rows(dlogits, columns), View::rows(hidden, size));
    if dhead.by_token {
        let sizes = Sizes { rows: columns, inner: rows, columns: size };
        let result = (&mut dhead.array[first * size..], size);
        product(width, sizes, 1.0, dlogits.turned(), hidden, result, Into::Add);
    } else {
        let sizes = Sizes { rows: size, inner: rows, columns };
        let result = (&mut dhead.array[first..], head.vocabulary);
        product(width, sizes, 1.0, hidden.turned(), dlogits, result, Into::Add);
    }
}

/// The running logarithms of rows' sums over blocks of the vocabulary.
pub(crate) struct LogSums<'a> {
    most: &'a mut [f32],
    sums: &'a mut [f32],
    /// The target's logit.
    wanted: &'a mut [f32],
}

impl<'a> LogSums<'a> {
    /// `state` has three numbers a row.
    pub(crate) fn new(state: &'a mut [f32], rows: usize) -> Self {
        let (most, rest) = state.split_at_mut(rows);
        let (sums, wanted) = rest.split_at_mut(rows);
        most.fill(f32::MIN);
        sums.fill(0.0);
        wanted[..rows].fill(f32::NAN);
        Self { most, sums, wanted }
    }

    /// Takes in a block of logits, from token `first` on.
    pub(crate) fn take(
        &mut self,
        width: usize,
        logits: &[f32],
        first: usize,
        target: impl Fn(usize) -> u32 + Sync,
    ) {
        let rows = self.most.len();
        let columns = logits.len() / rows;
        let (most, sums, wanted) = (Shared::new(self.most), Shared::new(self.sums), Shared::new(self.wanted));
        split(width, rows, 16, |part| {
            let (start, len) = (part.start, part.len());
            // SAFETY: pieces are ranges of rows that do not overlap.
            let (most, sums, wanted) =
                unsafe { (most.slice(start, len), sums.slice(start, len), wanted.slice(start, len)) };
            let logits = &logits[start * columns..part.end * columns];
            take_rows(logits, columns, most, sums);
            for (i, wanted) in wanted.iter_mut().enumerate() {
                let token = (target(start + i) as usize).wrapping_sub(first);
                if token < columns {
                    *wanted = logits[i * columns + token];
                }
            }
        });
    }

    pub(crate) fn outcome(&self, row: usize) -> Outcome {
        Outcome { logprob: self.wanted[row] - self.log_sum(row), greedy: self.wanted[row] >= self.most[row] }
    }

    /// The logarithm of a row's sum.
    pub(crate) fn log_sum(&self, row: usize) -> f32 {
        self.most[row] + self.sums[row].ln()
    }

    /// Turns a block of logits into their gradients.
    fn back(
        &self,
        width: usize,
        logits: &mut [f32],
        first: usize,
        target: impl Fn(usize) -> (u32, f32) + Sync,
    ) {
        let rows = self.most.len();
        let columns = logits.len() / rows;
        let logits = Shared::new(logits);
        split(width, rows, 16, |part| {
            for row in part {
                // SAFETY: each row is written by one piece.
                let logits = unsafe { logits.slice(row * columns, columns) };
                let (token, weight) = target(row);
                back_row(logits, self.most[row], weight / self.sums[row]);
                let token = (token as usize).wrapping_sub(first);
                if token < columns {
                    logits[token] -= weight;
                }
            }
        });
    }
}

widest! {
    fn take_rows = take_body(logits: &[f32], columns: usize, most: &mut [f32], sums: &mut [f32])
}

#[inline(always)]
fn take_body(logits: &[f32], columns: usize, most: &mut [f32], sums: &mut [f32]) {
    for (row, logits) in logits.chunks_exact(columns).enumerate() {
        let here = largest(logits);
        let both = if here > most[row] { here } else { most[row] };
        let before = if sums[row] == 0.0 { 0.0 } else { sums[row] * exp(most[row] - both) };
        most[row] = both;
        sums[row] = before + sum_exp(logits, both);
    }
}

widest! {
    fn back_row = back_row_body(logits: &mut [f32], most: f32, factor: f32)
}

#[inline(always)]
fn back_row_body(logits: &mut [f32], most: f32, factor: f32) {
    for logit in logits.iter_mut() {
        *logit = exp(*logit - most);
    }
    scale(logits, factor);
}
