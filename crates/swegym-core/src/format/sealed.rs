//! Lines that vouch for themselves, for files that are appended to while
//! processes may die.
//!
//! A line is `{"seq":N,"at_ms":T,"event":{…},"sum":"16 hex digits"}`; the sum
//! covers everything before it.

use serde_json::Value;

use super::row::Row;
use super::{FormatError, Problem};
use crate::Digest;

/// What every line has beside its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    /// From 0, without gaps.
    pub(super) seq: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) at_ms: u64,
}

/// What a file holds, and how much of its text is sound.
pub(super) struct Sealed<T> {
    pub(super) items: Vec<T>,
    /// Bytes up to the end of the last whole line.
    pub(super) sound_bytes: usize,
}

fn checksum(body: &str) -> String {
    Digest::of(body.as_bytes()).short()
}

/// One line, with its newline.
pub(super) fn write(seq: u64, at_ms: u64, event: &Value) -> String {
    let body = format!("{{\"seq\":{seq},\"at_ms\":{at_ms},\"event\":{event}");
    let sum = checksum(&body);
    format!("{body},\"sum\":\"{sum}\"}}\n")
}

/// Reads every line, checking its sum and that none is missing before it. A last
/// line that was cut is left out.
pub(super) fn read<'a, T>(
    file: &'a str,
    text: &str,
    mut event: impl FnMut(Line, Row<'a>) -> Result<T, FormatError>,
) -> Result<Sealed<T>, FormatError> {
    let mut sealed = Sealed { items: Vec::new(), sound_bytes: 0 };
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let last = sealed.sound_bytes + line.len() == text.len();
        match open(file, i + 1, line) {
            Ok((place, row)) => {
                let (expected, found) = (i as u64, place.seq);
                if found != expected {
                    return Err(row.error(Problem::Gap { expected, found }));
                }
                sealed.items.push(event(place, row)?);
            }
            Err(error) if last && error.problem == Problem::Checksum => break,
            Err(error) => return Err(error),
        }
        sealed.sound_bytes += line.len();
    }
    Ok(sealed)
}

fn open<'a>(file: &'a str, number: usize, line: &str) -> Result<(Line, Row<'a>), FormatError> {
    let broken = || FormatError::new(file, number, Problem::Checksum);
    let line = line.strip_suffix('\n').ok_or_else(broken)?;
    let (body, sum) = line.rsplit_once(",\"sum\":\"").ok_or_else(broken)?;
    if sum.strip_suffix("\"}") != Some(checksum(body).as_str()) {
        return Err(broken());
    }
    let mut row = Row::parse(file, number, line.as_bytes())?;
    let place = Line { seq: row.integer("seq")?, at_ms: row.integer("at_ms")? };
    let Some(Value::Object(event)) = row.take("event") else {
        return Err(row.error(Problem::Missing("event")));
    };
    Ok((place, Row::from_map(file, number, event)))
}
