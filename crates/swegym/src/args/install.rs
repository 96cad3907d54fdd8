//! Flags for installing packages.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_method::settings::Network;

use super::choice::choice;

/// Where packages and interpreters come from.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Packages")]
pub(crate) struct InstallArgs {
    /// Python interpreter of the images: a path, a name or a version [default: python3, or one that
    /// the project's requires-python allows]
    #[arg(long, value_name = "PYTHON")]
    pub(crate) python: Option<String>,
    /// Root file system of another release whose Python may be used: what debootstrap makes, or an
    /// unpacked image; repeat for several
    #[arg(long, value_name = "FOLDER")]
    pub(crate) root: Vec<PathBuf>,
    /// Let uv fetch the interpreter that fits best where the machine has none of its version
    #[arg(long)]
    pub(crate) fetch_python: bool,
    /// Package index [env: UV_DEFAULT_INDEX, PIP_INDEX_URL] [default: https://pypi.org/simple]
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Registry of npm's packages, for tasks in JavaScript [env: NPM_CONFIG_REGISTRY] [default: the
    /// public one]
    #[arg(long, value_name = "URL")]
    pub(crate) npm_registry: Option<String>,
    /// Sparse index of crates, for tasks in Rust [env: SWEGYM_CRATES_INDEX] [default: the public one]
    #[arg(long, value_name = "URL")]
    pub(crate) crates_index: Option<String>,
    /// Proxy of Go's modules, for tasks in Go [env: GOPROXY] [default: the public one]
    #[arg(long, value_name = "URL")]
    pub(crate) go_proxy: Option<String>,
    /// Use only packages uploaded before this time (RFC 3339) or up to this day, so that builds
    /// can be repeated
    #[arg(long, value_name = "TIME")]
    pub(crate) exclude_newer: Option<String>,
    /// What builds can reach: the package index, or only files fetched before [default: index]
    #[arg(long, value_name = "WHAT", value_parser = choice(Network::ALL.map(Network::name), Network::named))]
    pub(crate) network: Option<Network>,
}
