//! How far a stage is, by the runner's events.

use std::fmt::Write as _;

use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_core::event::Event;
use swegym_runner::dispatcher::Progress;

/// A bar that is fed by the runner's events.
pub(super) struct JobBar {
    bar: Bar,
    resolved: usize,
}

impl JobBar {
    pub(super) fn new(printer: Printer, stage: &str) -> Self {
        Self { bar: Bar::of(printer, stage, 0), resolved: 0 }
    }

    pub(super) fn show(&mut self, event: &Event, progress: Progress, aside: Option<String>) {
        self.bar.set(progress.done as u64, progress.total as u64);
        let mut said = format!("{} running", progress.running);
        match event {
            Event::JobFinished { outcome, .. } => self.resolved += usize::from(outcome == "resolved"),
            Event::JobFailed { job, fault, retry: true, .. } => {
                let _ = write!(said, ", trying {job} again: {}", fault.code);
            }
            _ => {}
        }
        if self.resolved > 0 {
            let _ = write!(said, ", {} resolved", self.resolved);
        }
        if let Some(aside) = aside {
            let _ = write!(said, ", {aside}");
        }
        self.bar.say(&said);
    }

    pub(super) fn finish(self) {
        self.bar.finish();
    }
}
