//! Tasks that are folders: SWE-bench 5's repository of tasks
//! (reference/grading.md, section 1.1) and Harbor's tasks.

mod harbor;
mod written;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_core::format::text::decode;
use swegym_core::format::{FormatError, Problem, instances};
use yaml_rust2::Yaml;

use super::row_text::RowText;
use crate::yaml;

pub use written::TaskFolders;

/// A row's columns that SWE-bench 5 keeps as files of their own.
const FILES: [(&str, &str); 6] = [
    ("patch", "gold.patch"),
    ("test_patch", "test.patch"),
    ("eval_script", "eval.sh"),
    ("problem_statement", "problem_statement.md"),
    ("hints_text", "hints.md"),
    ("dockerfile", "Dockerfile"),
];

/// Folders whose files no row carries.
const ASSETS: [&str; 2] = ["test_assets", "problem_assets"];

/// Whose folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    SweBench,
    Harbor,
}

impl Layout {
    /// The layout of a folder, if it is a task.
    fn of(folder: &Path) -> Option<Self> {
        if folder.join("task.yaml").is_file() {
            Some(Self::SweBench)
        } else if folder.join("task.toml").is_file() {
            Some(Self::Harbor)
        } else {
            None
        }
    }

    fn main_file(self) -> &'static str {
        match self {
            Self::SweBench => "task.yaml",
            Self::Harbor => "task.toml",
        }
    }
}

/// The tasks under a folder, as rows.
pub(super) struct Folders {
    tasks: std::vec::IntoIter<(PathBuf, Layout)>,
}

impl Folders {
    /// Finds the tasks of a folder: itself, those in it, or those in its
    /// `tasks`; sorted by name. `None` when there are none.
    pub(super) fn find(folder: &Path) -> io::Result<Option<Self>> {
        let mut tasks: Vec<_> =
            Layout::of(folder).map(|layout| (folder.to_owned(), layout)).into_iter().collect();
        for place in [folder.join("tasks"), folder.to_owned()] {
            if !tasks.is_empty() || !place.is_dir() {
                continue;
            }
            for entry in fs::read_dir(&place)? {
                let path = entry?.path();
                tasks.extend(Layout::of(&path).map(|layout| (path, layout)));
            }
            tasks.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok((!tasks.is_empty()).then(|| Self { tasks: tasks.into_iter() }))
    }
}

impl Iterator for Folders {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (folder, layout) = self.tasks.next()?;
        let file = folder.join(layout.main_file()).to_string_lossy().into_owned();
        let fields = match layout {
            Layout::SweBench => swe_bench(&folder),
            Layout::Harbor => harbor::read(&folder),
        };
        Some(match fields {
            Ok(fields) => {
                let json = Value::Object(fields).to_string().into();
                Ok(RowText::of_json(file.into(), 1, json))
            }
            Err(problem) => Err(FormatError::new(&file, 1, problem)),
        })
    }
}

