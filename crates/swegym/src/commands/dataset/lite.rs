//! `dataset lite`: SWE-bench Lite's filter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::json;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset::lite::{IssueSite, Reason, drops};
use swegym_tasks::dataset::{Columns, Rows, Shape, Writer};

use super::convert::container;
use crate::commands::unreadable::Unreadable;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Counter;

pub(super) fn run(
    printer: Printer,
    dataset: &Path,
    out: &Path,
    dropped: Option<PathBuf>,
    issues_at: Option<&str>,
) -> Result<u8, CommandError> {
    let container = container(out, None)?;
    let dropped = dropped.unwrap_or_else(|| out.with_extension("dropped.jsonl"));
    let mut columns = Columns::default();
    if container.has_columns() {
        for row in Rows::open(dataset)? {
            // What cannot be read is told below.
            if let Ok(row) = row.and_then(|row| row.read()) {
                columns.note(&row.fields);
            }
        }
    }
    let mut writer = Writer::create(out, container, columns, "train")?;
    let mut reasons = String::new();
    let (mut unreadable, mut total, mut unanswered) = (Unreadable::default(), 0, 0);
    let mut counts: IndexMap<Reason, usize> = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    let site = issues_at.map(IssueSite::new);
    let mut answers: HashMap<(String, String), bool> = HashMap::new();
    let mut is_issue = |repo: &str, number: &str| {
        let Some(site) = &site else { return true };
        *answers.entry((repo.to_owned(), number.to_owned())).or_insert_with(|| {
            site.has(repo, number).unwrap_or_else(|_| {
                unanswered += 1;
                true
            })
        })
    };
    let counter = Counter::new(printer, "lite");
    for row in Rows::open(dataset)? {
        counter.tick();
        let read = row.and_then(|row| row.read());
        let read = read
            .and_then(|row| Ok((row.fields.clone(), Shape::of(&row.fields).instance(row, Need::Grading)?)));
        let (fields, instance) = match read {
            Ok(read) => read,
            Err(error) => {
                unreadable.note(&error);
                continue;
            }
        };
        total += 1;
        let why = drops(&instance, &mut is_issue);
        if why.is_empty() {
            writer.write(fields)?;
            continue;
        }
        for reason in &why {
            counts[reason] += 1;
        }
        let codes: Vec<_> = why.iter().map(|reason| reason.code()).collect();
        let line = json!({"instance_id": instance.instance_id.as_str(), "reasons": codes});
        reasons.push_str(&format!("{line}\n"));
    }
    counter.finish();
    if total == 0 {
        return Err(unreadable.nothing_read(dataset));
    }
    std::fs::write(&dropped, reasons).map_err(|e| CommandError::file("write", &dropped, &e))?;
    let kept = writer.rows();
    writer.finish()?.publish()?;
    let mut table = vec![["reason", "instances", "meaning"].map(str::to_owned).to_vec()];
    table.push(vec!["kept".into(), kept.to_string(), format!("of {total}")]);
    for (reason, count) in counts.iter().filter(|(_, count)| **count > 0) {
        table.push(vec![reason.code().into(), count.to_string(), reason.meaning().into()]);
    }
    let by_code: IndexMap<_, _> = counts.iter().map(|(reason, count)| (reason.code(), *count)).collect();
    let value = json!({
        "out": out, "dropped_file": dropped, "instances": total, "kept": kept, "dropped": total - kept,
        "unreadable": unreadable.count, "reasons": by_code,
    });
    printer.result(&value, &table);
    if unanswered > 0 {
        printer.say(&format!("the site did not answer for {unanswered} of the `#n`; they count as issues"));
    }
    Ok(unreadable.tell(printer, dataset))
}
