//! What is wrong with a dataset, row by row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use swegym_core::format::instances::Need;
use swegym_core::format::{FormatError, Problem};
use swegym_core::patch::PatchError;
use swegym_core::{Instance, Patch};

use super::shape::Shape;
use super::{RawRow, RowText};

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Not JSON, or not an object, or a file that ends early.
    RowUnreadable,
    /// A column that must be there is not, or is empty.
    FieldMissing,
    /// A column holds another kind of value.
    FieldType,
    /// An id that cannot name a folder.
    MalformedId,
    /// An id that an earlier row has.
    DuplicateId,
    /// No test must flip, so nothing grades the task.
    EmptyFailToPass,
    /// A test must flip and must hold.
    OverlappingTests,
    /// A test stands in a list twice.
    DuplicateTest,
    /// A test's name ends in the middle of a parameter.
    TruncatedTestId,
    /// A name that no test has.
    NoTestName,
    /// A patch that is none.
    PatchUnreadable,
    /// A patch names a binary file and does not have its contents.
    BinaryWithoutContents,
    /// The gold patch changes tests.
    PatchTouchesTests,
    /// The log or the results of the gold patch say otherwise than the lists.
    GoldInconsistent,
    /// No parser is named, and none is known for the repository.
    NoParser,
    /// The parser that is named is not known.
    UnknownParser,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 16] = [
        Self::RowUnreadable,
        Self::FieldMissing,
        Self::FieldType,
        Self::MalformedId,
        Self::DuplicateId,
        Self::EmptyFailToPass,
        Self::OverlappingTests,
        Self::DuplicateTest,
        Self::TruncatedTestId,
        Self::NoTestName,
        Self::PatchUnreadable,
        Self::BinaryWithoutContents,
        Self::PatchTouchesTests,
        Self::GoldInconsistent,
        Self::NoParser,
        Self::UnknownParser,
    ];

    /// The code in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RowUnreadable => "row_unreadable",
            Self::FieldMissing => "field_missing",
            Self::FieldType => "field_type",
            Self::MalformedId => "malformed_id",
            Self::DuplicateId => "duplicate_id",
            Self::EmptyFailToPass => "empty_fail_to_pass",
            Self::OverlappingTests => "overlapping_tests",
            Self::DuplicateTest => "duplicate_test",
            Self::TruncatedTestId => "truncated_test_id",
            Self::NoTestName => "no_test_name",
            Self::PatchUnreadable => "patch_unreadable",
            Self::BinaryWithoutContents => "binary_without_contents",
            Self::PatchTouchesTests => "patch_touches_tests",
            Self::GoldInconsistent => "gold_inconsistent",
            Self::NoParser => "no_parser",
            Self::UnknownParser => "unknown_parser",
        }
    }

    /// Whether a row with it can still be used as it is.
    #[must_use]
    pub fn is_warning(self) -> bool {
        matches!(
            self,
            Self::DuplicateTest
                | Self::TruncatedTestId
                | Self::NoTestName
                | Self::BinaryWithoutContents
                | Self::PatchTouchesTests
                | Self::NoParser
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::RowUnreadable => "mend or remove the row; one JSON object each",
            Self::FieldMissing => "fill the column, or leave the row out",
            Self::FieldType => "write the column as SWE-bench does",
            Self::MalformedId => "ids name folders: use letters, digits, `_`, `-`, `.`",
            Self::DuplicateId => "keep one of the rows",
            Self::EmptyFailToPass => {
                "run the tests without and with the gold patch, and list those that flip"
            }
            Self::OverlappingTests => "a test flips or holds; run both sides again and keep it in one list",
            Self::DuplicateTest => "keep one of the entries",
            Self::TruncatedTestId => {
                "the list was made by a parser that cuts names at blanks; only rules that do the same grade it"
            }
            Self::NoTestName => {
                "the list was made by a parser that took something else of the log for a test; leave the name out"
            }
            Self::PatchUnreadable => "write patches as `git diff --binary` prints them",
            Self::BinaryWithoutContents => {
                "bring the file along beside the row, or make the patch with `git diff --binary`"
            }
            Self::PatchTouchesTests => "move the tests' part to `test_patch`, where no answer can change it",
            Self::GoldInconsistent => "run the gold patch again, and keep the tests that pass every time",
            Self::NoParser => "name a parser in `log_parser`",
            Self::UnknownParser => "use a name of the registry: see docs/conformance.md",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub code: Code,
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Line or number of the row, from 1.
    pub line: Option<usize>,
    /// The instance, where the row says it.
    pub instance_id: Option<String>,
    /// The column.
    pub field: Option<String>,
    /// What exactly.
    pub message: String,
}

/// A row that was looked at.
pub struct Checked {
    /// The instance, where there is one.
    pub instance: Option<Instance>,
    /// Where the row stands.
    pub place: (Arc<str>, Option<usize>),
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Adds a finding of this row.
    pub fn find(&mut self, code: Code, field: Option<&str>, message: impl Into<String>) {
        let (file, line) = self.place.clone();
        let instance_id = self.instance.as_ref().map(|i| i.instance_id.to_string());
        let field = field.map(str::to_owned);
        self.findings.push(Finding { code, file, line, instance_id, field, message: message.into() });
    }
}

/// What the rows so far were.
#[derive(Debug, Default)]
pub struct Checker {
    seen: HashMap<String, (Arc<str>, usize)>,
}

impl Checked {
    /// Looks at a row by itself.
    #[must_use]
    pub fn of(row: Result<RowText, FormatError>) -> Self {
        let row = match row.and_then(|row| row.read()) {
            Ok(row) => row,
            Err(error) => return unreadable(&error, None),
        };
        let id = row.fields.get("instance_id").and_then(Value::as_str).map(str::to_owned);
        let shape = Shape::of(&row.fields);
        let place = (row.file.clone(), Some(row.line));
        let results = Results::of(&row);
        // SWE-smith and R2E-Gym name no base commit: their images have it, whatever
        // columns stand beside theirs by now.
        let commit_in_image =
            matches!(shape, Shape::SweSmith | Shape::R2e) || row.fields.contains_key("bug_patch");
        let has_statuses = row.fields.get("expected_output_json").is_some_and(|v| !v.is_null() && v != "");
        let instance = match shape.instance(row, Need::Grading) {
            Ok(instance) => instance,
            Err(error) => return unreadable(&error, id),
        };
        let mut checked = Self { instance: Some(instance.clone()), place, findings: Vec::new() };
        check_fields(&instance, commit_in_image, &mut checked);
        check_tests(&instance, has_statuses, &mut checked);
        check_patches(&instance, &mut checked);
        results.check(&instance, &mut checked);
        checked
    }
}

impl Checker {
    /// Looks at the next row's place among the others, which is told first.
    pub fn note(&mut self, checked: &mut Checked) {
        let Some(instance) = &checked.instance else { return };
        let (file, line) = (checked.place.0.clone(), checked.place.1.unwrap_or(0));
        match self.seen.get(instance.instance_id.as_str()) {
            Some((first, at)) => {
                let message =
                    format!("`{}` is the id of {first}:{at} already", instance.instance_id.as_str());
                checked.find(Code::DuplicateId, Some("instance_id"), message);
                checked.findings.rotate_right(1);
            }
            None => drop(self.seen.insert(instance.instance_id.to_string(), (file, line))),
        }
    }

    /// Whether a row so far was this instance.
    #[must_use]
    pub fn has_seen(&self, instance_id: &str) -> bool {
        self.seen.contains_key(instance_id)
    }
}

fn unreadable(error: &FormatError, id: Option<String>) -> Checked {
    let (code, field) = match &error.problem {
        Problem::Missing(field) => (Code::FieldMissing, Some((*field).to_owned())),
        Problem::Type { field, .. } => (Code::FieldType, Some(field.clone())),
        Problem::Id(_) => (Code::MalformedId, Some("instance_id".to_owned())),
        Problem::Patch { field, .. } => (Code::PatchUnreadable, Some((*field).to_owned())),
        _ => (Code::RowUnreadable, None),
    };
    let (file, message): (Arc<str>, _) = (error.file.as_str().into(), error.problem.to_string());
    let finding = Finding { code, file: file.clone(), line: error.line, instance_id: id, field, message };
    Checked { instance: None, place: (file, error.line), findings: vec![finding] }
}

/// What a task cannot do without, beside its tests.
fn check_fields(instance: &Instance, commit_in_image: bool, checked: &mut Checked) {
    for (field, text) in [
        ("repo", &instance.repo),
        ("base_commit", &instance.base_commit),
        ("patch", &instance.gold_patch),
        ("problem_statement", &instance.problem_statement),
    ] {
        if text.trim().is_empty() && !(field == "base_commit" && commit_in_image) {
            checked.find(Code::FieldMissing, Some(field), format!("`{field}` is missing or empty"));
        }
    }
}

fn check_tests(instance: &Instance, has_statuses: bool, checked: &mut Checked) {
    let (flips, holds) = (&instance.fail_to_pass, &instance.pass_to_pass);
    if flips.is_empty() && !has_statuses {
        checked.find(Code::EmptyFailToPass, Some("FAIL_TO_PASS"), "no test must flip");
    }
    let held: HashSet<&str> = holds.iter().collect();
    let both: Vec<_> = flips.iter().filter(|test| held.contains(test)).collect();
    if let Some(first) = both.first() {
        let message = format!("{} tests are in both lists, the first `{first}`", both.len());
        checked.find(Code::OverlappingTests, Some("FAIL_TO_PASS"), message);
    }
    for (field, list) in [("FAIL_TO_PASS", flips), ("PASS_TO_PASS", holds)] {
        let mut seen = HashSet::new();
        let twice: Vec<_> = list.iter().filter(|test| !seen.insert(*test)).collect();
        if let Some(first) = twice.first() {
            let message = format!("{} tests stand here twice, the first `{first}`", twice.len());
            checked.find(Code::DuplicateTest, Some(field), message);
        }
        let cut: Vec<_> = list.iter().filter(|test| is_truncated(test)).collect();
        if let Some(first) = cut.first() {
            let message = format!("{} names end inside a parameter, the first `{first}`", cut.len());
            checked.find(Code::TruncatedTestId, Some(field), message);
        }
        let none: Vec<_> = list.iter().filter(|test| is_no_name(test)).collect();
        if let Some(first) = none.first() {
            let message = format!("{} names are no test's, the first `{first}`", none.len());
            checked.find(Code::NoTestName, Some(field), message);
        }
    }
}

/// A pytest name whose parameters open and do not close, as the parsers that
/// take the second word of a line leave it (reference/swe-gym.md, section 2.1).
fn is_truncated(test: &str) -> bool {
    let name = test.split_once("::").map(|(_, name)| name);
    name.is_some_and(|name| name.contains('[') && !name.ends_with(']'))
}

/// Whether no test of any runner is called so: nothing, a progress mark, a status
/// word, or a pytest name with a blank at its edge or a part missing.
fn is_no_name(test: &str) -> bool {
    const STATUSES: [&str; 9] =
        ["PASSED", "FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS", "SUBPASSED", "SUBFAILED", "SUBSKIPPED"];
    let bare = test.trim();
    let is_progress = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix("%]"));
    let is_progress = is_progress.is_some_and(|n| n.trim().bytes().all(|byte| byte.is_ascii_digit()));
    let is_broken = match test.split_once("::") {
        Some((file, name)) => {
            bare != test || file.is_empty() || name.is_empty() || name.ends_with("::") || test.contains('\n')
        }
        None => false,
    };
    !bare.contains(char::is_alphanumeric) || is_progress || STATUSES.contains(&bare) || is_broken
}