/// The text of a file that says how a task is made, whatever editor wrote it.
fn settings(folder: &Path, name: &str) -> Result<Option<String>, Problem> {
    let Some(bytes) = bytes(folder, name)? else { return Ok(None) };
    match decode(name, &bytes) {
        Ok(text) => Ok(Some(text.into_owned())),
        Err(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

/// The text of a task's file; bytes that are no UTF-8 are replaced, line ends
/// kept. Links are not followed: a stranger's could show any file of the reader's.
fn text(folder: &Path, name: &str) -> Result<Option<String>, Problem> {
    Ok(bytes(folder, name)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn bytes(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, Problem> {
    let mut path = folder.to_owned();
    for part in name.split('/') {
        path.push(part);
        if path.is_symlink() {
            return Err(unreadable(&path, &"a link, which is not followed"));
        }
    }
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(&path, &error)),
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Problem {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Problem::Unreadable(format!("{name}: {why}"))
}

fn swe_bench(folder: &Path) -> Result<Map<String, Value>, Problem> {
    let path = folder.join("task.yaml");
    let documents =
        yaml::load(&settings(folder, "task.yaml")?.unwrap_or_default()).map_err(|e| unreadable(&path, &e))?;
    let Some(Value::Object(mut fields)) = documents.first().map(value_of) else {
        return Err(unreadable(&path, &"not a mapping"));
    };
    // YAML guesses types; these columns are text, as it stands in the file.
    for name in instances::FIELDS {
        if let Some(value) = fields.get_mut(name).filter(|v| v.is_number() || v.is_boolean()) {
            *value = Value::String(value.to_string());
        }
    }
    for (column, file) in FILES {
        if let Some(text) = text(folder, file)? {
            fields.insert(column.into(), Value::String(text));
        }
    }
    let path = folder.join("tests.json");
    if let Some(tests) = settings(folder, "tests.json")? {
        match swegym_core::json::row(tests.as_bytes()) {
            Ok(Value::Object(tests)) => fields.extend(tests),
            Ok(_) => return Err(unreadable(&path, &"not an object")),
            Err(why) => return Err(unreadable(&path, &why)),
        }
    }
    for name in ASSETS {
        let files = files_under(&folder.join(name)).map_err(|e| unreadable(&folder.join(name), &e))?;
        if !files.is_empty() {
            fields.insert(name.into(), json!(files));
        }
    }
    Ok(fields)
}

/// A number keeps its digits: `3.10` is a version, not 3.1.
fn value_of(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null | Yaml::BadValue | Yaml::Alias(_) => Value::Null,
        Yaml::Boolean(value) => json!(value),
        Yaml::Integer(value) => json!(value),
        Yaml::Real(text) | Yaml::String(text) => json!(text),
        Yaml::Array(list) => list.iter().map(value_of).collect(),
        Yaml::Hash(map) => Value::Object(
            map.iter()
                .map(|(key, value)| match value_of(key) {
                    Value::String(key) => (key, value_of(value)),
                    key => (key.to_string(), value_of(value)),
                })
                .collect(),
        ),
    }
}

/// Regular files below a folder, relative to it and sorted; links are not followed.
fn files_under(folder: &Path) -> io::Result<Vec<String>> {
    let (mut files, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inner) = open.pop() {
        let entries = match fs::read_dir(folder.join(&inner)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, inner.join(entry.file_name()));
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file() {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use swegym_core::format::instances::Need;

    use super::super::{Rows, instances as read_instances};
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_task_of_harbors_own_is_an_instance_without_lists() {
        let folder = tempfile::tempdir().unwrap();
        let task = folder.path().join("fix-it");
        write(
            &task,
            "task.toml",
            "schema_version = \"1.3\"\n[metadata]\nrepository_url = \"https://github.com/o/r.git\"\nbase_commit_hash = \"abc\"\n[environment]\ncpus = 2\n",
        );
        write(&task, "instruction.md", "Fix it.\n");
        write(&task, "environment/Dockerfile", "FROM python:3.12 \nRUN true\n");
        write(&task, "tests/test.sh", "echo 1 > /logs/verifier/reward.txt\n");
        write(&task, "solution/solve.sh", "true\n");
        fs::write(task.join("tests/data.bin"), [0xff, 0xfe]).unwrap();
        let instance = read_instances(folder.path(), Need::Everything).unwrap().next().unwrap().unwrap();
        assert_eq!(instance.instance_id.as_str(), "fix-it");
        assert_eq!((instance.repo.as_str(), instance.base_commit.as_str()), ("o/r", "abc"));
        assert_eq!(
            (instance.problem_statement.as_str(), instance.image.as_deref()),
            ("Fix it.\n", Some("python:3.12"))
        );
        assert!(instance.expected_tests().is_empty());
        let out = folder.path().join("out");
        let mut writer = TaskFolders::harbor(&out, "set", "train").unwrap();
        let losses = writer.write(&instance).unwrap();
        assert_eq!(
            losses.iter().map(|loss| loss.field.as_str()).collect::<Vec<_>>(),
            ["harbor_files_left_out"]
        );
        let again = fs::read_to_string(out.join("fix-it/tests/test.sh")).unwrap();
        assert_eq!(again, "echo 1 > /logs/verifier/reward.txt\n");
    }

    #[test]
    fn names_of_files_lead_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../outside", "/tmp/swegym-outside", "a/../../outside", ""] {
            let row = json!({
                "instance_id": "t", "FAIL_TO_PASS": [], "PASS_TO_PASS": [], "harbor_files": {name: "x"},
            });
            let row = row.as_object().unwrap().clone();
            let instance = instances::read_fields("f", 1, row, Need::Grading).unwrap();
            let out = folder.path().join("out");
            let mut writer = TaskFolders::harbor(&out, "set", "train").unwrap();
            assert_eq!(writer.write(&instance).unwrap()[0].field, name);
            assert!(!out.exists() && !folder.path().join("outside").exists(), "{name}");
        }
        // A link in a task could show any file of the reader's.
        write(folder.path(), "secret", "s3cret");
        write(folder.path(), "tasks/a/task.yaml", "instance_id: a\n");
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("tasks/a/gold.patch"))
            .unwrap();
        let read = Rows::open(folder.path()).unwrap().next().unwrap();
        assert!(read.unwrap_err().to_string().ends_with("gold.patch: a link, which is not followed"));
    }

    #[test]
    fn damaged_tasks_cost_only_themselves() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "tasks/a/task.yaml", "instance_id: [a\n");
        write(folder.path(), "tasks/b/task.yaml", "instance_id: b\nversion: 3.10\nrepo: o/r\n");
        write(folder.path(), "tasks/b/tests.json", "{\"FAIL_TO_PASS\": [\"t\"], \"PASS_TO_PASS\": []}");
        write(folder.path(), "tasks/c/task.yaml", "- 1\n");
        write(folder.path(), "tasks/d/task.yaml", "instance_id: d\n");
        write(folder.path(), "tasks/d/tests.json", "{");
        let read: Vec<_> = read_instances(folder.path(), Need::Grading).unwrap().collect();
        assert_eq!(read.len(), 4);
        assert_eq!(read[1].as_ref().unwrap().version, "3.10");
        for bad in [0, 2, 3] {
            let error = read[bad].as_ref().unwrap_err().to_string();
            assert!(error.contains("task.yaml:1: cannot be read"), "{error}");
        }
    }
}
