//! Drawing a token from logits.

use std::collections::BTreeMap;

use crate::ops::isa_widest as widest;
use crate::ops::math::{exp_sum, largest};

/// How tokens are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawing {
    /// 0 takes the likeliest.
    pub temperature: f32,
    /// Only the likeliest so many; 0 is all.
    pub top_k: usize,
    /// Only the likeliest that make up so much; 1 is all.
    pub top_p: f32,
    /// What a token's logit loses once it was said in the answer.
    pub presence_penalty: f32,
    /// What it loses each time that it was said in the answer.
    pub frequency_penalty: f32,
    /// Of the request's own random numbers.
    pub seed: u64,
}

impl Default for Drawing {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            seed: 0,
        }
    }
}

/// Draws the token after those that were `said`; `chance` is uniform in 0 to 1.
/// Uses up the logits.
pub(super) fn draw(logits: &mut [f32], said: &[u32], how: &Drawing, chance: f64) -> u32 {
    if how.presence_penalty != 0.0 || how.frequency_penalty != 0.0 {
        penalise(logits, said, how);
    }
    let factor = 1.0 / how.temperature;
    // So close to 0 that nothing but the likeliest is left.
    if how.temperature <= 0.0 || !factor.is_finite() {
        return first_largest(logits);
    }
    weights(logits, factor);
    if how.top_k > 0 && how.top_k < logits.len() || how.top_p < 1.0 {
        narrow(logits, how);
    }
    // In the order of ids: a sum that does not depend on the logits' order.
    let total: f64 = logits.iter().map(|&w| f64::from(w)).sum();
    let mut left = chance * total;
    let mut last = 0;
    for (id, &weight) in logits.iter().enumerate() {
        if weight > 0.0 {
            last = id;
            left -= f64::from(weight);
            if left < 0.0 {
                break;
            }
        }
    }
    last as u32
}

/// Takes from the logit of each token what its having been said costs (OpenAI's
/// presence and frequency penalties).
fn penalise(logits: &mut [f32], said: &[u32], how: &Drawing) {
    let mut counts = BTreeMap::<u32, u32>::new();
    said.iter().for_each(|&id| *counts.entry(id).or_default() += 1);
    for (id, count) in counts {
        logits[id as usize] -= how.presence_penalty + count as f32 * how.frequency_penalty;
    }
}

fn first_largest(logits: &[f32]) -> u32 {
    let most = most(logits);
    logits.iter().position(|&x| x == most).unwrap_or(0) as u32
}

/// Sets the weight of every token that is out of bounds to zero.
fn narrow(weights: &mut [f32], how: &Drawing) {
    let mut order: Vec<u32> = (0..weights.len() as u32).collect();
    let heavier = |a: &u32, b: &u32| weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b));
    let k = if how.top_k == 0 { weights.len() } else { how.top_k.min(weights.len()) };
    if k < order.len() {
        order.select_nth_unstable_by(k, heavier);
        order.truncate(k);
    }
    order.sort_unstable_by(heavier);
    let total: f64 = order.iter().map(|&id| f64::from(weights[id as usize])).sum();
    let mut sum = 0.0;
    let within = order.iter().take_while(|&&id| {
        let before = sum;
        sum += f64::from(weights[id as usize]);
        before < f64::from(how.top_p) * total
    });
    let kept = within.count().max(1);
    let mut narrowed = vec![0f32; weights.len()];
    for &id in &order[..kept] {
        narrowed[id as usize] = weights[id as usize];
    }
    weights.copy_from_slice(&narrowed);
}

/// The `count` likeliest tokens, the likeliest first.
pub(super) fn likeliest(logits: &[f32], count: usize) -> Vec<u32> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let likelier = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if count < order.len() {
        order.select_nth_unstable_by(count, likelier);
        order.truncate(count);
    }
    order.sort_unstable_by(likelier);
    order
}

widest! {
    fn most = largest_body(logits: &[f32]) -> f32
}

#[inline(always)]
fn largest_body(logits: &[f32]) -> f32 {
    largest(logits)
}

widest! {
    /// Turns logits into weights that are proportional to probabilities.
    fn weights = weights_body(logits: &mut [f32], factor: f32)
}

#[inline(always)]
fn weights_body(logits: &mut [f32], factor: f32) {
    for x in logits.iter_mut() {
        *x *= factor;
    }
    let shift = largest(logits);
    exp_sum(logits, shift);
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

    fn shares(how: Drawing) -> Vec<f64> {
        let mut counts = vec![0f64; LOGITS.len()];
        for i in 0..10_000 {
            counts[draw(&mut LOGITS.to_vec(), &[], &how, (f64::from(i) + 0.5) / 10_000.0) as usize] += 1e-4;
        }
        counts
    }

    #[test]
    fn a_temperature_next_to_nothing_takes_the_likeliest() {
        for temperature in [0.0, 1e-45, 1e-40, 1e-38, 1e-20] {
            let shares = shares(Drawing { temperature, ..Drawing::default() });
            assert!((shares[1] + shares[3] - 1.0).abs() < 1e-6, "{temperature}: {shares:?}");
        }
    }

    #[test]
    fn tokens_come_as_often_as_the_softmax_says() {
        for temperature in [0.5f32, 1.0, 2.0] {
            let weights: Vec<f64> = LOGITS.iter().map(|&x| f64::from(x / temperature).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (share, weight) in shares(Drawing { temperature, ..Drawing::default() }).iter().zip(&weights)
            {
                assert!((share - weight / total).abs() < 3e-4, "{share} for {}", weight / total);
            }
        }
    }

    #[test]
    fn bounds_keep_the_likeliest_and_ties_go_to_the_lower_id() {
        let zero = |how: Drawing| shares(how).iter().map(|&s| s == 0.0).collect::<Vec<_>>();
        assert_eq!(zero(Drawing { top_k: 1, ..Drawing::default() }), [true, false, true, true, true]);
        assert_eq!(zero(Drawing { top_k: 3, ..Drawing::default() }), [true, false, false, false, true]);
        assert_eq!(zero(Drawing { top_p: 0.5, ..Drawing::default() }), [true, false, true, false, true]);
        assert_eq!(zero(Drawing { top_p: 0.0, ..Drawing::default() }), [true, false, true, true, true]);
        assert_eq!(
            draw(&mut LOGITS.to_vec(), &[], &Drawing { temperature: 0.0, ..Drawing::default() }, 0.9),
            1
        );
        assert_eq!(likeliest(&LOGITS, 3), [1, 3, 2]);
    }

    #[test]
    fn what_was_said_is_said_again_as_much_less_as_is_asked_for() {
        let drawn = |said: &[u32], presence_penalty: f32, frequency_penalty: f32| {
            let how = Drawing { temperature: 0.0, presence_penalty, frequency_penalty, ..Drawing::default() };
            draw(&mut LOGITS.to_vec(), said, &how, 0.5)
        };
        assert_eq!(drawn(&[1], 0.0, 0.0), 1);
        assert_eq!(drawn(&[1], 0.5, 0.0), 3);
        assert_eq!(drawn(&[1, 3], 0.5, 0.0), 1, "however often, it costs as much");
        assert_eq!(drawn(&[1, 1, 3], 0.0, 0.1), 3);
        assert_eq!(drawn(&[1, 3], 2.0, 0.0), 2);
        assert_eq!(drawn(&[0], -2.0, -1.0), 0, "or as much more");
    }
}
