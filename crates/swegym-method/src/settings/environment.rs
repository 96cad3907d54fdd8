//! What the environment says. Nothing else reads it.

use std::path::PathBuf;

use swegym_console::printer::Shown;
use swegym_runner::build::CUT_OFF;

use super::RegistriesAsked;

/// Everything that swegym reads from the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub(super) home: Option<PathBuf>,
    pub(super) user_home: Option<PathBuf>,
    pub(super) data_home: Option<PathBuf>,
    pub(super) path: Vec<PathBuf>,
    pub(super) index_url: Option<String>,
    pub(super) registries: RegistriesAsked,
    pub(super) exclude_newer: Option<String>,
    /// Indexes that are asked before that one.
    pub(super) first_indexes: Vec<String>,
    pub(super) certificates: Option<PathBuf>,
    /// No cursor movement.
    dumb_terminal: bool,
    /// Nothing is said of how far something is.
    no_progress: bool,
    /// Folders in which version managers keep interpreters.
    pub(super) interpreters: Vec<PathBuf>,
    /// Bytes that a batch system gave this job, which need not hold it to them by a
    /// control group.
    pub(super) granted_memory: Option<u64>,
}

impl Environment {
    /// Reads it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // Where a version manager keeps what it has: named by a variable, or below the home folder.
        let managed = |variable: &str, usual: &str, below: &str| {
            let root = path(variable).or_else(|| Some(path("HOME")?.join(usual)))?;
            Some(root.join(below))
        };
        // Conda's installation is named by its program, or lies where its installers put it.
        let named = path("CONDA_EXE").and_then(|program| Some(program.parent()?.parent()?.to_owned()));
        let below_home = |name: &str| path("HOME").map(|home| home.join(name));
        let conda = [named, below_home("miniconda3"), below_home("anaconda3"), below_home("miniforge3")];
        let number = |name: &str| text(name)?.parse::<u64>().ok().filter(|number| *number > 0);
        // Slurm's, in MiB: of the node, or of each of its cores.
        let per_core = || Some(number("SLURM_MEM_PER_CPU")? * number("SLURM_CPUS_ON_NODE")?);
        let granted_memory = number("SLURM_MEM_PER_NODE").or_else(per_core).map(|mib| mib << 20);
        Self {
            granted_memory,
            interpreters: [
                managed("PYENV_ROOT", ".pyenv", "versions"),
                managed("ASDF_DATA_DIR", ".asdf", "installs/python"),
                managed("MISE_DATA_DIR", ".local/share/mise", "installs/python"),
                managed("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python", ""),
                managed("RYE_HOME", ".rye", "py"),
                managed("MAMBA_ROOT_PREFIX", "micromamba", "envs"),
                managed("CONDA_ENVS_PATH", ".conda/envs", ""),
            ]
            .into_iter()
            .chain(conda.map(|root| root.map(|root| root.join("envs"))))
            .flatten()
            .collect(),
            home: path("SWEGYM_HOME"),
            user_home: path("HOME"),
            data_home: path("XDG_DATA_HOME"),
            path: std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default(),
            index_url: text("UV_DEFAULT_INDEX")
                .or_else(|| text("UV_INDEX_URL"))
                .or_else(|| text("PIP_INDEX_URL")),
            first_indexes: ["UV_INDEX", "UV_EXTRA_INDEX_URL"]
                .iter()
                .flat_map(|name| urls(&text(name).unwrap_or_default()))
                .collect(),
            registries: RegistriesAsked {
                npm: text("NPM_CONFIG_REGISTRY").or_else(|| text("npm_config_registry")),
                crates: text("SWEGYM_CRATES_INDEX"),
                go: text("GOPROXY").filter(|proxy| proxy.contains("://")),
            },
            exclude_newer: text(CUT_OFF),
            certificates: path("SSL_CERT_FILE")
                .or_else(|| path("PIP_CERT"))
                .or_else(|| path("REQUESTS_CA_BUNDLE")),
            dumb_terminal: text("TERM").as_deref() == Some("dumb"),
            no_progress: text("SWEGYM_NO_PROGRESS").is_some(),
        }
    }

    /// A variable whose name the user chose: keys and addresses of endpoints.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    /// How progress is shown to this user.
    #[must_use]
    pub fn shown(&self) -> Shown {
        if self.no_progress { Shown::Nothing } else { Shown::here(!self.dumb_terminal) }
    }
}

/// Addresses in uv's lists: apart by blanks, some with a name (`name=https://…`).
fn urls(list: &str) -> Vec<String> {
    let url = |item: &str| match item.split_once('=') {
        Some((name, url)) if !name.contains('/') => url.to_owned(),
        _ => item.to_owned(),
    };
    list.split_whitespace().map(url).collect()
}
