//! Every operator's way back against finite differences of its way forward.
//!
//! For an operator `y = f(x)` and a fixed random `c`, the derivative of
//! `sum(c * y)` along a random direction is compared with what the way back
//! makes of `c`. Sums are formed in doubles, steps are large enough that single
//! precision does not drown them, and central, so that curvature cancels.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::attention::{Block, Forward, Head, attend, attend_back};
use super::loss::{HeadGradient, HeadWeights, Outcome, Targets, cross_entropy};
use super::product::{Into, Sizes, View, product};
use super::rows::{add_bias, bias_back, gate, gate_back, norm, norm_back, turn, turn_back};

fn random(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Compares `gradient` at `x` with differences of `f` along eight directions.
fn check(what: &str, x: &[f32], gradient: &[f32], f: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{what}");
    let length = dot(gradient, gradient).sqrt();
    assert!(length > 1e-3, "{what}: a gradient of {length} tests nothing");
    for seed in 0..8 {
        let mut direction = random(x.len(), 1000 + seed);
        // Partly along the gradient, so that there is a slope to measure.
        let along = (0.5 / length) as f32 * (x.len() as f32).sqrt();
        direction.iter_mut().zip(gradient).for_each(|(d, g)| *d += g * along);
        let size = dot(&direction, &direction).sqrt() as f32;
        direction.iter_mut().for_each(|d| *d /= size);
        let step = 0.01 * (x.len() as f32).sqrt().min(10.0);
        let at = |sign: f32| -> f64 {
            let moved: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + sign * step * d).collect();
            f(&moved)
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * f64::from(step));
        let expected = dot(gradient, &direction);
        let apart = (slope - expected).abs() / (expected.abs() + 0.05 * length);
        assert!(apart < 5e-3, "{what}, direction {seed}: {slope} by differences, {expected} by the way back");
    }
}

#[test]
fn of_products() {
    let sizes = Sizes { rows: 9, inner: 13, columns: 7 };
    let (x, w, c) = (random(9 * 13, 1), random(13 * 7, 2), random(9 * 7, 3));
    let forward = |x: &[f32], w: &[f32]| {
        let mut y = vec![0f32; 9 * 7];
        product(1, sizes, 0.7, View::rows(x, 13), View::rows(w, 7), (&mut y, 7), Into::Set);
        dot(&y, &c)
    };
    let (mut dx, mut dw) = (vec![0f32; x.len()], vec![0f32; w.len()]);
    let back = Sizes { rows: 9, inner: 7, columns: 13 };
    product(1, back, 0.7, View::rows(&c, 7), View::rows(&w, 7).turned(), (&mut dx, 13), Into::Set);
    let back = Sizes { rows: 13, inner: 9, columns: 7 };
    product(1, back, 0.7, View::rows(&x, 13).turned(), View::rows(&c, 7), (&mut dw, 7), Into::Set);
    check("product by its left", &x, &dx, |x| forward(x, &w));
    check("product by its right", &w, &dw, |w| forward(&x, w));
}

#[test]
fn of_norms() {
    let (rows, size) = (5, 24);
    let (x, gain, c) = (random(rows * size, 4), random(size, 5), random(rows * size, 6));
    let forward = |x: &[f32], gain: &[f32]| {
        let (mut y, mut inverse) = (vec![0f32; x.len()], vec![0f32; rows]);
        norm(1, x, gain, 1e-6, &mut y, &mut inverse);
        (dot(&y, &c), inverse)
    };
    let inverse = forward(&x, &gain).1;
    let (mut dx, mut dgain) = (vec![0f32; x.len()], vec![0f32; size]);
    norm_back(1, &c, &x, &gain, &inverse, &mut dx, Some(&mut dgain));
    check("norm by its input", &x, &dx, |x| forward(x, &gain).0);
    check("norm by its gain", &gain, &dgain, |gain| forward(&x, gain).0);
}

#[test]
fn of_gates_biases_and_turns() {
    let (rows, inner) = (4, 17);
    let (x, c) = (random(rows * 2 * inner, 7), random(rows * inner, 8));
    let mut dx = vec![0f32; x.len()];
    gate_back(1, inner, &c, &x, &mut dx);
    check("gate", &x, &dx, |x| {
        let mut y = vec![0f32; rows * inner];
        gate(1, inner, x, &mut y);
        dot(&y, &c)
    });

    let (bias, c) = (random(11, 9), random(6 * 11, 10));
    let mut dbias = vec![0f32; bias.len()];
    bias_back(&c, &mut dbias);
    check("bias", &bias, &dbias, |bias| {
        let mut y = vec![0.25f32; 6 * 11];
        add_bias(&mut y, bias);
        dot(&y, &c)
    });

    let (x, c) = (random(16, 11), random(16, 12));
    let angles = random(8, 13);
    let (cosines, sines): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
    let mut dx = vec![0f32; 16];
    turn_back(&c, &mut dx, &cosines, &sines, 0.3);
    check("turn", &x, &dx, |x| {
        let mut y = vec![0f32; 16];
        turn(x, &mut y, &cosines, &sines, 0.3);
        dot(&y, &c)
    });
}

