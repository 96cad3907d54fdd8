//! What a job gives back.

use std::collections::BTreeMap;

use swegym_core::Digest;
use swegym_core::format::results::JobOutput;

/// What a job gives back.
#[derive(Debug, Clone, PartialEq)]
pub struct JobResult {
    /// What it came to; it holds no times, so that equal work gives equal bytes.
    pub output: JobOutput,
    /// Digests of what else it left, by the name in the run's folder.
    pub files: BTreeMap<String, Digest>,
}

impl JobResult {
    /// The result of a job that leaves no files of its own.
    #[must_use]
    pub fn of(output: JobOutput) -> Self {
        Self { output, files: BTreeMap::new() }
    }
}
