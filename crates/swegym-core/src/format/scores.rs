//! Rows of scores: `{"instance_id", "attempt", "score"}`, as `swegym score`
//! writes them, and programs of others. A row that says less would be counted
//! under an attempt that it is not of.

use std::collections::HashMap;

use serde_json::Value;

use super::row::{Row, closest};
use super::rows::Rows;
use super::{FormatError, Problem};

/// What a verifier thinks of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The instance.
    pub instance_id: String,
    /// Which attempt at it, from 0.
    pub attempt: u64,
    /// The score; `None` where the row says that there is none.
    pub score: Option<f64>,
}

/// The fields of a row.
const FIELDS: [&str; 3] = ["instance_id", "attempt", "score"];

/// Reads a file of scores.
///
/// # Errors
/// The first thing that is wrong, with its line: a field that is missing, an
/// attempt that is no number, a score that is text or no number, an attempt
/// that stands there twice.
pub fn read(file: &str, text: &str) -> Result<Vec<Score>, FormatError> {
    let mut seen: HashMap<(String, u64), usize> = HashMap::new();
    let mut scores = Vec::new();
    for row in Rows::new(text.as_bytes()) {
        let row = row.map_err(|e| FormatError::new(file, None, Problem::Unreadable(e.to_string())))?;
        let line = row.line;
        // `NaN` is no score, and not to be taken for none.
        let mut row = Row::strict(file, line, &row.json)?;
        let score = read_row(&mut row)?;
        let key = (score.instance_id.clone(), score.attempt);
        if let Some(first) = seen.insert(key, line) {
            let id = format!("{}, attempt {}", score.instance_id, score.attempt);
            return Err(row.error(Problem::DuplicateId { id, first }));
        }
        scores.push(score);
    }
    if scores.is_empty() { Err(FormatError::new(file, None, Problem::Empty)) } else { Ok(scores) }
}

fn read_row(row: &mut Row<'_>) -> Result<Score, FormatError> {
    for field in FIELDS {
        if !row.has(field) {
            return Err(row.error(missing(row, field)));
        }
    }
    let instance_id = row.string("instance_id")?;
    let attempt = row.integer("attempt")?;
    let score = match row.take("score") {
        None | Some(Value::Null) => None,
        Some(value) => {
            Some(value.as_f64().ok_or_else(|| row.wrong("score", "a number, or null for none", &value))?)
        }
    };
    Ok(Score { instance_id, attempt, score })
}

fn missing(row: &Row<'_>, field: &'static str) -> Problem {
    let near = row.names().find(|name| !FIELDS.contains(name) && closest(name, &FIELDS) == Some(field));
    match near {
        Some(name) => Problem::Misspelt { field: name.to_owned(), meant: field },
        None => Problem::Missing(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hint as _;

    #[test]
    fn scores_are_read_and_what_is_none_is_refused_by_line() {
        let good = "{\"instance_id\":\"a\",\"attempt\":0,\"score\":0.5,\"set\":\"x\"}\n";
        let more = "\n{\"instance_id\":\"a\",\"attempt\":1,\"score\":null}\n{\"instance_id\":\"b\",\"attempt\":1,\"score\":1}\n";
        let read_all = read("s.jsonl", &format!("{good}{more}")).unwrap();
        let scores: Vec<_> = read_all.iter().map(|s| (s.attempt, s.score)).collect();
        assert_eq!(scores, [(0, Some(0.5)), (1, None), (1, Some(1.0))]);
        for (bad, why) in [
            (
                r#"{"instance_id":"a","attempt_id":1,"score":0.5}"#,
                "unknown field `attempt_id`; did you mean `attempt`?",
            ),
            (
                r#"{"instance_id":"a","atempt":1,"score":0.5}"#,
                "unknown field `atempt`; did you mean `attempt`?",
            ),
            (r#"{"instance_id":"a","k":1,"score":0.5}"#, "the field `attempt` is missing"),
            (
                r#"{"instance_id":"a","attempt":1,"scores":0.5}"#,
                "unknown field `scores`; did you mean `score`?",
            ),
            (r#"{"instance_id":"a","attempt":1,"p":0.5}"#, "the field `score` is missing"),
            (r#"{"attempt":1,"score":0.5}"#, "the field `instance_id` is missing"),
            (
                r#"{"instance_id":"a","attempt":1,"score":"0.5"}"#,
                "the field `score` must be a number, or null for none, this is a string",
            ),
            (
                r#"{"instance_id":"a","attempt":1,"score":true}"#,
                "the field `score` must be a number, or null for none, this is a boolean",
            ),
            (
                r#"{"instance_id":"a","attempt":"1","score":1}"#,
                "the field `attempt` must be a whole number, this is a string",
            ),
            (
                r#"{"instance_id":"a","attempt":null,"score":1}"#,
                "the field `attempt` must be a whole number, this is null",
            ),
            (
                r#"{"instance_id":"a","attempt":-1,"score":1}"#,
                "the field `attempt` must be a whole number, this is a number",
            ),
            (
                r#"{"instance_id":7,"attempt":1,"score":1}"#,
                "the field `instance_id` must be a string, this is a number",
            ),
            (good.trim(), "duplicate id `a, attempt 0`, first seen on line 1"),
        ] {
            let error = read("s.jsonl", &format!("{good}{bad}\n")).unwrap_err();
            assert_eq!(error.to_string(), format!("s.jsonl:2: {why}"));
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
        }
        let nan = read("s.jsonl", r#"{"instance_id":"a","attempt":1,"score":NaN}"#).unwrap_err();
        assert!(nan.to_string().starts_with("s.jsonl:1: not valid JSON"), "{nan}");
        assert_eq!(read("s.jsonl", "").unwrap_err().problem, Problem::Empty);
    }
}
