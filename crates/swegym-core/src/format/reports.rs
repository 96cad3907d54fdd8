//! SWE-bench reports: `report.json` of one instance, and the run report
//! (`schema_version` 2); reference/grading.md, section 4.6.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::FormatError;
use super::row::Row;
use crate::conduct::patch::Mark;
use crate::report::Sides;
use crate::{Boundary, Fault, InstanceId, Names, Report, Resolution, TestsStatus};

/// The reference's fields of one report.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "patch_is_None")]
    patch_is_none: bool,
    patch_exists: bool,
    patch_successfully_applied: bool,
    resolved: bool,
    infra_failure: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    infra_failure_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tests_status: Option<Lists<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conduct: Vec<MarkRow<'a>>,
}

/// A mark, as it stands in reports and results; the reference has none.
#[derive(Serialize)]
struct MarkRow<'a> {
    conduct: &'a str,
    file: &'a str,
    line: usize,
    evidence: &'a str,
}

impl<'a> MarkRow<'a> {
    fn of(mark: &'a Mark) -> Self {
        let Mark { conduct, file, line, evidence } = mark;
        Self { conduct, file, line: *line, evidence }
    }
}

/// Marks as a list for a file.
#[must_use]
pub fn write_marks(marks: &[Mark]) -> Value {
    json!(marks.iter().map(MarkRow::of).collect::<Vec<_>>())
}

/// The reference's `tests_status`.
#[derive(Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Lists<'a> {
    fail_to_pass: TwoSides<'a>,
    pass_to_pass: TwoSides<'a>,
    fail_to_fail: TwoSides<'a>,
    pass_to_fail: TwoSides<'a>,
}

#[derive(Serialize)]
struct TwoSides<'a> {
    success: &'a Names,
    failure: &'a Names,
}

impl<'a> Body<'a> {
    fn of(report: &'a Report) -> Self {
        Self {
            patch_is_none: report.patch_is_none,
            patch_exists: report.patch_exists,
            patch_successfully_applied: report.patch_successfully_applied,
            resolved: report.resolved(),
            infra_failure: report.infra_failure.is_some(),
            infra_failure_reason: failure_reason(report),
            tests_status: report.tests_status.as_deref().map(Lists::of),
            conduct: report.conduct.iter().map(MarkRow::of).collect(),
        }
    }
}

impl<'a> Lists<'a> {
    fn of(status: &'a TestsStatus) -> Self {
        let sides = |s: &'a Sides| TwoSides { success: &s.success, failure: &s.failure };
        Self {
            fail_to_pass: sides(&status.fail_to_pass),
            pass_to_pass: sides(&status.pass_to_pass),
            fail_to_fail: sides(&status.fail_to_fail),
            pass_to_fail: sides(&status.pass_to_fail),
        }
    }
}

/// One report in the reference's nesting: `{id: {…}}`.
#[must_use]
pub fn write_report(report: &Report) -> Value {
    json!({ report.instance_id.as_str(): Body::of(report) })
}

/// A row of `grade`, up to its lists: the reference's fields beside the log's name.
#[derive(Serialize)]
struct Graded<'a> {
    instance_id: &'a str,
    log: &'a str,
    semantics: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

/// One report of `grade`, as a line without its newline.
#[must_use]
pub fn write_graded(report: &Report, log: &str, semantics: &str) -> String {
    let body = Body { tests_status: None, ..Body::of(report) };
    let row = Graded { instance_id: report.instance_id.as_str(), log, semantics, body };
    // Nothing in it can fail to be JSON.
    let mut line = serde_json::to_string(&row).unwrap_or_default();
    line.pop();
    if let Some(status) = &report.tests_status {
        // Once, with room for their names and for the end of the line.
        line.reserve(lists_len(status) + 256);
        write_lists(status, &mut line);
    }
    if let Some(reason) = &report.reason {
        line.push_str(",\"reason\":");
        line.push_str(&fault(reason).to_string());
    }
    line.push('}');
    line
}

/// Bytes of the lists, where no character is escaped.
fn lists_len(status: &TestsStatus) -> usize {
    let lists = [&status.fail_to_pass, &status.pass_to_pass, &status.fail_to_fail, &status.pass_to_fail];
    lists.iter().flat_map(|sides| [&sides.success, &sides.failure]).map(Names::json_len).sum()
}

