//! Choosing among attempts, and what it is worth: Pass@K, Best@K, and how well
//! scores tell attempts apart (paper, section 5; reference/swe-gym.md, 7.2).
//!
//! Both rates are exact expectations over all subsets of K attempts, not
//! averages over some of them. Attempts with equal scores are chosen among by
//! lot, and attempts without a score come after all others.

use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Draws of a bootstrap, and subsets of the paper's estimator.
const DRAWS: usize = 1000;
const PAPER_SUBSETS: usize = 100;
/// Fixed: the same attempts give the same intervals.
const SEED: u64 = 11;

/// One attempt as a selector sees it, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// What the selector thinks of it; more is better.
    pub score: Option<f64>,
    /// Whether it resolves its instance.
    pub resolved: bool,
}

/// All attempts at one instance.
pub type Group = Vec<Scored>;

/// The probability that any of K attempts out of `n`, `resolved` of which are,
/// is resolved: `1 - C(n - resolved, K) / C(n, K)`.
///
/// Nothing if there are fewer than K attempts.
#[must_use]
pub fn pass_at_k(n: usize, resolved: usize, k: usize) -> Option<f64> {
    if k == 0 || k > n {
        return None;
    }
    // Each factor is the chance that one more drawn attempt is not resolved.
    let none = (0..k).map(|i| (n - resolved).saturating_sub(i) as f64 / (n - i) as f64);
    Some(1.0 - none.product::<f64>())
}

/// The probability that the highest-scored of K attempts is resolved, over all
/// subsets of K.
///
/// Attempts are sorted by score; a level of `t` equal scores with `r` resolved
/// and `below` attempts under it is the highest of a subset when the subset
/// takes one of it and the rest from it and below; then each of its members is
/// chosen with the same chance, so the share `r / t` of these subsets counts.
/// Nothing if there are fewer than K attempts.
#[must_use]
pub fn best_at_k(attempts: &[Scored], k: usize) -> Option<f64> {
    let n = attempts.len();
    if k == 0 || k > n {
        return None;
    }
    let mut order: Vec<(f64, bool)> =
        attempts.iter().map(|a| (a.score.unwrap_or(f64::NEG_INFINITY), a.resolved)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut total) = (0, 0.0);
    for level in order.chunk_by(|a, b| a.0 == b.0) {
        let resolved = level.iter().filter(|(_, resolved)| *resolved).count();
        let highest = subsets(n, below + level.len(), k) - subsets(n, below, k);
        total += highest * resolved as f64 / level.len() as f64;
        below += level.len();
    }
    Some(total)
}

/// The share of subsets of K of `n` attempts that lie within some `m` of them:
/// `C(m, K) / C(n, K)`.
fn subsets(n: usize, m: usize, k: usize) -> f64 {
    (0..k).map(|i| m.saturating_sub(i) as f64 / (n - i) as f64).product()
}

/// A mean over instances with 95 % of a bootstrap that draws whole instances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Over all instances.
    pub mean: f64,
    /// The interval.
    pub interval: (f64, f64),
}

/// What selection at one K is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtK {
    /// Attempts of a subset.
    pub k: usize,
    /// Any of them resolved: what a perfect selector reaches.
    pub pass: Rate,
    /// The chosen one resolved.
    pub best: Rate,
    /// `best` less what one attempt alone reaches.
    pub gain: Rate,
    /// The share of the room above one attempt that selection makes use of:
    /// `(Best@K - Pass@1) / (Pass@K - Pass@1)`. Nothing where there is no room.
    pub conversion: Option<Rate>,
}

/// Pass@K and Best@K for every K up to the attempts of the smallest group.
#[must_use]
pub fn curve(groups: &[Group]) -> Vec<AtK> {
    mean_curve(&[groups])
}

/// The same for several judges of the same attempts, instance by instance in the
/// same order: what one of them is worth in the mean. An instance counts once,
/// however many judges there are.
#[must_use]
pub fn mean_curve(judges: &[&[Group]]) -> Vec<AtK> {
    let most = judges.iter().flat_map(|groups| groups.iter()).map(Vec::len).min().unwrap_or(0);
    (1..=most).filter_map(|k| at_k(judges, k)).collect()
}

