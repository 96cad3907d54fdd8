//! Flags of `train` and `serve`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::{DoorArgs, RunArgs};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TrainVerb {
    /// Make a tokenizer from text (byte-level BPE, with a chat template)
    Tokenizer(TokenizerArgs),
    /// Train a small model from nothing on text
    Pretrain(Box<PretrainArgs>),
    /// Make the micro gym's base policy again, from nothing
    Base(BaseArgs),
    /// Train a model on conversations or token files: supervised fine-tuning
    Sft(Box<SftArgs>),
    /// Train a model to say how likely an attempt resolves its instance
    Verifier(Box<VerifierArgs>),
}

/// Which base policy is made.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct BaseArgs {
    /// Its size
    #[arg(long, value_enum, default_value_t = Size::Large)]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Sizes of the micro gym's base policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// 64 columns, 2 layers.
    Small,
    /// 96 columns, 3 layers.
    Medium,
    /// 128 columns, 4 layers.
    Large,
}

/// What a tokenizer is made of.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct TokenizerArgs {
    /// Text: .jsonl files with `text` in each line, or any other file whole
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Tokens in all
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) vocabulary: usize,
    /// A token that is never split; more than once if you like
    #[arg(long = "special", value_name = "TOKEN")]
    pub(crate) special: Vec<String>,
    /// Chat template (Jinja) [default: ChatML]
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Whose rule splits text into words; beside a Qwen model, transformers 5
    /// knows no other than qwen2's
    #[arg(long, value_name = "FAMILY", value_enum, default_value_t = WordsOf::Qwen2)]
    pub(crate) words: WordsOf,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Rules that split text into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WordsOf {
    Gpt2,
    Qwen2,
}

/// What a model is made of.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PretrainArgs {
    /// Text: .jsonl files with `text` in each line, or any other file whole
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Of conversations, learn the assistant's turns alone
    #[arg(long)]
    pub(crate) answers_only: bool,
    /// Folder of the tokenizer
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: PathBuf,
    /// config.json of the model [default: a Qwen2 of --width and --layers]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["width", "layers"])]
    pub(crate) architecture: Option<PathBuf>,
    /// Columns of the hidden state; heads have 32
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) width: usize,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) layers: usize,
    #[command(flatten)]
    pub(crate) course: CourseArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Which model learns what.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SftArgs {
    /// Model folder in Hugging Face form
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Conversations (.jsonl, as `export` writes them) or token files (.parquet)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// Learn only the last turn of each conversation
    #[arg(long)]
    pub(crate) last_turn_only: bool,
    #[command(flatten)]
    pub(crate) adapter: AdapterArgs,
    #[command(flatten)]
    pub(crate) held_out: HeldOutArgs,
    #[command(flatten)]
    pub(crate) course: CourseArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Which model learns to judge what.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct VerifierArgs {
    /// Model folder in Hugging Face form
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Attempts with `messages` and `resolved` (.jsonl, as `export` writes them after `evaluate`)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// What the verifier is shown: trajectory, patch
    #[arg(long, value_name = "WHAT", default_value = "trajectory")]
    pub(crate) shown: String,
    /// The question as a Jinja template of your own
    #[arg(long, value_name = "FILE", conflicts_with = "shown")]
    pub(crate) template: Option<PathBuf>,
    /// Words for yes and no
    #[arg(long, value_name = "YES,NO", value_delimiter = ',', default_value = "YES,NO")]
    pub(crate) labels: Vec<String>,
    /// How it answers: label (a token), class (a head of its own)
    #[arg(long, value_name = "HOW", default_value = "label")]
    pub(crate) answer: String,
    #[command(flatten)]
    pub(crate) adapter: AdapterArgs,
    #[command(flatten)]
    pub(crate) held_out: HeldOutArgs,
    #[command(flatten)]
    pub(crate) course: CourseArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// An adapter instead of the whole model.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct AdapterArgs {
    /// Train a low-rank adapter of this rank, and nothing else
    #[arg(long, value_name = "RANK")]
    pub(crate) lora: Option<usize>,
    /// Alpha of the adapter [default: the rank]
    #[arg(long, value_name = "ALPHA", requires = "lora")]
    pub(crate) lora_alpha: Option<f32>,
    /// Projections that are adapted [default: all seven]
    #[arg(long, value_name = "NAME", requires = "lora", value_delimiter = ',')]
    pub(crate) lora_targets: Vec<String>,
    /// Hold the frozen weights in bfloat16
    #[arg(long, requires = "lora")]
    pub(crate) half: bool,
}

/// What is not trained on, to measure the loss.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct HeldOutArgs {
    /// Share of the instances that is held out to measure the loss on
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) held_out: f64,
    /// What is held out together: instance, repo
    #[arg(long, value_name = "WHAT", default_value = "instance")]
    pub(crate) split_by: String,
}

/// How training goes.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Training")]
pub(crate) struct CourseArgs {
    /// Longest sequence, in tokens
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) context: usize,
    /// What becomes of longer rows: drop, cut, window
    #[arg(long, value_name = "WAY", default_value = "drop")]
    pub(crate) overlong: String,
    /// Do not put several rows into one pack
    #[arg(long)]
    pub(crate) no_packing: bool,
    /// Packs of one optimiser step
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) batch: usize,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    pub(crate) epochs: f64,
    /// Optimiser steps, instead of passes
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Learning rate at its peak [default: 1e-4, adapters 1e-3, from nothing 1e-3]
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<f64>,
    /// How the rate goes on after warm-up: cosine, linear, constant
    #[arg(long, value_name = "SHAPE", default_value = "cosine")]
    pub(crate) schedule: String,
    /// Share of the steps that warm up
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub(crate) warmup: f64,
    /// Weight decay
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    pub(crate) decay: f32,
    /// Longest gradient
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) clip: f64,
    /// Compute layers again on the way back: less memory, a third more time
    #[arg(long)]
    pub(crate) recompute: bool,
    /// Sums of gradients that are formed side by side; part of the arithmetic
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) lanes: usize,
    /// Seed of the data's order and of fresh weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Steps between two measurements on what is held out [default: an epoch]
    #[arg(long, value_name = "N")]
    pub(crate) measure_every: Option<u64>,
    /// Stop after so many measurements without a better loss, and keep the best
    #[arg(long, value_name = "N")]
    pub(crate) patience: Option<u32>,
    /// Steps between two checkpoints [default: an epoch]
    #[arg(long, value_name = "N")]
    pub(crate) save_every: Option<u64>,
    /// Precision of the model's files: float32, bfloat16, float16 [default: as it came]
    #[arg(long, value_name = "NAME")]
    pub(crate) precision: Option<String>,
}

/// What is served, and where.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Model folder in Hugging Face form, or a training run
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Name of the model in requests [default: the folder's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// An adapter beside the model, under a name of its own; more than once if you like
    #[arg(long = "adapter", value_name = "NAME=DIR")]
    pub(crate) adapters: Vec<String>,
    /// Let requests load and unload adapters (`/v1/load_lora_adapter`)
    #[arg(long)]
    pub(crate) hot_swap: bool,
    /// Where requests may load adapters from, beside the folders of --adapter; more than once if you like
    #[arg(long = "adapter-folder", value_name = "DIR")]
    pub(crate) adapter_folders: Vec<PathBuf>,
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Requests that are answered at once; others wait
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) at_once: usize,
    /// Requests that may wait; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) queue: usize,
    /// Longest answer where a request names none, in tokens
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_tokens: usize,
}
