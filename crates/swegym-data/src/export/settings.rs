//! What `export` is told.

use std::path::PathBuf;

use swegym_core::chat::CallForm;
use swegym_train::mask::Blemish;

/// Which attempts, in which form.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportSettings {
    /// A rollout; or a file of conversations or tokens.
    pub run: Option<PathBuf>,
    /// A file; a folder where it is for a framework.
    pub out: PathBuf,
    /// What is written, or for which framework.
    pub to: String,
    /// Instead: a folder that a framework trained, which is taken over.
    pub import: Option<PathBuf>,
    /// How calls are written; as recorded where nothing is said.
    pub calls: Option<CallForm>,
    /// A folder of prompts, whose description of tools is used where calls become text.
    pub prompts: Option<PathBuf>,
    /// Where the verdicts are, if not in the rollout.
    pub evaluation: Option<PathBuf>,
    /// Only attempts that resolve their instance without a mark.
    pub resolved: bool,
    /// Attempts too that training leaves out.
    pub masked: bool,
    /// Turns that are not learnt.
    pub skip_turns: Vec<Blemish>,
    /// Only the last turn of an attempt is learnt.
    pub last_turn_only: bool,
    /// Whose tokenizer and sizes count.
    pub model: Option<PathBuf>,
    /// How another machine is to train.
    pub recipe: Recipe,
}

/// How another machine is to train.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The model there; this machine's where nothing is said.
    pub base: Option<String>,
    /// Its GPUs; 0 trains on its processor.
    pub gpus: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Passes over the data.
    pub epochs: u32,
    /// Learning rate at its peak.
    pub rate: f64,
    /// Sequences of a step.
    pub batch: usize,
    /// Rank of an adapter, if one is trained.
    pub lora: Option<usize>,
}
