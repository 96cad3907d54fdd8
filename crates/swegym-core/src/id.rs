//! Names of things, one newtype a noun, so that two of them cannot be swapped.

use std::fmt;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Why a text cannot be an id.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum IdError {
    /// The text has no characters.
    #[error("the id is empty")]
    Empty,
    /// Ids name folders in a run directory, so they must stay inside it.
    #[error("`{text}` cannot name a folder: `{bad}` is not allowed")]
    Character {
        /// The refused id.
        text: String,
        /// The first character that is not allowed.
        bad: char,
    },
    /// `.` and `..` name other folders.
    #[error("`{0}` is not a name")]
    Dots(String),
    /// File systems stop at 255 bytes a name.
    #[error("the id is {0} bytes long; 200 is the limit")]
    Long(usize),
    /// A digest is 64 lower-case hexadecimal digits.
    #[error("`{0}` is not a SHA-256 digest")]
    Digest(String),
}

fn check_folder_name(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 200 {
        return Err(IdError::Long(text.len()));
    }
    if let Some(bad) = text.chars().find(|c| *c == '/' || *c == '\\' || c.is_control() || c.is_whitespace()) {
        return Err(IdError::Character { text: text.to_owned(), bad });
    }
    if text.chars().all(|c| c == '.') {
        return Err(IdError::Dots(text.to_owned()));
    }
    Ok(())
}

macro_rules! folder_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Accepts a text that can safely name a folder.
            ///
            /// # Errors
            /// See [`IdError`].
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check_folder_name(&text)?;
                Ok(Self(text))
            }

            /// The id as it stands in files.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

folder_id! {
    /// The name of one problem, for example `pallets__flask-5014` (wire: `instance_id`).
    InstanceId
}
folder_id! {
    /// The name of one command-line invocation and of its run directory.
    RunId
}

/// The repository that an instance's id tells of, by SWE-bench's custom
/// (`owner__name-number`): the last resort where no file says it.
#[must_use]
pub fn repository_by_id(id: &str) -> String {
    id.rsplit_once('-').map_or(id, |(repository, _)| repository).replace("__", "/")
}

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Takes the bytes of a digest computed elsewhere, for example while streaming.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the hexadecimal form.
    ///
    /// # Errors
    /// [`IdError::Digest`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::Digest(text.to_owned());
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }

    /// All 64 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// The first 16 digits: enough to tell things apart in a folder or a table.
    #[must_use]
    pub fn short(&self) -> String {
        hex(&self.0[..8])
    }
}

/// Two small digits for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digit = |d: u8| char::from(b"0123456789abcdef"[usize::from(d)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_folder() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "a\nb", "a\0"] {
            assert!(InstanceId::new(bad).is_err(), "{bad:?}");
        }
        assert!(InstanceId::new("pallets__flask-5014").is_ok());
        assert!(InstanceId::new("x".repeat(201)).is_err());
    }

    #[test]
    fn a_digest_reads_what_it_writes() {
        let digest = Digest::of(b"abc");
        assert!(digest.hex().starts_with("ba7816bf"));
        assert_eq!(Digest::parse(&digest.hex()), Ok(digest));
        assert!(Digest::parse("BA").is_err());
    }
}
