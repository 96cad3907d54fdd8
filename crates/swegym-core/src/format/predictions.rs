//! Predictions: SWE-bench's rows, and those that other programs write. JSON
//! Lines, one list, or one object keyed by id.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::row::{Row, closest};
use super::{FormatError, Problem};
use crate::{InstanceId, Prediction};

/// Where the answer's patch stands, the surest place first: SWE-bench's,
/// OpenHands' of its outputs (of today, and of before), SWE-bench Pro's,
/// Multi-SWE-bench's, R2E-Gym's, SWE-agent's, and that of SWE-bench's first edition.
const PATCHES: [&str; 9] = [
    "/model_patch",
    "/test_result/git_patch",
    "/git_patch",
    "/patch",
    "/fix_patch",
    "/output_patch",
    "/submission",
    "/info/submission",
    "/prediction",
];

/// Where who answered stands.
const MODELS: [&str; 6] = [
    "/model_name_or_path",
    "/model",
    "/model_name",
    "/prefix",
    "/metadata/llm_config/model",
    "/metadata/model_name",
];

/// Fields of a dataset's row, of which `patch` is the gold patch and no answer.
const OF_DATASETS: [&str; 6] =
    ["FAIL_TO_PASS", "PASS_TO_PASS", "fail_to_pass", "fixed_tests", "problem_statement", "base_commit"];

/// Fields that a misspelt one may have meant.
const KNOWN: [&str; 9] = [
    "instance_id",
    "model_name_or_path",
    "model_patch",
    "git_patch",
    "fix_patch",
    "output_patch",
    "prediction",
    "submission",
    "test_result",
];

/// Reads a predictions file. Fields beyond those of the forms that are known are
/// common in the wild and are left alone; a row that has its patch nowhere is
/// refused, since an answer would be graded as an empty one.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(file: &str, text: &str) -> Result<Vec<Prediction>, FormatError> {
    let mut seen: HashMap<InstanceId, usize> = HashMap::new();
    let mut predictions = Vec::new();
    for (line, mut row) in Row::all(file, text)? {
        let prediction = read_row(&mut row)?;
        let id = &prediction.instance_id;
        if let Some(first) = seen.insert(id.clone(), line) {
            return Err(row.error(Problem::DuplicateId { id: id.to_string(), first }));
        }
        predictions.push(prediction);
    }
    if predictions.is_empty() {
        return Err(FormatError::new(file, None, Problem::Empty));
    }
    Ok(predictions)
}

fn read_row(row: &mut Row<'_>) -> Result<Prediction, FormatError> {
    let fields = Value::Object(row.take_all());
    let instance_id = InstanceId::new(id(row, &fields)?).map_err(|e| row.error(e))?;
    Ok(Prediction {
        instance_id,
        model_name_or_path: model(row, &fields)?,
        model_patch: patch(row, &fields)?,
    })
}

/// The id; Multi-SWE-bench's rows say it in three fields.
fn id(row: &Row<'_>, fields: &Value) -> Result<String, FormatError> {
    match (&fields["instance_id"], &fields["org"], &fields["repo"], &fields["number"]) {
        (Value::String(id), ..) => Ok(id.clone()),
        (Value::Null, Value::String(org), Value::String(repo), number)
            if number.is_number() || number.is_string() =>
        {
            Ok(format!("{org}__{repo}-{}", number.to_string().trim_matches('"')))
        }
        (Value::Null, ..) => Err(absent(row, fields, "instance_id")),
        (other, ..) => Err(row.wrong("instance_id", "a string", other)),
    }
}

