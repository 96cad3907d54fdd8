//! Which attempts are learnt from: rejection sampling and what belongs to it
//! (paper, section 4.2 and appendix B; reference/swe-gym.md, section 5).
//!
//! Rules go over candidates in one order, and each candidate that goes is
//! given one reason, the first that applies:
//!
//! 1. what broke, or is not known to be resolved where that is asked for;
//! 2. cheating, loops, empty patches, over-long ones, instances outside the band;
//! 3. the same answer to the same instance said twice;
//! 4. more of an instance, or of a repository, than is wanted.
//!
//! What is left does not depend on the order in which candidates came.

mod candidate;

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

pub use candidate::Candidate;

/// Which attempts of an instance come first under a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rank {
    /// Fewest turns (the paper's fewest calls).
    #[default]
    Turns,
    /// Fewest tokens.
    Tokens,
    /// The highest score.
    Score,
    /// By the seed.
    Random,
}

impl Rank {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Turns, Self::Tokens, Self::Score, Self::Random];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turns => "turns",
            Self::Tokens => "tokens",
            Self::Score => "score",
            Self::Random => "random",
        }
    }

    /// By its name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rank| rank.name() == word)
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Which outcomes: resolved, not, or (with nothing) either.
    pub resolved: Option<bool>,
    /// Attempts that ended in a loop stay.
    pub keep_loops: bool,
    /// Attempts without a change stay.
    pub keep_empty: bool,
    /// Attempts that a limit of ours ended stay.
    pub keep_masked: bool,
    /// Attempts that looked where the answer may be lying about stay.
    pub keep_cheating: bool,
    /// Longest attempt, in tokens.
    pub most_tokens: Option<usize>,
    /// Only instances whose pass rate, over all tested attempts, lies strictly
    /// between these.
    pub band: Option<(f64, f64)>,
    /// One of several attempts at an instance with the same patch.
    pub distinct: bool,
    /// Attempts of an instance, at most.
    pub per_instance: Option<usize>,
    /// Attempts of a repository, at most.
    pub per_repo: Option<usize>,
    /// Which come first.
    pub rank: Rank,
    /// Of what is random.
    pub seed: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            resolved: Some(true),
            keep_loops: false,
            keep_empty: false,
            keep_masked: false,
            keep_cheating: false,
            most_tokens: None,
            band: None,
            distinct: false,
            per_instance: None,
            per_repo: None,
            rank: Rank::Turns,
            seed: 0,
        }
    }
}

/// Why a candidate is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Nobody ran its tests.
    NotTested,
    /// It does not resolve its instance.
    Unresolved,
    /// It resolves its instance, and only others were wanted.
    Resolved,
    /// It looked where the answer may be lying about.
    Cheating,
    /// It ended in a loop.
    Loop,
    /// It changed nothing.
    EmptyPatch,
    /// A limit of ours ended it.
    Limit,
    /// It is too long.
    Overlong,
    /// Its instance is too easy or too hard.
    Band,
    /// Another attempt made the same change.
    Duplicate,
    /// There are others of its instance that come first.
    InstanceCap,
    /// There are others of its repository that come first.
    RepoCap,
    /// Its set would have more than its share.
    SetShare,
}

impl Reason {
    /// The word in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotTested => "not_tested",
            Self::Unresolved => "unresolved",
            Self::Resolved => "resolved",
            Self::Cheating => "cheating",
            Self::Loop => "loop",
            Self::EmptyPatch => "empty_patch",
            Self::Limit => "limit",
            Self::Overlong => "overlong",
            Self::Band => "band",
            Self::Duplicate => "duplicate",
            Self::InstanceCap => "instance_cap",
            Self::RepoCap => "repo_cap",
            Self::SetShare => "set_share",
        }
    }
}

/// Candidates by their index: those that are kept, in order, and why the
/// others are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Curated {
    /// Kept, by instance, set and attempt.
    pub kept: Vec<usize>,
    /// Left out.
    pub dropped: Vec<(usize, Reason)>,
}

