//! Flags of `export`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_core::chat::CallForm;
use swegym_train::mask::Blemish;

use super::choice::choice;

/// Which attempts, in which form.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Folder of a rollout; for tokens and frameworks also a file of conversations (.jsonl) or tokens
    /// (.parquet)
    #[arg(required_unless_present = "import")]
    pub(crate) run: Option<PathBuf>,
    /// File to write; for a framework, a folder
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// Output: messages, tokens, or a folder for trl, torchtune, verl
    #[arg(long, value_name = "TARGET", default_value = "messages")]
    pub(crate) to: String,
    /// Instead of exporting, import a model folder that a framework trained
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "to"])]
    pub(crate) import: Option<PathBuf>,
    /// Form of tool calls: native, text [default: as recorded]
    #[arg(long, value_name = "FORM", hide_possible_values = true,
          value_parser = choice(CallForm::ALL.map(CallForm::as_str), CallForm::parse))]
    pub(crate) calls: Option<CallForm>,
    /// Prompts folder, as of `rollout`; its text_tools.txt describes tools where calls become text
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    /// Folder of the rollout's evaluation [default: the rollout's own, with --evaluate]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Only attempts that resolve their instance without a mark for cheating
    #[arg(long)]
    pub(crate) resolved: bool,
    /// Also write what training leaves out: attempts that a limit ended, that cheated, or that are not
    /// tested where others of the run are
    #[arg(long)]
    pub(crate) masked: bool,
    /// Turns to leave out of the loss: errors, malformed, loops
    #[arg(long, value_name = "KIND", value_delimiter = ',', hide_possible_values = true,
          value_parser = choice(Blemish::ALL.map(Blemish::name), Blemish::named))]
    pub(crate) skip_turns: Vec<Blemish>,
    /// Train only on the last turn of each attempt
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    /// Model folder in Hugging Face format, for its tokenizer and sizes
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
}

/// How another machine is to train. The values are the paper's (appendix B).
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Frameworks")]
pub(crate) struct RecipeArgs {
    /// Base model on the other machine: a name or a folder there [default: --model]
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
    /// Sequences per optimiser step
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) batch: usize,
    /// Train a LoRA adapter of this rank (trl)
    #[arg(long, value_name = "RANK")]
    pub(crate) lora: Option<usize>,
}
