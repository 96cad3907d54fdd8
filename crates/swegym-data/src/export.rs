//! `export`: attempts for training frameworks, as conversations, token files, or a
//! folder with everything that another machine needs to train.

mod bundle;
mod import;
mod masked;
mod messages;
pub mod settings;
mod tokens;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_core::chat::CallForm;
use swegym_core::{Class, Verdict};
use swegym_files::Draft;
use swegym_train::mask::{Blemish, Mask, blemished, cut};

use crate::export::settings::ExportSettings;
use crate::run_view::{self, Record, RunView};
use masked::Masked;

pub use messages::{Form, conversation};
pub use tokens::rows as token_rows;

/// Where rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Messages,
    Tokens,
    Bundle(bundle::Framework),
}

impl Target {
    fn named(word: &str) -> Option<Self> {
        match word {
            "messages" => Some(Self::Messages),
            "tokens" => Some(Self::Tokens),
            other => bundle::Framework::named(other).map(Self::Bundle),
        }
    }
}

/// A finished attempt that is wanted.
struct Chosen {
    record: Record,
    verdict: Option<Verdict>,
    mask: Mask,
}

/// An attempt that rows are made of, and what of it is learnt.
pub struct Taken<'a> {
    /// Its record.
    pub record: &'a Record,
    /// What of it is learnt.
    pub mask: Mask,
}

/// The row of an attempt as a conversation.
pub fn conversation_row(record: &Record, verdict: Option<Verdict>, form: &Form) -> Value {
    messages::row(record, verdict, form, &Mask { cut: cut(&record.attempt), ..Mask::default() })
}

/// Which attempts are wanted, and what of them.
struct Choice {
    blemishes: Vec<Blemish>,
    form: Form,
    resolved_only: bool,
    last_only: bool,
    /// Attempts too that training leaves out.
    masked: bool,
}

/// How many attempts became what.
#[derive(Debug, Default)]
struct Counts {
    written: usize,
    unfinished: usize,
    unresolved: usize,
    /// Resolved, and no lesson.
    cheating: usize,
    masked: Masked,
}

/// Writes every finished attempt of a run as a conversation, all of it to be learnt.
pub fn write_messages(
    printer: Printer,
    run: &Path,
    calls: Option<CallForm>,
    prompts: Option<&Path>,
    out: &Path,
) -> Result<(), CommandError> {
    let form = Form::of(calls, prompts)?;
    let choice = Choice { blemishes: Vec::new(), form, resolved_only: false, last_only: false, masked: true };
    let mut written = Written::begin(out)?;
    each(printer, run, None, &choice, |chosen| {
        written.line(&messages::row(&chosen.record, chosen.verdict, &choice.form, &chosen.mask))
    })?;
    written.finish()
}

/// Writes what was asked for.
pub fn run(printer: Printer, settings: &ExportSettings) -> Result<u8, CommandError> {
    if let Some(checkpoint) = &settings.import {
        return import::run(printer, checkpoint, settings);
    }
    let target = Target::named(&settings.to).ok_or_else(|| {
        let hint = "messages, tokens, trl, torchtune or verl";
        CommandError::usage(format!("nothing is exported to `{}`", settings.to), hint)
    })?;
    let source = settings.run.as_deref().ok_or_else(|| {
        CommandError::usage("nothing to export was named", "give the folder of a rollout, or token files")
    })?;
    let choice = choice(settings)?;
    match target {
        Target::Messages => {
            let mut written = Written::begin(&settings.out)?;
            let counts = each(printer, source, settings.evaluation.as_deref(), &choice, |chosen| {
                written.line(&messages::row(&chosen.record, chosen.verdict, &choice.form, &chosen.mask))
            })?;
            written.finish()?;
            finish(printer, &counts, settings, &json!({}))
        }
        Target::Tokens => {
            let (counts, made) = tokens::write(printer, source, settings, &choice, &settings.out)?;
            finish(printer, &counts, settings, &made)
        }
        Target::Bundle(framework) => bundle::write(printer, framework, source, settings, &choice),
    }
}

