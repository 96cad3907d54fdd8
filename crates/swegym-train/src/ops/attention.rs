//! Causal attention in blocks of keys, forward and back.
//!
//! Scores exist for one block of queries and [`KEYS`] keys at a time; what is
//! kept between the two directions is one number a query, the logarithm of its
//! sum (Dao et al., arXiv 2205.14135). Query heads that share a key head are
//! rows of one product. Keys lie turned, `[head_dim][keys]`, so that scores
//! follow the order of sums that `product` promises: a query's result does not
//! depend on the queries that are computed with it, and sampling one token
//! against a cache gives what training on the whole sequence gives.

use super::isa::widest;
use super::math::{dot, exp, exp_sum, largest, scale};
use super::product::{Into, Sizes, View, product};
use super::with_scratch;

/// Keys in a block. Part of the arithmetic: another number, other roundings.
pub(crate) const KEYS: usize = 512;

/// Query tokens in a block: more where there are many keys, whose packing the
/// block's queries share. It changes nothing forward; on the way back sums over
/// queries run block by block, so there it is part of the arithmetic, and
/// follows from the sequence's length alone.
pub(crate) fn queries_of(tokens: usize) -> usize {
    if tokens < 2048 { 64 } else { 128 }
}

/// Some of a key head's keys and values: `keys` are `[head_dim][stride]`,
/// `values` are `[..][head_dim]`.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) keys: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) values: &'a [f32],
}

/// The shape of one head's work.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    /// Query heads that share the key head.
    pub(crate) group: usize,
    pub(crate) head_dim: usize,
}

/// Attends from `queries` (`[tokens * group][head_dim]`, scaled already), the
/// first of which stands at position `first`, to every key up to its own.
/// `block(i)` gives keys from `i * KEYS` on. Writes `out` in the order of
/// `queries`, and the logarithm of each query's sum.
pub(crate) fn attend<'a>(
    head: Head,
    queries: &[f32],
    first: usize,
    block: impl Fn(usize) -> Block<'a>,
    out: &mut [f32],
    log_sums: &mut [f32],
) {
    let Head { group, head_dim } = head;
    let rows = queries.len() / head_dim;
    let keys = first + rows / group;
    with_scratch(rows * (KEYS.min(keys) + 2), |scratch| {
        let (state, scores) = scratch.split_at_mut(2 * rows);
        let (most, sums) = state.split_at_mut(rows);
        for (index, start) in (0..keys).step_by(KEYS).enumerate() {
            let len = KEYS.min(keys - start);
            let block = block(index);
            let scores = &mut scores[..rows * len];
            let sizes = Sizes { rows, inner: head_dim, columns: len };
            let (left, right) = (View::rows(queries, head_dim), View::rows(block.keys, block.stride));
            product(1, sizes, 1.0, left, right, (scores, len), Into::Set);
            weigh(scores, len, group, first, start, most, sums, out);
            let sizes = Sizes { rows, inner: len, columns: head_dim };
            let into = if start == 0 { Into::Set } else { Into::Add };
            let (left, right) = (View::rows(scores, len), View::rows(block.values, head_dim));
            product(1, sizes, 1.0, left, right, (out, head_dim), into);
        }
        finish(most, sums, out, log_sums);
    });
}

widest! {
    /// Turns a block of scores into weights relative to each row's largest so
    /// far, and brings what was summed before to the same scale.
    fn weigh = weigh_body(
        scores: &mut [f32], len: usize, group: usize, first: usize, start: usize,
        most: &mut [f32], sums: &mut [f32], out: &mut [f32],
    )
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop over a block's whole state")]
fn weigh_body(
    scores: &mut [f32],
    len: usize,
    group: usize,
    first: usize,
    start: usize,
    most: &mut [f32],
    sums: &mut [f32],
    out: &mut [f32],
) {
    let head_dim = out.len() / most.len();
    for (row, scores) in scores.chunks_exact_mut(len).enumerate() {
        let seen = (first + row / group + 1).saturating_sub(start).min(len);
        let (scores, unseen) = scores.split_at_mut(seen);
        unseen.fill(0.0);
        if seen == 0 {
            continue;
        }
        let here = largest(scores);
        if start == 0 {
            most[row] = here;
            sums[row] = exp_sum(scores, here);
        } else {
            let both = if here > most[row] { here } else { most[row] };
            let shrink = exp(most[row] - both);
            most[row] = both;
            sums[row] = sums[row] * shrink + exp_sum(scores, both);
            scale(&mut out[row * head_dim..(row + 1) * head_dim], shrink);
        }
    }
}

widest! {
    fn finish = finish_body(most: &[f32], sums: &[f32], out: &mut [f32], log_sums: &mut [f32])
}

#[inline(always)]
fn finish_body(most: &[f32], sums: &[f32], out: &mut [f32], log_sums: &mut [f32]) {
    let head_dim = out.len() / most.len();
    for (row, out) in out.chunks_exact_mut(head_dim).enumerate() {
        scale(out, 1.0 / sums[row]);
        log_sums[row] = most[row] + sums[row].ln();
    }
}

/// What the way back through one key head of one segment reads.
#[derive(Clone, Copy)]
pub(crate) struct Forward<'a> {
    /// `[tokens * group][head_dim]`, scaled.
    pub(crate) queries: &'a [f32],
    /// The segment's keys and values.
    pub(crate) keys: Block<'a>,
    /// The result and its gradient: rows of tokens, `stride` apart, the
    /// group's heads side by side.
    pub(crate) out: &'a [f32],
    pub(crate) dout: &'a [f32],
    pub(crate) stride: usize,
    /// Logarithms of the sums, one a query.
    pub(crate) log_sums: &'a [f32],
}

