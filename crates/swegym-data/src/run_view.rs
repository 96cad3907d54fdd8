//! A run's folder, read back. Whoever counts, exports, chooses or shows what a
//! run left reads it here, and nowhere else.
//!
//! The journal says which files a run has, and what results hold. So a file that
//! is missing, cut, changed or of another run is an error that names it, and
//! never a smaller number. A run that goes on, or was killed, is read as far as
//! it came. All paths are below the folder, which can be moved and copied.

mod evaluations;
mod records;
mod verdicts;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use std::{fs, io};

use indexmap::IndexMap;
use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_core::event::Event;
use swegym_core::format::attempts::{self, AttemptResult};
use swegym_core::format::run::{self, INSTANCES, RunHead};
use swegym_core::format::{FormatError, Problem, journal};
use swegym_core::history::{Finished, History};
use swegym_core::{Digest, Fault};
use swegym_tasks::dataset;

pub use evaluations::Evaluation;
pub use records::{Record, record};
pub use verdicts::{Verdicts, judged, verdicts};

/// The head of a run.
const HEAD: &str = "run.json";
/// Its journal.
const JOURNAL: &str = "events.jsonl";

/// After which a run that goes on has told of what it has written.
const MOMENT: Duration = Duration::from_millis(50);

/// A run.
pub struct RunView {
    folder: PathBuf,
    /// What it was made with.
    pub head: RunHead,
    /// What became of its jobs.
    pub history: History,
    /// The repository of each instance, once somebody asked.
    repositories: OnceLock<HashMap<String, String>>,
}

impl RunView {
    /// Opens a run's folder.
    pub fn open(folder: &Path) -> Result<Self, CommandError> {
        // Listed before the journal is read, which then speaks of all of them even
        // if the run goes on.
        Self::read(folder, listed(folder)?, false)
    }

    fn read(folder: &Path, listed: Vec<Listed>, again: bool) -> Result<Self, CommandError> {
        let head = read_head(folder)?;
        let history = read_history(folder, &head)?;
        let view = Self { folder: folder.to_owned(), head, history, repositories: OnceLock::new() };
        match view.stray(&listed) {
            None => Ok(view),
            Some(_) if !again => {
                // The journal's line follows its result at once where the run goes on.
                std::thread::sleep(MOMENT);
                Self::read(folder, listed, true)
            }
            Some(path) => {
                let unknown_to = view.path(JOURNAL).display().to_string();
                Err(FormatError::new(&path.to_string_lossy(), None, Problem::Stray { unknown_to }).into())
            }
        }
    }

