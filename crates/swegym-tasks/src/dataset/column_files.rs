//! Files of columns: their batches, given as rows.

use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use swegym_core::format::{FormatError, Problem};

use super::columns::ColumnError;
use super::row_text::{Content, RowText};

/// Rows that are decoded at once, where they are small, and about how many bytes
/// these may have where they are not.
const MOST_ROWS: usize = 512;
const MOST_BYTES: usize = 3 << 19;

pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

/// Rows of a Parquet file.
pub(super) fn parquet(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let rows = rows_at_once(reader.metadata());
    Ok(ColumnRows::new(name, Box::new(reader.with_batch_size(rows).build()?)))
}

fn rows_at_once(file: &ParquetMetaData) -> usize {
    let size = |group: &RowGroupMetaData| {
        let (bytes, rows) = (group.total_byte_size().max(0), group.num_rows().max(1));
        usize::try_from(bytes / rows).unwrap_or(usize::MAX)
    };
    let largest = file.row_groups().iter().map(size).max().unwrap_or_default();
    (MOST_BYTES / largest.max(1)).clamp(1, MOST_ROWS)
}

/// Rows of an Arrow file with its index at the end.
pub(super) fn arrow_file(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = arrow_ipc::reader::FileReader::try_new(BufReader::new(file), None)?;
    Ok(ColumnRows::new(name, Box::new(reader)))
}

/// Rows of Arrow messages one after the other.
pub(super) fn arrow_stream(name: Arc<str>, file: File) -> Result<ColumnRows, ColumnError> {
    let reader = arrow_ipc::reader::StreamReader::try_new(BufReader::new(file), None)?;
    Ok(ColumnRows::new(name, Box::new(reader)))
}

/// The rows of batches.
pub(super) struct ColumnRows {
    file: Arc<str>,
    batches: Batches,
    /// The batch at hand, and its next row.
    batch: Option<Arc<RecordBatch>>,
    next: usize,
    /// Bytes of one of its rows, in the mean.
    size: usize,
    /// Rows so far.
    row: usize,
    over: bool,
}

impl ColumnRows {
    pub(super) fn new(file: Arc<str>, batches: Batches) -> Self {
        Self { file, batches, batch: None, next: 0, size: 0, row: 0, over: false }
    }
}

impl Iterator for ColumnRows {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.over {
            if let Some(batch) = self.batch.as_ref().filter(|batch| self.next < batch.num_rows()) {
                let content = Content::Columns(batch.clone(), self.next);
                self.next += 1;
                self.row += 1;
                return Some(Ok(RowText {
                    file: self.file.clone(),
                    line: self.row,
                    size: self.size,
                    content,
                }));
            }
            match self.batches.next()? {
                Ok(batch) => {
                    self.size = bytes(&batch) / batch.num_rows().max(1);
                    (self.batch, self.next) = (Some(Arc::new(batch)), 0);
                }
                Err(error) => {
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

/// What a batch has of the memory that it may share with others.
fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().filter_map(|column| column.to_data().get_slice_memory_size().ok()).sum()
}
