//! Flags of `train` and `serve`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use swegym_data::rows::Unit;
use swegym_method::base::Size;
use swegym_method::settings::Shown;
use swegym_train::checkpoint::Precision;
use swegym_train::corpus::WordRule;
use swegym_train::packing::Overlong;
use swegym_train::schedule::Shape;
use swegym_train::verifier::Answer;

use super::choice::choice;
use super::{DoorArgs, RunArgs, sizes};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum TrainVerb {
    /// Train a tokenizer on text (byte-level BPE, with a chat template)
    Tokenizer(TokenizerArgs),
    /// Train a small model from scratch on text
    Pretrain(Box<PretrainArgs>),
    /// Train the micro gym's base policy again, from scratch
    Base(BaseArgs),
    /// Fine-tune a model on conversations or token files (supervised fine-tuning)
    Sft(Box<SftArgs>),
    /// Train a verifier: a model that scores how likely an attempt resolves its instance
    Verifier(Box<VerifierArgs>),
}

/// Which base policy is made.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct BaseArgs {
    /// Size of the policy
    #[arg(long, default_value = "large", value_parser = choice(sizes(), Size::named))]
    pub(crate) size: Size,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What a tokenizer is made of.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct TokenizerArgs {
    /// Text: .jsonl files with a `text` field per line, or any other file as a whole
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// Vocabulary size, in tokens
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) vocabulary: usize,
    /// A special token, never split; can be repeated
    #[arg(long = "special", value_name = "TOKEN")]
    pub(crate) special: Vec<String>,
    /// Chat template (Jinja) [default: ChatML]
    #[arg(long, value_name = "FILE")]
    pub(crate) template: Option<PathBuf>,
    /// Rule that splits text into words; for Qwen models, transformers 5 always uses
    /// qwen2's
    #[arg(long, value_name = "FAMILY", default_value = "qwen2",
          value_parser = choice(WordRule::ALL.map(WordRule::name), WordRule::named))]
    pub(crate) words: WordRule,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// What a model is made of.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PretrainArgs {
    /// Text: .jsonl files with a `text` field per line, or any other file as a whole
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) text: Vec<PathBuf>,
    /// In conversations, train only on the assistant's turns
    #[arg(long)]
    pub(crate) answers_only: bool,
    /// Tokenizer folder
    #[arg(long, value_name = "DIR")]
    pub(crate) tokenizer: PathBuf,
    /// config.json of the model [default: a Qwen2 with --width and --layers]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["width", "layers"])]
    pub(crate) architecture: Option<PathBuf>,
    /// Hidden size; each attention head has 32 of it
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) width: usize,
    /// Number of layers
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
    /// Model folder in Hugging Face format
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Conversations (.jsonl, as `export` writes them) or token files (.parquet)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// Train only on the last turn of each conversation
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
    /// Model folder in Hugging Face format
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Attempts with `messages` and `resolved` (.jsonl, as `export` writes them after `evaluate`)
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub(crate) data: Vec<PathBuf>,
    /// What the verifier is shown: trajectory, patch
    #[arg(long, value_name = "WHAT", default_value = "trajectory", hide_possible_values = true,
          value_parser = choice(["trajectory", "patch"], shown))]
    pub(crate) shown: Shown,
    /// Your own question, as a Jinja template
    #[arg(long, value_name = "FILE", conflicts_with = "shown")]
    pub(crate) template: Option<PathBuf>,
    /// The two answer words, for yes and no
    #[arg(long, value_name = "YES,NO", value_delimiter = ',', default_value = "YES,NO")]
    pub(crate) labels: Vec<String>,
    /// How it answers: label (one of two words), class (a classification head)
    #[arg(long, value_name = "HOW", default_value = "label", hide_possible_values = true,
          value_parser = choice(Answer::ALL.map(Answer::name), Answer::named))]
    pub(crate) answer: Answer,
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
    /// Train only a LoRA adapter, of this rank
    #[arg(long, value_name = "RANK")]
    pub(crate) lora: Option<usize>,
    /// LoRA alpha [default: the rank]
    #[arg(long, value_name = "ALPHA", requires = "lora")]
    pub(crate) lora_alpha: Option<f32>,
    /// Projections to adapt [default: all seven]
    #[arg(long, value_name = "NAME", requires = "lora", value_delimiter = ',')]
    pub(crate) lora_targets: Vec<String>,
    /// Keep the frozen weights in bfloat16
    #[arg(long, requires = "lora")]
    pub(crate) half: bool,
}

