//! One log to grade: from a manifest, or from an evaluation of our own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};
use swegym_core::format::FormatError;
use swegym_core::{Boundary, Fault, Instance};
use swegym_grade::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use swegym_grade::lines::LONGEST_TEXT;
use swegym_grade::semantics::GradeError;
use swegym_grade::{Log, LogParser, Reading, Semantics, junit};
use swegym_tasks::dataset::{RowText, Rows};

use super::instances_of_run;
use crate::error::CommandError;

/// A log up to this length is read at once; a longer one piece by piece.
const SMALL: usize = 16 << 20;

thread_local! {
    /// The log at hand: of many one after the other, in the same memory.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One log and what belongs to it.
pub(crate) enum Case {
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
    /// The folder of one evaluation.
    Evaluation {
        /// The instance.
        id: String,
        /// Which attempt at it.
        attempt: u32,
        /// Where its evidence lies.
        folder: PathBuf,
    },
}

/// A row of a manifest: `{"instance_id", "log", "semantics"?, "junit"?, "patch"?}`.
pub(crate) struct Row {
    id: String,
    /// As it was named.
    log: String,
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
pub(crate) fn of_manifest(manifest: &Path) -> Result<Vec<Case>, CommandError> {
    let base: &Arc<Path> = &manifest.parent().unwrap_or(Path::new("")).into();
    let read = |row: Result<RowText, FormatError>| {
        let row = match row {
            Ok(row) => row,
            Err(error) => return bad_row(None, String::new(), error.to_string(), error.hint()),
        };
        match PlainRow::read(&row) {
            Some(PlainRow { instance_id: id, log }) => Case::Row(Row::of(id, log, base)),
            None => read_other(&row, base),
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
        serde_json::from_slice(row.json()).ok()
    }
}

fn read_other(row: &RowText, base: &Arc<Path>) -> Case {
    let row = match row.read() {
        Ok(row) => row,
        Err(error) => return bad_row(None, String::new(), error.to_string(), error.hint()),
    };
    let text = |name: &str| row.fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let (id, log) = (text("instance_id"), text("log").unwrap_or_default());
    let place = format!("{}:{}", row.file, row.line);
    let read = read_row(row.fields, base);
    read.map_or_else(|(what, hint)| bad_row(id, log, format!("{place}: {what}"), hint), Case::Row)
}

fn bad_row(id: Option<String>, log: String, what: String, hint: String) -> Case {
    Case::BadRow { id, log, fault: Fault::new(Boundary::Task, "manifest_row", what).with_hint(hint) }
}

/// What is wrong with a row, and what to do about it.
type Complaint = (String, String);

fn read_row(mut fields: Map<String, Value>, base: &Arc<Path>) -> Result<Row, Complaint> {
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
    Ok(Row { semantics, junit, patch, ..Row::of(id, log, base) })
}

/// The rule set of a name, or what is wrong with the name.
pub(super) fn semantics_named(name: &str) -> Result<Semantics, Complaint> {
    let known = || Semantics::ALL.map(Semantics::name).join(", ");
    Semantics::named(name)
        .ok_or_else(|| (format!("no semantics is called `{name}`"), format!("one of: {}", known())))
}

/// A file that a manifest names: beside the manifest, or from where the program runs.
fn open(base: &Path, path: &str) -> io::Result<File> {
    match File::open(base.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => File::open(path),
        opened => opened,
    }
}

/// The cases of an evaluation's folder, and the file of its instances.
pub(crate) fn of_run(folder: &Path, instances: Option<&Path>) -> Result<(PathBuf, Vec<Case>), CommandError> {
    let file = match instances {
        Some(file) => file.to_owned(),
        None => instances_of_run(folder)?,
    };
    let evaluations = folder.join("evaluations");
    let entries = fs::read_dir(&evaluations).map_err(|e| CommandError::file("read", &evaluations, &e))?;
    let mut cases = Vec::new();
    for entry in entries.flatten() {
        let attempts = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        let number = |attempt: fs::DirEntry| attempt.file_name().to_str()?.parse::<u32>().ok();
        let id = entry.file_name().to_string_lossy().into_owned();
        cases.extend(attempts.filter_map(number).map(|attempt| (id.clone(), attempt)));
    }
    cases.sort();
    let case = |(id, attempt): (String, u32)| {
        let folder = evaluations.join(&id).join(attempt.to_string());
        Case::Evaluation { id, attempt, folder }
    };
    Ok((file, cases.into_iter().map(case).collect()))
}

impl Case {
    /// The instance that it is about, as far as it says.
    pub(crate) fn instance_id(&self) -> Option<&str> {
        match self {
            Self::Row(row) => Some(&row.id),
            Self::BadRow { id, .. } => id.as_deref(),
            Self::Evaluation { id, .. } => Some(id),
        }
    }

    /// The same, or what is wrong with the row.
    pub(crate) fn check(&self) -> Result<&str, Fault> {
        match self {
            Self::Row(row) => Ok(&row.id),
            Self::BadRow { fault, .. } => Err(fault.clone()),
            Self::Evaluation { id, .. } => Ok(id),
        }
    }

    /// Whether a run report, which has one answer for each instance, has this one.
    pub(crate) fn is_first(&self) -> bool {
        !matches!(self, Self::Evaluation { attempt: 1.., .. })
    }

    /// The log, as it was named.
    pub(crate) fn log_name(&self) -> Cow<'_, str> {
        match self {
            Self::Row(row) => (&*row.log).into(),
            Self::BadRow { log, .. } => log.into(),
            Self::Evaluation { folder, .. } => {
                folder.join("test_output.txt").to_string_lossy().into_owned().into()
            }
        }
    }

    /// Whether there was no answer at all.
    pub(crate) fn patch_is_none(&self) -> bool {
        matches!(self, Self::Row(Row { patch: Answer::Null, .. }))
    }

    /// Whether there was one without content: the reference counts it among
    /// the empty ones, and grades it by its log.
    pub(crate) fn patch_is_empty(&self) -> bool {
        matches!(self, Self::Row(Row { patch: Answer::Empty, .. }))
    }

    /// Reads the evidence, by the given rules or the log's own.
    pub(crate) fn evidence(
        &self,
        instance: &Instance,
        semantics: Option<Semantics>,
    ) -> Result<(Evidence, Semantics), Fault> {
        match self {
            Self::Row(row) => row.evidence(instance, semantics),
            Self::BadRow { fault, .. } => Err(fault.clone()),
            Self::Evaluation { folder, .. } => {
                let semantics = semantics.unwrap_or_default();
                Ok((own_evidence(folder, instance)?, semantics))
            }
        }
    }
}

impl Row {
    fn of(id: String, log: String, base: &Arc<Path>) -> Self {
        Self { id, log, base: base.clone(), semantics: None, junit: None, patch: Answer::Unsaid }
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
        let mut file = open(&self.base, path).map_err(|e| log_fault(path, &e))?;
        let read = BUFFER.with_borrow_mut(|memory| {
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
        });
        let (reading, semantics) =
            read.map_err(|e: io::Error| log_fault(path, &e))?.map_err(|error| match error {
                GradeError::Log(why) => log_fault(path, &why),
                other => Fault::new(Boundary::Task, other.code(), other.to_string()).with_hint(other.hint()),
            })?;
        let junit = self.junit.as_deref().map(|path| open(&self.base, path));
        let structured = junit.map_or(Structured::NotOffered, read_junit);
        let evidence = Evidence { patch, reading: Some(reading), end: None, structured, limit_hit: None };
        Ok((evidence, semantics))
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
    Fault::new(Boundary::Task, code, format!("cannot read the log `{path}`: {error}"))
        .with_hint("check the path in the manifest; it is relative to the manifest or to this folder")
}

fn read_junit(file: io::Result<File>) -> Structured {
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

/// What `evaluate` left: the supervisor's word beside log and results.
fn own_evidence(folder: &Path, instance: &Instance) -> Result<Evidence, Fault> {
    let path = folder.join("evidence.json");
    let fault = |why: String| {
        Fault::new(
            Boundary::Internal,
            "evidence_unreadable",
            format!("cannot read `{}`: {why}", path.display()),
        )
    };
    let text = fs::read_to_string(&path).map_err(|e| fault(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|e| fault(e.to_string()))?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let patch = match value["patch"]["outcome"].as_str() {
        Some("applied") => PatchOutcome::Applied,
        Some("absent") => PatchOutcome::Absent,
        Some("failed") => PatchOutcome::Failed(word(&value["patch"]["message"])),
        Some("refused") => PatchOutcome::Refused(
            word(&value["patch"]["code"]),
            word(&value["patch"]["message"]),
            String::new(),
        ),
        _ => return Err(fault("it does not say what became of the patch".into())),
    };
    let number = |value: &Value| value.as_i64().map(|n| n as i32);
    let end = match &value["end"] {
        Value::String(text) if text == "timed_out" => Some(RunEnd::TimedOut),
        end => number(&end["exited"])
            .map(RunEnd::Exited)
            .or_else(|| number(&end["signalled"]).map(RunEnd::Signalled)),
    };
    let structured = match &value["structured"] {
        Value::String(text) if text == "not_offered" => Structured::NotOffered,
        other if other["missing"].is_string() => Structured::Missing(word(&other["missing"])),
        _ => read_junit(File::open(folder.join("junit.xml"))),
    };
    let log = folder.join("test_output.txt");
    let reading = match fs::read(&log) {
        Ok(bytes) => {
            let parser = LogParser::of(instance).ok().flatten().unwrap_or(LogParser::Pytest);
            Some(Reading::bare(&String::from_utf8_lossy(&bytes), parser))
        }
        Err(_) => None,
    };
    Ok(Evidence {
        patch,
        reading,
        end,
        structured,
        limit_hit: value["limit_hit"].as_str().map(str::to_owned),
    })
}
