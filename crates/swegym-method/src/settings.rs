//! What each verb is told. What is for all of them is resolved once from four sources:
//! flag, then environment, then settings file, then default.

mod environment;
mod file;
mod improve;
mod micro;
mod rollout;
mod train;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use swegym_console::error::CommandError;
use swegym_runner::RunSettings;
use swegym_runner::context::{InstallSettings, Registries};
use swegym_runner::foundation::fetched_folder;
use swegym_sandbox::Limits;
use swegym_tasks::index::{Index, Registry};

use file::File;

pub use environment::Environment;
pub use improve::{ImproveSettings, Memory, Served, Start};
pub use micro::MicroSettings;
pub use rollout::{BudgetSettings, ModelChoice, RolloutSettings};
pub use train::{
    AdapterSettings, CourseSettings, ModelShape, Pace, PretrainSettings, SftSettings, Shown,
    TokenizerSettings, VerifierSettings,
};

/// What every verb with boxes works with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where images, caches and runs lie.
    pub home: PathBuf,
    /// Limits of boxes, and how much at once.
    pub run: RunSettings,
    /// How packages are installed.
    pub install: InstallSettings,
    /// Where packages come from.
    pub packages: PackageSettings,
    /// Where programs are looked for, as in `PATH`.
    pub path: Vec<PathBuf>,
}

/// What a user asks for by flags; what is left away is not asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Where images, caches and runs lie.
    pub home: Option<PathBuf>,
    /// The settings file; `swegym.toml` where nothing is said, if there is one.
    pub config: Option<PathBuf>,
    /// Limits.
    pub limits: LimitsAsked,
    /// Interpreters of images.
    pub interpreters: InterpretersAsked,
    /// The package index.
    pub index_url: Option<String>,
    /// Registries of other languages.
    pub registries: RegistriesAsked,
    /// The time or day before which packages were uploaded.
    pub exclude_newer: Option<String>,
    /// What builds reach.
    pub network: Option<Network>,
}

/// Interpreters that a user asks for.
#[derive(Debug, Clone, Default)]
pub struct InterpretersAsked {
    /// One for all images.
    pub python: Option<String>,
    /// Root file systems of other releases.
    pub roots: Vec<PathBuf>,
    /// Whether uv may fetch them.
    pub fetches_python: bool,
}

/// Addresses of registries of other languages than Python that a user asks for.
#[derive(Debug, Clone, Default)]
pub struct RegistriesAsked {
    /// npm's.
    pub npm: Option<String>,
    /// The sparse index of crates.
    pub crates: Option<String>,
    /// The proxy of Go's modules.
    pub go: Option<String>,
}

/// Limits that a user asks for. Memory and disk are in MiB, times in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitsAsked {
    /// Of this machine, at once.
    pub cores: Option<usize>,
    /// Of all boxes together.
    pub memory: Option<u64>,
    /// Of a box.
    pub box_memory: Option<u64>,
    /// Of a box.
    pub box_disk: Option<u64>,
    /// Of a box.
    pub box_processes: Option<u64>,
    /// Of a box that builds an image.
    pub build_disk: Option<u64>,
    /// Of a run of tests.
    pub test_timeout: Option<u64>,
}

/// What a box that builds an image reaches, by way of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The package index.
    Index,
    /// Files that were fetched before.
    None,
}

impl Network {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Index, Self::None];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::None => "none",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.name() == word)
    }
}

/// Where packages come from.
#[derive(Debug, Clone)]
pub struct PackageSettings {
    /// The index.
    pub index_url: String,
    /// The registry of npm's packages.
    pub npm_registry: String,
    /// The sparse index of crates.
    pub crates_index: String,
    /// The proxy of Go's modules.
    pub go_proxy: String,
    /// Indexes that are asked before it.
    pub first_indexes: Vec<String>,
    /// Whom its client trusts (PEM), if not whom this machine trusts.
    pub certificates: Option<Vec<u8>>,
    /// Nothing is fetched: what is kept already must do.
    pub only_kept: bool,
}

