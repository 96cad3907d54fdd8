//! What is known of attempts: the verdicts of a run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use swegym_console::error::CommandError;
use swegym_core::format::reports::{self, Judged};
use swegym_core::format::{FormatError, Problem};
use swegym_core::{Verdict, json};

use super::{JOURNAL, RunView, read_told, told_by};

/// The verdicts of a run, a row each answer.
const FILE: &str = "reports.jsonl";

/// Verdicts by instance and attempt.
pub type Verdicts = HashMap<(String, u64), Verdict>;

/// What is known of the attempts of a run that was tested, or of an evaluation of
/// it; a folder that is no run may hold rows that others wrote.
pub fn verdicts(folder: &Path) -> Result<Verdicts, CommandError> {
    // What broke on our side is no verdict.
    let rows = judged(folder)?.into_iter().filter(|row| row.broke.is_none());
    let verdict = |row: Judged| {
        let verdict = Verdict { resolved: row.resolved, marked: row.marked };
        ((row.instance_id, u64::from(row.attempt)), verdict)
    };
    Ok(rows.map(verdict).collect())
}

/// The rows themselves, those of what broke among them.
pub fn judged(folder: &Path) -> Result<Vec<Judged>, CommandError> {
    if !RunView::is_at(folder) && folder.join(FILE).is_file() {
        return read(&folder.join(FILE));
    }
    RunView::open(folder)?.judged()
}

fn read(path: &Path) -> Result<Vec<Judged>, CommandError> {
    let text = fs::read_to_string(path).map_err(|e| CommandError::file("read", path, &e))?;
    Ok(reports::read_judged(&path.to_string_lossy(), &text)?)
}

impl RunView {
    /// The rows of the run's verdicts; none where nothing was tested.
    pub fn judged(&self) -> Result<Vec<Judged>, CommandError> {
        let path = self.path(FILE);
        if !self.is_tested() {
            return if path.is_file() { read(&path) } else { Ok(Vec::new()) };
        }
        let found = self.found()?;
        if !self.history.is_over {
            // They are written when it is.
            return Ok(found.into_iter().map(|(row, _)| row).collect());
        }
        let text = String::from_utf8_lossy(&read_told(&path, JOURNAL)?).into_owned();
        let rows = reports::read_judged(&path.to_string_lossy(), &text)?;
        self.check(&path, &rows, &found)?;
        Ok(rows)
    }

    /// The verdicts that results hold, each with the journal's line.
    fn found(&self) -> Result<Vec<(Judged, usize)>, CommandError> {
        let mut found = Vec::new();
        for (job, end) in self.history.finished() {
            let (file, text) = self.result(job, end)?;
            let wrong = |problem| FormatError::new(&file, None, problem);
            let result: Map<String, Value> =
                json::from_str(&text).map_err(|e| wrong(Problem::Json(e.to_string())))?;
            let mut row = result;
            if self.head.verb == "rollout" {
                row = match row.shift_remove("report") {
                    Some(Value::Object(report)) => report,
                    _ => return Err(wrong(Problem::Missing("report")).into()),
                };
            }
            let mut row = reports::read_one_judged(&file, row)?;
            row.attempt = attempt_of(job, &row.instance_id);
            found.push((row, end.line));
        }
        Ok(found)
    }

    /// Whether the file of verdicts says what the results do, and no more.
    fn check(&self, path: &Path, rows: &[Judged], found: &[(Judged, usize)]) -> Result<(), FormatError> {
        let file = path.to_string_lossy();
        let mut lines: HashMap<(&str, u32), usize> = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            if let Some(first) = lines.insert((&row.instance_id, row.attempt), index) {
                let id = format!("{}, attempt {}", row.instance_id, row.attempt);
                return Err(FormatError::new(
                    &file,
                    index + 1,
                    Problem::DuplicateId { id, first: first + 1 },
                ));
            }
        }
        // Where it was taken up to do less, the file is about less.
        let is_all = self.history.jobs.len() <= self.history.wanted;
        for (of, line) in found {
            match lines.get(&(of.instance_id.as_str(), of.attempt)) {
                Some(&index) if rows[index] == *of => {}
                Some(&index) => {
                    return Err(FormatError::new(
                        &file,
                        index + 1,
                        Problem::Changed { told_by: told_by(*line) },
                    ));
                }
                None if is_all => {
                    let of = format!("{}, attempt {}", of.instance_id, of.attempt);
                    let problem = Problem::NoRow { of, told_by: told_by(*line) };
                    return Err(FormatError::new(&file, rows.len() + 1, problem));
                }
                None => {}
            }
        }
        let is_known = |row: &Judged| {
            let names = [format!("{}.{}", row.instance_id, row.attempt), row.instance_id.clone()];
            names.iter().any(|name| self.history.jobs.contains_key(name))
        };
        if let Some(index) = rows.iter().position(|row| !is_known(row)) {
            let unknown_to = self.path(JOURNAL).display().to_string();
            return Err(FormatError::new(&file, index + 1, Problem::Stray { unknown_to }));
        }
        Ok(())
    }
}

/// Which attempt a job is about: its name is the instance's, with a number behind
/// it where there are several.
pub(super) fn attempt_of(job: &str, instance_id: &str) -> u32 {
    let number = job.strip_prefix(instance_id).and_then(|rest| rest.strip_prefix('.'));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
