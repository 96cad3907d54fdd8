//! `dataset lite`: SWE-bench Lite's filter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use indexmap::IndexMap;
use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::progress::Counter;
use swegym_console::text;
use swegym_console::unreadable::Unreadable;
use swegym_core::format::FormatError;
use swegym_tasks::dataset::lite::{IssueSite, Reason, drops};
use swegym_tasks::dataset::{RowText, Rows};

use super::convert::container;
use super::sheet::{self, Sheet, Target};
use super::{Workplace, in_order};

/// Writes the small tasks of a dataset, and why the others are none; gives the exit code.
///
/// # Errors
/// Nothing can be read, or nothing written.
pub fn run(
    at: &Workplace,
    dataset: &Path,
    out: &Path,
    dropped: Option<PathBuf>,
    issues_at: Option<&str>,
) -> Result<u8, CommandError> {
    let (printer, container) = (at.printer, container(out, None)?);
    let dropped = dropped.unwrap_or_else(|| out.with_extension("dropped.jsonl"));
    text::refuse_overwriting(dataset, &dropped)?;
    if std::path::absolute(&dropped)? == std::path::absolute(out)? {
        let message = format!("`{}` is to hold what is kept and what is dropped", out.display());
        return Err(CommandError::usage(message, "name another file with --dropped"));
    }
    let site = issues_at.map(Site::new);
    let to = Target { path: out, container, split: "train" };
    let fields = |row: &RowText| Ok(row.read()?.fields);
    let attempt = |sheet: &mut Sheet| filter(at, dataset, site.as_ref(), sheet);
    let (Filtered { unreadable, total, reasons, counts }, writer, _) =
        sheet::write(at, dataset, &to, fields, attempt)?;
    if total == 0 {
        return Err(unreadable.nothing_read(dataset));
    }
    text::write(&dropped, &reasons)?;
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

/// What became of the rows.
struct Filtered {
    unreadable: Unreadable,
    total: usize,
    /// Why each row that is dropped is dropped, one a line.
    reasons: String,
    counts: IndexMap<Reason, usize>,
}

/// Writes the rows that pass. Those that do not are among the columns, too.
fn filter(
    at: &Workplace,
    dataset: &Path,
    site: Option<&Site>,
    sheet: &mut Sheet,
) -> Result<Filtered, CommandError> {
    let counts = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    let mut filtered =
        Filtered { unreadable: Unreadable::default(), total: 0, reasons: String::new(), counts };
    let counter = Counter::new(at.printer, "lite");
    let is_issue = |repo: &str, number: &str| site.is_none_or(|site| site.has(repo, number));
    let guess = sheet.guess().cloned();
    let look = |row: Result<RowText, FormatError>| {
        let row = row?;
        let judged = row.own_fields();
        let judged = judged.map(|instance| (drops(&instance, is_issue), instance.instance_id));
        let is_kept = judged.as_ref().is_ok_and(|(why, _)| why.is_empty());
        let is_new = || guess.as_ref().is_some_and(|guess| !guess.hold(&row));
        let fields = (is_kept || is_new()).then(|| row.read()).transpose()?;
        Ok((fields.map(|row| row.fields).unwrap_or_default(), judged))
    };
    in_order(&at.cores, Rows::open(dataset)?, look, |looked: Result<_, FormatError>| {
        counter.tick();
        let (fields, why, id) = match looked {
            Ok((fields, Ok((why, id)))) => (fields, why, id),
            Ok((fields, Err(error))) => {
                sheet.note(&fields);
                filtered.unreadable.note(&error);
                return Ok(());
            }
            Err(error) => {
                filtered.unreadable.note(&error);
                return Ok(());
            }
        };
        filtered.total += 1;
        if why.is_empty() {
            return sheet.write(fields);
        }
        sheet.note(&fields);
        for reason in &why {
            filtered.counts[reason] += 1;
        }
        let codes: Vec<_> = why.iter().map(|reason| reason.code()).collect();
        let line = json!({"instance_id": id.as_str(), "reasons": codes});
        filtered.reasons.push_str(&format!("{line}\n"));
        Ok(())
    })?;
    counter.finish();
    Ok(filtered)
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
