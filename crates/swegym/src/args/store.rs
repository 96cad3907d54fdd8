//! Flags of `store`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum StoreVerb {
    /// List images and what their layers hold
    List,
    /// Take away snapshots of attempts whose runs are gone, and files that nothing has
    Gc(GcArgs),
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GcArgs {
    /// Count what would go, and take nothing away
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Take away snapshots of attempts that are over, too: no `--fork` begins in them any more
    #[arg(long)]
    pub(crate) keep_unfinished_only: bool,
    /// Keep the snapshots of this run, which was moved since it was made, or made by a swegym that
    /// did not note runs; several times for several
    #[arg(long = "run", value_name = "DIR")]
    pub(crate) runs: Vec<PathBuf>,
}
