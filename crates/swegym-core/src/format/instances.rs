//! SWE-bench instance rows, JSON Lines or one JSON list, both encodings of the
//! test lists (reference/swe-gym.md, section 2; reference/grading.md, 1.1).

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::row::{Row, closest};
use super::{FormatError, Problem, python_list};
use crate::instance::{Instance, ListEncoding};
use crate::json::{Leniency, mended};
use crate::{InstanceId, Names, Patch};

/// Every field of the format, in the order in which rows are written.
pub const FIELDS: [&str; 17] = [
    "repo",
    "instance_id",
    "base_commit",
    "patch",
    "test_patch",
    "problem_statement",
    "hints_text",
    "created_at",
    "version",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "environment_setup_commit",
    "difficulty",
    "eval_script",
    "log_parser",
    "eval_type",
    "image",
];

/// What the reader does with a column that looks like a misspelt one of the format which
/// the row lacks. Whatever else a row has is kept and written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownFields {
    /// An error that names both: the default, since a misspelt field is silent otherwise.
    Refuse,
    /// It is kept, too.
    Keep,
}

/// Columns that no tests are run by. Datasets type them as they like: a version
/// as a number, a difficulty as counts, hints as a list. What is no text says
/// nothing of how an instance is judged either.
const ASIDE: [&str; 6] =
    ["hints_text", "created_at", "version", "environment_setup_commit", "difficulty", "eval_type"];

/// Besides, those that only running tests takes.
const ASIDE_IN_GRADING: [&str; 2] = ["image", "eval_script"];

/// Columns beside the format that `validate` writes: paths that decide how an
/// answer is tested and that the gold patch changes; what is wrong with the statement.
const NOTES: [&str; 2] = ["gold_settings", "statement_problems"];

/// Reads a whole file. Rows keep their order.
///
/// # Errors
/// The first thing that is wrong, with its line: see [`Problem`].
pub fn read(file: &str, text: &str, unknown: UnknownFields) -> Result<Vec<Instance>, FormatError> {
    let mut instances = Vec::new();
    let mut seen: HashMap<InstanceId, usize> = HashMap::new();
    for (line, mut row) in Row::all(file, text)? {
        if let (UnknownFields::Refuse, Some((field, meant))) = (unknown, misspelt(&row)) {
            let problem = Problem::UnknownField { field, closest: Some(meant) };
            return Err(FormatError::new(file, line, problem));
        }
        let instance = read_needed(&mut row, Need::Everything)?;
        let extra = row.rest();
        if let Some(first) = seen.insert(instance.instance_id.clone(), line) {
            let id = instance.instance_id.to_string();
            return Err(FormatError::new(file, line, Problem::DuplicateId { id, first }));
        }
        instances.push(with_extra(instance, extra));
    }
    if instances.is_empty() {
        return Err(FormatError::new(file, None, Problem::Empty));
    }
    Ok(instances)
}

/// A column that looks like one of the format which the row lacks, and that one.
fn misspelt(row: &Row<'_>) -> Option<(String, &'static str)> {
    let lacking: Vec<&'static str> = FIELDS.into_iter().filter(|field| !row.has(field)).collect();
    let strangers = row.names().filter(|name| !FIELDS.contains(name) && !NOTES.contains(name));
    // A name that goes on says something else: `image_name`.
    let meant = |name: &str| closest(name, &lacking).filter(|meant| !name.starts_with(meant));
    strangers.filter_map(|name| Some((name.to_owned(), meant(name)?))).next()
}

/// What a row must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everything that making and solving the task takes, in good order.
    Everything,
    /// An id and the expected tests: enough to grade a log.
    Grading,
}

/// Reads one row whose fields come from elsewhere (a Parquet column, another
/// format's names made ours). Fields that the format does not have are kept.
///
/// # Errors
/// What is wrong, with the row's file and line.
pub fn read_fields(
    file: &str,
    line: usize,
    fields: Map<String, Value>,
    need: Need,
) -> Result<Instance, FormatError> {
    let mut row = Row::from_map(file, line, fields);
    let instance = read_needed(&mut row, need)?;
    Ok(with_extra(instance, row.rest()))
}

