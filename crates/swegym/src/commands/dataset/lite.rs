//! `dataset lite`: SWE-bench Lite's filter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;
use serde_json::json;
use swegym_core::format::FormatError;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset::lite::{IssueSite, Reason, drops};
use swegym_tasks::dataset::{Columns, RowText, Rows, Writer};

use super::convert::container;
use super::{Workplace, in_order};
use crate::commands::unreadable::Unreadable;
use crate::error::CommandError;
use crate::progress::Counter;

pub(super) fn run(
    at @ Workplace { printer, cores }: Workplace<'_>,
    dataset: &Path,
    out: &Path,
    dropped: Option<PathBuf>,
    issues_at: Option<&str>,
) -> Result<u8, CommandError> {
    let container = container(out, None)?;
    let dropped = dropped.unwrap_or_else(|| out.with_extension("dropped.jsonl"));
    let columns = if container.has_columns() { columns(at, dataset)? } else { Columns::default() };
    let mut writer = Writer::create(out, container, columns, "train")?;
    let mut reasons = String::new();
    let (mut unreadable, mut total) = (Unreadable::default(), 0);
    let mut counts: IndexMap<Reason, usize> = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    let site = issues_at.map(Site::new);
    let is_issue = |repo: &str, number: &str| site.as_ref().is_none_or(|site| site.has(repo, number));
    let counter = Counter::new(printer, "lite");
    let look = |row: Result<RowText, FormatError>| {
        let row = row?;
        let instance = row.instance(Need::Grading)?;
        let why = drops(&instance, is_issue);
        let kept = why.is_empty().then(|| row.read()).transpose()?;
        Ok((instance.instance_id, why, kept))
    };
    in_order(cores, Rows::open(dataset)?, look, |looked: Result<_, FormatError>| {
        counter.tick();
        let (id, why, kept) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                unreadable.note(&error);
                return Ok(());
            }
        };
        total += 1;
        if let Some(row) = kept {
            return Ok(writer.write(row.fields)?);
        }
        for reason in &why {
            counts[reason] += 1;
        }
        let codes: Vec<_> = why.iter().map(|reason| reason.code()).collect();
        let line = json!({"instance_id": id.as_str(), "reasons": codes});
        reasons.push_str(&format!("{line}\n"));
        Ok(())
    })?;
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
    let unanswered = site.map_or(0, |site| site.unanswered.into_inner());
    if unanswered > 0 {
        printer.say(&format!("the site did not answer for {unanswered} of the `#n`; they count as issues"));
    }
    Ok(unreadable.tell(printer, dataset))
}

/// Looks at all rows once, since columns have one type from the first row on.
fn columns(at: Workplace<'_>, dataset: &Path) -> Result<Columns, CommandError> {
    let mut columns = Columns::default();
    // What cannot be read is told later.
    let read = |row: Result<RowText, FormatError>| row.and_then(|row| row.read()).ok();
    in_order(at.cores, Rows::open(dataset)?, read, |row| {
        row.iter().for_each(|row| columns.note(&row.fields));
        Ok(())
    })?;
    Ok(columns)
}

/// A site that is asked once for each issue.
struct Site {
    site: IssueSite,
    answers: Mutex<HashMap<(String, String), bool>>,
    /// Questions that got no answer. They count as issues.
    unanswered: AtomicUsize,
}

impl Site {
    fn new(url: &str) -> Self {
        Self { site: IssueSite::new(url), answers: Mutex::default(), unanswered: AtomicUsize::new(0) }
    }

    fn has(&self, repo: &str, number: &str) -> bool {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry((repo.to_owned(), number.to_owned())).or_insert_with(|| {
            self.site.has(repo, number).unwrap_or_else(|_| {
                self.unanswered.fetch_add(1, Relaxed);
                true
            })
        })
    }
}
