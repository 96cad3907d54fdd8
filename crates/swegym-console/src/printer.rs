//! The only place that writes to the terminal: data to stdout, messages to stderr.
//! Invisible characters and those that control a terminal are written as `<U+202E>`.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::{Table, presets};
use serde_json::Value;
use swegym_core::visible;
use swegym_core::visible::visible_in_json;

use crate::error::CommandError;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// On a terminal.
    Bars,
    /// Where nobody moves a cursor.
    Lines,
    /// Not at all.
    Nothing,
}

impl Shown {
    /// As fits where words go; a terminal may be one that moves no cursor.
    #[must_use]
    pub fn here(moves_cursor: bool) -> Self {
        if moves_cursor && std::io::stderr().is_terminal() { Self::Bars } else { Self::Lines }
    }
}

/// How much is said, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// Data as JSON.
    json: bool,
    quiet: bool,
    progress: Shown,
    /// Results are for whoever runs the verb, not for the terminal.
    inner: bool,
}

impl Printer {
    /// Data as JSON or as tables; words and progress unless it is quiet.
    #[must_use]
    pub fn new(json: bool, quiet: bool, progress: Shown) -> Self {
        let progress = if quiet { Shown::Nothing } else { progress };
        Self { json, quiet, progress, inner: false }
    }

    /// How progress is shown.
    pub fn shows_progress(self) -> Shown {
        self.progress
    }

    /// The printer of a step of something larger: progress and errors alone.
    pub fn inner(self) -> Self {
        Self { quiet: true, inner: true, ..self }
    }

    /// Words for people.
    pub fn say(self, line: &str) {
        if !self.quiet {
            // A closed stderr is nobody's loss.
            let _ = writeln!(std::io::stderr(), "{}", visible(line));
        }
    }

    /// An error, always: words for people, and a document for programs that asked for one.
    pub fn error(self, error: &CommandError) {
        let _ = writeln!(std::io::stderr(), "{}", visible(&error.to_string()));
        self.document_of(error);
    }

    /// An error that people have been told already.
    pub fn document_of(self, error: &CommandError) {
        if self.json {
            let _ = writeln!(std::io::stdout(), "{}", json(&error.to_json()));
        }
    }

    /// A result: the value for machines, the table for people.
    pub fn result(self, value: &Value, table: &[Vec<String>]) {
        if self.inner {
            return;
        }
        let text = if self.json { json(value) } else { render(table) };
        // `swegym … | head` closes the pipe early; that is its right.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

impl Printer {
    /// A part of a result, as soon as it is there. Programs get the whole at the end.
    pub fn part(self, table: &[Vec<String>]) {
        if !self.json && !self.inner {
            let _ = writeln!(std::io::stdout(), "{}\n", render(table));
        }
    }

    /// The whole of a result whose parts people have seen.
    pub fn whole(self, value: &Value) {
        if self.json && !self.inner {
            let _ = writeln!(std::io::stdout(), "{}", json(value));
        }
    }

    /// A result that people read as text rather than as a table.
    pub fn document(self, value: &Value, text: &str) {
        if self.inner {
            return;
        }
        let text = if self.json { json(value) } else { visible(text).into_owned() };
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn json(value: &Value) -> String {
    visible_in_json(&format!("{value:#}")).into_owned()
}

/// Rows with a header, columns aligned.
pub fn render(rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    // Before columns are measured.
    let mut rows = rows.iter().map(|row| row.iter().map(|cell| visible(cell)));
    if let Some(header) = rows.next() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
