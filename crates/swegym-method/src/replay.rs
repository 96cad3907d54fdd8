//! `replay`: an attempt repeated with its recorded answers.

use std::path::Path;

use swegym_console::error::CommandError;
use swegym_console::progress::Bar;
use swegym_console::{exit, text};
use swegym_core::format::instances::{self, UnknownFields};
use swegym_data::run_view;

use crate::session::Session;

/// Replays a record and says where the box answered otherwise.
pub async fn run(
    session: &Session,
    file: &Path,
    instances: &Path,
    folder: &Path,
) -> Result<u8, CommandError> {
    let record = run_view::record(file)?;
    let text = text::read(instances)?;
    let rows = instances::read(&instances.to_string_lossy(), &text, UnknownFields::Keep)?;
    let id = &record.attempt.head.instance_id;
    let instance = rows.iter().find(|row| row.instance_id == *id).ok_or_else(|| {
        CommandError::nothing(
            format!("`{id}` is not in the file"),
            "give the instances that the attempt was made with",
        )
    })?;
    let context = session.context(folder);
    let replaying = Bar::waiting(session.printer, "replay", "repeating the attempt");
    let found =
        swegym_runner::replay::replay(&context, instance, &record.events, &folder.join("replay.jsonl"))
            .await?;
    drop(replaying);
    let word = |key: &str| if found[key] == true { "yes" } else { "no" }.to_owned();
    let first = found["differences"].get(0).map_or(String::new(), |d| format!("step {}", d["step"]));
    let mut table = vec![
        ["steps", "replayed", "all the same", "same patch", "first difference"].map(str::to_owned).to_vec(),
    ];
    table.push(vec![
        found["steps"].to_string(),
        found["replayed_steps"].to_string(),
        word("same"),
        word("same_patch"),
        first,
    ]);
    session.printer.result(&found, &table);
    session.printer.say(&format!("in {}", folder.display()));
    Ok(exit::DONE)
}
