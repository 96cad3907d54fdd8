//! One log to grade: from a manifest, or from an evaluation of our own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use swegym_console::error::CommandError;
use swegym_core::format::FormatError;
use swegym_core::format::evidence::Results;
use swegym_core::{Boundary, Fault, Hint as _, Instance};
use swegym_grade::evidence::{Evidence, PatchOutcome, Structured};
use swegym_grade::lines::LONGEST_TEXT;
use swegym_grade::semantics::GradeError;
use swegym_grade::{Log, LogParser, Reading, Semantics, junit};
use swegym_tasks::dataset::{RowText, Rows};

use crate::run_view::{Evaluation, RunView};

/// No path of Linux is longer (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

/// A log up to this length is read at once; a longer one piece by piece.
const SMALL: usize = 16 << 20;

thread_local! {
    /// The log at hand: of many one after the other, in the same memory.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One log and what belongs to it.
pub enum Case {
    /// A row of a manifest.
    Row(Row),
    /// A row that says too little, or nothing that can be read.
    BadRow {
        /// What can be read of it.
        id: Option<String>,
        /// The log, as it was named, if it was.
        log: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// One evaluation of our own.
    Evaluation(Box<Evaluation>),
}

/// A row of a manifest: `{"instance_id", "log", "semantics"?, "junit"?, "patch"?}`. Log and
/// JUnit are files, or the texts themselves ([`is_text`], [`is_document`]).
pub struct Row {
    id: String,
    /// As it was named; of a text, its place in the manifest.
    log: String,
    /// The log itself, where the manifest has it.
    text: Option<String>,
    /// The manifest's folder.
    base: Arc<Path>,
    semantics: Option<Semantics>,
    junit: Option<String>,
    patch: Answer,
}

/// What a manifest says of the answer.
enum Answer {
    /// Nothing: the log is that of an answer.
    Unsaid,
    /// `null`.
    Null,
    /// Blank.
    Empty,
    /// There is one.
    Text,
}

/// The cases of a manifest, in order. Paths are relative to the manifest, or
/// to where the program runs.
pub fn of_manifest(manifest: &Path) -> Result<Vec<Case>, CommandError> {
    let base: &Arc<Path> = &manifest.parent().unwrap_or(Path::new("")).into();
    let read = |row: Result<RowText, FormatError>| {
        let row = match row {
            Ok(row) => row,
            Err(error) => return unreadable(&error),
        };
        match PlainRow::read(&row) {
            Some(PlainRow { instance_id: id, log }) if !is_text(&log) => Case::Row(Row::of(id, log, base)),
            _ => read_other(&row, base),
        }
    };
    Ok(Rows::open(manifest)?.map(read).collect())
}

/// What most rows of a manifest are, and nothing more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainRow {
    instance_id: String,
    log: String,
}

impl PlainRow {
    fn read(row: &RowText) -> Option<Self> {
        serde_json::from_slice(&row.json()).ok()
    }
}

fn read_other(row: &RowText, base: &Arc<Path>) -> Case {
    let row = match row.read() {
        Ok(row) => row,
        Err(error) => return unreadable(&error),
    };
    let text = |name: &str| row.fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let place = format!("{}:{}", row.file, row.line);
    let named = |log: String| if is_text(&log) { place.clone() } else { log };
    let (id, log) = (text("instance_id"), text("log").map(named).unwrap_or_default());
    let read = read_row(row.fields, base, &place);
    read.map_or_else(|(what, hint)| bad_row(id, log, format!("{place}: {what}"), hint), Case::Row)
}

/// A row of which nothing is known.
fn unreadable(error: &FormatError) -> Case {
    bad_row(None, String::new(), error.to_string(), error.hint().unwrap_or_default().into_owned())
}

fn bad_row(id: Option<String>, log: String, what: String, hint: String) -> Case {
    Case::BadRow { id, log, fault: Fault::new(Boundary::Task, "manifest_row", what).with_hint(hint) }
}

/// What is wrong with a row, and what to do about it.
type Complaint = (String, String);

/// Whether a manifest's `log` is the text of a log, and not where it lies: it has a line
/// break or a harness's mark, or is longer than any path.
fn is_text(log: &str) -> bool {
    log.len() > LONGEST_PATH || log.contains(['\n', '\r']) || log.contains(">>>>>")
}

/// Whether a manifest's `junit` is a document, and not where it lies.
fn is_document(junit: &str) -> bool {
    junit.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('<')
}

fn read_row(mut fields: Map<String, Value>, base: &Arc<Path>, place: &str) -> Result<Row, Complaint> {
    let mut text = |name: &str| match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            Err((format!("the field `{name}` must be a string"), format!("write `{name}` as a string")))
        }
    };
    let required = |name: &str, value: Option<String>| {
        value.ok_or((format!("the field `{name}` is missing"), format!("add `{name}` to the row")))
    };
    let id = required("instance_id", text("instance_id")?)?;
    let log = required("log", text("log")?)?;
    let (log, text_of_log) = if is_text(&log) { (place.to_owned(), Some(log)) } else { (log, None) };
    let semantics = match text("semantics")? {
        None => None,
        Some(name) => Some(semantics_named(&name)?),
    };
    let junit = text("junit")?;
    let patch = match fields.shift_remove("patch") {
        None => Answer::Unsaid,
        Some(Value::Null) => Answer::Null,
        Some(Value::String(text)) if text.trim().is_empty() => Answer::Empty,
        Some(Value::String(_)) => Answer::Text,
        Some(_) => {
            return Err((
                "the field `patch` must be a string or null".into(),
                "give a patch or a path".into(),
            ));
        }
    };
    Ok(Row { semantics, junit, patch, text: text_of_log, ..Row::of(id, log, base) })
}

