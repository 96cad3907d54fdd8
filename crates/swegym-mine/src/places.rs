//! `repositories.json`: where the repositories of a mined set lie on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::text;

use crate::repository::Repository;

/// The file's name, beside the instances.
pub const PLACES: &str = "repositories.json";

/// Writes where they lie.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn write(folder: &Path, repositories: &[Repository]) -> Result<(), CommandError> {
    let whole = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let places: BTreeMap<String, PathBuf> =
        repositories.iter().map(|one| (one.name().to_owned(), whole(one.path()))).collect();
    write_places(folder, &places)
}

/// Writes where these lie.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_places(folder: &Path, places: &BTreeMap<String, PathBuf>) -> Result<(), CommandError> {
    text::write(&folder.join(PLACES), &format!("{:#}\n", json!(places)))
}

/// Reads where they lie; nothing where the folder does not say it.
///
/// # Errors
/// The file is damaged.
pub fn read_places(folder: &Path) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let path = folder.join(PLACES);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_str(&text::read(&path)?).map_err(|e| {
        let message = format!("{}:{}: {e}", path.display(), e.line());
        CommandError::usage(
            message,
            "mine again, or say where repositories lie: --repository OWNER/NAME=FOLDER",
        )
    })
}
