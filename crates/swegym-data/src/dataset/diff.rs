//! `dataset diff`: how two datasets differ.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::json;
use swegym_console::error::CommandError;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset::RowText;
use swegym_tasks::dataset::difference::{Changed, Difference, Print};

use super::{Workplace, each};

/// Says what differs between two datasets; gives the exit code.
///
/// # Errors
/// One of them cannot be read.
pub fn run(at: &Workplace, old: &Path, new: &Path) -> Result<u8, CommandError> {
    let printer = at.printer;
    let mut difference = Difference::default();
    let print = |row: &RowText| Ok(Print::of(&row.instance(Need::Grading)?));
    let bad_old = each(at, "diff", old, print, |print| {
        difference.note_old(print);
        Ok(())
    })?;
    let bad_new = each(at, "diff", new, print, |print| {
        difference.note_new(&print);
        Ok(())
    })?;
    let removed: Vec<_> = difference.removed().collect();
    let (added, changed) = (&difference.added, &difference.changed);
    let row = |name: &str, count: usize, first: Option<&str>| {
        vec![name.to_owned(), count.to_string(), first.unwrap_or_default().to_owned()]
    };
    let mut table = vec![["what", "instances", "first"].map(str::to_owned).to_vec()];
    table.push(row("same", difference.same, None));
    table.push(row("added", added.len(), added.first().map(String::as_str)));
    table.push(row("removed", removed.len(), removed.first().copied()));
    table.push(row("changed", changed.len(), changed.keys().next().map(String::as_str)));
    let fields = difference.fields();
    for (field, count) in &fields {
        let first = changed.iter().find(|(_, c)| c.fields.iter().any(|f| f == field));
        table.push(row(&format!("  {field}"), *count, first.map(|(id, _)| id.as_str())));
    }
    let moved = |(joined, left): (usize, usize)| json!({"added": joined, "removed": left});
    let as_json = |changed: &Changed| {
        json!({
            "fields": changed.fields,
            "FAIL_TO_PASS": moved(changed.fail_to_pass), "PASS_TO_PASS": moved(changed.pass_to_pass),
        })
    };
    let changes: IndexMap<_, _> = changed.iter().map(|(id, changed)| (id, as_json(changed))).collect();
    let value = json!({
        "old": old, "new": new, "same": difference.same, "added": added, "removed": removed,
        "fields": fields, "changed": changes,
    });
    printer.result(&value, &table);
    Ok(bad_old.tell(printer, old).max(bad_new.tell(printer, new)))
}
