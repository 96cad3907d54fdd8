//! R2E-Gym's rows: a commit as objects, and the status that each test must
//! have (reference/environments.md, section 1.5).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Names are theirs with a dash; the lists are empty, because the expected
/// statuses say more. The commit before the fix and the two halves of its
/// patch are read from the parsed commit, where there is one.
pub(super) fn read(mut fields: Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (repo, commit) = (text("repo_name"), text("commit_hash"));
    let parsed =
        ["parsed_commit_content", "parsed_commit"].into_iter().find_map(|name| match fields.get(name) {
            Some(Value::String(text)) => swegym_core::json::row::<Value>(text.as_bytes()).ok(),
            other => other.filter(|v| v.is_object()).cloned(),
        });
    let parsed = parsed.unwrap_or_default();
    let (patch, test_patch) = patches(&parsed);
    let defaults = [
        ("instance_id", json!(format!("{repo}-{commit}"))),
        ("repo", json!(repo)),
        ("base_commit", json!(parsed["old_commit_hash"].as_str().unwrap_or(&commit))),
        ("patch", json!(patch)),
        ("test_patch", json!(test_patch)),
        ("problem_statement", json!("")),
        ("image", json!(text("docker_image"))),
        ("FAIL_TO_PASS", json!([])),
        ("PASS_TO_PASS", json!([])),
    ];
    for (name, value) in defaults {
        if fields.get(name).is_none_or(Value::is_null) {
            fields.insert(name.into(), value);
        }
    }
    fields
}

/// The patch of what is no test, and of the tests.
fn patches(commit: &Value) -> (String, String) {
    let (mut source, mut tests) = (String::new(), String::new());
    for file in commit["file_diffs"].as_array().into_iter().flatten() {
        let path = file["header"]["file"]["path"].as_str().unwrap_or_default();
        let half = if is_test(path) { &mut tests } else { &mut source };
        // Binary files come as a line that says so, which is no patch.
        if file["is_binary_file"] != json!(true) {
            write_file(half, path, file);
        }
    }
    (source, tests)
}

/// R2E-Gym's own rule, which splits its commits.
fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.ends_with("_test.py")
        || name.starts_with("test_")
        || path.split('/').any(|part| matches!(part, "tests" | "Tests" | "test" | "Test"))
}

fn write_file(out: &mut String, path: &str, file: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&format!("diff --git a/{path} b/{path}"));
    if let Some(misc) = file["header"]["misc_line"].as_str().filter(|m| !m.is_empty()) {
        line(misc);
    }
    let index = &file["index_line"];
    if index.is_object() {
        let mode = text(&index["mode"]);
        let blank = if mode.is_empty() { "" } else { " " };
        line(&format!(
            "index {}..{}{blank}{mode}",
            text(&index["old_commit_hash"]),
            text(&index["new_commit_hash"])
        ));
    }
    if let (Some(minus), Some(plus)) =
        (file["minus_file"]["path"].as_str(), file["plus_file"]["path"].as_str())
    {
        line(&format!("--- {minus}"));
        line(&format!("+++ {plus}"));
    }
    for hunk in file["hunks"].as_array().into_iter().flatten() {
        let mut header = String::from("@@");
        for (mark, side) in [('-', "old_range"), ('+', "new_range")] {
            let range = &hunk["descriptor"][side];
            let _ = write!(header, " {mark}{}", range["start"].as_u64().unwrap_or(0));
            if let Some(length) = range["length"].as_u64() {
                let _ = write!(header, ",{length}");
            }
        }
        header += " @@";
        if let Some(section) = hunk["descriptor"]["section"].as_str().filter(|s| !s.is_empty()) {
            let _ = write!(header, " {section}");
        }
        line(&header);
        for changed in hunk["line_group"]["all_lines"].as_array().into_iter().flatten() {
            let mark = match changed["type"].as_str() {
                Some("added") => "+",
                Some("deleted") => "-",
                Some("note") => "\\ ",
                _ => " ",
            };
            line(&format!("{mark}{}", text(&changed["content"])));
        }
    }
}

#[cfg(test)]
mod tests {
    use swegym_core::Patch;

    use super::*;

    #[test]
    fn a_parsed_commit_is_two_patches() {
        let file = |path: &str| {
            json!({
                "old_file_content": "a\n", "new_file_content": "b\n",
                "header": {"file": {"path": path}, "misc_line": null},
                "index_line": {"old_commit_hash": "12", "new_commit_hash": "34", "mode": "100644"},
                "is_binary_file": false, "binary_line": null,
                "minus_file": {"path": format!("a/{path}")}, "plus_file": {"path": format!("b/{path}")},
                "hunks": [{
                    "descriptor": {"old_range": {"start": 1, "length": null}, "new_range": {"start": 1, "length": 1}, "section": "def f():"},
                    "line_group": {"all_lines": [
                        {"content": "a", "type": "deleted"}, {"content": "b", "type": "added"},
                        {"content": "No newline at end of file", "type": "note"},
                    ]},
                }],
            })
        };
        let commit =
            json!({"file_diffs": [file("x/y.py"), file("x/tests/test_y.py")], "old_commit_hash": "old"});
        let row = json!({"repo_name": "r", "commit_hash": "new", "docker_image": "i", "parsed_commit_content": commit.to_string()});
        let fields = read(row.as_object().unwrap().clone());
        assert_eq!(fields["base_commit"], "old");
        assert_eq!(
            fields["patch"],
            "diff --git a/x/y.py b/x/y.py\nindex 12..34 100644\n--- a/x/y.py\n+++ b/x/y.py\n@@ -1 +1,1 @@ def f():\n-a\n+b\n\\ No newline at end of file\n"
        );
        let tests = Patch::parse(fields["test_patch"].as_str().unwrap()).unwrap();
        assert_eq!(tests.paths().collect::<Vec<_>>(), ["x/tests/test_y.py"]);
    }
}
