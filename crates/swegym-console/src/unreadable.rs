//! Reports rows that cannot be read, while the others are processed.

use std::path::Path;

use swegym_core::format::FormatError;

use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;

/// Rows that cannot be read: how many, and what is wrong with the first.
#[derive(Debug, Default)]
pub struct Unreadable {
    /// How many there are.
    pub count: usize,
    first: Option<String>,
}

impl Unreadable {
    /// Takes one down.
    pub fn note(&mut self, error: &FormatError) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    /// Where not one row could be read, or there is none: nothing is written then.
    pub fn nothing_read(&self, dataset: &Path) -> CommandError {
        let message = format!("no row of `{}` can be read", dataset.display());
        let hint = "nothing was written; `swegym dataset check` names what is wrong with each row";
        CommandError { causes: self.first.iter().cloned().collect(), ..CommandError::nothing(message, hint) }
    }

    /// Tells people, and gives the exit code.
    pub fn tell(&self, printer: Printer, dataset: &Path) -> u8 {
        let Some(first) = &self.first else { return exit::DONE };
        let (count, dataset) = (self.count, dataset.display());
        printer.say(&format!("{dataset}: {count} rows cannot be read and are left out; the first: {first}"));
        exit::INVALID_TASKS
    }
}
