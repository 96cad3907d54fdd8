//! Attempts as conversations: OpenAI messages and tools, a row an attempt.

use serde_json::{Map, Value, json};
use swegym_core::calls::text;
use swegym_core::chat::{CallForm, Message};
use swegym_core::wire::openai::{message_json, tool_json};
use swegym_core::{StopReason, Trajectory};

/// The conversation of an attempt with its calls in one form.
pub(super) fn conversation(attempt: &Trajectory, form: CallForm) -> Vec<Message> {
    match form {
        // A call that is no JSON can only be shown in the form it came in.
        CallForm::Text => text::conversation(&attempt.messages, &attempt.head.tools, text::INSTRUCTIONS)
            .unwrap_or_else(|_| attempt.messages.clone()),
        CallForm::Native => attempt.messages.clone(),
    }
}

/// The row of an attempt. `skip` are the turns that are not to be learnt.
pub(super) fn row(attempt: &Trajectory, resolved: Option<bool>, form: CallForm, skip: &[usize]) -> Value {
    let head = &attempt.head;
    let mut row = Map::new();
    row.insert("instance_id".into(), json!(head.instance_id.as_str()));
    row.insert("attempt".into(), json!(head.attempt));
    row.insert("messages".into(), conversation(attempt, form).iter().map(message_json).collect());
    if form == CallForm::Native {
        row.insert("tools".into(), head.tools.iter().map(tool_json).collect());
    }
    if !skip.is_empty() {
        row.insert("skip_turns".into(), json!(skip));
    }
    row.insert("resolved".into(), json!(resolved));
    row.insert("exit_status".into(), json!(attempt.stop.map(StopReason::as_str)));
    // A limit of ours ended it: whoever trains decides whether that is a lesson.
    row.insert("mask".into(), json!(attempt.stop.is_none_or(StopReason::is_budget)));
    row.insert("model".into(), json!(head.model));
    row.insert("scaffold".into(), json!(head.scaffold));
    row.insert("temperature".into(), json!(head.sampling.temperature));
    row.insert("test_result".into(), json!({"git_patch": attempt.patch}));
    Value::Object(row)
}