    /// The first file that the journal does not speak of. One process writes results
    /// and journal in turn, so a result without a line is none of a sound run.
    fn stray<'a>(&self, listed: &'a [Listed]) -> Option<&'a Path> {
        let is_known = |of: &&Listed| match of {
            Listed::Result(_, job) => self.history.jobs.get(job).is_some_and(|job| job.end.is_some()),
            Listed::Other(_, jobs) => jobs.iter().any(|job| self.history.jobs.contains_key(job)),
        };
        listed.iter().find(|of| !is_known(of)).map(|of| match of {
            Listed::Result(path, _) | Listed::Other(path, _) => path.as_path(),
        })
    }

    /// Whether a folder holds a run.
    pub fn is_at(folder: &Path) -> bool {
        folder.join(HEAD).is_file()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether it has an output file.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    /// A setting that is a text.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.head.settings.get(name).and_then(Value::as_str)
    }

    /// Whether its answers are tested: by itself, or while it rolls out.
    fn is_tested(&self) -> bool {
        let evaluates = self.head.settings.get("evaluate") == Some(&Value::Bool(true));
        self.head.verb == "evaluate" || self.head.verb == "rollout" && evaluates
    }

    /// How many jobs broke for good.
    pub fn broke(&self) -> usize {
        self.history.failed().count()
    }

    /// The attempts of a rollout that came to their end, in the order in which they
    /// began; none of other runs.
    pub fn attempts(&self) -> Result<Vec<AttemptResult>, CommandError> {
        if self.head.verb != "rollout" {
            return Ok(Vec::new());
        }
        self.history.finished().into_iter().map(|(job, end)| self.attempt(job, end)).collect()
    }

    fn attempt(&self, job: &str, end: &Finished) -> Result<AttemptResult, CommandError> {
        let (name, text) = self.result(job, end)?;
        Ok(attempts::read(&name, &text)?)
    }

    /// The result of a job: the file's name for messages, and its text.
    fn result(&self, job: &str, end: &Finished) -> Result<(String, String), FormatError> {
        let (path, bytes) = self.vouched(&result_name(job), &end.result, end.line)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((path.to_string_lossy().into_owned(), text))
    }

    /// A file whose content a line of the journal vouches for.
    fn vouched(&self, name: &str, digest: &Digest, line: usize) -> Result<(PathBuf, Vec<u8>), FormatError> {
        let (path, told_by) = (self.path(name), told_by(line));
        let bytes = read_told(&path, &told_by)?;
        if Digest::of(&bytes) == *digest {
            return Ok((path, bytes));
        }
        Err(FormatError::new(&path.to_string_lossy(), cut_at(&bytes), Problem::Changed { told_by }))
    }

    /// The rows of an output file; none where it is absent.
    pub fn rows(&self, name: &str) -> Result<Vec<Value>, CommandError> {
        let path = self.path(name);
        let file = path.to_string_lossy();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CommandError::file("read", &path, &error)),
        };
        let rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let read = |(index, line): (usize, &str)| {
            swegym_core::json::from_str(line)
                .map_err(|e| FormatError::new(&file, index + 1, Problem::Json(e.to_string())).into())
        };
        rows.map(read).collect()
    }

    /// The rows of a file that a run has when it is over, with so many of them.
    pub fn whole_rows(&self, name: &str, count: usize) -> Result<Vec<Value>, CommandError> {
        let rows = self.rows(name)?;
        // Where it was taken up to do less, it says less.
        let is_all = self.history.is_over && self.history.jobs.len() <= self.history.wanted;
        if !is_all || rows.len() == count {
            return Ok(rows);
        }
        let path = self.path(name);
        let problem = match path.is_file() {
            false => Problem::Gone { told_by: JOURNAL.to_owned() },
            true => Problem::Rows { found: rows.len(), told: count, told_by: JOURNAL.to_owned() },
        };
        Err(FormatError::new(&path.to_string_lossy(), None, problem).into())
    }

    /// How many jobs ended with a word.
    pub fn count(&self, outcome: &str) -> usize {
        self.history.finished().iter().filter(|(_, end)| end.outcome == outcome).count()
    }

    /// The file of its instances: the run's own; for runs from before they kept one,
    /// the file that they were made with, from here or from above the run.
    pub fn instances(&self) -> Result<PathBuf, CommandError> {
        if !matches!(self.head.verb.as_str(), "evaluate" | "rollout") {
            let message = format!(
                "`{}` is a run of `{}`, which tests no answers",
                self.folder.display(),
                self.head.verb
            );
            return Err(CommandError::usage(message, "give the folder of an evaluation, or --logs MANIFEST"));
        }
        if let Some(digest) = &self.head.instances {
            let told_by = self.path(HEAD).display().to_string();
            let path = self.path(INSTANCES);
            let bytes = read_told(&path, &told_by)?;
            if Digest::of(&bytes) == *digest {
                return Ok(path);
            }
            let problem = Problem::Changed { told_by };
            return Err(FormatError::new(&path.to_string_lossy(), cut_at(&bytes), problem).into());
        }
        // An older run that was taken up since keeps them, too.
        if self.path(INSTANCES).is_file() {
            return Ok(self.path(INSTANCES));
        }
        let named = PathBuf::from(self.setting("instances").unwrap_or_default());
        let folder = std::path::absolute(&self.folder)?;
        let mut places =
            std::iter::once(named.clone()).chain(folder.ancestors().map(|above| above.join(&named)));
        places.find(|place| place.is_file()).ok_or_else(|| {
            let message = format!(
                "the instances of `{}` are not where they were, at `{}`",
                self.folder.display(),
                named.display()
            );
            CommandError::usage(message, "name their file with --instances")
        })
    }

    /// The repository of an instance, by the run's instances.
    fn repository(&self, instance_id: &str) -> Option<&str> {
        let read = || {
            // Where they are gone, nobody knows.
            let rows = self.instances().ok().and_then(|path| dataset::Rows::open(&path).ok());
            let row = |row: Result<dataset::RowText, FormatError>| {
                let row = row.ok()?.read().ok()?;
                let text = |name: &str| row.fields.get(name).and_then(Value::as_str).map(str::to_owned);
                Some((text("instance_id")?, text("repo")?))
            };
            rows.into_iter().flatten().filter_map(row).collect()
        };
        self.repositories.get_or_init(read).get(instance_id).map(String::as_str)
    }
}

