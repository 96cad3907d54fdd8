//! The journal of a run, `events.jsonl`: append-only, one checksummed event a line.
//!
//! Its lines are sealed (`sealed.rs`). A last line that was cut by a crash is
//! not an error: it is dropped, and the run goes on from the line before.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::row::Row;
use super::{FormatError, Problem, sealed};
use crate::event::Event;
use crate::{Boundary, Digest, Fault};

/// Version of the line format, in the run's first event.
pub const VERSION: u64 = 1;

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// From 0, without gaps.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What a journal holds, and how much of the text is sound.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// In order.
    pub entries: Vec<Entry>,
    /// Bytes up to the end of the last whole line; the rest was cut by a crash.
    pub sound_bytes: usize,
}

/// One line, with its newline.
#[must_use]
pub fn write_entry(entry: &Entry) -> String {
    sealed::write(entry.seq, entry.at_ms, &event_json(&entry.event))
}

/// Reads a journal, checking every sum.
///
/// # Errors
/// A line in the middle that was changed, or a newer version.
pub fn read(file: &str, text: &str) -> Result<Journal, FormatError> {
    let lines = sealed::read(file, text, |line, row| {
        Ok(Entry { seq: line.seq, at_ms: line.at_ms, event: read_event(row)? })
    })?;
    Ok(Journal { entries: lines.items, sound_bytes: lines.sound_bytes })
}

fn event_json(event: &Event) -> Value {
    match event {
        Event::RunStarted { verb, inputs, jobs } => {
            json!({"kind": "run_started", "version": VERSION, "verb": verb, "inputs": inputs.hex(), "jobs": jobs})
        }
        Event::JobStarted { job, attempt } => json!({"kind": "job_started", "job": job, "attempt": attempt}),
        Event::JobFinished { job, outcome, result, files, wall_time_ms } => {
            let mut event = json!({
                "kind": "job_finished", "job": job, "outcome": outcome, "result": result.hex(),
                "wall_time_ms": wall_time_ms,
            });
            if !files.is_empty() {
                let digests = files.iter().map(|(name, digest)| (name.clone(), json!(digest.hex())));
                event["files"] = Value::Object(digests.collect::<Map<_, _>>());
            }
            event
        }
        Event::JobFailed { job, attempt, fault, retry } => json!({
            "kind": "job_failed", "job": job, "attempt": attempt, "boundary": fault.boundary.as_str(),
            "code": fault.code, "message": fault.message, "hint": fault.hint, "retry": retry,
        }),
        Event::RunInterrupted => json!({"kind": "run_interrupted"}),
        Event::RunFinished => json!({"kind": "run_finished"}),
    }
}

fn read_event(mut row: Row<'_>) -> Result<Event, FormatError> {
    let digest = |row: &mut Row<'_>, field| -> Result<Digest, FormatError> {
        let text = row.string(field)?;
        Digest::parse(&text).map_err(|e| row.error(e))
    };
    Ok(match row.string("kind")?.as_str() {
        "run_started" => {
            let found = row.integer("version")?;
            if found > VERSION {
                return Err(row.error(Problem::Newer { found, known: VERSION }));
            }
            let jobs = row.integer("jobs")? as usize;
            Event::RunStarted { verb: row.string("verb")?, inputs: digest(&mut row, "inputs")?, jobs }
        }
        "job_started" => {
            Event::JobStarted { job: row.string("job")?, attempt: row.integer("attempt")? as u32 }
        }
        "job_finished" => Event::JobFinished {
            job: row.string("job")?,
            outcome: row.string("outcome")?,
            result: digest(&mut row, "result")?,
            files: read_files(&mut row)?,
            wall_time_ms: row.integer("wall_time_ms")?,
        },
        "job_failed" => {
            let boundary = Boundary::parse(&row.string("boundary")?).unwrap_or(Boundary::Internal);
            Event::JobFailed {
                job: row.string("job")?,
                attempt: row.integer("attempt")? as u32,
                fault: Fault {
                    boundary,
                    code: row.string("code")?,
                    message: row.string("message")?,
                    hint: row.optional_string("hint")?,
                },
                retry: row.boolean("retry")?,
            }
        }
        "run_interrupted" => Event::RunInterrupted,
        "run_finished" => Event::RunFinished,
        other => {
            let found = format!("`{other}`");
            return Err(row.error(Problem::Type { field: "kind".into(), expected: "a known event", found }));
        }
    })
}

/// Digests of files; none in journals from before they were noted.
fn read_files(row: &mut Row<'_>) -> Result<BTreeMap<String, Digest>, FormatError> {
    let Some(value) = row.take("files") else { return Ok(BTreeMap::new()) };
    let Value::Object(files) = value else { return Err(row.wrong("files", "an object", &value)) };
    let digest = |(name, value): (String, Value)| {
        let text = value.as_str().ok_or_else(|| row.wrong("files", "digests", &value))?;
        Ok((name, Digest::parse(text).map_err(|e| row.error(e))?))
    };
    files.into_iter().map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Vec<Entry> {
        let fault = Fault::new(Boundary::Sandbox, "no_space", "disk \"full\"\n").with_hint("make room");
        let events = [
            Event::RunStarted { verb: "validate".into(), inputs: Digest::of(b"x"), jobs: 2 },
            Event::JobStarted { job: "a".into(), attempt: 1 },
            Event::JobFailed { job: "a".into(), attempt: 1, fault, retry: true },
            Event::JobFinished {
                job: "a".into(),
                outcome: "kept".into(),
                result: Digest::of(b"y"),
                files: BTreeMap::from([("evaluations/a/0/evidence.json".into(), Digest::of(b"z"))]),
                wall_time_ms: 5,
            },
            Event::RunInterrupted,
            Event::RunFinished,
        ];
        events.into_iter().enumerate().map(|(i, event)| Entry { seq: i as u64, at_ms: 7, event }).collect()
    }

    #[test]
    fn every_event_is_read_back() {
        let text: String = journal().iter().map(write_entry).collect();
        let read = read("events.jsonl", &text).unwrap();
        assert_eq!(read.entries, journal());
        assert_eq!(read.sound_bytes, text.len());
    }

    #[test]
    fn a_cut_at_any_byte_loses_only_the_last_line() {
        let lines: Vec<String> = journal().iter().map(write_entry).collect();
        let text = lines.concat();
        for cut in 0..text.len() {
            let read = read("events.jsonl", &text[..cut]).unwrap();
            let whole: usize = lines
                .iter()
                .scan(0, |n, l| {
                    *n += l.len();
                    Some(*n)
                })
                .filter(|n| *n <= cut)
                .count();
            assert_eq!(read.entries.len(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_line_in_the_middle_is_named() {
        let text: String = journal().iter().map(write_entry).collect();
        let error = read(
            "events.jsonl",
            &text.replace("\"job\":\"a\",\"attempt\":1}", "\"job\":\"b\",\"attempt\":1}"),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "events.jsonl:2: the checksum does not match: the line was changed or cut"
        );
    }
}
