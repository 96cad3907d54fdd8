//! A run's directory: append-only journal, one result file a job.
//!
//! ```text
//! <run>/
//!   run.json            settings and digests
//!   events.jsonl        the journal
//!   results/<job>.json  written whole, before the journal says "finished"
//! ```
//! Whatever moment the process dies at, a job is either finished, with its
//! whole result, or it is done again.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_core::event::Event;
use swegym_core::format::FormatError;
use swegym_core::format::journal::{self, Entry};
use swegym_core::format::results::{self, JobOutput};
use swegym_core::format::run::{self, COMMAND, RunHead};
use swegym_core::history::History;
use swegym_core::{Digest, Hint, Trouble};
use swegym_files::{remove_drafts, write_whole};
use thiserror::Error;

/// An open run. Only one process has it at a time.
pub struct RunDir {
    path: PathBuf,
    journal: fs::File,
    next: u64,
    finished: HashMap<String, JobOutput>,
}

/// Why a run cannot be opened.
#[derive(Debug, Error)]
pub enum RunDirError {
    /// There is a run already.
    #[error("`{}` already holds a run", .0.display())]
    Exists(PathBuf),
    /// There is no run to go on with.
    #[error("`{}` holds no run to resume", .0.display())]
    Absent(PathBuf),
    /// The run was made from other settings or inputs.
    #[error("`{}` was made with other settings or inputs: {what}", path.display())]
    Differs {
        /// The run.
        path: PathBuf,
        /// The first setting that differs.
        what: String,
    },
    /// Another process works on it.
    #[error("another swegym works on `{}`", .0.display())]
    Busy(PathBuf),
    /// A file of the run is damaged.
    #[error("the run's files are damaged")]
    Format(#[from] FormatError),
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// In words.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Hint for RunDirError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Option<String> = match self {
            Self::Exists(_) => Some("go on with it by --resume, or choose another folder with --out".into()),
            Self::Absent(_) => Some("leave --resume away to start it".into()),
            Self::Differs { .. } => {
                Some("resume with the settings it was started with, or start a new run with --out".into())
            }
            Self::Busy(_) => Some("wait for it, or end it".into()),
            Self::Format(error) => return error.hint(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("no space left: free some, then go on with --resume; finished jobs are kept".into())
            }
            Self::Io { source, .. } if is_in_the_way(source) => Some(
                "a file is where a folder belongs, or a folder where a file does: move it away, or choose another --out"
                    .into(),
            ),
            Self::Io { .. } => None,
        };
        hint.map(Cow::Owned)
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Io { source, .. } if !is_in_the_way(source) => Trouble::Infrastructure,
            _ => Trouble::Usage,
        }
    }
}

/// Whether the file system refused because something of another kind has the name.
fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory)
}

/// How to open a run directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It must not be there yet.
    New,
    /// It must be there, or what a run leaves that is killed before it begins.
    Resume,
    /// Either.
    Any,
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunDirError {
    let path = path.to_owned();
    move |source| RunDirError::Io { action, path, source }
}

