//! Datasets of the field: rows in whatever file they come, and instances out
//! of whatever shape they have.
//!
//! Rows stream: a file of any length is read in bounded memory, and a row that
//! cannot be read never hides the others.

mod changes;
pub mod check;
mod column_files;
mod columns;
mod container;
pub mod difference;
mod folders;
mod json;
pub mod lite;
mod row;
mod row_text;
mod rows;
mod shape;
pub mod statistics;

use std::collections::HashMap;
use std::path::Path;

use swegym_core::Instance;
use swegym_core::format::FormatError;
use swegym_core::format::instances::Need;

pub use changes::{changes, kept};
pub use container::{Columns, Container, Draft, WriteError, Writer};
pub use folders::TaskFolders;
pub use row::{BadRow, RawRow};
pub use row_text::RowText;
pub use rows::{DatasetError, Rows};
pub use shape::{Change, Loss, Shape, Written};

/// The instances of a dataset, in order.
///
/// # Errors
/// When the file or folder cannot be opened; what is wrong with a row is an
/// item of the iterator.
pub fn instances(
    path: &Path,
    need: Need,
) -> Result<impl Iterator<Item = Result<Instance, FormatError>> + use<>, DatasetError> {
    let rows = Rows::open(path)?;
    Ok(rows.map(move |row| row?.instance(need)))
}

/// An id that several rows have, and where the first two stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// The id.
    pub instance_id: String,
    /// The first row, as `file:line`.
    pub first: String,
    /// The second.
    pub second: String,
}

/// The first id that several instances of a dataset have.
///
/// # Errors
/// When the dataset cannot be opened. Rows that cannot be read have no id.
pub fn repeated_id(path: &Path) -> Result<Option<Repeated>, DatasetError> {
    let mut seen: HashMap<String, String> = HashMap::new();
    for row in Rows::open(path)?.flatten() {
        let second = format!("{}:{}", row.file, row.line);
        let Ok(row) = row.read() else { continue };
        let Ok(instance) = Shape::of(&row.fields).instance(row, Need::Grading) else { continue };
        let instance_id = instance.instance_id.to_string();
        if let Some(first) = seen.insert(instance_id.clone(), second.clone()) {
            return Ok(Some(Repeated { instance_id, first, second }));
        }
    }
    Ok(None)
}
