//! Settings, resolved once from four sources: flag, then environment, then settings
//! file, then default.

mod curate;
mod improve;
mod micro;
mod rollout;
mod select;
mod serve;
mod train;

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_runner::RunSettings;
use swegym_runner::build::CUT_OFF;
use swegym_runner::context::InstallSettings;
use swegym_sandbox::Limits;
use swegym_tasks::index::Index;
use toml::Table;

use crate::args::{GlobalArgs, InstallArgs, LimitArgs, Network};
use crate::error::CommandError;
use crate::text;

pub(crate) use curate::{CurateSettings, Pairs};
pub(crate) use improve::{ImproveSettings, Served};
pub(crate) use micro::MicroSettings;
pub(crate) use rollout::{BudgetSettings, ModelChoice, RolloutSettings};
pub(crate) use select::{ScoreSettings, SelectSettings};
pub(crate) use serve::{DoorSettings, ServeSettings};
pub(crate) use train::{
    AdapterSettings, CourseSettings, HeldOut, ModelShape, Pace, PretrainSettings, SftSettings, Shown,
    TokenizerSettings, VerifierSettings,
};

/// Everything that swegym reads from the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    home: Option<PathBuf>,
    user_home: Option<PathBuf>,
    data_home: Option<PathBuf>,
    path: Vec<PathBuf>,
    index_url: Option<String>,
    exclude_newer: Option<String>,
    /// Indexes that are asked before that one.
    first_indexes: Vec<String>,
    certificates: Option<PathBuf>,
    /// No cursor movement.
    pub(crate) dumb_terminal: bool,
    /// Nothing is said of how far something is.
    pub(crate) no_progress: bool,
    /// Folders in which version managers keep interpreters.
    interpreters: Vec<PathBuf>,
    /// Bytes that a batch system gave this job, which need not hold it to them by a
    /// control group.
    granted_memory: Option<u64>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(crate) fn read() -> Self {
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
    pub(crate) fn variable(name: &str) -> Option<String> {
        std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    /// A program on the `PATH`.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path.iter().map(|folder| folder.join(name)).find(|p| p.is_file())
    }
}

/// What a verb works with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) home: PathBuf,
    pub(crate) run: RunSettings,
    pub(crate) install: InstallSettings,
    pub(crate) index_url: String,
    /// Whom the index's client trusts (PEM), if not whom this machine trusts.
    certificates: Option<Vec<u8>>,
    network: Network,
    pub(crate) environment: Environment,
}

/// Keys of the settings file.
const KEYS: [&str; 12] = [
    "home",
    "cores",
    "memory",
    "box-memory",
    "box-disk",
    "box-processes",
    "build-disk",
    "test-timeout",
    "python",
    "index-url",
    "exclude-newer",
    "network",
];

/// The settings file, with errors that name it.
struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    fn read(named: Option<&Path>) -> Result<Self, CommandError> {
        let path = named.unwrap_or(Path::new("swegym.toml")).to_owned();
        let text = if named.is_some() || path.exists() { text::read(&path)? } else { String::new() };
        let table: Table = text.parse().map_err(|e: toml::de::Error| {
            CommandError::usage(
                format!("`{}` is not valid TOML: {}", path.display(), e.message()),
                "see docs/files.md, \"Settings\"",
            )
        })?;
        if let Some(key) = table.keys().find(|k| !KEYS.contains(&k.as_str())) {
            let message = format!("`{}` has the unknown key `{key}`", path.display());
            return Err(CommandError::usage(message, format!("known keys: {}", KEYS.join(", "))));
        }
        Ok(Self { path, table })
    }

    fn wrong(&self, key: &str, expected: &str) -> CommandError {
        CommandError::usage(
            format!("`{key}` in `{}` must be {expected}", self.path.display()),
            "see docs/files.md, \"Settings\"",
        )
    }

    fn number(&self, key: &str) -> Result<Option<u64>, CommandError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
                number.map(Some).ok_or_else(|| self.wrong(key, "a whole number"))
            }
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, CommandError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => {
                value.as_str().map(|t| Some(t.to_owned())).ok_or_else(|| self.wrong(key, "a string"))
            }
        }
    }
}

