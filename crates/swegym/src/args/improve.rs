//! Flags of `improve` and `paper`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_data::curate::settings::Outcomes;
use swegym_method::settings::{Memory, Start};
use swegym_train::mask::Blemish;

use super::RunArgs;
use super::choice::{choice, explained};

/// Rounds of sampling, grading, curating, training, measuring.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ImproveArgs {
    /// First policy: a model folder in Hugging Face format, or a training run
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Instances to train on
    #[arg(long, value_name = "FILE")]
    pub(crate) instances: PathBuf,
    /// Instances to measure on; none may be among the training instances
    #[arg(long, value_name = "FILE")]
    pub(crate) measure: PathBuf,
    /// Endpoint that serves the policy under the name --policy and loads adapters by name (vLLM, SGLang,
    /// `serve --hot-swap`); --train then needs --lora [default: serve the policy in this process]
    #[arg(long, value_name = "URL", requires = "policy")]
    pub(crate) endpoint: Option<String>,
    /// The policy's name at the endpoint
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) policy: Option<String>,
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u32,
    #[command(flatten)]
    pub(crate) ways: WayArgs,
    /// Attempts per instance in a measurement
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) measure_attempts: u32,
    /// Random seed of sampling and training; round r uses this seed plus r
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// More flags for `swegym rollout`, as one quoted argument
    #[arg(long = "rollout", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) rollout_flags: String,
    /// More flags for `swegym curate`, as one quoted argument
    #[arg(long = "curate", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) curate_flags: String,
    /// More flags for `swegym train sft`, as one quoted argument
    #[arg(long = "train", value_name = "FLAGS", default_value = "", allow_hyphen_values = true)]
    pub(crate) train_flags: String,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How much of the paper is reproduced.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PaperArgs {
    /// A small run of a few minutes: it shows directions, not exact figures
    #[arg(long)]
    pub(crate) fast: bool,
    /// Number of training seeds [default: 3, with --fast 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The ingredients; each can be left out.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Ingredients")]
pub(crate) struct WayArgs {
    /// Attempts per instance in a round
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) attempts: u32,
    /// Sampling temperature
    #[arg(long, value_name = "T", default_value_t = 1.0)]
    pub(crate) temperature: f64,
    /// Most attempts per instance to train on; 0 for all
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) cap: usize,
    /// Evaluated rollout to add to every round's data, for example a teacher's; can be repeated
    #[arg(long, value_name = "RUN")]
    pub(crate) mix: Vec<PathBuf>,
    /// Weights that each round's training starts from
    #[arg(long, value_name = "WHERE", default_value = "base",
          value_parser = choice(explained([("base", "The first policy's: only the data accumulates"), ("last", "The previous round's")]), Start::named))]
    pub(crate) from: Start,
    /// Which rounds' attempts to train on
    #[arg(long, value_name = "WHICH", default_value = "all",
          value_parser = choice(explained([("all", "All rounds so far"), ("last", "This round only")]), Memory::named))]
    pub(crate) learn: Memory,
    /// Outcomes to train on: resolved; or any, which turns rejection off
    #[arg(long, value_name = "WHICH", default_value = "resolved", hide_possible_values = true,
          value_parser = choice(Outcomes::ALL.map(Outcomes::name), Outcomes::named))]
    pub(crate) outcome: Outcomes,
    /// Turns to leave out of the loss: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',', hide_possible_values = true,
          value_parser = choice(Blemish::ALL.map(Blemish::name), Blemish::named))]
    pub(crate) skip_turns: Vec<Blemish>,
}
