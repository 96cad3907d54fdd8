//! How far a stage is, by the runner's events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_core::event::Event;
use swegym_runner::dispatcher::Progress;

/// A bar that is fed by the runner's events.
pub(super) struct JobBar {
    bar: Bar,
    began: Instant,
    /// Jobs that came to an end here, and those of them that came to what is hoped for.
    ended: usize,
    good: BTreeMap<&'static str, usize>,
}

/// Outcomes that are hoped for.
const GOOD: [&str; 3] = ["resolved", "prepared", "kept"];

impl JobBar {
    pub(super) fn new(printer: Printer, stage: &str) -> Self {
        let (bar, began) = (Bar::of(printer, stage, 0), Instant::now());
        Self { bar, began, ended: 0, good: BTreeMap::new() }
    }

    /// Shows an event.
    pub(super) fn show(&mut self, event: &Event, progress: Progress, aside: Option<String>) {
        self.bar.set(progress.done as u64, progress.total as u64);
        let mut said = format!("{} running", progress.running);
        match event {
            Event::JobFinished { outcome, .. } => {
                self.ended += 1;
                if let Some(good) = GOOD.iter().find(|good| *good == outcome) {
                    *self.good.entry(good).or_default() += 1;
                }
            }
            Event::JobFailed { job, fault, retry: true, .. } => {
                let _ = write!(said, ", trying {job} again: {}", fault.code);
            }
            _ => {}
        }
        for (word, count) in &self.good {
            let _ = write!(said, ", {count} {word}");
        }
        let hours = self.began.elapsed().as_secs_f64() / 3600.0;
        if self.ended > 1 && hours > 0.0 {
            let _ = write!(said, ", {:.0} an hour", self.ended as f64 / hours);
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
