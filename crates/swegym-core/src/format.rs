//! How the words look on disk: one module a format.
//!
//! Readers take text and a name for messages, and return typed errors that
//! say file, line and what to do; writers return text. Files that only swegym
//! reads carry a format version: older ones are read, newer ones refused.

pub mod attempts;
pub mod evidence;
pub mod instances;
pub mod journal;
pub mod plain;
pub mod predictions;
mod python_list;
pub mod record;
pub mod reports;
pub mod results;
mod row;
pub mod rows;
pub mod run;
pub mod scores;
mod sealed;
pub mod steps;
pub mod text;

use std::borrow::Cow;
use thiserror::Error;

use crate::Hint;

pub use row::{is_blank, kind};

/// What is wrong with a file, and where.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{file}{}: {problem}", line.map(|l| format!(":{l}")).unwrap_or_default())]
pub struct FormatError {
    /// The file's name, as the user gave it.
    pub file: String,
    /// Line, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// The kinds of trouble a file can be in.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Not JSON.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// JSON, but not an object where a row is expected.
    #[error("a row must be a JSON object, this is {0}")]
    NotAnObject(&'static str),
    /// A required field is missing.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field holds another kind of value.
    #[error("the field `{field}` must be {expected}, this is {found}")]
    Type {
        /// Its name.
        field: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A field that the format does not have.
    #[error("unknown field `{field}`{}", closest.map(|c| format!("; did you mean `{c}`?")).unwrap_or_default())]
    UnknownField {
        /// Its name.
        field: String,
        /// The nearest field that exists.
        closest: Option<&'static str>,
    },
    /// A field that is missed, and one that is near to it.
    #[error("unknown field `{field}`; did you mean `{meant}`?")]
    Misspelt {
        /// Its name.
        field: String,
        /// The field that is missed.
        meant: &'static str,
    },
    /// A prediction without an answer.
    #[error("no field holds the answer's patch; the row has {found}")]
    NoAnswer {
        /// The row's fields.
        found: String,
    },
    /// A prediction with two answers.
    #[error("`{one}` and `{other}` hold different patches")]
    TwoPatches {
        /// A field.
        one: String,
        /// Another one.
        other: String,
    },
    /// A dataset's row where a prediction is expected.
    #[error("this is a row of a dataset, whose `patch` is the gold patch and no answer")]
    GoldForAnswer,
    /// The same id twice.
    #[error("duplicate id `{id}`, first seen on line {first}")]
    DuplicateId {
        /// The id.
        id: String,
        /// Line of the first row with it.
        first: usize,
    },
    /// An id that cannot name a folder.
    #[error("bad id: {0}")]
    Id(#[from] crate::id::IdError),
    /// A field that holds a patch does not.
    #[error("the field `{field}` is not a patch that can be used: {why}")]
    Patch {
        /// `patch`, `test_patch` or `model_patch`.
        field: &'static str,
        /// The patch reader's word.
        why: crate::patch::PatchError,
    },
    /// Written by a newer swegym.
    #[error("format version {found} is newer than {known}, the newest this swegym reads")]
    Newer {
        /// In the file.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// A checksummed line does not match its checksum.
    #[error("the checksum does not match: the line was changed or cut")]
    Checksum,
    /// Bytes that are no text.
    #[error("not UTF-8 text (byte {0})")]
    NotText(usize),
    /// The file cannot be read to its end.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file holds no row.
    #[error("the file has no rows")]
    Empty,
    /// A file of a run is not there.
    #[error("the file is missing, though {told_by} speaks of it")]
    Gone {
        /// The file and line that speak of it.
        told_by: String,
    },
    /// A file of a run has other content than the run says.
    #[error("this is not what {told_by} speaks of: the file was cut or changed, or is of another run")]
    Changed {
        /// The file and line that say what it should be.
        told_by: String,
    },
    /// A record stops before its attempt does.
    #[error("the record stops here, though {told_by} says that the attempt came to its end")]
    Unended {
        /// The file and line that say so.
        told_by: String,
    },
    /// A file of a run has not all the rows that it should.
    #[error("the file ends here, and no row is of `{of}`, of which {told_by} speaks")]
    NoRow {
        /// What the row would be of.
        of: String,
        /// The file and line that speak of it.
        told_by: String,
    },
    /// A file of a run has fewer or more rows than it should.
    #[error("the file has {found} rows, where {told_by} tells of {told}")]
    Rows {
        /// How many it has.
        found: usize,
        /// How many it should have.
        told: usize,
        /// The file that says so.
        told_by: String,
    },
    /// A file of a run that the run knows nothing of.
    #[error(
        "{unknown_to} does not speak of this: it was cut, or this is of another run or was copied while the run went on"
    )]
    Stray {
        /// The journal.
        unknown_to: String,
    },
    /// Two files of a folder are of different runs.
    #[error("this is of another run than {other}: {what}")]
    Mixed {
        /// The other file.
        other: String,
        /// What differs.
        what: String,
    },
    /// Lines of a journal are missing, or two journals are mixed.
    #[error("this is line {found} of a journal where line {expected} belongs")]
    Gap {
        /// The number that belongs there.
        expected: u64,
        /// The number that stands there.
        found: u64,
    },
}

impl FormatError {
    /// A problem with a file, or with one of its lines.
    pub fn new(file: &str, line: impl Into<Option<usize>>, problem: impl Into<Problem>) -> Self {
        Self { file: file.to_owned(), line: line.into(), problem: problem.into() }
    }
}

impl Hint for FormatError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: String = match &self.problem {
            Problem::Json(_) | Problem::NotAnObject(_) => {
                "rows are JSON objects; the other rows are untouched, so mend or remove this one".into()
            }
            Problem::Missing(field) => format!("add `{field}`, or leave the row out"),
            Problem::Type { expected, .. } => format!("write {expected} there"),
            Problem::UnknownField { .. } => {
                "rename or remove it, or pass --keep-unknown-fields to carry it along".into()
            }
            Problem::Misspelt { field, meant } => format!("rename `{field}` to `{meant}`"),
            Problem::NoAnswer { .. } => {
                "name it `model_patch`; null says that there is no answer. docs/answers.md has all forms"
                    .into()
            }
            Problem::TwoPatches { .. } => "keep the one that is the answer, as `model_patch`".into(),
            Problem::GoldForAnswer => {
                "give answers; `--predictions gold` evaluates the gold patches of the instances".into()
            }
            Problem::DuplicateId { .. } => "keep one of the two rows".into(),
            Problem::Id(_) => "ids name folders: use letters, digits, `_`, `-`, `.`".into(),
            Problem::Patch { why, .. } => return why.hint(),
            Problem::Newer { .. } => "use the swegym that wrote the file, or a newer one".into(),
            Problem::Checksum => "restore the file from a copy, or start a new run".into(),
            Problem::NotText(_) => "write the file as UTF-8, and check that it is the one you meant".into(),
            Problem::Unreadable(_) => "check the file, or fetch it again".into(),
            Problem::Empty => "check that this is the file you meant".into(),
            Problem::Gone { .. }
            | Problem::Changed { .. }
            | Problem::Unended { .. }
            | Problem::NoRow { .. }
            | Problem::Rows { .. } => {
                "copy the run's folder again, whole and when nothing works on it; or let the verb that made it \
                 write the file anew by --resume"
                    .into()
            }
            Problem::Stray { .. } => {
                "copy the run's folder again, whole and when nothing works on it; where it was killed, go on with \
                 it by --resume; move what is of another run out of it"
                    .into()
            }
            Problem::Mixed { .. } | Problem::Gap { .. } => {
                "give each run a folder of its own: copy it again, whole and when nothing works on it".into()
            }
        };
        Some(hint.into())
    }
}
