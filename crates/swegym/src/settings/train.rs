//! What `train` is told, from its flags.

use swegym_console::error::CommandError;
use swegym_method::settings::{
    AdapterSettings, CourseSettings, ModelShape, Pace, PretrainSettings, SftSettings, Shown,
    TokenizerSettings, VerifierSettings,
};
use swegym_train::adapter::TARGETS;
use swegym_train::packing::Overlong;
use swegym_train::trainer::Settings as TrainerSettings;

use crate::args::{AdapterArgs, CourseArgs, PretrainArgs, SftArgs, TokenizerArgs, VerifierArgs};

impl From<&CourseArgs> for CourseSettings {
    fn from(args: &CourseArgs) -> Self {
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

impl TryFrom<AdapterArgs> for AdapterSettings {
    type Error = CommandError;

    fn try_from(args: AdapterArgs) -> Result<Self, CommandError> {
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

impl From<TokenizerArgs> for TokenizerSettings {
    fn from(args: TokenizerArgs) -> Self {
        let TokenizerArgs { text, vocabulary, special, template, words, out: _ } = args;
        Self { text, vocabulary, special, template, words }
    }
}

impl From<PretrainArgs> for PretrainSettings {
    fn from(args: PretrainArgs) -> Self {
        let PretrainArgs { text, answers_only, tokenizer, architecture, width, layers, course, run: _ } =
            args;
        let shape = architecture.map_or(ModelShape::Small { width, layers }, ModelShape::File);
        Self { text, answers_only, tokenizer, shape, course: CourseSettings::from(&course) }
    }
}

impl TryFrom<SftArgs> for SftSettings {
    type Error = CommandError;

    fn try_from(args: SftArgs) -> Result<Self, CommandError> {
        let SftArgs { model, data, last_turn_only, adapter, held_out, course, run: _ } = args;
        Ok(Self {
            model,
            data,
            last_turn_only,
            adapter: adapter.try_into()?,
            held_out: held_out.into(),
            course: CourseSettings::from(&course),
        })
    }
}

impl TryFrom<VerifierArgs> for VerifierSettings {
    type Error = CommandError;

    fn try_from(args: VerifierArgs) -> Result<Self, CommandError> {
        let VerifierArgs { model, data, shown, template, labels, answer, adapter, held_out, course, run: _ } =
            args;
        let labels = labels.try_into().map_err(|labels: Vec<String>| {
            let message = format!("{} labels were given", labels.len());
            CommandError::usage(message, "two, as in --labels YES,NO")
        })?;
        let course = CourseSettings::from(&course);
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
            adapter: adapter.try_into()?,
            held_out: held_out.into(),
            course,
        })
    }
}
