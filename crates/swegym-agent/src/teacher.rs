//! Teachers: scripts made from the gold patch, so that everything after a
//! rollout can be run, and taught, without a model.
//!
//! `gold` looks, edits and hands in. `noisy-expert` does the same as students
//! do: it searches first, miscalls tools, mends its slips, and sometimes
//! repeats itself, changes the wrong thing, or gives up. What it does follows
//! from seed, instance and attempt alone.

mod edits;
mod terse;

use std::collections::BTreeMap;

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use swegym_core::{Digest, Instance, Patch};

use crate::model::scripted::{Script, ScriptedReply};
use crate::tools::{EDITOR, EXECUTE_BASH, FINISH};

/// What a teacher knows.
pub struct Lesson<'a> {
    /// The problem, with its gold patch.
    pub instance: &'a Instance,
    /// The repository in the box.
    pub workspace: &'a str,
    /// The files that the gold patch changes, as they are before it.
    pub files: BTreeMap<String, String>,
    /// Whether it says nothing, and edits by line: see [`terse`].
    pub terse: bool,
}

/// Paths whose text a teacher wants to know.
#[must_use]
pub fn wanted_files(instance: &Instance) -> Vec<String> {
    let patch = Patch::parse(&instance.gold_patch);
    patch.map_or(Vec::new(), |p| p.files.iter().filter_map(|f| f.old_path.clone()).collect())
}

fn finish(words: &str) -> ScriptedReply {
    ScriptedReply::call(words, FINISH, &json!({}))
}

fn shell(words: &str, command: &str) -> ScriptedReply {
    ScriptedReply::call(words, EXECUTE_BASH, &json!({"command": command}))
}

/// The script that applies the gold patch.
#[must_use]
pub fn gold(lesson: &Lesson<'_>) -> Script {
    if lesson.terse {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        return Script::for_all(terse::replies(lesson, Course::Resolves, &mut rng));
    }
    let mut replies: Vec<_> = views(lesson).collect();
    replies.extend(edits::of(lesson));
    replies.push(finish("The issue is resolved."));
    Script::for_all(replies)
}

fn views<'a>(lesson: &'a Lesson<'_>) -> impl Iterator<Item = ScriptedReply> + 'a {
    lesson.files.keys().map(|path| {
        let place = format!("{}/{path}", lesson.workspace);
        ScriptedReply::call(
            "I read the code that the issue is about.",
            EDITOR,
            &json!({"command": "view", "path": place}),
        )
    })
}

/// How a noisy attempt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Resolves,
    ChangesTheWrongThing,
    LeavesHalf,
    RunsInCircles,
    GivesUp,
}

/// The script of a noisy attempt. `noise` is the share of attempts that go
/// wrong, from 0 to 1.
#[must_use]
pub fn noisy_expert(lesson: &Lesson<'_>, seed: u64, attempt: u32, noise: f64) -> Script {
    let id = lesson.instance.instance_id.as_str();
    let digest = Digest::of(format!("noisy-expert@1 {seed} {id} {attempt}").as_bytes());
    let seed = u64::from_str_radix(&digest.short(), 16).unwrap_or(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let course = if rng.random_bool(noise.clamp(0.0, 1.0)) {
        let wrong =
            [Course::ChangesTheWrongThing, Course::LeavesHalf, Course::RunsInCircles, Course::GivesUp];
        *wrong.choose(&mut rng).unwrap_or(&Course::GivesUp)
    } else {
        Course::Resolves
    };
    if lesson.terse {
        return Script::for_all(terse::replies(lesson, course, &mut rng));
    }
    let mut replies = search(lesson, &mut rng);
    if rng.random_bool(0.4) {
        replies.push(slip(lesson, &mut rng));
    }
    replies.extend(views(lesson));
    let edits = edits::of(lesson);
    match course {
        Course::Resolves => replies.extend(edits),
        Course::ChangesTheWrongThing => replies.push(wrong_edit(lesson)),
        Course::LeavesHalf => {
            let half = edits.len() / 2;
            replies.extend(edits.into_iter().take(half));
        }
        Course::RunsInCircles => {
            let same = shell(
                "I look for it once more.",
                &format!("grep -rn {} . | head -5", word(lesson, &mut rng)),
            );
            replies.extend(std::iter::repeat_n(same, 12));
        }
        Course::GivesUp => {}
    }
    if rng.random_bool(0.6) {
        replies.push(shell("I run the tests.", "python -m pytest -q 2>&1 | tail -n 5"));
    }
    if rng.random_bool(0.15) {
        let words = "I think that this is all there is to do.".to_owned();
        replies.push(ScriptedReply { content: words, ..ScriptedReply::default() });
    }
    replies.push(finish(if course == Course::GivesUp { "I cannot find it." } else { "That is the change." }));
    Script::for_all(replies)
}

/// Looking around, as one does who does not know where to look.
fn search(lesson: &Lesson<'_>, rng: &mut ChaCha8Rng) -> Vec<ScriptedReply> {
    let mut replies = vec![shell("First I look around.", "git log --oneline | head -3; ls")];
    for _ in 0..rng.random_range(0..3) {
        let command = format!("grep -rnI --include='*.py' -- {} . | head -20", word(lesson, rng));
        replies.push(shell("I search for what the issue names.", &command));
    }
    if rng.random_bool(0.3) {
        let script = "python - <<'EOF'\nimport sys\nprint(sys.version)\nEOF";
        replies.push(shell("I check the interpreter.", script));
    }
    replies
}

/// A name out of the issue, safe in a shell.
fn word(lesson: &Lesson<'_>, rng: &mut ChaCha8Rng) -> String {
    let statement = &lesson.instance.problem_statement;
    let words = statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: Vec<&str> = words.filter(|w| w.len() > 4).collect();
    (*names.choose(rng).unwrap_or(&"def")).to_owned()
}

/// A call that cannot be carried out.
fn slip(lesson: &Lesson<'_>, rng: &mut ChaCha8Rng) -> ScriptedReply {
    let words = "I read the code.";
    match rng.random_range(0..4) {
        0 => ScriptedReply::call(words, "open_file", &json!({"path": lesson.workspace})),
        1 => ScriptedReply::call(words, EDITOR, &json!({"path": lesson.workspace})),
        2 => ScriptedReply {
            content: words.to_owned(),
            calls: vec![(EXECUTE_BASH.to_owned(), "{\"command\": \"ls".to_owned())],
            ..ScriptedReply::default()
        },
        _ => {
            let path = format!("{}/no/such/file.py", lesson.workspace);
            ScriptedReply::call(words, EDITOR, &json!({"command": "view", "path": path}))
        }
    }
}

/// A change that mends nothing: a comment on top of the right file.
fn wrong_edit(lesson: &Lesson<'_>) -> ScriptedReply {
    let words = "This should do.";
    match lesson.files.keys().next() {
        Some(path) => {
            let place = format!("{}/{path}", lesson.workspace);
            let note = "# Looked at; nothing to mend here.";
            let arguments = json!({"command": "insert", "path": place, "insert_line": 0, "new_str": note});
            ScriptedReply::call(words, EDITOR, &arguments)
        }
        None => shell(words, "echo '# nothing to mend' > NOTES.txt"),
    }
}
