//! Instances as folders.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_core::format::instances::Need;
use swegym_core::format::{instances, is_blank};
use swegym_core::shell::quote;
use swegym_core::{Instance, Patch};

use super::super::changes::changes;
use super::super::container::{WriteError, refuse_occupied};
use super::super::shape::{Change, Loss};
use super::{ASSETS, FILES, Layout};

/// Where images of SWE-bench have the repository.
const WORKSPACE: &str = "/testbed";

/// What Harbor runs after the agent.
const HARBOR_TEST: &str = include_str!("harbor/test.sh");
const HARBOR_GRADE: &str = include_str!("harbor/grade.py");
const HARBOR_SOLVE: &str = include_str!("harbor/solve.sh");

/// A folder of tasks under construction.
pub struct TaskFolders {
    layout: Layout,
    target: PathBuf,
    dataset: String,
    split: String,
    /// Datasets and splits that the tasks name.
    named: (BTreeSet<String>, BTreeSet<String>),
    /// Ids of the tasks that are written.
    tasks: HashSet<String>,
}

impl TaskFolders {
    /// Starts SWE-bench 5's repository of tasks, which publishes one dataset.
    ///
    /// # Errors
    /// When the folder is not empty.
    pub fn swe_bench(target: &Path, dataset: &str, split: &str) -> Result<Self, WriteError> {
        Self::create(Layout::SweBench, target, dataset, split)
    }

    /// Starts a folder of Harbor's tasks.
    ///
    /// # Errors
    /// When the folder is not empty.
    pub fn harbor(target: &Path, dataset: &str, split: &str) -> Result<Self, WriteError> {
        Self::create(Layout::Harbor, target, dataset, split)
    }

    fn create(layout: Layout, target: &Path, dataset: &str, split: &str) -> Result<Self, WriteError> {
        refuse_occupied(target)?;
        let (dataset, split) = (dataset.to_owned(), split.to_owned());
        Ok(Self {
            layout,
            target: target.to_owned(),
            dataset,
            split,
            named: Default::default(),
            tasks: HashSet::new(),
        })
    }

    /// Adds a task; says what does not arrive as it was.
    ///
    /// # Errors
    /// When it cannot be written, or the folder has a task of this id already.
    pub fn write(&mut self, instance: &Instance) -> Result<Vec<Loss>, WriteError> {
        let id = instance.instance_id.to_string();
        if !self.tasks.insert(id.clone()) {
            return Err(WriteError::Repeated { id, path: self.target.clone() });
        }
        let mut losses = match self.layout {
            Layout::SweBench => self.write_swe_bench(instance)?,
            Layout::Harbor => self.write_harbor(instance)?,
        };
        losses.extend(self.changes(instance, &losses));
        Ok(losses)
    }

    /// Where the task of an instance is.
    fn folder(&self, instance: &Instance) -> PathBuf {
        let tasks =
            if self.layout == Layout::SweBench { self.target.join("tasks") } else { self.target.clone() };
        tasks.join(instance.instance_id.as_str())
    }

    /// What reads otherwise now, beside what is known to be lost.
    fn changes(&self, instance: &Instance, known: &[Loss]) -> Vec<Loss> {
        let read = super::super::instances(&self.folder(instance), Need::Grading);
        let Some(Ok(again)) = read.ok().and_then(|mut read| read.next()) else {
            return vec![no_place("instance_id", "the task cannot be read again")];
        };
        let mut changes = changes(without_files(instance), again);
        changes.retain(|change| known.iter().all(|loss| loss.field != change.field));
        changes
    }

    /// Ends the folder; returns the number of tasks.
    ///
    /// # Errors
    /// When the list of datasets cannot be written.
    pub fn finish(self) -> Result<usize, WriteError> {
        if self.layout == Layout::SweBench && !self.tasks.is_empty() {
            let text = yaml(&[
                ("datasets".to_owned(), json!(self.named.0)),
                ("splits".to_owned(), json!(self.named.1)),
            ]);
            write(&self.target.join("sweb.yaml"), &text)?;
        }
        Ok(self.tasks.len())
    }