fn with_extra(mut instance: Instance, extra: Map<String, Value>) -> Instance {
    instance.extra.extend(extra);
    instance
}

fn read_needed(row: &mut Row<'_>, need: Need) -> Result<Instance, FormatError> {
    let instance_id = InstanceId::new(row.string("instance_id")?).map_err(|e| row.error(e))?;
    let (fail_to_pass, encoding) = test_list(row, "FAIL_TO_PASS")?;
    let (pass_to_pass, _) = test_list(row, "PASS_TO_PASS")?;
    let required = |row: &mut Row<'_>, field| match need {
        Need::Everything => row.string(field),
        Need::Grading => Ok(row.optional_string(field)?.unwrap_or_default()),
    };
    let (mut aside, mut odd) = (Map::new(), Map::new());
    let in_grading = ASIDE_IN_GRADING.iter().filter(|_| need == Need::Grading);
    for field in ASIDE.iter().chain(in_grading).copied() {
        match row.take(field) {
            None | Some(Value::Null) => {}
            Some(value) => {
                aside.extend(text_of(&value).map(|text| (field.to_owned(), text)));
                odd.extend((!value.is_string()).then(|| (field.to_owned(), value)));
            }
        }
    }
    let mut aside = |field: &str| match aside.shift_remove(field) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let instance = Instance {
        instance_id,
        repo: required(row, "repo")?,
        base_commit: required(row, "base_commit")?,
        gold_patch: required(row, "patch")?,
        test_patch: row.optional_string("test_patch")?.unwrap_or_default(),
        problem_statement: required(row, "problem_statement")?,
        hints_text: aside("hints_text").unwrap_or_default(),
        created_at: aside("created_at").unwrap_or_default(),
        version: aside("version").unwrap_or_default(),
        fail_to_pass,
        pass_to_pass,
        environment_setup_commit: aside("environment_setup_commit"),
        difficulty: aside("difficulty"),
        eval_script: aside("eval_script")
            .map_or_else(|| row.optional_string("eval_script"), |s| Ok(Some(s)))?,
        log_parser: row.optional_string("log_parser")?,
        eval_type: aside("eval_type"),
        image: aside("image").map_or_else(|| row.optional_string("image"), |s| Ok(Some(s)))?,
        encoding,
        extra: odd,
    };
    for (field, text) in [("patch", &instance.gold_patch), ("test_patch", &instance.test_patch)] {
        if need == Need::Everything && !text.trim().is_empty() {
            Patch::parse(text).map_err(|why| row.error(Problem::Patch { field, why }))?;
        }
    }
    Ok(instance)
}