/// That runs have no attempt that came to its end; where attempts broke, by what most of
/// them did.
#[must_use]
pub fn nothing_finished<'r>(runs: impl IntoIterator<Item = &'r RunView> + Clone) -> CommandError {
    let folders: Vec<String> =
        runs.clone().into_iter().map(|run| format!("`{}`", run.folder.display())).collect();
    let verb = if folders.len() == 1 { "has" } else { "have" };
    let nothing = format!("{} {verb} no finished attempt", folders.join(", "));
    let mut broke: IndexMap<&str, (&Fault, usize)> = IndexMap::new();
    for (_, fault) in runs.into_iter().flat_map(|run| run.history.failed()) {
        broke.entry(&fault.code).or_insert((fault, 0)).1 += 1;
    }
    let all: usize = broke.values().map(|(_, count)| count).sum();
    // Of those that are as frequent, the first.
    let most = broke.values().rev().max_by_key(|(_, count)| *count);
    let Some((fault, count)) = most else {
        return CommandError::nothing(nothing, "name folders of rollouts; go on with --resume");
    };
    let (code, why) = (&fault.code, &fault.message);
    let message = format!("{nothing}: {all} broke, {count} of them by `{code}`: {why}");
    let again = "then roll out anew";
    let hint = match &fault.hint {
        Some(hint) => format!("{hint}; {again}"),
        None => format!("mend that; {again}"),
    };
    CommandError::nothing(message, hint)
}

/// The name of a job's result in the folder.
fn result_name(job: &str) -> String {
    format!("results/{job}.json")
}

/// The line of the journal that says something.
fn told_by(line: usize) -> String {
    format!("{JOURNAL}:{line}")
}

/// A file that something else speaks of.
fn read_told(path: &Path, told_by: &str) -> Result<Vec<u8>, FormatError> {
    fs::read(path).map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => Problem::Gone { told_by: told_by.to_owned() },
            _ => Problem::Unreadable(error.to_string()),
        };
        FormatError::new(&path.to_string_lossy(), None, problem)
    })
}

/// The line at which a JSON document was cut, if that is what happened to it.
fn cut_at(bytes: &[u8]) -> Option<usize> {
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err()?;
    Some(error.line().max(1))
}

fn read_head(folder: &Path) -> Result<RunHead, CommandError> {
    let path = folder.join(HEAD);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(run::read(&path.to_string_lossy(), &text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("`{}` holds no run: `{}` is missing", folder.display(), path.display());
            Err(CommandError::usage(message, "name the folder of a run, with all its files"))
        }
        Err(error) => Err(CommandError::file("read", &path, &error)),
    }
}

