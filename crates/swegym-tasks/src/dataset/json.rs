//! Rows of a file of text: whatever way they stand in it, each with the file's name.

use std::io::BufRead;
use std::sync::Arc;

use swegym_core::format::{FormatError, Problem, rows};

use super::row_text::RowText;

/// Rows of one text in UTF-8.
pub(super) struct TextRows<R> {
    file: Arc<str>,
    rows: rows::Rows<R>,
}

impl<R: BufRead> TextRows<R> {
    pub(super) fn new(file: Arc<str>, text: R) -> Self {
        Self { file, rows: rows::Rows::new(text) }
    }
}

impl<R: BufRead> Iterator for TextRows<R> {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rows.line();
        Some(match self.rows.next()? {
            Ok(rows::RowText { line, json }) => Ok(RowText::of_json(self.file.clone(), line, json)),
            Err(error) => Err(FormatError::new(&self.file, line, Problem::Unreadable(error.to_string()))),
        })
    }
}
