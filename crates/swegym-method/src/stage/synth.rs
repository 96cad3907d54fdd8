//! From images to candidate instances.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_core::Digest;
use swegym_core::format::results::{JobOutput, Planted};
use swegym_runner::Job;
use swegym_runner::build::Built;
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_tasks::synth::Synthesis;
use swegym_tasks::synth::source::SkippedFile;

use super::{Done, GIVEN, Stage, input, job_name};
use crate::session::Session;

/// Plants bugs in every image; writes `candidates.jsonl`, `bugs.jsonl`, `dropped.jsonl`, and
/// in `skipped.jsonl` the files that got none.
pub async fn synth(
    session: &Session,
    images: &Path,
    seed: u64,
    candidates: u32,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let (place, text) = input(images, GIVEN, folder, open)?;
    let known = Map::from_iter([
        ("images".to_owned(), json!(images)),
        ("seed".to_owned(), json!(seed)),
        ("candidates".to_owned(), json!(candidates)),
        ("test_timeout".to_owned(), json!(session.settings.run.test_timeout.as_secs())),
    ]);
    let stage = Stage {
        inputs: vec![Digest::of(text.as_bytes())],
        kept: vec![(GIVEN, &text)],
        ..Stage::new(session, "synth", (folder, open), known)
    };
    let context = stage.context();
    let (mut jobs, mut skipped) = (Vec::new(), Vec::new());
    for built in read_images(&place, &text)? {
        let source = built.source_folder(&context)?;
        let synthesis = Synthesis::of_tree(&source, &built.name, &built.version, seed)
            .map_err(|e| CommandError::file("read", &source, &e))?;
        if synthesis.counts().is_empty() {
            session.printer.say(&format!("{}: no place for a bug in its source", built.name));
        }
        let package = format!("{}=={}", built.name, built.version);
        let row =
            |file: &SkippedFile| json!({"package": package, "path": file.path, "reason": file.reason.code()});
        skipped.extend(synthesis.skipped().iter().map(row));
        let (built, synthesis) = (Arc::new(built), Arc::new(synthesis));
        for number in 0..candidates {
            let name = job_name(&format!("{}-{}-{number}", built.name, built.version));
            let kind =
                JobKind::Synth { built: Arc::clone(&built), synthesis: Arc::clone(&synthesis), number };
            jobs.push(Job { name, kind });
        }
    }
    let ran = stage.run(jobs).await?;
    let mut seen = HashSet::new();
    let (mut rows, mut bugs, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for (name, output) in ran.outputs() {
        let JobOutput::Planted(planted) = output else { continue };
        match planted {
            Planted::Candidate { instance, bugs: of } => {
                let id = instance.get("instance_id");
                if seen.insert(id) {
                    rows.push(instance);
                    bugs.push(json!({"instance_id": id, "bugs": of}));
                } else {
                    dropped.push(json!({"candidate": name, "reason": "duplicate", "bugs": of}));
                }
            }
            Planted::Dropped { reason, bugs: of, problems } => {
                let mut row = json!({"candidate": name, "reason": reason, "bugs": of});
                if let Some(problems) = problems {
                    row["problems"] = problems.clone();
                }
                dropped.push(row);
            }
        }
    }
    ran.write_lines("candidates.jsonl", rows)?;
    ran.write_lines("bugs.jsonl", bugs)?;
    ran.write_lines("dropped.jsonl", dropped)?;
    ran.write_lines("skipped.jsonl", skipped)?;
    ran.close(session)
}

fn read_images(path: &Path, text: &str) -> Result<Vec<Built>, CommandError> {
    let lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    let built = lines.map(|(i, line)| {
        let value: Option<Value> = serde_json::from_str(line).ok();
        value.as_ref().and_then(Built::from_json).ok_or_else(|| {
            let message = format!("{}:{}: not a row of a build's images.jsonl", path.display(), i + 1);
            CommandError::usage(message, "pass the images.jsonl that `swegym build` wrote")
        })
    });
    let built = built.collect::<Result<Vec<_>, _>>()?;
    if built.is_empty() {
        return Err(CommandError::nothing(
            format!("`{}` has no image", path.display()),
            "build a package first",
        ));
    }
    Ok(built)
}