/// The rule set of a name, or what is wrong with the name.
pub(super) fn semantics_named(name: &str) -> Result<Semantics, Complaint> {
    let known = || Semantics::ALL.map(Semantics::name).join(", ");
    Semantics::named(name)
        .ok_or_else(|| (format!("no semantics is called `{name}`"), format!("one of: {}", known())))
}

/// A file that a manifest names: beside the manifest, or from where the program runs.
fn open(base: &Path, path: &str) -> io::Result<File> {
    match open_file(&base.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open_file(Path::new(path)),
        opened => opened,
    }
}

/// A file, and no pipe: one that nobody writes to would be waited for without end.
fn open_file(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?.file_type();
    // To read a folder says what is wrong with it.
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

/// The cases of an evaluation's folder, and the file of its instances.
pub(super) fn of_run(
    folder: &Path,
    instances: Option<PathBuf>,
) -> Result<(PathBuf, Vec<Case>), CommandError> {
    let view = RunView::open(folder)?;
    let evaluations = view.evaluations()?;
    let file = instances.map_or_else(|| view.instances(), Ok)?;
    Ok((file, evaluations.into_iter().map(|evaluation| Case::Evaluation(Box::new(evaluation))).collect()))
}

impl Case {
    /// The instance that it is about, as far as it says.
    pub fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Row(row) => Some(&row.id),
            Self::BadRow { id, .. } => id.as_deref(),
            Self::Evaluation(evaluation) => Some(&evaluation.id),
        }
    }

    /// The same, or what is wrong with the row.
    pub fn check(&self) -> Result<&str, Fault> {
        match self {
            Self::Row(row) => Ok(&row.id),
            Self::BadRow { fault, .. } => Err(fault.clone()),
            Self::Evaluation(evaluation) => Ok(&evaluation.id),
        }
    }

    /// Whether a run report, which has one answer for each instance, has this one.
    pub fn is_first(&self) -> bool {
        !matches!(self, Self::Evaluation(evaluation) if evaluation.attempt > 0)
    }

    /// The log, as it was named.
    pub fn log_name(&self) -> Cow<'_, str> {
        match self {
            Self::Row(row) => (&*row.log).into(),
            Self::BadRow { log, .. } => log.into(),
            Self::Evaluation(evaluation) => evaluation.log.to_string_lossy(),
        }
    }

    /// Whether there was no answer at all.
    pub fn patch_is_none(&self) -> bool {
        matches!(self, Self::Row(Row { patch: Answer::Null, .. }))
    }

    /// Whether there was one without content: the reference counts it among
    /// the empty ones, and grades it by its log.
    pub fn patch_is_empty(&self) -> bool {
        matches!(self, Self::Row(Row { patch: Answer::Empty, .. }))
    }

    /// Reads the evidence, by the given rules or the log's own.
    pub fn evidence(
        &self,
        instance: &Instance,
        semantics: Option<Semantics>,
    ) -> Result<(Evidence, Semantics), Fault> {
        match self {
            Self::Row(row) => row.evidence(instance, semantics),
            Self::BadRow { fault, .. } => Err(fault.clone()),
            Self::Evaluation(evaluation) => own_evidence(evaluation, instance, semantics),
        }
    }
}

