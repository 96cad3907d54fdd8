//! OpenAI's chat completions, streamed.

use serde_json::{Value, json};

use super::events::Events;

/// The document in pieces, as the protocol streams it.
pub(super) fn stream(document: &Value) -> String {
    let choice = &document["choices"][0];
    let mut calls = choice["message"]["tool_calls"].clone();
    for (i, call) in calls.as_array_mut().into_iter().flatten().enumerate() {
        call["index"] = json!(i);
    }
    let mut delta = json!({"role": choice["message"]["role"], "content": choice["message"]["content"]});
    for (key, value) in
        [("tool_calls", calls), ("reasoning_content", choice["message"]["reasoning_content"].clone())]
    {
        if !value.is_null() {
            delta[key] = value;
        }
    }
    let chunk = |choices: Value| {
        json!({
            "id": super::id("chatcmpl", document), "object": "chat.completion.chunk", "created": 0,
            "model": document["model"], "choices": choices,
        })
    };
    let mut events = Events::default();
    events.add(&chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}])));
    events.add(&chunk(json!([{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}])));
    let mut last = chunk(json!([]));
    last["usage"] = document["usage"].clone();
    events.add(&last);
    events.end("[DONE]")
}
