//! Datasets of the field: rows in whatever file they come, and instances out
//! of whatever shape they have.
//!
//! Rows stream: a file of any length is read in bounded memory, and a row that
//! cannot be read never hides the others.

pub mod check;
mod columns;
mod container;
pub mod difference;
mod folders;
mod json;
pub mod lite;
mod rows;
mod shape;
pub mod statistics;

use std::path::Path;

use swegym_core::Instance;
use swegym_core::format::FormatError;
use swegym_core::format::instances::Need;

pub use container::{Columns, Container, WriteError, Writer};
pub use folders::TaskFolders;
pub use rows::{BadRow, DatasetError, RawRow, RowText, Rows};
pub use shape::{Change, Loss, Shape, Written};

/// The instances of a dataset, in order.
///
/// # Errors
/// When the file or folder cannot be opened; what is wrong with a row is an
/// item of the iterator.
pub fn instances(
    path: &Path,
    need: Need,
) -> Result<impl Iterator<Item = Result<Instance, FormatError>>, DatasetError> {
    let rows = Rows::open(path)?;
    Ok(rows.map(move |row| {
        let row = row?.read()?;
        Shape::of(&row.fields).instance(row, need)
    }))
}
