//! Images and boxes.
//!
//! An [`image::Image`] is an ordered list of content-addressed layers in the
//! [`store::Store`]; a box is a running, limited image behind the [`Sandbox`]
//! trait. Three processes share the work of the embedded backend:
//!
//! ```text
//!  swegym (tokio)                keeper                    box (own namespaces)
//!  Host ── create, kill ──────▶  clone3, uid map,   ────▶  supervisor, pid 1
//!  EmbeddedSandbox ◀──────────── cgroups, reaping          ├─ commands
//!        └───────── commands, files, output ─────────────▶ └─ session (bash)
//! ```
//!
//! The keeper is one small single-threaded process for all boxes of a run: it
//! forks cheaply, and when its parent dies, however it dies, it kills the
//! boxes and removes what they left. A box keeps everything it writes in
//! memory-backed mounts of its own mount namespace, so its end removes its
//! files. Nothing here knows what a test is.

pub mod base;
pub mod doctor;
pub mod embedded;
mod hints;
pub mod image;
pub mod keeper;
pub mod limits;
pub mod memory;
pub mod output;
mod owner;
pub mod sandbox;
pub mod scripted;
pub mod store;
mod supervisor;
mod sys;
pub mod tool;
mod tree;
mod wire;

pub use embedded::{BoxSettings, EmbeddedSandbox, Host};
pub use image::Image;
pub use limits::Limits;
pub use sandbox::{
    Command, End, Execution, Extent, Keys, Progress, RESULTS_FD, Results, Sandbox, SandboxError, Written,
};
pub use store::Store;
