//! User files as text: with or without a byte order mark, or in UTF-16.

use std::path::Path;

use swegym_core::format::text::decode;

use crate::error::CommandError;

/// A file's text.
///
/// # Errors
/// It cannot be read, or is no text; the error names the line then.
pub(crate) fn read(path: &Path) -> Result<String, CommandError> {
    let bytes = std::fs::read(path).map_err(|e| CommandError::file("read", path, &e))?;
    Ok(decode(&path.to_string_lossy(), &bytes)?.into_owned())
}
