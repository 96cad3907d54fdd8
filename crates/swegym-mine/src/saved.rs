//! Issues, pull requests and comments that somebody saved: what `gh` prints, answers of the
//! API by REST and GraphQL, and events as GH Archive has them.

mod stream;

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use swegym_core::Hint;
use swegym_core::format::{FormatError, Problem, kind};
use thiserror::Error;

use crate::item::{self, What};
use crate::texts::Texts;

/// Why a file of saved texts cannot be used.
#[derive(Debug, Error)]
pub enum SavedError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// An object is damaged.
    #[error(transparent)]
    Row(#[from] FormatError),
    /// An object is nothing that is known.
    #[error("{file}:{line}: neither an issue, a pull request, a comment nor an event; it has {fields}")]
    Unknown {
        /// The file.
        file: String,
        /// Where it stands, from 1.
        line: usize,
        /// Its fields.
        fields: String,
    },
    /// An object belongs to nobody knows which repository.
    #[error("{file}:{line}: this does not say of which repository it is")]
    Nameless {
        /// The file.
        file: String,
        /// Where it stands, from 1.
        line: usize,
    },
}

impl Hint for SavedError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some(match self {
            Self::Read { .. } => "give files of JSON, also with .gz; repositories stand before --issues".into(),
            Self::Row(error) => return error.hint(),
            Self::Unknown { .. } => {
                "docs/mining.md says what can be read; save other things in files of their own".into()
            }
            Self::Nameless { .. } => {
                "save the address, too (gh issue list --json number,title,body,url), or mine one repository a time"
                    .into()
            }
        })
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) items: u64,
    pub(crate) comments: u64,
    /// Events of these repositories that do not hold the text.
    pub(crate) textless: u64,
}

/// Reads a file. Objects that do not name a repository are of the only one in `repos`;
/// events of others are passed over.
///
/// # Errors
/// The file cannot be read, or an object is damaged or unknown.
pub(crate) fn read(path: &Path, repos: &[&str], texts: &mut Texts) -> Result<Counts, SavedError> {
    let file = path.to_string_lossy();
    let mut counts = Counts::default();
    let failed = |source| SavedError::Read { path: path.to_owned(), source };
    let mut stream = stream::Values::open(path).map_err(failed)?;
    let mut outcome = Ok(());
    let read = stream.each(|line, json| {
        let reader = Reader { file: &file, line, repos };
        outcome = match swegym_core::json::row::<Value>(json) {
            Ok(value) => reader.take(value, texts, &mut counts),
            Err(error) => Err(FormatError::new(&file, line, Problem::Json(error.to_string())).into()),
        };
        outcome.is_ok()
    });
    outcome?;
    match read {
        Ok(()) => Ok(counts),
        Err(stream::Broken::Io(source)) => Err(failed(source)),
        Err(stream::Broken::Json { line, why }) => {
            Err(FormatError::new(&file, line, Problem::Json(why)).into())
        }
    }
}

/// Reads one value of a file.
#[derive(Clone, Copy)]
struct Reader<'a> {
    file: &'a str,
    line: usize,
    repos: &'a [&'a str],
}