/// Goes over candidates by the rules.
pub fn curate(candidates: &[Candidate], rules: &Rules) -> Curated {
    let rates = pass_rates(candidates);
    let mut curated = Curated::default();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| key(&candidates[a]).cmp(&key(&candidates[b])));
    let mut left = Vec::new();
    for index in order {
        match alone(&candidates[index], rules, &rates) {
            Some(reason) => curated.dropped.push((index, reason)),
            None => left.push(index),
        }
    }
    rank(candidates, rules, &mut left);
    let mut patches: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut of_instance: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_repo: BTreeMap<&str, usize> = BTreeMap::new();
    for index in left {
        let candidate = &candidates[index];
        let (instance, repo) = (candidate.instance_id.as_str(), candidate.repo.as_str());
        let full = |count: Option<&usize>, most: Option<usize>| {
            most.is_some_and(|most| count.copied().unwrap_or(0) >= most)
        };
        let reason = if rules.distinct && patches.contains(&(instance, candidate.patch.as_str())) {
            Some(Reason::Duplicate)
        } else if full(of_instance.get(instance), rules.per_instance) {
            Some(Reason::InstanceCap)
        } else if full(of_repo.get(repo), rules.per_repo) {
            Some(Reason::RepoCap)
        } else {
            None
        };
        if let Some(reason) = reason {
            curated.dropped.push((index, reason));
            continue;
        }
        patches.insert((instance, &candidate.patch));
        *of_instance.entry(instance).or_default() += 1;
        *of_repo.entry(repo).or_default() += 1;
        curated.kept.push(index);
    }
    curated.kept.sort_by(|&a, &b| key(&candidates[a]).cmp(&key(&candidates[b])));
    curated.dropped.sort_by(|(a, _), (b, _)| key(&candidates[*a]).cmp(&key(&candidates[*b])));
    curated
}

/// Mixes sets in given shares: of what is kept, as much as all sets together can
/// give in these proportions, chosen by the seed. Sets that are not named keep
/// all they have.
pub fn mix(candidates: &[Candidate], curated: &mut Curated, shares: &[(String, f64)], seed: u64) {
    let mut kept = std::mem::take(&mut curated.kept);
    kept.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let of_set = |set: &str| kept.iter().filter(|&&index| candidates[index].set == set).count();
    let whole = shares.iter().filter(|(_, share)| *share > 0.0);
    let whole = whole.map(|(set, share)| of_set(set) as f64 / share).fold(f64::INFINITY, f64::min);
    // Whole attempts: never more than the share, but for the error of the division.
    let mut room: BTreeMap<&str, usize> =
        shares.iter().map(|(set, share)| (set.as_str(), (whole * share + 1e-9) as usize)).collect();
    for index in kept {
        match room.get_mut(candidates[index].set.as_str()) {
            Some(0) => curated.dropped.push((index, Reason::SetShare)),
            room => {
                curated.kept.push(index);
                room.into_iter().for_each(|room| *room -= 1);
            }
        }
    }
    curated.kept.sort_by(|&a, &b| key(&candidates[a]).cmp(&key(&candidates[b])));
    curated.dropped.sort_by(|(a, _), (b, _)| key(&candidates[*a]).cmp(&key(&candidates[*b])));
}

fn key(candidate: &Candidate) -> (&str, &str, u32) {
    (&candidate.instance_id, &candidate.set, candidate.attempt)
}

/// The share of resolved attempts of each instance, of those that were tested.
pub fn pass_rates(candidates: &[Candidate]) -> BTreeMap<&str, f64> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for candidate in candidates {
        let Some(resolved) = candidate.resolved else { continue };
        let (passed, all) = counts.entry(&candidate.instance_id).or_default();
        *passed += usize::from(resolved);
        *all += 1;
    }
    counts.into_iter().map(|(instance, (passed, all))| (instance, passed as f64 / all as f64)).collect()
}

