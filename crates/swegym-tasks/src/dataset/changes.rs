//! What a dataset does not say any more after it was written and read again,
//! whatever its format and its file did to it.

use std::collections::HashSet;

use serde_json::{Map, Value};
use swegym_core::format::{instances, is_blank};
use swegym_core::instance::ListEncoding;
use swegym_core::{Instance, Names};

use super::columns::plain::Part;
use super::row_text::RowText;
use super::shape::{Change, Loss};

/// The instance of a row of which another row says everything, where that is
/// plain to see: [`changes`] finds nothing then. It is so of nearly every row.
#[must_use]
pub fn kept(before: &RowText, after: &RowText) -> Option<Instance> {
    let own = |row: &RowText| {
        let instance = row.plain(Part::Own)?;
        Some(Instance { extra: Map::new(), encoding: ListEncoding::List, ..instance })
    };
    let (old, new) = (own(before)?, own(after)?);
    (old == new && before.others_are_in(after)).then_some(old)
}

/// Every field that the instance said before and that reads otherwise after.
#[must_use]
pub fn changes(mut before: Instance, mut after: Instance) -> Vec<Loss> {
    forget_same(&mut before, &mut after);
    let mut losses = Vec::new();
    let mut note = |field: &str, change, why| losses.push(Loss { field: field.to_owned(), change, why });
    for (field, before, after) in [
        ("FAIL_TO_PASS", &before.fail_to_pass, &after.fail_to_pass),
        ("PASS_TO_PASS", &before.pass_to_pass, &after.pass_to_pass),
    ] {
        if let Some(why) = names_differ(before, after) {
            note(field, Change::Altered, why);
        }
    }
    let now = instances::fields_beside_tests(&after);
    for (field, value) in instances::fields_beside_tests(&before) {
        match now.get(&field) {
            _ if value.is_null() => {}
            None | Some(Value::Null) if is_blank(&value) && value.is_string() => {}
            None | Some(Value::Null) => {
                note(&field, Change::NoPlace, "it is not there when the dataset is read again");
            }
            Some(now) => {
                if let Some(why) = values_differ(&value, now) {
                    note(&field, Change::Altered, why);
                }
            }
        }
    }
    losses
}

/// Takes out what is the same, and most of what there is, before anything of it is copied.
fn forget_same(before: &mut Instance, after: &mut Instance) {
    for (before, after) in [
        (&mut before.gold_patch, &mut after.gold_patch),
        (&mut before.test_patch, &mut after.test_patch),
        (&mut before.problem_statement, &mut after.problem_statement),
        (&mut before.hints_text, &mut after.hints_text),
    ] {
        if before == after {
            before.clear();
            after.clear();
        }
    }
    for (before, after) in [
        (&mut before.eval_script, &mut after.eval_script),
        (&mut before.environment_setup_commit, &mut after.environment_setup_commit),
        (&mut before.image, &mut after.image),
    ] {
        if before == after {
            (*before, *after) = (None, None);
        }
    }
    before.extra.retain(|name, value| {
        let is_same = after.extra.get(name) == Some(value);
        if is_same {
            after.extra.swap_remove(name);
        }
        !is_same
    });
}

fn names_differ(before: &Names, after: &Names) -> Option<&'static str> {
    if before == after {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (before.iter().collect(), after.iter().collect());
    let mut seen = HashSet::new();
    let once: Vec<&str> = old.iter().copied().filter(|name| seen.insert(*name)).collect();
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.join("\0")
    };
    Some(if new.is_empty() {
        "the list is empty when it is read again"
    } else if new == once {
        "names that stood there twice stand there once"
    } else if sorted(new.clone()) == sorted(old) {
        "the names stand in another order"
    } else if sorted(new) == sorted(once) {
        "names that stood there twice stand there once, and in another order"
    } else {
        "other names are read from it"
    })
}

fn values_differ(before: &Value, after: &Value) -> Option<&'static str> {
    match (before, after) {
        _ if before == after => None,
        (Value::String(old), Value::String(new)) if old.trim_end() == new.trim_end() => {
            Some("blanks or newlines at its end are not the same")
        }
        (Value::Number(_) | Value::Bool(_), Value::String(_)) => Some("a number or a truth becomes text"),
        (Value::Array(_) | Value::Object(_), Value::String(_)) => {
            Some("a list or an object becomes JSON text")
        }
        (Value::Number(_), Value::Number(_)) => Some("the number is written otherwise, or loses digits"),
        (Value::Array(_), Value::Array(new)) if new.is_empty() => {
            Some("the list is empty when it is read again")
        }
        (Value::Object(_) | Value::Array(_), Value::Object(_) | Value::Array(_)) => {
            let why = if without_nulls(before) == without_nulls(after) {
                "fields that other rows have are there, too, as null"
            } else {
                "what is in it is not the same, or in another type"
            };
            Some(why)
        }
        _ => Some("it is not the same when it is read again"),
    }
}