fn at_k(judges: &[&[Group]], k: usize) -> Option<AtK> {
    let of = |group: &Group| -> Option<[f64; 3]> {
        let resolved = group.iter().filter(|a| a.resolved).count();
        Some([
            resolved as f64 / group.len() as f64,
            pass_at_k(group.len(), resolved, k)?,
            best_at_k(group, k)?,
        ])
    };
    let instances = judges.iter().map(|groups| groups.len()).min()?;
    let mean_of = |instance: usize| -> Option<[f64; 3]> {
        let mut sums = [0.0; 3];
        for groups in judges {
            sums.iter_mut().zip(of(&groups[instance])?).for_each(|(sum, value)| *sum += value);
        }
        Some(sums.map(|sum| sum / judges.len() as f64))
    };
    let values: Vec<[f64; 3]> = (0..instances).map(mean_of).collect::<Option<_>>()?;
    let rate = |statistic: &dyn Fn(&[[f64; 3]]) -> Option<f64>| -> Option<Rate> {
        Some(Rate { mean: statistic(&values)?, interval: bootstrap(&values, statistic)? })
    };
    let mean = |column: usize| {
        move |rows: &[[f64; 3]]| Some(rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64)
    };
    let gain = |rows: &[[f64; 3]]| Some(mean(2)(rows)? - mean(0)(rows)?);
    let conversion = |rows: &[[f64; 3]]| {
        let (one, pass, best) = (mean(0)(rows)?, mean(1)(rows)?, mean(2)(rows)?);
        (pass - one > 1e-9).then(|| (best - one) / (pass - one))
    };
    Some(AtK {
        k,
        pass: rate(&mean(1))?,
        best: rate(&mean(2))?,
        gain: rate(&gain)?,
        conversion: rate(&conversion),
    })
}

/// 95 % of a statistic over instances drawn with replacement. Draws in which
/// it has no value are left out.
fn bootstrap<T: Copy>(values: &[T], statistic: &dyn Fn(&[T]) -> Option<f64>) -> Option<(f64, f64)> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut found: Vec<f64> = (0..DRAWS)
        .filter_map(|_| {
            let drawn: Vec<T> =
                (0..values.len()).map(|_| values[rng.random_range(0..values.len())]).collect();
            statistic(&drawn)
        })
        .collect();
    if found.is_empty() {
        return None;
    }
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found[((found.len() - 1) as f64 * share).round() as usize];
    Some((at(0.025), at(0.975)))
}

/// The paper's estimate of Best@K: the mean over 100 random subsets, and its
/// deviation among them. For comparison with published figures only.
#[must_use]
pub fn paper_best_at_k(groups: &[Group], k: usize) -> Option<(f64, f64)> {
    if k == 0 || groups.is_empty() || groups.iter().any(|group| group.len() < k) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut trial = || {
        let chosen = groups.iter().filter(|group| {
            let mut drawn = (*group).clone();
            drawn.shuffle(&mut rng);
            drawn.truncate(k);
            let score = |a: &Scored| a.score.unwrap_or(f64::NEG_INFINITY);
            drawn.iter().max_by(|a, b| score(a).total_cmp(&score(b))).is_some_and(|best| best.resolved)
        });
        chosen.count() as f64 / groups.len() as f64
    };
    let trials: Vec<f64> = (0..PAPER_SUBSETS).map(|_| trial()).collect();
    let mean = trials.iter().sum::<f64>() / trials.len() as f64;
    let square = trials.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / trials.len() as f64;
    Some((mean, square.sqrt()))
}

/// The chance that a resolved attempt is scored above an unresolved one, ties
/// counting half. Nothing with one outcome only. Attempts without a score are
/// below all others.
#[must_use]
pub fn auc(attempts: &[Scored]) -> Option<f64> {
    let mut order: Vec<(f64, bool)> =
        attempts.iter().map(|a| (a.score.unwrap_or(f64::NEG_INFINITY), a.resolved)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut good) = (0.0, 0.0, 0.0);
    for level in order.chunk_by(|a, b| a.0 == b.0) {
        let resolved = level.iter().filter(|(_, resolved)| *resolved).count() as f64;
        let unresolved = level.len() as f64 - resolved;
        wins += resolved * (below + unresolved / 2.0);
        below += unresolved;
        good += resolved;
    }
    (good > 0.0 && below > 0.0).then(|| wins / (good * below))
}

