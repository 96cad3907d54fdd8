//! The steps of the method, run one after another in one folder. Each step is a command
//! as if it had been typed; its output is in a folder named after the step. Finished
//! steps are not repeated.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser as _;
use serde_json::{Value, json};
use swegym_core::format::instances::UnknownFields;
use swegym_core::format::{FormatError, Problem};
use swegym_runner::run_dir::Open;

use crate::args::{Args, RunArgs, TrainVerb, Verb};
use crate::commands::{curate, export, score, select, serve, train};
use crate::error::CommandError;
use crate::exit;
use crate::session::Session;
use crate::stage::{self, Predictions};

/// Which steps are done: `{"step", "words", "seconds"}` a line.
const DONE: &str = "steps.jsonl";

/// Stands for the step's output in its flags.
pub(crate) const HERE: &str = "{}";

/// A folder in which steps are taken.
pub(crate) struct Workshop {
    session: Session,
    folder: PathBuf,
    done: Vec<Value>,
}

/// A model that can be asked.
#[derive(Debug, Clone)]
pub(crate) enum Policy {
    /// One of this machine, served within the process while it is asked.
    Here(PathBuf),
    /// One behind an endpoint.
    There {
        /// Its name.
        name: String,
        /// The address, up to `/v1`.
        endpoint: String,
    },
}

impl Policy {
    fn name(&self) -> String {
        match self {
            Self::Here(model) => model.display().to_string(),
            Self::There { name, .. } => name.clone(),
        }
    }
}

