//! `evaluations/<instance_id>/<attempt>/evidence.json`: what an evaluation's
//! verdict rests on, beside the answer (`patch.diff`), what the tests printed
//! (`test_output.txt`) and their structured results (`junit.xml`).

use serde_json::{Value, json};

use super::row::Row;
use super::{FormatError, Problem};
use crate::evidence::{PatchOutcome, RunEnd};

/// Newest version that this code writes and reads. Since 2, the file says which
/// parser read the log.
pub const VERSION: u64 = 2;

/// The file's name.
pub const FILE: &str = "evidence.json";
/// Both streams of the tests, in order.
pub const LOG: &str = "test_output.txt";
/// The structured results.
pub const RESULTS: &str = "junit.xml";

/// Where an evaluation's files are, in a run's folder.
#[must_use]
pub fn folder(instance_id: &str, attempt: u32) -> String {
    format!("evaluations/{instance_id}/{attempt}")
}

/// The structured results that a run of tests left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Results {
    /// The runner does not write any.
    NotOffered,
    /// It should have, and did not, or wrote something unreadable: why.
    Missing(String),
    /// There are so many cases, in [`RESULTS`].
    Cases(u64),
}

/// What the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceFile {
    /// Whether the answer's patch went on.
    pub patch: PatchOutcome,
    /// What of the answer counted, for people.
    pub answer: Option<Value>,
    /// How the tests ended; `None` when they were not run.
    pub end: Option<RunEnd>,
    /// Whether there is a second witness.
    pub results: Results,
    /// A limit of the box that was hit.
    pub limit_hit: Option<String>,
    /// What counter-tests found, for people.
    pub counter_tests: Option<Value>,
    /// The parser that read the log; files of version 1 do not say.
    pub parser: Option<String>,
    /// The rules that judged it.
    pub semantics: Option<String>,
    /// Time and memory that the tests used, for people.
    pub usage: Option<Value>,
}

/// The file's text.
#[must_use]
pub fn write(evidence: &EvidenceFile) -> String {
    let patch = match &evidence.patch {
        PatchOutcome::Absent => json!({"outcome": "absent"}),
        PatchOutcome::Applied => json!({"outcome": "applied"}),
        PatchOutcome::Refused(code, message, _) => {
            json!({"outcome": "refused", "code": code, "message": message})
        }
        PatchOutcome::Failed(words) => json!({"outcome": "failed", "message": words}),
    };
    let end = evidence.end.map(|end| match end {
        RunEnd::Exited(code) => json!({"exited": code}),
        RunEnd::Signalled(signal) => json!({"signalled": signal}),
        RunEnd::TimedOut => json!("timed_out"),
    });
    let structured = match &evidence.results {
        Results::NotOffered => json!("not_offered"),
        Results::Missing(why) => json!({"missing": why}),
        Results::Cases(count) => json!({"cases": count}),
    };
    let document = json!({
        "format_version": VERSION,
        "patch": patch,
        "answer": evidence.answer,
        "end": end,
        "structured": structured,
        "limit_hit": evidence.limit_hit,
        "counter_tests": evidence.counter_tests,
        "parser": evidence.parser,
        "semantics": evidence.semantics,
        "usage": evidence.usage,
    });
    format!("{document:#}\n")
}

/// Reads the file's text.
///
/// # Errors
/// See [`Problem`]; a newer version is refused.
pub fn read(file: &str, text: &str) -> Result<EvidenceFile, FormatError> {
    let mut row = Row::parse(file, 1, text.as_bytes())?;
    let found = row.integer("format_version")?;
    if found > VERSION {
        return Err(row.error(Problem::Newer { found, known: VERSION }));
    }
    let some = |value: Option<Value>| value.filter(|value| !value.is_null());
    Ok(EvidenceFile {
        patch: read_patch(row.object("patch")?)?,
        answer: some(row.take("answer")),
        end: read_end(&mut row)?,
        results: read_results(&mut row)?,
        limit_hit: row.optional_string("limit_hit")?,
        counter_tests: some(row.take("counter_tests")),
        parser: row.optional_string("parser")?,
        semantics: row.optional_string("semantics")?,
        usage: some(row.take("usage")),
    })
}

