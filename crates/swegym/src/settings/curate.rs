//! What `curate` is told.

use std::path::PathBuf;

use swegym_core::chat::CallForm;
use swegym_train::curation::{Ladder, Rank, Rules};
use swegym_train::mask::Blemish;

use super::HeldOut;
use crate::args::{CurateArgs, Kept, Outcomes};
use crate::error::CommandError;

/// Which attempts become data, and what of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CurateSettings {
    /// Folders of evaluated rollouts.
    pub(crate) runs: Vec<PathBuf>,
    /// Whose tokenizer and template make the rows.
    pub(crate) model: PathBuf,
    pub(crate) rules: Rules,
    /// Files of scores.
    pub(crate) scores: Vec<PathBuf>,
    /// The share of each run; none takes what there is.
    pub(crate) shares: Vec<f64>,
    /// Turns that are not learnt.
    pub(crate) skip_turns: Vec<Blemish>,
    pub(crate) last_turn_only: bool,
    /// How calls are written; as recorded where nothing is said.
    pub(crate) calls: Option<CallForm>,
    pub(crate) prompts: Option<PathBuf>,
    pub(crate) held_out: HeldOut,
    /// Shares of nested subsets, ascending.
    pub(crate) ladder: Vec<f64>,
    pub(crate) ladder_by: Ladder,
    /// Conversations of both outcomes, for a verifier.
    pub(crate) pairs: Option<Pairs>,
    pub(crate) seed: u64,
}

/// How attempts of both outcomes are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// Unresolved attempts for each resolved one.
    pub(crate) negatives: usize,
    /// Resolved attempts of an instance, at most.
    pub(crate) most: Option<usize>,
}

impl CurateSettings {
    /// The successes of some runs for a model.
    pub(crate) fn new(runs: Vec<PathBuf>, model: PathBuf) -> Self {
        Self {
            runs,
            model,
            rules: Rules { seed: 0, ..Rules::default() },
            scores: Vec::new(),
            shares: Vec::new(),
            skip_turns: Vec::new(),
            last_turn_only: false,
            calls: None,
            prompts: None,
            held_out: HeldOut::default(),
            ladder: Vec::new(),
            ladder_by: Ladder::Random,
            pairs: None,
            seed: 0,
        }
    }

    /// Both outcomes, for a verifier: it must see the failures that policies make.
    pub(crate) fn paired(self, pairs: Pairs) -> Self {
        let rules =
            Rules { resolved: None, keep_loops: true, keep_empty: true, keep_masked: true, ..self.rules };
        Self { rules, pairs: Some(pairs), ..self }
    }

    /// The same with another seed.
    pub(crate) fn seeded(self, seed: u64) -> Self {
        Self { rules: Rules { seed, ..self.rules }, seed, ..self }
    }

    /// The same of these outcomes.
    pub(crate) fn of(self, outcomes: Outcomes) -> Self {
        let resolved = match outcomes {
            Outcomes::Resolved => Some(true),
            Outcomes::Unresolved => Some(false),
            Outcomes::Any => None,
        };
        Self { rules: Rules { resolved, ..self.rules }, ..self }
    }

    pub(crate) fn resolve(args: CurateArgs) -> Result<Self, CommandError> {
        let CurateArgs {
            runs,
            out: _,
            model,
            outcome,
            cap,
            per_repo,
            rank,
            scores,
            distinct,
            shares,
            band,
            keep,
            max_tokens,
            skip_turns,
            last_turn_only,
            calls,
            prompts,
            held_out,
            mut ladder,
            ladder_by,
            verifier,
            negatives,
            pairs,
            seed,
        } = args;
        if rank == Rank::Score && scores.is_empty() {
            return Err(CommandError::usage("--rank score needs scores", "name their files with --scores"));
        }
        let is_sound = |share: &f64| share.is_finite() && *share >= 0.0;
        if !shares.iter().all(is_sound) {
            let message = "a share is a number from 0 on";
            return Err(CommandError::usage(message, "give each run one: --shares 1,1"));
        }
        let band = match band.as_slice() {
            [] => None,
            [low, high] if low < high => Some((*low, *high)),
            _ => {
                let hint = "--band 0,1 leaves out what is always or never resolved";
                return Err(CommandError::usage("a band has two bounds", hint));
            }
        };
        ladder.sort_by(f64::total_cmp);
        let keeps = |kind: Kept| keep.contains(&kind);
        let rules = Rules {
            resolved: Some(true),
            keep_loops: keeps(Kept::Loops),
            keep_empty: keeps(Kept::Empty),
            keep_masked: keeps(Kept::Limits),
            // No verifier should learn that it pays.
            keep_cheating: keeps(Kept::Cheating),
            most_tokens: max_tokens,
            band,
            distinct,
            per_instance: cap,
            per_repo,
            rank,
            seed,
        };
        let settings = Self {
            rules,
            scores,
            shares,
            skip_turns,
            last_turn_only,
            calls,
            prompts,
            held_out: held_out.into(),
            ladder,
            ladder_by,
            seed,
            ..Self::new(runs, model)
        };
        let settings = if verifier { settings.paired(Pairs { negatives, most: pairs }) } else { settings };
        Ok(match outcome {
            Some(outcomes) => settings.of(outcomes),
            None => settings,
        })
    }
}