/// What speaks against a candidate whatever the others are.
fn alone(candidate: &Candidate, rules: &Rules, rates: &BTreeMap<&str, f64>) -> Option<Reason> {
    let outcome = match (rules.resolved, candidate.resolved) {
        (None, _) => None,
        (Some(_), None) => Some(Reason::NotTested),
        (Some(true), Some(false)) => Some(Reason::Unresolved),
        (Some(false), Some(true)) => Some(Reason::Resolved),
        _ => None,
    };
    let outside = |(low, high): (f64, f64)| {
        rates.get(candidate.instance_id.as_str()).is_none_or(|rate| *rate <= low || *rate >= high)
    };
    if outcome.is_some() {
        outcome
    } else if candidate.cheated() && !rules.keep_cheating {
        Some(Reason::Cheating)
    } else if candidate.stuck && !rules.keep_loops {
        Some(Reason::Loop)
    } else if candidate.patch.trim().is_empty() && !rules.keep_empty {
        Some(Reason::EmptyPatch)
    } else if candidate.is_cut() && !rules.keep_masked {
        Some(Reason::Limit)
    } else if rules.most_tokens.is_some_and(|most| candidate.tokens > most) {
        Some(Reason::Overlong)
    } else if rules.band.is_some_and(outside) {
        Some(Reason::Band)
    } else {
        None
    }
}

/// Puts those first that a cap keeps. Round by round over instances, so that a
/// cap on repositories takes from many instances before it takes twice of one.
fn rank(candidates: &[Candidate], rules: &Rules, left: &mut Vec<usize>) {
    let mut chances: Vec<u32> = (0..left.len() as u32).collect();
    chances.shuffle(&mut ChaCha8Rng::seed_from_u64(rules.seed));
    let chance: BTreeMap<usize, u32> = left.iter().copied().zip(chances).collect();
    let better = |&a: &usize, &b: &usize| {
        let (x, y) = (&candidates[a], &candidates[b]);
        let first = match rules.rank {
            Rank::Turns => x.turns.cmp(&y.turns).then(x.tokens.cmp(&y.tokens)),
            Rank::Tokens => x.tokens.cmp(&y.tokens),
            // Without a score comes last.
            Rank::Score => {
                y.score.unwrap_or(f64::NEG_INFINITY).total_cmp(&x.score.unwrap_or(f64::NEG_INFINITY))
            }
            Rank::Random => std::cmp::Ordering::Equal,
        };
        first.then(chance[&a].cmp(&chance[&b]))
    };
    left.sort_by(better);
    let mut rounds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut with_round: Vec<(usize, u32, usize)> = Vec::new();
    for &index in &*left {
        let round = rounds.entry(&candidates[index].instance_id).or_default();
        with_round.push((*round, chance[&index], index));
        *round += 1;
    }
    with_round.sort_unstable();
    *left = with_round.into_iter().map(|(.., index)| index).collect();
}

/// Pairs for a verifier: of each instance with both outcomes, as many resolved
/// attempts as can be matched, with `ratio` unresolved ones for each, and of
/// neither more than `most`. Instances with one outcome teach the verifier only
/// which instances are easy; they are left out.
pub fn balanced(
    candidates: &[Candidate],
    kept: &[usize],
    ratio: usize,
    most: Option<usize>,
    seed: u64,
) -> Vec<usize> {
    let mut by_instance: BTreeMap<&str, [Vec<usize>; 2]> = BTreeMap::new();
    for &index in kept {
        let Some(resolved) = candidates[index].resolved else { continue };
        by_instance.entry(&candidates[index].instance_id).or_default()[usize::from(resolved)].push(index);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = Vec::new();
    for [unresolved, resolved] in by_instance.values_mut() {
        unresolved.shuffle(&mut rng);
        resolved.shuffle(&mut rng);
        let pairs = resolved.len().min(unresolved.len() / ratio.max(1)).min(most.unwrap_or(usize::MAX));
        // Where there are few failures, one success is matched with what there is.
        let (good, bad) = match (pairs, resolved.is_empty() || unresolved.is_empty()) {
            (_, true) => (0, 0),
            (0, false) => (1, unresolved.len().min(ratio)),
            (pairs, false) => (pairs, pairs * ratio.max(1)),
        };
        chosen.extend(&resolved[..good]);
        chosen.extend(&unresolved[..bad]);
    }
    chosen.sort_by(|&a, &b| key(&candidates[a]).cmp(&key(&candidates[b])));
    chosen
}

/// How a ladder's steps are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ladder {
    /// Attempts at random.
    Random,
    /// One attempt of an instance each, instances at random (the paper's dedup).
    Distinct,
    /// Whole repositories, one after another.
    Repo,
}

