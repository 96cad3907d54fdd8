//! Files as text. Those of users are read with or without a byte order mark, or in UTF-16.

use std::path::Path;

use swegym_core::format::text::decode;

use crate::error::CommandError;

/// Refuses to write to a file that is read: an input, or a file of an input that is a
/// folder.
///
/// # Errors
/// `out` is there, and is the input or in it.
pub fn refuse_overwriting(input: &Path, out: &Path) -> Result<(), CommandError> {
    let (Ok(from), Ok(to)) = (input.canonicalize(), out.canonicalize()) else { return Ok(()) };
    let is_input = (from == to && (to.is_file() || to.is_dir())) || (to.is_file() && to.starts_with(&from));
    // What has no content of its own, a terminal or a pipe, is not overwritten.
    if !is_input {
        return Ok(());
    }
    let message = format!("`{}` belongs to what is read, and would be overwritten", out.display());
    Err(CommandError::usage(message, "name another file to write to"))
}

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
