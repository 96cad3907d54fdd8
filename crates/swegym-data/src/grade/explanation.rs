//! Verdicts test by test, for people and for machines.

use serde_json::{Value, json};
use swegym_console::printer::Printer;
use swegym_core::InstanceId;
use swegym_grade::semantics::{Explanation, Lookup};

/// Shows who said what of every expected test, and which rule decided.
pub(super) fn show(printer: Printer, all: &[(usize, InstanceId, Vec<Explanation>)], summary: &Value) {
    let header = ["instance", "list", "test", "log", "structured", "rule", "holds"];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    let mut rows = Vec::new();
    for (_, id, lines) in all {
        for line in lines {
            let holds = line.holds.map_or("not counted", |holds| if holds { "yes" } else { "no" });
            let log = line.log.as_deref().unwrap_or("-");
            let found = found(&line.lookup);
            let structured = line.structured.map_or("-", |s| s.as_str());
            table.push(vec![
                id.to_string(),
                line.list.to_owned(),
                line.test.clone(),
                found.as_ref().map_or_else(|| log.to_owned(), |found| format!("{log} ({found})")),
                structured.to_owned(),
                line.rule.describe().to_owned(),
                holds.to_owned(),
            ]);
            rows.push(json!({
                "instance_id": id.as_str(), "list": line.list, "test": line.test, "log": line.log,
                "found": found, "structured": line.structured.map(|s| s.as_str()),
                "rule": line.rule.describe(), "holds": line.holds,
            }));
        }
    }
    let mut value = summary.clone();
    value["explanations"] = Value::Array(rows);
    printer.result(&value, &table);
}

/// How a test was found, where not by its name.
fn found(lookup: &Lookup) -> Option<String> {
    match lookup {
        Lookup::Exact | Lookup::Missing => None,
        Lookup::Prefix(name) => Some(format!("as `{name}`")),
        Lookup::Divided => Some("several of this prefix disagree".to_owned()),
    }
}
