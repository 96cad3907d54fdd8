//! swegym: executable software-engineering tasks, from packages to verdicts.
//!
//! Reading order: [`args`] are the flags, [`settings`] what they resolve to,
//! [`commands`] has one file per command, [`session`] what commands share. All output
//! goes through [`printer`]; every error ends in [`error`].

mod args;
mod bench;
mod commands;
mod door;
mod error;
mod exit;
mod printer;
mod progress;
mod report;
mod run_view;
mod session;
mod settings;
mod sheet;
mod stage;
mod step;
mod text;
mod words;
mod workshop;

use std::process::ExitCode;
use std::time::Duration;

use crate::args::{Args, asks_for_json};
use crate::error::CommandError;
use crate::printer::Printer;
use crate::settings::Environment;

fn main() -> ExitCode {
    // Before there is a thread or much memory: the keeper forks for every box.
    let words: Vec<_> = std::env::args_os().collect();
    if let [_, verb] = words.as_slice()
        && verb == session::KEEPER
    {
        return match swegym_sandbox::keeper::run() {
            Ok(()) => exit::DONE.into(),
            Err(_) => exit::UNEXPECTED.into(),
        };
    }
    let environment = Environment::read();
    let json = asks_for_json(&words);
    let (args, line) = match Args::read(words) {
        Ok(typed) => typed,
        Err(error) => return refuse(&error, Printer::new(json, false, &environment)),
    };
    let printer = Printer::new(args.global.json, args.global.quiet, &environment);
    let ran = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CommandError::from)
        .and_then(|runtime| {
            let ran = runtime.block_on(commands::run(args, line, environment, printer));
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
    printer.document_of(&CommandError::flags(error));
    exit::USAGE.into()
}