fn choice(settings: &ExportSettings) -> Result<Choice, CommandError> {
    Ok(Choice {
        blemishes: settings.skip_turns.clone(),
        form: Form::of(settings.calls, settings.prompts.as_deref())?,
        resolved_only: settings.resolved,
        last_only: settings.last_turn_only,
        masked: settings.masked,
    })
}

/// Gives every finished attempt that is wanted to `take`, one at a time: runs
/// may be larger than memory.
fn each(
    printer: Printer,
    run: &Path,
    evaluation: Option<&Path>,
    choice: &Choice,
    mut take: impl FnMut(Chosen) -> Result<(), CommandError>,
) -> Result<Counts, CommandError> {
    let view = RunView::open(run)?;
    let verdicts = run_view::verdicts(evaluation.unwrap_or(run))?;
    let mut counts = Counts::default();
    let bar = Bar::counting(printer, "export", "attempts");
    for path in view.records()? {
        bar.add(1);
        let record = view.record(&path)?;
        let attempt = &record.attempt;
        if !attempt.is_over() {
            counts.unfinished += 1;
            continue;
        }
        let key = (attempt.head.instance_id.to_string(), u64::from(attempt.head.attempt));
        let verdict = verdicts.get(&key).copied();
        if choice.resolved_only && !verdict.is_some_and(|v| v.resolved) {
            counts.unresolved += 1;
            continue;
        }
        let class = attempt.class(&record.repo, verdict);
        if choice.resolved_only && class == Some(Class::Cheating) {
            counts.cheating += 1;
            continue;
        }
        if !choice.masked && counts.masked.takes(class, !verdicts.is_empty()) {
            continue;
        }
        let skip = blemished(attempt, &choice.blemishes);
        let mask = Mask { last_only: choice.last_only, skip, cut: cut(attempt) };
        take(Chosen { record, verdict, mask })?;
        counts.written += 1;
    }
    drop(bar);
    if counts.written == 0 {
        return Err(counts.masked.nothing(run));
    }
    counts.masked.tell(printer);
    Ok(counts)
}

/// Lines of a file that is there when all are.
pub struct Written {
    place: PathBuf,
    out: Draft,
}

impl Written {
    /// Begins a file.
    pub fn begin(place: &Path) -> Result<Self, CommandError> {
        let out = Draft::begin(place).map_err(|e| CommandError::file("write", place, &e))?;
        Ok(Self { place: place.to_owned(), out })
    }

    /// Writes a row.
    pub fn line(&mut self, row: &Value) -> Result<(), CommandError> {
        writeln!(self.out, "{row}").map_err(|e| CommandError::file("write", &self.place, &e))
    }

    /// Gives the file its name.
    pub fn finish(self) -> Result<(), CommandError> {
        self.out.publish().map_err(|e| CommandError::file("write", &self.place, &e))
    }
}

fn finish(
    printer: Printer,
    counts: &Counts,
    settings: &ExportSettings,
    more: &Value,
) -> Result<u8, CommandError> {
    let Counts { written, unfinished, unresolved, cheating, masked } = counts;
    let mut value = json!({
        "written": written, "unfinished": unfinished, "unresolved": unresolved, "cheating": cheating,
        "masked": masked.to_json(), "out": settings.out,
    });
    let mut table = vec![
        ["written", "unfinished", "unresolved", "cheating", "masked"].map(str::to_owned).to_vec(),
        [*written, *unfinished, *unresolved, *cheating, masked.count()].map(|n| n.to_string()).to_vec(),
    ];
    for (key, number) in more.as_object().into_iter().flatten() {
        value[key] = number.clone();
        table[0].push(key.clone());
        table[1].push(number.to_string());
    }
    printer.result(&value, &table);
    Ok(exit::DONE)
}
