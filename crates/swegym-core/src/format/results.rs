//! `results/<job>.json`: what a job came to. The journal has one word of it, for counts.
//! It holds no times, so that equal work gives equal bytes.
//!
//! Rows that a verb only hands on, to files of its own or to people, are kept as they are.

use serde_json::{Map, Value, json};

use super::attempts::{self, AttemptResult};
use super::row::Row;
use super::{FormatError, Problem};

/// A row of another file.
pub type Fields = Map<String, Value>;

/// What a job came to.
#[derive(Debug, Clone, PartialEq)]
pub enum JobOutput {
    /// `build`: an image, as a row of `images.jsonl`.
    Built(Fields),
    /// `prepare`: a raw instance was given an image and the lists of its tests, or cannot be.
    Prepared(Prepared),
    /// `synth`: a bug was planted.
    Planted(Planted),
    /// `micro`: a repository was drawn.
    Drawn(Drawn),
    /// `validate`: an instance was tried.
    Validated(Validated),
    /// `evaluate`: an answer was tested. A row of `reports.jsonl`.
    Evaluated(Fields),
    /// `rollout`: an attempt came to its end, and was tested if that was wanted.
    Attempted(Box<AttemptResult>),
}

/// What became of a raw instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// It has what its tests need.
    Ready {
        /// The instance, as a row.
        instance: Fields,
        /// How its image was made: interpreter, requirements, what did not install.
        recipe: Fields,
    },
    /// It makes no task. To find out may have taken long: that is a result as well.
    Dropped {
        /// Why, in one word.
        reason: String,
        /// Why, for people, with the words of a tool.
        message: String,
        /// What may help.
        hint: Option<String>,
    },
}

/// What became of a planted bug.
#[derive(Debug, Clone, PartialEq)]
pub enum Planted {
    /// Tests fail by it, and a statement says so.
    Candidate {
        /// The instance.
        instance: Fields,
        /// Where it was planted.
        bugs: Value,
    },
    /// It makes no instance.
    Dropped {
        /// Why, in one word.
        reason: String,
        /// Where it was planted.
        bugs: Value,
        /// What is wrong with its statement, where that is why.
        problems: Option<Value>,
    },
}

/// What became of a repository of the micro gym.
#[derive(Debug, Clone, PartialEq)]
pub enum Drawn {
    /// It is an instance.
    Candidate {
        /// The instance.
        instance: Fields,
        /// The same with tests that anybody can make of the issue.
        example: Fields,
        /// The mistake in it.
        bug: Value,
        /// Changes that nobody attempted, with their outcomes.
        answers: Vec<Value>,
    },
    /// No call shows the mistake.
    Equivalent {
        /// The mistake in it.
        bug: Value,
    },
}

/// What became of an instance that was tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Validated {
    /// Whether it is kept, and as what.
    pub kept: Kept,
    /// What repeats say of its tests, where they were run to the end.
    pub flakes: Option<Value>,
    /// What tricks came to on it, where they were tried.
    pub probes: Option<Vec<Value>>,
}

/// Whether an instance is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// With the tests that count.
    Kept(Fields),
    /// It is no good.
    Dropped {
        /// Why, in one word.
        reason: String,
        /// What else there is to say of it: some of [`Validated::DETAILS`].
        details: Fields,
    },
}

