//! Runs many jobs in parallel and loses none of them.
//!
//! The [`dispatcher`] owns a run: it admits jobs by cores and memory, writes the
//! journal before and after each, retries infrastructure faults, and resumes a run
//! from its folder. Each job is one asynchronous function ([`job::Job`] is a closed
//! enum) that knows nothing of the others and returns one result. What a job does
//! inside boxes is in its module.

mod answer;
pub mod build;
mod clock;
pub mod conduct;
pub mod context;
mod counter;
pub mod dispatcher;
pub mod evaluate;
pub mod foundation;
pub mod job;
mod launcher;
pub mod making;
pub mod micro;
mod mirror;
pub mod plan;
pub mod probe;
pub mod replay;
mod reproduce;
pub mod result;
mod results;
pub mod rollout;
pub mod run_dir;
mod shell;
pub mod snapshots;
pub mod synth;
pub mod testing;
pub mod validate;

pub use answer::Names;
pub use context::{Context, RunSettings};
pub use dispatcher::{Jobs, Outcome};
pub use job::{Job, run};
pub use run_dir::{RunDir, RunDirError};
pub use validate::{Checks, TestBounds};