/// [`auc`] within instances: the mean over those with both outcomes. What
/// tells easy instances from hard ones does not help to choose.
#[must_use]
pub fn auc_within(groups: &[Group]) -> Option<f64> {
    let each: Vec<f64> = groups.iter().filter_map(|group| auc(group)).collect();
    (!each.is_empty()).then(|| each.iter().sum::<f64>() / each.len() as f64)
}

/// How a score becomes a probability: the logistic curve over its logit that
/// fits best (Platt 1999). It never changes which of two scores is higher.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// What the logit is multiplied with; not negative.
    pub slope: f64,
    /// What is added.
    pub offset: f64,
}

impl Calibration {
    /// Fits attempts whose outcomes are known; they should be none of those
    /// that are calibrated. `None` where only one outcome occurs.
    #[must_use]
    pub fn fit(attempts: &[Scored]) -> Option<Self> {
        let points: Vec<(f64, f64)> = attempts
            .iter()
            .filter_map(|a| Some((logit(a.score?), f64::from(u8::from(a.resolved)))))
            .collect();
        let resolved = points.iter().filter(|point| point.1 > 0.5).count();
        if resolved == 0 || resolved == points.len() {
            return None;
        }
        // Newton's method; a faint pull towards no change keeps it from running
        // away where scores tell the outcomes apart without an error.
        const PULL: f64 = 1e-2;
        let (mut slope, mut offset) = (1.0, 0.0);
        for _ in 0..100 {
            let (mut ga, mut gb) = (PULL * (slope - 1.0), PULL * offset);
            let (mut aa, mut ab, mut bb) = (PULL, 0.0, PULL);
            for (x, y) in &points {
                let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
                let w = p * (1.0 - p);
                (ga, gb) = (ga + (p - y) * x, gb + p - y);
                (aa, ab, bb) = (aa + w * x * x, ab + w * x, bb + w);
            }
            let determinant = aa * bb - ab * ab;
            let (da, db) = ((bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant);
            // Far from the minimum a whole step may jump over it.
            let length = (da * da + db * db).sqrt();
            let step = if length > 1.0 { 1.0 / length } else { 1.0 };
            (slope, offset) = (slope - step * da, offset - step * db);
            if length < 1e-9 {
                break;
            }
        }
        Some(Self { slope: slope.max(0.0), offset })
    }

    /// The probability that a score stands for.
    #[must_use]
    pub fn apply(self, score: f64) -> f64 {
        1.0 / (1.0 + (-(self.slope * logit(score) + self.offset)).exp())
    }
}

fn logit(score: f64) -> f64 {
    let score = score.clamp(1e-9, 1.0 - 1e-9);
    (score / (1.0 - score)).ln()
}

/// A bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Attempts in it.
    pub count: usize,
    /// Their mean score.
    pub score: f64,
    /// The share of them that is resolved.
    pub resolved: f64,
}

/// Scores, read as probabilities, in ten bins of equal width; empty ones are
/// left out.
#[must_use]
pub fn reliability(attempts: &[Scored]) -> Vec<Bin> {
    const BINS: usize = 10;
    let mut bins = [(0usize, 0.0f64, 0usize); BINS];
    for attempt in attempts {
        let Some(score) = attempt.score else { continue };
        let bin = &mut bins[((score.clamp(0.0, 1.0) * BINS as f64) as usize).min(BINS - 1)];
        (bin.0, bin.1, bin.2) = (bin.0 + 1, bin.1 + score, bin.2 + usize::from(attempt.resolved));
    }
    let full = bins.into_iter().filter(|(count, ..)| *count > 0);
    full.map(|(count, score, resolved)| Bin {
        count,
        score: score / count as f64,
        resolved: resolved as f64 / count as f64,
    })
    .collect()
}

/// The expected calibration error: how far scores are from the share that is
/// resolved, on average over attempts. Nothing without scores.
#[must_use]
pub fn calibration_error(attempts: &[Scored]) -> Option<f64> {
    let bins = reliability(attempts);
    let count: usize = bins.iter().map(|bin| bin.count).sum();
    let apart: f64 = bins.iter().map(|bin| bin.count as f64 * (bin.score - bin.resolved).abs()).sum();
    (count > 0).then(|| apart / count as f64)
}

