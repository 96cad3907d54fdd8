//! Operators on rows: norms, rotary positions, the gated unit.

use super::isa::widest;
use super::math::{dot, exp};
use super::{Shared, split};

/// Rows below which a piece is not worth a second thread.
const GRAIN: usize = 64;

/// Root-mean-square norm: `y = x / rms(x) * gain`, and `1 / rms(x)` kept.
pub(crate) fn norm(width: usize, x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32], inverse: &mut [f32]) {
    let size = gain.len();
    let (y, inverse) = (Shared::new(y), Shared::new(inverse));
    split(width, x.len() / size, GRAIN, |rows| {
        // SAFETY: pieces are ranges of rows that do not overlap.
        let (y, inverse) =
            unsafe { (y.slice(rows.start * size, rows.len() * size), inverse.slice(rows.start, rows.len())) };
        norm_rows(&x[rows.start * size..rows.end * size], gain, epsilon, y, inverse);
    });
}

widest! {
    fn norm_rows = norm_body(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32], inverse: &mut [f32])
}

#[inline(always)]
fn norm_body(x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32], inverse: &mut [f32]) {
    let size = gain.len();
    for ((x, y), inverse) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)).zip(inverse) {
        let factor = 1.0 / (dot(x, x) / size as f32 + epsilon).sqrt();
        *inverse = factor;
        for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
            *y = x * factor * gain;
        }
    }
}

/// The way back through [`norm`]: adds to `dx`, and to `dgain` where asked.
pub(crate) fn norm_back(
    width: usize,
    dy: &[f32],
    x: &[f32],
    gain: &[f32],
    inverse: &[f32],
    dx: &mut [f32],
    dgain: Option<&mut [f32]>,
) {
    let size = gain.len();
    let dx = Shared::new(dx);
    split(width, inverse.len(), GRAIN, |rows| {
        let range = rows.start * size..rows.end * size;
        // SAFETY: pieces are ranges of rows that do not overlap.
        let dx = unsafe { dx.slice(range.start, range.len()) };
        norm_back_rows(&dy[range.clone()], &x[range], gain, &inverse[rows], dx);
    });
    if let Some(dgain) = dgain {
        let dgain = Shared::new(dgain);
        // By columns: each gain's sum runs over the rows in order.
        split(width, size, GRAIN, |columns| {
            // SAFETY: pieces are ranges of columns that do not overlap.
            let dgain = unsafe { dgain.slice(columns.start, columns.len()) };
            gain_back(dy, x, inverse, size, columns.start, dgain);
        });
    }
}

widest! {
    fn norm_back_rows = norm_back_body(dy: &[f32], x: &[f32], gain: &[f32], inverse: &[f32], dx: &mut [f32])
}

#[inline(always)]
fn norm_back_body(dy: &[f32], x: &[f32], gain: &[f32], inverse: &[f32], dx: &mut [f32]) {
    let size = gain.len();
    let rows = dy.chunks_exact(size).zip(x.chunks_exact(size)).zip(dx.chunks_exact_mut(size));
    for (((dy, x), dx), &factor) in rows.zip(inverse) {
        let mut lanes = [0f32; 16];
        let whole = size / 16 * 16;
        for first in (0..whole).step_by(16) {
            for (lane, i) in lanes.iter_mut().zip(first..) {
                *lane = (dy[i] * gain[i]).mul_add(x[i], *lane);
            }
        }
        let mut along: f32 = lanes.iter().sum();
        for i in whole..size {
            along = (dy[i] * gain[i]).mul_add(x[i], along);
        }
        let along = along * factor * factor * factor / size as f32;
        for (((dx, dy), x), gain) in dx.iter_mut().zip(dy).zip(x).zip(gain) {
            *dx += dy * gain * factor - x * along;
        }
    }
}

widest! {
    fn gain_back = gain_back_body(
        dy: &[f32], x: &[f32], inverse: &[f32], size: usize, first: usize, dgain: &mut [f32],
    )
}

#[inline(always)]
fn gain_back_body(dy: &[f32], x: &[f32], inverse: &[f32], size: usize, first: usize, dgain: &mut [f32]) {
    let columns = first..first + dgain.len();
    for ((dy, x), factor) in dy.chunks_exact(size).zip(x.chunks_exact(size)).zip(inverse) {
        for ((dgain, dy), x) in dgain.iter_mut().zip(&dy[columns.clone()]).zip(&x[columns.clone()]) {
            *dgain += dy * x * factor;
        }
    }
}

