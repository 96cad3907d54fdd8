//! What every job of a run shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use swegym_sandbox::{BoxSettings, Host, Limits};
use swegym_tasks::index::{Index, Registry};

use crate::answer::Names;
use crate::making::{Fetched, Making};

/// How jobs run, as resolved by the binary.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Limits of a box that runs tests.
    pub limits: Limits,
    /// Limits of a box that installs.
    pub build_limits: Limits,
    /// Wall time of one run of a test suite.
    pub test_timeout: Duration,
    /// Wall time of one installing step.
    pub install_timeout: Duration,
    /// Cores that jobs may use together.
    pub cores: usize,
    /// Memory that jobs may use together, in bytes.
    pub memory_bytes: u64,
}

/// How packages are installed.
#[derive(Debug, Clone, Default)]
pub struct InstallSettings {
    /// Nothing that was uploaded after this time (RFC 3339) is installed.
    pub exclude_newer: Option<String>,
    /// The interpreter on the host, where the user named one: a path, a name, a version.
    pub python: Option<String>,
    /// Folders in which version managers keep interpreters, each in one of its own.
    pub interpreters: Vec<PathBuf>,
    /// Root file systems of other releases, whose interpreters may be used.
    pub roots: Vec<PathBuf>,
    /// Whether uv may fetch interpreters that the machine lacks.
    pub fetches_python: bool,
}

impl InstallSettings {
    /// The interpreter where no project asks for another.
    #[must_use]
    pub fn usual_python(&self) -> &str {
        self.python.as_deref().unwrap_or("python3")
    }
}

/// Where packages of other languages than Python come from.
#[derive(Debug, Clone)]
pub struct Registries {
    /// npm's.
    pub npm: Arc<Registry>,
    /// The sparse index of crates.
    pub crates: Arc<Registry>,
    /// The proxy of Go's modules.
    pub go: Arc<Registry>,
}

/// Handles and settings for jobs; cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Boxes and the store.
    pub host: Host,
    /// How jobs run.
    pub settings: Arc<RunSettings>,
    /// How packages are installed.
    pub install: Arc<InstallSettings>,
    /// Where packages come from.
    pub index: Arc<Index>,
    /// Where those of other languages come from.
    pub registries: Registries,
    /// The run's folder, for evidence.
    pub run_folder: Arc<PathBuf>,
    /// What the interpreters of images said.
    pub names: Arc<Names>,
    /// Environments that are being made.
    pub making: Arc<Making>,
    /// Interpreters that were fetched.
    pub fetched: Arc<Fetched>,
}

impl Context {
    /// A box that runs tests: no network.
    #[must_use]
    pub fn test_box(&self) -> BoxSettings {
        BoxSettings { limits: self.settings.limits.clone(), ..BoxSettings::default() }
    }
}
