//! From evidence to verdict.
//!
//! Everything here is a pure function: a log and what the supervisor saw go in, a
//! report comes out, and the same evidence always gives the same report. So old
//! evidence can be graded again, also by other rules. No files, no clocks, no boxes.

pub mod evidence;
pub mod flake;
pub mod infra;
pub mod junit;
pub mod lines;
pub mod marks;
pub mod metrics;
mod needles;
pub mod parser;
pub mod reading;
pub mod selection;
pub mod semantics;
mod status_map;
pub mod text;
pub mod witness;

pub use evidence::Evidence;
pub use marks::Marks;
pub use parser::{LogParser, StatusMap};
pub use reading::{Log, Reading};
pub use semantics::Semantics;