impl Row {
    fn of(id: String, log: String, base: &Arc<Path>) -> Self {
        Self { id, log, text: None, base: base.clone(), semantics: None, junit: None, patch: Answer::Unsaid }
    }

    fn evidence(
        &self,
        instance: &Instance,
        semantics: Option<Semantics>,
    ) -> Result<(Evidence, Semantics), Fault> {
        let path = &self.log;
        let chosen = self.semantics.or(semantics);
        // Whether an answer went on is the log's to say.
        let patch = match &self.patch {
            Answer::Null => PatchOutcome::Absent,
            Answer::Unsaid | Answer::Empty | Answer::Text => PatchOutcome::Applied,
        };
        if patch == PatchOutcome::Absent {
            let evidence = Evidence {
                patch,
                reading: None,
                end: None,
                structured: Structured::NotOffered,
                limit_hit: None,
            };
            return Ok((evidence, chosen.unwrap_or_default()));
        }
        let read = match &self.text {
            Some(text) => Ok(read_log(&mut Log::<File>::Bytes(text.as_bytes()), instance, chosen)),
            None => self.read_file(instance, chosen),
        };
        let (reading, semantics) = read.map_err(|e| log_fault(path, &e))?.map_err(|error| match error {
            GradeError::Log(why) => log_fault(path, &why),
            other => Fault::new(Boundary::Task, other.code(), other.to_string()).hinted_by(&other),
        })?;
        let structured = match self.junit.as_deref() {
            None => Structured::NotOffered,
            Some(document) if is_document(document) => read_junit(Ok(document.as_bytes())),
            Some(path) => read_junit(open(&self.base, path)),
        };
        let evidence = Evidence { patch, reading: Some(reading), end: None, structured, limit_hit: None };
        Ok((evidence, semantics))
    }

    /// Reads the file that the manifest names.
    fn read_file(
        &self,
        instance: &Instance,
        chosen: Option<Semantics>,
    ) -> io::Result<Result<(Reading, Semantics), GradeError>> {
        let mut file = open(&self.base, &self.log)?;
        BUFFER.with_borrow_mut(|memory| {
            let (log, whole) = read_start(&mut file, memory)?;
            if whole {
                return Ok(read_log(&mut Log::<File>::Bytes(log), instance, chosen));
            }
            if file.metadata()?.is_file() {
                return Ok(read_log(&mut Log::File(&mut file), instance, chosen));
            }
            // What cannot be read twice must be kept.
            let mut bytes = log.to_vec();
            (&mut file).take(LONGEST_TEXT as u64).read_to_end(&mut bytes)?;
            Ok(read_log(&mut Log::<File>::Bytes(&bytes), instance, chosen))
        })
    }
}

