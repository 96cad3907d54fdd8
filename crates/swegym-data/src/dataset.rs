//! `dataset`: one file per subcommand.

mod chart;
pub mod check;
pub mod convert;
pub mod diff;
mod in_order;
pub mod lite;
mod sheet;
pub mod stats;

use std::path::Path;

use rayon::{ThreadPool, ThreadPoolBuilder};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Counter;
use swegym_console::unreadable::Unreadable;
use swegym_core::format::FormatError;
use swegym_tasks::dataset::{RowText, Rows};

use in_order::in_order;

/// What every verb works with.
pub struct Workplace {
    printer: Printer,
    cores: ThreadPool,
}

impl Workplace {
    /// Work on so many cores.
    ///
    /// # Errors
    /// They cannot be had.
    pub fn new(printer: Printer, cores: usize) -> Result<Self, CommandError> {
        let cores = ThreadPoolBuilder::new().num_threads(cores).build().map_err(std::io::Error::other)?;
        Ok(Self { printer, cores })
    }
}

/// Has all cores make something of each row of a dataset, and gives it to a
/// function in order. Rows that cannot be read are noted.
fn each<T: Send>(
    at: &Workplace,
    what: &str,
    dataset: &Path,
    make: impl Fn(&RowText) -> Result<T, FormatError> + Sync,
    mut with: impl FnMut(T) -> Result<(), CommandError> + Send,
) -> Result<Unreadable, CommandError> {
    each_row(at, what, dataset, make, |_, made| with(made))
}

/// The same with the number of the row, from 0.
fn each_row<T: Send>(
    at: &Workplace,
    what: &str,
    dataset: &Path,
    make: impl Fn(&RowText) -> Result<T, FormatError> + Sync,
    mut with: impl FnMut(usize, T) -> Result<(), CommandError> + Send,
) -> Result<Unreadable, CommandError> {
    let mut unreadable = Unreadable::default();
    let counter = Counter::new(at.printer, what);
    let read = |row: Result<RowText, FormatError>| make(&row?);
    let mut number = 0;
    in_order(&at.cores, Rows::open(dataset)?, read, |made: Result<T, FormatError>| {
        counter.tick();
        match made {
            Ok(made) => with(number, made)?,
            Err(error) => unreadable.note(&error),
        }
        number += 1;
        Ok(())
    })?;
    counter.finish();
    Ok(unreadable)
}
