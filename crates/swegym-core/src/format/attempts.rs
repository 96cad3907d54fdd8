//! `results/<instance_id>.<attempt>.json` of a rollout: what an attempt came to,
//! beside its record. It holds no times, so that equal work gives equal bytes.

use serde_json::{Map, Value, json};

use super::row::Row;
use super::{FormatError, Problem};
use crate::chat::Usage;
use crate::stop_reason::StopReason;
use crate::{Class, InstanceId};

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// The instance.
    pub instance_id: InstanceId,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// The instance's repository; files from before it was noted do not say.
    pub repo: Option<String>,
    /// Why it ended.
    pub exit_status: StopReason,
    /// The scaffold and its version.
    pub scaffold: String,
    /// Who answered.
    pub model: String,
    /// How tokens were drawn, where it was chosen.
    pub temperature: Option<f64>,
    /// Answers of the model that count.
    pub steps: u64,
    /// Those of them that did something.
    pub turns: u64,
    /// Those of them that could not be carried out.
    pub malformed: u64,
    /// Loops that it ended in, by the names of their predicates.
    pub stuck: Vec<String>,
    /// What it did that no lesson is, as rows for people.
    pub conduct: Vec<Value>,
    /// What the steps that count used.
    pub usage: Usage,
    /// The answer.
    pub patch: String,
    /// The verdict, as a row of `reports.jsonl`, where it was tested at once.
    pub report: Option<Map<String, Value>>,
    /// What it came to; files from before there were classes do not say.
    pub class: Option<Class>,
}

impl AttemptResult {
    /// Whether it hands in nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patch.trim().is_empty()
    }
}

/// The document for the file.
#[must_use]
pub fn write(result: &AttemptResult) -> Value {
    let mut value = json!({
        "instance_id": result.instance_id.as_str(),
        "attempt": result.attempt,
        "repo": result.repo,
        "exit_status": result.exit_status.as_str(),
        "scaffold": result.scaffold,
        "model": result.model,
        "temperature": result.temperature,
        "steps": result.steps,
        "turns": result.turns,
        "malformed": result.malformed,
        "stuck": result.stuck,
        "conduct": result.conduct,
        "answers": result.steps,
        "prompt_tokens": result.usage.prompt_tokens,
        "completion_tokens": result.usage.completion_tokens,
        "cached_tokens": result.usage.cached_tokens,
        "cost_usd": result.usage.cost_usd,
        "empty_patch": result.is_empty(),
        "patch": result.patch,
    });
    if let Some(report) = &result.report {
        value["report"] = Value::Object(report.clone());
    }
    value["class"] = json!(result.class.map(Class::as_str));
    value
}

/// Reads the file's text.
///
/// # Errors
/// See [`Problem`].
pub fn read(file: &str, text: &str) -> Result<AttemptResult, FormatError> {
    let mut row = Row::parse(file, 1, text.as_bytes())?;
    let word = row.string("exit_status")?;
    let exit_status = StopReason::parse(&word).ok_or_else(|| row.unknown("exit_status", &word))?;
    let class = match row.optional_string("class")? {
        Some(word) => Some(Class::parse(&word).ok_or_else(|| row.unknown("class", &word))?),
        None => None,
    };
    let stuck = row.take("stuck").ok_or_else(|| row.error(Problem::Missing("stuck")))?;
    let report = match row.take("report") {
        None | Some(Value::Null) => None,
        Some(Value::Object(report)) => Some(report),
        Some(other) => return Err(row.wrong("report", "an object", &other)),
    };
    Ok(AttemptResult {
        instance_id: InstanceId::new(row.string("instance_id")?).map_err(|e| row.error(e))?,
        attempt: row.integer("attempt")? as u32,
        repo: row.optional_string("repo")?,
        exit_status,
        scaffold: row.string("scaffold")?,
        model: row.string("model")?,
        temperature: row.number("temperature"),
        steps: row.integer("steps")?,
        turns: row.integer("turns")?,
        malformed: row.integer("malformed")?,
        stuck: row.strings("stuck", stuck)?,
        conduct: match row.take("conduct") {
            Some(Value::Array(rows)) => rows,
            _ => Vec::new(),
        },
        usage: Usage {
            prompt_tokens: row.integer("prompt_tokens")?,
            completion_tokens: row.integer("completion_tokens")?,
            cached_tokens: row.optional_integer("cached_tokens")?.unwrap_or(0),
            cost_usd: row.number("cost_usd"),
        },
        patch: row.string("patch")?,
        report,
        class,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_cut_file_refused() {
        let result = AttemptResult {
            instance_id: InstanceId::new("a__b-1").unwrap(),
            attempt: 2,
            repo: Some("a/b".into()),
            exit_status: StopReason::StepLimit,
            scaffold: "codeact@1".into(),
            model: "m".into(),
            temperature: Some(0.5),
            steps: 4,
            turns: 3,
            malformed: 1,
            stuck: vec!["trailing-3@1".into()],
            conduct: vec![json!({"conduct": "seeks-copy@1"})],
            usage: Usage { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 1, cost_usd: Some(0.5) },
            patch: "diff".into(),
            report: Some(Map::from_iter([("resolved".to_owned(), json!(true))])),
            class: Some(Class::ResolvedOverBudget),
        };
        let text = format!("{:#}\n", write(&result));
        assert_eq!(read("x.json", &text), Ok(result));
        for cut in (0..text.len() - 2).step_by(7) {
            assert!(read("x.json", &text[..cut]).is_err(), "cut at {cut}");
        }
        // From before repositories and classes were noted.
        let old = text.replace("  \"repo\": \"a/b\",\n", "").replace("\"resolved_over_budget\"", "null");
        let old = read("x.json", &old).unwrap();
        assert_eq!((old.repo, old.class), (None, None));
    }
}
