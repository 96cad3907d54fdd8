//! Errors as users see them: what failed, on what, why, and what to do.

use std::error::Error;
use std::fmt;

use serde_json::{Value, json};
use swegym_core::format::FormatError;
use swegym_core::{Boundary, Fault};
use swegym_runner::RunDirError;
use swegym_runner::snapshots::SnapshotsError;
use swegym_sandbox::SandboxError;
use swegym_sandbox::store::StoreError;
use swegym_tasks::dataset::{DatasetError, WriteError};
use swegym_tasks::package::PackageError;

use crate::exit;

/// One error with everything needed to show it.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// What failed, on what.
    pub(crate) message: String,
    /// Why, outermost first.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// The program's exit code.
    pub(crate) exit: u8,
}

impl CommandError {
    fn of(error: &dyn Error, hint: Option<String>, exit: u8) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        Self { message: error.to_string(), causes, hint, exit }
    }

    /// An error whose message tells its causes already.
    fn told(error: &dyn Error, hint: &str, exit: u8) -> Self {
        Self { message: error.to_string(), causes: Vec::new(), hint: Some(hint.to_owned()), exit }
    }

    /// An error in what the user typed or gave.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: Some(hint.into()), exit: exit::USAGE }
    }

    /// Nothing to work on.
    pub(crate) fn nothing(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit: exit::NOTHING_SELECTED, ..Self::usage(message, hint) }
    }

    /// The error for programs, as `--json` prints it.
    pub(crate) fn to_json(&self) -> Value {
        let Self { message, causes, hint, exit } = self;
        json!({"error": {"message": message, "causes": causes, "hint": hint, "exit_code": exit}})
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(action: &str, path: &std::path::Path, source: &std::io::Error) -> Self {
        Self {
            message: format!("cannot {action} `{}`", path.display()),
            causes: vec![source.to_string()],
            hint: None,
            exit: exit::USAGE,
        }
    }
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

/// Flags that do not fit: what is wrong, then the tips and the usage.
impl From<clap::Error> for CommandError {
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        let is_advice = |line: &str| ["tip:", "Usage:", "For more"].iter().any(|word| line.starts_with(word));
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let advice = lines.iter().position(|line| is_advice(line)).unwrap_or(lines.len());
        let joined = |lines: &[&str]| {
            lines.iter().filter(|line| !line.is_empty()).copied().collect::<Vec<_>>().join("\n")
        };
        let message = joined(&lines[..advice]).trim_start_matches("error: ").to_owned();
        Self::usage(message, joined(&lines[advice..]))
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error, None, exit::UNEXPECTED)
    }
}

impl From<FormatError> for CommandError {
    fn from(error: FormatError) -> Self {
        Self::of(&error, Some(error.hint()), exit::USAGE)
    }
}

impl From<DatasetError> for CommandError {
    fn from(error: DatasetError) -> Self {
        Self::of(&error, Some(error.hint().to_owned()), exit::USAGE)
    }
}

impl From<WriteError> for CommandError {
    fn from(error: WriteError) -> Self {
        Self::of(&error, Some(error.hint().to_owned()), exit::USAGE)
    }
}

impl From<RunDirError> for CommandError {
    fn from(error: RunDirError) -> Self {
        let exit = match error {
            RunDirError::Io { .. } => exit::INFRASTRUCTURE,
            _ => exit::USAGE,
        };
        Self::of(&error, error.hint(), exit)
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let exit = store_exit(&error);
        Self::of(&error, error.hint(), exit)
    }
}

/// A store that is somebody else's was named by mistake.
fn store_exit(error: &StoreError) -> u8 {
    let is_denied = |source: &std::io::Error| source.kind() == std::io::ErrorKind::PermissionDenied;
    match error {
        StoreError::Foreign { .. } => exit::USAGE,
        StoreError::Io { source, .. } if is_denied(source) => exit::USAGE,
        _ => exit::INFRASTRUCTURE,
    }
}

impl From<SnapshotsError> for CommandError {
    fn from(error: SnapshotsError) -> Self {
        let hint = "nothing was taken away; move the run that is damaged out of its folder, and try again";
        Self::of(&error, Some(hint.to_owned()), exit::USAGE)
    }
}

