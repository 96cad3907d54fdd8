//! What `train` is told: one structure a verb.

use std::path::PathBuf;

use swegym_train::adapter::{AdapterShape, TARGETS};
use swegym_train::checkpoint::Precision;
use swegym_train::corpus::WordRule;
use swegym_train::packing::Overlong;
use swegym_train::trainer::Settings as TrainerSettings;
use swegym_train::verifier::Answer;

use crate::args::{
    AdapterArgs, CourseArgs, HeldOutArgs, PretrainArgs, SftArgs, TokenizerArgs, Unit, VerifierArgs, WordsOf,
};
use crate::error::CommandError;

/// How training goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CourseSettings {
    /// All but the learning rate's peak.
    pub(crate) trainer: TrainerSettings,
    /// The peak; by default what suits the verb.
    pub(crate) rate: Option<f64>,
    pub(crate) pace: Pace,
    /// By default the model's own.
    pub(crate) precision: Option<Precision>,
}

/// How often a run measures and saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    /// Steps between measurements; an epoch where nothing is said.
    pub(crate) measure: Option<u64>,
    /// Steps between checkpoints; an epoch where nothing is said.
    pub(crate) save: Option<u64>,
    /// Measurements without a better loss after which a run ends.
    pub(crate) patience: Option<u32>,
}

impl CourseSettings {
    /// What the trainer is told; `usual` is the rate where none is asked for.
    pub(crate) fn trainer(&self, usual: f64) -> TrainerSettings {
        TrainerSettings { rate: self.rate.unwrap_or(usual), ..self.trainer.clone() }
    }

    fn resolve(args: &CourseArgs) -> Self {
        let CourseArgs {
            context,
            overlong,
            no_packing,
            batch,
            epochs,
            steps,
            rate,
            schedule,
            warmup,
            decay,
            clip,
            recompute,
            lanes,
            seed,
            measure_every,
            patience,
            save_every,
            precision,
        } = *args;
        let mut trainer = TrainerSettings {
            context,
            overlong,
            packing: !no_packing,
            batch: batch.max(1),
            epochs,
            steps,
            schedule,
            warmup,
            clip,
            lanes,
            again: recompute,
            seed,
            ..TrainerSettings::default()
        };
        trainer.adamw.decay = decay;
        let pace = Pace { measure: measure_every, save: save_every, patience };
        Self { trainer, rate, pace, precision }
    }
}

/// An adapter instead of the whole model.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct AdapterSettings {
    /// Its shape; none trains the whole model.
    pub(crate) shape: Option<AdapterShape>,
    /// Frozen weights are held in half precision.
    pub(crate) half: bool,
}

impl AdapterSettings {
    /// An adapter of all projections.
    pub(crate) fn of_rank(rank: usize) -> Self {
        let targets = TARGETS.map(str::to_owned).to_vec();
        let shape = AdapterShape { rank, alpha: rank as f32, by_root: false, targets };
        Self { shape: Some(shape), half: false }
    }

    fn resolve(args: AdapterArgs) -> Result<Self, CommandError> {
        let AdapterArgs { lora, lora_alpha, lora_targets, half } = args;
        let Some(rank) = lora else { return Ok(Self { shape: None, half }) };
        let mut shape = Self::of_rank(rank).shape;
        if let Some(odd) = lora_targets.iter().find(|name| !TARGETS.contains(&name.as_str())) {
            return Err(CommandError::usage(format!("there is no projection `{odd}`"), TARGETS.join(", ")));
        }
        if rank == 0 {
            return Err(CommandError::usage("an adapter of rank 0 adds nothing", "8 to 64 are usual"));
        }
        if let Some(shape) = &mut shape {
            shape.alpha = lora_alpha.unwrap_or(shape.alpha);
            if !lora_targets.is_empty() {
                shape.targets = lora_targets;
            }
        }
        Ok(Self { shape, half })
    }
}

/// What is not learnt, to measure with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HeldOut {
    /// Share of the groups.
    pub(crate) share: f64,
    /// What a group is.
    pub(crate) by: Unit,
}

impl Default for HeldOut {
    fn default() -> Self {
        Self { share: 0.0, by: Unit::Instance }
    }
}

