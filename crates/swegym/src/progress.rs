//! A progress bar on the terminal, fed by the runner's events.

use indicatif::{ProgressBar, ProgressStyle};
use swegym_core::event::Event;
use swegym_core::visible;
use swegym_runner::dispatcher::Progress;

use crate::printer::Printer;

/// One stage's bar; nothing where there is no terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    resolved: usize,
    last: String,
}

impl Bar {
    pub(crate) fn new(printer: Printer, stage: &str) -> Self {
        let bar = if printer.shows_progress() { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{prefix:>10} [{bar:30}] {pos}/{len} {elapsed} eta {eta} {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(stage.to_owned());
        bar.enable_steady_tick(std::time::Duration::from_millis(500));
        Self { bar, resolved: 0, last: String::new() }
    }

    pub(crate) fn show(&mut self, event: &Event, progress: Progress, aside: Option<String>) {
        self.bar.set_length(progress.total as u64);
        self.bar.set_position(progress.done as u64);
        match event {
            Event::JobFinished { job, outcome, .. } => {
                self.resolved += usize::from(outcome == "resolved");
                self.last = format!("{job}: {outcome}");
            }
            Event::JobFailed { job, fault, retry, .. } => {
                let again = if *retry { ", trying again" } else { "" };
                self.last = format!("{job}: {}{again}", fault.code);
            }
            _ => {}
        }
        let resolved =
            if self.resolved > 0 { format!("{} resolved  ", self.resolved) } else { String::new() };
        let aside = aside.map_or(String::new(), |text| format!("{text}  "));
        let message = format!("{} running  {resolved}{aside}{}", progress.running, self.last);
        self.bar.set_message(visible(&message).replace('\n', " "));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many rows were seen, where nobody knows how many there are.
pub(crate) struct Counter {
    bar: ProgressBar,
}

impl Counter {
    pub(crate) fn new(printer: Printer, what: &str) -> Self {
        let bar = if printer.shows_progress() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {pos} rows {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        Self { bar }
    }

    pub(crate) fn tick(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
