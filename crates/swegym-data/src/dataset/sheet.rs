//! Rows on their way into a file of columns, whose types are known only when
//! every row was seen. They are guessed by the first rows and written at once; a
//! row that shows that the guess was wrong ends that attempt, and the next one
//! knows all rows.

use std::path::Path;

use serde_json::{Map, Value};
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::format::FormatError;
use swegym_tasks::dataset::{Columns, Container, RowText, Rows, Writer};

use super::{Workplace, in_order};

/// Rows that the first guess is made by.
const FIRST: usize = 500;

/// Where rows go.
pub(super) struct Target<'a> {
    pub(super) path: &'a Path,
    pub(super) container: Container,
    /// The part of the dataset that they are.
    pub(super) split: &'a str,
}

/// One attempt at writing all rows.
pub(super) struct Sheet {
    /// Gone when a row did not fit.
    writer: Option<Writer>,
    guess: Columns,
    seen: Columns,
    has_columns: bool,
}

impl Sheet {
    /// The columns that also rows that are not written must be noted for, if
    /// they do not hold them; none where the file has no columns.
    pub(super) fn guess(&self) -> Option<&Columns> {
        self.has_columns.then_some(&self.guess)
    }

    /// Looks at a row that is to be among the columns.
    pub(super) fn note(&mut self, row: &Map<String, Value>) {
        if !self.has_columns {
            return;
        }
        if self.seen.note(row) {
            self.writer = None;
        }
    }

    /// Looks at a row and writes it.
    pub(super) fn write(&mut self, row: Map<String, Value>) -> Result<(), CommandError> {
        self.note(&row);
        match &mut self.writer {
            Some(writer) => Ok(writer.write(row)?),
            None => Ok(()),
        }
    }
}

/// Writes a dataset by an attempt, which gives each row to the sheet and may be
/// made twice; `row` is what is noted and written of one. Gives what the last
/// attempt gave, the writer, and columns that hold JSON text.
pub(super) fn write<T>(
    at: &Workplace,
    dataset: &Path,
    to: &Target<'_>,
    row: impl Fn(&RowText) -> Result<Map<String, Value>, FormatError> + Sync,
    mut attempt: impl FnMut(&mut Sheet) -> Result<T, CommandError>,
) -> Result<(T, Writer, Vec<String>), CommandError> {
    text::refuse_overwriting(dataset, to.path)?;
    let has_columns = to.container.has_columns();
    let mut guess = Columns::default();
    if has_columns {
        let first = Rows::open(dataset)?.take(FIRST);
        // What cannot be read is told later.
        let read = |text: Result<RowText, FormatError>| row(&text.ok()?).ok();
        in_order(&at.cores, first, read, |row| {
            if let Some(row) = row {
                guess.note(&row);
            }
            Ok(())
        })?;
    }
    loop {
        let writer = Writer::create(to.path, to.container, guess.clone(), to.split)?;
        let mut sheet = Sheet { writer: Some(writer), seen: guess.clone(), guess, has_columns };
        let made = attempt(&mut sheet)?;
        if let Some(writer) = sheet.writer {
            let as_text = sheet.guess.as_text().map(str::to_owned).collect();
            return Ok((made, writer, as_text));
        }
        guess = sheet.seen;
    }
}
