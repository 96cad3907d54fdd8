//! The settings file, `swegym.toml`.

use std::path::{Path, PathBuf};

use swegym_console::error::CommandError;
use swegym_console::text;
use toml::Table;

/// Keys of the settings file.
const KEYS: [&str; 15] = [
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
    "npm-registry",
    "crates-index",
    "go-proxy",
    "exclude-newer",
    "network",
];

/// The settings file, with errors that name it.
pub(super) struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    pub(super) fn read(named: Option<&Path>) -> Result<Self, CommandError> {
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

    pub(super) fn wrong(&self, key: &str, expected: &str) -> CommandError {
        CommandError::usage(
            format!("`{key}` in `{}` must be {expected}", self.path.display()),
            "see docs/files.md, \"Settings\"",
        )
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, CommandError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
                number.map(Some).ok_or_else(|| self.wrong(key, "a whole number"))
            }
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>, CommandError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => {
                value.as_str().map(|t| Some(t.to_owned())).ok_or_else(|| self.wrong(key, "a string"))
            }
        }
    }
}
