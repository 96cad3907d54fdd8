//! Records of attempts: those of a run, checked against what the run says of
//! them, and those that lie elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use swegym_console::error::CommandError;
use swegym_core::format::{FormatError, Problem, record as format};
use swegym_core::history::{Finished, JobEnd};
use swegym_core::record::RecordEvent;
use swegym_core::{StopReason, Trajectory};

use super::{RunView, result_name, told_by};

/// Where a run's records lie.
const FOLDER: &str = "trajectories";

/// An attempt's record.
pub struct Record {
    /// All that happened.
    pub events: Vec<RecordEvent>,
    /// What of it counts.
    pub attempt: Trajectory,
    /// The instance's repository: as the record says, else the run's files, else
    /// the instance's id.
    pub repo: String,
}

impl RunView {
    /// The records of a rollout, by instance and attempt.
    pub fn records(&self) -> Result<Vec<PathBuf>, CommandError> {
        if self.head.verb != "rollout" {
            let message = format!(
                "`{}` is a run of `{}`, and holds no attempts",
                self.folder.display(),
                self.head.verb
            );
            return Err(CommandError::nothing(message, "name the folder of a rollout"));
        }
        let mut records = Vec::new();
        for (folder, _) in super::names(&self.path(FOLDER))? {
            let number =
                |path: &PathBuf| path.file_stem().and_then(|stem| stem.to_str()?.parse::<u32>().ok());
            let of_instance = super::names(&folder)?.into_iter().map(|(path, _)| path);
            let mut of_instance: Vec<_> =
                of_instance.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).collect();
            of_instance.sort_by_key(number);
            records.extend(of_instance);
        }
        for (job, end) in self.history.finished() {
            let path =
                job.rsplit_once('.').map(|(id, k)| self.path(FOLDER).join(id).join(format!("{k}.jsonl")));
            if let Some(path) = path.filter(|path| !path.is_file()) {
                let problem = Problem::Gone { told_by: told_by(end.line) };
                return Err(FormatError::new(&path.to_string_lossy(), None, problem).into());
            }
        }
        Ok(records)
    }

    /// Reads one of them.
    pub fn record(&self, path: &Path) -> Result<Record, CommandError> {
        let mut record = read(path)?;
        let id = record.attempt.head.instance_id.as_str();
        let job = format!("{id}.{}", record.attempt.head.attempt);
        self.check_place(path, &job)?;
        let mut known = None;
        if let Some(JobEnd::Finished(end)) = self.history.jobs.get(&job).and_then(|job| job.end.as_ref()) {
            known = self.check_end(path, &job, end, &record)?;
        }
        if record.attempt.head.repo.is_none() {
            let known = known.as_deref().or_else(|| self.repository(id));
            record.repo = record.attempt.head.repository(known);
        }
        Ok(record)
    }

    /// Whether a record is of the attempt that its place is for.
    fn check_place(&self, path: &Path, job: &str) -> Result<(), FormatError> {
        let part = |path: Option<&Path>| Some(path?.file_name()?.to_string_lossy().into_owned());
        let place = path
            .parent()
            .zip(path.file_stem())
            .and_then(|(folder, stem)| Some(format!("{}.{}", part(Some(folder))?, stem.to_string_lossy())));
        match place {
            Some(place) if place != job => {
                let (other, what) =
                    (self.folder.display().to_string(), format!("it is the record of `{job}`"));
                Err(FormatError::new(&path.to_string_lossy(), 1, Problem::Mixed { other, what }))
            }
            _ => Ok(()),
        }
    }

    /// Whether a record and the attempt's result tell the same; gives the repository
    /// that the result names.
    fn check_end(
        &self,
        path: &Path,
        job: &str,
        end: &Finished,
        record: &Record,
    ) -> Result<Option<String>, CommandError> {
        let file = path.to_string_lossy();
        let attempt = &record.attempt;
        if !attempt.is_over() {
            let lines = fs::read(path).map(|bytes| bytes.iter().filter(|byte| **byte == b'\n').count());
            let problem = Problem::Unended { told_by: told_by(end.line) };
            return Err(FormatError::new(&file, lines.ok().map(|lines| lines + 1), problem).into());
        }
        let result = self.attempt(job, end)?;
        let status = attempt.stop.map_or("", StopReason::as_str);
        let differs = [
            ("exit status", status == result.exit_status.as_str()),
            ("scaffold", attempt.head.scaffold == result.scaffold),
            ("model", attempt.head.model == result.model),
            ("patch", attempt.patch == result.patch),
        ];
        if let Some((what, _)) = differs.iter().find(|(_, same)| !same) {
            let (other, what) =
                (self.path(&result_name(job)).display().to_string(), format!("it has another {what}"));
            return Err(FormatError::new(&file, None, Problem::Mixed { other, what }).into());
        }
        Ok(result.repo)
    }
}

/// Reads a record, wherever it lies: in a run, as the run says.
pub fn record(path: &Path) -> Result<Record, CommandError> {
    let whole = std::path::absolute(path)?;
    let run = whole.parent().and_then(Path::parent).filter(|folder| folder.ends_with(FOLDER));
    match run.and_then(Path::parent).filter(|run| RunView::is_at(run)) {
        Some(run) => RunView::open(run)?.record(path),
        None => read(path),
    }
}

fn read(path: &Path) -> Result<Record, CommandError> {
    let bytes = fs::read(path).map_err(|e| CommandError::file("read", path, &e))?;
    let events = format::read(&path.to_string_lossy(), &String::from_utf8_lossy(&bytes))?.into_events();
    let attempt = Trajectory::fold(&events).map_err(|e| {
        CommandError::usage(
            format!("`{}` holds no attempt: {e}", path.display()),
            "records lie in a run's trajectories/<instance_id>/<attempt>.jsonl",
        )
    })?;
    let repo = attempt.head.repository(None);
    Ok(Record { events, attempt, repo })
}
