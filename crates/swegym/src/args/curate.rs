//! Flags of `curate`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use swegym_core::chat::CallForm;
use swegym_data::curate::settings::Outcomes;
use swegym_train::curation::{Ladder, Rank};
use swegym_train::mask::Blemish;

use super::HeldOutArgs;
use super::choice::choice;

/// Which attempts become data, and what of them.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct CurateArgs {
    /// Folders of evaluated rollouts
    #[arg(required = true, num_args = 1..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Model folder whose tokenizer and template make the rows
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Outcomes to keep: resolved, unresolved, any [default: resolved; with --verifier any]
    #[arg(long, value_name = "WHICH", hide_possible_values = true,
          value_parser = choice(Outcomes::ALL.map(Outcomes::name), Outcomes::named))]
    pub(crate) outcome: Option<Outcomes>,
    /// Most attempts per instance
    #[arg(long, value_name = "N")]
    pub(crate) cap: Option<usize>,
    /// Most attempts per repository
    #[arg(long, value_name = "N")]
    pub(crate) per_repo: Option<usize>,
    /// Which attempts come first: turns (fewest), tokens (fewest), score (highest), random
    #[arg(long, value_name = "BY", default_value = "turns", hide_possible_values = true,
          value_parser = choice(Rank::ALL.map(Rank::name), Rank::named))]
    pub(crate) rank: Rank,
    /// Scores, as `swegym score` writes them
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Vec<PathBuf>,
    /// Keep one of several attempts at an instance that have the same patch
    #[arg(long)]
    pub(crate) distinct: bool,
    /// Proportions of the runs, one number for each in their order: `1,1` takes equally many
    /// attempts of two runs, and leaves out the rest of the larger one
    #[arg(long, value_name = "SHARE", value_delimiter = ',')]
    pub(crate) shares: Vec<f64>,
    /// Keep only instances whose pass rate lies strictly between these
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',')]
    pub(crate) band: Vec<f64>,
    /// Keep attempts that are left out by default: loops, empty, limits, cheating
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_enum, hide_possible_values = true)]
    pub(crate) keep: Vec<Kept>,
    /// Leave out attempts longer than this, in tokens
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Turns to leave out of the loss: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',', hide_possible_values = true,
          value_parser = choice(Blemish::ALL.map(Blemish::name), Blemish::named))]
    pub(crate) skip_turns: Vec<Blemish>,
    /// Train only on the last turn of each attempt
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    /// Form of tool calls: native, text [default: as recorded]
    #[arg(long, value_name = "FORM", hide_possible_values = true,
          value_parser = choice(CallForm::ALL.map(CallForm::as_str), CallForm::parse))]
    pub(crate) calls: Option<CallForm>,
    /// Prompts folder, as of `rollout`; its text_tools.txt describes tools where calls become text
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) held_out: HeldOutArgs,
    /// Also write nested subsets of these sizes (shares of the whole), for scaling studies
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub(crate) ladder: Vec<f64>,
    /// How subsets are chosen: random, distinct (one attempt per instance), repo (whole repositories)
    #[arg(long, value_name = "BY", default_value = "random", hide_possible_values = true,
          value_parser = choice(Ladder::ALL.map(Ladder::name), Ladder::named))]
    pub(crate) ladder_by: Ladder,
    /// Write conversations for a verifier: resolved and unresolved attempts at the same instances
    #[arg(long)]
    pub(crate) verifier: bool,
    /// Unresolved attempts per resolved one
    #[arg(long, value_name = "N", default_value_t = 1, requires = "verifier")]
    pub(crate) negatives: usize,
    /// Most resolved attempts per instance
    #[arg(long, value_name = "N", requires = "verifier")]
    pub(crate) pairs: Option<usize>,
    /// Random seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

/// Attempts that are left out unless they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    Loops,
    Empty,
    Limits,
    Cheating,
}
