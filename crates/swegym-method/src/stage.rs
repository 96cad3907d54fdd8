//! One run of one pipeline command: folder, jobs, outcomes, output files. The pipeline
//! commands and `quickstart` consist of these.

mod build;
mod evaluate;
mod job_bar;
mod micro;
mod prepare;
mod rollout;
mod synth;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::{exit, text};
use swegym_core::event::Event;
use swegym_core::format::results::JobOutput;
use swegym_core::format::run::{INSTANCES, RunHead};
use swegym_core::{Class, Digest, Fault, RunId};
use swegym_runner::run_dir::Open;
use swegym_runner::{Context, Job, Jobs, Outcome, RunDir};

use crate::session::Session;
use crate::stage::job_bar::JobBar;

pub use build::build;
pub use evaluate::{EvaluateSettings, Predictions, evaluate};
pub use micro::{micro, write_texts};
pub use prepare::{Tasks, Told, prepare};
pub use rollout::rollout;
pub use synth::synth;
pub use validate::validate;

/// What a finished stage says about itself.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its run directory.
    pub folder: PathBuf,
    /// Outcome words with their numbers.
    pub counts: BTreeMap<String, usize>,
    /// Of these, what else is worth a number.
    pub notes: Vec<(&'static str, usize)>,
    /// By the codes of [`exit`].
    pub exit: u8,
}

/// The copy of an input in the folder of a run whose output is called as the input often is.
const GIVEN: &str = "given.jsonl";

/// A stage about to run.
struct Stage<'a> {
    session: &'a Session,
    verb: &'static str,
    folder: &'a Path,
    open: Open,
    settings: Map<String, Value>,
    /// Settings that may be others when the run is taken up: how much at once,
    /// how often again.
    free: Map<String, Value>,
    /// Said beside the progress.
    aside: Option<Box<dyn Fn() -> String + Send>>,
    /// Contents that decide the jobs, beyond the settings.
    inputs: Vec<Digest>,
    /// Input that the run keeps, to be read and to go on where the input is not: names and
    /// texts of files.
    kept: Vec<(&'static str, &'a str)>,
}

/// Jobs with their outcomes, and the directory for the output files.
struct Ran {
    run: RunDir,
    outcomes: Vec<(String, Outcome)>,
}

impl<'a> Stage<'a> {
    /// One that its settings alone decide.
    fn new(
        session: &'a Session,
        verb: &'static str,
        (folder, open): (&'a Path, Open),
        settings: Map<String, Value>,
    ) -> Self {
        let (free, aside, inputs, kept) = (Map::new(), None, Vec::new(), Vec::new());
        Self { session, verb, folder, open, settings, free, aside, inputs, kept }
    }

    fn context(&self) -> Context {
        self.session.context(self.folder)
    }

    async fn run(self, jobs: Vec<Job>) -> Result<Ran, CommandError> {
        let names = jobs.iter().map(|job| job.name.clone()).collect();
        self.run_as_given(names, Jobs::all(jobs)).await
    }

    /// Runs jobs, of which some may come only when others have ended. `names` are theirs, in
    /// whatever order the outcomes are wanted.
    async fn run_as_given(self, names: Vec<String>, jobs: Jobs<'_, Job>) -> Result<Ran, CommandError> {
        let context = self.context();
        let (mut run, inputs) = self.open()?;
        let mut bar = JobBar::new(self.session.printer, self.verb);
        let stop = self.session.stop.clone();
        let show = |event: &Event, progress| bar.show(event, progress, self.aside.as_ref().map(|say| say()));
        let ended = swegym_runner::run(&mut run, (self.verb, inputs), jobs, &context, stop, show).await?;
        bar.finish();
        let mut ended: BTreeMap<String, Outcome> = ended.into_iter().collect();
        let outcome = |name: String| {
            let outcome = ended.remove(&name).unwrap_or(Outcome::Unfinished);
            (name, outcome)
        };
        Ok(Ran { run, outcomes: names.into_iter().map(outcome).collect() })
    }

    /// The folder, and the digest of all that decides the jobs.
    fn open(&self) -> Result<(RunDir, Digest), CommandError> {
        let mut digest = format!("{} {}", self.verb, Value::Object(self.settings.clone()));
        digest.extend(self.inputs.iter().map(|d| format!(" {d}")));
        let inputs = Digest::of(digest.as_bytes());
        let name = self.folder.file_name().map(|n| n.to_string_lossy().replace(char::is_whitespace, "_"));
        let instances = self.kept.iter().find(|(file, _)| *file == INSTANCES);
        let head = RunHead {
            run_id: RunId::new(name.unwrap_or_else(|| "run".into())).map_err(|e| {
                CommandError::usage(
                    format!("the run folder's name cannot be used: {e}"),
                    "choose another --out",
                )
            })?,
            verb: self.verb.to_owned(),
            swegym: env!("CARGO_PKG_VERSION").to_owned(),
            inputs,
            settings: self.settings.iter().chain(&self.free).map(|(k, v)| (k.clone(), v.clone())).collect(),
            instances: instances.map(|(_, text)| Digest::of(text.as_bytes())),
        };
        let run = RunDir::open(self.folder, &head, self.open)?;
        for (file, text) in &self.kept {
            run.write_file(file, text)?;
        }
        Ok((run, inputs))
    }
}

impl Ran {
    fn interrupted(&self) -> bool {
        self.outcomes.iter().any(|(_, o)| *o == Outcome::Unfinished)
    }