impl Settings {
    /// What this user gets: what is asked for, else what the environment says, else the
    /// settings file, else what is usual.
    ///
    /// # Errors
    /// The settings file is not as it should be, or a value is none.
    pub fn resolve(asked: Asked, environment: &Environment) -> Result<Self, CommandError> {
        let Asked { home, config, limits, interpreters, index_url, registries, exclude_newer, network } =
            asked;
        let file = File::read(config.as_deref())?;
        let home = match home.or(environment.home.clone()) {
            Some(home) => home,
            None => match file.text("home")? {
                Some(home) => PathBuf::from(home),
                None => default_home(environment)?,
            },
        };
        let exclude_newer =
            exclude_newer.or(environment.exclude_newer.clone()).or(file.text("exclude-newer")?);
        let named_index = index_url.or(environment.index_url.clone()).or(file.text("index-url")?);
        let RegistriesAsked { npm, crates, go } = registries;
        let said = &environment.registries;
        let registry = |asked: Option<String>, said: &Option<String>, key: &str, usual: &str| {
            let named = asked.or(said.clone()).or(file.text(key)?);
            Ok::<_, CommandError>(sparse(&named.unwrap_or_else(|| usual.to_owned())))
        };
        let npm_registry = registry(npm, &said.npm, "npm-registry", "https://registry.npmjs.org")?;
        let crates_index = registry(crates, &said.crates, "crates-index", "https://index.crates.io")?;
        let go_proxy = registry(go, &said.go, "go-proxy", "https://proxy.golang.org")?;
        let network = match (network, file.text("network")?.as_deref()) {
            (Some(network), _) => network,
            (None, None | Some("index")) => Network::Index,
            (None, Some("none")) => Network::None,
            (None, Some(_)) => return Err(file.wrong("network", "\"index\" or \"none\"")),
        };
        let certificates = match &environment.certificates {
            Some(path) => {
                Some(std::fs::read(path).map_err(|e| CommandError::file("read the certificates", path, &e))?)
            }
            None => None,
        };
        let InterpretersAsked { python, roots, fetches_python } = interpreters;
        let python = python.or(file.text("python")?);
        let roots = roots.iter().map(|root| root_at(root)).collect::<Result<_, _>>()?;
        let exclude_newer = exclude_newer.map(|time| time_named(&time)).transpose()?;
        let mut interpreters = environment.interpreters.clone();
        interpreters.push(fetched_folder(&home));
        Ok(Self {
            home,
            run: run_settings(&limits, &file, environment.granted_memory)?,
            install: InstallSettings {
                exclude_newer,
                python,
                interpreters,
                roots,
                fetches_python: fetches_python && network == Network::Index,
            },
            packages: PackageSettings {
                index_url: named_index.unwrap_or_else(|| "https://pypi.org/simple".to_owned()),
                npm_registry,
                crates_index,
                go_proxy,
                first_indexes: environment.first_indexes.clone(),
                certificates,
                only_kept: network == Network::None,
            },
            path: environment.path.clone(),
        })
    }

    /// The package index with everything that this user has set about it.
    #[must_use]
    pub fn index(&self) -> Index {
        Index::new(&self.packages.index_url, &self.home.join("cache"))
            .after(&self.packages.first_indexes)
            .trusting(self.packages.certificates.clone())
            .as_of(self.install.exclude_newer.clone())
            .only_kept(self.packages.only_kept)
    }

    /// The registries of other languages, with everything that this user has set about them.
    #[must_use]
    pub fn registries(&self) -> Registries {
        let PackageSettings { npm_registry, crates_index, go_proxy, certificates, only_kept, .. } =
            &self.packages;
        let registry = |url: &str| {
            let registry = Registry::new(url, &self.home.join("cache"));
            Arc::new(registry.trusting(certificates.clone()).only_kept(*only_kept))
        };
        Registries { npm: registry(npm_registry), crates: registry(crates_index), go: registry(go_proxy) }
    }