/// Adds a bias to each row.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len()) {
        super::math::add(row, bias);
    }
}

/// The gradient of a bias: the rows' sum.
pub(crate) fn bias_back(rows: &[f32], dbias: &mut [f32]) {
    for row in rows.chunks_exact(dbias.len()) {
        super::math::add(dbias, row);
    }
}

/// Turns a head's columns by a position: pairs are `(i, i + half)`.
#[inline(always)]
pub(crate) fn turn(from: &[f32], to: &mut [f32], cosines: &[f32], sines: &[f32], factor: f32) {
    let half = cosines.len();
    let (low, high) = from.split_at(half);
    let (to_low, to_high) = to.split_at_mut(half);
    for i in 0..half {
        to_low[i] = (low[i] * cosines[i] - high[i] * sines[i]) * factor;
        to_high[i] = (high[i] * cosines[i] + low[i] * sines[i]) * factor;
    }
}

/// The way back through [`turn`]: the same turn the other way.
#[inline(always)]
pub(crate) fn turn_back(from: &[f32], to: &mut [f32], cosines: &[f32], sines: &[f32], factor: f32) {
    let half = cosines.len();
    let (low, high) = from.split_at(half);
    let (to_low, to_high) = to.split_at_mut(half);
    for i in 0..half {
        to_low[i] = (low[i] * cosines[i] + high[i] * sines[i]) * factor;
        to_high[i] = (high[i] * cosines[i] - low[i] * sines[i]) * factor;
    }
}

/// The gated unit: `y = silu(gate) * up`, where a row of `gate_up` is both.
pub(crate) fn gate(width: usize, inner: usize, gate_up: &[f32], y: &mut [f32]) {
    let y = Shared::new(y);
    split(width, gate_up.len() / (2 * inner), GRAIN, |rows| {
        // SAFETY: pieces are ranges of rows that do not overlap.
        let y = unsafe { y.slice(rows.start * inner, rows.len() * inner) };
        gate_rows(inner, &gate_up[rows.start * 2 * inner..rows.end * 2 * inner], y);
    });
}

widest! {
    fn gate_rows = gate_body(inner: usize, gate_up: &[f32], y: &mut [f32])
}

#[inline(always)]
fn gate_body(inner: usize, gate_up: &[f32], y: &mut [f32]) {
    for (row, y) in gate_up.chunks_exact(2 * inner).zip(y.chunks_exact_mut(inner)) {
        let (gate, up) = row.split_at(inner);
        for ((y, x), up) in y.iter_mut().zip(gate).zip(up) {
            *y = x / (1.0 + exp(-x)) * up;
        }
    }
}

/// The way back through [`gate`]: replaces `gate_up` by its gradient.
pub(crate) fn gate_back(width: usize, inner: usize, dy: &[f32], gate_up: &[f32], dgate_up: &mut [f32]) {
    let dgate_up = Shared::new(dgate_up);
    split(width, dy.len() / inner, GRAIN, |rows| {
        let wide = rows.start * 2 * inner..rows.end * 2 * inner;
        // SAFETY: pieces are ranges of rows that do not overlap.
        let dgate_up = unsafe { dgate_up.slice(wide.start, wide.len()) };
        gate_back_rows(inner, &dy[rows.start * inner..rows.end * inner], &gate_up[wide], dgate_up);
    });
}

widest! {
    fn gate_back_rows = gate_back_body(inner: usize, dy: &[f32], gate_up: &[f32], dgate_up: &mut [f32])
}

#[inline(always)]
fn gate_back_body(inner: usize, dy: &[f32], gate_up: &[f32], dgate_up: &mut [f32]) {
    let rows =
        dy.chunks_exact(inner).zip(gate_up.chunks_exact(2 * inner)).zip(dgate_up.chunks_exact_mut(2 * inner));
    for ((dy, row), dgate_up) in rows {
        let (gate, up) = row.split_at(inner);
        let (dgate, dup) = dgate_up.split_at_mut(inner);
        for i in 0..inner {
            let sigmoid = 1.0 / (1.0 + exp(-gate[i]));
            let silu = gate[i] * sigmoid;
            dup[i] = dy[i] * silu;
            dgate[i] = dy[i] * up[i] * (sigmoid + silu * (1.0 - sigmoid));
        }
    }
}
