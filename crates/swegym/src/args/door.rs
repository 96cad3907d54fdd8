//! Flags of verbs that listen at a port.

use clap::Args as ClapArgs;

/// Whom a server lets in, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DoorArgs {
    /// Name that requests may call the server by in `Host`, beside the address that it listens at; more
    /// than once if you like
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allow_hosts: Vec<String>,
    /// Seconds that a client may take for a request's head, for its body, or without reading on
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) patience: u64,
    /// Connections at once; the longest idle ones make room [default: as many as it can answer]
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
}