impl From<HeldOutArgs> for HeldOut {
    fn from(args: HeldOutArgs) -> Self {
        let HeldOutArgs { held_out, split_by } = args;
        Self { share: held_out, by: split_by }
    }
}

/// What a tokenizer is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenizerSettings {
    pub(crate) text: Vec<PathBuf>,
    pub(crate) vocabulary: usize,
    pub(crate) special: Vec<String>,
    /// Of chats; `ChatML` where nothing is said.
    pub(crate) template: Option<PathBuf>,
    pub(crate) words: WordRule,
}

impl From<TokenizerArgs> for TokenizerSettings {
    fn from(args: TokenizerArgs) -> Self {
        let TokenizerArgs { text, vocabulary, special, template, words, out: _ } = args;
        let words = match words {
            WordsOf::Gpt2 => WordRule::Gpt2,
            WordsOf::Qwen2 => WordRule::Qwen2,
        };
        Self { text, vocabulary, special, template, words }
    }
}

/// What a model is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PretrainSettings {
    pub(crate) text: Vec<PathBuf>,
    /// Of conversations only what the assistant says is learnt.
    pub(crate) answers_only: bool,
    pub(crate) tokenizer: PathBuf,
    pub(crate) shape: ModelShape,
    pub(crate) course: CourseSettings,
}

/// Where a new model's architecture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelShape {
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

impl From<PretrainArgs> for PretrainSettings {
    fn from(args: PretrainArgs) -> Self {
        let PretrainArgs { text, answers_only, tokenizer, architecture, width, layers, course, run: _ } =
            args;
        let shape = architecture.map_or(ModelShape::Small { width, layers }, ModelShape::File);
        Self { text, answers_only, tokenizer, shape, course: CourseSettings::resolve(&course) }
    }
}

/// Which model learns what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SftSettings {
    pub(crate) model: PathBuf,
    pub(crate) data: Vec<PathBuf>,
    pub(crate) last_turn_only: bool,
    pub(crate) adapter: AdapterSettings,
    pub(crate) held_out: HeldOut,
    pub(crate) course: CourseSettings,
}

impl SftSettings {
    /// A model, fine-tuned on some files.
    pub(crate) fn new(model: PathBuf, data: Vec<PathBuf>) -> Self {
        Self {
            model,
            data,
            last_turn_only: false,
            adapter: AdapterSettings::default(),
            held_out: HeldOut::default(),
            course: CourseSettings::default(),
        }
    }

    pub(crate) fn resolve(args: SftArgs) -> Result<Self, CommandError> {
        let SftArgs { model, data, last_turn_only, adapter, held_out, course, run: _ } = args;
        Ok(Self {
            model,
            data,
            last_turn_only,
            adapter: AdapterSettings::resolve(adapter)?,
            held_out: held_out.into(),
            course: CourseSettings::resolve(&course),
        })
    }
}

/// What a verifier is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Shown {
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
pub(crate) struct VerifierSettings {
    pub(crate) model: PathBuf,
    pub(crate) data: Vec<PathBuf>,
    pub(crate) shown: Shown,
    /// The words for yes and no.
    pub(crate) labels: [String; 2],
    pub(crate) answer: Answer,
    pub(crate) adapter: AdapterSettings,
    pub(crate) held_out: HeldOut,
    pub(crate) course: CourseSettings,
}

impl VerifierSettings {
    /// A verifier of trajectories that answers YES or NO.
    pub(crate) fn new(model: PathBuf, data: Vec<PathBuf>) -> Self {
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

    pub(crate) fn resolve(args: VerifierArgs) -> Result<Self, CommandError> {
        let VerifierArgs { model, data, shown, template, labels, answer, adapter, held_out, course, run: _ } =
            args;
        let labels = labels.try_into().map_err(|labels: Vec<String>| {
            let message = format!("{} labels were given", labels.len());
            CommandError::usage(message, "two, as in --labels YES,NO")
        })?;
        let course = CourseSettings::resolve(&course);
        if course.trainer.overlong == Overlong::Window {
            let message = "a question is not `window` where it is too long";
            return Err(CommandError::usage(message, "drop, or cut to leave its middle out"));
        }
        Ok(Self {
            model,
            data,
            shown: template.map_or(shown, Shown::Template),
            labels,
            answer,
            adapter: AdapterSettings::resolve(adapter)?,
            held_out: held_out.into(),
            course,
        })
    }
}