impl Settings {
    pub(crate) fn resolve(
        global: GlobalArgs,
        install: InstallArgs,
        environment: Environment,
    ) -> Result<Self, CommandError> {
        let GlobalArgs { json: _, quiet: _, home, config, limits } = global;
        let InstallArgs { python, index_url, exclude_newer, network } = install;
        let file = File::read(config.as_deref())?;
        let home = match home.or(environment.home.clone()) {
            Some(home) => home,
            None => match file.text("home")? {
                Some(home) => PathBuf::from(home),
                None => default_home(&environment)?,
            },
        };
        let exclude_newer =
            exclude_newer.or(environment.exclude_newer.clone()).or(file.text("exclude-newer")?);
        let named_index = index_url.or(environment.index_url.clone()).or(file.text("index-url")?);
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
        let python = python.or(file.text("python")?);
        let exclude_newer = exclude_newer.map(|time| time_named(&time)).transpose()?;
        let interpreters = environment.interpreters.clone();
        Ok(Self {
            home,
            run: run_settings(&limits, &file, environment.granted_memory)?,
            install: InstallSettings { exclude_newer, python, interpreters },
            index_url: named_index.unwrap_or_else(|| "https://pypi.org/simple".to_owned()),
            certificates,
            network,
            environment,
        })
    }

    /// The package index with everything that this user has set about it.
    pub(crate) fn index(&self) -> Index {
        Index::new(&self.index_url, &self.home.join("cache"))
            .after(&self.environment.first_indexes)
            .trusting(self.certificates.clone())
            .as_of(self.install.exclude_newer.clone())
            .only_kept(self.network == Network::None)
    }
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

/// Addresses in uv's lists: apart by blanks, some with a name (`name=https://…`).
fn urls(list: &str) -> Vec<String> {
    let url = |item: &str| match item.split_once('=') {
        Some((name, url)) if !name.contains('/') => url.to_owned(),
        _ => item.to_owned(),
    };
    list.split_whitespace().map(url).collect()
}

fn default_home(environment: &Environment) -> Result<PathBuf, CommandError> {
    let data =
        environment.data_home.clone().or_else(|| Some(environment.user_home.as_ref()?.join(".local/share")));
    data.map(|d| d.join("swegym")).ok_or_else(|| {
        CommandError::usage("there is no place for images and runs", "set SWEGYM_HOME or pass --home")
    })
}

/// `granted` is what a batch system gave this job, if it says so.
fn run_settings(limits: &LimitArgs, file: &File, granted: Option<u64>) -> Result<RunSettings, CommandError> {
    let LimitArgs { cores, memory, box_memory, box_disk, box_processes, build_disk, test_timeout } =
        limits.clone();
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
    use clap::Parser as _;
    use swegym_agent::Scaffold;
    use swegym_tasks::micro::Split;

    use super::*;
    use crate::args::{Args, TrainVerb, Verb};

    fn typed(words: &str) -> Verb {
        Args::try_parse_from(words.split(' ')).unwrap().verb
    }

    /// Steps of the method begin with what a user has who says nothing more.
    #[test]
    fn what_is_not_said_is_the_same_in_flags_and_in_settings() {
        let path = PathBuf::from;
        let Verb::Rollout(args) = typed("swegym rollout --instances i --scaffold gold") else { panic!() };
        let teacher = RolloutSettings::new(path("i"), Scaffold::Gold, ModelChoice::Teacher);
        assert_eq!(RolloutSettings::resolve(*args).unwrap(), teacher);
        let Verb::Curate(args) = typed("swegym curate r --model m --out o") else { panic!() };
        let curate = CurateSettings::new(vec![path("r")], path("m"));
        assert_eq!(CurateSettings::resolve(*args).unwrap(), curate);
        let Verb::Curate(args) = typed("swegym curate r --model m --out o --verifier --seed 3") else {
            panic!()
        };
        let paired = curate.paired(Pairs { negatives: 1, most: None }).seeded(3);
        assert_eq!(CurateSettings::resolve(*args).unwrap(), paired);
        let Verb::Select(args) = typed("swegym select r --out o") else { panic!() };
        assert_eq!(SelectSettings::from(args), SelectSettings::new(path("r")));
        let Verb::Micro(args) = typed("swegym micro --count 5") else { panic!() };
        assert_eq!(MicroSettings::resolve(args).unwrap(), MicroSettings::new(Split::Train, 5));
        let Verb::Serve(args) = typed("swegym serve --model m --name n --listen 127.0.0.1:0") else {
            panic!()
        };
        assert_eq!(ServeSettings::resolve(args).unwrap(), ServeSettings::here(path("m"), "n"));
        for (verb, of) in [("sft", "--model m --data d"), ("verifier", "--model m --data d")] {
            let Verb::Train { verb } = typed(&format!("swegym train {verb} {of}")) else { panic!() };
            match verb {
                TrainVerb::Sft(args) => {
                    let sft = SftSettings::new(path("m"), vec![path("d")]);
                    assert_eq!(SftSettings::resolve(*args).unwrap(), sft);
                }
                TrainVerb::Verifier(args) => {
                    let verifier = VerifierSettings::new(path("m"), vec![path("d")]);
                    assert_eq!(VerifierSettings::resolve(*args).unwrap(), verifier);
                }
                _ => panic!(),
            }
        }
    }

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
