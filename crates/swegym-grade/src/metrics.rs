//! What attempts come to: rates and means with intervals, and whether two runs
//! differ (reference/swe-gym.md, section 4.2).
//!
//! Attempts at one instance are not independent, so intervals are of a
//! bootstrap that draws whole instances. The paper's own spread (the standard
//! deviation over half-size subsamples) is given beside it, over all attempts:
//! the released code leaves empty patches out and so understates loops.

use std::collections::BTreeMap;

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws of each bootstrap and permutation test, and subsamples of the paper's spread.
const DRAWS: usize = 1000;
/// Fixed: the same attempts give the same intervals.
const SEED: u64 = 7;

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The problem.
    pub instance_id: String,
    /// Its repository.
    pub repo: String,
    /// Why it ended.
    pub exit_status: String,
    /// By its hidden tests; `None` where nobody ran them.
    pub resolved: Option<bool>,
    /// Resolved by a patch that has a mark: perhaps not by a fix.
    pub bought: bool,
    /// Nothing was changed.
    pub empty_patch: bool,
    /// The last three turns did exactly the same.
    pub stuck_in_loop: bool,
    /// Steps with an action.
    pub turns: f64,
    /// Tokens read and written.
    pub tokens: f64,
    /// US dollars, where known.
    pub cost_usd: Option<f64>,
}

/// A mean with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Over all attempts.
    pub mean: f64,
    /// 95 % of the bootstrap over instances lie between these.
    pub interval: (f64, f64),
    /// The paper's: standard deviation over half-size subsamples of attempts.
    pub paper_spread: f64,
    /// Attempts that count.
    pub attempts: usize,
}

/// The metrics of a set of attempts; `None` where no attempt says anything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Resolved attempts, of those that were tested.
    pub resolve_rate: Option<Estimate>,
    /// Attempts that are resolved by a marked patch, of those that were tested.
    pub marked_rate: Option<Estimate>,
    /// Attempts that changed nothing.
    pub empty_patch_rate: Option<Estimate>,
    /// Attempts that ended in a loop.
    pub stuck_in_loop_rate: Option<Estimate>,
    /// Action-observation pairs.
    pub avg_turns: Option<Estimate>,
    /// Tokens.
    pub avg_tokens: Option<Estimate>,
    /// US dollars.
    pub avg_cost_usd: Option<Estimate>,
}

/// The metrics of these attempts.
#[must_use]
pub fn measure(attempts: &[Attempt]) -> Metrics {
    let of = |value: &dyn Fn(&Attempt) -> Option<f64>| {
        let values: Vec<(&str, f64)> =
            attempts.iter().filter_map(|a| Some((a.instance_id.as_str(), value(a)?))).collect();
        estimate(&values)
    };
    let rate = |yes: bool| Some(f64::from(u8::from(yes)));
    Metrics {
        resolve_rate: of(&|a| rate(a.resolved?)),
        marked_rate: of(&|a| a.resolved.and(rate(a.bought))),
        empty_patch_rate: of(&|a| rate(a.empty_patch)),
        stuck_in_loop_rate: of(&|a| rate(a.stuck_in_loop)),
        avg_turns: of(&|a| Some(a.turns)),
        avg_tokens: of(&|a| Some(a.tokens)),
        avg_cost_usd: of(&|a| a.cost_usd),
    }
}

/// A mean over values of instances; `None` of nothing.
#[must_use]
pub fn estimate(values: &[(&str, f64)]) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let mut clusters: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (instance, value) in values {
        let cluster = clusters.entry(instance).or_default();
        *cluster = (cluster.0 + value, cluster.1 + 1.0);
    }
    let clusters: Vec<(f64, f64)> = clusters.into_values().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = (0..clusters.len()).filter_map(|_| clusters.choose(&mut rng));
            let (sum, count) = drawn.fold((0.0, 0.0), |(s, n), (sum, count)| (s + sum, n + count));
            sum / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((DRAWS - 1) as f64 * share).round() as usize];
    Some(Estimate {
        mean: mean(values.iter().map(|(_, v)| *v)),
        interval: (at(0.025), at(0.975)),
        paper_spread: half_sample_spread(values, &mut rng),
        attempts: values.len(),
    })
}

fn half_sample_spread(values: &[(&str, f64)], rng: &mut ChaCha8Rng) -> f64 {
    let half = values.len() / 2;
    if half == 0 {
        return 0.0;
    }
    let mut all: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    let means: Vec<f64> =
        (0..DRAWS).map(|_| mean(all.partial_shuffle(rng, half).0.iter().copied())).collect();
    let middle = mean(means.iter().copied());
    mean(means.iter().map(|m| (m - middle).powi(2))).sqrt()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(s, n), v| (s + v, n + 1.0));
    sum / count
}

