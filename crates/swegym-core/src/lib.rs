//! The shared types of swegym, and the file formats they are written in.
//!
//! Everything above this crate uses these types: an [`Instance`] is one task, a
//! [`Prediction`] one answer, a [`Report`] one verdict, an [`event::Event`] one line of
//! a run's journal. The crate is pure: it knows no process, no clock, no network and
//! no environment variable.
//!
//! Runtime types are not formats. How a type looks on disk is decided in
//! [`mod@format`], one module per format, each with its version.

pub mod absent;
pub mod admission;
pub mod calls;
pub mod chat;
pub mod conduct;
pub mod event;
pub mod evidence;
pub mod fault;
pub mod format;
mod hint;
pub mod history;
pub mod id;
mod image_ref;
pub mod instance;
pub mod json;
pub mod names;
pub mod patch;
pub mod prediction;
pub mod record;
pub mod report;
pub mod shell;
pub mod status;
pub mod stop_reason;
pub mod test_plan;
pub mod trajectory;
pub mod visible;
pub mod wire;

pub use admission::{Class, Verdict};
pub use fault::{Boundary, Fault, Retry};
pub use hint::{Hint, Trouble};
pub use id::{Digest, InstanceId, RunId};
pub use image_ref::ImageRef;
pub use instance::Instance;
pub use names::Names;
pub use patch::Patch;
pub use prediction::Prediction;
pub use report::{Report, TestsStatus};
pub use status::{Resolution, TestStatus};
pub use stop_reason::StopReason;
pub use test_plan::{TestCommand, TestPlan, TestRunner};
pub use trajectory::Trajectory;
pub use visible::visible;
