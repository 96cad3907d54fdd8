//! From predictions to verdicts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use similar::TextDiff;
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::format::attempts::AttemptResult;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::run::INSTANCES;
use swegym_core::format::{predictions, reports, results};
use swegym_core::{Digest, Fault, Instance, InstanceId, Patch, Prediction};
use swegym_data::run_view::RunView;
use swegym_runner::conduct::repository_file;
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Context, Job, Outcome};

use super::{Done, Ran, Stage, input};
use crate::session::Session;

/// The answers, where each instance has one.
const PREDICTIONS: &str = "predictions.jsonl";

/// Which answers are tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predictions {
    /// A file.
    File(PathBuf),
    /// The folder of a rollout: every attempt.
    Rollout(PathBuf),
    /// Each instance's own gold patch: all must resolve.
    Gold,
    /// No answer: none may resolve.
    Empty,
    /// A change of the right file that mends nothing: none may resolve.
    Wrong,
}

impl Predictions {
    /// A file, or one of the words `gold` and `empty`.
    pub fn parse(text: &str) -> Self {
        match text {
            "gold" => Self::Gold,
            "empty" => Self::Empty,
            "wrong" => Self::Wrong,
            path if Path::new(path).is_dir() => Self::Rollout(PathBuf::from(path)),
            path => Self::File(PathBuf::from(path)),
        }
    }

    /// As it is named in files.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Rollout(path) => path.to_string_lossy().into_owned(),
            Self::Gold => "gold".into(),
            Self::Empty => "empty".into(),
            Self::Wrong => "wrong".into(),
        }
    }
}

/// Which answers to which instances are tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluateSettings {
    /// A file of instances.
    pub instances: PathBuf,
    /// The answers.
    pub answers: Predictions,
    /// What becomes of fields that nobody knows.
    pub unknown: UnknownFields,
}

/// Evaluates; writes `predictions.jsonl`, `reports.jsonl` and `report.json`.
pub async fn evaluate(
    session: &Session,
    settings: &EvaluateSettings,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let EvaluateSettings { instances: file, answers, unknown } = settings;
    let (place, text) = input(file, INSTANCES, folder, open)?;
    let rows = instances::read(&place.to_string_lossy(), &text, *unknown)?;
    let known = Map::from_iter([
        ("instances".to_owned(), json!(file)),
        ("predictions".to_owned(), json!(answers.name())),
        ("test_timeout".to_owned(), json!(session.settings.run.test_timeout.as_secs())),
        ("semantics".to_owned(), json!("v5")),
    ]);
    let mut stage = Stage {
        inputs: vec![Digest::of(text.as_bytes())],
        kept: vec![(INSTANCES, &text)],
        ..Stage::new(session, "evaluate", (folder, open), known)
    };
    let given = collect(answers, &rows, &stage.context(), open)?;
    let predictions_text: String =
        given.iter().map(|(p, _)| predictions::write(std::slice::from_ref(p))).collect();
    stage.inputs.push(Digest::of(predictions_text.as_bytes()));
    let many = matches!(answers, Predictions::Rollout(_));
    stage.kept.extend((!many).then_some((PREDICTIONS, &*predictions_text)));
    let ids: Vec<InstanceId> = rows.iter().map(|r| r.instance_id.clone()).collect();
    let by_id: HashMap<InstanceId, Arc<Instance>> =
        rows.into_iter().map(|r| (r.instance_id.clone(), Arc::new(r))).collect();
    let mut jobs = Vec::new();
    for (prediction, attempt) in given {
        let Some(instance) = by_id.get(&prediction.instance_id) else {
            session.printer.say(&format!(
                "{}: predicted, but not among the instances; left out",
                prediction.instance_id
            ));
            continue;
        };
        let id = &prediction.instance_id;
        let name = if many { format!("{id}.{attempt}") } else { id.to_string() };
        let instance = Arc::clone(instance);
        let kind = JobKind::Evaluate { instance, prediction: Arc::new(prediction), attempt };
        jobs.push(Job { name, kind });
    }
    if jobs.is_empty() {
        return Err(CommandError::nothing(
            "no prediction names an instance of the file",
            "check that the two files belong together",
        ));
    }
    let ran = stage.run(jobs).await?;
    let row = |(name, outcome): &(String, Outcome)| {
        let (id, attempt) = if many { parts(name) } else { (name.as_str(), 0) };
        let row = match outcome {
            Outcome::Finished(output) => results::write(output),
            Outcome::Failed(fault) => failed_row(id, fault),
            Outcome::Unfinished => return None,
        };
        Some(if many { numbered(row, attempt) } else { row })
    };
    let reports: Vec<Value> = ran.outcomes.iter().filter_map(row).collect();
    write_reports(&ran, &ids, &reports)?;
    Ok(Done { notes: notes(&reports), ..ran.close(session)? })
}

/// How many resolved answers have a mark, where some do.
pub(super) fn notes(reports: &[Value]) -> Vec<(&'static str, usize)> {
    let marked = reports.iter().filter(|row| row["resolved"] == true && row["conduct"].is_array()).count();
    if marked == 0 { Vec::new() } else { vec![("resolved, marked", marked)] }
}

