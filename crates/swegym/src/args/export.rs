//! Flags of `export`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Which attempts, in which form.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Folder of a rollout; for tokens and frameworks also conversations (.jsonl) or tokens (.parquet)
    #[arg(required_unless_present = "import")]
    pub(crate) run: Option<PathBuf>,
    /// File to write; for a framework, folder
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// What is written: messages, tokens, or a folder for trl, torchtune, verl
    #[arg(long, value_name = "TARGET", default_value = "messages")]
    pub(crate) to: String,
    /// Bring a model back that a framework trained: its folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "to"])]
    pub(crate) import: Option<PathBuf>,
    /// How calls are written: native, text [default: as they travelled]
    #[arg(long, value_name = "FORM")]
    pub(crate) calls: Option<String>,
    /// As `rollout --prompts`: its text_tools.txt introduces tools where calls become text
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    /// Folder of the rollout's evaluation [default: the rollout's own, with --evaluate]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Only attempts that resolve their instance, and not by cheating
    #[arg(long)]
    pub(crate) resolved: bool,
    /// Turns that are not to be learnt: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) skip_turns: Vec<String>,
    /// Learn only the last turn of each attempt
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    /// Model folder in Hugging Face form, for its tokenizer and its sizes
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
}

/// How another machine is to train. The values are the paper's (appendix B).
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Frameworks")]
pub(crate) struct RecipeArgs {
    /// The model on the other machine: a name or a folder there [default: --model]
    #[arg(long, value_name = "NAME")]
    pub(crate) base: Option<String>,
    /// GPUs of the other machine; 0 trains on its processor
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) gpus: usize,
    /// Longest sequence, in tokens
    #[arg(long, value_name = "N", default_value_t = 32_768)]
    pub(crate) context: usize,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) epochs: u32,
    /// Learning rate at its peak
    #[arg(long, value_name = "RATE", default_value_t = 1e-4)]
    pub(crate) rate: f64,
    /// Sequences of one optimiser step
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) batch: usize,
    /// Train an adapter of this rank (trl)
    #[arg(long, value_name = "RANK")]
    pub(crate) lora: Option<usize>,
}
