//! The columns of each dataset of the field, as SWE-bench's
//! (reference/environments.md, sections 1.3 to 1.7; reference/swe-gym.md, 2.1).

mod r2e;
mod written;

use serde_json::{Map, Value, json};
use swegym_core::Instance;
use swegym_core::format::FormatError;
use swegym_core::format::instances::{self, Need};

use super::RawRow;

pub use written::{Change, Loss, Written};

/// Whose columns a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// SWE-bench and all that keep its names: Live, Pro, swegym.
    SweBench,
    /// SWE-Gym: SWE-bench's without the set-up commit, lists as lists.
    SweGym,
    /// SWE-rebench: SWE-bench's, with an image and how the package is installed.
    SweRebench,
    /// SWE-smith: `patch` plants the bug, and there is no test patch.
    SweSmith,
    /// R2E-Gym: commits with the statuses that the tests must have.
    R2e,
    /// Multi-SWE-bench and Multi-SWE-RL: tests by what they went through.
    MultiSwe,
    /// NeMo Gym: an instance inside a request. verl's rows are read so, too.
    Nemo,
}

/// Fields of requests and prompts around an instance: NeMo Gym's, and verl's.
const WRAPPERS: [&str; 3] = ["responses_create_params", "extra_info", "reward_model"];

/// Where such rows keep the instance.
const PLACES: [&str; 6] =
    ["extra_info", "instance", "instance_dict", "verifier_metadata", "metadata", "ground_truth"];

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 7] = [
        Self::SweBench,
        Self::SweGym,
        Self::SweRebench,
        Self::SweSmith,
        Self::R2e,
        Self::MultiSwe,
        Self::Nemo,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SweBench => "swe-bench",
            Self::SweGym => "swe-gym",
            Self::SweRebench => "swe-rebench",
            Self::SweSmith => "swe-smith",
            Self::R2e => "r2e",
            Self::MultiSwe => "multi-swe-bench",
            Self::Nemo => "nemo",
        }
    }

    /// The shape of a row, by the names of its fields. SWE-Gym's rows are
    /// SWE-bench's to a reader.
    #[must_use]
    pub fn of(fields: &Map<String, Value>) -> Self {
        let has = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        let has_tests = has("FAIL_TO_PASS") || has("fail_to_pass");
        // What another shape's row left beside SWE-bench's columns decides nothing.
        if !(has_tests && has("instance_id")) {
            if WRAPPERS.iter().any(|name| has(name)) {
                return Self::Nemo;
            } else if has("fixed_tests") || (has("org") && has("number") && has("fix_patch")) {
                return Self::MultiSwe;
            } else if has("expected_output_json") || (has("repo_name") && has("commit_hash")) {
                return Self::R2e;
            } else if !has_tests && find_instance(fields).is_some() {
                return Self::Nemo;
            }
        }
        if has("install_config") {
            Self::SweRebench
        } else if has("image_name") && has("patch") && !has("bug_patch") && !fields.contains_key("test_patch")
        {
            Self::SweSmith
        } else {
            Self::SweBench
        }
    }

    /// The row as an instance. Fields without a place of their own are kept.
    ///
    /// # Errors
    /// What is missing or wrong, with the row's file and line.
    pub fn instance(self, row: RawRow, need: Need) -> Result<Instance, FormatError> {
        let RawRow { file, line, fields } = row;
        instances::read_fields(&file, line, self.columns(fields), need)
    }

    /// The row's fields under SWE-bench's names.
    fn columns(self, fields: Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::SweBench | Self::SweGym | Self::SweRebench => swe_bench(fields),
            Self::SweSmith => swe_smith(fields),
            Self::R2e => r2e::read(fields),
            Self::MultiSwe => multi_swe(fields),
            Self::Nemo => wrapped(fields),
        }
    }
}

/// Pro and Live write some names in lower case; SWE-rebench names the parser
/// among what it installs, and the image by its own column.
fn swe_bench(mut fields: Map<String, Value>) -> Map<String, Value> {
    for (theirs, ours) in [("fail_to_pass", "FAIL_TO_PASS"), ("pass_to_pass", "PASS_TO_PASS")] {
        if !fields.contains_key(ours)
            && let Some(value) = fields.shift_remove(theirs)
        {
            fields.insert(ours.into(), value);
        }
    }
    if !fields.contains_key("log_parser")
        && let Some(parser) = fields.get("install_config").and_then(|c| c.get("log_parser")).cloned()
    {
        fields.insert("log_parser".into(), parser);
    }
    for theirs in ["docker_image", "image_name"] {
        if !fields.contains_key("image")
            && let Some(image) = fields.get(theirs).filter(|v| v.is_string()).cloned()
        {
            fields.insert("image".into(), image);
        }
    }
    fields
}

