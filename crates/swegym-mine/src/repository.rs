//! A clone or mirror on this machine, read by git and never written to.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use swegym_core::{Hint, Trouble};
use swegym_sandbox::tool::{self, Stream, ToolError};
use thiserror::Error;

use crate::api::ApiError;

/// Why a repository cannot be mined at all.
#[derive(Debug, Error)]
pub enum MineError {
    /// The folder is not a repository.
    #[error("`{}` is not a git repository", path.display())]
    NoRepository {
        /// As given.
        path: PathBuf,
        /// What git said.
        #[source]
        source: ToolError,
    },
    /// Nobody knows whose it is.
    #[error("`{}` does not say which repository it is a copy of", path.display())]
    Nameless {
        /// As given.
        path: PathBuf,
    },
    /// It has no commit to begin from.
    #[error("`{}` has no branch `{branch}`", path.display())]
    NoBranch {
        /// As given.
        path: PathBuf,
        /// What was looked for.
        branch: String,
    },
    /// git failed.
    #[error("git cannot read `{}`", path.display())]
    Git {
        /// The repository.
        path: PathBuf,
        /// What git said.
        #[source]
        source: ToolError,
    },
    /// git was cut off, or says what nobody expects.
    #[error("git's answer about `{}` cannot be read", path.display())]
    Answer {
        /// The repository.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// It was cloned without most of what its files hold.
    #[error("`{}` does not have what {absent} of {all} files of {commit} hold", path.display())]
    Incomplete {
        /// The repository.
        path: PathBuf,
        /// The commit.
        commit: String,
        /// Files whose contents are missing.
        absent: usize,
        /// Files.
        all: usize,
    },
    /// It cannot be cloned.
    #[error("git cannot clone `{address}`")]
    Clone {
        /// `owner/name`.
        name: String,
        /// Where from.
        address: String,
        /// What git said.
        #[source]
        source: ToolError,
    },
    /// The host's API gives no answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl Hint for MineError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::NoRepository { .. } => {
                "give the folder of a clone, or of a mirror (git clone --mirror URL)".into()
            }
            Self::Nameless { path } => format!("say it: OWNER/NAME={}", path.display()).into(),
            Self::NoBranch { .. } => "name the main branch with --branch".into(),
            Self::Git { .. } => "`git fsck` in that folder tells more".into(),
            Self::Answer { .. } => return None,
            Self::Incomplete { .. } => "it is a partial clone: clone it again without --filter".into(),
            Self::Clone { name, address, .. } => format!(
                "clone it yourself, for a private one with your own key: git clone --mirror {address} FOLDER; then \
                 give {name}=FOLDER"
            )
            .into(),
            Self::Api(error) => return error.hint(),
        })
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Api(error) => error.trouble(),
            Self::Clone { .. } => Trouble::Infrastructure,
            _ => Trouble::Usage,
        }
    }
}

/// What git is told on every call: nothing that the repository's settings name is started,
/// nothing is fetched, and no setting of a user changes what it prints.
const SAFE: [&str; 14] = [
    "--no-replace-objects",
    "--bare",
    "-c",
    "protocol.allow=never",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.quotePath=true",
    // Larger files count as binary, so that none is held in memory.
    "-c",
    "core.bigFileThreshold=8m",
    "-c",
    "diff.renameLimit=1000",
    "-c",
    "i18n.logOutputEncoding=UTF-8",
];

/// The environment of every call.
pub(crate) const QUIET: [(&str, &str); 7] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("LC_ALL", "C"),
];

/// How long a short question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clone or mirror.
#[derive(Debug, Clone)]
pub struct Repository {
    path: PathBuf,
    git_folder: PathBuf,
    /// `owner/name`.
    name: String,
}

impl Repository {
    /// Opens `OWNER/NAME=FOLDER`, or a folder that knows where it was cloned from.
    ///
    /// # Errors
    /// It is no repository, or has no name.
    pub fn open(given: &str) -> Result<Self, MineError> {
        let (name, path) = named(given);
        let path = PathBuf::from(path);
        let no_repository = |source| MineError::NoRepository { path: path.clone(), source };
        let words = ["-c", "safe.directory=*", "-C", path_text(&path), "rev-parse", "--absolute-git-dir"];
        let said = ask(words.map(str::to_owned)).map_err(no_repository)?;
        let git_folder = PathBuf::from(String::from_utf8_lossy(&said).trim_end_matches('\n'));
        let mut repository = Self { path, git_folder, name: String::new() };
        repository.name = match name {
            Some(name) => name.to_owned(),
            None => {
                repository.origin().ok_or_else(|| MineError::Nameless { path: repository.path.clone() })?
            }
        };
        Ok(repository)
    }

