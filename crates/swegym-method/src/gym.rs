//! Steps of the method on the micro gym, with settings that suit its small policies.
//! `quickstart` and `paper` consist of these steps.

use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_agent::{Limits, Scaffold};
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::format::instances::UnknownFields;
use swegym_data::curate::settings::{CurateSettings, Pairs};
use swegym_data::metrics;
use swegym_data::select::settings::{ScoreSettings, SelectSettings};
use swegym_grade::metrics::Attempt;
use swegym_tasks::micro::{Family, Split};
use swegym_train::trainer::Settings as TrainerSettings;

use crate::settings::{
    AdapterSettings, CourseSettings, MicroSettings, ModelChoice, RolloutSettings, SftSettings, Shown,
    VerifierSettings,
};
use crate::stage::{EvaluateSettings, Predictions};
use crate::step::Step;
use crate::workshop::Workshop;

/// Families whose tasks policies are tuned on.
pub(crate) const FAMILIES: [Family; 4] = [Family::Arithmetic, Family::List, Family::Truth, Family::Choice];

/// Families that are held out of all tuning: the base policy has read of them
/// what it has read of all, code, words and failures.
pub(crate) const HELD_OUT: [Family; 2] = [Family::Text, Family::Table];

/// Share of the teacher's attempts that go wrong: it resolves three of ten.
pub(crate) const TEACHER_NOISE: f64 = 0.7;

/// What a verifier of this size is asked: the issue and the code before and
/// after, without a word around them.
const QUESTION: &str = include_str!("../base/verifier.jinja");

/// How long something is trained.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// Passes over the data.
    Epochs(f64),
    /// Optimiser steps.
    Steps(u64),
}

/// How policies of this size are fine-tuned.
pub(crate) fn tuning(length: Length, seed: u64) -> CourseSettings {
    let usual = TrainerSettings { context: 1024, batch: 4, seed, ..TrainerSettings::default() };
    let trainer = match length {
        Length::Epochs(epochs) => TrainerSettings { epochs, ..usual },
        Length::Steps(steps) => TrainerSettings { steps: Some(steps), ..usual },
    };
    CourseSettings { trainer, rate: Some(1e-3), ..CourseSettings::default() }
}

/// Attempts that fit such a policy: few words, short answers.
pub(crate) fn agent(instances: PathBuf, model: ModelChoice) -> RolloutSettings {
    RolloutSettings {
        evaluate: true,
        prompts: Some("terse".into()),
        calls: CallForm::Text,
        concurrent: 16,
        sampling: Sampling { temperature: Some(1.0), max_tokens: Some(120), ..Sampling::default() },
        limits: Limits { steps: 8, snapshots: false, ..Limits::default() },
        ..RolloutSettings::new(instances, Scaffold::CodeAct, model)
    }
}

/// A teacher's attempts at the gym's tasks, of which a share goes wrong.
pub(crate) fn teacher(instances: PathBuf, attempts: u32, noise: f64) -> RolloutSettings {
    RolloutSettings {
        attempts,
        noise,
        prompts: Some("terse".into()),
        concurrent: 8,
        limits: Limits { snapshots: false, ..Limits::default() },
        ..RolloutSettings::new(instances, Scaffold::NoisyExpert, ModelChoice::Teacher)
    }
}

/// Attempts as they are taught to such policies.
pub(crate) fn curated(runs: Vec<PathBuf>, model: &Path) -> CurateSettings {
    CurateSettings {
        calls: Some(CallForm::Text),
        prompts: Some("terse".into()),
        ..CurateSettings::new(runs, model.to_owned())
    }
}

/// Steps of the method in a workshop.
pub(crate) struct Gym {
    pub workshop: Workshop,
    question: PathBuf,
}

impl Gym {
    pub(crate) fn open(workshop: Workshop) -> Result<Self, CommandError> {
        let question = workshop.place("verifier.jinja");
        text::write(&question, QUESTION)?;
        Ok(Self { workshop, question })
    }

    /// Draws tasks; gives the folder of their files.
    pub(crate) async fn tasks(
        &mut self,
        name: &str,
        split: Split,
        families: &[Family],
        count: u32,
    ) -> Result<PathBuf, CommandError> {
        self.workshop.take(name, Step::Micro(MicroSettings::new(split, count).of(families))).await
    }

    /// Draws tasks that no policy is tuned on, for the answers whose outcomes are
    /// known: what a verifier learns to read from.
    pub(crate) async fn answers(&mut self, name: &str, count: u32) -> Result<PathBuf, CommandError> {
        let settings = MicroSettings::new(Split::Train, count).of(&FAMILIES).seeded(2);
        Ok(self.workshop.take(name, Step::Micro(settings)).await?.join("answers.jsonl"))
    }

