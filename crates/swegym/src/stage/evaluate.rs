//! Predictions to verdicts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use similar::TextDiff;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::{predictions, reports};
use swegym_core::{Digest, Instance, InstanceId, Patch, Prediction};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Context, Job, Outcome};

use super::{Done, Ran, Stage, read_text};
use crate::error::CommandError;
use crate::session::Session;

/// Which answers are tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Predictions {
    /// A file.
    File(PathBuf),
    /// Each instance's own gold patch: all must resolve.
    Gold,
    /// No answer: none may resolve.
    Empty,
    /// A change of the right file that mends nothing: none may resolve.
    Wrong,
}

impl Predictions {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "gold" => Self::Gold,
            "empty" => Self::Empty,
            "wrong" => Self::Wrong,
            path => Self::File(PathBuf::from(path)),
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Gold => "gold".into(),
            Self::Empty => "empty".into(),
            Self::Wrong => "wrong".into(),
        }
    }
}

/// Evaluates; writes `predictions.jsonl`, `reports.jsonl` and `report.json`.
pub(crate) async fn evaluate(
    session: &Session,
    file: &Path,
    answers: &Predictions,
    unknown: UnknownFields,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let text = read_text(file)?;
    let rows = instances::read(&file.to_string_lossy(), &text, unknown)?;
    let known = Map::from_iter([
        ("instances".to_owned(), json!(file)),
        ("predictions".to_owned(), json!(answers.name())),
        ("test_timeout".to_owned(), json!(session.settings.run.test_timeout.as_secs())),
        ("semantics".to_owned(), json!("v5")),
    ]);
    let mut stage = Stage {
        session,
        verb: "evaluate",
        folder,
        open,
        settings: known,
        inputs: vec![Digest::of(text.as_bytes())],
    };
    let given = collect(answers, &rows, &stage.context())?;
    let predictions_text = predictions::write(&given);
    stage.inputs.push(Digest::of(predictions_text.as_bytes()));
    let ids: Vec<InstanceId> = rows.iter().map(|r| r.instance_id.clone()).collect();
    let mut by_id: HashMap<InstanceId, Instance> =
        rows.into_iter().map(|r| (r.instance_id.clone(), r)).collect();
    let mut jobs = Vec::new();
    for prediction in given {
        let Some(instance) = by_id.remove(&prediction.instance_id) else {
            session.printer.say(&format!(
                "{}: predicted, but not among the instances; left out",
                prediction.instance_id
            ));
            continue;
        };
        let name = prediction.instance_id.to_string();
        let kind = JobKind::Evaluate { instance: Arc::new(instance), prediction: Arc::new(prediction) };
        jobs.push(Job { name, kind });
    }
    if jobs.is_empty() {
        return Err(CommandError::nothing(
            "no prediction names an instance of the file",
            "check that the two files belong together",
        ));
    }
    let ran = stage.run(jobs).await?;
    ran.run.write_file("predictions.jsonl", &predictions_text)?;
    write_reports(&ran, &ids)?;
    ran.close(session)
}

fn collect(
    answers: &Predictions,
    rows: &[Instance],
    context: &Context,
) -> Result<Vec<Prediction>, CommandError> {
    let each = |name: &str, patch: &dyn Fn(&Instance) -> Result<String, CommandError>| {
        let prediction = |row: &Instance| {
            Ok(Prediction {
                instance_id: row.instance_id.clone(),
                model_name_or_path: name.to_owned(),
                model_patch: Some(patch(row)?),
            })
        };
        rows.iter().map(prediction).collect::<Result<Vec<_>, CommandError>>()
    };
    match answers {
        Predictions::File(path) => Ok(predictions::read(&path.to_string_lossy(), &read_text(path)?)?),
        Predictions::Gold => each("gold", &|row| Ok(row.gold_patch.clone())),
        Predictions::Empty => each("empty", &|_| Ok(String::new())),
        Predictions::Wrong => each("wrong", &|row| wrong_patch(row, context)),
    }
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
    let store = context.host.store();
    let found = image.layers.iter().rev().find_map(|layer| {
        let folder = store.layer_folder(*layer).ok()?;
        let whole = store.home().join(folder).join("testbed").join(&path);
        std::fs::read_to_string(whole).ok()
    });
    let old = found.ok_or_else(nothing_to_change)?;
    let new = format!("# Looked at; nothing to mend here.\n{old}");
    let diff = TextDiff::from_lines(&old, &new);
    let body = diff.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    Ok(format!("diff --git a/{path} b/{path}\n{body}"))
}

fn write_reports(ran: &Ran, ids: &[InstanceId]) -> Result<(), CommandError> {
    let mut rows: Vec<Value> = Vec::new();
    for (name, outcome) in &ran.outcomes {
        match outcome {
            Outcome::Finished { value, .. } => rows.push(value.clone()),
            // What broke is a report too: counted, and never as the answer's failure.
            Outcome::Failed(fault) => rows.push(json!({
                "instance_id": name, "patch_is_None": false, "patch_exists": true, "patch_successfully_applied": false, "log_graded": false,
                "resolved": false, "resolution": "RESOLVED_NO",
                "infra_failure": {"boundary": fault.boundary.as_str(), "code": fault.code, "message": fault.message, "hint": fault.hint},
            })),
            Outcome::Unfinished => {}
        }
    }
    let text: String = rows.iter().map(|r| r.to_string() + "\n").collect();
    let read = reports::read("reports.jsonl", &text)?;
    ran.run.write_file("reports.jsonl", &text)?;
    ran.run.write_file("report.json", &format!("{:#}\n", reports::write_run_report(ids, &read)))?;
    Ok(())
}
