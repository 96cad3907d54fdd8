//! Attempts as rows of JSON Lines: `messages`, and what is known beside them,
//! as `swegym export` writes them and the field's datasets hold them.

use serde_json::Value;
use swegym_core::chat::{Message, Tool};
use swegym_core::wire::openai::{read_message, read_tool};

/// One attempt's conversation.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    /// What was said.
    pub messages: Vec<Message>,
    /// The tools, where they are native.
    pub tools: Vec<Tool>,
    /// Turns of the assistant that are not to be learnt, from 0.
    pub skip_turns: Vec<usize>,
    /// Turns of the assistant that a limit cut, from 0.
    pub cut_turns: Vec<usize>,
    /// Which instance.
    pub instance_id: String,
    /// Its repository.
    pub repo: Option<String>,
    /// Which attempt at it.
    pub attempt: u32,
    /// Who answered.
    pub model: Option<String>,
    /// The change that it left: `model_patch`, or `test_result.git_patch`.
    pub patch: String,
    /// Whether it resolves the instance, where that is known.
    pub resolved: Option<bool>,
}

impl Conversation {
    /// Reads a line.
    ///
    /// # Errors
    /// It is not JSON, or has no conversation. The text says what is wrong.
    pub fn read(line: &str) -> Result<Self, String> {
        let row: Value = swegym_core::json::from_str(line).map_err(|e| format!("not valid JSON: {e}"))?;
        let list = |key: &str| row[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let messages: Result<Vec<Message>, _> = list("messages").iter().map(read_message).collect();
        let tools: Result<Vec<Tool>, _> = list("tools").iter().map(read_tool).collect();
        let (messages, tools) = (messages.map_err(|e| e.to_string())?, tools.map_err(|e| e.to_string())?);
        if messages.is_empty() {
            return Err("the field `messages` is missing or empty".to_owned());
        }
        let turns = |key: &str| -> Vec<usize> {
            list(key).iter().filter_map(Value::as_u64).map(|turn| turn as usize).collect()
        };
        let text = |pointer: &str| row.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            skip_turns: turns("skip_turns"),
            cut_turns: turns("cut_turns"),
            instance_id: text("/instance_id").unwrap_or_default(),
            repo: text("/repo"),
            attempt: row["attempt"].as_u64().unwrap_or(0) as u32,
            model: text("/model"),
            patch: text("/model_patch").or_else(|| text("/test_result/git_patch")).unwrap_or_default(),
            resolved: row["resolved"].as_bool(),
            messages,
            tools,
        })
    }
}

/// A line that gives no row, from 1, and why.
pub type Refused = (usize, String);

/// Makes something of every line of a file on all cores, in order. Lines that
/// cannot be used come back with their numbers.
pub fn each<T: Send>(
    text: &str,
    make: impl Fn(Conversation) -> Result<T, String> + Sync,
) -> (Vec<T>, Vec<Refused>) {
    use rayon::prelude::*;
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    let read = |(index, line): &(usize, &str)| {
        Conversation::read(line).and_then(&make).map_err(|problem| (index + 1, problem))
    };
    let found: Vec<Result<T, Refused>> = lines.par_iter().map(read).collect();
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for result in found {
        match result {
            Ok(row) => rows.push(row),
            Err(problem) => refused.push(problem),
        }
    }
    (rows, refused)
}