impl Reader<'_> {
    fn take(self, value: Value, texts: &mut Texts, counts: &mut Counts) -> Result<(), SavedError> {
        let object = match value {
            Value::Object(object) => object,
            // `gh api --slurp` makes a list of pages.
            Value::Array(list) => return list.into_iter().try_for_each(|one| self.take(one, texts, counts)),
            other => return Err(self.problem(Problem::NotAnObject(kind(&other)))),
        };
        if is_event(&object) {
            return self.take_event(&object, texts, counts);
        }
        if let Some(found) = item::read(&object).map_err(|problem| self.problem(problem))? {
            let repo = self.repo(found.repo.as_deref())?;
            add(&repo, found.what, texts, counts);
            return Ok(());
        }
        match inner(object) {
            Ok(list) => self.take(Value::Array(list), texts, counts),
            Err(object) => {
                let fields: Vec<_> = object.keys().take(12).map(|name| format!("`{name}`")).collect();
                let fields = if fields.is_empty() { "no fields".to_owned() } else { fields.join(", ") };
                Err(SavedError::Unknown { file: self.file.to_owned(), line: self.line, fields })
            }
        }
    }

    /// An event of one of the repositories. What it says of others is not for us.
    fn take_event(
        self,
        event: &Map<String, Value>,
        texts: &mut Texts,
        counts: &mut Counts,
    ) -> Result<(), SavedError> {
        let of_repo = |field: &str, name: &str| event.get(field)?.get(name)?.as_str();
        let Some(repo) = of_repo("repo", "name").map(str::to_owned).or_else(|| {
            Some(format!("{}/{}", of_repo("repository", "owner")?, of_repo("repository", "name")?))
        }) else {
            return Ok(());
        };
        if !self.repos.iter().any(|own| own.eq_ignore_ascii_case(&repo)) {
            return Ok(());
        }
        let parts: &[&str] = match event.get("type").and_then(Value::as_str) {
            Some("IssuesEvent") => &["issue"],
            Some("IssueCommentEvent") => &["issue", "comment"],
            Some("PullRequestEvent") => &["pull_request"],
            _ => return Ok(()),
        };
        for part in parts {
            let object =
                event.get("payload").and_then(|payload| payload.get(*part)).and_then(Value::as_object);
            // The oldest events name an issue by its id; the newest have no text of pull requests.
            let told = object.filter(|object| object.contains_key("body"));
            let found = told.map(item::read).transpose().map_err(|problem| self.problem(problem))?.flatten();
            match found {
                Some(found) => add(&repo, found.what, texts, counts),
                None => counts.textless += 1,
            }
        }
        Ok(())
    }

    fn repo(self, told: Option<&str>) -> Result<String, SavedError> {
        match (told, self.repos) {
            (Some(repo), _) => Ok(repo.to_owned()),
            (None, [repo]) => Ok((*repo).to_owned()),
            (None, _) => Err(SavedError::Nameless { file: self.file.to_owned(), line: self.line }),
        }
    }

    fn problem(self, problem: Problem) -> SavedError {
        FormatError::new(self.file, self.line, problem).into()
    }
}

fn add(repo: &str, what: What, texts: &mut Texts, counts: &mut Counts) {
    match what {
        What::Item(item, comments) => {
            counts.items += 1;
            counts.comments += comments.len() as u64;
            let number = item.number;
            texts.add_item(repo, item);
            comments.into_iter().for_each(|comment| texts.add_comment(repo, number, comment));
        }
        What::Comment(number, comment) => {
            counts.comments += 1;
            texts.add_comment(repo, number, comment);
        }
    }
}

fn is_event(object: &Map<String, Value>) -> bool {
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    kind.ends_with("Event") && object.contains_key("payload")
}

/// The list that an answer wraps: results of a search, or a GraphQL connection.
fn inner(mut object: Map<String, Value>) -> Result<Vec<Value>, Map<String, Value>> {
    if let Some(Value::Array(items)) = object.get_mut("items") {
        return Ok(std::mem::take(items));
    }
    let Some(repository) = object.get_mut("data").and_then(|data| data.get_mut("repository")) else {
        return Err(object);
    };
    let mut found = Vec::new();
    let mut is_known = false;
    for list in ["pullRequests", "issues"] {
        if let Some(Value::Array(nodes)) = repository.get_mut(list).and_then(|list| list.get_mut("nodes")) {
            is_known = true;
            found.append(nodes);
        }
    }
    for one in ["pullRequest", "issue"] {
        if let Some(item) = repository.get_mut(one).filter(|item| item.is_object()) {
            is_known = true;
            found.push(item.take());
        }
    }
    if is_known { Ok(found) } else { Err(object) }
}
