//! A row that is read: its fields and where it stands; or why it is none.

use std::sync::Arc;

use serde_json::{Map, Value};
use swegym_core::format::FormatError;

/// A row that is no instance.
#[derive(Debug)]
pub struct BadRow {
    /// The instance's id, if the row says one.
    pub id: Option<String>,
    /// What is wrong, and where.
    pub error: Box<FormatError>,
}

impl From<FormatError> for BadRow {
    fn from(error: FormatError) -> Self {
        Self { id: None, error: error.into() }
    }
}

/// One row and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RawRow {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Line, or number of the row in a file without lines; from 1.
    pub line: usize,
    /// Its fields, in order.
    pub fields: Map<String, Value>,
}