fn read_log(
    log: &mut Log<'_, File>,
    instance: &Instance,
    semantics: Option<Semantics>,
) -> Result<(Reading, Semantics), GradeError> {
    let marks = log.marks()?;
    let semantics = semantics.unwrap_or_else(|| Semantics::detect(instance, &marks));
    Ok((semantics.read(instance, log, &marks)?, semantics))
}

/// A file up to [`SMALL`], in memory that is used again and again, and whether that is all of it.
fn read_start<'a>(file: &mut File, memory: &'a mut Vec<u8>) -> io::Result<(&'a [u8], bool)> {
    let mut filled = 0;
    loop {
        if filled == memory.len() {
            if filled > SMALL {
                return Ok((&memory[..filled], false));
            }
            memory.resize((2 * filled).max(1 << 18), 0);
        }
        match file.read(&mut memory[filled..]) {
            Ok(0) => return Ok((&memory[..filled], true)),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn log_fault(path: &str, error: &io::Error) -> Fault {
    let code = if error.kind() == io::ErrorKind::NotFound { "log_missing" } else { "log_unreadable" };
    Fault::new(Boundary::Task, code, format!("cannot read the log `{path}`: {error}")).with_hint(
        "check the path in the manifest: it is relative to the manifest or to this folder; a `log` that is \
             the text itself has a line break or a `>>>>>` mark",
    )
}

fn read_junit(file: io::Result<impl io::Read>) -> Structured {
    let mut bytes = Vec::new();
    match file.and_then(|file| file.take(junit::LARGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) if bytes.len() as u64 > junit::LARGEST => {
            Structured::Missing(format!("the results are larger than {} bytes", junit::LARGEST))
        }
        Ok(_) => {
            let read = junit::read(&String::from_utf8_lossy(&bytes));
            read.map_or_else(|e| Structured::Missing(e.to_string()), Structured::Cases)
        }
        Err(error) => Structured::Missing(error.to_string()),
    }
}

/// What `evaluate` left: the supervisor's word beside log and results, read by
/// the parser and judged by the rules that it names.
fn own_evidence(
    evaluation: &Evaluation,
    instance: &Instance,
    semantics: Option<Semantics>,
) -> Result<(Evidence, Semantics), Fault> {
    let Evaluation { evidence, log, results, .. } = evaluation;
    let unknown = |what: &str, name: &str| {
        let message = format!("the evidence names the {what} `{name}`, which this swegym does not know");
        Fault::new(Boundary::Task, "evidence_unreadable", message)
            .with_hint("use the swegym that wrote the run, or a newer one")
    };
    let parser = match &evidence.parser {
        Some(name) => LogParser::named(name).ok_or_else(|| unknown("parser", name))?,
        // As files of version 1 were always read.
        None => LogParser::of(instance).ok().flatten().unwrap_or(LogParser::Pytest),
    };
    let rules = match (semantics, &evidence.semantics) {
        (Some(chosen), _) => chosen,
        (None, Some(name)) if evidence.parser.is_some() => {
            Semantics::named(name).ok_or_else(|| unknown("rule set", name))?
        }
        _ => Semantics::default(),
    };
    let read = || fs::read(log).map_err(|e| log_fault(&log.to_string_lossy(), &e));
    let bytes = evidence.end.is_some().then(read).transpose()?;
    let evidence = Evidence {
        patch: evidence.patch.clone(),
        reading: bytes.map(|bytes| Reading::bare(&String::from_utf8_lossy(&bytes), parser)),
        end: evidence.end,
        structured: match (&evidence.results, results) {
            (Results::Missing(why), _) => Structured::Missing(why.clone()),
            (Results::Cases(_), Some(path)) => read_junit(File::open(path)),
            (Results::NotOffered | Results::Cases(_), _) => Structured::NotOffered,
        },
        limit_hit: evidence.limit_hit.clone(),
    };
    Ok((evidence, rules))
}