    fn write_swe_bench(&mut self, instance: &Instance) -> Result<Vec<Loss>, WriteError> {
        let folder = self.folder(instance);
        let mut losses = Vec::new();
        let mut fields = complete(instance, &mut losses);
        let image = fields["image"].as_str().unwrap_or_default().to_owned();
        fields.entry("dockerfile").or_insert(json!(format!("FROM {image}\n")));
        for (column, file) in FILES {
            let text = fields.shift_remove(column).unwrap_or_default();
            let text = text.as_str().unwrap_or_default();
            // SWE-bench 5 has no empty file of hints.
            if column != "hints_text" || !text.is_empty() {
                write(&folder.join(file), text)?;
            }
        }
        fields.shift_remove("FAIL_TO_PASS");
        fields.shift_remove("PASS_TO_PASS");
        let tests = json!({"FAIL_TO_PASS": instance.fail_to_pass, "PASS_TO_PASS": instance.pass_to_pass});
        write(&folder.join("tests.json"), &format!("{tests:#}\n"))?;
        for name in ASSETS {
            if fields.shift_remove(name).is_some() {
                losses.push(no_place(name, "files beside a row are not carried; copy the folder"));
            }
        }
        self.name_place(&mut fields);
        let mut fields: Vec<_> = fields.into_iter().filter(|(_, value)| !value.is_null()).collect();
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        write(&folder.join("task.yaml"), &yaml(&fields))?;
        Ok(losses)
    }

    /// The dataset and the split of a task: its own, if it comes from such a folder.
    fn name_place(&mut self, fields: &mut Map<String, Value>) {
        let datasets = fields.entry("datasets").or_insert(json!([self.dataset]));
        let names = datasets.as_array().into_iter().flatten().filter_map(Value::as_str);
        self.named.0.extend(names.map(str::to_owned));
        let split = fields.entry("split").or_insert(json!(self.split));
        // SWE-bench keeps tasks that it gave up, and publishes none.
        self.named.1.extend(split.as_str().filter(|s| *s != "deprecated").map(str::to_owned));
    }

    fn write_harbor(&self, instance: &Instance) -> Result<Vec<Loss>, WriteError> {
        let folder = self.folder(instance);
        let mut losses = Vec::new();
        if let Some(Value::Object(files)) = instance.extra.get("harbor_files") {
            // A task of Harbor's own goes back as it came.
            for (name, text) in files {
                if !stays_inside(name) {
                    losses.push(no_place(name, "the name of a file that would lie elsewhere"));
                    continue;
                }
                write(&folder.join(name), text.as_str().unwrap_or_default())?;
            }
            if instance.extra.contains_key("harbor_files_left_out") {
                losses.push(no_place(
                    "harbor_files_left_out",
                    "large and binary files are not carried; copy them",
                ));
            }
            if instance.expected_tests().is_empty() {
                return Ok(losses);
            }
            let config = Value::Object(instances::fields(&without_files(instance)));
            write(&folder.join("tests/config.json"), &format!("{config:#}\n"))?;
            return Ok(losses);
        }
        let fields = complete(instance, &mut losses);
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let image = text("image");
        let files = [
            ("task.toml", harbor_config(instance, &self.dataset, &image)),
            ("instruction.md", instance.problem_statement.clone()),
            ("environment/Dockerfile", format!("FROM {image}\nWORKDIR {WORKSPACE}\n")),
            ("tests/test.sh", HARBOR_TEST.to_owned()),
            ("tests/grade.py", HARBOR_GRADE.to_owned()),
            ("tests/eval.sh", text("eval_script")),
            ("tests/config.json", format!("{:#}\n", Value::Object(fields))),
            ("solution/solve.sh", HARBOR_SOLVE.to_owned()),
            ("solution/gold.patch", instance.gold_patch.clone()),
        ];
        for (name, text) in files {
            write(&folder.join(name), &text)?;
        }
        Ok(losses)
    }
}

/// Names come from rows that strangers wrote.
fn stays_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn without_files(instance: &Instance) -> Instance {
    let mut instance = instance.clone();
    instance.extra.retain(|name, _| !name.starts_with("harbor_files"));
    instance
}

fn no_place(field: &str, why: &'static str) -> Loss {
    Loss { field: field.to_owned(), change: Change::NoPlace, why }
}

