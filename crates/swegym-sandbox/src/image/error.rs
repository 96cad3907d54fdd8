//! What can be wrong with an image file.

use thiserror::Error;

/// The newest version of image files that is known.
pub(super) const VERSION: u64 = 1;

/// Why an image file cannot be read.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Not JSON.
    #[error("not valid JSON")]
    Json(#[from] serde_json::Error),
    /// A field is missing or of another kind.
    #[error("the field `{0}` is missing or wrong")]
    Field(&'static str),
    /// Written by a newer swegym.
    #[error("format version {0} is newer than {VERSION}, the newest this swegym reads")]
    Newer(u64),
    /// Whole, but not what its name says.
    #[error("it describes the image {0}")]
    Other(String),
}