/// What is not trained on, to measure the loss.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct HeldOutArgs {
    /// Share of the instances to hold out; the loss is measured on them
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(crate) held_out: f64,
    /// Unit that is held out as a whole: instance, repo
    #[arg(long, value_name = "WHAT", default_value = "instance", hide_possible_values = true,
          value_parser = choice(Unit::ALL.map(Unit::name), Unit::named))]
    pub(crate) split_by: Unit,
}

fn shown(word: &str) -> Option<Shown> {
    match word {
        "trajectory" => Some(Shown::Trajectory),
        "patch" => Some(Shown::Patch),
        _ => None,
    }
}

/// How training goes.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Training")]
pub(crate) struct CourseArgs {
    /// Longest sequence, in tokens
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) context: usize,
    /// What to do with longer rows: drop, cut, window
    #[arg(long, value_name = "WAY", default_value = "drop", hide_possible_values = true,
          value_parser = choice(Overlong::ALL.map(Overlong::name), Overlong::named))]
    pub(crate) overlong: Overlong,
    /// Do not pack several rows together
    #[arg(long)]
    pub(crate) no_packing: bool,
    /// Packs per optimiser step
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) batch: usize,
    /// Passes over the data
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    pub(crate) epochs: f64,
    /// Optimiser steps, instead of epochs
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<u64>,
    /// Peak learning rate [default: 1e-4; for adapters and from scratch 1e-3]
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<f64>,
    /// Learning-rate schedule after warm-up: cosine, linear, constant
    #[arg(long, value_name = "SHAPE", default_value = "cosine", hide_possible_values = true,
          value_parser = choice(Shape::ALL.map(Shape::name), Shape::named))]
    pub(crate) schedule: Shape,
    /// Share of the steps used for warm-up
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub(crate) warmup: f64,
    /// Weight decay
    #[arg(long, value_name = "X", default_value_t = 0.01)]
    pub(crate) decay: f32,
    /// Gradient norm limit (clipping)
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) clip: f64,
    /// Recompute activations in the backward pass: less memory, a third more time
    #[arg(long)]
    pub(crate) recompute: bool,
    /// Parallel gradient sums; their number changes the result in the last digits
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) lanes: usize,
    /// Random seed of the data order and of new weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Steps between measurements on the held-out data [default: one epoch]
    #[arg(long, value_name = "N")]
    pub(crate) measure_every: Option<u64>,
    /// Stop after N measurements without a better loss, and keep the best weights
    #[arg(long, value_name = "N")]
    pub(crate) patience: Option<u32>,
    /// Steps between checkpoints [default: one epoch]
    #[arg(long, value_name = "N")]
    pub(crate) save_every: Option<u64>,
    /// Precision of the saved model: float32, bfloat16, float16 [default: the input's]
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = choice(Precision::ALL.map(Precision::name), Precision::named))]
    pub(crate) precision: Option<Precision>,
}

/// What is served, and where.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Model folder in Hugging Face format, or a training run
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Model name in requests [default: the folder's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// An adapter to serve beside the model, under its own name; can be repeated
    #[arg(long = "adapter", value_name = "NAME=DIR")]
    pub(crate) adapters: Vec<String>,
    /// Let requests load and unload adapters (`/v1/load_lora_adapter`)
    #[arg(long)]
    pub(crate) hot_swap: bool,
    /// Folder from which requests may load adapters, beside those of --adapter; can be repeated
    #[arg(long = "adapter-folder", value_name = "DIR")]
    pub(crate) adapter_folders: Vec<PathBuf>,
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Most requests answered in parallel; others wait
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) at_once: usize,
    /// Most waiting requests; more are refused with status 429
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) queue: usize,
    /// Token limit of an answer, where the request gives none
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_tokens: usize,
}
