//! Flags of commands that listen on a port.

use clap::Args as ClapArgs;

/// Whom a server lets in, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DoorArgs {
    /// Host name that requests may use in `Host`, beside the listening address; can be repeated
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allow_hosts: Vec<String>,
    /// Seconds that a client may take to send a request's head or body, or may pause reading
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) patience: u64,
    /// Most connections; the longest idle ones are closed for new ones [default: what it can serve]
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<usize>,
}