/// The way back through [`attend`] for a whole segment. Sets `dqueries`, and
/// adds to `dkeys` and `dvalues` (`[tokens][head_dim]`).
pub(crate) fn attend_back(
    head: Head,
    from: Forward<'_>,
    dqueries: &mut [f32],
    dkeys: &mut [f32],
    dvalues: &mut [f32],
) {
    let Head { group, head_dim } = head;
    let tokens = from.log_sums.len() / group;
    let queries = queries_of(tokens);
    let most_rows = queries.min(tokens) * group;
    let most_keys = KEYS.min(tokens);
    let lengths = [most_rows * most_keys, most_rows * most_keys, most_rows * head_dim, most_rows];
    with_scratch(lengths.iter().sum(), |scratch| {
        let (weights, rest) = scratch.split_at_mut(lengths[0]);
        let (dscores, rest) = rest.split_at_mut(lengths[1]);
        let (dout, along) = rest.split_at_mut(lengths[2]);
        for first in (0..tokens).step_by(queries) {
            let rows = queries.min(tokens - first) * group;
            let (dout, along) = (&mut dout[..rows * head_dim], &mut along[..rows]);
            gather(head, from, first, dout, along);
            let queries = &from.queries[first * group * head_dim..][..rows * head_dim];
            let log_sums = &from.log_sums[first * group..][..rows];
            let dqueries = &mut dqueries[first * group * head_dim..][..rows * head_dim];
            let keys = first + rows / group;
            for start in (0..keys).step_by(KEYS) {
                let len = KEYS.min(keys - start);
                let (weights, dscores) = (&mut weights[..rows * len], &mut dscores[..rows * len]);
                let keys = View::rows(&from.keys.keys[start..], from.keys.stride);
                let values = View::rows(&from.keys.values[start * head_dim..], head_dim);
                let (queries, dout) = (View::rows(queries, head_dim), View::rows(dout, head_dim));
                let wide = Sizes { rows, inner: head_dim, columns: len };
                product(1, wide, 1.0, queries, keys, (weights, len), Into::Set);
                product(1, wide, 1.0, dout, values.turned(), (dscores, len), Into::Set);
                weigh_back(weights, dscores, len, group, first, start, log_sums, along);
                let (weights, dscores) = (View::rows(weights, len), View::rows(dscores, len));
                let tall = Sizes { rows: len, inner: rows, columns: head_dim };
                let (dkeys, dvalues) = (&mut dkeys[start * head_dim..], &mut dvalues[start * head_dim..]);
                product(1, tall, 1.0, weights.turned(), dout, (dvalues, head_dim), Into::Add);
                product(1, tall, 1.0, dscores.turned(), queries, (dkeys, head_dim), Into::Add);
                let sizes = Sizes { rows, inner: len, columns: head_dim };
                let into = if start == 0 { Into::Set } else { Into::Add };
                product(1, sizes, 1.0, dscores, keys.turned(), (dqueries, head_dim), into);
            }
        }
    });
}

widest! {
    /// The gradient of a block's results in the order of its queries, and each
    /// query's product of result and gradient.
    fn gather = gather_body(head: Head, from: Forward<'_>, first: usize, dout: &mut [f32], along: &mut [f32])
}

#[inline(always)]
fn gather_body(head: Head, from: Forward<'_>, first: usize, dout: &mut [f32], along: &mut [f32]) {
    let Head { group, head_dim } = head;
    for (row, (dout, along)) in dout.chunks_exact_mut(head_dim).zip(along).enumerate() {
        let place = (first + row / group) * from.stride + row % group * head_dim;
        dout.copy_from_slice(&from.dout[place..place + head_dim]);
        *along = dot(dout, &from.out[place..place + head_dim]);
    }
}

widest! {
    /// Scores become weights, and gradients of weights those of scores.
    fn weigh_back = weigh_back_body(
        weights: &mut [f32], dscores: &mut [f32], len: usize, group: usize, first: usize, start: usize,
        log_sums: &[f32], along: &[f32],
    )
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one loop over a block's whole state")]
fn weigh_back_body(
    weights: &mut [f32],
    dscores: &mut [f32],
    len: usize,
    group: usize,
    first: usize,
    start: usize,
    log_sums: &[f32],
    along: &[f32],
) {
    for (row, (weights, dscores)) in
        weights.chunks_exact_mut(len).zip(dscores.chunks_exact_mut(len)).enumerate()
    {
        let seen = (first + row / group + 1).saturating_sub(start).min(len);
        weights[seen..].fill(0.0);
        dscores[seen..].fill(0.0);
        let (log_sum, along) = (log_sums[row], along[row]);
        for (weight, dscore) in weights[..seen].iter_mut().zip(&mut dscores[..seen]) {
            let share = exp(*weight - log_sum);
            *weight = share;
            *dscore = share * (*dscore - along);
        }
    }
}
