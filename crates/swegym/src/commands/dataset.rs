//! `dataset`: one file per subcommand.

mod chart;
mod check;
mod convert;
mod diff;
mod in_order;
mod lite;
mod sheet;
mod stats;

use std::path::Path;

use in_order::in_order;
use rayon::{ThreadPool, ThreadPoolBuilder};
use swegym_core::format::FormatError;
use swegym_tasks::dataset::{RowText, Rows};

use crate::args::DatasetVerb;
use crate::commands::unreadable::Unreadable;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Counter;

/// What every verb works with.
#[derive(Clone, Copy)]
struct Workplace<'a> {
    printer: Printer,
    cores: &'a ThreadPool,
}

/// Runs a verb; gives the exit code.
pub(super) fn run(printer: Printer, cores: usize, verb: DatasetVerb) -> Result<u8, CommandError> {
    let cores = ThreadPoolBuilder::new().num_threads(cores).build().map_err(std::io::Error::other)?;
    let at = Workplace { printer, cores: &cores };
    match verb {
        DatasetVerb::Convert(args) => convert::run(at, &args),
        DatasetVerb::Check { dataset, logs, strict } => check::run(at, &dataset, logs.as_deref(), strict),
        DatasetVerb::Stats { dataset, chart } => stats::run(at, &dataset, chart.as_deref()),
        DatasetVerb::Lite { dataset, out, dropped, issues_at } => {
            lite::run(at, &dataset, &out, dropped, issues_at.as_deref())
        }
        DatasetVerb::Diff { old, new } => diff::run(at, &old, &new),
    }
}

/// Has all cores make something of each row of a dataset, and gives it to a
/// function in order. Rows that cannot be read are noted.
fn each<T: Send>(
    at: Workplace<'_>,
    what: &str,
    dataset: &Path,
    make: impl Fn(&RowText) -> Result<T, FormatError> + Sync,
    mut with: impl FnMut(T) -> Result<(), CommandError> + Send,
) -> Result<Unreadable, CommandError> {
    each_row(at, what, dataset, make, |_, made| with(made))
}

/// The same with the number of the row, from 0.
fn each_row<T: Send>(
    at: Workplace<'_>,
    what: &str,
    dataset: &Path,
    make: impl Fn(&RowText) -> Result<T, FormatError> + Sync,
    mut with: impl FnMut(usize, T) -> Result<(), CommandError> + Send,
) -> Result<Unreadable, CommandError> {
    let mut unreadable = Unreadable::default();
    let counter = Counter::new(at.printer, what);
    let read = |row: Result<RowText, FormatError>| make(&row?);
    let mut number = 0;
    in_order(at.cores, Rows::open(dataset)?, read, |made: Result<T, FormatError>| {
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
