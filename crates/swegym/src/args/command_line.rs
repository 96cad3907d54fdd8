//! The command line as it was typed. A run's folder keeps it, so that `--resume`
//! needs no other flag than the folder.
//!
//! What is typed beside `--resume` wins over what is kept; whether the two agree is
//! the run's to say, which knows what may change. A command that is typed with all that
//! its verb requires counts as it is typed: so a limit can be left away, too.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};
use swegym_core::format::run::{self, COMMAND};

const VERSION: u64 = 1;

/// Flags that say how and where, and not what: they are not kept.
const PASSING: [&str; 4] = ["out", "resume", "json", "quiet"];

/// A verb and the flags that were typed for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CommandLine {
    /// All its words: `train sft`.
    pub(crate) verb: String,
    /// The values of each flag, by its name; of what has no flag, by its place's.
    flags: Map<String, Value>,
    /// Flags whose value holds a password: they must be typed again.
    secret: Vec<String>,
    /// Some value is no text, so that no file can keep it.
    is_lossy: bool,
}

impl CommandLine {
    /// What was typed, of a command whose flags were matched.
    pub(crate) fn of(command: &Command, matches: &ArgMatches) -> Self {
        let (command, matches, verb) = leaf(command, matches);
        let mut line = Self { verb, ..Self::default() };
        for arg in command.get_arguments().filter(|arg| !PASSING.contains(&arg.get_id().as_str())) {
            let Some(values) = typed(matches, arg) else { continue };
            let texts: Option<Vec<&str>> = values.iter().map(|value| value.to_str()).collect();
            match texts {
                None => line.is_lossy = true,
                Some(texts) if texts.iter().any(|text| holds_password(text)) => line.secret.push(name(arg)),
                Some(texts) => drop(line.flags.insert(name(arg), json!(texts))),
            }
        }
        line
    }

    /// What goes on with a run in this folder.
    pub(crate) fn again(&self, folder: &Path) -> String {
        let secret: String = self.secret.iter().map(|name| format!(" --{name} …")).collect();
        format!("swegym {} --resume --out {}{secret}", self.verb, quoted(folder))
    }

    /// The text of [`COMMAND`]; nothing where it could not be read back.
    pub(crate) fn text(&self) -> Option<String> {
        let value = json!({"version": VERSION, "verb": self.verb, "flags": self.flags});
        (!self.is_lossy).then(|| format!("{value:#}\n"))
    }

    /// What a folder's run was begun with; nothing where it does not say.
    fn read(folder: &Path) -> Option<Self> {
        let value: Value = serde_json::from_slice(&fs::read(folder.join(COMMAND)).ok()?).ok()?;
        let flags = value["flags"].as_object().filter(|_| value["version"] == VERSION)?;
        Some(Self { verb: value["verb"].as_str()?.to_owned(), flags: flags.clone(), ..Self::default() })
    }

    /// The same of a run from before folders kept it, as far as its settings say.
    fn of_settings(folder: &Path, command: &Command) -> Option<Self> {
        let head = run::read("run.json", &fs::read_to_string(folder.join("run.json")).ok()?).ok()?;
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut flags = Map::new();
        for (key, value) in &head.settings {
            let key = key.replace('_', "-");
            let is_known = command.get_arguments().any(|arg| name(arg) == key);
            let (key, values) = match (key.as_str(), value) {
                (_, Value::Null | Value::Bool(false)) => continue,
                ("terse", _) => ("prompts".to_owned(), vec!["terse".to_owned()]),
                _ if !is_known => continue,
                // Behind its name is the version of what it does.
                ("scaffold", Value::String(word)) => {
                    (key, word.split('@').take(1).map(str::to_owned).collect())
                }
                (_, Value::Array(items)) => (key, items.iter().map(text).collect()),
                (_, value) => (key, vec![text(value)]),
            };
            flags.insert(key, json!(values));
        }
        Some(Self { verb: head.verb, flags, ..Self::default() })
    }