/// The instance's columns with what a folder needs in any case.
fn complete(instance: &Instance, losses: &mut Vec<Loss>) -> Map<String, Value> {
    let mut fields = instances::fields(&without_files(instance));
    let mut stand_in = |column: &str, value: Value, why: &'static str| {
        if fields.get(column).is_none_or(is_blank) {
            fields.insert(column.into(), value);
            losses.push(Loss { field: column.to_owned(), change: Change::StandIn, why });
        }
    };
    stand_in(
        "image",
        json!(image_of(instance)),
        "the instance names no image; this is SWE-bench's name for it",
    );
    stand_in("eval_type", json!("pass_and_fail"), "the instance does not say how it is judged");
    match eval_script(instance) {
        Some(script) => stand_in(
            "eval_script",
            json!(script),
            "the instance has no script; one is made that runs pytest on the files of its tests",
        ),
        None => stand_in("eval_script", json!(""), "the instance has no script, and its tests name no files"),
    }
    if fields.get("log_parser").is_none_or(Value::is_null) {
        losses.push(no_place("log_parser", "the instance names no parser, and its repository is not known"));
    }
    fields
}

/// The name that SWE-bench's harness gives to an instance's image.
fn image_of(instance: &Instance) -> String {
    let key = format!("sweb.eval.x86_64.{}:latest", instance.instance_id.as_str()).to_lowercase();
    format!("swebench/{key}").replace("__", "_1776_")
}

/// A script in the form of SWE-bench's: the tests' files as they must be, the
/// tests between markers, the files as they were.
fn eval_script(instance: &Instance) -> Option<String> {
    let from_patch: Vec<String> = Patch::parse(&instance.test_patch)
        .map(|p| p.paths().map(str::to_owned).collect())
        .unwrap_or_default();
    let files: Vec<String> = if from_patch.is_empty() {
        let files = instance.expected_tests().into_iter().filter_map(|id| id.split_once("::"));
        let mut files: Vec<_> = files.map(|(file, _)| file.to_owned()).collect();
        files.dedup();
        files
    } else {
        from_patch.iter().filter(|f| f.ends_with(".py")).cloned().collect()
    };
    if files.is_empty() || files.iter().any(|f| !f.ends_with(".py")) {
        return None;
    }
    let quoted = files.iter().map(|f| quote(f)).collect::<Vec<_>>().join(" ");
    let mut script = format!(
        "#!/bin/bash\nset -uxo pipefail\ncd {WORKSPACE}\ngit config --global --add safe.directory {WORKSPACE}\n"
    );
    let patched = from_patch.iter().map(|f| quote(f)).collect::<Vec<_>>().join(" ");
    let reset = if instance.base_commit.is_empty() || from_patch.is_empty() {
        String::new()
    } else {
        format!("git checkout {} -- {patched}\n", quote(&instance.base_commit))
    };
    if !from_patch.is_empty() {
        script += &reset;
        script += &format!(
            "git apply -v - <<'EOF_TEST_PATCH'\n{}\nEOF_TEST_PATCH\n",
            instance.test_patch.trim_end_matches('\n')
        );
    }
    script += &format!(
        ": '>>>>> Start Test Output'\npython -m pytest -rA {quoted}\n: '>>>>> End Test Output'\n{reset}"
    );
    Some(script)
}

fn harbor_config(instance: &Instance, dataset: &str, image: &str) -> String {
    let mut metadata = toml::Table::new();
    for (name, value) in [
        ("category", "software-engineering"),
        ("source", dataset),
        ("instance_id", instance.instance_id.as_str()),
        ("repo", &instance.repo),
        ("difficulty", instance.difficulty.as_deref().unwrap_or("unknown")),
    ] {
        metadata.insert(name.into(), value.into());
    }
    let table = |pairs: &[(&str, toml::Value)]| {
        toml::Value::Table(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    };
    let mut config = toml::Table::new();
    config.insert("version".into(), "1.0".into());
    config.insert("metadata".into(), metadata.into());
    config.insert("verifier".into(), table(&[("timeout_sec", 3000.0.into())]));
    config.insert("agent".into(), table(&[("timeout_sec", 3000.0.into())]));
    let environment = [
        ("docker_image", image.into()),
        ("build_timeout_sec", 1800.0.into()),
        ("cpus", 1.into()),
        ("memory_mb", 4096.into()),
        ("storage_mb", 10240.into()),
    ];
    config.insert("environment".into(), table(&environment));
    config.to_string()
}

/// One entry a line, each value as JSON, which is YAML in every edition of it:
/// PyYAML would make dates, numbers and truths of bare words.
fn yaml(fields: &[(String, Value)]) -> String {
    fields.iter().map(|(name, value)| format!("{}: {value}\n", Value::String(name.clone()))).collect()
}

fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    let failed = |source| WriteError::File { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)?;
    if path.extension().is_some_and(|e| e == "sh") {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(())
}
