//! Random sessions with an editor: files, and commands that mostly fit them.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Lines that repeat one another, have tabs, carriage returns and wide letters.
const LINES: [&str; 12] =
    ["x = 1", "def f():", "\treturn x", "    return y", "", "é ü", "x = 1", "a\tb", "# end", "  ", "\r", "x"];
/// What commands are about; `.` is the folder itself.
const PLACES: [&str; 8] = ["a.py", "b.txt", "a.py", "b.txt", "sub/c.mk", ".", "none.txt", "new/folder.txt"];
const RANGES: [&[i64]; 11] =
    [&[], &[1, 2], &[2, -1], &[0, 3], &[3, 2], &[1, 99], &[5, 5], &[1], &[-1, 2], &[2, 3], &[1, -1]];

/// Files to begin with, and commands with paths below no root yet. `rm` is not
/// the editor's.
pub(crate) struct Session {
    pub(crate) files: Vec<(&'static str, String)>,
    pub(crate) commands: Vec<Value>,
}

impl Session {
    pub(crate) fn draw(seed: u64, count: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let files = vec![
            ("a.py", text(&mut random, 8)),
            ("b.txt", text(&mut random, 5)),
            ("sub/c.mk", "all:\n\techo hi\n\techo ho\n".to_owned()),
        ];
        let commands = (0..count).map(|_| command(&mut random, &files)).collect();
        Self { files, commands }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"files": self.files, "commands": self.commands})
    }

    /// The commands with paths below a folder.
    pub(crate) fn at(&self, root: &str) -> Vec<Value> {
        let placed = |command: &Value| {
            let mut command = command.clone();
            let name = command["path"].as_str().unwrap();
            command["path"] = json!(match name.strip_prefix("relative/") {
                Some(_) => name.to_owned(),
                None => format!("{root}/{name}").trim_end_matches("/.").to_owned(),
            });
            command
        };
        self.commands.iter().map(placed).collect()
    }
}

fn text(random: &mut ChaCha8Rng, lines: usize) -> String {
    let count = random.random_range(0..=lines);
    let lines: Vec<&str> = (0..count).map(|_| *LINES.choose(random).unwrap()).collect();
    lines.join("\n") + if random.random_bool(0.6) { "\n" } else { "" }
}

/// Some piece of a file as it began, or a line that may be in it.
fn piece(random: &mut ChaCha8Rng, file: Option<&String>) -> String {
    let letters: Vec<char> = file.map(|text| text.chars().collect()).unwrap_or_default();
    if letters.is_empty() || random.random_bool(0.2) {
        // Nothing is everywhere: the older reference writes, and then breaks.
        return LINES.choose(random).filter(|line| !line.is_empty()).unwrap_or(&"x").to_string();
    }
    let start = random.random_range(0..letters.len());
    let end = (start + random.random_range(1..14)).min(letters.len());
    letters[start..end].iter().collect()
}

fn command(random: &mut ChaCha8Rng, files: &[(&'static str, String)]) -> Value {
    let place = *PLACES.choose(random).unwrap();
    let file = files.iter().find(|(name, _)| *name == place).map(|(_, text)| text);
    let mut command = match random.random_range(0..14) {
        0 => json!({"command": "rm"}),
        1..3 => json!({"command": "view"}),
        3..5 => json!({"command": "create", "file_text": text(random, 4)}),
        5..9 => {
            let old = piece(random, file);
            let same = random.random_bool(0.1);
            let new = if same { old.clone() } else { text(random, 2) };
            json!({"command": "str_replace", "old_str": old, "new_str": new})
        }
        9..12 => {
            json!({"command": "insert", "insert_line": random.random_range(-1..9), "new_str": text(random, 2)})
        }
        _ => json!({"command": "undo_edit"}),
    };
    if command["command"] == "view" && random.random_bool(0.6) {
        command["view_range"] = json!(RANGES.choose(random).unwrap());
    }
    if random.random_bool(0.05) {
        let fields = command.as_object_mut().unwrap();
        // The references take no `new_str` for an empty one, and delete; ours asks for it.
        let replaces = fields["command"] == "str_replace";
        let may_go = |key: &&String| *key != "command" && !(replaces && *key == "new_str");
        let optional = fields.keys().filter(may_go).cloned().collect::<Vec<_>>();
        if let Some(key) = optional.choose(random) {
            fields.remove(key);
        }
    }
    command["path"] = json!(if random.random_bool(0.05) { "relative/a.py" } else { place });
    command
}
