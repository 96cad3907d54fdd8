//! SWE-bench predictions: JSON Lines, one JSON list, or a JSON object keyed by id.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::row::Row;
use super::{FormatError, Problem, instances};
use crate::{InstanceId, Prediction};

/// Reads a predictions file in any of its three shapes. Fields beyond the
/// format's three are common in the wild and are left alone.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn read(file: &str, text: &str) -> Result<Vec<Prediction>, FormatError> {
    let rows = match by_id(file, text) {
        Some(rows) => rows,
        None => instances::rows(file, text)?,
    };
    let mut seen: HashMap<InstanceId, usize> = HashMap::new();
    let mut predictions = Vec::new();
    for (line, mut row) in rows {
        let instance_id = InstanceId::new(row.string("instance_id")?).map_err(|e| row.error(e))?;
        if let Some(first) = seen.insert(instance_id.clone(), line) {
            let id = instance_id.to_string();
            return Err(row.error(Problem::DuplicateId { id, first }));
        }
        predictions.push(Prediction {
            instance_id,
            model_name_or_path: row.optional_string("model_name_or_path")?.unwrap_or_default(),
            model_patch: row.optional_string("model_patch")?,
        });
    }
    if predictions.is_empty() {
        return Err(FormatError::new(file, None, Problem::Empty));
    }
    Ok(predictions)
}

/// `{"<id>": {…}, …}` on one or many lines, as older tools write it.
fn by_id<'a>(file: &'a str, text: &str) -> Option<Vec<(usize, Row<'a>)>> {
    let Ok(Value::Object(map)) = serde_json::from_str(text) else { return None };
    if map.contains_key("instance_id") {
        return None;
    }
    let rows = map.into_iter().enumerate().map(|(i, (id, value))| {
        let mut fields = value.as_object().cloned().unwrap_or_default();
        fields.entry("instance_id").or_insert(Value::String(id));
        (i + 1, Row::from_map(file, i + 1, fields))
    });
    Some(rows.collect())
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
    fn duplicates_are_refused_with_both_lines() {
        let line = "{\"instance_id\":\"a-1\",\"model_patch\":\"\"}\n";
        let error = read("p.jsonl", &line.repeat(2)).unwrap_err();
        assert_eq!(error.to_string(), "p.jsonl:2: duplicate id `a-1`, first seen on line 1");
    }
}
