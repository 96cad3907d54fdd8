//! What a dataset does not say any more after it was written and read again,
//! whatever its format and its file did to it.

use std::collections::HashSet;

use serde_json::Value;
use swegym_core::format::{instances, is_blank};
use swegym_core::{Instance, Names};

use super::shape::{Change, Loss};

/// Every field that the instance said before and that reads otherwise after.
#[must_use]
pub fn changes(before: &Instance, after: &Instance) -> Vec<Loss> {
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
    let now = instances::fields_beside_tests(after);
    for (field, value) in instances::fields_beside_tests(before) {
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
            let lost = changes(&instance(&[(field, before.clone())]), &instance(&[(field, after.clone())]));
            assert_eq!(lost.len(), 1, "{field} {before} {after}: {lost:?}");
            assert!(lost[0].field == field && lost[0].why.contains(why), "{lost:?}");
            let same = changes(&instance(&[(field, before.clone())]), &instance(&[(field, before)]));
            assert_eq!(same, []);
        }
    }
}
