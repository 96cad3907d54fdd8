//! The record of an attempt, `trajectories/<instance_id>/<k>.jsonl`: append-only,
//! one sealed event a line (`sealed.rs`).
//!
//! Bytes of answers that are no text stand as hexadecimal digits. A last line
//! that was cut by a crash is left out, as in the journal of a run.

use serde_json::{Value, json};

use super::row::Row;
use super::{FormatError, Problem, sealed};
use crate::chat::{CallForm, Finish, Message, Role, Sampling, Tool, ToolCall, Usage};
use crate::id::hex;
use crate::record::{ActionReport, AttemptHead, Delta, RecordEvent, Standing};
use crate::stop_reason::StopReason;
use crate::wire::Wire;
use crate::{Boundary, Digest, Fault, InstanceId};

/// Version of the format, in the first event.
pub const VERSION: u64 = 1;

/// An event with its place in the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// From 0, without gaps.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    pub event: RecordEvent,
}

/// What a record holds, and how much of its text is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// In order.
    pub entries: Vec<Entry>,
    /// Bytes up to the end of the last whole line; the rest was cut by a crash.
    pub sound_bytes: usize,
}

impl Record {
    /// The events alone.
    #[must_use]
    pub fn into_events(self) -> Vec<RecordEvent> {
        self.entries.into_iter().map(|e| e.event).collect()
    }
}

/// One line, with its newline.
#[must_use]
pub fn write_entry(seq: u64, at_ms: u64, event: &RecordEvent) -> String {
    sealed::write(seq, at_ms, &event_json(event))
}

/// Reads a record, checking every sum.
///
/// # Errors
/// A line in the middle that was changed, or a newer version.
pub fn read(file: &str, text: &str) -> Result<Record, FormatError> {
    let lines = sealed::read(file, text, |line, row| {
        Ok(Entry { seq: line.seq, at_ms: line.at_ms, event: read_event(row)? })
    })?;
    Ok(Record { entries: lines.items, sound_bytes: lines.sound_bytes })
}

fn event_json(event: &RecordEvent) -> Value {
    match event {
        RecordEvent::Started(head) => head_json(head),
        RecordEvent::Said(message) => json!({"kind": "said", "message": message_json(message)}),
        RecordEvent::Refused { status, body, wait_ms } => {
            json!({"kind": "refused", "status": status, "body": body, "wait_ms": wait_ms})
        }
        RecordEvent::Answered { request, response, tries, latency_ms, usage, finish } => {
            let (key, body) = match std::str::from_utf8(response) {
                Ok(text) => ("response", json!(text)),
                Err(_) => ("response_hex", json!(hex(response))),
            };
            json!({
                "kind": "answered",
                "request": {"prefix": request.prefix, "suffix": request.suffix, "middle": request.middle},
                key: body, "tries": tries, "latency_ms": latency_ms, "usage": usage_json(usage),
                "finish": finish.as_str(),
            })
        }
        RecordEvent::Malformed { code, message } => {
            json!({"kind": "malformed", "code": code, "message": message})
        }
        RecordEvent::Acted(report) => report_json(report),
        RecordEvent::Nudged { predicate } => json!({"kind": "nudged", "predicate": predicate}),
        RecordEvent::Stepped { step, standing } => {
            let mut event = json!({"kind": "stepped", "step": step});
            let layers = standing.layers.as_ref().map(|l| l.iter().map(Digest::hex).collect::<Vec<_>>());
            put(&mut event, "patch", standing.patch.as_ref());
            put(&mut event, "layers", layers.as_ref());
            put(&mut event, "unsaved", standing.unsaved.then_some(true));
            put(&mut event, "folder", standing.folder.as_ref());
            put(&mut event, "exports", standing.exports.as_ref());
            event
        }
        RecordEvent::Resumed { step } => json!({"kind": "resumed", "step": step}),
        RecordEvent::Broke(fault) => json!({
            "kind": "broke", "boundary": fault.boundary.as_str(), "code": fault.code,
            "message": fault.message, "hint": fault.hint,
        }),
        RecordEvent::Ended { reason, patch } => {
            json!({"kind": "ended", "exit_status": reason.as_str(), "patch": patch})
        }
    }
}

/// Sets a field that is there only when it says something.
fn put<T: serde::Serialize>(event: &mut Value, key: &str, value: Option<T>) {
    if let Some(value) = value {
        event[key] = json!(value);
    }
}

