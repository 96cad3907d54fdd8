//! Lines of a scenario's table, and how their figures are taken.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use swegym_console::error::CommandError;

/// One line of a scenario's table. Smaller is better unless `more_is_better`.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) ours: f64,
    /// The peer's figure, or the figure to reach where there is no peer.
    pub(crate) peer: f64,
    pub(crate) unit: &'static str,
    pub(crate) more_is_better: bool,
    /// What the peer is, or what must be reached.
    pub(crate) against: String,
}

impl Case {
    pub(crate) fn ratio(&self) -> f64 {
        if self.more_is_better { self.ours / self.peer } else { self.peer / self.ours }
    }

    pub(crate) fn to_json(&self) -> Value {
        let round = |v: f64| (v * 1000.0).round() / 1000.0;
        json!({
            "name": self.name, "ours": round(self.ours), "peer": round(self.peer), "unit": self.unit,
            "ratio": round(self.ratio()), "against": self.against,
        })
    }
}

/// The middle one, in milliseconds.
pub(crate) fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1e3
}

/// Times something, repeatedly.
pub(crate) fn time(
    repeats: u32,
    mut work: impl FnMut() -> Result<(), CommandError>,
) -> Result<Vec<Duration>, CommandError> {
    (0..repeats)
        .map(|_| {
            let started = Instant::now();
            work()?;
            Ok(started.elapsed())
        })
        .collect()
}