/// The lists of a report, its last field but one.
fn write_lists(status: &TestsStatus, line: &mut String) {
    let lists = [
        (",\"tests_status\":{\"FAIL_TO_PASS\":", &status.fail_to_pass),
        (",\"PASS_TO_PASS\":", &status.pass_to_pass),
        (",\"FAIL_TO_FAIL\":", &status.fail_to_fail),
        (",\"PASS_TO_FAIL\":", &status.pass_to_fail),
    ];
    for (name, sides) in lists {
        line.push_str(name);
        line.push_str("{\"success\":");
        sides.success.write_json(line);
        line.push_str(",\"failure\":");
        sides.failure.write_json(line);
        line.push('}');
    }
    line.push('}');
}

/// A row of `grade` without a verdict, and why there is none.
#[must_use]
pub fn write_ungraded(instance_id: Option<&str>, log: &str, why: &Fault) -> String {
    let row = json!({
        "instance_id": instance_id, "log": log, "resolved": false, "patch_successfully_applied": false,
        "error": fault(why),
    });
    row.to_string()
}

/// What broke, or may have.
fn failure_reason(report: &Report) -> Option<&str> {
    let infra = report.infra_failure.as_ref().map(|f| f.code.as_str());
    infra.or(report.ambiguous_failure.as_deref())
}

fn fault(f: &Fault) -> Value {
    json!({"boundary": f.boundary.as_str(), "code": f.code, "message": f.message, "hint": f.hint})
}

/// One report as a line of `reports.jsonl`.
#[must_use]
pub fn write_row(report: &Report) -> String {
    Value::Object(row(report)).to_string()
}

/// One report as a flat row of `reports.jsonl`, which our own verbs read.
#[must_use]
pub fn row(report: &Report) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("instance_id".into(), json!(report.instance_id.as_str()));
    row.insert("patch_is_None".into(), json!(report.patch_is_none));
    row.insert("patch_exists".into(), json!(report.patch_exists));
    row.insert("patch_successfully_applied".into(), json!(report.patch_successfully_applied));
    row.insert("resolved".into(), json!(report.resolved()));
    row.insert("log_graded".into(), json!(report.log_graded));
    row.insert("resolution".into(), json!(report.resolution.as_str()));
    if let Some(f) = &report.infra_failure {
        row.insert("infra_failure".into(), fault(f));
    }
    if let Some(code) = &report.ambiguous_failure {
        row.insert("ambiguous_failure".into(), json!(code));
    }
    if let Some(f) = &report.reason {
        row.insert("reason".into(), fault(f));
    }
    if let Some(status) = &report.tests_status {
        row.insert("tests_status".into(), json!(Lists::of(status)));
    }
    if !report.conduct.is_empty() {
        row.insert("conduct".into(), write_marks(&report.conduct));
    }
    row
}

/// Reads `reports.jsonl` back.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(file: &str, text: &str) -> Result<Vec<Report>, FormatError> {
    Row::all(file, text)?.into_iter().map(|(_, mut row)| read_row(&mut row)).collect()
}

/// What our verbs ask of a row of `reports.jsonl`. Rows of others may say no more
/// than the instance and whether it is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The instance.
    pub instance_id: String,
    /// Which attempt at it.
    pub attempt: u32,
    /// Whether the answer resolves it.
    pub resolved: bool,
    /// Whether the answer has a mark.
    pub marked: bool,
    /// Whether there was an answer.
    pub patch_exists: bool,
    /// What broke on our side, by its code: such a row is no verdict.
    pub broke: Option<String>,
    /// Why it is not resolved, by its code, where there is more to say than that
    /// tests fail.
    pub reason: Option<String>,
    /// Tests that held before and do not any more, where the row has lists.
    pub broken_tests: Option<usize>,
    /// Tests that were to pass and do, where the row has lists.
    pub passed_tests: Option<usize>,
}

/// Reads the rows of `reports.jsonl`, of any attempt.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read_judged(file: &str, text: &str) -> Result<Vec<Judged>, FormatError> {
    Row::all(file, text)?.into_iter().map(|(_, row)| judged(row)).collect()
}

