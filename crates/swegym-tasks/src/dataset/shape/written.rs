//! Instances as rows of each shape, and what a shape cannot hold.

use serde_json::{Map, Value, json};
use swegym_core::format::{instances, is_blank};
use swegym_core::instance::ListEncoding;
use swegym_core::{Instance, Names};

use super::Shape;

/// A row and what it lost on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The row.
    pub fields: Map<String, Value>,
    /// What the instance says and the row does not, or the other way round.
    pub losses: Vec<Loss>,
}

/// One field that does not arrive as it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Loss {
    /// The field.
    pub field: String,
    /// What happens to it.
    pub change: Change,
    /// Why, for people.
    pub why: &'static str,
}

/// What happens to a field on the way into another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// The shape has no place for it.
    NoPlace,
    /// The shape says less than the instance.
    Narrowed,
    /// The shape wants what the instance does not say; something stands in.
    StandIn,
    /// It is there, and reads otherwise.
    Altered,
}

impl Change {
    /// The code in results.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoPlace => "no_place",
            Self::Narrowed => "narrowed",
            Self::StandIn => "stand_in",
            Self::Altered => "altered",
        }
    }
}

/// The columns of SWE-Gym's card (reference/swe-gym.md, section 2.1).
const SWE_GYM: [&str; 11] = [
    "instance_id",
    "hints_text",
    "patch",
    "test_patch",
    "created_at",
    "problem_statement",
    "repo",
    "base_commit",
    "version",
    "PASS_TO_PASS",
    "FAIL_TO_PASS",
];

/// SWE-rebench's, of both editions.
const SWE_REBENCH: [&str; 22] = [
    "instance_id",
    "repo",
    "base_commit",
    "patch",
    "test_patch",
    "problem_statement",
    "hints_text",
    "created_at",
    "version",
    "environment_setup_commit",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "FAIL_TO_FAIL",
    "PASS_TO_FAIL",
    "docker_image",
    "image_name",
    "install_config",
    "requirements",
    "environment",
    "meta",
    "license_name",
    "language",
];

const SWE_SMITH: [&str; 7] =
    ["instance_id", "repo", "image_name", "FAIL_TO_PASS", "PASS_TO_PASS", "problem_statement", "created_at"];

const R2E: [&str; 15] = [
    "repo_name",
    "docker_image",
    "commit_hash",
    "parsed_commit",
    "parsed_commit_content",
    "execution_result_content",
    "modified_files",
    "modified_entity_summaries",
    "relevant_files",
    "num_non_test_files",
    "num_non_test_func_methods",
    "num_non_test_lines",
    "prompt",
    "problem_statement",
    "expected_output_json",
];

const MULTI_SWE: [&str; 20] = [
    "org",
    "repo",
    "number",
    "state",
    "title",
    "body",
    "base",
    "resolved_issues",
    "fix_patch",
    "test_patch",
    "fixed_tests",
    "p2p_tests",
    "f2p_tests",
    "s2p_tests",
    "n2p_tests",
    "run_result",
    "test_patch_result",
    "fix_patch_result",
    "instance_id",
    "lang",
];

impl Shape {
    /// An instance as a row of this shape.
    #[must_use]
    pub fn row(self, instance: Instance) -> Written {
        let fill: fn(&mut Row<'_>) = match self {
            Self::SweBench => return whole(instance),
            Self::SweGym => |row| row.keep(&SWE_GYM),
            Self::SweRebench => swe_rebench,
            Self::SweSmith => swe_smith,
            Self::R2e => r2e,
            Self::MultiSwe => multi_swe,
            Self::Nemo => nemo,
        };
        let mut row = Row::of(&instance);
        fill(&mut row);
        row.finish()
    }
}

/// SWE-bench has a place for everything. The published tables keep their lists
/// as JSON text.
fn whole(mut instance: Instance) -> Written {
    let extra = std::mem::take(&mut instance.extra);
    let mut fields = instances::fields_as(&instance, ListEncoding::Text);
    fields.extend(extra);
    Written { fields, losses: Vec::new() }
}

/// A row under construction: what is not taken over is lost.
struct Row<'a> {
    instance: &'a Instance,
    /// What the instance says and has no place yet.
    rest: Map<String, Value>,
    fields: Map<String, Value>,
    losses: Vec<Loss>,
}

impl<'a> Row<'a> {
    fn of(instance: &'a Instance) -> Self {
        let rest = instances::fields_as(instance, ListEncoding::List);
        Self { instance, rest, fields: Map::new(), losses: Vec::new() }
    }