fn head_json(head: &AttemptHead) -> Value {
    let sampling = &head.sampling;
    let mut value = json!({
        "kind": "started",
        "version": VERSION,
        "instance_id": head.instance_id.as_str(),
        "repo": head.repo,
        "attempt": head.attempt,
        "scaffold": head.scaffold,
        "model": head.model,
        "wire": head.wire.as_str(),
        "calls": head.calls.as_str(),
        "sampling": {
            "temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens,
            "seed": sampling.seed, "capture_tokens": sampling.capture_tokens,
        },
        "image": head.image,
        "base_commit": head.base_commit,
        "tools": head.tools.iter().map(crate::wire::openai::tool_json).collect::<Vec<_>>(),
        "limits": head.limits,
        "forked_from": head.forked_from.map(|(attempt, step)| json!({"attempt": attempt, "step": step})),
    });
    put(&mut value["sampling"], "extra", Some(&sampling.extra).filter(|extra| !extra.is_empty()));
    value
}

fn message_json(message: &Message) -> Value {
    let mut value = json!({"role": message.role.as_str(), "content": message.content});
    put(&mut value, "reasoning", message.reasoning.as_ref());
    if !message.calls.is_empty() {
        let call = |c: &ToolCall| json!({"id": c.id, "name": c.name, "arguments": c.arguments});
        value["calls"] = message.calls.iter().map(call).collect();
    }
    put(&mut value, "call_id", message.call_id.as_ref());
    put(&mut value, "tool", message.tool.as_ref());
    put(&mut value, "sampled", message.sampled.as_ref());
    put(&mut value, "aside", Some(&message.aside).filter(|aside| !aside.is_empty()));
    value
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens, "cost_usd": usage.cost_usd,
    })
}

