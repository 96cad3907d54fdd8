//! Parquet and Arrow: rows of batches of columns.

mod cells;
pub(super) mod plain;
mod times;
mod words;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use thiserror::Error;

pub(super) use cells::{Cell, Row};

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

#[cfg(test)]
mod tests;
