//! Parquet and Arrow: batches of columns, given as rows.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_json::WriterBuilder;
use arrow_json::writer::LineDelimited;
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use swegym_core::format::{FormatError, Problem};
use thiserror::Error;

use super::json;
use super::rows::RowText;

/// Rows that are decoded at once.
const BATCH: usize = 64;

/// Why columns cannot be read.
#[derive(Debug, Error)]
pub enum ColumnError {
    /// Parquet's word.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Arrow's word.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>>>;

/// Rows of a Parquet file.
pub(super) fn parquet(name: Arc<str>, file: File) -> Result<Columns, ColumnError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH).build()?;
    Ok(Columns::new(name, Box::new(reader)))
}

/// Rows of an Arrow file with its index at the end.
pub(super) fn arrow_file(name: Arc<str>, file: File) -> Result<Columns, ColumnError> {
    let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(file), None)?;
    Ok(Columns::new(name, Box::new(reader)))
}

/// Rows of Arrow messages one after the other.
pub(super) fn arrow_stream(name: Arc<str>, file: File) -> Result<Columns, ColumnError> {
    let reader = arrow_ipc::reader::StreamReader::try_new(BufReader::new(file), None)?;
    Ok(Columns::new(name, Box::new(reader)))
}

/// The rows of batches.
pub(super) struct Columns {
    file: Arc<str>,
    batches: Batches,
    /// What is left of the batch at hand, row by row as JSON.
    rows: json::Lines<Cursor<Vec<u8>>>,
    row: usize,
    over: bool,
}

impl Columns {
    fn new(file: Arc<str>, batches: Batches) -> Self {
        let rows = json::Lines::new(file.clone(), Cursor::new(Vec::new()));
        Self { file, batches, rows, row: 0, over: false }
    }

    /// The next batch as lines of JSON; arrays within a batch are cut, so that
    /// a file that is one batch does not become one text.
    fn decode(&mut self) -> Option<Result<(), ArrowError>> {
        let batch = match self.batches.next()? {
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        let written = writer.write(&batch).and_then(|()| writer.finish());
        self.rows = json::Lines::new(self.file.clone(), Cursor::new(writer.into_inner()));
        Some(written)
    }
}

impl Iterator for Columns {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            if let Some(row) = self.rows.next() {
                self.row += 1;
                return Some(row.map(|row| RowText { line: self.row, ..row }));
            }
            match self.decode() {
                None => return None,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    // What follows in a damaged file cannot be found.
                    self.over = true;
                    let problem = Problem::Unreadable(error.to_string());
                    return Some(Err(FormatError::new(&self.file, self.row + 1, problem)));
                }
            }
        }
        None
    }
}