/// Two runs on the instances that both tested.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Instances that count.
    pub instances: usize,
    /// Resolve rate of the first less that of the second, over instances.
    pub difference: f64,
    /// How often chance alone gives a difference as large: a permutation test
    /// that swaps the two runs instance by instance.
    pub p_value: f64,
    /// Instances that the first resolves more often.
    pub better: usize,
    /// Instances that the second resolves more often.
    pub worse: usize,
}

/// Compares two runs, instance by instance; `None` where they share none.
#[must_use]
pub fn compare(first: &[Attempt], second: &[Attempt]) -> Option<Comparison> {
    let (first, second) = (rates(first), rates(second));
    let differences: Vec<f64> = first.iter().filter_map(|(id, rate)| Some(rate - second.get(id)?)).collect();
    if differences.is_empty() {
        return None;
    }
    let observed: f64 = differences.iter().sum();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let draws = 10 * DRAWS;
    let as_large = (0..draws)
        .filter(|_| {
            let sum: f64 = differences.iter().map(|d| if rng.random_bool(0.5) { *d } else { -d }).sum();
            sum.abs() >= observed.abs() - 1e-9
        })
        .count();
    Some(Comparison {
        instances: differences.len(),
        difference: observed / differences.len() as f64,
        // The observed order is one of the possible ones.
        p_value: (as_large + 1) as f64 / (draws + 1) as f64,
        better: differences.iter().filter(|d| **d > 0.0).count(),
        worse: differences.iter().filter(|d| **d < 0.0).count(),
    })
}

/// Resolve rate of each instance.
fn rates(attempts: &[Attempt]) -> BTreeMap<&str, f64> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for attempt in attempts {
        if let Some(resolved) = attempt.resolved {
            let sum = sums.entry(&attempt.instance_id).or_default();
            *sum = (sum.0 + f64::from(u8::from(resolved)), sum.1 + 1.0);
        }
    }
    sums.into_iter().map(|(id, (sum, count))| (id, sum / count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempts(resolved: impl Fn(usize, usize) -> bool) -> Vec<Attempt> {
        let attempt = |(i, k)| Attempt {
            instance_id: format!("i{i}"),
            repo: "r".into(),
            exit_status: "submitted".into(),
            resolved: Some(resolved(i, k)),
            bought: false,
            empty_patch: false,
            stuck_in_loop: k == 0,
            turns: 10.0,
            tokens: 100.0,
            cost_usd: None,
        };
        (0..40).flat_map(|i| (0..4).map(move |k| (i, k))).map(attempt).collect()
    }

    #[test]
    fn attempts_at_one_instance_are_not_independent() {
        let by_instance = measure(&attempts(|i, _| i % 2 == 0)).resolve_rate.unwrap();
        let mixed = measure(&attempts(|_, k| k % 2 == 0)).resolve_rate.unwrap();
        assert_eq!((by_instance.mean, mixed.mean), (0.5, 0.5));
        // Where an instance decides, 160 attempts are worth 40: about 0.5 ± 0.155.
        assert!((by_instance.interval.0 - 0.345).abs() < 0.04, "{by_instance:?}");
        assert_eq!(mixed.interval, (0.5, 0.5));
        // The paper's spread: sqrt(p(1-p)/(n/2) * (1 - 1/2)) = 0.0396 for n = 160.
        assert!((by_instance.paper_spread - 0.0396).abs() < 0.005, "{by_instance:?}");
        assert_eq!(by_instance, measure(&attempts(|i, _| i % 2 == 0)).resolve_rate.unwrap());
    }

    #[test]
    fn what_nobody_knows_is_no_number() {
        let mut untested = attempts(|_, _| true);
        untested.iter_mut().for_each(|a| a.resolved = None);
        let metrics = measure(&untested);
        assert_eq!((metrics.resolve_rate, metrics.avg_cost_usd), (None, None));
        assert_eq!(metrics.stuck_in_loop_rate.unwrap().mean, 0.25);
        assert_eq!(compare(&untested, &untested), None);
    }

    #[test]
    fn a_difference_is_told_from_chance() {
        let (weak, strong) = (attempts(|i, _| i % 4 == 0), attempts(|i, _| i % 4 < 2));
        let clear = compare(&strong, &weak).unwrap();
        assert_eq!((clear.instances, clear.better, clear.worse, clear.difference), (40, 10, 0, 0.25));
        // Ten instances, all one way: 2 / 2^10.
        assert!((clear.p_value - 2.0 / 1024.0).abs() < 0.002, "{clear:?}");
        assert!(compare(&weak, &weak).unwrap().p_value > 0.99);
    }
}
