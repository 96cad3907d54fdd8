//! `dataset`: one file per subcommand.

mod chart;
mod check;
mod convert;
mod diff;
mod lite;
mod stats;

use std::path::Path;

use swegym_core::Instance;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset;

use crate::args::DatasetVerb;
use crate::commands::unreadable::Unreadable;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Counter;

/// Runs a verb; gives the exit code.
pub(super) fn run(printer: Printer, cores: usize, verb: DatasetVerb) -> Result<u8, CommandError> {
    match verb {
        DatasetVerb::Convert(args) => convert::run(printer, &args),
        DatasetVerb::Check { dataset, logs, strict } => {
            check::run(printer, cores, &dataset, logs.as_deref(), strict)
        }
        DatasetVerb::Stats { dataset, chart } => stats::run(printer, &dataset, chart.as_deref()),
        DatasetVerb::Lite { dataset, out, dropped, issues_at } => {
            lite::run(printer, &dataset, &out, dropped, issues_at.as_deref())
        }
        DatasetVerb::Diff { old, new } => diff::run(printer, &old, &new),
    }
}

/// Gives each instance of a dataset to a function, in order. Rows that cannot
/// be read are noted.
fn each(
    printer: Printer,
    what: &str,
    dataset: &Path,
    mut with: impl FnMut(Instance) -> Result<(), CommandError>,
) -> Result<Unreadable, CommandError> {
    let mut unreadable = Unreadable::default();
    let counter = Counter::new(printer, what);
    for instance in dataset::instances(dataset, Need::Grading)? {
        counter.tick();
        match instance {
            Ok(instance) => with(instance)?,
            Err(error) => unreadable.note(&error),
        }
    }
    counter.finish();
    Ok(unreadable)
}
