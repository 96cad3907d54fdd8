//! Errors that say what to do about them.

use std::borrow::Cow;
use std::error::Error;
use std::io;

/// Whose trouble an error is. A program ends with another exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// What somebody typed, or a file that they gave.
    Usage,
    /// There is nothing to work on.
    Nothing,
    /// The machinery: boxes, storage, endpoints.
    Infrastructure,
    /// Tasks that are not valid.
    Tasks,
    /// Something nobody foresaw.
    Unexpected,
}

/// An error that says what to do about it.
pub trait Hint: Error {
    /// What to do, where there is something to do.
    fn hint(&self) -> Option<Cow<'static, str>>;

    /// What failed, for people; its causes are told behind it.
    fn message(&self) -> String {
        self.to_string()
    }

    /// Whose trouble it is.
    fn trouble(&self) -> Trouble {
        Trouble::Usage
    }

    /// Whether its message tells its causes already.
    fn tells_causes(&self) -> bool {
        false
    }
}

impl Hint for io::Error {
    fn hint(&self) -> Option<Cow<'static, str>> {
        None
    }

    fn trouble(&self) -> Trouble {
        Trouble::Unexpected
    }
}