fn report_json(report: &ActionReport) -> Value {
    let mut event = json!({"kind": "acted", "call_id": report.call_id});
    put(&mut event, "exit_code", report.exit_code);
    put(&mut event, "stopped_by", report.stopped_by.as_ref());
    put(&mut event, "refused", report.refused.then_some(true));
    put(&mut event, "raw", report.raw.as_ref());
    put(&mut event, "dropped_bytes", (report.dropped_bytes > 0).then_some(report.dropped_bytes));
    put(&mut event, "wall_time_ms", Some(report.wall_time_ms));
    put(&mut event, "cpu_time_ms", Some(report.cpu_time_ms));
    put(&mut event, "max_rss_bytes", Some(report.max_rss_bytes));
    let replaced = report.replaced.as_ref();
    put(&mut event, "replaced", replaced.map(|(path, text)| json!({"path": path, "text": text})));
    event
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn read_event(mut row: Row<'_>) -> Result<RecordEvent, FormatError> {
    Ok(match row.string("kind")?.as_str() {
        "started" => RecordEvent::Started(Box::new(read_head(&mut row)?)),
        "said" => RecordEvent::Said(read_message(row.object("message")?)?),
        "refused" => RecordEvent::Refused {
            status: row.optional_integer("status")?.and_then(|s| u16::try_from(s).ok()),
            body: row.string("body")?,
            wait_ms: row.integer("wait_ms")?,
        },
        "answered" => {
            let mut request = row.object("request")?;
            let request = Delta {
                prefix: request.integer("prefix")? as usize,
                suffix: request.integer("suffix")? as usize,
                middle: request.string("middle")?,
            };
            let response = match row.optional_string("response")? {
                Some(text) => text.into_bytes(),
                None => {
                    let digits = row.string("response_hex")?;
                    unhex(&digits).ok_or_else(|| row.error(Problem::Missing("response")))?
                }
            };
            RecordEvent::Answered {
                request,
                response,
                tries: row.integer("tries")? as u32,
                latency_ms: row.integer("latency_ms")?,
                usage: read_usage(row.object("usage")?)?,
                finish: Finish::parse(&row.string("finish")?),
            }
        }
        "malformed" => RecordEvent::Malformed { code: row.string("code")?, message: row.string("message")? },
        "acted" => RecordEvent::Acted(read_report(&mut row)?),
        "nudged" => RecordEvent::Nudged { predicate: row.string("predicate")? },
        "stepped" => RecordEvent::Stepped {
            step: row.integer("step")? as u32,
            standing: Box::new(read_standing(&mut row)?),
        },
        "resumed" => RecordEvent::Resumed { step: row.integer("step")? as u32 },
        "broke" => RecordEvent::Broke(Fault {
            boundary: Boundary::parse(&row.string("boundary")?).unwrap_or(Boundary::Internal),
            code: row.string("code")?,
            message: row.string("message")?,
            hint: row.optional_string("hint")?,
        }),
        "ended" => {
            let word = row.string("exit_status")?;
            let reason = StopReason::parse(&word).ok_or_else(|| row.unknown("exit_status", &word))?;
            RecordEvent::Ended { reason, patch: row.string("patch")? }
        }
        other => return Err(row.unknown("kind", other)),
    })
}

fn read_head(row: &mut Row<'_>) -> Result<AttemptHead, FormatError> {
    let found = row.integer("version")?;
    if found > VERSION {
        return Err(row.error(Problem::Newer { found, known: VERSION }));
    }
    let wire = row.string("wire")?;
    let calls = row.string("calls")?;
    let mut sampling = row.object("sampling")?;
    let tools = row.take("tools").and_then(|t| t.as_array().cloned()).unwrap_or_default();
    let fork = match row.take("forked_from") {
        Some(Value::Object(map)) => {
            let number = |key: &str| map.get(key).and_then(Value::as_u64).unwrap_or(0) as u32;
            Some((number("attempt"), number("step")))
        }
        _ => None,
    };
    Ok(AttemptHead {
        instance_id: InstanceId::new(row.string("instance_id")?).map_err(|e| row.error(e))?,
        repo: row.optional_string("repo")?,
        attempt: row.integer("attempt")? as u32,
        scaffold: row.string("scaffold")?,
        model: row.string("model")?,
        wire: Wire::parse(&wire).ok_or_else(|| row.unknown("wire", &wire))?,
        calls: CallForm::parse(&calls).ok_or_else(|| row.unknown("calls", &calls))?,
        sampling: Sampling {
            temperature: sampling.number("temperature"),
            top_p: sampling.number("top_p"),
            max_tokens: sampling.optional_integer("max_tokens")?,
            seed: sampling.optional_integer("seed")?,
            capture_tokens: sampling.boolean("capture_tokens")?,
            extra: sampling.map("extra"),
        },
        image: row.string("image")?,
        base_commit: row.string("base_commit")?,
        tools: tools.iter().filter_map(read_tool).collect(),
        limits: row.map("limits"),
        forked_from: fork,
    })
}

/// Reads a tool of OpenAI's form. Nulls, with which Arrow fills the gaps of
/// published tables, count as absent.
#[must_use]
pub fn read_tool(value: &Value) -> Option<Tool> {
    let function = value.get("function")?;
    let text = |key: &str| function.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let parameters = function.get("parameters").and_then(Value::as_object).cloned();
    Some(Tool { name: text("name"), description: text("description"), parameters })
}

fn read_message(mut row: Row<'_>) -> Result<Message, FormatError> {
    let word = row.string("role")?;
    let role = Role::parse(&word).ok_or_else(|| row.unknown("role", &word))?;
    let calls = match row.take("calls") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let text = |call: &Value, key: &str| call.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let call =
        |c: &Value| ToolCall { id: text(c, "id"), name: text(c, "name"), arguments: text(c, "arguments") };
    Ok(Message {
        role,
        content: row.string("content")?,
        reasoning: row.optional_string("reasoning")?,
        calls: calls.iter().map(call).collect(),
        call_id: row.optional_string("call_id")?,
        tool: row.optional_string("tool")?,
        sampled: row.optional_string("sampled")?,
        aside: row.map("aside"),
    })
}

fn read_usage(mut row: Row<'_>) -> Result<Usage, FormatError> {
    Ok(Usage {
        prompt_tokens: row.integer("prompt_tokens")?,
        completion_tokens: row.integer("completion_tokens")?,
        cached_tokens: row.integer("cached_tokens")?,
        cost_usd: row.number("cost_usd"),
    })
}

fn read_report(row: &mut Row<'_>) -> Result<ActionReport, FormatError> {
    let exit_code = row.take("exit_code").and_then(|v| v.as_i64()).map(|c| c as i32);
    let replaced = match row.take("replaced") {
        Some(Value::Object(map)) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            Some((text("path"), text("text")))
        }
        _ => None,
    };
    Ok(ActionReport {
        call_id: row.string("call_id")?,
        exit_code,
        stopped_by: row.optional_string("stopped_by")?,
        refused: row.take("refused") == Some(Value::Bool(true)),
        raw: row.optional_string("raw")?,
        dropped_bytes: row.optional_integer("dropped_bytes")?.unwrap_or(0),
        wall_time_ms: row.integer("wall_time_ms")?,
        cpu_time_ms: row.integer("cpu_time_ms")?,
        max_rss_bytes: row.integer("max_rss_bytes")?,
        replaced,
    })
}

