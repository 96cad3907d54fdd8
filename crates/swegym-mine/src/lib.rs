//! Mining: from a repository's history to raw instances.
//!
//! ```text
//! history ──▶ landings ──▶ diffs ──▶ source and tests ──▶ statement, version ──▶ instance
//! (graph)     (landing)    (change)  (kind)                (statement, version)
//! ```
//!
//! A repository is only read, by git itself, which starts nothing that the repository's
//! settings name. Every commit of the main branch and every pull request that is no
//! instance has a [`Reason`].

mod against;
mod change;
mod export;
mod funnel;
mod history;
mod kind;
mod landing;
mod mining;
mod number;
mod objects;
mod oid;
mod places;
mod repository;
mod statement;
mod survey;
mod version;

pub use against::{Against, Known};
pub use export::{export, top_names};
pub use funnel::{Funnel, Reason};
pub use kind::{Kind, Split, holds_tests};
pub use landing::Way;
pub use mining::{MineSettings, run};
pub use places::{PLACES, read_places};
pub use repository::{MineError, Repository};
pub use statement::{Source, Tell};
pub use survey::{Dropped, Found, Progress, Rules, count_both, survey};
