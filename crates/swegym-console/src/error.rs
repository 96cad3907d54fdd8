//! Errors as users see them: what failed, on what, why, and what to do.

use std::borrow::Cow;
use std::{fmt, io};

use serde_json::{Value, json};
use swegym_core::Hint;

use crate::exit;

/// One error with everything needed to show it.
#[derive(Debug)]
pub struct CommandError {
    /// What failed, on what.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The program's exit code.
    pub exit: u8,
}

impl CommandError {
    /// An error in what the user typed or gave.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: Some(hint.into()), exit: exit::USAGE }
    }

    /// Nothing to work on.
    pub fn nothing(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: exit::NOTHING_SELECTED, ..Self::usage(message, hint) }
    }

    /// The error for programs, as `--json` prints it.
    pub fn to_json(&self) -> Value {
        let Self { message, causes, hint, exit } = self;
        json!({"error": {"message": message, "causes": causes, "hint": hint, "exit_code": exit}})
    }

    /// A file that cannot be read or written. What the user has to move is said so.
    pub fn file(action: &str, path: &std::path::Path, source: &io::Error) -> Self {
        Self {
            message: format!("cannot {action} `{}`", path.display()),
            causes: vec![source.to_string()],
            hint: in_the_way(source),
            exit: exit::USAGE,
        }
    }
}

/// What to do where something of another kind has the name that is wanted.
fn in_the_way(error: &io::Error) -> Option<String> {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory};
    let hint = "a file is where a folder belongs, or a folder where a file does: move it away, or name another place";
    matches!(error.kind(), AlreadyExists | IsADirectory | NotADirectory).then(|| hint.to_owned())
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Errors of the lower rooms say what to do, and whose trouble they are.
impl<E: Hint> From<E> for CommandError {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source().filter(|_| !error.tells_causes());
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let hint = error.hint().map(Cow::into_owned);
        Self { message: error.message(), causes, hint, exit: exit::of(error.trouble()) }
    }
}