fn check_patches(instance: &Instance, checked: &mut Checked) {
    for (field, text) in [("patch", &instance.gold_patch), ("test_patch", &instance.test_patch)] {
        if text.trim().is_empty() {
            continue;
        }
        let refusal = Patch::parse(text).err();
        if let Some(why) = &refusal {
            let code = match why {
                PatchError::BinaryWithoutContents { .. } => Code::BinaryWithoutContents,
                _ => Code::PatchUnreadable,
            };
            checked.find(code, Some(field), format!("{why} ({})", why.code()));
        }
        let Ok(patch) = Patch::survey(text) else { continue };
        let tests: Vec<_> = patch.paths().filter(|path| belongs_to_tests(path)).collect();
        if field == "patch"
            && let Some(first) = tests.first()
        {
            let message = format!("{} of its files belong to the tests, the first `{first}`", tests.len());
            checked.find(Code::PatchTouchesTests, Some(field), message);
        }
    }
}

/// Whether a path belongs to the tests, by the customs of most languages: by
/// its folder, or by its name.
fn belongs_to_tests(path: &str) -> bool {
    const FOLDERS: [&str; 7] = ["test", "tests", "testing", "__tests__", "spec", "specs", "e2e"];
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    folders.split('/').any(|folder| FOLDERS.contains(&folder))
        || name == "conftest.py"
        || stem.starts_with("test_")
        || ["_test", "_tests", "_spec"].iter().any(|end| stem.ends_with(end))
        || [".test.", ".spec."].iter().any(|part| name.contains(part))
}

