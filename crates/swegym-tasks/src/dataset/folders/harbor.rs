//! Harbor's tasks as rows. Harbor asks nothing of a task's tests but a reward,
//! so that what an instance is stands where each author put it.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use swegym_core::Patch;
use swegym_core::format::{Problem, is_blank};

use super::{files_under, settings, text, unreadable};

/// A file of a task beyond this is named and not carried.
const LARGEST_FILE: u64 = 16 << 20;

/// The instance, where the task was made from one; where that says nothing of a
/// field, what the task's other files say.
const CONFIG: &str = "tests/config.json";

/// The reader of a task. Its files are carried along.
pub(super) fn read(folder: &Path) -> Result<Map<String, Value>, Problem> {
    let path = folder.join("task.toml");
    let table: toml::Table = settings(folder, "task.toml")?
        .unwrap_or_default()
        .parse()
        .map_err(|e: toml::de::Error| unreadable(&path, &e.message()))?;
    let path = folder.join(CONFIG);
    let config = settings(folder, CONFIG)?.map(|config| swegym_core::json::row(config.as_bytes()));
    let mut fields = match config {
        Some(Ok(Value::Object(fields))) => fields,
        Some(Err(why)) => return Err(unreadable(&path, &why)),
        Some(Ok(_)) | None => Map::new(),
    };
    let files = files_under(folder).map_err(|e| unreadable(folder, &e))?;
    // Rows of other datasets name these things otherwise, and have them all.
    let other = ["repo_name", "org"].iter().any(|key| fields.contains_key(*key));
    if !other {
        for (name, value) in said_elsewhere(folder, &table, &files)? {
            if fields.get(name).is_none_or(is_blank) && !is_blank(&value) {
                fields.insert(name.into(), value);
            }
        }
        for (name, value) in [
            ("repo", json!("")),
            ("base_commit", json!("")),
            ("patch", json!("")),
            ("problem_statement", json!("")),
            ("FAIL_TO_PASS", json!([])),
            ("PASS_TO_PASS", json!([])),
        ] {
            if fields.get(name).is_none_or(Value::is_null) {
                fields.insert(name.into(), value);
            }
        }
    }
    if let Some(image) = image(folder, &table)?.filter(|_| fields.get("image").is_none_or(is_blank)) {
        fields.insert("image".into(), json!(image));
    }
    carry(folder, &files, &mut fields);
    Ok(fields)
}

/// What a task says beside its configuration, field by field.
fn said_elsewhere(
    folder: &Path,
    table: &toml::Table,
    files: &[String],
) -> Result<Vec<(&'static str, Value)>, Problem> {
    let said = |keys: &[&str]| {
        let metadata = table.get("metadata")?;
        keys.iter().find_map(|key| metadata.get(*key)?.as_str()).map(str::to_owned)
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let repo = said(&["repo", "repository", "repository_url"]).unwrap_or_default();
    let repo = repo.trim_end_matches('/').trim_end_matches(".git");
    let repo = repo.strip_prefix("https://github.com/").unwrap_or(repo);
    Ok(vec![
        ("instance_id", json!(said(&["instance_id"]).unwrap_or(name))),
        ("repo", json!(repo)),
        ("base_commit", json!(said(&["base_commit", "base_commit_hash", "commit"]))),
        ("problem_statement", json!(text(folder, "instruction.md")?)),
        ("patch", json!(solution(folder, files)?)),
        ("test_patch", json!(patch_in(folder, files, "tests/", &["test.patch", "test.diff"])?)),
        ("version", json!(said(&["version"]))),
        ("difficulty", json!(said(&["difficulty"]))),
        ("eval_script", json!(text(folder, "tests/eval.sh")?)),
    ])
}

/// The gold patch: a file, or words of the script that solves the task.
fn solution(folder: &Path, files: &[String]) -> Result<Option<String>, Problem> {
    const NAMES: [&str; 3] = ["gold.patch", "solution.patch", "fix.patch"];
    if let Some(patch) = patch_in(folder, files, "solution/", &NAMES)? {
        return Ok(Some(patch));
    }
    let script = text(folder, "solution/solve.sh")?.unwrap_or_default();
    Ok(here_documents(&script).into_iter().find(|words| is_patch(words)))
}

/// A patch in a folder: one of these names, or else the first file that is one.
fn patch_in(folder: &Path, files: &[String], below: &str, names: &[&str]) -> Result<Option<String>, Problem> {
    let place = |name: &&String| names.iter().position(|known| name.strip_prefix(below) == Some(*known));
    let mut candidates: Vec<&String> = files
        .iter()
        .filter(|name| name.starts_with(below) && (name.ends_with(".patch") || name.ends_with(".diff")))
        .collect();
    candidates.sort_by_key(|name| place(name).unwrap_or(names.len()));
    for name in candidates {
        if let Some(patch) = text(folder, name)?.filter(|patch| place(&name).is_some() || is_patch(patch)) {
            return Ok(Some(patch));
        }
    }
    Ok(None)
}

fn is_patch(text: &str) -> bool {
    Patch::survey(text).is_ok_and(|patch| !patch.files.is_empty())
}

/// The texts that a script has within itself, between `<<'WORD'` and `WORD`.
fn here_documents(script: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        let Some((_, after)) = line.split_once("<<") else { continue };
        let word = after.trim_start_matches(['-', ' ']);
        let end = word.find(|c: char| c.is_whitespace() || matches!(c, ';' | '|' | '>' | '&' | ')'));
        let word = word[..end.unwrap_or(word.len())].trim_matches(['\'', '"', '\\']);
        if word.is_empty() {
            continue;
        }
        let words = lines.by_ref().take_while(|line| line.trim() != word);
        found.push(words.map(|line| format!("{line}\n")).collect());
    }
    found
}