impl From<SandboxError> for CommandError {
    fn from(error: SandboxError) -> Self {
        let exit = match &error {
            SandboxError::Store(error) => store_exit(error),
            _ => exit::INFRASTRUCTURE,
        };
        Self::of(&error, error.hint(), exit)
    }
}

impl From<PackageError> for CommandError {
    fn from(error: PackageError) -> Self {
        Self::of(&error, error.hint(), exit::USAGE)
    }
}

impl From<Fault> for CommandError {
    fn from(fault: Fault) -> Self {
        let exit = match fault.boundary {
            Boundary::Model | Boundary::Sandbox => exit::INFRASTRUCTURE,
            Boundary::Task | Boundary::Agent => exit::INVALID_TASKS,
            Boundary::Internal => exit::UNEXPECTED,
        };
        Self { message: fault.message, causes: Vec::new(), hint: fault.hint, exit }
    }
}

impl From<swegym_train::checkpoint::CheckpointError> for CommandError {
    fn from(error: swegym_train::checkpoint::CheckpointError) -> Self {
        let hint = error.hint();
        Self::told(&error, hint, exit::USAGE)
    }
}

impl From<swegym_train::tokenizer::TokenizerError> for CommandError {
    fn from(error: swegym_train::tokenizer::TokenizerError) -> Self {
        let hint = "the model and its tokenizer files must belong together";
        Self::told(&error, hint, exit::USAGE)
    }
}

impl From<swegym_train::tokens::TokensError> for CommandError {
    fn from(error: swegym_train::tokens::TokensError) -> Self {
        let hint = "put a chat_template.jinja beside the model's tokenizer.json";
        Self::told(&error, hint, exit::USAGE)
    }
}

impl From<swegym_train::verifier::VerifierError> for CommandError {
    fn from(error: swegym_train::verifier::VerifierError) -> Self {
        use swegym_train::verifier::VerifierError as E;
        let hint = match &error {
            E::Io { .. } | E::Malformed { .. } => "copy the verifier again, or train it again",
            E::Template(_) => "mend the template given with --template",
            E::Labels(..) => "choose other --labels",
            E::Chat(_) | E::NoChat | E::Tokenizer(_) => {
                "put the tokenizer's files, with a chat_template.jinja, beside the model"
            }
        };
        Self::told(&error, hint, exit::USAGE)
    }
}

/// What to do about weights below zero.
const UNLEARNING: &str = "nothing can be unlearnt yet: leave such rows out, or give them weights from 0 on";

impl From<swegym_train::token_file::TokenFileError> for CommandError {
    fn from(error: swegym_train::token_file::TokenFileError) -> Self {
        let hint = match &error {
            swegym_train::token_file::TokenFileError::Negative { .. } => UNLEARNING,
            _ => "token files are Parquet with lists `input_ids` and `loss_mask`",
        };
        Self::told(&error, hint, exit::USAGE)
    }
}

impl From<swegym_train::corpus::CorpusError> for CommandError {
    fn from(error: swegym_train::corpus::CorpusError) -> Self {
        let hint = "text is read from .jsonl files with `text` in each line, and from other files whole";
        Self::told(&error, hint, exit::USAGE)
    }
}

impl From<swegym_train::trainer::TrainError> for CommandError {
    fn from(error: swegym_train::trainer::TrainError) -> Self {
        use swegym_train::trainer::TrainError as E;
        let (hint, code) = match &error {
            E::Nothing { .. } => {
                ("give a longer --context, or rows whose mask is not empty", exit::NOTHING_SELECTED)
            }
            E::Vocabulary { .. } => ("the tokens were made with another model's tokenizer", exit::USAGE),
            E::Negative { .. } => (UNLEARNING, exit::USAGE),
            E::NotFinite { .. } | E::Gradient { .. } => (
                "the last checkpoint is good: lower --rate, look at the row, and go on with --resume",
                exit::UNEXPECTED,
            ),
            E::Frozen => ("train an adapter with --lora, or leave --half away", exit::USAGE),
            E::State { .. } => ("resume with the data and the flags that the run began with", exit::USAGE),
            E::Checkpoint(inner) => (inner.hint(), exit::USAGE),
        };
        Self::told(&error, hint, code)
    }
}
