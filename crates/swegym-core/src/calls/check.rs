//! Arguments against a tool's schema.

use serde_json::{Map, Value};

use super::CallProblem;
use crate::chat::Tool;

/// Names of a tool's parameters, in its order.
pub fn parameter_names(tool: &Tool) -> impl Iterator<Item = &str> {
    properties(tool).into_iter().flat_map(|p| p.iter()).filter(|(_, v)| !v.is_null()).map(|(k, _)| k.as_str())
}

pub(super) fn properties(tool: &Tool) -> Option<&Map<String, Value>> {
    tool.parameters.as_ref()?.get("properties")?.as_object()
}

pub(super) fn required(tool: &Tool) -> impl Iterator<Item = &str> {
    let list = tool.parameters.as_ref().and_then(|p| p.get("required")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// The type that a parameter's schema names; without one, text.
pub(super) fn type_of(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or("string")
}

pub(super) fn allowed(schema: &Value) -> Option<Vec<&str>> {
    let list = schema.get("enum")?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// Checks names, types and allowed values, and gives values the types that the
/// schema asks for where a model wrote them as text. A parameter that is null
/// counts as left out.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(tool: &Tool, arguments: Map<String, Value>) -> Result<Map<String, Value>, CallProblem> {
    let none = Map::new();
    let properties = properties(tool).unwrap_or(&none);
    let mut checked = Map::new();
    for (name, value) in arguments {
        let Some(schema) = properties.get(&name).filter(|s| !s.is_null()) else {
            let known: Vec<_> = parameter_names(tool).collect();
            return Err(CallProblem::UnknownParameter {
                tool: tool.name.clone(),
                parameter: name,
                known: if known.is_empty() { "nothing".into() } else { known.join(", ") },
            });
        };
        if value.is_null() {
            continue;
        }
        let value = typed(&name, value, schema)?;
        checked.insert(name, value);
    }
    let missing: Vec<_> = required(tool).filter(|name| !checked.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(CallProblem::MissingParameters { tool: tool.name.clone(), missing: missing.join(", ") });
    }
    Ok(checked)
}

fn typed(name: &str, value: Value, schema: &Value) -> Result<Value, CallProblem> {
    let wrong = |expected: &str| CallProblem::WrongType { parameter: name.into(), expected: expected.into() };
    let from_text = |value: &Value| match value {
        Value::String(text) => crate::json::from_str::<Value>(text.trim()).ok(),
        _ => None,
    };
    let value = match type_of(schema) {
        "integer" => {
            let value = from_text(&value).unwrap_or(value);
            let whole =
                value.as_i64().or_else(|| value.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64));
            Value::from(whole.ok_or_else(|| wrong("a whole number"))?)
        }
        "number" => {
            let value = from_text(&value).unwrap_or(value);
            if value.is_number() { value } else { return Err(wrong("a number")) }
        }
        "boolean" => {
            let value = from_text(&value).unwrap_or(value);
            if value.is_boolean() { value } else { return Err(wrong("true or false")) }
        }
        "array" => {
            let value = from_text(&value).unwrap_or(value);
            let Value::Array(items) = value else { return Err(wrong("a JSON list")) };
            let of = schema.get("items").unwrap_or(&Value::Null);
            let items = items.into_iter().map(|item| match type_of(of) {
                "integer" => typed(name, item, of).map_err(|_| wrong("a JSON list of whole numbers")),
                _ => Ok(item),
            });
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        "object" => {
            let value = from_text(&value).unwrap_or(value);
            if value.is_object() { value } else { return Err(wrong("a JSON object")) }
        }
        _ if value.is_string() => value,
        _ => return Err(wrong("text")),
    };
    if let (Some(allowed), Some(text)) = (allowed(schema), value.as_str())
        && !allowed.contains(&text)
    {
        let allowed = allowed.join(", ");
        return Err(CallProblem::NotAllowed { parameter: name.into(), allowed });
    }
    Ok(value)
}
