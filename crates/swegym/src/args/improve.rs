//! Flags of `improve` and `paper`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::RunArgs;

/// Rounds of sampling, grading, curating, training, measuring.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ImproveArgs {
    /// Policy to begin with: a model folder in Hugging Face form, or a training run
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Instances to learn from
    #[arg(long, value_name = "FILE")]
    pub(crate) instances: PathBuf,
    /// Instances to measure with; none of them may be among the others
    #[arg(long, value_name = "FILE")]
    pub(crate) measure: PathBuf,
    /// An endpoint that serves the policy under --policy and takes adapters by name (vLLM, SGLang,
    /// `serve --hot-swap`); --train then needs --lora [default: the policy is served here]
    #[arg(long, value_name = "URL", requires = "policy")]
    pub(crate) endpoint: Option<String>,
    /// The policy's name at the endpoint
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) policy: Option<String>,
    /// Rounds
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) ways: WayArgs,
    /// Attempts at each instance in a measurement
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) measure_attempts: u32,
    /// Seed of sampling and training; round r adds r
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// More flags of `swegym rollout`, in one word
    #[arg(long = "rollout", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) rollout_flags: String,
    /// More flags of `swegym curate`, in one word
    #[arg(long = "curate", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) curate_flags: String,
    /// More flags of `swegym train sft`, in one word
    #[arg(long = "train", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) train_flags: String,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How much of the paper is reproduced.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PaperArgs {
    /// A bounded run of a few minutes: directions, not figures
    #[arg(long)]
    pub(crate) fast: bool,
    /// Seeds of training [default: 3, with --fast 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The ingredients; each can be left out.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Ingredients")]
pub(crate) struct WayArgs {
    /// Attempts at each instance in a round
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) attempts: u32,
    /// Temperature of sampling
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Attempts of an instance that are learnt, at most; 0 for all
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) cap: usize,
    /// Evaluated rollouts that are mixed into every round: a teacher's
    #[arg(long, value_name = "RUN")]
    pub(crate) mix: Vec<PathBuf>,
    /// Where training begins in each round
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Start::Base)]
    pub(crate) from: Start,
    /// Which attempts of the policy's own are learnt
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Memory::All)]
    pub(crate) learn: Memory,
    /// Which outcomes are learnt: resolved; or any, which is no rejection at all
    #[arg(long, value_name = "WHICH", default_value = "resolved")]
    pub(crate) outcome: String,
    /// Turns that are not learnt: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) skip_turns: Vec<String>,
}

/// Where a round's training begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Start {
    /// With the first policy: only the data goes on.
    Base,
    /// With the policy of the round before.
    Last,
}

/// Which rounds' attempts are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Memory {
    /// Those of all rounds so far.
    All,
    /// Those of this round alone.
    Last,
}
