//! Runs as a table and a page.

use std::path::PathBuf;

use serde_json::json;

use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::report::Summary;

pub(crate) fn run(printer: Printer, runs: &[PathBuf]) -> Result<u8, CommandError> {
    let summary = Summary::load(runs)?;
    let page = summary.write_page(&runs[0])?;
    printer.result(&json!({"report": page, "summary": summary.to_json()}), &summary.table());
    printer.say(&format!("page: {}", page.display()));
    Ok(exit::DONE)
}