    /// The words of the flags that `typed` does not have.
    fn words_beside(&self, command: &Command, typed: &Self) -> Vec<OsString> {
        let mut words = Vec::new();
        for arg in command.get_arguments() {
            let name = name(arg);
            let of = |flags: &Map<String, Value>| flags.get(&name).cloned();
            let values = of(&self.flags).filter(|_| {
                of(&typed.flags).is_none()
                    && !typed.secret.contains(&name)
                    && !contradicts(command, arg, typed)
            });
            for value in values.as_ref().and_then(Value::as_array).into_iter().flatten() {
                let value = value.as_str().unwrap_or_default();
                words.push(match (arg.get_long(), arg.get_action()) {
                    (None, _) => value.into(),
                    (Some(long), ArgAction::SetTrue) => format!("--{long}").into(),
                    (Some(long), _) => format!("--{long}={value}").into(),
                });
            }
        }
        words
    }
}

/// Whether a flag cannot stand beside one that was typed.
fn contradicts(command: &Command, arg: &Arg, typed: &CommandLine) -> bool {
    let is_typed = |other: &&Arg| typed.flags.contains_key(&name(other));
    let excludes = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|found| found.get_id() == other.get_id())
    };
    command.get_arguments().filter(is_typed).any(|other| excludes(arg, other) || excludes(other, arg))
}

/// The words with those of the run that `--resume` names.
pub(crate) fn completed(command: &Command, words: Vec<OsString>) -> Vec<OsString> {
    let mut lenient = lenient(command.clone());
    lenient.build();
    let Ok(matches) = lenient.clone().try_get_matches_from(&words) else { return words };
    let (leaf_command, leaf_matches, _) = leaf(&lenient, &matches);
    let is_set = |id: &str| leaf_command.get_arguments().any(|arg| arg.get_id() == id);
    if !is_set("resume") || !is_set("out") || !leaf_matches.get_flag("resume") {
        return words;
    }
    let typed = CommandLine::of(&lenient, &matches);
    if is_whole(command, &typed) {
        return words;
    }
    let Some(folder) = leaf_matches.get_one::<PathBuf>("out") else { return words };
    let kept = CommandLine::read(folder).or_else(|| CommandLine::of_settings(folder, leaf_command));
    let Some(kept) = kept.filter(|kept| kept.verb == typed.verb) else { return words };
    // Behind `--`, flags are none.
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let mut completed = words[..end].to_vec();
    completed.extend(kept.words_beside(leaf_command, &typed));
    completed.extend_from_slice(&words[end..]);
    completed
}

/// Whether a verb requires something, and all of that was typed.
fn is_whole(command: &Command, typed: &CommandLine) -> bool {
    let words = typed.verb.split(' ');
    let Some(verb) = words.into_iter().try_fold(command, |group, word| group.find_subcommand(word)) else {
        return false;
    };
    let mut required = verb.get_arguments().filter(|arg| arg.is_required_set()).peekable();
    required.peek().is_some() && required.all(|arg| typed.flags.contains_key(&name(arg)))
}

/// Whether the words ask for JSON, even if they do not fit otherwise.
pub(crate) fn asks_for_json(words: &[OsString]) -> bool {
    words.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// The same command, whose flags may all be left away.
fn lenient(command: Command) -> Command {
    command.mut_args(|arg| arg.required(false)).mut_subcommands(lenient)
}

/// The innermost verb, with its matches and its words.
fn leaf<'a>(command: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches, String) {
    let (mut command, mut matches, mut verb) = (command, matches, Vec::new());
    while let Some((name, inner)) = matches.subcommand()
        && let Some(found) = command.find_subcommand(name)
    {
        verb.push(name);
        (command, matches) = (found, inner);
    }
    (command, matches, verb.join(" "))
}

/// The values that were typed for a flag.
fn typed<'a>(matches: &'a ArgMatches, arg: &Arg) -> Option<Vec<&'a OsStr>> {
    let id = arg.get_id().as_str();
    // Flags of help and version have no value to ask for.
    let is_known = matches.ids().any(|known| known == arg.get_id());
    if !is_known || matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return Some(vec![OsStr::new("true")]);
    }
    Some(matches.get_raw(id)?.collect())
}

fn name(arg: &Arg) -> String {
    arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned()
}

