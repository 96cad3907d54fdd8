//! From candidates to instances.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_core::Digest;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::results::{JobOutput, Kept, Validated};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Checks, Job, Outcome, TestBounds};

use super::{Done, GIVEN, Stage, input};
use crate::session::Session;

/// Validates every instance; writes `instances.jsonl`, `dropped.jsonl` and
/// `flakes.jsonl`, and `probes.jsonl` where tricks are tried.
pub async fn validate(
    session: &Session,
    file: &Path,
    checks: Checks,
    unknown: UnknownFields,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let (place, text) = input(file, GIVEN, folder, open)?;
    let rows = instances::read(&place.to_string_lossy(), &text, unknown)?;
    let Checks { repeats, probes, bounds: TestBounds { seconds, mebibytes } } = checks;
    let mut known = Map::from_iter([
        ("instances".to_owned(), json!(file)),
        ("repeats".to_owned(), json!(repeats)),
        ("test_timeout".to_owned(), json!(session.settings.run.test_timeout.as_secs())),
    ]);
    if probes {
        known.insert("probe".to_owned(), json!(true));
    }
    for (name, bound) in [("test_seconds", seconds), ("test_memory", mebibytes)] {
        known.extend(bound.map(|bound| (name.to_owned(), json!(bound))));
    }
    if repeats == 0 {
        return Err(CommandError::usage("--repeats is 0", "run the tests at least once"));
    }
    let stage = Stage {
        inputs: vec![Digest::of(text.as_bytes())],
        kept: vec![(GIVEN, &text)],
        ..Stage::new(session, "validate", (folder, open), known)
    };
    let job = |instance| {
        let instance = Arc::new(instance);
        let name = swegym_core::Instance::clone(&instance).instance_id.to_string();
        Job { name, kind: JobKind::Validate { instance, checks } }
    };
    let ran = stage.run(rows.into_iter().map(job).collect()).await?;
    let (mut rows, mut dropped) = (Vec::new(), Vec::new());
    let (mut flakes, mut probed) = (Vec::new(), Vec::new());
    for (name, outcome) in &ran.outcomes {
        let validated = match outcome {
            Outcome::Finished(output) => match &**output {
                JobOutput::Validated(validated) => validated,
                _ => continue,
            },
            Outcome::Failed(fault) => {
                dropped.push(json!({"instance_id": name, "reason": fault.code}));
                continue;
            }
            Outcome::Unfinished => continue,
        };
        match &validated.kept {
            Kept::Kept(instance) => rows.push(instance),
            Kept::Dropped { reason, details } => {
                let mut row = json!({"instance_id": name, "reason": reason});
                for key in Validated::DETAILS {
                    if let Some(detail) = details.get(key) {
                        row[key] = detail.clone();
                    }
                }
                dropped.push(row);
            }
        }
        if let Some(probes) = &validated.probes {
            probed.push(probed_row(name, matches!(validated.kept, Kept::Kept(_)), probes));
        }
        if let Some(statistics) = &validated.flakes {
            flakes.push(json!({"instance_id": name, "repeats": repeats, "statistics": statistics}));
        }
    }
    let marked = rows.iter().filter(|row| row.contains_key("statement_problems")).count();
    ran.write_lines("instances.jsonl", rows)?;
    ran.write_lines("dropped.jsonl", dropped)?;
    ran.write_lines("flakes.jsonl", flakes)?;
    let mut notes = Vec::new();
    if marked > 0 {
        notes.push((
            "kept with a statement that gives away or lacks something (`statement_problems`)",
            marked,
        ));
    }
    if !probes {
        return Ok(Done { notes, ..ran.close(session)? });
    }
    let count = |test: &dyn Fn(&&Value) -> bool| probed.iter().filter(test).count();
    notes.extend([
        ("probed", probed.len()),
        ("forgeable without a mark, dropped", count(&|row| row["kept"] == false)),
        ("forgeable with a mark, kept", count(&|row| row["kept"] == true && row["forgeable"] != json!([]))),
    ]);
    ran.write_lines("probes.jsonl", probed)?;
    Ok(Done { notes, ..ran.close(session)? })
}

/// What the tricks came to on an instance: those that it counts as resolved by,
/// and all of them.
fn probed_row(id: &str, kept: bool, probes: &[Value]) -> Value {
    let passed = probes.iter().filter(|probe| probe["resolved"] == true);
    let forgeable: Vec<&Value> = passed.map(|probe| &probe["probe"]).collect();
    json!({"instance_id": id, "kept": kept, "forgeable": forgeable, "probes": probes})
}
