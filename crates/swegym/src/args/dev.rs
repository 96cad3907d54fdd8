//! Flags of `dev`: tools for developers of agents.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::DoorArgs;

/// A script behind an address.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DevModelArgs {
    /// Script, JSON Lines: {"instance_id"?, "replies": [text or {"content", "calls"}]}
    #[arg(long, value_name = "FILE")]
    pub(crate) script: PathBuf,
    /// Address to listen at; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: String,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Delay before each answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) latency: u64,
    /// Fault and its share of the requests, for example 429=0.1; can be repeated:
    /// timeout, drop, 429, 500, 401, 404, overflow, cut-stream, malformed, empty-choices, wrong-role
    #[arg(long = "fault", value_name = "KIND=SHARE")]
    pub(crate) faults: Vec<String>,
    /// API key that requests must carry [default: none]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Random seed of the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}
