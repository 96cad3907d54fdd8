//! From a layer's joined projection to heads that can attend, and back:
//! bias, norms on queries and keys where the family has them, turns by
//! position, and the order that attention reads.

use super::workspace::Angles;
use crate::architecture::MOST_HEAD_DIM;
use crate::ops::isa_widest as widest;
use crate::ops::math::dot;
use crate::ops::rows::{turn, turn_back};
use crate::ops::{Shared, split};

/// Sizes and small weights that heads need.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) epsilon: f32,
    pub(super) bias: Option<&'a [f32]>,
    /// Gains of queries and keys.
    pub(super) norms: Option<(&'a [f32], &'a [f32])>,
}

impl Heads<'_> {
    /// Columns of the joined projection.
    pub(super) fn columns(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// What a query's dot products are multiplied with.
    fn query_factor(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// Where the heads of some tokens go. Queries are `[kv][tokens * group][..]`,
/// keys `[kv][head_dim][stride]`, values `[kv][stride][head_dim]`.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) queries: Shared<'a>,
    pub(super) keys: Shared<'a>,
    pub(super) values: Shared<'a>,
    pub(super) stride: usize,
}

/// Where one token stands: in its sequence, and among the keys.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) position: usize,
    pub(super) slot: usize,
}

/// Adds the bias to each row, and for families with norms on heads computes
/// `1 / rms` of every query and key head.
pub(super) fn prepare(heads: Heads<'_>, width: usize, rows: &mut [f32], inverse: &mut Vec<f32>) {
    let columns = heads.columns();
    let normed = heads.heads + heads.kv_heads;
    let tokens = rows.len() / columns;
    inverse.resize(if heads.norms.is_some() { tokens * normed } else { 0 }, 0.0);
    let (rows, inverse) = (Shared::new(rows), Shared::new(inverse));
    split(width, tokens, 64, |part| {
        // SAFETY: pieces are ranges of rows that do not overlap.
        let (rows, inverse) = unsafe {
            let per = inverse.len() / tokens.max(1);
            (
                rows.slice(part.start * columns, part.len() * columns),
                inverse.slice(part.start * per, part.len() * per),
            )
        };
        prepare_rows(heads, rows, inverse);
    });
}