    /// Takes over the columns that are there, in this order.
    fn keep(&mut self, columns: &[&str]) {
        for column in columns {
            if let Some(value) = self.rest.shift_remove(*column) {
                self.fields.insert((*column).into(), value);
            }
        }
    }

    /// Fills a column that must be there.
    fn fill(&mut self, column: &str, value: Value) {
        if self.fields.get(column).is_none_or(Value::is_null) {
            self.fields.insert(column.into(), value);
        }
    }

    /// The same, with something that the instance does not say.
    fn stand_in(&mut self, column: &str, value: Value, why: &'static str) {
        if self.fields.get(column).is_none_or(Value::is_null) {
            self.fields.insert(column.into(), value);
            self.lose(column, Change::StandIn, why);
        }
    }

    /// Fields that another column says already.
    fn said(&mut self, names: &[&str]) {
        for name in names {
            self.rest.shift_remove(*name);
        }
    }

    fn lose(&mut self, field: &str, change: Change, why: &'static str) {
        self.losses.push(Loss { field: field.to_owned(), change, why });
    }

    fn finish(mut self) -> Written {
        for (field, value) in std::mem::take(&mut self.rest) {
            if !is_blank(&value) {
                self.lose(&field, Change::NoPlace, "the format has no such column");
            }
        }
        Written { fields: self.fields, losses: self.losses }
    }
}

/// The image and the parser have names of their own there.
fn swe_rebench(row: &mut Row<'_>) {
    row.keep(&SWE_REBENCH);
    let instance = row.instance;
    if let Some(image) = &instance.image {
        let named = ["docker_image", "image_name"].iter().any(|n| row.fields.get(*n) == Some(&json!(image)));
        if !named {
            row.fields.insert("docker_image".into(), json!(image));
        }
        row.said(&["image"]);
    }
    let parser = instance.log_parser.as_deref();
    if row.fields.get("install_config").is_none_or(Value::is_null) {
        let config = json!({"install": [], "test_cmd": [], "log_parser": parser});
        row.stand_in("install_config", config, "how the package is installed and tested is not known");
        row.said(&["log_parser"]);
    } else if row.fields["install_config"].get("log_parser").and_then(Value::as_str) == parser {
        row.said(&["log_parser"]);
    }
}

/// There `patch` plants the bug.
fn swe_smith(row: &mut Row<'_>) {
    row.keep(&SWE_SMITH);
    let instance = row.instance;
    let planted = row.rest.shift_remove("bug_patch").and_then(|bug| bug.as_str().map(str::to_owned));
    match planted.or_else(|| swegym_core::patch::reverse(&instance.gold_patch).ok()) {
        Some(bug) => drop(row.fields.insert("patch".into(), json!(bug))),
        None => row.stand_in("patch", json!(""), "the gold patch cannot be turned around"),
    }
    row.said(&["patch"]);
    match &instance.image {
        Some(image) => {
            row.fill("image_name", json!(image));
            row.said(&["image"]);
        }
        None => row.stand_in("image_name", json!(""), "the instance names no image"),
    }
}

/// One status a test, by names without files; the commit is the one of the fix.
fn r2e(row: &mut Row<'_>) {
    row.keep(&R2E);
    let instance = row.instance;
    if row.fields.contains_key("repo_name") {
        row.said(&["repo", "instance_id"]);
    } else {
        let name = instance.repo.rsplit('/').next().unwrap_or_default();
        row.fields.insert("repo_name".into(), json!(name));
        row.said(&["repo"]);
        if name != instance.repo {
            row.lose("repo", Change::Narrowed, "the owner is not kept");
        }
    }
    if row.fields.contains_key("commit_hash") {
        row.said(&["base_commit"]);
    } else {
        row.fields.insert("commit_hash".into(), json!(instance.base_commit));
        row.said(&["base_commit"]);
        row.lose(
            "base_commit",
            Change::Narrowed,
            "R2E-Gym's commit is that of the fix, this one is its parent",
        );
    }
    match &instance.image {
        Some(image) => {
            row.fill("docker_image", json!(image));
            row.said(&["image"]);
        }
        None => row.stand_in("docker_image", json!(""), "the instance names no image"),
    }
    if row.fields.contains_key("parsed_commit_content") || row.fields.contains_key("parsed_commit") {
        row.said(&["patch", "test_patch"]);
    }
    if row.fields.contains_key("expected_output_json") {
        row.said(&["FAIL_TO_PASS", "PASS_TO_PASS"]);
    } else {
        let name = |id: &str| id.split("::").skip(1).collect::<Vec<_>>().join(".");
        let tests = instance.fail_to_pass.iter().chain(&instance.pass_to_pass);
        let expected: Map<String, Value> = tests
            .map(|id| (if id.contains("::") { name(id) } else { id.to_owned() }, json!("PASSED")))
            .collect();
        row.fields.insert("expected_output_json".into(), json!(Value::Object(expected).to_string()));
        row.said(&["FAIL_TO_PASS", "PASS_TO_PASS"]);
        row.lose(
            "FAIL_TO_PASS",
            Change::Narrowed,
            "which tests fail before the fix, and their files, are not kept",
        );
    }
}