impl Validated {
    /// What may be said of an instance that is dropped: before or after the gold patch,
    /// which test, the words of a tool, what is left in the repository, which trick.
    pub const DETAILS: [&'static str; 5] = ["side", "test", "said", "leak", "probe"];
}

impl JobOutput {
    /// One word for counts.
    #[must_use]
    pub fn outcome(&self) -> &str {
        match self {
            Self::Built(_) => "built",
            Self::Prepared(Prepared::Ready { .. }) => "prepared",
            Self::Prepared(Prepared::Dropped { reason, .. }) => reason,
            Self::Planted(Planted::Candidate { .. }) | Self::Drawn(Drawn::Candidate { .. }) => "candidate",
            Self::Planted(Planted::Dropped { reason, .. }) => reason,
            Self::Drawn(Drawn::Equivalent { .. }) => "equivalent",
            Self::Validated(validated) => match &validated.kept {
                Kept::Kept(_) => "kept",
                Kept::Dropped { reason, .. } => reason,
            },
            Self::Evaluated(report) => of_report(report),
            Self::Attempted(attempt) => match &attempt.report {
                Some(report) => of_report(report),
                None => attempt.exit_status.as_str(),
            },
        }
    }
}

/// The word of a verdict, from its row.
fn of_report(report: &Fields) -> &str {
    let reason = report.get("reason").and_then(|reason| reason.get("code")).and_then(Value::as_str);
    let says = |key: &str| report.get(key) == Some(&Value::Bool(true));
    match (reason, says("resolved"), says("patch_exists")) {
        (_, true, _) => "resolved",
        (Some(code), ..) => code,
        (None, false, false) => "empty_patch",
        (None, false, true) => "unresolved",
    }
}

/// The document for the file.
#[must_use]
pub fn write(output: &JobOutput) -> Value {
    match output {
        JobOutput::Built(row) | JobOutput::Evaluated(row) => Value::Object(row.clone()),
        JobOutput::Prepared(Prepared::Ready { instance, recipe }) => {
            json!({"instance": instance, "recipe": recipe})
        }
        JobOutput::Prepared(Prepared::Dropped { reason, message, hint }) => {
            json!({"reason": reason, "message": message, "hint": hint})
        }
        JobOutput::Planted(Planted::Candidate { instance, bugs }) => {
            json!({"instance": instance, "bugs": bugs})
        }
        JobOutput::Planted(Planted::Dropped { reason, bugs, problems }) => {
            let mut value = json!({"reason": reason, "bugs": bugs});
            if let Some(problems) = problems {
                value["problems"] = problems.clone();
            }
            value
        }
        JobOutput::Drawn(Drawn::Candidate { instance, example, bug, answers }) => {
            json!({"instance": instance, "example": example, "bug": bug, "answers": answers})
        }
        JobOutput::Drawn(Drawn::Equivalent { bug }) => json!({"bug": bug}),
        JobOutput::Validated(validated) => write_validated(validated),
        JobOutput::Attempted(attempt) => attempts::write(attempt),
    }
}

fn write_validated(validated: &Validated) -> Value {
    let mut fields = match &validated.kept {
        Kept::Kept(instance) => Map::from_iter([("instance".to_owned(), json!(instance))]),
        Kept::Dropped { reason, details } => {
            let mut fields = Map::from_iter([("reason".to_owned(), json!(reason))]);
            fields.extend(details.clone());
            fields
        }
    };
    fields.extend(validated.flakes.clone().map(|flakes| ("flakes".to_owned(), flakes)));
    fields.extend(validated.probes.clone().map(|probes| ("probes".to_owned(), Value::Array(probes))));
    Value::Object(fields)
}

/// Reads the file's text; which kind it is, the verb of its run says.
///
/// # Errors
/// See [`Problem`].
pub fn read(verb: &str, file: &str, text: &str) -> Result<JobOutput, FormatError> {
    if verb == "rollout" {
        return attempts::read(file, text).map(|attempt| JobOutput::Attempted(Box::new(attempt)));
    }
    let mut row = Row::parse(file, 1, text.as_bytes())?;
    Ok(match verb {
        "build" => JobOutput::Built(row.take_all()),
        "evaluate" => JobOutput::Evaluated(row.take_all()),
        "prepare" => JobOutput::Prepared(read_prepared(&mut row)?),
        "synth" => JobOutput::Planted(read_planted(&mut row)?),
        "micro" => JobOutput::Drawn(read_drawn(&mut row)?),
        "validate" => JobOutput::Validated(read_validated(&mut row)?),
        other => return Err(row.unknown("verb", other)),
    })
}

fn read_prepared(row: &mut Row<'_>) -> Result<Prepared, FormatError> {
    if let Some(reason) = row.optional_string("reason")? {
        let (message, hint) = (row.string("message")?, row.optional_string("hint")?);
        return Ok(Prepared::Dropped { reason, message, hint });
    }
    Ok(Prepared::Ready { instance: fields(row, "instance")?, recipe: fields(row, "recipe")? })
}

fn read_planted(row: &mut Row<'_>) -> Result<Planted, FormatError> {
    let bugs = row.take("bugs").unwrap_or_default();
    if row.has("instance") {
        return Ok(Planted::Candidate { instance: fields(row, "instance")?, bugs });
    }
    Ok(Planted::Dropped { reason: row.string("reason")?, bugs, problems: row.take("problems") })
}

fn read_drawn(row: &mut Row<'_>) -> Result<Drawn, FormatError> {
    let bug = row.take("bug").ok_or_else(|| row.error(Problem::Missing("bug")))?;
    if !row.has("instance") {
        return Ok(Drawn::Equivalent { bug });
    }
    Ok(Drawn::Candidate {
        instance: fields(row, "instance")?,
        example: fields(row, "example")?,
        bug,
        answers: list(row, "answers")?.unwrap_or_default(),
    })
}

fn read_validated(row: &mut Row<'_>) -> Result<Validated, FormatError> {
    let (flakes, probes) = (row.take("flakes"), list(row, "probes")?);
    let kept = match row.has("instance") {
        true => Kept::Kept(fields(row, "instance")?),
        false => Kept::Dropped { reason: row.string("reason")?, details: row.take_all() },
    };
    Ok(Validated { kept, flakes, probes })
}

fn fields(row: &mut Row<'_>, name: &'static str) -> Result<Fields, FormatError> {
    match row.take(name) {
        Some(Value::Object(fields)) => Ok(fields),
        Some(other) => Err(row.wrong(name, "an object", &other)),
        None => Err(row.error(Problem::Missing(name))),
    }
}

fn list(row: &mut Row<'_>, name: &'static str) -> Result<Option<Vec<Value>>, FormatError> {
    match row.take(name) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(row.wrong(name, "a list", &other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Fields {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other} is no row"),
        }
    }

    #[test]
    fn every_kind_is_read_back_with_its_word() {
        let bugs = json!([{"operator": "o", "path": "a.py", "line": 3}]);
        let dropped = |reason: &str, problems| {
            JobOutput::Planted(Planted::Dropped { reason: reason.into(), bugs: bugs.clone(), problems })
        };
        let validated = |kept, probes| {
            JobOutput::Validated(Validated { kept, flakes: Some(json!({"steady": 3})), probes })
        };
        let instance = of(json!({"instance_id": "a__b-1"}));
        let refused = Kept::Dropped { reason: "flaky".into(), details: of(json!({"test": "t"})) };
        let report = |value: Value| JobOutput::Evaluated(of(value));
        for (verb, word, output) in [
            ("build", "built", JobOutput::Built(of(json!({"package": "p", "image": "i"})))),
            (
                "prepare",
                "prepared",
                JobOutput::Prepared(Prepared::Ready {
                    instance: instance.clone(),
                    recipe: of(json!({"python": "3"})),
                }),
            ),
            (
                "prepare",
                "no_tests",
                JobOutput::Prepared(Prepared::Dropped {
                    reason: "no_tests".into(),
                    message: "there are none".into(),
                    hint: None,
                }),
            ),
            (
                "synth",
                "candidate",
                JobOutput::Planted(Planted::Candidate { instance: instance.clone(), bugs: bugs.clone() }),
            ),
            ("synth", "leaks", dropped("leaks", None)),
            ("synth", "no_statement", dropped("no_statement", Some(json!(["short"])))),
            (
                "micro",
                "candidate",
                JobOutput::Drawn(Drawn::Candidate {
                    instance: instance.clone(),
                    example: instance.clone(),
                    bug: json!({"wrong": "x"}),
                    answers: vec![json!({"resolved": true})],
                }),
            ),
            ("micro", "equivalent", JobOutput::Drawn(Drawn::Equivalent { bug: json!({"wrong": "x"}) })),
            ("validate", "kept", validated(Kept::Kept(instance), Some(vec![json!({"probe": "p"})]))),
            ("validate", "flaky", validated(refused, None)),
            ("evaluate", "resolved", report(json!({"resolved": true, "patch_exists": true}))),
            ("evaluate", "unresolved", report(json!({"resolved": false, "patch_exists": true}))),
            ("evaluate", "empty_patch", report(json!({"resolved": false, "patch_exists": false}))),
            (
                "evaluate",
                "timeout",
                report(json!({"resolved": false, "patch_exists": true, "reason": {"code": "timeout"}})),
            ),
        ] {
            assert_eq!(output.outcome(), word);
            let text = format!("{:#}\n", write(&output));
            assert_eq!(read(verb, "f", &text).unwrap(), output, "{verb} {word}");
            assert!(read(verb, "f", &text[..text.len() / 2]).is_err());
        }
        assert!(read("synth", "f", "{\"bugs\": []}").unwrap_err().to_string().contains("reason"));
        assert!(read("micro", "f", "{\"bug\": 1, \"instance\": 2}").is_err());
        assert!(read("paint", "f", "{}").is_err());
    }
}
