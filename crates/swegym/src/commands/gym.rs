//! Steps of the method on the micro gym, with flags that suit its small policies.
//! `quickstart` and `paper` consist of these steps.

use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_grade::metrics::Attempt;
use swegym_train::checkpoint::write_synced;

use super::{base, metrics};
use crate::error::CommandError;
use crate::workshop::{Policy, Workshop};

/// What fine-tuning is done with, but for how long.
const TUNING: &str = "--context 1024 --batch 4 --rate 1e-3";

/// What a verifier of this size is asked: the issue and the code before and
/// after, without a word around them.
const QUESTION: &str = include_str!("../../base/verifier.jinja");

/// Steps of the method in a workshop.
pub(crate) struct Gym {
    pub(crate) workshop: Workshop,
    question: PathBuf,
}

impl Gym {
    pub(crate) fn open(workshop: Workshop) -> Result<Self, CommandError> {
        let question = workshop.place("verifier.jinja");
        write_synced(&question, QUESTION.as_bytes())?;
        Ok(Self { workshop, question })
    }

    /// Draws tasks; gives the folder of their files.
    pub(crate) async fn tasks(
        &mut self,
        name: &str,
        split: &str,
        families: &str,
        count: u32,
    ) -> Result<PathBuf, CommandError> {
        self.draw(name, split, families, count, "1").await
    }

    /// Draws tasks that no policy is tuned on, for the answers whose outcomes are
    /// known: what a verifier learns to read from.
    pub(crate) async fn answers(&mut self, name: &str, count: u32) -> Result<PathBuf, CommandError> {
        Ok(self.draw(name, "train", base::FAMILIES, count, "2").await?.join("answers.jsonl"))
    }

    async fn draw(
        &mut self,
        name: &str,
        split: &str,
        families: &str,
        count: u32,
        seed: &str,
    ) -> Result<PathBuf, CommandError> {
        let count = count.to_string();
        let words = ["micro", "--split", split, "--families", families, "--count", &count, "--seed", seed];
        self.workshop.step(name, words).await
    }

    /// A teacher's attempts, most of which fail.
    pub(crate) async fn teach(
        &mut self,
        name: &str,
        tasks: &Path,
        attempts: u32,
        noise: f64,
    ) -> Result<PathBuf, CommandError> {
        let (tasks, attempts) = (instances(tasks), attempts.to_string());
        let noise = noise.to_string();
        let mut words = vec!["rollout", "--scaffold", "noisy-expert", "--evaluate", "--no-snapshots"];
        words.extend(["--prompts", "terse", "--concurrent", "8", "--noise", &noise]);
        words.extend(["--attempts", &attempts, "--instances", &tasks]);
        self.workshop.step(name, words).await
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
        let mut words: Vec<String> =
            ["rollout", "--evaluate", "--no-snapshots", "--temperature", "1"].map(str::to_owned).to_vec();
        words.extend(["--attempts".to_owned(), attempts.to_string(), "--instances".to_owned()]);
        words.extend([instances(tasks), "--sampling-seed".to_owned(), seed.to_string()]);
        words.extend(flags(base::AGENT));
        self.workshop.ask(name, &Policy::Here(model.to_owned()), words).await
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

    /// Curates runs for a policy; `more` are flags of `curate`.
    pub(crate) async fn data(
        &mut self,
        name: &str,
        runs: &[&Path],
        model: &Path,
        more: &str,
    ) -> Result<PathBuf, CommandError> {
        let mut words = vec!["curate".to_owned()];
        words.extend(runs.iter().map(|run| run.display().to_string()));
        words.extend(["--model".to_owned(), model.display().to_string()]);
        words.extend(flags("--calls text --prompts terse").chain(flags(more)));
        self.workshop.step(name, words).await
    }

    /// Fine-tunes on a token file; `length` says how long, as flags.
    pub(crate) async fn tune(
        &mut self,
        name: &str,
        model: &Path,
        file: &Path,
        seed: u64,
        length: &str,
    ) -> Result<PathBuf, CommandError> {
        let (model, file) = (model.display().to_string(), file.display().to_string());
        let seed = seed.to_string();
        let words = ["train", "sft", "--model", &model, "--data", &file, "--seed", &seed];
        let words = words.map(str::to_owned).into_iter();
        self.workshop.step(name, words.chain(flags(TUNING)).chain(flags(length))).await
    }

    /// Trains a verifier on conversations with their outcomes.
    pub(crate) async fn verifier(
        &mut self,
        name: &str,
        model: &Path,
        file: &Path,
        seed: u64,
        length: &str,
    ) -> Result<PathBuf, CommandError> {
        let file = file.display().to_string();
        let (model, question) = (model.display().to_string(), self.question.display().to_string());
        let seed = seed.to_string();
        let mut words = ["train", "verifier", "--model", &model, "--data", &file].map(str::to_owned).to_vec();
        words.extend(["--template", &question, "--seed", &seed].map(str::to_owned));
        self.workshop.step(name, words.into_iter().chain(flags(TUNING)).chain(flags(length))).await
    }

    /// Scores a run; gives the file.
    pub(crate) async fn score(
        &mut self,
        name: &str,
        run: &Path,
        verifier: &Path,
    ) -> Result<PathBuf, CommandError> {
        let (run, verifier) = (run.display().to_string(), verifier.display().to_string());
        self.workshop.step(name, ["score", &run, "--verifier", &verifier]).await
    }

    /// Tests a run's attempts with what the issues themselves show.
    pub(crate) async fn try_examples(
        &mut self,
        name: &str,
        run: &Path,
        tasks: &Path,
    ) -> Result<PathBuf, CommandError> {
        let examples = tasks.join("examples.jsonl").display().to_string();
        let run = run.display().to_string();
        self.workshop.step(name, ["evaluate", "--instances", &examples, "--predictions", &run]).await
    }

    /// What choosing is worth, in the mean over verifiers: the contents of
    /// `selection.json`.
    pub(crate) async fn select(
        &mut self,
        name: &str,
        run: &Path,
        scores: &[PathBuf],
        more: &[(&str, &Path)],
    ) -> Result<Value, CommandError> {
        let mut words = ["select", &run.display().to_string(), "--apart"].map(str::to_owned).to_vec();
        words.extend(scores.iter().flat_map(|path| ["--scores".to_owned(), path.display().to_string()]));
        words.extend(more.iter().flat_map(|(flag, path)| [(*flag).to_owned(), path.display().to_string()]));
        let path = self.workshop.step(name, words).await?.join("selection.json");
        let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
        serde_json::from_str(&text).map_err(|e| CommandError::file("read", &path, &std::io::Error::other(e)))
    }
}

/// Flags of ours, none of which has a blank in its value.
fn flags(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace().map(str::to_owned)
}

/// The file of a folder of tasks.
fn instances(tasks: &Path) -> String {
    tasks.join("candidates.jsonl").display().to_string()
}