fn read_patch(mut row: Row<'_>) -> Result<PatchOutcome, FormatError> {
    Ok(match row.string("outcome")?.as_str() {
        "absent" => PatchOutcome::Absent,
        "applied" => PatchOutcome::Applied,
        "refused" => PatchOutcome::Refused(row.string("code")?, row.string("message")?, String::new()),
        "failed" => PatchOutcome::Failed(row.string("message")?),
        other => return Err(row.unknown("patch.outcome", other)),
    })
}

fn read_end(row: &mut Row<'_>) -> Result<Option<RunEnd>, FormatError> {
    let value = match row.take("end") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let number = |key: &str| value.get(key)?.as_i64().and_then(|n| i32::try_from(n).ok());
    let end = match value.as_str() {
        Some("timed_out") => Some(RunEnd::TimedOut),
        _ => number("exited").map(RunEnd::Exited).or_else(|| number("signalled").map(RunEnd::Signalled)),
    };
    end.map(Some).ok_or_else(|| row.wrong("end", "how the tests ended", &value))
}

fn read_results(row: &mut Row<'_>) -> Result<Results, FormatError> {
    let value = row.take("structured").ok_or_else(|| row.error(Problem::Missing("structured")))?;
    let cases = || value.get("cases").and_then(Value::as_u64).map(Results::Cases);
    let missing = || value.get("missing")?.as_str().map(|why| Results::Missing(why.to_owned()));
    let results = match value.as_str() {
        Some("not_offered") => Some(Results::NotOffered),
        _ => cases().or_else(missing),
    };
    results.ok_or_else(|| row.wrong("structured", "what became of the structured results", &value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(patch: PatchOutcome, end: Option<RunEnd>, results: Results) -> EvidenceFile {
        EvidenceFile {
            patch,
            answer: Some(json!({"left_out": ["conftest.py"]})),
            end,
            results,
            limit_hit: Some("memory".into()),
            counter_tests: None,
            parser: Some("pytest".into()),
            semantics: Some("v5".into()),
            usage: Some(json!({"wall_time_ms": 5})),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let refused = PatchOutcome::Refused("patch_malformed".into(), "no".into(), String::new());
        for (patch, end, results) in [
            (PatchOutcome::Applied, Some(RunEnd::Exited(1)), Results::Cases(3)),
            (PatchOutcome::Absent, Some(RunEnd::Signalled(9)), Results::Missing("why".into())),
            (PatchOutcome::Failed("words".into()), Some(RunEnd::TimedOut), Results::NotOffered),
            (refused, None, Results::NotOffered),
        ] {
            let evidence = evidence(patch, end, results);
            assert_eq!(read("evidence.json", &write(&evidence)), Ok(evidence));
        }
    }

    #[test]
    fn files_without_a_parser_are_read_and_newer_or_damaged_ones_refused() {
        let text = write(&evidence(PatchOutcome::Applied, None, Results::NotOffered));
        let old = text.replace("\"format_version\": 2", "\"format_version\": 1");
        let old = old.replace("  \"parser\": \"pytest\",\n", "");
        assert_eq!(read("evidence.json", &old).unwrap().parser, None);
        let wrong = |text: &str| read("evidence.json", text).unwrap_err().to_string();
        let newer = text.replace("\"format_version\": 2", "\"format_version\": 9");
        assert!(wrong(&newer).contains("format version 9 is newer than 2"));
        assert!(wrong(&text[..text.len() / 2]).starts_with("evidence.json:1: not valid JSON"));
        assert!(wrong(&text.replace("applied", "mended")).contains("`patch.outcome`"));
        assert!(wrong(&text.replace("\"not_offered\"", "7")).contains("`structured`"));
    }
}