    /// `owner/name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder, as given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts git; what it prints is read while it runs.
    pub(crate) fn start(&self, words: &[&str]) -> Result<Stream, MineError> {
        let words = words.iter().map(|word| (*word).to_owned());
        Stream::start("git", arguments(&self.git_folder, words), &QUIET)
            .map_err(|source| self.git_error(source))
    }

    /// Asks git something short.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String, ToolError> {
        let words = words.iter().map(|word| (*word).to_owned());
        let said = ask(arguments(&self.git_folder, words))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }

    pub(crate) fn git_error(&self, source: ToolError) -> MineError {
        MineError::Git { path: self.path.clone(), source }
    }

    pub(crate) fn answer_error(&self, source: io::Error) -> MineError {
        MineError::Answer { path: self.path.clone(), source }
    }

    pub(crate) fn incomplete(&self, commit: &str, absent: usize, all: usize) -> MineError {
        MineError::Incomplete { path: self.path.clone(), commit: commit.to_owned(), absent, all }
    }

    /// Whether it was cloned without its beginnings.
    pub(crate) fn is_shallow(&self) -> bool {
        self.git_folder.join("shallow").is_file()
    }

    /// `owner/name` of where it was cloned from.
    fn origin(&self) -> Option<String> {
        let url = self.ask(&["config", "--get", "remote.origin.url"]).ok()?;
        name_of(url.trim())
    }
}

/// `OWNER/NAME=FOLDER`, unless that is the name of a folder.
fn named(given: &str) -> (Option<&str>, &str) {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\w.-]+/[\w.-]+$").ok());
    let is_name = |name: &str| NAME.as_ref().is_some_and(|pattern| pattern.is_match(name));
    match given.split_once('=') {
        Some((name, path)) if is_name(name) && !Path::new(given).exists() => (Some(name), path),
        _ => (None, given),
    }
}

/// The last two parts of an address: `https://host/owner/name.git`, `git@host:owner/name`.
pub(crate) fn name_of(url: &str) -> Option<String> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^(?:\w+://[^/]+/|[^/:]+:)(?:.*/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?$").ok()
    });
    Some(NAME.as_ref()?.captures(url)?.get(1)?.as_str().to_owned())
}

fn arguments(git_folder: &Path, words: impl Iterator<Item = String>) -> Vec<String> {
    let folder = git_folder.to_string_lossy();
    // Whoever owns the folder: nothing of it is started.
    let owner = ["-c".to_owned(), format!("safe.directory={folder}")];
    let place = ["--git-dir".to_owned(), folder.into_owned()];
    SAFE.iter().map(|word| (*word).to_owned()).chain(owner).chain(place).chain(words).collect()
}

fn ask(words: impl IntoIterator<Item = String>) -> Result<Vec<u8>, ToolError> {
    let variables = QUIET.iter().map(|(name, value)| format!("{name}={value}"));
    let line = variables.chain(["git".to_owned()]).chain(words);
    tool::run("env", line, PATIENCE)
}

/// Names that are no text were refused before.
fn path_text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stem_from_addresses() {
        for (url, name) in [
            ("https://example.org/owner/name.git", Some("owner/name")),
            ("https://example.org/owner/name", Some("owner/name")),
            ("ssh://git@example.org:22/owner/na.me/", Some("owner/na.me")),
            ("git@example.org:owner/name.git", Some("owner/name")),
            ("https://example.org/group/sub/name.git", Some("sub/name")),
            ("/srv/mirrors/name.git", None),
            ("../name", None),
        ] {
            assert_eq!(name_of(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn a_name_may_stand_before_the_folder() {
        assert_eq!(named("owner/name=./a=b.git"), (Some("owner/name"), "./a=b.git"));
        assert_eq!(named("./mirrors/a=b.git"), (None, "./mirrors/a=b.git"));
        assert_eq!(named("/tmp"), (None, "/tmp"));
    }
}
