//! swegym: executable software-engineering tasks, from packages to verdicts.
//!
//! Reading order: [`args`] are the flags, [`settings`] what they come to, [`commands`] has
//! one call for each verb. What the verbs do is in the rooms below.

mod args;
mod commands;
mod settings;
mod words;

use std::process::ExitCode;
use std::time::Duration;

use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_method::session;
use swegym_method::settings::Environment;

use crate::args::{Args, asks_for_json, refusal};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(code) = session::be_keeper(&words) {
        return code.into();
    }
    let environment = Environment::read();
    let json = asks_for_json(&words);
    let (args, line) = match Args::read(words) {
        Ok(typed) => typed,
        Err(error) => return refuse(&error, Printer::new(json, false, environment.shown())),
    };
    let printer = Printer::new(args.global.json, args.global.quiet, environment.shown());
    let ran = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CommandError::from)
        .and_then(|runtime| {
            let ran = runtime.block_on(commands::run(args, line, &environment, printer));
            // What is still computed for somebody else does not hold the end up.
            runtime.shutdown_timeout(Duration::from_secs(1));
            ran
        });
    match ran {
        Ok(code) => code.into(),
        Err(error) => {
            printer.error(&error);
            error.exit.into()
        }
    }
}

/// Shows help where that is what was asked for, or what is wrong with the flags.
fn refuse(error: &clap::Error, printer: Printer) -> ExitCode {
    // A closed terminal is nobody's loss.
    let _ = error.print();
    if !error.use_stderr() {
        return exit::DONE.into();
    }
    printer.document_of(&refusal(error));
    exit::USAGE.into()
}