impl Ladder {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Random, Self::Distinct, Self::Repo];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Distinct => "distinct",
            Self::Repo => "repo",
        }
    }

    /// By its name in settings.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == word)
    }
}

/// Subsets for a scaling study: each of the shares (ascending) holds the one
/// before it.
pub fn ladder(
    candidates: &[Candidate],
    kept: &[usize],
    by: Ladder,
    shares: &[f64],
    seed: u64,
) -> Vec<Vec<usize>> {
    let mut order = kept.to_vec();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    match by {
        Ladder::Random => {}
        Ladder::Distinct => {
            let mut seen = BTreeSet::new();
            order.retain(|&index| seen.insert(candidates[index].instance_id.as_str()));
        }
        Ladder::Repo => {
            // Repositories in the order in which the shuffle met them.
            let mut met: Vec<&str> = Vec::new();
            for &index in &order {
                if !met.contains(&candidates[index].repo.as_str()) {
                    met.push(&candidates[index].repo);
                }
            }
            order.sort_by_key(|&index| met.iter().position(|repo| *repo == candidates[index].repo));
        }
    }
    let step = |share: &f64| {
        let count = (order.len() as f64 * share).round() as usize;
        let mut step = order[..count.min(order.len())].to_vec();
        step.sort_by(|&a, &b| key(&candidates[a]).cmp(&key(&candidates[b])));
        step
    };
    shares.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use swegym_core::{Class, StopReason, Verdict};

    use super::*;

    fn stop(cut: bool) -> StopReason {
        if cut { StopReason::StepLimit } else { StopReason::Submitted }
    }

    fn verdict(resolved: bool) -> Verdict {
        Verdict { resolved, marked: false }
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one =
            (0..6u8, 0..4u32, any::<Option<bool>>(), 0..5usize, 1..9usize, any::<[bool; 3]>(), any::<bool>())
                .prop_map(|(instance, attempt, resolved, turns, tokens, [stuck, cut, cheated], again)| {
                    Candidate {
                        instance_id: format!("r{}-{instance}", instance % 2),
                        repo: format!("r{}", instance % 2),
                        set: if again { "on" } else { "off" }.to_owned(),
                        attempt,
                        resolved,
                        turns,
                        tokens: tokens * 100,
                        stuck,
                        class: Some(Class::of(stop(cut), resolved.map(verdict), cheated)),
                        stop: Some(stop(cut)),
                        patch: ["", "x", "y"][turns % 3].to_owned(),
                        ..Candidate::default()
                    }
                });
        prop::collection::vec(one, 0..60).prop_map(|mut all| {
            let mut seen = BTreeSet::new();
            all.retain(|c| seen.insert((c.instance_id.clone(), c.set.clone(), c.attempt)));
            all
        })
    }

    #[test]
    fn a_class_that_is_masked_is_no_lesson_unless_it_is_asked_for() {
        for class in
            [Class::Resolved, Class::ResolvedOverBudget, Class::Policy, Class::Budget, Class::Cheating]
        {
            let over = matches!(class, Class::ResolvedOverBudget | Class::Budget);
            let candidate = Candidate {
                class: Some(class),
                stop: Some(stop(over)),
                patch: "x".into(),
                ..Candidate::default()
            };
            let any = Rules { resolved: None, ..Rules::default() };
            assert_eq!(alone(&candidate, &any, &BTreeMap::new()).is_some(), class.is_masked(), "{class:?}");
            let all = Rules { keep_masked: true, keep_cheating: true, ..any };
            assert_eq!(alone(&candidate, &all, &BTreeMap::new()), None, "{class:?}");
        }
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let caps = (prop::option::of(1..4usize), prop::option::of(1..6usize));
        (any::<Option<bool>>(), any::<[bool; 4]>(), caps, prop::sample::select(Rank::ALL.to_vec())).prop_map(
            |(resolved, [keep_loops, keep_empty, distinct, banded], (per_instance, per_repo), rank)| Rules {
                resolved,
                keep_loops,
                keep_empty,
                distinct,
                per_instance,
                per_repo,
                rank,
                band: banded.then_some((0.0, 1.0)),
                ..Rules::default()
            },
        )
    }

    proptest! {
        #[test]
        fn each_candidate_is_kept_or_has_one_reason_and_caps_hold(all in candidates(), rules in rules()) {
            let curated = curate(&all, &rules);
            let mut seen: Vec<usize> =
                curated.kept.iter().copied().chain(curated.dropped.iter().map(|(i, _)| *i)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..all.len()).collect::<Vec<_>>());
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for &index in &curated.kept {
                *counts.entry(&all[index].instance_id).or_default() += 1;
                prop_assert!(rules.resolved.is_none() || rules.resolved == all[index].resolved);
            }
            prop_assert!(rules.per_instance.is_none_or(|most| counts.values().all(|n| *n <= most)));
        }

        #[test]
        fn the_order_of_candidates_does_not_matter(all in candidates(), rules in rules(), seed in any::<u64>()) {
            let mut mixed = all.clone();
            mixed.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
            let of = |list: &[Candidate]| -> Vec<Candidate> {
                curate(list, &rules).kept.iter().map(|&i| list[i].clone()).collect()
            };
            prop_assert_eq!(of(&all), of(&mixed));
        }

        #[test]
        fn sets_keep_to_their_shares(all in candidates(), shares in prop::array::uniform2(0..4u8), seed in any::<u64>()) {
            let mut curated = curate(&all, &Rules { resolved: None, ..Rules::default() });
            let before = curated.clone();
            let named: Vec<(String, f64)> =
                ["off", "on"].map(str::to_owned).into_iter().zip(shares.map(f64::from)).collect();
            mix(&all, &mut curated, &named, seed);
            let count = |kept: &[usize], set: &str| kept.iter().filter(|&&i| all[i].set == set).count();
            let [off, on] = ["off", "on"].map(|set| count(&curated.kept, set));
            let [a, b] = shares.map(usize::from);
            if a > 0 && b > 0 {
                // In proportion, and one of the two gives all that it can.
                prop_assert!((off * b).abs_diff(on * a) < a.max(b));
                let left = [count(&before.kept, "off") - off, count(&before.kept, "on") - on];
                prop_assert!(left[0] < a || left[1] < b);
            }
            prop_assert_eq!(curated.kept.len() + curated.dropped.len(), all.len());
        }

        #[test]
        fn pairs_are_of_instances_with_both_outcomes(all in candidates(), ratio in 1..3usize) {
            let everything: Vec<usize> = (0..all.len()).collect();
            let chosen = balanced(&all, &everything, ratio, Some(2), 1);
            let mut by: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
            for &index in &chosen {
                by.entry(&all[index].instance_id).or_default()[usize::from(all[index].resolved == Some(true))] += 1;
            }
            for [bad, good] in by.values() {
                prop_assert!(*good > 0 && *bad > 0 && *good <= 2 && *bad <= good * ratio);
            }
        }

        #[test]
        fn a_step_of_a_ladder_holds_the_one_before(all in candidates(), by in prop::sample::select(vec![Ladder::Random, Ladder::Distinct, Ladder::Repo])) {
            let everything: Vec<usize> = (0..all.len()).collect();
            let steps = ladder(&all, &everything, by, &[0.25, 0.5, 1.0], 3);
            for pair in steps.windows(2) {
                prop_assert!(pair[0].iter().all(|index| pair[1].contains(index)));
            }
        }
    }

    #[test]
    fn fewest_turns_come_first_and_reasons_are_told() {
        let of = |attempt, turns, patch: &str, resolved| Candidate {
            instance_id: "a-1".into(),
            attempt,
            turns,
            patch: patch.into(),
            resolved: Some(resolved),
            ..Candidate::default()
        };
        let all = [
            of(0, 9, "x", true),
            of(1, 3, "y", true),
            of(2, 3, "", true),
            of(3, 1, "z", false),
            of(4, 5, "y", true),
        ];
        let rules = Rules { per_instance: Some(1), distinct: true, ..Rules::default() };
        let curated = curate(&all, &rules);
        assert_eq!(curated.kept, [1]);
        assert_eq!(
            curated.dropped,
            [
                (0, Reason::InstanceCap),
                (2, Reason::EmptyPatch),
                (3, Reason::Unresolved),
                (4, Reason::Duplicate)
            ]
        );
    }
}