widest! {
    fn prepare_rows = prepare_body(heads: Heads<'_>, rows: &mut [f32], inverse: &mut [f32])
}

#[inline(always)]
fn prepare_body(heads: Heads<'_>, rows: &mut [f32], inverse: &mut [f32]) {
    let normed = heads.heads + heads.kv_heads;
    if let Some(bias) = heads.bias {
        crate::ops::rows::add_bias(rows, bias);
    }
    if heads.norms.is_none() {
        return;
    }
    for (row, inverse) in rows.chunks_exact(heads.columns()).zip(inverse.chunks_exact_mut(normed)) {
        for (head, inverse) in row.chunks_exact(heads.head_dim).zip(inverse) {
            *inverse = 1.0 / (dot(head, head) / heads.head_dim as f32 + heads.epsilon).sqrt();
        }
    }
}

/// Puts the heads of `rows` (prepared) where attention reads them; `standing`
/// says of each token where that is.
pub(super) fn place<'a>(
    heads: Heads<'_>,
    width: usize,
    rows: &[f32],
    inverse: &[f32],
    angles: &Angles,
    standing: impl Fn(usize) -> (Standing, Places<'a>) + Sync,
) {
    let tokens = rows.len() / heads.columns();
    split(width, tokens, 64, |part| {
        for token in part {
            let (Standing { position, slot }, places) = standing(token);
            let (cosines, sines) = angles.at(position);
            place_token(heads, rows, inverse, token, tokens, cosines, sines, slot, places);
        }
    });
}

widest! {
    fn place_token = place_body(
        heads: Heads<'_>, rows: &[f32], inverse: &[f32], token: usize, tokens: usize,
        cosines: &[f32], sines: &[f32], slot: usize, places: Places<'_>,
    )
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a token's heads, where they come from and where they go")]
fn place_body(
    heads: Heads<'_>,
    rows: &[f32],
    inverse: &[f32],
    token: usize,
    tokens: usize,
    cosines: &[f32],
    sines: &[f32],
    slot: usize,
    places: Places<'_>,
) {
    let (dim, group, stride) = (heads.head_dim, heads.group(), places.stride);
    let row = &rows[token * heads.columns()..(token + 1) * heads.columns()];
    let mut normed = [0f32; MOST_HEAD_DIM];
    let mut turned = [0f32; MOST_HEAD_DIM];
    for head in 0..heads.heads + heads.kv_heads {
        let mut from = &row[head * dim..(head + 1) * dim];
        if let Some((query_gain, key_gain)) = heads.norms {
            let gain = if head < heads.heads { query_gain } else { key_gain };
            let factor = inverse[token * (heads.heads + heads.kv_heads) + head];
            for i in 0..dim {
                normed[i] = from[i] * factor * gain[i];
            }
            from = &normed[..dim];
        }
        if head < heads.heads {
            let first = (head / group * tokens + token) * group * dim + head % group * dim;
            // SAFETY: each token's and head's place is its own.
            let to = unsafe { places.queries.slice(first, dim) };
            turn(from, to, cosines, sines, heads.query_factor());
        } else {
            turn(from, &mut turned[..dim], cosines, sines, 1.0);
            let first = (head - heads.heads) * dim * stride + slot;
            for (i, &x) in turned[..dim].iter().enumerate() {
                // SAFETY: as above.
                unsafe { places.keys.slice(first + i * stride, 1)[0] = x };
            }
        }
    }
    for head in 0..heads.kv_heads {
        let first = (head * stride + slot) * dim;
        let from = (heads.heads + heads.kv_heads + head) * dim;
        // SAFETY: as above.
        unsafe { places.values.slice(first, dim) }.copy_from_slice(&row[from..from + dim]);
    }
}

/// Gradients of heads, in the order of attention: queries as in [`Places`],
/// keys and values both `[kv][tokens][head_dim]`.
#[derive(Clone, Copy)]
pub(super) struct HeadGradients<'a> {
    pub(super) queries: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
}

/// The way back to the joined projection: sets `drows`. `raw` and `inverse`
/// are what [`prepare`] left, where heads are normed.
pub(super) fn place_back(
    heads: Heads<'_>,
    width: usize,
    from: HeadGradients<'_>,
    (raw, inverse): (&[f32], &[f32]),
    angles: &Angles,
    position: impl Fn(usize) -> usize + Sync,
    drows: &mut [f32],
) {
    let columns = heads.columns();
    let tokens = drows.len() / columns;
    let drows = Shared::new(drows);
    split(width, tokens, 64, |part| {
        for token in part {
            // SAFETY: each token's row is its own.
            let drow = unsafe { drows.slice(token * columns, columns) };
            let (cosines, sines) = angles.at(position(token));
            back_token(heads, from, (raw, inverse), token, tokens, cosines, sines, drow);
        }
    });
}

widest! {
    fn back_token = back_body(
        heads: Heads<'_>, from: HeadGradients<'_>, kept: (&[f32], &[f32]), token: usize, tokens: usize,
        cosines: &[f32], sines: &[f32], drow: &mut [f32],
    )
}

#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "a token's heads, where they come from and where they go")]
fn back_body(
    heads: Heads<'_>,
    from: HeadGradients<'_>,
    (raw, inverse): (&[f32], &[f32]),
    token: usize,
    tokens: usize,
    cosines: &[f32],
    sines: &[f32],
    drow: &mut [f32],
) {
    let (dim, group) = (heads.head_dim, heads.group());
    for head in 0..heads.heads + heads.kv_heads {
        let to = &mut drow[head * dim..(head + 1) * dim];
        if head < heads.heads {
            let first = (head / group * tokens + token) * group * dim + head % group * dim;
            turn_back(&from.queries[first..first + dim], to, cosines, sines, heads.query_factor());
        } else {
            let first = ((head - heads.heads) * tokens + token) * dim;
            turn_back(&from.keys[first..first + dim], to, cosines, sines, 1.0);
        }
        if let Some((query_gain, key_gain)) = heads.norms {
            let gain = if head < heads.heads { query_gain } else { key_gain };
            let factor = inverse[token * (heads.heads + heads.kv_heads) + head];
            let x = &raw[token * heads.columns() + head * dim..][..dim];
            let mut along = 0f32;
            for i in 0..dim {
                along += to[i] * gain[i] * x[i];
            }
            let along = along * factor * factor * factor / dim as f32;
            for i in 0..dim {
                to[i] = to[i] * gain[i] * factor - x[i] * along;
            }
        }
    }
    for head in 0..heads.kv_heads {
        let to = (heads.heads + heads.kv_heads + head) * dim;
        let first = (head * tokens + token) * dim;
        drow[to..to + dim].copy_from_slice(&from.values[first..first + dim]);
    }
}

/// The gradients of the heads' gains. Called before [`place_back`]'s result is
/// known, since it needs what comes out of the norm, not what goes in.
pub(super) fn gains_back(
    heads: Heads<'_>,
    from: HeadGradients<'_>,
    (raw, inverse): (&[f32], &[f32]),
    angles: &Angles,
    position: impl Fn(usize) -> usize,
    (dquery_gain, dkey_gain): (&mut [f32], &mut [f32]),
) {
    let (dim, group, columns) = (heads.head_dim, heads.group(), heads.columns());
    let tokens = raw.len() / columns;
    let mut dnormed = [0f32; MOST_HEAD_DIM];
    let dnormed = &mut dnormed[..dim];
    for token in 0..tokens {
        let (cosines, sines) = angles.at(position(token));
        for head in 0..heads.heads + heads.kv_heads {
            let (gradient, dgain) = if head < heads.heads {
                let first = (head / group * tokens + token) * group * dim + head % group * dim;
                turn_back(&from.queries[first..first + dim], dnormed, cosines, sines, heads.query_factor());
                (&*dnormed, &mut *dquery_gain)
            } else {
                let first = ((head - heads.heads) * tokens + token) * dim;
                turn_back(&from.keys[first..first + dim], dnormed, cosines, sines, 1.0);
                (&*dnormed, &mut *dkey_gain)
            };
            let factor = inverse[token * (heads.heads + heads.kv_heads) + head];
            let x = &raw[token * columns + head * dim..][..dim];
            for ((dgain, dy), x) in dgain.iter_mut().zip(gradient).zip(x) {
                *dgain += dy * x * factor;
            }
        }
    }
}
