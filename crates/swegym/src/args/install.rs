//! How packages are installed.

use clap::Args as ClapArgs;

/// Where packages and interpreters come from.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Packages")]
pub(crate) struct InstallArgs {
    /// Interpreter of the images: a path, a name or a version [default: python3, or one that the
    /// project's requires-python allows]
    #[arg(long, value_name = "PYTHON")]
    pub(crate) python: Option<String>,
    /// Package index [env: UV_DEFAULT_INDEX, PIP_INDEX_URL] [default: https://pypi.org/simple]
    #[arg(long, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Install only what was uploaded before this time (RFC 3339), or up to this day, so that
    /// builds repeat
    #[arg(long, value_name = "TIME")]
    pub(crate) exclude_newer: Option<String>,
    /// What builds reach: the index, or only what was fetched from it before [default: index]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) network: Option<Network>,
}

/// What a box that builds an image reaches, by way of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Network {
    Index,
    None,
}
