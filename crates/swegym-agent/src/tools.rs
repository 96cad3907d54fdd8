//! What calls do in the box, and what the model sees of it.

mod commands;
mod editor;
mod text;

use serde_json::{Map, Value, json};
use swegym_core::chat::Tool;
use swegym_core::record::ActionReport;
use swegym_sandbox::{Sandbox, SandboxError};

use crate::catalogue::Catalogue;
use crate::profile::Profile;

pub(crate) use commands::{CommandSettings, Commands};
pub(crate) use editor::Editor;
pub(crate) use text::numbered;

/// The shell that lives on.
pub(crate) const EXECUTE_BASH: &str = "execute_bash";
/// The shell that does not.
pub(crate) const BASH: &str = "bash";
/// The editor.
pub(crate) const EDITOR: &str = "str_replace_editor";
/// The end.
pub(crate) const FINISH: &str = "finish";

/// What an action brought.
#[derive(Debug)]
pub(crate) struct Done {
    /// What the model sees.
    pub(crate) observation: String,
    /// How it went.
    pub(crate) report: ActionReport,
    /// The model hands its work in.
    pub(crate) submits: bool,
}

/// Everything that a scaffold's calls can reach.
pub(crate) struct Toolbox<'a> {
    pub(crate) sandbox: &'a dyn Sandbox,
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) profile: Profile,
    pub(crate) commands: Commands<'a>,
    pub(crate) editor: Option<Editor>,
}

impl Toolbox<'_> {
    /// Carries out one call whose arguments are checked.
    pub(crate) async fn carry_out(
        &mut self,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Done, SandboxError> {
        let mut done = match (tool, &mut self.editor) {
            (FINISH, _) => {
                Done { observation: String::new(), report: ActionReport::default(), submits: true }
            }
            (EDITOR, Some(editor)) => editor.carry_out(self.sandbox, self.catalogue, arguments).await?,
            _ => {
                let command = arguments.get("command").and_then(Value::as_str).unwrap_or_default();
                self.commands.run(self.sandbox, self.catalogue, self.profile, command).await?
            }
        };
        let said = done.observation;
        let shown = text::both_ends(&said, self.profile.observation, |omitted| {
            self.catalogue.say("omitted", [("omitted", omitted.into())])
        });
        done.observation =
            format!("{}{}", self.profile.observation_prefix, shown.as_deref().unwrap_or(&said));
        if shown.is_some() {
            done.report.raw = Some(said);
        }
        Ok(done)
    }
}

fn tool(name: &str, description: &str, properties: &Value, required: &[&str]) -> Tool {
    let parameters = json!({"type": "object", "properties": properties, "required": required});
    Tool { name: name.into(), description: description.into(), parameters: parameters.as_object().cloned() }
}

pub(crate) fn session_tool() -> Tool {
    let description = "Runs a command in a bash that lives on from call to call, with its folder and variables.\n\
        * Nothing can be typed into a running command: its input is empty.\n\
        * A command that takes too long is stopped. Run such commands in the background with their output in a file, for example `python server.py > server.log 2>&1 &`.";
    let command = json!({"command": {"type": "string", "description": "The command: anything that bash reads, of one line or many."}});
    tool(EXECUTE_BASH, description, &command, &["command"])
}

pub(crate) fn attended_session_tool() -> Tool {
    let description = "Runs a command in a bash that lives on from call to call, with its folder and variables.\n\
        * The exit code -1 says that the command is still running. An empty `command` then shows what it has printed since, `ctrl+c` interrupts it, `ctrl+d` ends its input, and any other text is typed in as a line; nothing else is run before it is over.\n\
        * A command that takes much too long is stopped. Run such commands in the background with their output in a file, for example `python server.py > server.log 2>&1 &`.";
    let command = json!({"command": {"type": "string", "description": "The command: anything that bash reads; while one is running, what it is given."}});
    tool(EXECUTE_BASH, description, &command, &["command"])
}

pub(crate) fn fresh_shell_tool() -> Tool {
    let command = json!({"command": {"type": "string", "description": "The command."}});
    tool(BASH, "Runs a command in a fresh bash.", &command, &["command"])
}

pub(crate) fn finish_tool() -> Tool {
    let description = "Ends the work: the task is done, or you cannot go on.";
    Tool { name: FINISH.into(), description: description.into(), parameters: None }
}

pub(crate) fn editor_tool() -> Tool {
    let description = "Views, creates and edits files of text.\n\
        * `view` shows a file with line numbers, or a folder two levels deep.\n\
        * `create` writes a new file; it does not overwrite.\n\
        * `str_replace` replaces `old_str`, which must occur in the file exactly once, to the blank, by `new_str`.\n\
        * `insert` puts `new_str` after the line `insert_line`.\n\
        * `undo_edit` takes the last edit of the file back.\n\
        Long files are cut; `view_range` shows the rest.";
    let properties = json!({
        "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert", "undo_edit"],
            "description": "What to do."},
        "path": {"type": "string", "description": "Absolute path of the file or folder."},
        "file_text": {"type": "string", "description": "For `create`: the whole file."},
        "old_str": {"type": "string", "description": "For `str_replace`: what is there now."},
        "new_str": {"type": "string", "description": "For `str_replace` and `insert`: what is to be there."},
        "insert_line": {"type": "integer", "description": "For `insert`: the line before the new text; 0 is the top."},
        "view_range": {"type": "array", "items": {"type": "integer"},
            "description": "For `view`: first and last line, for example [11, 20]; [11, -1] is from 11 to the end."},
    });
    tool(EDITOR, description, &properties, &["command", "path"])
}
