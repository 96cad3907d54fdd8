//! A gold patch as calls of the editor.

use serde_json::json;
use swegym_core::Patch;
use swegym_core::patch::{FilePatch, Hunk};

use super::{Lesson, shell};
use crate::model::scripted::ScriptedReply;
use crate::tools::EDITOR;

/// Every change of the gold patch; what the editor cannot do (renames, modes,
/// binary files) is left to git.
pub(super) fn of(lesson: &Lesson<'_>) -> Vec<ScriptedReply> {
    let gold = &lesson.instance.gold_patch;
    let edits = Patch::parse(gold)
        .ok()
        .and_then(|p| p.files.iter().map(|file| edits_of_file(lesson, file)).collect::<Option<Vec<_>>>());
    let by_git = || {
        let command =
            format!("cd {} && git apply - <<'END_OF_PATCH'\n{gold}\nEND_OF_PATCH", lesson.workspace);
        vec![shell("I make the change.", &command)]
    };
    edits.map_or_else(by_git, |edits| edits.into_iter().flatten().collect())
}

fn edits_of_file(lesson: &Lesson<'_>, file: &FilePatch) -> Option<Vec<ScriptedReply>> {
    if file.binary || file.symlink || file.hunks.is_empty() {
        return None;
    }
    let place = |path: &str| format!("{}/{path}", lesson.workspace);
    match (&file.old_path, &file.new_path) {
        (None, Some(path)) => {
            let text = file.hunks.iter().map(|h| side(h, '+')).collect::<String>();
            let arguments = json!({"command": "create", "path": place(path), "file_text": text});
            Some(vec![ScriptedReply::call("A new file is needed.", EDITOR, &arguments)])
        }
        (Some(path), None) => Some(vec![shell("This file goes.", &format!("rm '{}'", place(path)))]),
        (Some(old), Some(new)) if old == new => {
            let mut text = lesson.files.get(old)?.clone();
            let mut edits = Vec::new();
            for hunk in &file.hunks {
                let (old, new) = unique_change(&text, hunk)?;
                text = text.replacen(&old, &new, 1);
                let arguments = json!({"command": "str_replace", "path": place(file.path()), "old_str": old, "new_str": new});
                edits.push(ScriptedReply::call("Here is what is wrong; I change it.", EDITOR, &arguments));
            }
            Some(edits)
        }
        _ => None,
    }
}

/// One side of a hunk as text: context, and the lines with this mark.
fn side(hunk: &Hunk, mark: char) -> String {
    let mut text = String::new();
    let mut taken = false;
    for line in &hunk.lines {
        if line.starts_with('\\') {
            // The line before has no line break.
            if taken {
                text.pop();
            }
            continue;
        }
        taken = line.starts_with(' ') || line.starts_with(mark) || line.is_empty();
        if taken {
            text.push_str(line.get(1..).unwrap_or_default());
            text.push('\n');
        }
    }
    text
}

/// Old and new text of a hunk, if the old one stands in the file exactly once.
fn unique_change(text: &str, hunk: &Hunk) -> Option<(String, String)> {
    let (old, new) = (side(hunk, '-'), side(hunk, '+'));
    (!old.is_empty() && text.matches(&old).count() == 1).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use swegym_core::Instance;
    use swegym_core::format::instances::{self, UnknownFields};

    fn instance(patch: &str) -> Instance {
        let row = json!({
            "instance_id": "a__b-1", "repo": "a/b", "base_commit": "c", "patch": patch, "test_patch": "",
            "problem_statement": "broken thing", "hints_text": "", "FAIL_TO_PASS": "[]", "PASS_TO_PASS": "[]",
            "version": "1", "created_at": "",
        });
        instances::read("x", &row.to_string(), UnknownFields::Refuse).unwrap().remove(0)
    }

    #[test]
    fn changes_are_edits_and_the_rest_is_for_git() {
        let modify = "diff --git a/f.py b/f.py\n--- a/f.py\n+++ b/f.py\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+B\n";
        let create =
            "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+x\n";
        let rename = "diff --git a/f.py b/g.py\nsimilarity index 100%\nrename from f.py\nrename to g.py\n";
        let files = BTreeMap::from([("f.py".to_owned(), "a\nb".to_owned())]);
        let of = |patch: &str, files: &BTreeMap<String, String>| {
            let instance = instance(patch);
            let lesson = Lesson { instance: &instance, workspace: "/t", files: files.clone(), terse: false };
            of(&lesson).into_iter().map(|r| r.calls[0].1.clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            of(&format!("{modify}{create}"), &files),
            [
                "{\"command\":\"str_replace\",\"path\":\"/t/f.py\",\"old_str\":\"a\\nb\",\"new_str\":\"a\\nB\\n\"}",
                "{\"command\":\"create\",\"path\":\"/t/n.py\",\"file_text\":\"x\\n\"}",
            ]
        );
        assert!(of(rename, &files)[0].contains("git apply"));
        let twice = BTreeMap::from([("f.py".to_owned(), "a\nb\na\nb".to_owned())]);
        assert!(of(modify, &twice)[0].contains("git apply"));
    }
}
