//! From a seed to instances of the micro gym.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, json};
use swegym_console::error::CommandError;
use swegym_console::progress::Bar;
use swegym_console::text;
use swegym_core::format::results::{Drawn, JobOutput};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, micro};

use super::{Done, Stage};
use crate::session::Session;
use crate::settings::MicroSettings;

/// Draws repositories; writes `candidates.jsonl`, `bugs.jsonl`, `dropped.jsonl`;
/// `examples.jsonl`: the same instances with tests that anybody can make of the
/// issue and the visible tests, for a hybrid selection; and `answers.jsonl`: for
/// each instance a few changes that nobody attempted, with their outcomes, from
/// which a verifier learns to read.
pub async fn micro(
    session: &Session,
    settings: &MicroSettings,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let world = Arc::new(settings.world.clone());
    let known = Map::from_iter([
        ("split".to_owned(), json!(world.split.name())),
        ("seed".to_owned(), json!(world.seed)),
        ("count".to_owned(), json!(settings.count)),
        ("families".to_owned(), world.families.iter().map(|f| json!(f.name())).collect()),
        ("levels".to_owned(), json!(world.levels)),
    ]);
    let stage = Stage::new(session, "micro", (folder, open), known);
    let preparing = Bar::waiting(session.printer, "micro", "preparing the interpreter");
    let ground: Arc<str> = micro::ground(&stage.context()).await?.into();
    drop(preparing);
    let job = |number: u32| Job {
        name: format!("{}-{}-{number}", world.split.name(), world.seed),
        kind: JobKind::Micro { ground: Arc::clone(&ground), world: Arc::clone(&world), number },
    };
    let ran = stage.run((0..settings.count).map(job).collect()).await?;
    let (mut candidates, mut examples, mut bugs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut known, mut dropped) = (Vec::new(), Vec::new());
    for (_, output) in ran.outputs() {
        match output {
            JobOutput::Drawn(Drawn::Candidate { instance, example, bug, answers }) => {
                candidates.push(instance);
                examples.push(example);
                bugs.push(bug);
                known.extend(answers);
            }
            JobOutput::Drawn(Drawn::Equivalent { bug }) => dropped.push(bug),
            _ => {}
        }
    }
    ran.write_lines("candidates.jsonl", candidates)?;
    ran.write_lines("examples.jsonl", examples)?;
    ran.write_lines("answers.jsonl", known)?;
    ran.write_lines("bugs.jsonl", bugs)?;
    ran.write_lines("dropped.jsonl", dropped)?;
    ran.close(session)
}

/// Writes conversations to pre-train on.
pub fn write_texts(settings: &MicroSettings, path: &Path) -> Result<(), CommandError> {
    let line = |number: u32| {
        let turns = settings.world.exchanges(number).into_iter().flat_map(|(asked, answered)| {
            [json!({"role": "user", "content": asked}), json!({"role": "assistant", "content": answered})]
        });
        json!({"messages": turns.collect::<Vec<_>>()}).to_string() + "\n"
    };
    let lines: String = (0..settings.count).map(line).collect();
    text::write(path, &lines)
}
