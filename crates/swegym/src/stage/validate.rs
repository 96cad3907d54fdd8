//! Candidates to instances.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, json};
use swegym_core::Digest;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, Outcome};

use super::{Done, Stage, read_text};
use crate::error::CommandError;
use crate::session::Session;

/// Validates every instance; writes `instances.jsonl`, `dropped.jsonl` and `flakes.jsonl`.
pub(crate) async fn validate(
    session: &Session,
    file: &Path,
    repeats: u32,
    unknown: UnknownFields,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let text = read_text(file)?;
    let rows = instances::read(&file.to_string_lossy(), &text, unknown)?;
    let known = Map::from_iter([
        ("instances".to_owned(), json!(file)),
        ("repeats".to_owned(), json!(repeats)),
        ("test_timeout".to_owned(), json!(session.settings.run.test_timeout.as_secs())),
    ]);
    if repeats == 0 {
        return Err(CommandError::usage("--repeats is 0", "run the tests at least once"));
    }
    let inputs = vec![Digest::of(text.as_bytes())];
    let stage = Stage {
        session,
        verb: "validate",
        folder,
        open,
        settings: known,
        free: Map::new(),
        aside: None,
        inputs,
    };
    let job = |instance| {
        let instance = Arc::new(instance);
        let name = swegym_core::Instance::clone(&instance).instance_id.to_string();
        Job { name, kind: JobKind::Validate { instance, repeats } }
    };
    let ran = stage.run(rows.into_iter().map(job).collect()).await?;
    ran.write_lines("instances.jsonl", ran.values("kept").map(|(_, v)| v["instance"].clone()))?;
    let (mut dropped, mut flakes) = (Vec::new(), Vec::new());
    for (name, outcome) in &ran.outcomes {
        match outcome {
            Outcome::Finished { outcome, value } => {
                if outcome != "kept" {
                    let mut row = json!({"instance_id": name, "reason": outcome});
                    for key in ["side", "test", "said", "leak"] {
                        if let Some(detail) = value.get(key) {
                            row[key] = detail.clone();
                        }
                    }
                    dropped.push(row);
                }
                if let Some(statistics) = value.get("flakes") {
                    flakes.push(json!({"instance_id": name, "repeats": repeats, "statistics": statistics}));
                }
            }
            Outcome::Failed(fault) => dropped.push(json!({"instance_id": name, "reason": fault.code})),
            Outcome::Unfinished => {}
        }
    }
    ran.write_lines("dropped.jsonl", dropped)?;
    ran.write_lines("flakes.jsonl", flakes)?;
    ran.close(session)
}