    /// What jobs came to that have a result, in job order.
    fn outputs(&self) -> impl Iterator<Item = (&str, &JobOutput)> {
        self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Finished(output) => Some((name.as_str(), &**output)),
            Outcome::Failed(_) | Outcome::Unfinished => None,
        })
    }

    fn failures(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.outcomes.iter().filter_map(|(name, outcome)| match outcome {
            Outcome::Failed(fault) => Some((name.as_str(), fault)),
            _ => None,
        })
    }

    fn write_lines<R: Serialize>(
        &self,
        file: &str,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<(), CommandError> {
        let text: String = rows.into_iter().map(|row| format!("{}\n", json!(row))).collect();
        Ok(self.run.write_file(file, &text)?)
    }

    /// `failures.jsonl` and the summary; faults are also said aloud.
    fn close(self, session: &Session) -> Result<Done, CommandError> {
        let row = |(job, fault): (&str, &Fault)| {
            json!({
                "job": job, "boundary": fault.boundary.as_str(), "code": fault.code,
                "class": Class::of_fault(fault).as_str(),
                "message": fault.message, "hint": fault.hint,
            })
        };
        self.write_lines("failures.jsonl", self.failures().map(row))?;
        let mut counts = BTreeMap::new();
        let mut code = exit::DONE;
        // What many jobs met is said once.
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for (name, outcome) in &self.outcomes {
            let word = match outcome {
                Outcome::Finished(output) => output.outcome().to_owned(),
                Outcome::Failed(fault) => {
                    let worse = CommandError::from(fault.clone());
                    let told = told.entry(worse.to_string()).or_insert(0);
                    *told += 1;
                    if *told == 1 {
                        session.printer.say(&format!("{name}: {worse}"));
                    }
                    code = if code == exit::INFRASTRUCTURE { code } else { worse.exit };
                    fault.code.clone()
                }
                Outcome::Unfinished => "unfinished".to_owned(),
            };
            *counts.entry(word).or_insert(0) += 1;
        }
        let more: usize = told.values().map(|n| n - 1).sum();
        if more > 0 {
            session.printer.say(&format!("and {more} more, for the same reasons; see failures.jsonl"));
        }
        if self.interrupted() {
            // A wrong key is no interruption; a spent budget and Ctrl-C are.
            let budget = self.failures().any(|(_, fault)| fault.code == "budget_spent");
            if *session.stop.borrow() || budget || code == exit::DONE {
                code = exit::INTERRUPTED;
            }
        }
        Ok(Done { folder: self.run.path().to_owned(), counts, notes: Vec::new(), exit: code })
    }
}

/// A run's input, with its place: the file that is named, or, where a run that goes on is
/// elsewhere than its input, its own copy.
fn input(file: &Path, copy: &str, folder: &Path, open: Open) -> Result<(PathBuf, String), CommandError> {
    let kept = folder.join(copy);
    let is_kept = open != Open::New && !file.exists() && kept.is_file();
    let place = if is_kept { kept } else { file.to_owned() };
    let text = text::read(&place)?;
    Ok((place, text))
}

/// Text that names a job's file: whatever else, it stays in its folder.
fn job_name(text: &str) -> String {
    text.chars().map(|c| if c.is_alphanumeric() || "-_.=".contains(c) { c } else { '_' }).collect()
}

/// An address may hold a password; run files may not.
fn without_secrets(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(start), Some(at)) if at > start => format!("{}{}", &url[..start + 3], &url[at + 1..]),
        _ => url.to_owned(),
    }
}