    /// A teacher's attempts, most of which fail.
    pub(crate) async fn teach(
        &mut self,
        name: &str,
        tasks: &Path,
        attempts: u32,
        noise: f64,
    ) -> Result<PathBuf, CommandError> {
        let settings = RolloutSettings { evaluate: true, ..teacher(instances(tasks), attempts, noise) };
        self.workshop.take(name, Step::Rollout(settings.into())).await
    }

    /// A policy's attempts, tested; gives their run.
    pub(crate) async fn sample(
        &mut self,
        name: &str,
        model: &Path,
        tasks: &Path,
        attempts: u32,
        seed: u64,
    ) -> Result<PathBuf, CommandError> {
        let usual = agent(instances(tasks), ModelChoice::here(model.to_owned()));
        let sampling = Sampling { seed: Some(seed), ..usual.sampling };
        let settings = RolloutSettings { attempts, sampling, ..usual };
        self.workshop.take(name, Step::Rollout(settings.into())).await
    }

    /// The attempts of a run with their verdicts.
    pub(crate) async fn measure(
        &mut self,
        name: &str,
        model: &Path,
        tasks: &Path,
        attempts: u32,
    ) -> Result<Vec<Attempt>, CommandError> {
        let run = self.sample(name, model, tasks, attempts, 1).await?;
        Ok(metrics::load(&run, None)?.0)
    }

    /// Curates, as [`curated`] begins it.
    pub(crate) async fn data(
        &mut self,
        name: &str,
        settings: CurateSettings,
    ) -> Result<PathBuf, CommandError> {
        self.workshop.take(name, Step::Curate(settings.into())).await
    }

    /// The successes of runs, so many of an instance.
    pub(crate) async fn capped(
        &mut self,
        name: &str,
        runs: &[&Path],
        model: &Path,
        cap: Option<usize>,
    ) -> Result<PathBuf, CommandError> {
        let mut settings = curated(owned(runs), model);
        settings.rules.per_instance = cap;
        self.data(name, settings).await
    }

    /// Attempts of both outcomes; gives the file of their conversations.
    pub(crate) async fn pairs(
        &mut self,
        name: &str,
        runs: &[&Path],
        model: &Path,
        negatives: usize,
    ) -> Result<PathBuf, CommandError> {
        let settings = curated(owned(runs), model).paired(Pairs { negatives, most: None });
        Ok(self.data(name, settings).await?.join("train.jsonl"))
    }

    /// Fine-tunes on a token file.
    pub(crate) async fn tune(
        &mut self,
        name: &str,
        model: &Path,
        file: &Path,
        seed: u64,
        length: Length,
    ) -> Result<PathBuf, CommandError> {
        let settings = SftSettings {
            course: tuning(length, seed),
            ..SftSettings::new(model.to_owned(), vec![file.to_owned()])
        };
        self.workshop.take(name, Step::Sft(settings.into())).await
    }

    /// Trains a verifier on conversations with their outcomes.
    pub(crate) async fn verifier(
        &mut self,
        name: &str,
        model: &Path,
        file: &Path,
        course: CourseSettings,
        adapter: AdapterSettings,
    ) -> Result<PathBuf, CommandError> {
        let settings = VerifierSettings {
            shown: Shown::Template(self.question.clone()),
            course,
            adapter,
            ..VerifierSettings::new(model.to_owned(), vec![file.to_owned()])
        };
        self.workshop.take(name, Step::Verifier(settings.into())).await
    }

    /// Scores a run; gives the file.
    pub(crate) async fn score(
        &mut self,
        name: &str,
        run: &Path,
        verifier: &Path,
    ) -> Result<PathBuf, CommandError> {
        let settings = ScoreSettings { runs: owned(&[run]), verifier: verifier.to_owned() };
        self.workshop.take(name, Step::Score(settings)).await
    }

    /// Tests a run's attempts with what the issues themselves show.
    pub(crate) async fn try_examples(
        &mut self,
        name: &str,
        run: &Path,
        tasks: &Path,
    ) -> Result<PathBuf, CommandError> {
        let settings = EvaluateSettings {
            instances: tasks.join("examples.jsonl"),
            answers: Predictions::Rollout(run.to_owned()),
            unknown: UnknownFields::Refuse,
        };
        self.workshop.take(name, Step::Evaluate(settings)).await
    }

    /// What choosing is worth, in the mean over verifiers: the contents of
    /// `selection.json`.
    pub(crate) async fn select(
        &mut self,
        name: &str,
        settings: SelectSettings,
    ) -> Result<Value, CommandError> {
        let settings = SelectSettings { apart: true, ..settings };
        let path = self.workshop.take(name, Step::Select(settings)).await?.join("selection.json");
        let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
        serde_json::from_str(&text).map_err(|e| CommandError::file("read", &path, &std::io::Error::other(e)))
    }
}

fn owned(paths: &[&Path]) -> Vec<PathBuf> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

/// The file of a folder of tasks.
pub(crate) fn instances(tasks: &Path) -> PathBuf {
    tasks.join("candidates.jsonl")
}
