//! One rollout: a model at work in a box.
//!
//! ```text
//!  Model ◀── conversation ── attempt (the loop) ── calls ──▶ tools ──▶ Sandbox
//!    └────── answer ───────▶      │      ◀── observations ────┘
//!                                 ▼
//!                              Recorder: everything above, as it happens
//! ```
//!
//! A [`scaffold::Scaffold`] decides what the model is told and offered; the
//! loop ([`attempt`]) is the same for all of them. It knows nothing of hidden
//! tests, of other attempts, or of what becomes of its record.

pub mod attempt;
pub mod catalogue;
pub mod changes;
pub mod model;
pub mod patch;
pub mod profile;
pub mod recorder;
pub mod scaffold;
pub mod teacher;
mod tools;

pub use attempt::{Attempt, Limits};
pub use model::{Ask, Model};
pub use recorder::Recorder;
pub use scaffold::Scaffold;