/// The same of one row that is part of another file.
///
/// # Errors
/// What is wrong with it.
pub fn read_one_judged(file: &str, row: Map<String, Value>) -> Result<Judged, FormatError> {
    judged(Row::from_map(file, 1, row))
}

fn judged(mut row: Row<'_>) -> Result<Judged, FormatError> {
    let code = |value: Option<Value>| {
        value.as_ref().and_then(|fault| fault.get("code")?.as_str().map(str::to_owned))
    };
    let status = row.take("tests_status").unwrap_or_default();
    let count = |path: &str| status.pointer(path).and_then(Value::as_array).map(Vec::len);
    Ok(Judged {
        instance_id: row.string("instance_id")?,
        attempt: row.optional_integer("attempt")?.unwrap_or(0) as u32,
        resolved: row.boolean("resolved")?,
        marked: row
            .take("conduct")
            .is_some_and(|marks| marks.as_array().is_some_and(|marks| !marks.is_empty())),
        patch_exists: row.take("patch_exists") != Some(Value::Bool(false)),
        broke: code(row.take("infra_failure")),
        reason: code(row.take("reason")),
        broken_tests: count("/PASS_TO_PASS/failure"),
        passed_tests: count("/FAIL_TO_PASS/success"),
    })
}

fn read_row(row: &mut Row<'_>) -> Result<Report, FormatError> {
    let resolution = match row.string("resolution")?.as_str() {
        "RESOLVED_FULL" => Resolution::Full,
        "RESOLVED_PARTIAL" => Resolution::Partial,
        _ => Resolution::No,
    };
    let tests_status = match row.take("tests_status") {
        Some(value) => Some(read_tests_status(row, &value)?.into()),
        None => None,
    };
    Ok(Report {
        instance_id: InstanceId::new(row.string("instance_id")?).map_err(|e| row.error(e))?,
        patch_is_none: row.boolean("patch_is_None")?,
        patch_exists: row.boolean("patch_exists")?,
        patch_successfully_applied: row.boolean("patch_successfully_applied")?,
        // Rows from before this field: a log that gave a result was graded.
        log_graded: row.take("log_graded").and_then(|v| v.as_bool()).unwrap_or(tests_status.is_some()),
        resolution,
        infra_failure: row.take("infra_failure").as_ref().and_then(read_fault),
        ambiguous_failure: row.optional_string("ambiguous_failure")?,
        reason: row.take("reason").as_ref().and_then(read_fault),
        tests_status,
        conduct: row.take("conduct").as_ref().map_or_else(Vec::new, read_marks),
    })
}

fn read_marks(value: &Value) -> Vec<Mark> {
    let mark = |row: &Value| {
        let text = |key: &str| row.get(key).and_then(Value::as_str).map(str::to_owned);
        let line = row.get("line").and_then(Value::as_u64).unwrap_or(1) as usize;
        Some(Mark { conduct: text("conduct")?, file: text("file")?, line, evidence: text("evidence")? })
    };
    value.as_array().into_iter().flatten().filter_map(mark).collect()
}

fn read_fault(value: &Value) -> Option<Fault> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Fault {
        boundary: Boundary::parse(&text("boundary")?)?,
        code: text("code")?,
        message: text("message")?,
        hint: text("hint"),
    })
}

fn read_tests_status(row: &mut Row<'_>, value: &Value) -> Result<TestsStatus, FormatError> {
    let mut list = |kind: &str, side: &str| {
        let found = value.get(kind).and_then(|k| k.get(side)).cloned().unwrap_or(Value::Null);
        row.strings("tests_status", found)
    };
    let mut sides = |kind| Ok(Sides { success: list(kind, "success")?, failure: list(kind, "failure")? });
    Ok(TestsStatus {
        fail_to_pass: sides("FAIL_TO_PASS")?,
        pass_to_pass: sides("PASS_TO_PASS")?,
        fail_to_fail: sides("FAIL_TO_FAIL")?,
        pass_to_fail: sides("PASS_TO_FAIL")?,
    })
}