/// What a column says in words, where it can: nobody reads a list or a record.
fn text_of(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value.clone()),
        Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list, that list as JSON text, or as Python prints it (OpenHands writes
/// rows so; reference/swe-gym.md, section 2.1).
fn test_list(row: &mut Row<'_>, field: &'static str) -> Result<(Names, ListEncoding), FormatError> {
    match row.take(field) {
        None | Some(Value::Null) => Err(row.error(Problem::Missing(field))),
        Some(Value::String(text)) => Ok((test_text(row, field, &text)?, ListEncoding::Text)),
        Some(list) => Ok((row.strings(field, list)?, ListEncoding::List)),
    }
}

fn test_text(row: &mut Row<'_>, field: &'static str, text: &str) -> Result<Names, FormatError> {
    if let Ok(names) = Names::from_json(text) {
        return Ok(names);
    }
    if let Some(Ok(names)) = mended(text, Leniency::HalfPairs).map(|text| Names::from_json(&text)) {
        return Ok(names);
    }
    if let Ok(other) = serde_json::from_str(text) {
        return row.strings(field, other);
    }
    python_list::read(text).ok_or_else(|| {
        row.error(Problem::Type {
            field: field.to_owned(),
            expected: "a list of strings, or that list as JSON text",
            found: "other text".to_owned(),
        })
    })
}

/// One row as a line without its newline, fields in [`FIELDS`] order.
#[must_use]
pub fn write_row(instance: &Instance) -> String {
    Value::Object(fields(instance)).to_string()
}

/// The fields of one row in [`FIELDS`] order, then those outside the format.
/// A column that came as something else than text is what it was.
#[must_use]
pub fn fields(instance: &Instance) -> Map<String, Value> {
    fields_as(instance, instance.encoding)
}

/// The same with lists of tests in this encoding.
#[must_use]
pub fn fields_as(instance: &Instance, encoding: ListEncoding) -> Map<String, Value> {
    fields_with(instance, |list| {
        Some(match encoding {
            ListEncoding::Text => {
                let mut text = String::new();
                list.write_json(&mut text);
                Value::String(text)
            }
            ListEncoding::List => list.iter().map(Value::from).collect(),
        })
    })
}

/// The same without the lists of tests, which most of a row is made of.
#[must_use]
pub fn fields_beside_tests(instance: &Instance) -> Map<String, Value> {
    fields_with(instance, |_| None)
}

fn fields_with(instance: &Instance, tests: impl Fn(&Names) -> Option<Value>) -> Map<String, Value> {
    let mut row = Map::with_capacity(FIELDS.len() + instance.extra.len());
    for field in FIELDS {
        let optional = |value: &Option<String>| value.clone().map(Value::String);
        let value = match field {
            "repo" => Some(json!(instance.repo)),
            "instance_id" => Some(json!(instance.instance_id.as_str())),
            "base_commit" => Some(json!(instance.base_commit)),
            "patch" => Some(json!(instance.gold_patch)),
            "test_patch" => Some(json!(instance.test_patch)),
            "problem_statement" => Some(json!(instance.problem_statement)),
            "hints_text" => Some(json!(instance.hints_text)),
            "created_at" => Some(json!(instance.created_at)),
            "version" => Some(json!(instance.version)),
            "FAIL_TO_PASS" => tests(&instance.fail_to_pass),
            "PASS_TO_PASS" => tests(&instance.pass_to_pass),
            "environment_setup_commit" => optional(&instance.environment_setup_commit),
            "difficulty" => optional(&instance.difficulty),
            "eval_script" => optional(&instance.eval_script),
            "log_parser" => optional(&instance.log_parser),
            "eval_type" => optional(&instance.eval_type),
            _ => optional(&instance.image),
        };
        if let Some(value) = value {
            row.insert(field.to_owned(), value);
        }
    }
    row.extend(instance.extra.clone());
    row
}

/// All rows as JSON Lines.
#[must_use]
pub fn write(instances: &[Instance]) -> String {
    instances.iter().map(|i| write_row(i) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hint as _;

    const ROW: &str = include_str!("../../tests/golden/instance.jsonl");

    #[test]
    fn a_published_row_is_written_back_byte_for_byte() {
        let rows = read("instance.jsonl", ROW, UnknownFields::Refuse).unwrap();
        assert_eq!(write(&rows), ROW);
        assert_eq!(rows[0].fail_to_pass, ["tests/test_a.py::test_x[a b]"]);
        assert_eq!((rows[0].encoding, rows[1].encoding), (ListEncoding::Text, ListEncoding::List));
    }

    #[test]
    fn bad_rows_name_file_line_and_field() {
        let first = ROW.lines().next().unwrap();
        let cases = [
            ("{".to_owned(), "in.jsonl:2: not valid JSON: EOF while parsing an object at line 1 column 1"),
            ("[1]".to_owned(), "in.jsonl:2: a row must be a JSON object, this is a list"),
            (first.replace("\"repo\":", "\"x\":"), "in.jsonl:2: the field `repo` is missing"),
            (first.replace("\"repo\":", "\"rpo\":"), "in.jsonl:2: unknown field `rpo`; did you mean `repo`?"),
            (
                first.replace("\"version\"", "\"Versions\""),
                "in.jsonl:2: unknown field `Versions`; did you mean `version`?",
            ),
            (first.to_owned(), "in.jsonl:2: duplicate id `pallets__demo-1`, first seen on line 1"),
            (
                first.replace("\"[\\\"tests", "\"[tests"),
                "in.jsonl:2: the field `FAIL_TO_PASS` must be a list of strings, or that list as JSON text, this is other text",
            ),
            (
                first.replace("a/src/a.py b/src/a.py", "a/../a.py b/../a.py"),
                "in.jsonl:2: the field `patch` is not a patch that can be used: line 1: `../a.py` leaves the repository",
            ),
        ];
        for (bad, message) in cases {
            let error = read("in.jsonl", &format!("{first}\n{bad}\n"), UnknownFields::Refuse).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
        }
        let none = read("in.jsonl", "\n", UnknownFields::Refuse).unwrap_err();
        assert_eq!(none.to_string(), "in.jsonl: the file has no rows");
    }

    #[test]
    fn unknown_fields_are_kept_and_misspelt_ones_when_asked() {
        let with = |field: &str| {
            ROW.lines().next().unwrap().replace("\"version\":", &format!("\"{field}\":3,\"version\":"))
        };
        // What the row has is not misspelt.
        for field in ["stars", "versions", "pull_number", "image_name"] {
            let rows = read("in", &with(field), UnknownFields::Refuse).unwrap();
            assert!(write_row(&rows[0]).ends_with(&format!("\"{field}\":3}}")), "{field}");
        }
        let row = with("imge");
        assert!(read("in", &row, UnknownFields::Refuse).is_err());
        assert!(read("in", &row, UnknownFields::Keep).is_ok());
    }

    #[test]
    fn a_column_that_nobody_needs_is_kept_as_it_is() {
        for (field, value) in [
            ("difficulty", json!({"files": 1, "hunks": 1, "lines": 3})),
            ("version", json!(1.5)),
            ("created_at", json!(1_736_375_972)),
            ("hints_text", json!(["a", "b"])),
            ("environment_setup_commit", json!(false)),
            ("eval_type", json!(3)),
        ] {
            let mut row: Value = serde_json::from_str(ROW.lines().next().unwrap()).unwrap();
            row[field] = value.clone();
            for unknown in [UnknownFields::Refuse, UnknownFields::Keep] {
                let read = read("in", &row.to_string(), unknown).unwrap();
                let again: Value = serde_json::from_str(&write_row(&read[0])).unwrap();
                assert_eq!(again, row, "{field}");
                if field == "version" {
                    assert_eq!(read[0].version, "1.5");
                }
            }
        }
        // What tests are run and judged by has one type.
        for field in ["repo", "test_patch", "eval_script", "log_parser", "image"] {
            let mut row: Value = serde_json::from_str(ROW.lines().next().unwrap()).unwrap();
            row[field] = json!([1]);
            let error = read("in", &row.to_string(), UnknownFields::Refuse).unwrap_err().to_string();
            assert_eq!(error, format!("in:1: the field `{field}` must be a string, this is a list"));
        }
    }

    proptest::proptest! {
        #[test]
        fn writing_then_reading_gives_the_same(
            texts in proptest::collection::vec("\\PC*", 6), tests in proptest::collection::vec("\\PC{1,20}", 0..4), list: bool,
        ) {
            let tests: Names = tests.iter().collect();
            let instance = Instance {
                instance_id: InstanceId::new("a__b-1").unwrap(),
                repo: texts[0].clone(), base_commit: texts[1].clone(), gold_patch: String::new(), test_patch: String::new(),
                problem_statement: texts[2].clone(), hints_text: texts[3].clone(), created_at: texts[4].clone(), version: texts[5].clone(),
                fail_to_pass: tests.clone(), pass_to_pass: tests, environment_setup_commit: Some(texts[0].clone()), difficulty: None,
                eval_script: None, log_parser: None, eval_type: Some(texts[1].clone()), image: None,
                encoding: if list { ListEncoding::List } else { ListEncoding::Text }, extra: Map::new(),
            };
            let again = read("x", &write_row(&instance), UnknownFields::Refuse).unwrap();
            proptest::prop_assert_eq!(&again[0], &instance);
        }
    }
}
