//! A teacher of few words, for policies of few parameters: it reads what the
//! issue names, each line with its number, and writes whole lines by their
//! numbers. What must be copied is a path, a number and an expression
//! (reference/micro-gym.md: copying is what small models learn last).

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use swegym_core::Patch;

use super::{Course, Lesson, finish, shell};
use crate::model::scripted::ScriptedReply;

/// Lines below a `def` that are read with it.
const BODY: usize = 2;

/// What an attempt does on its course.
pub(super) fn replies(lesson: &Lesson<'_>, course: Course, rng: &mut ChaCha8Rng) -> Vec<ScriptedReply> {
    let edits = edits(lesson);
    let look = shell("", &reading(lesson, edits.first()));
    let mut replies = vec![look.clone()];
    match course {
        Course::Resolves => replies.extend(edits.iter().map(Line::write)),
        Course::LeavesHalf => replies.extend(edits.iter().take(edits.len() / 2).map(Line::write)),
        Course::ChangesTheWrongThing => {
            replies.extend(edits.first().map(|edit| wrong(lesson, edit, rng).write()));
        }
        Course::RunsInCircles => replies.extend(std::iter::repeat_n(look, 11)),
        Course::GivesUp => {}
    }
    replies.push(finish(""));
    replies
}

/// A line and what is to stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    path: String,
    number: usize,
    text: String,
}

impl Line {
    fn write(&self) -> ScriptedReply {
        // In single quotes nothing but one of them means anything.
        let text = self.text.replace('\\', "\\\\").replace('\'', "'\\''");
        shell("", &format!("sed -i '{}c\\{text}' {}", self.number, self.path))
    }
}

/// The command that reads what the issue names: the function that is to be
/// edited if it is named, else its file, else every module here.
fn reading(lesson: &Lesson<'_>, edit: Option<&Line>) -> String {
    let issue = &lesson.instance.problem_statement;
    let named = |name: &str| {
        let mut words = issue.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == name)
    };
    if let Some(edit) = edit {
        let text = lesson.files.get(&edit.path).map_or("", String::as_str);
        // The function whose head is above the line, and near.
        let lines: Vec<&str> = text.lines().take(edit.number).collect();
        let above = lines.iter().rev().take(BODY + 1);
        let head = above.filter_map(|line| line.trim_start().strip_prefix("def ")?.split('(').next()).next();
        if let Some(name) = head.filter(|name| named(name)) {
            return format!("grep -n -A{BODY} 'def {name}' *.py");
        }
        if issue.contains(&edit.path) {
            return format!("grep -n . {}", edit.path);
        }
    }
    "grep -n . *.py --exclude='test_*'".to_owned()
}

/// The gold patch line by line, where it replaces lines one by one; nothing
/// else is for so terse a teacher.
fn edits(lesson: &Lesson<'_>) -> Vec<Line> {
    let Ok(patch) = Patch::parse(&lesson.instance.gold_patch) else { return Vec::new() };
    let mut edits = Vec::new();
    for file in &patch.files {
        for hunk in &file.hunks {
            let (mut number, mut removed) = (hunk.old_start, Vec::new());
            for line in &hunk.lines {
                match line.split_at_checked(1) {
                    Some(("-", _)) => {
                        removed.push(number);
                        number += 1;
                    }
                    Some(("+", text)) if !removed.is_empty() => {
                        let (path, text) = (file.path().to_owned(), text.to_owned());
                        edits.push(Line { path, number: removed.remove(0), text });
                    }
                    Some(("\\", _) | ("+", _)) => {}
                    _ => number += 1,
                }
            }
        }
    }
    edits
}

/// The right change at another function, or another function's line here.
fn wrong(lesson: &Lesson<'_>, right: &Line, rng: &mut ChaCha8Rng) -> Line {
    let returns: Vec<(&String, usize, &str)> = lesson
        .files
        .iter()
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(index, line)| (path, index + 1, line)))
        .filter(|(path, number, line)| {
            line.trim_start().starts_with("return ") && (*path != &right.path || *number != right.number)
        })
        .collect();
    match returns.choose(rng) {
        Some((path, number, _)) if rng.random_bool(0.5) => {
            Line { path: (*path).clone(), number: *number, text: right.text.clone() }
        }
        Some((.., line)) => Line { text: (*line).to_owned(), ..right.clone() },
        None => Line { text: "    return None".to_owned(), ..right.clone() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng as _;
    use serde_json::json;
    use swegym_core::format::instances::{self, UnknownFields};

    use super::*;

    #[test]
    fn lines_are_written_by_their_numbers() {
        let patch = "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,3 +1,3 @@\n def f(s):\n     \"\"\"Return it.\"\"\"\n-    return s\n+    return s + 'x\\n'\n";
        let row = json!({
            "instance_id": "a__b-1", "repo": "a/b", "base_commit": "c", "patch": patch, "test_patch": "",
            "problem_statement": "broken", "hints_text": "", "FAIL_TO_PASS": "[]", "PASS_TO_PASS": "[]",
            "version": "1", "created_at": "",
        });
        let instance = instances::read("x", &row.to_string(), UnknownFields::Refuse).unwrap().remove(0);
        let files = BTreeMap::from([(
            "m.py".to_owned(),
            "def f(s):\n    \"\"\"Return it.\"\"\"\n    return s\n".to_owned(),
        )]);
        let lesson = Lesson { instance: &instance, workspace: "/t", files, terse: true };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let commands = |course: Course, rng: &mut ChaCha8Rng| -> Vec<String> {
            let replies = replies(&lesson, course, rng);
            replies.iter().map(|reply| reply.calls[0].1.clone()).collect()
        };
        let resolves = commands(Course::Resolves, &mut rng);
        let expected = json!({"command": "sed -i '3c\\    return s + '\\''x\\\\n'\\''' m.py"}).to_string();
        assert_eq!(resolves[1..], [expected, "{}".to_owned()]);
        assert_eq!(commands(Course::GivesUp, &mut rng).len(), 2);
        assert_eq!(commands(Course::RunsInCircles, &mut rng).len(), 13);
        assert_ne!(commands(Course::ChangesTheWrongThing, &mut rng)[1], resolves[1]);
    }
}
