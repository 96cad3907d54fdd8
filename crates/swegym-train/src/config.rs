//! Reading a `config.json`.

use serde_json::{Map, Value};
use thiserror::Error;

/// Why a `config.json` cannot be used.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArchitectureError {
    /// A field is absent or of another kind.
    #[error("config.json: the field `{field}` is missing or is not {expected}")]
    Field {
        /// The field.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A decoder that the engine does not have.
    #[error("config.json: model_type `{0}` is not supported; qwen2, qwen3 and llama are")]
    Unsupported(String),
    /// The family, but with something that the engine does not do.
    #[error("config.json: {0}")]
    Variation(String),
}

pub(crate) fn number(config: &Value, field: &str) -> Option<f64> {
    config.get(field).and_then(Value::as_f64)
}

/// The object under `field`, where there is one.
pub(crate) fn object<'a>(config: &'a Value, field: &str) -> Option<&'a Map<String, Value>> {
    config.get(field).and_then(Value::as_object)
}
