//! Benchmarks against comparable programs (peers), in the same run on this machine.
//! A ratio above 1 means that swegym is better.

mod args;
mod boxes;
mod case;
mod echo;
mod grade;
mod gym;
mod mine;
mod packages;
mod rollout;
mod train;

use std::process::ExitCode;

use clap::Parser as _;
use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_method::session::{self, Session};
use swegym_method::settings::{Asked, Environment, InterpretersAsked, LimitsAsked, Settings};

use args::{Args, Scenario};
use case::Case;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(code) = session::be_keeper(&words) {
        return code.into();
    }
    let args = Args::parse();
    let environment = Environment::read();
    let printer = Printer::new(args.json, false, environment.shown());
    let ran = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CommandError::from)
        .and_then(|runtime| runtime.block_on(run(args, &environment, printer)));
    match ran {
        Ok(()) => exit::DONE.into(),
        Err(error) => {
            printer.error(&error);
            error.exit.into()
        }
    }
}

/// Runs a scenario in a home folder of its own, which is removed afterwards.
async fn run(args: Args, environment: &Environment, printer: Printer) -> Result<(), CommandError> {
    let Args { json: _, home, index_url, python, cores, scenario } = args;
    let limits = LimitsAsked { cores, ..LimitsAsked::default() };
    let interpreters = InterpretersAsked { python, ..InterpretersAsked::default() };
    let asked = Asked { home, limits, interpreters, index_url, ..Asked::default() };
    let mut settings = Settings::resolve(asked, environment)?;
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
    printer.result(&json!({"scenario": scenario.name(), "cases": rows, "skipped": skipped}), &table);
    Ok(())
}

async fn measure(
    settings: Settings,
    printer: Printer,
    scenario: &Scenario,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    match scenario {
        Scenario::Grade { logs } => return grade::measure(&settings, *logs, cases),
        Scenario::Train { peer, steps, only } => {
            return train::measure(&settings, printer, peer.as_deref(), *steps, only.as_deref(), cases);
        }
        Scenario::Generate { peer } => {
            return train::measure_generation(&settings, printer, peer.as_deref(), cases);
        }
        Scenario::Mine { repositories, published } => {
            return mine::measure(&settings, printer, repositories, published.as_deref(), cases);
        }
        Scenario::Box { .. } | Scenario::Gym { .. } | Scenario::Rollout { .. } | Scenario::Echo { .. } => {}
    }
    let session = &Session::open(settings, printer).await?;
    match scenario {
        Scenario::Grade { .. }
        | Scenario::Mine { .. }
        | Scenario::Train { .. }
        | Scenario::Generate { .. } => Ok(()),
        Scenario::Echo { repeats } => {
            cases.push(echo::measure(session, *repeats).await?);
            Ok(())
        }
        Scenario::Gym { gym } => gym::measure(session, gym, cases, skipped).await,
        Scenario::Rollout { attempts } => rollout::measure(session, *attempts, cases, skipped).await,
        Scenario::Box { repeats, bare } => {
            boxes::measure(session, *repeats, cases, skipped).await?;
            if *bare { Ok(()) } else { packages::measure(session, cases).await }
        }
    }
}
