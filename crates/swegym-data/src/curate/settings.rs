//! What `curate` is told.

use std::path::PathBuf;

use swegym_core::chat::CallForm;
use swegym_train::curation::{Ladder, Rules};
use swegym_train::mask::Blemish;

use crate::rows::HeldOut;

/// Which attempts become data, and what of them.
#[derive(Debug, Clone, PartialEq)]
pub struct CurateSettings {
    /// Folders of evaluated rollouts.
    pub runs: Vec<PathBuf>,
    /// Whose tokenizer and template make the rows.
    pub model: PathBuf,
    /// Which attempts are taken.
    pub rules: Rules,
    /// Files of scores.
    pub scores: Vec<PathBuf>,
    /// The share of each run; none takes what there is.
    pub shares: Vec<f64>,
    /// Turns that are not learnt.
    pub skip_turns: Vec<Blemish>,
    /// Only the last turn of an attempt is learnt.
    pub last_turn_only: bool,
    /// How calls are written; as recorded where nothing is said.
    pub calls: Option<CallForm>,
    /// A folder of prompts, whose description of tools is used where calls become text.
    pub prompts: Option<PathBuf>,
    /// What is not learnt, to measure with.
    pub held_out: HeldOut,
    /// Shares of nested subsets, ascending.
    pub ladder: Vec<f64>,
    /// How subsets grow.
    pub ladder_by: Ladder,
    /// Conversations of both outcomes, for a verifier.
    pub pairs: Option<Pairs>,
    /// Of every draw.
    pub seed: u64,
}

/// How attempts of both outcomes are paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pairs {
    /// Unresolved attempts for each resolved one.
    pub negatives: usize,
    /// Resolved attempts of an instance, at most.
    pub most: Option<usize>,
}

impl CurateSettings {
    /// The successes of some runs for a model.
    pub fn new(runs: Vec<PathBuf>, model: PathBuf) -> Self {
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
    pub fn paired(self, pairs: Pairs) -> Self {
        let rules =
            Rules { resolved: None, keep_loops: true, keep_empty: true, keep_masked: true, ..self.rules };
        Self { rules, pairs: Some(pairs), ..self }
    }

    /// The same with another seed.
    pub fn seeded(self, seed: u64) -> Self {
        Self { rules: Rules { seed, ..self.rules }, seed, ..self }
    }

    /// The same of these outcomes.
    pub fn of(self, outcomes: Outcomes) -> Self {
        let resolved = match outcomes {
            Outcomes::Resolved => Some(true),
            Outcomes::Unresolved => Some(false),
            Outcomes::Any => None,
        };
        Self { rules: Rules { resolved, ..self.rules }, ..self }
    }
}

/// Attempts of which outcomes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcomes {
    /// Those that resolve their instance.
    Resolved,
    /// Those that do not.
    Unresolved,
    /// Both.
    Any,
}

impl Outcomes {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Resolved, Self::Unresolved, Self::Any];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Unresolved => "unresolved",
            Self::Any => "any",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcomes| outcomes.name() == word)
    }
}