/// Whether a value has an address with a user in it.
fn holds_password(value: &str) -> bool {
    let behind = value.split("://").skip(1);
    behind.filter_map(|rest| rest.split(['/', '?', '#']).next()).any(|host| host.contains('@'))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=+:@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) && !text.starts_with('-') {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::command;

    fn read(words: &[&str]) -> (Command, ArgMatches) {
        let mut command = lenient(command());
        command.build();
        let words = ["swegym"].iter().chain(words);
        let matches = command.clone().try_get_matches_from(words).unwrap();
        (command, matches)
    }

    fn of(words: &[&str]) -> CommandLine {
        let (command, matches) = read(words);
        CommandLine::of(&command, &matches)
    }

    /// The words of a command in this folder, once with what it keeps.
    fn completed_in(folder: &Path, words: &str) -> Vec<String> {
        let mut typed: Vec<OsString> = vec!["swegym".into()];
        typed.extend(words.split_whitespace().map(OsString::from));
        typed.extend(["--out".into(), folder.into()]);
        let done = completed(&command(), typed.clone());
        done[typed.len()..].iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_has_the_flags_that_are_not_typed_again() {
        let folder = tempfile::tempdir().unwrap();
        let line = of(&[
            "--json",
            "--cores",
            "2",
            "rollout",
            "--instances",
            "a b.jsonl",
            "--evaluate",
            "--extra",
            "{\"top_k\": 20}",
            "--attempts=4",
            "--out",
            "x",
        ]);
        fs::write(folder.path().join(COMMAND), line.text().unwrap()).unwrap();
        let all =
            ["--instances=a b.jsonl", "--attempts=4", "--evaluate", "--extra={\"top_k\": 20}", "--cores=2"];
        let mut found = completed_in(folder.path(), "rollout --resume");
        found.sort();
        let mut expected = all.map(str::to_owned).to_vec();
        expected.sort();
        assert_eq!(found, expected);
        assert!(
            !completed_in(folder.path(), "rollout --resume --attempts 8").contains(&"--attempts=4".into())
        );
        // Another verb, a run that begins, or a command that is typed in full has its own flags alone.
        assert!(completed_in(folder.path(), "rollout --resume --instances b").is_empty());
        assert!(completed_in(folder.path(), "evaluate --resume").is_empty());
        assert!(completed_in(folder.path(), "rollout").is_empty());
    }

    #[test]
    fn words_without_a_flag_and_lists_come_back_and_what_excludes_them_wins() {
        let folder = tempfile::tempdir().unwrap();
        let keep =
            |words: &[&str]| fs::write(folder.path().join(COMMAND), of(words).text().unwrap()).unwrap();
        keep(&["build", "one==1", "./two", "--network", "none"]);
        assert_eq!(completed_in(folder.path(), "build --resume"), ["one==1", "./two", "--network=none"]);
        assert!(completed_in(folder.path(), "build one==1 --resume").is_empty());
        keep(&["quickstart", "one==1", "--candidates", "3"]);
        assert_eq!(completed_in(folder.path(), "quickstart --resume"), ["one==1", "--candidates=3"]);
        keep(&["train", "verifier", "--model", "m", "--data", "a", "b", "--shown", "patch"]);
        let found = completed_in(folder.path(), "train verifier --resume");
        assert_eq!(found, ["--model=m", "--data=a", "--data=b", "--shown=patch"]);
        let found = completed_in(folder.path(), "train verifier --resume --template t");
        assert_eq!(found, ["--model=m", "--data=a", "--data=b"]);
        // Not even a text of blanks and quotes is taken apart.
        keep(&["improve", "--model", "m", "--instances", "i", "--measure", "n", "--train", "--lora 4 'x'"]);
        assert!(completed_in(folder.path(), "improve --resume").contains(&"--train=--lora 4 'x'".into()));
    }

    #[test]
    fn passwords_are_not_kept_and_the_line_to_go_on_can_be_typed() {
        let line = of(&["build", "one", "--index-url", "https://me:secret@index.example/simple"]);
        assert!(!line.text().unwrap().contains("secret"));
        let again = line.again(Path::new("my runs/it's"));
        assert_eq!(again, "swegym build --resume --out 'my runs/it'\\''s' --index-url …");
        assert_eq!(of(&["quickstart"]).again(Path::new("r/1")), "swegym quickstart --resume --out r/1");
        for (value, is_secret) in [
            ("https://user@host/x", true),
            ("name=https://a:b@h", true),
            ("https://host/@scope/x", false),
            ("me@example.org", false),
        ] {
            assert_eq!(holds_password(value), is_secret, "{value}");
        }
    }
}
