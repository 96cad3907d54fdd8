//! What `train` is told: one structure a verb.

use std::path::PathBuf;

use swegym_data::rows::HeldOut;
use swegym_train::adapter::{AdapterShape, TARGETS};
use swegym_train::checkpoint::Precision;
use swegym_train::corpus::WordRule;
use swegym_train::trainer::Settings as TrainerSettings;
use swegym_train::verifier::Answer;

/// How training goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CourseSettings {
    /// All but the learning rate's peak.
    pub trainer: TrainerSettings,
    /// The peak; by default what suits the verb.
    pub rate: Option<f64>,
    /// How often it measures and saves.
    pub pace: Pace,
    /// By default the model's own.
    pub precision: Option<Precision>,
}

/// How often a run measures and saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// Steps between measurements; an epoch where nothing is said.
    pub measure: Option<u64>,
    /// Steps between checkpoints; an epoch where nothing is said.
    pub save: Option<u64>,
    /// Measurements without a better loss after which a run ends.
    pub patience: Option<u32>,
}

impl CourseSettings {
    /// What the trainer is told; `usual` is the rate where none is asked for.
    pub fn trainer(&self, usual: f64) -> TrainerSettings {
        TrainerSettings { rate: self.rate.unwrap_or(usual), ..self.trainer.clone() }
    }
}

/// An adapter instead of the whole model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AdapterSettings {
    /// Its shape; none trains the whole model.
    pub shape: Option<AdapterShape>,
    /// Frozen weights are held in half precision.
    pub half: bool,
}

impl AdapterSettings {
    /// An adapter of all projections.
    pub fn of_rank(rank: usize) -> Self {
        let targets = TARGETS.map(str::to_owned).to_vec();
        let shape = AdapterShape { rank, alpha: rank as f32, by_root: false, targets };
        Self { shape: Some(shape), half: false }
    }
}

/// What a tokenizer is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerSettings {
    /// Files of text.
    pub text: Vec<PathBuf>,
    /// How many tokens it has.
    pub vocabulary: usize,
    /// Tokens that are never split.
    pub special: Vec<String>,
    /// Of chats; `ChatML` where nothing is said.
    pub template: Option<PathBuf>,
    /// What splits text into words.
    pub words: WordRule,
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct PretrainSettings {
    /// Files of text.
    pub text: Vec<PathBuf>,
    /// Of conversations only what the assistant says is learnt.
    pub answers_only: bool,
    /// The folder of its tokenizer.
    pub tokenizer: PathBuf,
    /// Its architecture.
    pub shape: ModelShape,
    /// How training goes.
    pub course: CourseSettings,
}

/// Where a new model's architecture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelShape {
    /// A `config.json`.
    File(PathBuf),
    /// A Qwen2 of this hidden size.
    Small {
        /// Its hidden size.
        width: usize,
        /// Its layers.
        layers: usize,
    },
}

/// Which model learns what.
#[derive(Debug, Clone, PartialEq)]
pub struct SftSettings {
    /// The model's folder.
    pub model: PathBuf,
    /// Files of conversations or tokens.
    pub data: Vec<PathBuf>,
    /// Only the last turn of a conversation is learnt.
    pub last_turn_only: bool,
    /// An adapter, if one is trained.
    pub adapter: AdapterSettings,
    /// What is not learnt, to measure with.
    pub held_out: HeldOut,
    /// How training goes.
    pub course: CourseSettings,
}

impl SftSettings {
    /// A model, fine-tuned on some files.
    pub fn new(model: PathBuf, data: Vec<PathBuf>) -> Self {
        Self {
            model,
            data,
            last_turn_only: false,
            adapter: AdapterSettings::default(),
            held_out: HeldOut::default(),
            course: CourseSettings::default(),
        }
    }
}

/// What a verifier is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shown {
    /// The whole attempt.
    #[default]
    Trajectory,
    /// The answer.
    Patch,
    /// What the user's own template asks.
    Template(PathBuf),
}

/// Which model learns to judge what.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifierSettings {
    /// The model's folder.
    pub model: PathBuf,
    /// Files of conversations or tokens.
    pub data: Vec<PathBuf>,
    /// What it is shown.
    pub shown: Shown,
    /// The words for yes and no.
    pub labels: [String; 2],
    /// How it answers.
    pub answer: Answer,
    /// An adapter, if one is trained.
    pub adapter: AdapterSettings,
    /// What is not learnt, to measure with.
    pub held_out: HeldOut,
    /// How training goes.
    pub course: CourseSettings,
}

impl VerifierSettings {
    /// A verifier of trajectories that answers YES or NO.
    pub fn new(model: PathBuf, data: Vec<PathBuf>) -> Self {
        Self {
            model,
            data,
            shown: Shown::Trajectory,
            labels: ["YES", "NO"].map(str::to_owned),
            answer: Answer::Label,
            adapter: AdapterSettings::default(),
            held_out: HeldOut::default(),
            course: CourseSettings::default(),
        }
    }
}
