//! Benchmarks against comparable programs (peers), in the same run on this machine.
//! A ratio above 1 means that swegym is better.

mod boxes;
mod echo;
mod grade;
mod packages;
mod rollout;
mod train;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::{GlobalArgs, Scenario};
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::session::Session;
use crate::settings::{Environment, Settings};

/// One line of a scenario's table. Smaller is better unless `more_is_better`.
#[derive(Debug, Clone)]
struct Case {
    name: &'static str,
    ours: f64,
    /// The peer's figure, or the figure to reach where there is no peer.
    peer: f64,
    unit: &'static str,
    more_is_better: bool,
    /// What the peer is, or what must be reached.
    against: String,
}

impl Case {
    fn ratio(&self) -> f64 {
        if self.more_is_better { self.ours / self.peer } else { self.peer / self.ours }
    }

    fn to_json(&self) -> Value {
        let round = |v: f64| (v * 1000.0).round() / 1000.0;
        json!({
            "name": self.name, "ours": round(self.ours), "peer": round(self.peer), "unit": self.unit,
            "ratio": round(self.ratio()), "against": self.against,
        })
    }
}

/// Runs a scenario in a home folder of its own, which is removed afterwards.
pub(crate) async fn run(
    global: &GlobalArgs,
    environment: Environment,
    printer: Printer,
    scenario: Scenario,
) -> Result<u8, CommandError> {
    let (name, install) = match &scenario {
        Scenario::Box { install, .. } => ("box", install.clone()),
        Scenario::Echo { install, .. } => ("echo", install.clone()),
        Scenario::Grade { install, .. } => ("grade", install.clone()),
        Scenario::Rollout { install, .. } => ("rollout", install.clone()),
        Scenario::Train { install, .. } => ("train", install.clone()),
        Scenario::Generate { install, .. } => ("generate", install.clone()),
    };
    let mut settings = Settings::resolve(global.clone(), install, environment)?;
    settings.home = settings.home.join(format!("bench-{}", std::process::id()));
    let home = settings.home.clone();
    let (mut cases, mut skipped) = (Vec::new(), Vec::new());
    let measured = measure(settings, printer, &scenario, &mut cases, &mut skipped).await;
    // Only figures are kept; a folder that stays is the user's to remove.
    let _ = std::fs::remove_dir_all(&home);
    measured?;
    for line in &skipped {
        printer.say(line);
    }
    let mut table = vec![["case", "swegym", "peer", "unit", "ratio", "against"].map(str::to_owned).to_vec()];
    table.extend(cases.iter().map(|c| {
        let figure = |v: f64| format!("{v:.3}");
        vec![
            c.name.into(),
            figure(c.ours),
            figure(c.peer),
            c.unit.into(),
            format!("{:.2}", c.ratio()),
            c.against.clone(),
        ]
    }));
    let rows: Vec<Value> = cases.iter().map(Case::to_json).collect();
    printer.result(&json!({"scenario": name, "cases": rows, "skipped": skipped}), &table);
    Ok(exit::DONE)
}

async fn measure(
    settings: Settings,
    printer: Printer,
    scenario: &Scenario,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    match scenario {
        Scenario::Grade { logs, .. } => return grade::measure(&settings, *logs, cases),
        Scenario::Train { peer, steps, only, .. } => {
            return train::measure(&settings, printer, peer.as_deref(), *steps, only.as_deref(), cases);
        }
        Scenario::Generate { peer, .. } => {
            return train::measure_generation(&settings, printer, peer.as_deref(), cases);
        }
        Scenario::Box { .. } | Scenario::Rollout { .. } | Scenario::Echo { .. } => {}
    }
    let session = &Session::open(settings, printer).await?;
    match scenario {
        Scenario::Grade { .. } | Scenario::Train { .. } | Scenario::Generate { .. } => Ok(()),
        Scenario::Echo { repeats, .. } => {
            cases.push(echo::measure(session, *repeats).await?);
            Ok(())
        }
        Scenario::Rollout { attempts, .. } => rollout::measure(session, *attempts, cases, skipped).await,
        Scenario::Box { repeats, bare, .. } => {
            boxes::measure(session, *repeats, cases, skipped).await?;
            if *bare { Ok(()) } else { packages::measure(session, cases).await }
        }
    }
}

/// The middle one, in milliseconds.
fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1e3
}

/// Times something, repeatedly.
fn time(
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
