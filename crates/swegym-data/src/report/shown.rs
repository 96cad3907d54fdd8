//! `report`: runs as tables and a page. Pipeline stages are read from their files;
//! selections, rounds and the paper from the sheet that they wrote.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::{Printer, render};
use swegym_console::progress::Bar;
use swegym_console::sheet::Sheet;

use crate::report::Summary;

/// Shows runs and sheets, and writes their page; gives the exit code.
///
/// # Errors
/// A folder holds neither, or is damaged.
pub fn run(printer: Printer, folders: &[PathBuf]) -> Result<u8, CommandError> {
    let (mut runs, mut sheets) = (Vec::new(), Vec::new());
    for folder in folders {
        match Sheet::read(folder)? {
            Some(sheet) => sheets.push((folder, sheet)),
            None => runs.push(folder.clone()),
        }
    }
    let reading = Bar::waiting(printer, "report", "reading runs");
    let (mut value, mut texts, mut pages) = (json!({}), Vec::new(), Vec::new());
    if !runs.is_empty() {
        let summary = Summary::load(&runs)?;
        let page = summary.write_page(&runs[0])?;
        value = json!({"report": page, "summary": summary.to_json()});
        texts.push(render(&summary.table()));
        pages.push(page);
    }
    for (folder, sheet) in &sheets {
        let tables = sheet.tables().map(|(title, table)| format!("{title}\n{}", render(table)));
        texts.push(format!("# {}\n\n{}", folder.display(), tables.collect::<Vec<_>>().join("\n\n")));
    }
    if !sheets.is_empty() {
        value["sheets"] = sheets
            .iter()
            .map(|(folder, sheet)| json!({"folder": folder, "sheet": sheet.to_json()}))
            .collect::<Vec<Value>>()
            .into();
        pages.push(page_of(sheets)?);
    }
    drop(reading);
    printer.document(&value, &texts.join("\n\n"));
    let pages: Vec<String> = pages.iter().map(|page| page.display().to_string()).collect();
    printer.say(&format!("page: {}", pages.join(", ")));
    Ok(exit::DONE)
}

/// One sheet has its own page; several stand side by side on another, in the
/// first one's folder.
fn page_of(mut sheets: Vec<(&PathBuf, Sheet)>) -> Result<PathBuf, CommandError> {
    if let [(folder, sheet)] = sheets.as_slice() {
        return sheet.write(folder);
    }
    let place = sheets[0].0.join("side-by-side.html");
    let name = |folder: &Path| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let named = sheets.drain(..).map(|(folder, sheet)| (name(folder), sheet)).collect();
    Sheet::side_by_side(named).write_page(&place)
}
