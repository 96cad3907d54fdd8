//! `completions`: a script by which a shell completes verbs and flags.

use clap_complete::Shell;
use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;

use crate::args;

/// Prints the script for one shell.
pub(super) fn run(printer: Printer, shell: Shell) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "swegym", &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = script.trim_end();
    printer.document(&json!({"shell": shell.to_string(), "script": script}), script);
    Ok(exit::DONE)
}