/// The patch. `null` says that there is no answer; that nothing is said is an error.
fn patch(row: &Row<'_>, fields: &Value) -> Result<Option<String>, FormatError> {
    let said = |place: &&&str| fields.pointer(place).is_some();
    let Some(place) = PATCHES.iter().find(said) else {
        // An attempt of OpenHands that broke off has its error instead.
        let broke = fields.get("test_result").is_some() && !super::is_blank(&fields["error"]);
        return if broke { Ok(None) } else { Err(absent(row, fields, "model_patch")) };
    };
    let name = place.trim_start_matches('/').replace('/', ".");
    if *place == "/patch" && OF_DATASETS.iter().any(|field| fields.get(*field).is_some()) {
        return Err(row.error(Problem::GoldForAnswer));
    }
    let read = |place: &str| match fields.pointer(place) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        None | Some(Value::Null) => Ok(None),
        Some(other) => Err(row.wrong(&name, "a string", other)),
    };
    let patch = read(place)?;
    // SWE-bench's own field is the answer, whatever a row was joined with.
    let others = PATCHES.iter().filter(|other| *other != place && *place != PATCHES[0]);
    for other in others {
        let also = fields.pointer(other).and_then(Value::as_str);
        if also.is_some_and(|also| Some(also) != patch.as_deref()) {
            let other = other.trim_start_matches('/').replace('/', ".");
            return Err(row.error(Problem::TwoPatches { one: name, other }));
        }
    }
    Ok(patch)
}

fn model(row: &Row<'_>, fields: &Value) -> Result<String, FormatError> {
    match MODELS.iter().find_map(|place| fields.pointer(place).filter(|value| !value.is_null())) {
        Some(Value::String(name)) => Ok(name.clone()),
        Some(other) => Err(row.wrong("model_name_or_path", "a string", other)),
        None => match misspelt(fields, "model_name_or_path") {
            Some(problem) => Err(row.error(problem)),
            None => Ok(String::new()),
        },
    }
}

/// A field that must be there is not: perhaps it is misspelt.
fn absent(row: &Row<'_>, fields: &Value, field: &'static str) -> FormatError {
    if let Some(problem) = misspelt(fields, field) {
        return row.error(problem);
    }
    match field {
        "model_patch" => {
            let found = fields.as_object().map(Map::keys).into_iter().flatten();
            let found: Vec<_> = found.take(12).map(|name| format!("`{name}`")).collect();
            row.error(Problem::NoAnswer { found: found.join(", ") })
        }
        _ => row.error(Problem::Missing(field)),
    }
}

/// A field that is not known, and is near to the one that is missed.
fn misspelt(fields: &Value, missed: &'static str) -> Option<Problem> {
    let of_patches = missed == "model_patch";
    let near = |name: &String| {
        let close = closest(name, &KNOWN)?;
        let is_meant =
            close == missed || of_patches && !["instance_id", "model_name_or_path"].contains(&close);
        (is_meant && close != name).then_some(close)
    };
    let (name, close) = fields.as_object()?.keys().find_map(|name| Some((name.clone(), near(name)?)))?;
    Some(Problem::Misspelt { field: name, meant: close })
}

