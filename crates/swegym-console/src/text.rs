//! Files as text. Those of users are read with or without a byte order mark, or in UTF-16.

use std::path::Path;

use swegym_core::format::text::decode;

use crate::error::CommandError;

/// A file's text.
///
/// # Errors
/// It cannot be read, or is no text; the error names the line then.
pub fn read(path: &Path) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|e| CommandError::file("read", path, &e))?;
    Ok(decode(&path.to_string_lossy(), &bytes)?.into_owned())
}

/// Writes a file of ours, whole or not at all.
///
/// # Errors
/// Its place cannot be written to.
pub fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    swegym_files::write_synced(path, text.as_bytes()).map_err(|e| CommandError::file("write", path, &e))
}