impl RunDir {
    /// Opens or makes the directory for a run with this head.
    ///
    /// # Errors
    /// See [`RunDirError`].
    pub fn open(path: &Path, head: &RunHead, open: Open) -> Result<Self, RunDirError> {
        let head_file = path.join("run.json");
        let there = head_file.is_file();
        match open {
            Open::New if there => return Err(RunDirError::Exists(path.to_owned())),
            Open::Resume if !there && !was_to_begin(path) => {
                return Err(RunDirError::Absent(path.to_owned()));
            }
            _ => {}
        }
        let results = path.join("results");
        fs::create_dir_all(&results).map_err(io_error("make the folder", &results))?;
        if there {
            check_head(path, &head_file, head)?;
        } else {
            write_whole(&head_file, run::write(head).as_bytes()).map_err(io_error("write", &head_file))?;
        }
        let file = path.join("events.jsonl");
        let journal = fs::OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&file)
            .map_err(io_error("open", &file))?;
        match journal.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(RunDirError::Busy(path.to_owned())),
            Err(fs::TryLockError::Error(source)) => return Err(io_error("lock", &file)(source)),
        }
        let text = fs::read(&file).map_err(io_error("read", &file))?;
        let read = journal::read(&file.to_string_lossy(), &String::from_utf8_lossy(&text))?;
        // A line that a crash cut must not merge with the next one.
        journal.set_len(read.sound_bytes as u64).map_err(io_error("mend", &file))?;
        for folder in [path, &results] {
            remove_drafts(folder).map_err(io_error("remove what is half written in", folder))?;
        }
        let finished = finished_jobs(path, &head.verb, &History::of(&read.entries));
        let next = read.entries.last().map_or(0, |e| e.seq + 1);
        Ok(Self { path: path.to_owned(), journal, next, finished })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kept outcome and result of a job of an earlier attempt at this run.
    #[must_use]
    pub fn finished(&self, job: &str) -> Option<&JobOutput> {
        self.finished.get(job)
    }

    /// Appends to the journal.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, event: Event, at_ms: u64) -> Result<(), RunDirError> {
        let line = journal::write_entry(&Entry { seq: self.next, at_ms, event });
        self.next += 1;
        self.journal.write_all(line.as_bytes()).map_err(io_error("append to the journal in", &self.path))
    }

    /// Writes a job's result whole and gives its digest for the journal.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_result(&self, job: &str, output: &JobOutput) -> Result<Digest, RunDirError> {
        let text = format!("{:#}\n", results::write(output));
        let path = self.path.join("results").join(format!("{job}.json"));
        write_whole(&path, text.as_bytes()).map_err(io_error("write", &path))?;
        Ok(Digest::of(text.as_bytes()))
    }

    /// Writes an output file of the run, whole.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_file(&self, name: &str, text: &str) -> Result<(), RunDirError> {
        let path = self.path.join(name);
        write_whole(&path, text.as_bytes()).map_err(io_error("write", &path))
    }
}

/// Whether a folder holds what a run leaves that is killed in its first moments: the
/// command, drafts, and the names of what would have been filled.
fn was_to_begin(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return false };
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.retain(|path| !swegym_files::is_draft(path));
    let is_empty = |path: &Path| match fs::metadata(path) {
        Ok(found) if found.is_dir() => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
        Ok(found) => found.len() == 0,
        Err(_) => false,
    };
    let is_of_start = |path: &PathBuf| match path.file_name().and_then(|name| name.to_str()) {
        Some(COMMAND) => true,
        Some("results" | "events.jsonl") => is_empty(path),
        _ => false,
    };
    names.contains(&path.join(COMMAND)) && names.iter().all(is_of_start)
}

fn check_head(path: &Path, file: &Path, head: &RunHead) -> Result<(), RunDirError> {
    let text = fs::read_to_string(file).map_err(io_error("read", file))?;
    let old = run::read(&file.to_string_lossy(), &text)?;
    if old.inputs == head.inputs && old.verb == head.verb {
        return Ok(());
    }
    let mut keys = head.settings.keys().chain(old.settings.keys());
    let changed = keys.find(|k| head.settings.get(*k) != old.settings.get(*k));
    let show = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let what = match changed {
        Some(key) => {
            format!("{key} was {}, is {}", show(old.settings.get(key)), show(head.settings.get(key)))
        }
        None if old.verb != head.verb => format!("it is a `{}`", old.verb),
        None if old.instances.is_some() && old.instances != head.instances => {
            "the file of instances has other content".to_owned()
        }
        None => "an input file has other content".to_owned(),
    };
    Err(RunDirError::Differs { path: path.to_owned(), what })
}

