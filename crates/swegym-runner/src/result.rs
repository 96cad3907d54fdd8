//! What a job gives back.

use std::collections::BTreeMap;

use serde_json::Value;
use swegym_core::Digest;

/// What a job gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct JobResult {
    /// One word for counts.
    pub outcome: String,
    /// The result document; it holds no times, so that equal work gives equal bytes.
    pub value: Value,
    /// Digests of what else it left, by the name in the run's folder.
    pub files: BTreeMap<String, Digest>,
}

impl JobResult {
    /// The result of a job that leaves no files of its own.
    #[must_use]
    pub fn of(outcome: impl Into<String>, value: Value) -> Self {
        Self { outcome: outcome.into(), value, files: BTreeMap::new() }
    }
}