/// A value without the fields that say nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(without_nulls).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use swegym_core::format::instances::Need;

    use super::*;

    fn instance(changes: &[(&str, Value)]) -> Instance {
        let mut row = json!({"instance_id": "a-1", "FAIL_TO_PASS": ["a", "b", "a"], "PASS_TO_PASS": []});
        for (field, value) in changes {
            row[*field] = value.clone();
        }
        instances::read_fields("f", 1, row.as_object().unwrap().clone(), Need::Grading).unwrap()
    }

    #[test]
    fn every_difference_has_its_field_and_reason() {
        for (field, before, after, why) in [
            ("FAIL_TO_PASS", json!(["a", "b", "a"]), json!(["a", "b"]), "twice stand there once"),
            ("FAIL_TO_PASS", json!(["a", "b"]), json!(["b", "a"]), "another order"),
            ("FAIL_TO_PASS", json!(["a", "b"]), json!([]), "empty"),
            ("FAIL_TO_PASS", json!(["a", "b"]), json!(["a"]), "other names"),
            ("problem_statement", json!("a\n"), json!("a"), "newlines at its end"),
            ("problem_statement", json!("a"), json!("b"), "not the same"),
            ("stars", json!(3), json!("3"), "becomes text"),
            ("stars", json!(3), json!(3.0), "number"),
            ("stars", json!([1]), json!("[1]"), "JSON text"),
            ("stars", json!([1]), json!([]), "empty"),
            ("stars", json!({"a": 1}), json!({"a": 1, "b": null}), "as null"),
            ("stars", json!({"a": 1}), json!({"a": 2}), "not the same"),
            ("stars", json!([]), Value::Null, "not there"),
            ("difficulty", json!({"files": 1}), json!("hard"), "JSON text"),
        ] {
            let lost = changes(instance(&[(field, before.clone())]), instance(&[(field, after.clone())]));
            assert_eq!(lost.len(), 1, "{field} {before} {after}: {lost:?}");
            assert!(lost[0].field == field && lost[0].why.contains(why), "{lost:?}");
            let same = changes(instance(&[(field, before.clone())]), instance(&[(field, before)]));
            assert_eq!(same, []);
        }
    }

    /// Rows as they are read from a file of columns.
    fn of_columns(rows: &[Value]) -> Vec<RowText> {
        use crate::dataset::{Columns, Container, Rows, Writer};
        let file = tempfile::tempdir().unwrap();
        let (path, mut columns) = (file.path().join("rows.parquet"), Columns::default());
        for row in rows {
            columns.note(row.as_object().unwrap());
        }
        let mut writer = Writer::create(&path, Container::Parquet, columns, "train").unwrap();
        rows.iter().for_each(|row| writer.write(row.as_object().unwrap().clone()).unwrap());
        writer.finish().unwrap().publish().unwrap();
        Rows::open(&path).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_row_that_is_kept_has_no_changes() {
        let row = json!({
            "instance_id": "a-1", "repo": "a/b", "patch": "p", "test_patch": "t", "problem_statement": "s",
            "FAIL_TO_PASS": ["a", "b"], "PASS_TO_PASS": ["c"], "docker_image": "i", "stars": 3,
            "install_config": {"log_parser": "parse_log_pytest", "packages": ["x", null], "python": null},
        });
        let mut again = row.clone();
        for (field, value) in [
            ("FAIL_TO_PASS", json!("[\"a\", \"b\"]")),
            ("PASS_TO_PASS", json!("[\"c\"]")),
            ("log_parser", json!("parse_log_pytest")),
            ("image", json!("i")),
            ("more", json!("that only this one has")),
        ] {
            again[field] = value;
        }
        let before = &of_columns(std::slice::from_ref(&row))[0];
        let look = |again: &Value| {
            let after = &of_columns(std::slice::from_ref(again))[0];
            let read = |row: &RowText| row.instance(Need::Grading).unwrap();
            (kept(before, after).is_some(), changes(read(before), read(after)))
        };
        assert_eq!(look(&again), (true, vec![]));
        for (field, value) in [
            ("patch", json!("q")),
            ("problem_statement", json!("s\n")),
            ("FAIL_TO_PASS", json!("[\"b\", \"a\"]")),
            ("log_parser", json!("other")),
            ("image", json!("other")),
            ("stars", json!("3")),
            ("stars", json!(3.0)),
            ("stars", Value::Null),
            ("install_config", json!({"log_parser": "parse_log_pytest", "packages": ["x"], "python": null})),
            ("install_config", json!({"log_parser": "parse_log_pytest", "packages": ["x", null]})),
        ] {
            let mut other = again.clone();
            other[field] = value;
            let (is_kept, lost) = look(&other);
            assert!(!is_kept && lost.iter().any(|loss| loss.field == field), "{field} {lost:?}");
        }
    }
}
