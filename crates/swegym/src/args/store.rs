//! Flags of `store`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StoreVerb {
    /// List images and the size of their layers
    List,
    /// Delete snapshots of runs that no longer exist, and files that nothing refers to
    Gc(GcArgs),
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GcArgs {
    /// Only count what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Also delete snapshots of finished attempts; they can then no longer be forked
    #[arg(long)]
    pub(crate) keep_unfinished_only: bool,
    /// Keep the snapshots of this run: needed where a run folder was moved, or made by a version
    /// that did not register runs; can be repeated
    #[arg(long = "run", value_name = "DIR")]
    pub(crate) runs: Vec<PathBuf>,
}
