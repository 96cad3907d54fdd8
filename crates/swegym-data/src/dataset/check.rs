//! `dataset check`: what is wrong with a dataset.

use std::collections::HashMap;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Counter;
use swegym_core::Instance;
use swegym_grade::LogParser;
use swegym_tasks::dataset::Rows;
use swegym_tasks::dataset::check::{Checked, Checker, Code, Finding};

use super::{Workplace, in_order};
use crate::grade::{Case, of_manifest};

/// Findings that people are shown; machines get all.
const SHOWN: usize = 100;

/// Says what is wrong with each row; gives the exit code.
///
/// # Errors
/// The dataset or the manifest cannot be read at all.
pub fn run(at: &Workplace, dataset: &Path, logs: Option<&Path>, strict: bool) -> Result<u8, CommandError> {
    let (printer, cores) = (at.printer, &at.cores);
    let cases = cores.install(|| logs.map(of_manifest).transpose())?.unwrap_or_default();
    let (mut logs_of, mut findings): (HashMap<&str, Vec<&Case>>, _) = (HashMap::new(), Vec::new());
    for case in &cases {
        match case.check() {
            Ok(id) => logs_of.entry(id).or_default().push(case),
            Err(fault) => findings.push(of_manifest_row(logs, Code::RowUnreadable, None, fault.message)),
        }
    }
    let (mut checker, mut rows) = (Checker::default(), 0);
    let counter = Counter::new(printer, "check");
    let look = |row| {
        let mut checked = Checked::of(row);
        let Some(instance) = &checked.instance else { return checked };
        let gold = logs_of.get(instance.instance_id.as_str()).into_iter().flatten();
        let mut beyond = parser_trouble(instance, &checked);
        beyond.extend(gold.filter_map(|case| disagreement(instance, case)));
        for (code, field, message) in beyond {
            checked.find(code, field, message);
        }
        checked
    };
    in_order(cores, Rows::open(dataset)?, look, |mut checked| {
        counter.tick();
        rows += 1;
        checker.note(&mut checked);
        findings.append(&mut checked.findings);
        Ok(())
    })?;
    counter.finish();
    let mut strays: Vec<_> = logs_of.keys().filter(|id| !checker.has_seen(id)).collect();
    strays.sort();
    findings.extend(strays.into_iter().map(|id| {
        let message = "a gold log of an instance that the dataset does not have".to_owned();
        of_manifest_row(logs, Code::GoldInconsistent, Some((*id).to_owned()), message)
    }));
    show(printer, dataset, rows, &findings);
    let counts = |finding: &Finding| strict || !finding.code.is_warning();
    Ok(if findings.iter().any(counts) { exit::INVALID_TASKS } else { exit::DONE })
}

/// What is wrong with the manifest rather than with a row of the dataset.
fn of_manifest_row(logs: Option<&Path>, code: Code, instance_id: Option<String>, message: String) -> Finding {
    let file = logs.unwrap_or(Path::new("")).to_string_lossy().into();
    Finding { code, file, line: None, instance_id, field: None, message }
}

/// Whether its logs can be read by any parser. R2E-Gym's and SWE-bench Pro's
/// rows need none to be named.
fn parser_trouble(instance: &Instance, checked: &Checked) -> Vec<(Code, Option<&'static str>, String)> {
    let own_rules = ["expected_output_json", "fixed_tests", "harbor_files"];
    let field = Some("log_parser");
    let trouble = match (&instance.log_parser, LogParser::of(instance)) {
        (Some(name), _) if LogParser::named(name).is_none() => {
            Some((Code::UnknownParser, format!("no parser is called `{name}`")))
        }
        (_, Err(error)) => Some((Code::UnknownParser, error.to_string())),
        (None, Ok(None)) if !own_rules.iter().any(|name| instance.extra.contains_key(*name)) => {
            Some((Code::NoParser, format!("no parser is named, and none is known for `{}`", instance.repo)))
        }
        _ => None,
    };
    // A row whose columns are no text was reported already.
    let whole = checked.findings.iter().all(|f| f.code != Code::FieldType);
    trouble.filter(|_| whole).map(|(code, message)| (code, field, message)).into_iter().collect()
}

/// What the log of the gold patch says against the lists.
fn disagreement(instance: &Instance, case: &Case) -> Option<(Code, Option<&'static str>, String)> {
    let log = case.log_name();
    let said = |message: String| Some((Code::GoldInconsistent, None, message));
    let (evidence, semantics) = match case.evidence(instance, None) {
        Ok(read) => read,
        Err(fault) => return said(format!("the gold log `{log}` cannot be judged: {}", fault.message)),
    };
    let report = semantics.grade(instance, false, &evidence);
    if report.resolved() {
        return None;
    }
    if let Some(reason) = report.reason {
        return said(format!("by its log `{log}`, the gold patch gives no result: {}", reason.message));
    }
    let failing = swegym_grade::semantics::explain(semantics, instance, &evidence);
    let failing: Vec<_> = failing.iter().filter(|line| line.holds == Some(false)).collect();
    let first = failing.first().map_or("", |line| line.test.as_str());
    said(format!(
        "by its log `{log}`, {} expected tests do not pass with the gold patch, the first `{first}`",
        failing.len()
    ))
}

fn show(printer: Printer, dataset: &Path, rows: usize, findings: &[Finding]) {
    let severity = |code: Code| if code.is_warning() { "warning" } else { "error" };
    let place = |f: &Finding| match f.line {
        Some(line) => format!("{}:{line}", f.file),
        None => f.file.to_string(),
    };
    let mut counts: IndexMap<&str, usize> = IndexMap::new();
    for code in Code::ALL {
        let count = findings.iter().filter(|f| f.code == code).count();
        if count > 0 {
            counts.insert(code.name(), count);
        }
    }
    let as_json = |f: &Finding| -> Value {
        json!({
            "code": f.code.name(), "severity": severity(f.code), "file": &*f.file, "line": f.line,
            "instance_id": f.instance_id, "field": f.field, "message": f.message, "hint": f.code.hint(),
        })
    };
    let mut table = vec![["place", "code", "severity", "what"].map(str::to_owned).to_vec()];
    table.extend(
        findings.iter().take(SHOWN).map(|f| {
            vec![place(f), f.code.name().to_owned(), severity(f.code).to_owned(), f.message.clone()]
        }),
    );
    if findings.is_empty() {
        table = vec![vec![format!("{rows} rows, nothing wrong")]];
    }
    let value = json!({
        "dataset": dataset, "rows": rows, "counts": counts,
        "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
    });
    printer.result(&value, &table);
    if findings.len() > SHOWN {
        printer.say(&format!("{} more; --json shows all", findings.len() - SHOWN));
    }
    for (name, count) in counts {
        let hint = Code::ALL.into_iter().find(|code| code.name() == name).map_or("", Code::hint);
        printer.say(&format!("{count} {name}: {hint}"));
    }
}