/// The image that the task starts from.
fn image(folder: &Path, table: &toml::Table) -> Result<Option<String>, Problem> {
    let named = table.get("environment").and_then(|e| e.get("docker_image")).and_then(|i| i.as_str());
    let dockerfile = text(folder, "environment/Dockerfile")?.unwrap_or_default();
    let image = named.or_else(|| dockerfile.lines().filter_map(|l| l.strip_prefix("FROM ")).next_back());
    Ok(image.map(|image| image.trim().to_owned()))
}

/// Takes the task's files along, so that it can be written as it came.
fn carry(folder: &Path, files: &[String], fields: &mut Map<String, Value>) {
    let (mut carried, mut left) = (Map::new(), Vec::new());
    for name in files {
        let path = folder.join(name);
        let small = fs::metadata(&path).is_ok_and(|m| m.len() <= LARGEST_FILE);
        match small.then(|| fs::read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok())).flatten() {
            Some(text) if name != CONFIG => drop(carried.insert(name.clone(), Value::String(text))),
            Some(_) => {}
            None => left.push(name.clone()),
        }
    }
    fields.insert("harbor_files".into(), Value::Object(carried));
    if !left.is_empty() {
        fields.insert("harbor_files_left_out".into(), json!(left));
    }
}

#[cfg(test)]
mod tests {
    use swegym_core::format::instances::Need;

    use super::super::super::instances;
    use super::*;

    const PATCH: &str = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn what_the_configuration_does_not_say_is_found_field_by_field() {
        let solve =
            format!("#!/bin/bash\ncat > /tmp/p.diff << '__END__'\n{PATCH}__END__\ngit apply /tmp/p.diff\n");
        for (files, patch, tests) in [
            (vec![("solution/patch.diff", PATCH), ("tests/test.patch", "")], PATCH, ""),
            (vec![("solution/fix.patch", PATCH), ("solution/a.patch", "none")], PATCH, ""),
            (vec![("solution/solve.sh", solve.as_str()), ("tests/hidden.patch", PATCH)], PATCH, PATCH),
            (vec![("solution/solve.sh", "true\n")], "", ""),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let task = folder.path().join("task-1");
            let config = json!({"FAIL_TO_PASS": ["t::a"], "PASS_TO_PASS": [], "repo": "", "patch": null});
            let toml = "\u{feff}[metadata]\nrepo = \"https://github.com/o/r\"\nbase_commit = \"abc\"\n";
            let fixed = [
                ("task.toml", toml.to_owned()),
                ("instruction.md", "title\nbody\n".to_owned()),
                ("environment/Dockerfile", "FROM python:3.11\n".to_owned()),
                (CONFIG, format!("\u{feff}{config}")),
            ];
            let files = files.iter().map(|(name, text)| (*name, (*text).to_owned()));
            for (name, text) in fixed.into_iter().chain(files) {
                let path = task.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let read = instances(folder.path(), Need::Everything).unwrap().next().unwrap().unwrap();
            assert_eq!(
                (read.instance_id.as_str(), read.repo.as_str(), read.base_commit.as_str()),
                ("task-1", "o/r", "abc")
            );
            assert_eq!(
                (read.problem_statement.as_str(), read.image.as_deref()),
                ("title\nbody\n", Some("python:3.11"))
            );
            assert_eq!((read.gold_patch.as_str(), read.test_patch.as_str()), (patch, tests));
            assert_eq!(read.fail_to_pass, ["t::a"]);
        }
    }
}