/// `patch` goes from good to bad there; it is kept under its own name.
fn swe_smith(mut fields: Map<String, Value>) -> Map<String, Value> {
    let bug = fields.get("patch").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Ok(gold) = swegym_core::patch::reverse(&bug) {
        fields.insert("patch".into(), json!(gold));
    }
    fields.insert("bug_patch".into(), json!(bug));
    if let Some(image) = fields.get("image_name").cloned() {
        fields.insert("image".into(), image);
    }
    for (name, value) in [("base_commit", json!("")), ("problem_statement", json!(""))] {
        if !fields.get(name).is_some_and(Value::is_string) {
            fields.insert(name.into(), value);
        }
    }
    fields
}

/// Tests that were nothing, skipped or failed before the fix must pass after it.
fn multi_swe(mut fields: Map<String, Value>) -> Map<String, Value> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (org, repo) = (text(fields.get("org")), text(fields.get("repo")));
    let number = fields.get("number").map(|n| n.to_string().replace('"', "")).unwrap_or_default();
    let names = |fields: &Map<String, Value>, lists: &[&str]| -> Vec<String> {
        // Parquet keeps a map as JSON text, or as columns for all its keys;
        // null ones are not there then.
        let tests = lists.iter().filter_map(|list| object(fields.get(*list)?));
        tests.flatten().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect()
    };
    let by_kind = names(&fields, &["f2p_tests", "s2p_tests", "n2p_tests"]);
    let fixed = if by_kind.is_empty() { names(&fields, &["fixed_tests"]) } else { by_kind };
    let held = names(&fields, &["p2p_tests"]);
    let issues = fields.get("resolved_issues").and_then(Value::as_array);
    let statement: Vec<String> = issues
        .into_iter()
        .flatten()
        .map(|issue| format!("{}\n{}\n", text(issue.get("title")), text(issue.get("body"))))
        .collect();
    let base = fields.get("base").and_then(|b| b.get("sha"));
    let ours = [
        ("instance_id", json!(format!("{org}__{repo}-{number}"))),
        ("repo", json!(format!("{org}/{repo}"))),
        ("base_commit", json!(text(base))),
        ("patch", json!(text(fields.get("fix_patch")))),
        ("problem_statement", json!(statement.concat())),
        ("FAIL_TO_PASS", json!(fixed)),
        ("PASS_TO_PASS", json!(held)),
    ];
    for (name, value) in ours {
        fields.insert(name.into(), value);
    }
    fields.entry("fixed_tests").or_insert(json!({}));
    fields
}

/// An object, or one as JSON text.
fn object(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(inner) => Some(inner.clone()),
        Value::String(text) => swegym_core::json::row(text.as_bytes()).ok(),
        _ => None,
    }
}

/// The instance is an object, or one as JSON text, among the request's data; it
/// has the columns of whatever dataset it came from. The rest of the request is kept.
fn wrapped(mut fields: Map<String, Value>) -> Map<String, Value> {
    let Some((place, instance)) = find_instance(&fields) else { return swe_bench(fields) };
    let whole = place.is_some_and(|place| fields.get(place).and_then(object).as_ref() == Some(&instance));
    if let Some(place) = place.filter(|_| whole) {
        fields.shift_remove(place);
    }
    let mut instance = Shape::of(&instance).columns(instance);
    for (name, value) in fields {
        instance.entry(name).or_insert(value);
    }
    instance
}

/// An instance that a request carries, and the field that is it.
fn find_instance(fields: &Map<String, Value>) -> Option<(Option<&'static str>, Map<String, Value>)> {
    let within = |name: &'static str| Some((Some(name), object(fields.get(name)?)?));
    let inner = |outer: &str, name: &str| Some((None, object(fields.get(outer)?.get(name)?)?));
    let places = PLACES.iter().filter_map(|name| within(name));
    let places = places
        .chain(inner("responses_create_params", "metadata"))
        .chain(inner("reward_model", "ground_truth"));
    for (place, found) in places {
        // A request repeats some of the instance's fields beside it.
        let nested = PLACES.iter().filter_map(|name| found.get(*name)).filter_map(object);
        if let Some(nested) = nested.into_iter().find(is_instance) {
            return Some((None, nested));
        }
        if is_instance(&found) {
            return Some((place, found));
        }
    }
    None
}