fn read_history(folder: &Path, head: &RunHead) -> Result<History, CommandError> {
    let path = folder.join(JOURNAL);
    let file = path.to_string_lossy();
    let bytes = read_told(&path, HEAD)?;
    let read = journal::read(&file, &String::from_utf8_lossy(&bytes))?;
    for (index, entry) in read.entries.iter().enumerate() {
        let Event::RunStarted { verb, inputs, .. } = &entry.event else { continue };
        let what = match () {
            () if *verb != head.verb => format!("that is a `{}`, this a `{verb}`", head.verb),
            () if *inputs != head.inputs => "it was made with other settings or inputs".to_owned(),
            () => continue,
        };
        let other = folder.join(HEAD).display().to_string();
        return Err(FormatError::new(&file, index + 1, Problem::Mixed { other, what }).into());
    }
    Ok(History::of(&read.entries))
}

/// What lies in the folder for a job.
enum Listed {
    /// Its result.
    Result(PathBuf, String),
    /// A record or evidence, with the names that its job may have.
    Other(PathBuf, Vec<String>),
}

/// What lies in the folder for jobs.
fn listed(folder: &Path) -> Result<Vec<Listed>, CommandError> {
    let mut listed = Vec::new();
    for (path, name) in names(&folder.join("results"))? {
        listed.extend(name.strip_suffix(".json").map(|job| Listed::Result(path, job.to_owned())));
    }
    for kind in ["trajectories", "evaluations"] {
        for (path, id) in names(&folder.join(kind))? {
            for (path, name) in names(&path)? {
                let attempt = name.strip_suffix(".jsonl").unwrap_or(&name);
                let mut jobs = vec![format!("{id}.{attempt}")];
                // One answer an instance has the instance's name.
                jobs.extend((attempt == "0").then(|| id.clone()));
                listed.push(Listed::Other(path, jobs));
            }
        }
    }
    Ok(listed)
}

/// What a folder holds, in order, but for what a killed process was writing;
/// nothing where there is no folder.
fn names(folder: &Path) -> Result<Vec<(PathBuf, String)>, CommandError> {
    let failed = |e: io::Error| CommandError::file("read the folder", folder, &e);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push((entry.path(), name));
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use swegym_core::format::journal::Entry;
    use swegym_core::{Boundary, RunId};

    use super::*;

    /// A run in which jobs broke by these codes.
    fn broken(folder: &Path, name: &str, codes: &[&str]) -> RunView {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let head = RunHead {
            run_id: RunId::new(name).unwrap(),
            verb: "rollout".into(),
            swegym: "0".into(),
            inputs: Digest::of(b""),
            settings: Map::new(),
            instances: None,
        };
        fs::write(folder.join(HEAD), run::write(&head)).unwrap();
        let line = |(seq, code): (usize, &&str)| {
            let fault = Fault::new(Boundary::Model, *code, format!("said of {code}"));
            let fault = if *code == "bad_key" { fault.with_hint("set another key") } else { fault };
            let event = Event::JobFailed { job: format!("a.{seq}"), attempt: 1, fault, retry: false };
            journal::write_entry(&Entry { seq: seq as u64, at_ms: 0, event })
        };
        fs::write(folder.join(JOURNAL), codes.iter().enumerate().map(line).collect::<String>()).unwrap();
        RunView::open(&folder).unwrap()
    }

    #[test]
    fn where_nothing_is_finished_the_most_frequent_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let one = broken(folder.path(), "one", &["slow", "bad_key", "bad_key"]);
        let error = nothing_finished([&one]);
        let told = "has no finished attempt: 3 broke, 2 of them by `bad_key`: said of bad_key";
        assert!(error.message.ends_with(told), "{error}");
        assert_eq!(error.hint.as_deref(), Some("set another key; then roll out anew"));
        let two = broken(folder.path(), "two", &["slow", "slow"]);
        let error = nothing_finished(&[one, two]);
        let told = "have no finished attempt: 5 broke, 3 of them by `slow`: said of slow";
        assert!(error.message.ends_with(told), "{error}");
        let none = broken(folder.path(), "none", &[]);
        let error = nothing_finished([&none]);
        assert!(error.message.ends_with("none` has no finished attempt"), "{error}");
    }
}
