//! Mining: from a repository's history to raw instances.
//!
//! ```text
//! history ──▶ landings ──▶ diffs ──▶ source and tests ──▶ statement, version ──▶ instance
//! (graph)     (landing)    (change)  (kind)                (statement, version)
//!                                                            ▲
//!                     issues, pull requests, comments ───────┘
//!                     (saved, api ──▶ texts ──▶ link, discussion)
//! ```
//!
//! A repository is only read, by git itself, which starts nothing that the repository's
//! settings name. Every commit of the main branch and every pull request that is no
//! instance has a [`Reason`].

mod against;
mod api;
mod change;
mod cut;
mod discussion;
mod export;
mod funnel;
mod history;
mod item;
mod kind;
mod landing;
mod link;
mod mining;
mod number;
mod objects;
mod oid;
mod places;
mod repository;
mod saved;
mod sources;
mod statement;
mod submodules;
mod survey;
mod texts;
mod version;

pub use against::{Against, Known};
pub use api::{ApiError, ApiSettings, PUBLIC_API};
pub use export::{MARK_ABSENT, export, top_names};
pub use funnel::{Funnel, Reason};
pub use kind::{Kind, Split, holds_tests};
pub use landing::Way;
pub use link::Rule;
pub use mining::{MineSettings, run};
pub use places::{PLACES, read_places, write_places};
pub use repository::{MineError, Repository};
pub use saved::SavedError;
pub use statement::{Source, Tell};
pub use submodules::{Gaps, export_whole};
pub use survey::{Dropped, Found, Progress, Rules, count_both, survey};
pub use texts::Texts;
