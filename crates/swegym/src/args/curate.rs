//! Flags of `curate`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::HeldOutArgs;

/// Which attempts become data, and what of them.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct CurateArgs {
    /// Folders of evaluated rollouts; each is a set of its own
    #[arg(required = true, num_args = 1..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Model folder whose tokenizer and template make the rows
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Which outcomes: resolved, unresolved, any [default: resolved; for a verifier any]
    #[arg(long, value_name = "WHICH")]
    pub(crate) outcome: Option<String>,
    /// Attempts of an instance, at most
    #[arg(long, value_name = "N")]
    pub(crate) cap: Option<usize>,
    /// Attempts of a repository, at most
    #[arg(long, value_name = "N")]
    pub(crate) per_repo: Option<usize>,
    /// Which come first: turns (fewest), tokens (fewest), score (highest), random
    #[arg(long, value_name = "BY", default_value = "turns")]
    pub(crate) rank: String,
    /// Scores, as `swegym score` writes them
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Vec<PathBuf>,
    /// One of several attempts at an instance with the same patch
    #[arg(long)]
    pub(crate) distinct: bool,
    /// Shares in which the runs are mixed, one for each in their order: `1,1` takes as many of
    /// the teacher's attempts as of the policy's, and leaves the rest of the larger run out
    #[arg(long, value_name = "SHARE", value_delimiter = ',')]
    pub(crate) shares: Vec<f64>,
    /// Only instances with a pass rate strictly between these
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',')]
    pub(crate) band: Vec<f64>,
    /// What is kept all the same: loops, empty, limits, cheating
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    /// Longest attempt, in tokens
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<usize>,
    /// Turns that are not learnt: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) skip_turns: Vec<String>,
    /// Learn only the last turn of each attempt
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    /// How calls are rendered: native, text [default: as they travelled]
    #[arg(long, value_name = "FORM")]
    pub(crate) calls: Option<String>,
    /// As `rollout --prompts`: its text_tools.txt introduces tools where calls become text
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) held_out: HeldOutArgs,
    /// Also nested subsets of these shares, for a scaling study
    #[arg(long, value_name = "SHARES", value_delimiter = ',')]
    pub(crate) ladder: Vec<f64>,
    /// How subsets are chosen: random, distinct (one an instance), repo (whole ones)
    #[arg(long, value_name = "BY", default_value = "random")]
    pub(crate) ladder_by: String,
    /// Conversations for a verifier: pairs within instances that have both outcomes
    #[arg(long)]
    pub(crate) verifier: bool,
    /// Unresolved attempts for each resolved one
    #[arg(long, value_name = "N", default_value_t = 1, requires = "verifier")]
    pub(crate) negatives: usize,
    /// Resolved attempts of an instance, at most
    #[arg(long, value_name = "N", requires = "verifier")]
    pub(crate) pairs: Option<usize>,
    /// Seed of what is random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}
