//! An example of the work, shown before the task to models whose calls are text
//! (reference/agents.md, section 2). It is part of what is asked, and not of the
//! conversation: nobody learns it.

use minijinja::context;
use serde_json::{Map, Value};
use swegym_core::calls::text;
use swegym_core::chat::{Message, Role, ToolCall};

use super::render;
use crate::catalogue::Catalogue;
use crate::profile::Profile;
use crate::tools::{EDITOR, EXECUTE_BASH, numbered};

const TURNS: &str = include_str!("../../prompts/example.toml");

/// How the example and the task stand together; a user's file can replace it.
pub(super) const FRAME: &str = include_str!("../../prompts/example.txt");

/// Where the task goes, until it is known.
const PLACE: &str = "\u{0}";

/// What stands before and after the task.
#[derive(Debug)]
pub struct Example {
    before: String,
    after: String,
}

impl Example {
    /// Our example in the texts of a scaffold with shell and editor, in a frame.
    ///
    /// # Errors
    /// In words: the frame is no template, or has no place for the task.
    pub(super) fn new(frame: &str, profile: Profile, catalogue: &Catalogue) -> Result<Self, String> {
        let example = work(profile, catalogue)?;
        let framed = render("example.txt", frame, &context! { example, task => PLACE })?;
        match framed.split(PLACE).collect::<Vec<_>>()[..] {
            [before, after] => Ok(Self { before: before.to_owned(), after: after.to_owned() }),
            [_] => Err("example.txt: it has no place for the {{ task }}".to_owned()),
            _ => Err("example.txt: it has more than one place for the {{ task }}".to_owned()),
        }
    }

    /// Puts it around the task, which is the first that the user says.
    pub(crate) fn show(&self, messages: &mut [Message]) {
        if let Some(task) = messages.iter_mut().find(|m| m.role == Role::User) {
            task.content = format!("{}{}{}", self.before, task.content, self.after);
        }
    }
}

/// The work of the example, as a person would read it.
fn work(profile: Profile, catalogue: &Catalogue) -> Result<String, String> {
    let file: Value = toml::from_str(TURNS).map_err(|e| format!("the example: {}", e.message()))?;
    let mut messages = vec![Message::of(Role::User, file["task"].as_str().unwrap_or_default())];
    for turn in file["turns"].as_array().into_iter().flatten().filter_map(Value::as_object) {
        let says = turn["says"].as_str().unwrap_or_default();
        let call = call(turn);
        let seen = observation(turn, profile, catalogue);
        messages.push(Message::assistant(says, vec![call.clone()]));
        messages.extend(seen.map(|seen| Message::answer(&call, seen)));
    }
    let told = text::conversation(&messages, &[], "").map_err(|e| format!("the example: {e}"))?;
    let speaker = |role| if role == Role::Assistant { "ASSISTANT" } else { "USER" };
    let told = told.iter().map(|m| format!("{}:\n{}", speaker(m.role), m.content.trim_end()));
    Ok(told.collect::<Vec<_>>().join("\n\n"))
}

fn call(turn: &Map<String, Value>) -> ToolCall {
    // In the order in which the tool is described.
    let names = ["command", "path", "file_text", "old_str", "new_str"];
    let argument = |name: &str| {
        let text = turn.get(name)?.as_str()?.trim_start_matches('\n');
        Some((name.to_owned(), Value::from(text)))
    };
    let arguments: Map<_, _> = names.into_iter().filter_map(argument).collect();
    let name = turn["tool"].as_str().unwrap_or_default().to_owned();
    ToolCall { id: String::new(), name, arguments: Value::Object(arguments).to_string() }
}

/// What the model would see, after all turns but the last.
fn observation(turn: &Map<String, Value>, profile: Profile, catalogue: &Catalogue) -> Option<String> {
    let text = |name: &str| turn.get(name).and_then(Value::as_str).unwrap_or_default();
    let path = ("path", text("path").into());
    let seen = match (text("tool"), text("command")) {
        (EXECUTE_BASH, _) => catalogue.say(
            "command_output",
            [
                ("output", text("output").into()),
                ("exit_code", 0.into()),
                ("note", "".into()),
                ("folder", "/workspace".into()),
                ("python", "/usr/bin/python3".into()),
            ],
        ),
        (EDITOR, "create") => catalogue.say("created", [path]),
        (EDITOR, _) => {
            let first = turn.get("first_line").and_then(Value::as_u64).unwrap_or(1) as usize;
            let lines = numbered(text("lines").trim_start_matches('\n').lines(), first);
            catalogue.say("edited", [path, ("lines", lines.into())])
        }
        _ => return None,
    };
    Some(format!("{}{seen}", profile.observation_prefix))
}