impl Workshop {
    /// Opens a folder; what an earlier attempt did there counts, if it is to be
    /// resumed.
    pub(crate) fn open(session: &Session, folder: &Path, resume: bool) -> Result<Self, CommandError> {
        if !resume && folder.join(DONE).exists() {
            return Err(CommandError::usage(
                format!("steps of an earlier run are in `{}`", folder.display()),
                "go on with them by --resume, or choose another folder with --out",
            ));
        }
        std::fs::create_dir_all(folder).map_err(|e| CommandError::file("make the folder", folder, &e))?;
        let path = folder.join(DONE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|e| CommandError::file("read", &path, &e))?,
        };
        // A line that was cut by a crash is a step that is not done, and must not
        // merge with the next one.
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        if whole < text.len() {
            let file = std::fs::OpenOptions::new().write(true).open(&path);
            let mended = file.and_then(|file| file.set_len(whole as u64));
            mended.map_err(|e| CommandError::file("mend", &path, &e))?;
        }
        let step = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|e| {
                FormatError::new(&path.to_string_lossy(), index + 1, Problem::Json(e.to_string()))
            })
        };
        let done = text[..whole].lines().enumerate().map(step).collect::<Result<_, _>>()?;
        Ok(Self { session: session.inner(), folder: folder.to_owned(), done })
    }

    /// Where a step's output lies.
    pub(crate) fn place(&self, step: &str) -> PathBuf {
        self.folder.join(step)
    }

    /// Seconds that all steps took that are done.
    pub(crate) fn seconds(&self) -> f64 {
        self.done.iter().filter_map(|step| step["seconds"].as_f64()).sum()
    }

    /// Takes a step: a verb with its flags, but for `--out`, or with [`HERE`]
    /// where its output is to be named. Gives its folder.
    pub(crate) async fn step<T: Into<OsString>>(
        &mut self,
        name: &str,
        words: impl IntoIterator<Item = T>,
    ) -> Result<PathBuf, CommandError> {
        self.take(name, words.into_iter().map(Into::into).collect(), None).await
    }

    /// A rollout of a policy.
    pub(crate) async fn ask<T: Into<OsString>>(
        &mut self,
        name: &str,
        policy: &Policy,
        words: impl IntoIterator<Item = T>,
    ) -> Result<PathBuf, CommandError> {
        self.take(name, words.into_iter().map(Into::into).collect(), Some(policy)).await
    }

    async fn take(
        &mut self,
        name: &str,
        words: Vec<OsString>,
        policy: Option<&Policy>,
    ) -> Result<PathBuf, CommandError> {
        let place = self.place(name);
        let mut told: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        // Not where it is: an endpoint may have moved when a run is taken up.
        told.extend(policy.map(Policy::name));
        if let Some(done) = self.done.iter().find(|step| step["step"] == name) {
            if done["words"] == json!(told) {
                return Ok(place);
            }
            let message = format!("`{}` was made with other settings", place.display());
            return Err(CommandError::usage(
                message,
                "go on with the same settings, or choose another --out",
            ));
        }
        if *self.session.stop.borrow() {
            return Err(interrupted());
        }
        let began = Instant::now();
        let code = match policy {
            None => self.run(words, &place).await?,
            Some(Policy::Here(model)) => self.run_with(words, &place, model).await?,
            Some(Policy::There { name, endpoint }) => {
                let there = ["--model", name, "--endpoint", endpoint].map(OsString::from);
                self.run(words.into_iter().chain(there).collect(), &place).await?
            }
        };
        if code == exit::INTERRUPTED {
            return Err(interrupted());
        }
        let line = json!({"step": name, "words": told, "seconds": began.elapsed().as_secs_f64()});
        let path = self.folder.join(DONE);
        let failed = |e: std::io::Error| CommandError::file("write", &path, &e);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
        self.done.push(line);
        Ok(place)
    }

    async fn run_with(
        &self,
        mut words: Vec<OsString>,
        place: &Path,
        model: &Path,
    ) -> Result<u8, CommandError> {
        let typed = ["serve", "--name", "policy", "--listen", "127.0.0.1:0", "--model"].map(OsString::from);
        let Verb::Serve(args) = parse(typed.into_iter().chain([model.into()]).collect())? else {
            unreachable!("that is the verb that was typed")
        };
        let server = serve::start(self.session.settings.run.cores, &args).await?;
        words.extend(["--model", "policy", "--endpoint", &server.endpoint].map(OsString::from));
        let done = self.run(words, place).await;
        server.stop().await?;
        done
    }

    /// Runs a verb as if it had been typed; gives its exit code.
    async fn run(&self, mut words: Vec<OsString>, place: &Path) -> Result<u8, CommandError> {
        match words.iter_mut().find(|word| *word == HERE) {
            Some(word) => *word = place.into(),
            None => words.extend(["--out".into(), place.into()]),
        }
        let (session, printer, cores) =
            (&self.session, self.session.printer, self.session.settings.run.cores);
        let verb = parse(words)?;
        Ok(match verb {
            Verb::Micro(args) if args.text.is_some() => stage::micro_text(printer, &args, place)?,
            Verb::Micro(args) => stage::micro(session, &args, place, Open::Any).await?.exit,
            Verb::Rollout(args) => stage::rollout(session, &args, place, Open::Any).await?.exit,
            Verb::Evaluate { instances, predictions, .. } => {
                let (answers, unknown) = (Predictions::parse(&predictions), UnknownFields::Refuse);
                stage::evaluate(session, &instances, &answers, unknown, place, Open::Any).await?.exit
            }
            Verb::Export(args) => export::run(printer, &args)?,
            Verb::Curate(args) => curate::run(printer, &args)?,
            Verb::Score(args) => tokio::task::block_in_place(|| score::run(printer, cores, &args))?,
            Verb::Select(args) => select::run(printer, &args)?,
            Verb::Train { mut verb } => {
                let stop = &session.stop;
                // A run that was cut short is taken up where it was.
                let begun = place.join("training.json").is_file();
                let again = |run: &mut RunArgs| run.resume = begun;
                tokio::task::block_in_place(|| match &mut verb {
                    TrainVerb::Base(_) => unreachable!("no pipeline makes it"),
                    TrainVerb::Tokenizer(args) => train::tokenizer(printer, args),
                    TrainVerb::Pretrain(args) => {
                        again(&mut args.run);
                        train::pretrain(printer, cores, args, place, stop)
                    }
                    TrainVerb::Sft(args) => {
                        again(&mut args.run);
                        train::sft(printer, cores, args, place, stop)
                    }
                    TrainVerb::Verifier(args) => {
                        again(&mut args.run);
                        train::verifier(printer, cores, args, place, stop)
                    }
                })?
            }
            _ => unreachable!("no pipeline has this verb"),
        })
    }
}

fn parse(words: Vec<OsString>) -> Result<Verb, CommandError> {
    // Of a group, the verb is two words.
    let named = words.iter().take_while(|word| !word.to_string_lossy().starts_with('-'));
    let groups = if words.first().is_some_and(|word| word == "train") { 2 } else { 1 };
    let verb: Vec<_> = named.take(groups).map(|word| word.to_string_lossy().into_owned()).collect();
    let typed = std::iter::once(OsString::from("swegym")).chain(words);
    // What users typed is in it: settings that do not fit are theirs.
    Args::try_parse_from(typed).map(|args| args.verb).map_err(|e| {
        let hint = format!("see `swegym {} --help`", verb.join(" "));
        CommandError::usage(format!("a step cannot be taken: {}", reason(&e)), hint)
    })
}

/// What is wrong with flags, without the usage that the hint leads to.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    lines.collect::<Vec<_>>().join("\n").trim().trim_start_matches("error: ").to_owned()
}

pub(crate) fn interrupted() -> CommandError {
    let mut error = CommandError::nothing("interrupted", "go on with --resume");
    error.exit = exit::INTERRUPTED;
    error
}