/// Tests by what they went through, in the runs before, with the tests, and with the fix.
fn multi_swe(row: &mut Row<'_>) {
    row.keep(&MULTI_SWE);
    let instance = row.instance;
    let (org, repo) = instance.repo.split_once('/').unwrap_or(("", &instance.repo));
    row.fill("org", json!(org));
    row.fields.insert("repo".into(), json!(repo));
    let number = instance.instance_id.as_str().rsplit('-').next().and_then(|n| n.parse::<u64>().ok());
    match number {
        Some(number) => row.fill("number", json!(number)),
        None => row.stand_in("number", json!(0), "the id ends in no number"),
    }
    row.fill("base", json!({"label": "", "ref": "", "sha": instance.base_commit}));
    row.fill("fix_patch", json!(instance.gold_patch));
    if !row.fields.contains_key("resolved_issues") {
        let (title, body) =
            instance.problem_statement.split_once('\n').unwrap_or((&instance.problem_statement, ""));
        // A reader puts the newline back.
        let body = body.strip_suffix('\n').unwrap_or(body);
        let issues = json!([{"number": number.unwrap_or(0), "title": title, "body": body}]);
        row.stand_in("resolved_issues", issues, "one issue is made of the problem statement");
    }
    if !row.fields.contains_key("fixed_tests") {
        let stages = |list: &Names, before: &str| -> Value {
            list.iter()
                .map(|test| (test.to_owned(), json!({"run": before, "test": before, "fix": "PASS"})))
                .collect::<Map<_, _>>()
                .into()
        };
        let result = |passed: &Names, failed: &Names| {
            json!({
                "passed_count": passed.len(), "failed_count": failed.len(), "skipped_count": 0,
                "passed_tests": passed, "failed_tests": failed, "skipped_tests": [],
            })
        };
        let (fails, holds) = (&instance.fail_to_pass, &instance.pass_to_pass);
        let both: Names = fails.iter().chain(holds).collect();
        for (column, value) in [
            ("fixed_tests", stages(fails, "FAIL")),
            ("f2p_tests", stages(fails, "FAIL")),
            ("p2p_tests", stages(holds, "PASS")),
            ("s2p_tests", json!({})),
            ("n2p_tests", json!({})),
            ("test_patch_result", result(holds, fails)),
            ("fix_patch_result", result(&both, &Names::default())),
        ] {
            row.fill(column, value);
        }
        row.stand_in("run_result", result(holds, fails), "the run without the test patch is not known");
    }
    row.said(&["base_commit", "patch", "problem_statement", "FAIL_TO_PASS", "PASS_TO_PASS"]);
}

/// A request without a prompt yet, that carries the whole instance.
fn nemo(row: &mut Row<'_>) {
    let instance = row.instance;
    row.keep(&["responses_create_params", "agent_ref"]);
    let mut whole = instances::fields(instance);
    whole.retain(|name, _| name != "responses_create_params" && name != "agent_ref");
    row.rest.clear();
    let metadata = [
        ("instance_id", json!(instance.instance_id.as_str())),
        ("base_commit", json!(instance.base_commit)),
        ("problem_statement", json!(instance.problem_statement)),
        ("golden_patch", json!(instance.gold_patch)),
        ("instance_dict", json!(Value::Object(whole).to_string())),
    ];
    // A request that is there already stays, and carries what the row says now.
    let request = row.fields.entry("responses_create_params").or_insert(json!({"input": []}));
    if !request.is_object() {
        *request = json!({"input": request.take()});
    }
    if !request["metadata"].is_object() {
        request["metadata"] = json!({});
    }
    for (name, value) in metadata {
        request["metadata"][name] = value;
    }
    row.fill("agent_ref", json!({"type": "responses_api_agents", "name": "swe_agents"}));
}
