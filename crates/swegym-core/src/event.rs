//! What can happen in a run: the contract between doing, showing and resuming.
//!
//! The runner emits these; the journal, the progress display and `--resume`
//! read them. Nothing else crosses between the three.

use std::collections::BTreeMap;

use crate::{Digest, Fault};

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run began, or was taken up again.
    RunStarted {
        /// The verb, for example `validate`.
        verb: String,
        /// Digest of settings and inputs: a resumed run must have the same.
        inputs: Digest,
        /// How many jobs the run has.
        jobs: usize,
    },
    /// A job was handed to an executor. It is written before the job acts.
    JobStarted {
        /// Stable name of the job, unique in the run.
        job: String,
        /// 1 for the first try.
        attempt: u32,
    },
    /// A job ended and its result file stands.
    JobFinished {
        /// The job.
        job: String,
        /// One word for people and counts (`kept`, `flaky`, `resolved`, …).
        outcome: String,
        /// Digest of the result file, so that a resumed run can tell a whole one.
        result: Digest,
        /// Digests of what else the job left, by the name in the run's folder.
        files: BTreeMap<String, Digest>,
        /// Wall time of the attempt.
        wall_time_ms: u64,
    },
    /// An attempt broke; the job is tried again if `retry`.
    JobFailed {
        /// The job.
        job: String,
        /// 1 for the first try.
        attempt: u32,
        /// What broke.
        fault: Fault,
        /// Whether another attempt follows.
        retry: bool,
    },
    /// The user asked to stop; jobs without a final event are left to `--resume`.
    RunInterrupted,
    /// Every job has a final event.
    RunFinished,
}