    /// A program on the `PATH`.
    #[must_use]
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|program| program.is_file())
    }
}

/// A root file system, wherever the command runs next time.
fn root_at(root: &Path) -> Result<PathBuf, CommandError> {
    let whole = std::fs::canonicalize(root).map_err(|e| CommandError::file("read", root, &e))?;
    match whole.join("usr/bin").is_dir() {
        true => Ok(whole),
        false => {
            let message = format!("`{}` is no root file system: it has no folder usr/bin", root.display());
            Err(CommandError::usage(
                message,
                "give the folder that debootstrap made, or unpack an image first",
            ))
        }
    }
}

/// The address in what cargo and Go take for one: `sparse+https://…/`, `https://…,direct`.
fn sparse(text: &str) -> String {
    let url = text.split([',', '|']).map(str::trim).find(|part| part.contains("://")).unwrap_or(text);
    url.trim_start_matches("sparse+").trim_end_matches('/').to_owned()
}

/// A time as uv reads it: RFC 3339, or a day, all of which counts where this machine is.
fn time_named(text: &str) -> Result<String, CommandError> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.tomorrow().ok();
    let end = |day: jiff::civil::Date| Some(day.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp());
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| day().and_then(end));
    time.map(|time| time.to_string()).ok_or_else(|| {
        let hint = "write a time, `2024-03-20T00:00:00Z`, or a day, `2024-03-20`";
        CommandError::usage(format!("`{text}` is no time before which something was uploaded"), hint)
    })
}

fn default_home(environment: &Environment) -> Result<PathBuf, CommandError> {
    let data =
        environment.data_home.clone().or_else(|| Some(environment.user_home.as_ref()?.join(".local/share")));
    data.map(|d| d.join("swegym")).ok_or_else(|| {
        CommandError::usage("there is no place for images and runs", "set SWEGYM_HOME or pass --home")
    })
}

/// `granted` is what a batch system gave this job, if it says so.
fn run_settings(asked: &LimitsAsked, file: &File, granted: Option<u64>) -> Result<RunSettings, CommandError> {
    let LimitsAsked { cores, memory, box_memory, box_disk, box_processes, build_disk, test_timeout } = *asked;
    const MIB: u64 = 1 << 20;
    let pick = |flag: Option<u64>, key: &str, default: u64| {
        Ok::<_, CommandError>(flag.or(file.number(key)?).unwrap_or(default))
    };
    let all_cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let cores = pick(cores.map(|c| c as u64), "cores", all_cores)?.max(1) as usize;
    let free = swegym_sandbox::memory::available().min(granted.unwrap_or(u64::MAX));
    let memory = pick(memory, "memory", free / MIB * 4 / 5)?;
    let test = Limits {
        memory_bytes: pick(box_memory, "box-memory", 2048)? * MIB,
        disk_bytes: pick(box_disk, "box-disk", 1024)? * MIB,
        processes: pick(box_processes, "box-processes", 512)?,
        ..Limits::default()
    };
    let build =
        Limits { disk_bytes: pick(build_disk, "build-disk", 4096)? * MIB, processes: 1024, ..test.clone() };
    Ok(RunSettings {
        limits: test,
        build_limits: build,
        test_timeout: Duration::from_secs(pick(test_timeout, "test-timeout", 300)?),
        install_timeout: Duration::from_secs(900),
        cores,
        memory_bytes: memory * MIB,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_counts_whole_where_this_machine_is() {
        assert_eq!(time_named("2024-03-20T10:00:00+02:00").unwrap(), "2024-03-20T08:00:00Z");
        let zone = jiff::tz::TimeZone::system();
        let next = jiff::civil::date(2024, 3, 21).to_zoned(zone).unwrap();
        assert_eq!(time_named("2024-03-20").unwrap(), next.timestamp().to_string());
        for wrong in ["", "yesterday", "2024-03", "2024-13-01", "20240320T"] {
            assert!(time_named(wrong).is_err(), "{wrong}");
        }
    }
}