/// One key head of some tokens: keys turned as attention reads them.
fn attended(head: Head, queries: &[f32], keys: &[f32], values: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let tokens = keys.len() / head.head_dim;
    let (mut out, mut log_sums) = (vec![0f32; queries.len()], vec![0f32; tokens * head.group]);
    let block = |index: usize| {
        let start = index * super::attention::KEYS;
        Block { keys: &keys[start..], stride: tokens, values: &values[start * head.head_dim..] }
    };
    attend(head, queries, 0, block, &mut out, &mut log_sums);
    (out, log_sums)
}

fn turned(rows: &[f32], columns: usize) -> Vec<f32> {
    let count = rows.len() / columns;
    (0..columns).flat_map(|c| (0..count).map(move |r| rows[r * columns + c])).collect()
}

/// Lengths within one block of queries, over several, and over several of keys.
#[test]
fn of_attention() {
    for (tokens, group) in [(5, 1), (70, 3), (600, 2)] {
        let head = Head { group, head_dim: 8 };
        let (q, k, v) = (random(tokens * group * 8, 14), random(tokens * 8, 15), random(tokens * 8, 16));
        let c = random(tokens * group * 8, 17);
        let forward = |q: &[f32], k: &[f32], v: &[f32]| dot(&attended(head, q, &turned(k, 8), v).0, &c);
        let keys = turned(&k, 8);
        let (out, log_sums) = attended(head, &q, &keys, &v);
        let from = Forward {
            queries: &q,
            keys: Block { keys: &keys, stride: tokens, values: &v },
            out: &out,
            dout: &c,
            stride: group * 8,
            log_sums: &log_sums,
        };
        let (mut dq, mut dk, mut dv) = (vec![0f32; q.len()], vec![0f32; k.len()], vec![0f32; v.len()]);
        attend_back(head, from, &mut dq, &mut dk, &mut dv);
        check("attention by its queries", &q, &dq, |q| forward(q, &k, &v));
        check("attention by its keys", &k, &dk, |k| forward(&q, k, &v));
        check("attention by its values", &v, &dv, |v| forward(&q, &k, v));
    }
}

/// A head that lies like the embedding and one of its own, a vocabulary of one
/// block and of several, with tokens that weigh differently or nothing.
#[test]
fn of_the_loss() {
    for (vocabulary, by_token) in [(37, true), (37, false), (super::loss::VOCABULARY + 600, true)] {
        let (rows, size) = (6, 12);
        let (hidden, head) = (random(rows * size, 18), random(size * vocabulary, 19));
        let tokens: Vec<u32> = (0..rows).map(|r| (r * 977 % vocabulary) as u32).collect();
        let weights = [1.0, 0.0, 0.5, 2.0, 1.0, 0.0];
        let targets = Targets { tokens: &tokens, weights: &weights };
        let of = |array: &[f32], hidden: &[f32], back: Option<(&mut [f32], &mut [f32])>| {
            let view =
                if by_token { View::rows(array, size).turned() } else { View::rows(array, vocabulary) };
            let mut outcomes = vec![Outcome::default(); rows];
            let back =
                back.map(|(dhidden, dhead)| (1.0, dhidden, Some(HeadGradient { array: dhead, by_token })));
            cross_entropy(
                1,
                HeadWeights { view, width: size, vocabulary },
                hidden,
                targets,
                &mut outcomes,
                back,
            );
            let losses = outcomes.iter().zip(weights).map(|(o, w)| -f64::from(o.logprob) * f64::from(w));
            losses.sum::<f64>()
        };
        let (mut dhidden, mut dhead) = (vec![0f32; hidden.len()], vec![0f32; head.len()]);
        of(&head, &hidden, Some((&mut dhidden, &mut dhead)));
        check("loss by the hidden state", &hidden, &dhidden, |hidden| of(&head, hidden, None));
        check("loss by the head", &head, &dhead, |head| of(head, &hidden, None));
    }
}
