//! Numbers and switches of a request: of the right type and in range, or the request
//! is refused. `null` counts as absent.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::Refusal;

/// A whole number. `1.0` is none, as in OpenAI's own endpoint.
pub(super) fn whole(body: &Value, key: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Refusal> {
    let (low, high) = range.clone().into_inner();
    let must = || Refusal::about(key, format!("`{key}` must be a whole number from {low} to {high}"));
    match &body[key] {
        Value::Null => Ok(None),
        value => value.as_u64().filter(|n| range.contains(n)).map(Some).ok_or_else(must),
    }
}

/// A whole number with a sign.
pub(super) fn signed(body: &Value, key: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
    let (low, high) = range.clone().into_inner();
    let must = || Refusal::about(key, format!("`{key}` must be a whole number from {low} to {high}"));
    match &body[key] {
        Value::Null => Ok(None),
        value => value.as_i64().filter(|n| range.contains(n)).map(Some).ok_or_else(must),
    }
}

/// Any number.
pub(super) fn real(body: &Value, key: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Refusal> {
    let (low, high) = range.clone().into_inner();
    let must = || Refusal::about(key, format!("`{key}` must be a number from {low} to {high}"));
    match &body[key] {
        Value::Null => Ok(None),
        value => value.as_f64().filter(|n| range.contains(n)).map(Some).ok_or_else(must),
    }
}

/// True or false; false where it is not given.
pub(super) fn switch(body: &Value, key: &str) -> Result<bool, Refusal> {
    match &body[key] {
        Value::Null => Ok(false),
        Value::Bool(on) => Ok(*on),
        _ => Err(Refusal::about(key, format!("`{key}` must be true or false"))),
    }
}

/// A seed: any whole number of 64 bits, with a sign or without.
pub(super) fn seed(body: &Value) -> Result<Option<u64>, Refusal> {
    let must = || Refusal::about("seed", "`seed` must be a whole number of 64 bits");
    match &body["seed"] {
        Value::Null => Ok(None),
        value => {
            let bits = value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
            bits.map(Some).ok_or_else(must)
        }
    }
}

/// A text; none where it is not given.
pub(super) fn text<'a>(body: &'a Value, key: &str) -> Result<Option<&'a str>, Refusal> {
    match &body[key] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::about(key, format!("`{key}` must be a text"))),
    }
}