/// The results that a row carries of its own gold patch (Multi-SWE-bench's runs).
#[derive(Default)]
struct Results {
    before: Option<HashSet<String>>,
    after: Option<HashSet<String>>,
}

impl Results {
    fn of(row: &RawRow) -> Self {
        let passed = |name: &str| {
            let list = row.fields.get(name)?.get("passed_tests")?.as_array()?;
            let tests: HashSet<_> = list.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect();
            (!tests.is_empty()).then_some(tests)
        };
        Self { before: passed("test_patch_result"), after: passed("fix_patch_result") }
    }

    fn check(&self, instance: &Instance, checked: &mut Checked) {
        if let Some(after) = &self.after {
            let missing: Vec<_> =
                instance.expected_tests().into_iter().filter(|test| !after.contains(*test)).collect();
            if let Some(first) = missing.first() {
                let message = format!(
                    "{} expected tests do not pass with the gold patch, the first `{first}`",
                    missing.len()
                );
                checked.find(Code::GoldInconsistent, Some("fix_patch_result"), message);
            }
        }
        if let Some(before) = &self.before {
            let early: Vec<_> = instance.fail_to_pass.iter().filter(|test| before.contains(*test)).collect();
            if let Some(first) = early.first() {
                let message = format!(
                    "{} tests that must flip pass without the gold patch, the first `{first}`",
                    early.len()
                );
                checked.find(Code::GoldInconsistent, Some("test_patch_result"), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PATCH: &str = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n";

    fn codes(rows: &[Value]) -> Vec<Vec<(&'static str, Option<usize>)>> {
        let mut checker = Checker::default();
        let mut check = |(n, row): (usize, &Value)| {
            let json = row.to_string().into_bytes();
            let row = RowText::of_json("f".into(), n + 1, json);
            let mut checked = Checked::of(Ok(row));
            checker.note(&mut checked);
            checked.findings.iter().map(|f| (f.code.name(), f.line)).collect()
        };
        rows.iter().enumerate().map(&mut check).collect()
    }

    fn with(changes: &[(&str, Value)]) -> Value {
        let mut row = json!({
            "instance_id": "o__r-1", "repo": "o/r", "base_commit": "c", "patch": PATCH, "test_patch": "",
            "problem_statement": "p", "FAIL_TO_PASS": ["t.py::a"], "PASS_TO_PASS": ["t.py::b[x y]"],
        });
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        row
    }

    #[test]
    fn every_trouble_has_a_code_and_a_line() {
        let id = |id: &str| ("instance_id", json!(id));
        let printed = json!("['t.py::b[x y]', 't.py::c[x', 't.py::c[x']");
        let binary = json!("diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n");
        let found = codes(&[
            with(&[]),
            with(&[]),
            with(&[id("o/r 1")]),
            json!([1]),
            with(&[id("a"), ("FAIL_TO_PASS", printed)]),
            with(&[id("b"), ("FAIL_TO_PASS", json!([]))]),
            with(&[id("c"), ("FAIL_TO_PASS", Value::Null)]),
            with(&[id("d"), ("patch", json!(PATCH.replace("x.py", "tests/x.py")))]),
            with(&[id("e"), ("patch", json!("")), ("test_patch", json!("no patch"))]),
            with(&[id("f"), ("repo", json!(3))]),
            with(&[id("g"), ("test_patch", binary)]),
        ]);
        let at = |line, codes: &[&'static str]| codes.iter().map(|c| (*c, Some(line))).collect::<Vec<_>>();
        assert_eq!(found[0], []);
        assert_eq!(found[1], at(2, &["duplicate_id"]));
        assert_eq!(found[2], at(3, &["malformed_id"]));
        assert_eq!(found[3], at(4, &["row_unreadable"]));
        assert_eq!(found[4], at(5, &["overlapping_tests", "duplicate_test", "truncated_test_id"]));
        assert_eq!(found[5], at(6, &["empty_fail_to_pass"]));
        assert_eq!(found[6], at(7, &["field_missing"]));
        assert_eq!(found[7], at(8, &["patch_touches_tests"]));
        assert_eq!(found[8], at(9, &["field_missing", "patch_unreadable"]));
        assert_eq!(found[9], at(10, &["field_type"]));
        assert_eq!(found[10], at(11, &["binary_without_contents"]));
    }

    #[test]
    fn results_of_the_gold_patch_must_agree() {
        let multi = json!({
            "org": "o", "repo": "r", "number": 7, "base": {"sha": "c"}, "fix_patch": PATCH, "test_patch": "",
            "resolved_issues": [{"number": 1, "title": "T", "body": "B"}],
            "fixed_tests": {"a": {}, "b": {}}, "p2p_tests": {"c": {}},
            "test_patch_result": {"passed_tests": ["b", "c"]}, "fix_patch_result": {"passed_tests": ["b", "c"]},
        });
        assert_eq!(codes(&[multi])[0], [("gold_inconsistent", Some(1)), ("gold_inconsistent", Some(1))]);
    }

    #[test]
    fn names_that_no_test_has_are_known() {
        for name in [
            "",
            " ",
            "[100%]",
            "[  7%]",
            "PASSED",
            " FAILED",
            "XPASS",
            "a.py::t ",
            " a.py::t",
            "::t",
            "a.py::",
            "a.py::A::",
            "a.py::t\n",
            "...",
            "-",
            "=====",
        ] {
            assert!(is_no_name(name), "{name:?}");
        }
        for name in [
            "a.py::t",
            "a.py::A::t[x y ]",
            "a.py::t[100%]",
            "test_x (a.B)",
            "should pass › [100%] ok",
            "PASSED it",
            "renders ",
            "猫",
            "pkg::tests::it",
            "a.py::t[::]",
        ] {
            assert!(!is_no_name(name), "{name:?}");
        }
        let list = json!(["t.py::b[x y]", "[100%]", "t.py::g "]);
        let found = codes(&[with(&[("PASS_TO_PASS", list)])]);
        assert_eq!(found[0], [("no_test_name", Some(1))]);
    }

    #[test]
    fn tests_are_known_by_folder_or_name() {
        for path in
            ["tests/a.py", "src/__tests__/a.js", "a/b_test.go", "x/test_a.py", "a.spec.ts", "conftest.py"]
        {
            assert!(belongs_to_tests(path), "{path}");
        }
        for path in ["src/latest.py", "contest/a.py", "src/testament.rs", "attestation/x.go"] {
            assert!(!belongs_to_tests(path), "{path}");
        }
    }
}
