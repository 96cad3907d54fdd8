//! Attempts as conversations: OpenAI messages and tools, one row per attempt.

use std::path::Path;

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_core::calls::text;
use swegym_core::chat::{CallForm, Message};
use swegym_core::wire::openai::{message_json, tool_json};
use swegym_core::{Class, StopReason, Trajectory, Verdict};
use swegym_train::mask::Mask;

use crate::run_view::Record;

/// How conversations are shown.
#[derive(Debug, Clone)]
pub struct Form {
    /// How calls are written; as they travelled where nothing is said.
    pub calls: Option<CallForm>,
    /// What introduces tools where calls are text and were not.
    pub instructions: String,
}

impl Form {
    /// From the flags `--calls` and `--prompts`.
    pub fn of(calls: Option<CallForm>, prompts: Option<&Path>) -> Result<Self, CommandError> {
        if prompts == Some(Path::new(text::TERSE)) {
            return Ok(Self { calls, instructions: String::new() });
        }
        let own = prompts.map(|folder| folder.join("text_tools.txt")).filter(|path| path.is_file());
        let own = own.map(|path| swegym_console::text::read(&path));
        let instructions = own.transpose()?.unwrap_or_else(|| text::INSTRUCTIONS.to_owned());
        Ok(Self { calls, instructions })
    }

    /// The form of an attempt's calls.
    pub fn calls(&self, attempt: &Trajectory) -> CallForm {
        self.calls.unwrap_or(attempt.head.calls)
    }
}

/// The conversation of an attempt in a form.
pub fn conversation(attempt: &Trajectory, form: &Form) -> Vec<Message> {
    if form.calls(attempt) == CallForm::Native {
        return attempt.messages.clone();
    }
    let words = text::broken_as_words(&attempt.messages);
    let mut told = text::conversation(&words, &attempt.head.tools, &form.instructions).unwrap_or(words);
    // Where calls travelled as text, the model was told so in words that the
    // record has.
    let sent = serde_json::from_str::<Value>(&attempt.last_request).unwrap_or_default();
    let system =
        sent.pointer("/messages/0").filter(|m| m["role"] == "system" && attempt.head.calls == CallForm::Text);
    if let (Some(told), Some(sent)) = (told.first_mut(), system.and_then(|m| m["content"].as_str())) {
        sent.clone_into(&mut told.content);
    }
    told
}

/// What is learnt of the conversation of an attempt in a form, by what is learnt
/// of the attempt: a form may make several turns of one.
pub(super) fn mask_of(attempt: &Trajectory, form: &Form, mask: &Mask) -> Mask {
    if form.calls(attempt) == CallForm::Native {
        return mask.clone();
    }
    mask.in_words(&attempt.messages)
}

/// The row of an attempt, with the turns that `mask` leaves out or knows to be cut.
pub(super) fn row(record: &Record, verdict: Option<Verdict>, form: &Form, mask: &Mask) -> Value {
    let Record { attempt, repo, .. } = record;
    let head = &attempt.head;
    let mut row = Map::new();
    row.insert("instance_id".into(), json!(head.instance_id.as_str()));
    row.insert("repo".into(), json!(repo));
    row.insert("attempt".into(), json!(head.attempt));
    row.insert("messages".into(), conversation(attempt, form).iter().map(message_json).collect());
    if form.calls(attempt) == CallForm::Native {
        row.insert("tools".into(), head.tools.iter().map(tool_json).collect());
    }
    let Mask { skip, cut, .. } = mask_of(attempt, form, mask);
    for (name, turns) in [("skip_turns", skip), ("cut_turns", cut)] {
        if !turns.is_empty() {
            row.insert(name.into(), json!(turns));
        }
    }
    row.insert("resolved".into(), json!(verdict.map(|v| v.resolved)));
    row.insert("exit_status".into(), json!(attempt.stop.map(StopReason::as_str)));
    // What says nothing about the model for sure: whoever trains decides whether that is a lesson.
    let class = attempt.class(repo, verdict);
    row.insert("class".into(), json!(class.map(Class::as_str)));
    row.insert("mask".into(), json!(class.is_none_or(Class::is_masked)));
    row.insert("reward".into(), json!(class.and_then(Class::reward)));
    row.insert("model".into(), json!(head.model));
    row.insert("scaffold".into(), json!(head.scaffold));
    row.insert("temperature".into(), json!(head.sampling.temperature));
    row.insert("test_result".into(), json!({"git_patch": attempt.patch}));
    Value::Object(row)
}