/// All predictions as JSON Lines.
#[must_use]
pub fn write(predictions: &[Prediction]) -> String {
    let line = |p: &Prediction| {
        json!({
            "instance_id": p.instance_id.as_str(),
            "model_name_or_path": p.model_name_or_path,
            "model_patch": p.model_patch,
        })
        .to_string()
            + "\n"
    };
    predictions.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hint as _;

    fn one(row: &Value) -> Result<(String, Option<String>), String> {
        let mut read = read("p.jsonl", &row.to_string()).map_err(|e| e.to_string())?;
        let prediction = read.remove(0);
        assert_eq!(prediction.instance_id.as_str(), "a__b-1");
        Ok((prediction.model_name_or_path, prediction.model_patch))
    }

    #[test]
    fn the_three_shapes_read_alike() {
        let lines = "{\"instance_id\":\"a-1\",\"model_name_or_path\":\"m\",\"model_patch\":null}\n";
        let list = format!("[{}]", lines.trim());
        let map = "{\"a-1\":{\"model_name_or_path\":\"m\",\"model_patch\":null}}";
        let expected = read("p", lines).unwrap();
        assert_eq!(read("p", &list).unwrap(), expected);
        assert_eq!(read("p", map).unwrap(), expected);
        assert_eq!(write(&expected), lines);
        assert!(expected[0].is_empty());
    }

    #[test]
    fn every_known_form_is_read() {
        let said = Ok(("m".to_owned(), Some("x".to_owned())));
        let id = "a__b-1";
        for row in [
            json!({"instance_id": id, "model_name_or_path": "m", "model_patch": "x", "full_output": [1]}),
            json!({"instance_id": id, "prefix": "m", "patch": "x"}),
            json!({"instance_id": id, "model": "m", "prediction": "x"}),
            json!({"instance_id": id, "model_name_or_path": "m", "git_patch": "x"}),
            json!({"instance_id": id, "test_result": {"git_patch": "x"}, "history": [], "error": null,
                "instance": {"patch": "gold"}, "metadata": {"llm_config": {"model": "m"}}}),
            json!({"org": "a", "repo": "b", "number": 1, "fix_patch": "x", "model": "m"}),
            json!({"instance_id": id, "model_name": "m", "output_patch": "x"}),
            json!({"instance_id": id, "model": "m", "info": {"submission": "x"}}),
            json!({"instance_id": id, "model": "m", "git_patch": "x", "test_result": {"git_patch": "x"}}),
            // A row that was joined with the dataset's.
            json!({"instance_id": id, "model": "m", "model_patch": "x", "patch": "gold", "FAIL_TO_PASS": []}),
        ] {
            assert_eq!(one(&row), said, "{row}");
        }
        for row in [
            json!({"instance_id": id, "git_patch": null}),
            json!({"instance_id": id, "test_result": {}, "error": "it took too long"}),
        ] {
            assert_eq!(one(&row), Ok((String::new(), None)), "{row}");
        }
    }

    #[test]
    fn anything_else_is_refused_by_line_and_field() {
        let id = "a__b-1";
        for (row, why) in [
            (
                json!({"instance_id": id, "modle_patch": "x"}),
                "unknown field `modle_patch`; did you mean `model_patch`?",
            ),
            (
                json!({"instance_id": id, "modelPatch": "x"}),
                "unknown field `modelPatch`; did you mean `model_patch`?",
            ),
            (
                json!({"instance_id": id, "gitpatch": "x"}),
                "unknown field `gitpatch`; did you mean `git_patch`?",
            ),
            (
                json!({"instanceId": id, "model_patch": "x"}),
                "unknown field `instanceId`; did you mean `instance_id`?",
            ),
            (
                json!({"instance_id": id, "model_patch": "x", "model_nam_or_path": "m"}),
                "unknown field `model_nam_or_path`; did you mean `model_name_or_path`?",
            ),
            (
                json!({"instance_id": id, "answer": "x"}),
                "no field holds the answer's patch; the row has `instance_id`, `answer`",
            ),
            (json!({"id": id, "model_patch": "x"}), "the field `instance_id` is missing"),
            (
                json!({"instance_id": 7, "model_patch": "x"}),
                "the field `instance_id` must be a string, this is a number",
            ),
            (
                json!({"instance_id": id, "model_patch": ["x"]}),
                "the field `model_patch` must be a string, this is a list",
            ),
            (
                json!({"instance_id": id, "test_result": {"git_patch": 1}}),
                "the field `test_result.git_patch` must be a string, this is a number",
            ),
            (
                json!({"instance_id": id, "test_result": {}}),
                "no field holds the answer's patch; the row has `instance_id`, `test_result`",
            ),
            (
                json!({"instance_id": id, "git_patch": "x", "patch": "y"}),
                "`git_patch` and `patch` hold different patches",
            ),
            (
                json!({"instance_id": id, "patch": "x", "FAIL_TO_PASS": ["t"]}),
                "this is a row of a dataset, whose `patch` is the gold patch and no answer",
            ),
            (
                json!({"instance_id": id, "model_patch": "x", "model": 1}),
                "the field `model_name_or_path` must be a string, this is a number",
            ),
        ] {
            assert_eq!(one(&row), Err(format!("p.jsonl:1: {why}")), "{row}");
        }
        let text = "{\"instance_id\":\"a-1\",\"model_patch\":\"\"}\n\n{\"a-2\":{}}\n";
        let error = read("p.jsonl", text).unwrap_err();
        assert_eq!(error.to_string(), "p.jsonl:3: the field `instance_id` is missing");
        assert!(error.hint().is_some_and(|hint| hint.contains("instance_id")));
    }

    #[test]
    fn duplicates_are_refused_with_both_lines() {
        let line = "{\"instance_id\":\"a-1\",\"model_patch\":\"\"}\n";
        let error = read("p.jsonl", &line.repeat(2)).unwrap_err();
        assert_eq!(error.to_string(), "p.jsonl:2: duplicate id `a-1`, first seen on line 1");
    }
}