/// Whether an object has what names an instance, in any shape.
fn is_instance(fields: &Map<String, Value>) -> bool {
    let has = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    has(&["instance_id"]) || has(&["repo_name", "commit_hash"]) || has(&["org", "number", "fix_patch"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(row: &Value) -> (Shape, Instance) {
        let fields = row.as_object().unwrap().clone();
        let shape = Shape::of(&fields);
        (shape, shape.instance(RawRow { file: "f".into(), line: 1, fields }, Need::Everything).unwrap())
    }

    #[test]
    fn every_shape_becomes_an_instance() {
        let patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-good\n+bad\n";
        let (shape, smith) = instance(&json!({
            "instance_id": "o__r.1.x", "repo": "swesmith/o__r.1", "patch": patch, "image_name": "img",
            "FAIL_TO_PASS": ["a"], "PASS_TO_PASS": [], "problem_statement": "p",
        }));
        assert_eq!((shape, smith.image.as_deref()), (Shape::SweSmith, Some("img")));
        assert!(smith.gold_patch.contains("-bad\n+good\n"), "{}", smith.gold_patch);
        let (shape, r2e) = instance(&json!({
            "repo_name": "numpy", "commit_hash": "abc", "docker_image": "n/i:abc", "problem_statement": "p",
            "expected_output_json": "{\"t\": \"PASSED\"}",
        }));
        assert_eq!(
            (shape, r2e.instance_id.as_str(), r2e.base_commit.as_str()),
            (Shape::R2e, "numpy-abc", "abc")
        );
        let (shape, multi) = instance(&json!({
            "org": "o", "repo": "r", "number": 7, "base": {"sha": "abc"}, "fix_patch": patch, "test_patch": "",
            "resolved_issues": [{"number": 1, "title": "T", "body": "B"}],
            "fixed_tests": {"a": {}, "b": {}}, "f2p_tests": {"a": {}}, "n2p_tests": {"b": {}, "gone": null},
            "s2p_tests": {}, "p2p_tests": {"c": {"run": "PASS"}},
        }));
        assert_eq!((shape, multi.instance_id.as_str()), (Shape::MultiSwe, "o__r-7"));
        assert_eq!(multi.fail_to_pass, ["a", "b"]);
        assert_eq!(multi.pass_to_pass, ["c"]);
        assert_eq!(multi.problem_statement, "T\nB\n");
        let (shape, rebench) = instance(&json!({
            "instance_id": "o__r-1", "repo": "o/r", "base_commit": "c", "patch": "", "test_patch": "",
            "problem_statement": "p", "FAIL_TO_PASS": ["a"], "PASS_TO_PASS": ["b"], "docker_image": "img",
            "install_config": {"log_parser": "parse_log_pytest", "python": "3.9"},
        }));
        assert_eq!((shape, rebench.log_parser.as_deref()), (Shape::SweRebench, Some("parse_log_pytest")));
        assert_eq!(rebench.image.as_deref(), Some("img"));
        let (_, pro) = instance(&json!({
            "instance_id": "i", "repo": "o/r", "base_commit": "c", "patch": "", "problem_statement": "p",
            "fail_to_pass": "['a']", "pass_to_pass": "[\"b\"]",
        }));
        assert_eq!(pro.fail_to_pass, ["a"]);
        assert_eq!(pro.pass_to_pass, ["b"]);
        let inner = json!({
            "instance_id": "i", "repo": "o/r", "base_commit": "c", "patch": "", "problem_statement": "p",
            "FAIL_TO_PASS": "[\"a\"]", "PASS_TO_PASS": "[]",
        });
        let request = json!({"input": [], "metadata": {"instance_dict": inner.to_string()}});
        for row in [
            json!({"responses_create_params": request}),
            json!({"responses_create_params": {"input": []}, "instance": inner}),
        ] {
            let (shape, nemo) = instance(&row);
            assert_eq!((shape, nemo.instance_id.as_str()), (Shape::Nemo, "i"));
        }
    }
}