fn collect(
    answers: &Predictions,
    rows: &[Instance],
    context: &Context,
    open: Open,
) -> Result<Vec<(Prediction, u32)>, CommandError> {
    let each = |name: &str, patch: &dyn Fn(&Instance) -> Result<String, CommandError>| {
        let prediction = |row: &Instance| {
            let prediction = Prediction {
                instance_id: row.instance_id.clone(),
                model_name_or_path: name.to_owned(),
                model_patch: Some(patch(row)?),
            };
            Ok((prediction, 0))
        };
        rows.iter().map(prediction).collect::<Result<Vec<_>, CommandError>>()
    };
    match answers {
        Predictions::File(path) => {
            let (place, text) = input(path, PREDICTIONS, &context.run_folder, open)?;
            of_text(&place, &text, 0)
        }
        Predictions::Rollout(folder) => {
            let mut all = of_attempts(folder)?;
            // All first attempts, then all second ones: an early look is a fair one.
            all.sort_by_key(|(_, attempt)| *attempt);
            Ok(all)
        }
        Predictions::Gold => each("gold", &|row| Ok(row.gold_patch.clone())),
        Predictions::Empty => each("empty", &|_| Ok(String::new())),
        Predictions::Wrong => each("wrong", &|row| wrong_patch(row, context)),
    }
}

fn of_text(path: &Path, text: &str, attempt: u32) -> Result<Vec<(Prediction, u32)>, CommandError> {
    let read = predictions::read(&path.to_string_lossy(), text)?;
    Ok(read.into_iter().map(|prediction| (prediction, attempt)).collect())
}

/// The answers of a rollout, with the numbers of their attempts; a folder that is
/// no run may hold files of predictions.
fn of_attempts(folder: &Path) -> Result<Vec<(Prediction, u32)>, CommandError> {
    if RunView::is_at(folder) {
        let prediction = |result: AttemptResult| {
            let prediction = Prediction {
                instance_id: result.instance_id,
                model_name_or_path: result.model,
                model_patch: Some(result.patch),
            };
            (prediction, result.attempt)
        };
        let attempts = RunView::open(folder)?.attempts()?;
        return match attempts.is_empty() {
            true => Err(no_predictions(folder)),
            false => Ok(attempts.into_iter().map(prediction).collect()),
        };
    }
    let entries = std::fs::read_dir(folder).map_err(|e| CommandError::file("read the run", folder, &e))?;
    let mut all = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(middle) = name.strip_prefix("predictions").and_then(|n| n.strip_suffix("jsonl")) else {
            continue;
        };
        let attempt = match middle.trim_matches('.') {
            "" => 0,
            number => match number.parse() {
                Ok(number) => number,
                Err(_) => continue,
            },
        };
        // An attempt number of which nothing is finished has an empty file.
        if entry.metadata().is_ok_and(|m| m.len() > 0) {
            all.extend(of_text(&entry.path(), &text::read(&entry.path())?, attempt)?);
        }
    }
    if all.is_empty() { Err(no_predictions(folder)) } else { Ok(all) }
}

fn no_predictions(folder: &Path) -> CommandError {
    let message = format!("`{}` holds no predictions", folder.display());
    CommandError::nothing(message, "name the folder of a rollout, or a predictions file")
}

/// Instance and attempt of a job's name.
pub(super) fn parts(name: &str) -> (&str, u32) {
    let parts = name.rsplit_once('.').and_then(|(id, k)| Some((id, k.parse().ok()?)));
    parts.unwrap_or((name, 0))
}

/// A comment on top of the first file that the gold patch mends.
fn wrong_patch(row: &Instance, context: &Context) -> Result<String, CommandError> {
    let nothing_to_change = || {
        let message = format!("`{}` has no file of its own to change wrongly", row.instance_id);
        CommandError::usage(message, "the set `wrong` needs images that swegym built")
    };
    let gold = Patch::parse(&row.gold_patch).map_err(|_| nothing_to_change())?;
    let path = gold.paths().next().ok_or_else(nothing_to_change)?.to_owned();
    let image = swegym_runner::evaluate::image_of(context, row)?;
    let old = repository_file(context, &image, &path).ok_or_else(nothing_to_change)?;
    let new = format!("# Looked at; nothing to mend here.\n{old}");
    let diff = TextDiff::from_lines(&old, &new);
    let body = diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    Ok(format!("diff --git a/{path} b/{path}\n{body}"))
}

/// Writes `reports.jsonl`, a row each answer, and the run report, which has one
/// answer an instance: the first attempt's.
pub(super) fn write_reports(ran: &Ran, ids: &[InstanceId], rows: &[Value]) -> Result<(), CommandError> {
    let text =
        |rows: &mut dyn Iterator<Item = &Value>| rows.map(|r| r.to_string() + "\n").collect::<String>();
    ran.run.write_file("reports.jsonl", &text(&mut rows.iter()))?;
    let first = text(&mut rows.iter().filter(|r| r.get("attempt").is_none_or(|k| *k == 0)));
    let read = if first.is_empty() { Vec::new() } else { reports::read("reports.jsonl", &first)? };
    ran.run.write_file("report.json", &reports::write_run_report(ids, &read))?;
    Ok(())
}

/// What broke is a report too: counted, and never as the answer's failure.
pub(super) fn failed_row(instance_id: &str, fault: &Fault) -> Value {
    json!({
        "instance_id": instance_id, "patch_is_None": false, "patch_exists": true,
        "patch_successfully_applied": false, "log_graded": false, "resolved": false,
        "resolution": "RESOLVED_NO",
        "infra_failure": {
            "boundary": fault.boundary.as_str(), "code": fault.code, "message": fault.message, "hint": fault.hint,
        },
    })
}

/// A row with the number of its attempt behind its id.
pub(super) fn numbered(row: Value, attempt: u32) -> Value {
    let Value::Object(fields) = row else { return row };
    let mut row = Map::new();
    for (key, value) in fields {
        let is_id = key == "instance_id";
        row.insert(key, value);
        if is_id {
            row.insert("attempt".into(), json!(attempt));
        }
    }
    Value::Object(row)
}