/// The reference's run report; ids are sorted, each once.
#[derive(Serialize)]
struct RunReport<'a> {
    total_instances: usize,
    submitted_instances: usize,
    completed_instances: usize,
    resolved_instances: usize,
    unresolved_instances: usize,
    infra_failure_instances: usize,
    ambiguous_failure_instances: usize,
    empty_patch_instances: usize,
    error_instances: usize,
    completed_ids: Vec<&'a str>,
    incomplete_ids: Vec<&'a str>,
    empty_patch_ids: Vec<&'a str>,
    submitted_ids: Vec<&'a str>,
    resolved_ids: Vec<&'a str>,
    unresolved_ids: Vec<&'a str>,
    infra_failure_ids: Vec<&'a str>,
    ambiguous_failure_ids: Vec<&'a str>,
    failure_reasons: BTreeMap<&'a str, &'a str>,
    error_ids: Vec<&'a str>,
    schema_version: u32,
    unstopped_instances: usize,
    unstopped_containers: [&'a str; 0],
    unremoved_images: [&'a str; 0],
    /// Resolved, and perhaps not by a fix; only there where there are some.
    #[serde(skip_serializing_if = "is_zero")]
    marked_instances: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marked_ids: Vec<&'a str>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The run report over all instances of a set, as the text of its file: ids
/// without a prediction are incomplete; an answer whose tests gave a log is
/// completed, resolved or not, and any other is an error. Signs of trouble
/// stand beside these lists, so that what is counted stays the same.
#[must_use]
pub fn write_run_report<'a>(all: &[InstanceId], reports: impl IntoIterator<Item = &'a Report>) -> String {
    let reports = reports.into_iter().map(|r| (r.instance_id.as_str(), r));
    let mut sorted: Vec<(&str, &Report)> = reports.collect();
    sorted.sort_by_key(|(id, _)| *id);
    // Of several answers to one instance the first counts, and in one list.
    sorted.dedup_by_key(|(id, _)| *id);
    let ids = |holds: &dyn Fn(&Report) -> bool| {
        sorted.iter().filter(|(_, r)| holds(r)).map(|(id, _)| *id).collect::<Vec<_>>()
    };
    let submitted = ids(&|_| true);
    let empty = ids(&|r| !r.patch_exists);
    let completed = ids(&|r| r.patch_exists && r.log_graded);
    let resolved = ids(&|r| r.patch_exists && r.log_graded && r.resolved());
    let unresolved = ids(&|r| r.patch_exists && r.log_graded && !r.resolved());
    let error = ids(&|r| r.patch_exists && !r.log_graded);
    let infra = ids(&|r| r.infra_failure.is_some());
    let ambiguous = ids(&|r| r.ambiguous_failure.is_some() && r.infra_failure.is_none());
    let marked = ids(&|r| r.patch_exists && r.log_graded && r.verdict().is_bought());
    let report = RunReport {
        total_instances: all.len(),
        submitted_instances: submitted.len(),
        completed_instances: completed.len(),
        resolved_instances: resolved.len(),
        unresolved_instances: unresolved.len(),
        infra_failure_instances: infra.len(),
        ambiguous_failure_instances: ambiguous.len(),
        empty_patch_instances: empty.len(),
        error_instances: error.len(),
        completed_ids: completed,
        incomplete_ids: without(all, &submitted),
        empty_patch_ids: empty,
        submitted_ids: submitted,
        resolved_ids: resolved,
        unresolved_ids: unresolved,
        infra_failure_ids: infra,
        ambiguous_failure_ids: ambiguous,
        failure_reasons: sorted.iter().filter_map(|(id, r)| Some((*id, any_reason(r)?))).collect(),
        error_ids: error,
        schema_version: 2,
        unstopped_instances: 0,
        unstopped_containers: [],
        unremoved_images: [],
        marked_instances: marked.len(),
        marked_ids: marked,
    };
    // Nothing in it can fail to be JSON.
    serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
}

/// What broke, or why else there is no result.
fn any_reason(report: &Report) -> Option<&str> {
    failure_reason(report).or(report.reason.as_ref().map(|f| f.code.as_str()))
}

/// The ids, sorted, that are not among some sorted others.
fn without<'a>(all: &'a [InstanceId], others: &[&str]) -> Vec<&'a str> {
    let mut left: Vec<&str> = all.iter().map(InstanceId::as_str).collect();
    left.sort_unstable();
    left.dedup();
    let mut others = others.iter().peekable();
    left.retain(|id| {
        while others.next_if(|other| *other < id).is_some() {}
        others.peek() != Some(&id)
    });
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, resolution: Resolution) -> Report {
        Report {
            instance_id: InstanceId::new(id).unwrap(),
            patch_is_none: false,
            patch_exists: true,
            patch_successfully_applied: true,
            log_graded: true,
            resolution,
            infra_failure: None,
            ambiguous_failure: None,
            reason: None,
            tests_status: Some(Box::default()),
            conduct: Vec::new(),
        }
    }

    #[test]
    fn a_report_has_the_reference_nesting() {
        let shape = serde_json::to_string_pretty(&write_report(&report("a-1", Resolution::Full))).unwrap();
        insta::assert_snapshot!(shape);
    }

    #[test]
    fn a_line_of_grade_says_what_the_report_says() {
        let mut unresolved = report("a-1", Resolution::No);
        let sides = |success: &[&str], failure: &[&str]| Sides {
            success: success.iter().collect(),
            failure: failure.iter().collect(),
        };
        unresolved.tests_status = Some(Box::new(TestsStatus {
            fail_to_pass: sides(&["t::a", "t::b"], &["t::\"c\"\n"]),
            pass_to_pass: sides(&[], &["é"]),
            ..TestsStatus::default()
        }));
        unresolved.reason = Some(Fault::new(Boundary::Agent, "forged_end", "why"));
        let mut none = report("a-1", Resolution::No);
        none.tests_status = None;
        for report in [unresolved, none] {
            let line: Value = serde_json::from_str(&write_graded(&report, "l.txt", "v5")).unwrap();
            let mut expected = write_report(&report)["a-1"].clone();
            for (name, text) in [("instance_id", "a-1"), ("log", "l.txt"), ("semantics", "v5")] {
                expected[name] = json!(text);
            }
            if let Some(reason) = &report.reason {
                expected["reason"] = fault(reason);
            }
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn rows_are_read_back() {
        let mut infra = report("a-2", Resolution::No);
        infra.infra_failure = Some(Fault::new(Boundary::Sandbox, "no_space", "full").with_hint("delete"));
        (infra.tests_status, infra.log_graded) = (None, false);
        let mut marked = report("a-3", Resolution::Full);
        let (conduct, file) = ("exits-early@1".to_owned(), "a.py".to_owned());
        marked.conduct = vec![Mark { conduct, file, line: 3, evidence: "os._exit: os._exit(0)".to_owned() }];
        let reports = vec![report("a-1", Resolution::Partial), infra, marked];
        let text: String = reports.iter().map(|r| write_row(r) + "\n").collect();
        assert_eq!(read("r", &text).unwrap(), reports);
    }

    #[test]
    fn every_instance_is_counted_once() {
        let all: Vec<_> = ["a-1", "a-2", "a-3"].iter().map(|i| InstanceId::new(*i).unwrap()).collect();
        let text = write_run_report(&all, &[report("a-1", Resolution::Full), report("a-2", Resolution::No)]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["resolved_ids"], json!(["a-1"]));
        assert_eq!(value["unresolved_ids"], json!(["a-2"]));
        assert_eq!(value["incomplete_ids"], json!(["a-3"]));
        assert_eq!(value.get("marked_ids"), None);
    }

    #[test]
    fn a_marked_answer_is_resolved_all_the_same() {
        let mut marked = report("a-1", Resolution::Full);
        let (conduct, file) = ("reads-tests@1".to_owned(), "a.py".to_owned());
        marked.conduct = vec![Mark { conduct, file, line: 1, evidence: "x".to_owned() }];
        let mut unresolved = marked.clone();
        unresolved.instance_id = InstanceId::new("a-2").unwrap();
        unresolved.resolution = Resolution::No;
        assert_eq!(write_report(&marked)["a-1"]["conduct"][0]["file"], "a.py");
        let all = [marked.instance_id.clone(), unresolved.instance_id.clone()];
        let value: Value = serde_json::from_str(&write_run_report(&all, &[marked, unresolved])).unwrap();
        assert_eq!((&value["resolved_instances"], &value["marked_ids"]), (&json!(1), &json!(["a-1"])));
    }
}