fn read_standing(row: &mut Row<'_>) -> Result<Standing, FormatError> {
    let layers = match row.take("layers") {
        Some(list) => {
            let digests: Vec<String> = row.strings("layers", list)?;
            Some(
                digests
                    .iter()
                    .map(|d| Digest::parse(d))
                    .collect::<Result<_, _>>()
                    .map_err(|e| row.error(e))?,
            )
        }
        None => None,
    };
    Ok(Standing {
        patch: row.optional_string("patch")?,
        layers,
        unsaved: row.take("unsaved") == Some(Value::Bool(true)),
        folder: row.optional_string("folder")?,
        exports: row.optional_string("exports")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::Trajectory;
    use crate::trajectory::FoldError;

    fn call() -> ToolCall {
        ToolCall { id: "c1".into(), name: "bash".into(), arguments: "{\"command\":\"ls\"}".into() }
    }

    fn events() -> Vec<RecordEvent> {
        let tool = Tool { name: "bash".into(), description: "Runs.".into(), parameters: None };
        let head = AttemptHead {
            instance_id: InstanceId::new("a__b-1").unwrap(),
            repo: Some("a/b".into()),
            attempt: 2,
            scaffold: "codeact@1".into(),
            model: "m".into(),
            wire: Wire::OpenAi,
            calls: CallForm::Text,
            sampling: Sampling { temperature: Some(0.5), seed: Some(7), ..Sampling::default() },
            image: "swegym:x".into(),
            base_commit: "abc".into(),
            tools: vec![tool],
            limits: Map::from_iter([("max-steps".to_owned(), json!(30))]),
            forked_from: Some((0, 3)),
        };
        let usage = Usage { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 1, cost_usd: Some(0.5) };
        let answered = |middle: &str, response: &[u8]| RecordEvent::Answered {
            request: Delta { prefix: 0, suffix: 0, middle: middle.into() },
            response: response.to_vec(),
            tries: 1,
            latency_ms: 3,
            usage,
            finish: Finish::ToolCalls,
        };
        let stepped = |step, patch: Option<&str>| RecordEvent::Stepped {
            step,
            standing: Box::new(Standing {
                patch: patch.map(str::to_owned),
                layers: patch.map(|p| vec![Digest::of(p.as_bytes())]),
                unsaved: patch.is_none(),
                folder: Some("/testbed".into()),
                exports: patch.map(|_| "declare -x A=\"b\"".into()),
            }),
        };
        let report = ActionReport {
            call_id: "c1".into(),
            exit_code: Some(1),
            raw: Some("x\u{fffd}".into()),
            replaced: Some(("/a".into(), "old".into())),
            ..ActionReport::default()
        };
        vec![
            RecordEvent::Started(Box::new(head)),
            RecordEvent::Said(Message::of(Role::System, "s")),
            stepped(0, None),
            RecordEvent::Refused { status: Some(429), body: "slow down".into(), wait_ms: 100 },
            answered("{1}", b"{\"x\": \"\xff\"}"),
            RecordEvent::Said(Message {
                sampled: Some("w<function".into()),
                reasoning: Some("hm".into()),
                aside: Map::from_iter([("reasoning".to_owned(), Value::Null)]),
                ..Message::assistant("w", vec![call()])
            }),
            RecordEvent::Acted(report),
            RecordEvent::Said(Message::answer(&call(), "out")),
            stepped(1, Some("diff")),
            answered("{2}", b"{}"),
            RecordEvent::Malformed { code: "cut".into(), message: "…".into() },
            RecordEvent::Broke(Fault::new(Boundary::Model, "unreachable", "gone")),
            RecordEvent::Resumed { step: 1 },
            answered("{3}", b"{}"),
            RecordEvent::Nudged { predicate: "repeating-4@1".into() },
            stepped(2, None),
            RecordEvent::Ended { reason: StopReason::StepLimit, patch: "diff".into() },
        ]
    }

    fn text(events: &[RecordEvent]) -> String {
        events.iter().enumerate().map(|(i, e)| write_entry(i as u64, 9, e)).collect()
    }

    #[test]
    fn every_event_is_read_back() {
        let text = text(&events());
        let record = read("0.jsonl", &text).unwrap();
        assert_eq!(record.sound_bytes, text.len());
        assert_eq!(record.into_events(), events());
    }

    #[test]
    fn a_cut_at_any_byte_leaves_an_attempt_that_can_be_taken_up() {
        let text = text(&events());
        for cut in (0..text.len()).filter(|c| text.is_char_boundary(*c)) {
            let record = read("0.jsonl", &text[..cut]).unwrap();
            let events = record.into_events();
            match Trajectory::fold(&events) {
                Err(error) => assert_eq!((error, events.len()), (FoldError::NoStart, 0)),
                Ok(found) => assert_eq!(found.is_over(), cut == text.len()),
            }
        }
    }

    #[test]
    fn void_steps_are_paid_for_and_not_counted() {
        let whole = Trajectory::fold(&events()).unwrap();
        assert_eq!((whole.steps.len(), whole.answers, whole.usage.prompt_tokens), (2, 3, 15));
        assert_eq!(whole.last_request, "{3}");
        assert_eq!((whole.patch.as_str(), whole.stop), ("diff", Some(StopReason::StepLimit)));
        assert_eq!(whole.steps[0].actions[0].observation, "out");
        let before = Trajectory::fold(&events()[..12]).unwrap();
        assert_eq!((before.steps.len(), before.last_request.as_str()), (1, "{1}"));
        assert_eq!(before.fault.unwrap().code, "unreachable");
    }
}
