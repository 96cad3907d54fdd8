//! Flags of `curate`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::HeldOutArgs;

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
    #[arg(long, value_name = "WHICH")]
    pub(crate) outcome: Option<String>,
    /// Most attempts per instance
    #[arg(long, value_name = "N")]
    pub(crate) cap: Option<usize>,
    /// Most attempts per repository
    #[arg(long, value_name = "N")]
    pub(crate) per_repo: Option<usize>,
    /// Which attempts come first: turns (fewest), tokens (fewest), score (highest), random
    #[arg(long, value_name = "BY", default_value = "turns")]
    pub(crate) rank: String,
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
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    /// Leave out attempts longer than this, in tokens
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Turns to leave out of the loss: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) skip_turns: Vec<String>,
    /// Train only on the last turn of each attempt
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    /// Form of tool calls: native, text [default: as recorded]
    #[arg(long, value_name = "FORM")]
    pub(crate) calls: Option<String>,
    /// Prompts folder, as of `rollout`; its text_tools.txt describes tools where calls become text
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) held_out: HeldOutArgs,
    /// Also write nested subsets of these sizes (shares of the whole), for scaling studies
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub(crate) ladder: Vec<f64>,
    /// How subsets are chosen: random, distinct (one attempt per instance), repo (whole repositories)
    #[arg(long, value_name = "BY", default_value = "random")]
    pub(crate) ladder_by: String,
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