/// A straight line in the logarithm of x: `slope ln x + offset`, and the share
/// of the variance that it explains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogFit {
    /// By how much y grows when x grows e-fold.
    pub slope: f64,
    /// Where x is one.
    pub offset: f64,
    /// R²; one where y does not vary.
    pub r_squared: f64,
}

/// Least squares over points with positive x. Nothing with fewer than two
/// different x.
#[must_use]
pub fn log_fit(points: &[(f64, f64)]) -> Option<LogFit> {
    let points: Vec<(f64, f64)> =
        points.iter().filter(|(x, _)| *x > 0.0).map(|(x, y)| (x.ln(), *y)).collect();
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    if points.len() < 2 || sxx < 1e-12 {
        return None;
    }
    let slope = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / sxx;
    let offset = my - slope * mx;
    let total: f64 = points.iter().map(|p| (p.1 - my).powi(2)).sum();
    let rest: f64 = points.iter().map(|p| (p.1 - slope * p.0 - offset).powi(2)).sum();
    let r_squared = if total < 1e-18 { 1.0 } else { 1.0 - rest / total };
    Some(LogFit { slope, offset, r_squared })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn calibration_finds_the_curve_and_keeps_the_order() {
        // Outcomes drawn with probability p, scored with another curve over it.
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let draw = |rng: &mut ChaCha8Rng| {
            let p = rng.random_range(0.02..0.98f64);
            let score = 1.0 / (1.0 + (-(3.0 * logit(p) + 2.0)).exp());
            Scored { score: Some(score), resolved: rng.random_bool(p) }
        };
        let known: Vec<Scored> = (0..4000).map(|_| draw(&mut rng)).collect();
        let fresh: Vec<Scored> = (0..4000).map(|_| draw(&mut rng)).collect();
        let found = Calibration::fit(&known).unwrap();
        assert!(
            (found.slope - 1.0 / 3.0).abs() < 0.03 && (found.offset + 2.0 / 3.0).abs() < 0.1,
            "{found:?}"
        );
        let told: Vec<Scored> =
            fresh.iter().map(|a| Scored { score: a.score.map(|s| found.apply(s)), ..*a }).collect();
        assert!(calibration_error(&fresh).unwrap() > 0.1 && calibration_error(&told).unwrap() < 0.03);
        assert_eq!(auc(&fresh), auc(&told));
        // One outcome alone says nothing; a perfect order does not run away.
        assert_eq!(Calibration::fit(&[Scored { score: Some(0.2), resolved: true }]), None);
        let perfect: Vec<Scored> =
            (0..20).map(|i| Scored { score: Some(f64::from(i) / 20.0), resolved: i > 9 }).collect();
        assert!(Calibration::fit(&perfect).unwrap().slope.is_finite());
    }

    /// All subsets of K attempts, one after another.
    fn all_subsets(attempts: &[Scored], k: usize) -> Vec<Vec<Scored>> {
        (0u32..1 << attempts.len())
            .filter(|mask| mask.count_ones() as usize == k)
            .map(|mask| {
                attempts.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, a)| *a).collect()
            })
            .collect()
    }

    fn attempts() -> impl Strategy<Value = Vec<Scored>> {
        let one = (prop::option::weighted(0.9, 0..5u8), any::<bool>())
            .prop_map(|(score, resolved)| Scored { score: score.map(|s| f64::from(s) / 4.0), resolved });
        prop::collection::vec(one, 1..9)
    }

    proptest! {
        // Each case draws bootstraps.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn rates_are_means_over_all_subsets(attempts in attempts(), k in 1..9usize) {
            let subsets = all_subsets(&attempts, k);
            let resolved = attempts.iter().filter(|a| a.resolved).count();
            if k > attempts.len() {
                prop_assert_eq!((pass_at_k(attempts.len(), resolved, k), best_at_k(&attempts, k)), (None, None));
                return Ok(());
            }
            let mean = |of: &dyn Fn(&[Scored]) -> f64| subsets.iter().map(|s| of(s)).sum::<f64>() / subsets.len() as f64;
            let any = |s: &[Scored]| f64::from(u8::from(s.iter().any(|a| a.resolved)));
            let best = |s: &[Scored]| {
                let of = |a: &Scored| a.score.unwrap_or(-1.0);
                let most = s.iter().map(of).fold(f64::MIN, f64::max);
                let top: Vec<&Scored> = s.iter().filter(|a| of(a) == most).collect();
                top.iter().filter(|a| a.resolved).count() as f64 / top.len() as f64
            };
            prop_assert!((pass_at_k(attempts.len(), resolved, k).unwrap() - mean(&any)).abs() < 1e-9);
            prop_assert!((best_at_k(&attempts, k).unwrap() - mean(&best)).abs() < 1e-9);
        }

        #[test]
        fn selection_lies_between_the_worst_and_the_perfect(groups in prop::collection::vec(attempts(), 1..6)) {
            for at in curve(&groups) {
                prop_assert!(at.best.mean <= at.pass.mean + 1e-9 && at.best.mean >= -1e-9);
                prop_assert!(at.best.interval.0 <= at.best.mean + 1e-9 && at.best.mean <= at.best.interval.1 + 1e-9);
            }
            // With scores that know, selection is perfect.
            let known: Vec<Group> = groups.iter().map(|g| g.iter().map(|a| Scored { score: Some(f64::from(u8::from(a.resolved))), ..*a }).collect()).collect();
            for at in curve(&known) {
                prop_assert!((at.best.mean - at.pass.mean).abs() < 1e-9);
                prop_assert!(at.conversion.is_none_or(|c| (c.mean - 1.0).abs() < 1e-6));
            }
            // With scores that say nothing, it is one attempt.
            let blind: Vec<Group> = groups.iter().map(|g| g.iter().map(|a| Scored { score: Some(0.5), ..*a }).collect()).collect();
            for at in curve(&blind) {
                prop_assert!(at.gain.mean.abs() < 1e-9);
            }
        }

        #[test]
        fn judges_who_agree_are_one_judge(groups in prop::collection::vec(attempts(), 1..6)) {
            prop_assert_eq!(mean_curve(&[&groups, &groups]), curve(&groups));
        }

        #[test]
        fn auc_counts_pairs(attempts in attempts()) {
            let of = |a: &Scored| a.score.unwrap_or(-1.0);
            let (mut wins, mut pairs) = (0.0, 0.0);
            for good in attempts.iter().filter(|a| a.resolved) {
                for bad in attempts.iter().filter(|a| !a.resolved) {
                    pairs += 1.0;
                    wins += match of(good).total_cmp(&of(bad)) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
                }
            }
            match auc(&attempts) {
                Some(found) => prop_assert!((found - wins / pairs).abs() < 1e-9),
                None => prop_assert_eq!(pairs, 0.0),
            }
        }
    }

    #[test]
    fn the_papers_estimate_is_near_the_exact_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let group = |_| -> Group {
            (0..16)
                .map(|_| {
                    let resolved = rng.random_bool(0.3);
                    let score = rng.random::<f64>() + if resolved { 0.4 } else { 0.0 };
                    Scored { score: Some(score), resolved }
                })
                .collect()
        };
        let groups: Vec<Group> = (0..60).map(group).collect();
        for at in curve(&groups) {
            let (mean, _) = paper_best_at_k(&groups, at.k).unwrap();
            assert!((mean - at.best.mean).abs() < 0.02, "{} and {} at {}", mean, at.best.mean, at.k);
        }
        assert_eq!(paper_best_at_k(&groups, 17), None);
    }

    /// The paper's fit of training data: 7.04 ln x - 22.65, R² 0.984.
    #[test]
    fn the_papers_fit_comes_out() {
        let fit = log_fit(&[(122.0, 10.8), (245.0, 16.8), (491.0, 20.6)]).unwrap();
        assert!((fit.slope - 7.04).abs() < 0.02 && (fit.offset + 22.65).abs() < 0.1, "{fit:?}");
        assert!((fit.r_squared - 0.984).abs() < 0.001, "{fit:?}");
        assert_eq!(log_fit(&[(3.0, 1.0), (3.0, 2.0)]), None);
    }

    #[test]
    fn calibration_is_the_distance_from_what_happens() {
        let of = |score, resolved| Scored { score: Some(score), resolved };
        let honest = [of(0.75, true), of(0.75, true), of(0.75, true), of(0.75, false)];
        assert!(calibration_error(&honest).unwrap() < 1e-9);
        let bold = [of(1.0, false), of(1.0, true)];
        assert!((calibration_error(&bold).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(reliability(&bold).len(), 1);
        assert_eq!(calibration_error(&[]), None);
    }
}