/// Jobs whose files are those that the journal speaks of; the others are done again.
fn finished_jobs(run: &Path, verb: &str, history: &History) -> HashMap<String, JobOutput> {
    let mut finished = HashMap::new();
    for (job, end) in history.finished() {
        let is_whole = |(name, digest): (&String, &Digest)| {
            fs::read(run.join(name)).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
        };
        let Ok(text) = fs::read_to_string(run.join("results").join(format!("{job}.json"))) else { continue };
        if Digest::of(text.as_bytes()) == end.result
            && let Ok(output) = results::read(verb, job, &text)
            && end.files.iter().all(is_whole)
        {
            finished.insert(job.to_owned(), output);
        }
    }
    finished
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use serde_json::json;
    use swegym_core::RunId;

    fn head(runs: u32) -> RunHead {
        let settings = serde_json::Map::from_iter([("runs".to_owned(), json!(runs))]);
        RunHead {
            run_id: RunId::new("r").unwrap(),
            verb: "build".into(),
            swegym: "0".into(),
            inputs: Digest::of(&[runs as u8]),
            settings,
            instances: None,
        }
    }

    fn finish(run: &mut RunDir, job: &str) {
        let result = run.write_result(job, &JobOutput::Built(serde_json::Map::new())).unwrap();
        run.append(
            Event::JobFinished {
                job: job.into(),
                outcome: "built".into(),
                result,
                files: BTreeMap::new(),
                wall_time_ms: 1,
            },
            0,
        )
        .unwrap();
    }

    #[test]
    fn a_run_is_taken_up_where_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let mut run = RunDir::open(&path, &head(3), Open::New).unwrap();
        finish(&mut run, "a");
        finish(&mut run, "b");
        drop(run);
        // The crash cut the last line, and tore a result nobody vouches for.
        let journal = path.join("events.jsonl");
        let text = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, &text[..text.len() - 5]).unwrap();
        fs::write(path.join("results/.b.json.x1y2z3.draft"), "{").unwrap();
        fs::write(path.join(".mine.json"), "the user's").unwrap();
        let mut run = RunDir::open(&path, &head(3), Open::Resume).unwrap();
        assert!(run.finished("a").is_some() && run.finished("b").is_none());
        finish(&mut run, "b");
        assert_eq!(fs::read_dir(path.join("results")).unwrap().count(), 2);
        assert!(path.join(".mine.json").exists());
        drop(run);
        assert_eq!(RunDir::open(&path, &head(3), Open::Any).unwrap().finished.len(), 2);
    }

    #[test]
    fn a_run_that_was_killed_before_it_began_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let is_absent = || matches!(RunDir::open(&path, &head(3), Open::Resume), Err(RunDirError::Absent(_)));
        assert!(is_absent());
        fs::create_dir_all(path.join("results")).unwrap();
        assert!(is_absent());
        fs::write(path.join(COMMAND), "{}").unwrap();
        fs::write(path.join("mine.txt"), "").unwrap();
        assert!(is_absent());
        fs::remove_file(path.join("mine.txt")).unwrap();
        fs::write(path.join("results/a.json"), "{}").unwrap();
        assert!(is_absent());
        fs::remove_file(path.join("results/a.json")).unwrap();
        fs::write(path.join("events.jsonl"), "").unwrap();
        fs::write(path.join(".run.json.a1b2c3.draft"), "{").unwrap();
        let mut run = RunDir::open(&path, &head(3), Open::Resume).unwrap();
        finish(&mut run, "a");
        drop(run);
        assert!(RunDir::open(&path, &head(3), Open::Resume).unwrap().finished("a").is_some());
    }

    #[test]
    fn what_is_in_the_way_is_the_users_to_move() {
        for (name, is_folder) in [("results", false), ("events.jsonl", true), ("run.json", true), ("", false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("r");
            let at = if name.is_empty() { path.clone() } else { path.join(name) };
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            let made = if is_folder { fs::create_dir(&at) } else { fs::write(&at, "x") };
            made.unwrap();
            let error = RunDir::open(&path, &head(3), Open::New).err().unwrap();
            assert_eq!(error.trouble(), Trouble::Usage, "{name}: {error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("move it away")), "{name}: {error}");
        }
    }

    #[test]
    fn wrong_uses_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        assert!(matches!(RunDir::open(&path, &head(3), Open::Resume), Err(RunDirError::Absent(_))));
        let run = RunDir::open(&path, &head(3), Open::New).unwrap();
        assert!(matches!(RunDir::open(&path, &head(3), Open::Resume), Err(RunDirError::Busy(_))));
        drop(run);
        assert!(matches!(RunDir::open(&path, &head(3), Open::New), Err(RunDirError::Exists(_))));
        let error = RunDir::open(&path, &head(4), Open::Resume).err().unwrap();
        assert!(error.to_string().ends_with("runs was 3, is 4"), "{error}");
    }
}
