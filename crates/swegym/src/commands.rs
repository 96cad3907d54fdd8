//! The commands, one file each.

mod base;
mod completions;
pub(crate) mod curate;
mod dataset;
pub(crate) mod dev;
mod doctor;
pub(crate) mod export;
pub(crate) mod grade;
mod gym;
pub(crate) mod improve;
mod kept_line;
pub(crate) mod metrics;
mod paper;
mod policy;
mod quickstart;
mod replay;
mod report;
pub(crate) mod score;
pub(crate) mod select;
pub(crate) mod serve;
mod show;
mod store;
pub(crate) mod train;
mod unreadable;

use kept_line::KeptLine;
use serde_json::json;
use swegym_core::format::instances::UnknownFields;
use swegym_runner::run_dir::Open;

use crate::args::{Args, CommandLine, DevVerb, GlobalArgs, InstallArgs, RunArgs, ShowVerb, TrainVerb, Verb};
use crate::error::CommandError;
use crate::printer::Printer;
use crate::session::{self, Session};
use crate::settings::{Environment, Settings};
use crate::stage::{self, Checks, Done, Predictions};
use crate::{bench, exit};

/// Runs what was typed; gives the exit code. A run's folder keeps the command line, and
/// whoever stops a run is told the one that goes on with it.
pub(crate) async fn run(
    args: Args,
    line: CommandLine,
    environment: Environment,
    printer: Printer,
) -> Result<u8, CommandError> {
    let Args { global, mut verb } = args;
    let Some(run) = verb.run_mut() else { return act(global, verb, environment, printer).await };
    let folder = match &run.out {
        Some(folder) => folder.clone(),
        None => {
            let home = Settings::resolve(global.clone(), InstallArgs::default(), environment.clone())?.home;
            session::run_folder(&home, line.verb.rsplit(' ').next().unwrap_or_default(), None)
        }
    };
    run.out = Some(folder.clone());
    let kept = KeptLine::keep(&folder, &line)?;
    let ran = act(global, verb, environment, printer).await;
    kept.settle(&ran)?;
    let go_on = format!("go on with: {}", line.again(&folder));
    match ran {
        Ok(exit::INTERRUPTED) => {
            printer.say(&format!("cut short; {go_on}"));
            Ok(exit::INTERRUPTED)
        }
        Err(error) if error.exit == exit::INTERRUPTED => Err(CommandError { hint: Some(go_on), ..error }),
        ran => ran,
    }
}

async fn act(
    global: GlobalArgs,
    verb: Verb,
    environment: Environment,
    printer: Printer,
) -> Result<u8, CommandError> {
    let none = InstallArgs::default();
    let settings = |install: InstallArgs| Settings::resolve(global.clone(), install, environment.clone());
    let open = async |install: InstallArgs| Session::open(settings(install)?, printer).await;
    match verb {
        Verb::Quickstart { packages, draw, repeats, install, run } => {
            let session = open(install).await?;
            quickstart::run(&session, &packages, &draw, repeats, run).await
        }
        Verb::Build { packages, install, run } => {
            let session = open(install).await?;
            let (folder, mode) = place(&session, "build", run);
            finish(printer, &stage::build(&session, &packages, &folder, mode).await?)
        }
        Verb::Synth { images, draw, run } => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "synth", run);
            finish(
                printer,
                &stage::synth(&session, &images, draw.seed, draw.candidates, &folder, mode).await?,
            )
        }
        Verb::Micro(args) => {
            if let Some(folder) = &args.policy {
                return base::write(printer, args.size, folder);
            }
            if let Some(path) = &args.text {
                return stage::micro_text(printer, &args, path);
            }
            let session = open(none).await?;
            let (folder, mode) = place(&session, "micro", args.run.clone());
            finish(printer, &stage::micro(&session, &args, &folder, mode).await?)
        }
        Verb::Validate { instances, repeats, probe, keep_unknown_fields, run } => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "validate", run);
            let unknown = unknown_fields(keep_unknown_fields);
            let checks = Checks { repeats, probe };
            let done = stage::validate(&session, &instances, checks, unknown, &folder, mode).await?;
            let dropped = done.counts.keys().any(|word| word != "kept");
            let code = finish(printer, &done)?;
            Ok(if code == exit::DONE && dropped { exit::INVALID_TASKS } else { code })
        }
        Verb::Rollout(args) => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "rollout", args.run.clone());
            finish(printer, &stage::rollout(&session, &args, &folder, mode).await?)
        }
        Verb::Evaluate { instances, predictions, keep_unknown_fields, run } => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "evaluate", run);
            let unknown = unknown_fields(keep_unknown_fields);
            let answers = Predictions::parse(&predictions);
            finish(printer, &stage::evaluate(&session, &instances, &answers, unknown, &folder, mode).await?)
        }
        Verb::Grade(args) => {
            let cores = settings(none)?.run.cores;
            grade::run(printer, cores, &args)
        }
        Verb::Dataset { verb } => dataset::run(printer, settings(none)?.run.cores, verb),
        Verb::Report { runs, resume: _ } => report::run(printer, &runs),
        Verb::Show { verb: ShowVerb::Trajectory(args) } => show::trajectory(printer, &args),
        Verb::Metrics(args) => metrics::run(printer, &args),
        Verb::Curate(args) => curate::run(printer, &args),
        Verb::Score(args) => {
            let cores = settings(none)?.run.cores;
            tokio::task::block_in_place(|| score::run(printer, cores, &args))
        }
        Verb::Select(args) => select::run(printer, &args),
        Verb::Paper(args) => paper::run(&open(none).await?, &args).await,
        Verb::Improve(args) => improve::run(&open(none).await?, &args).await,
        Verb::Export(args) => export::run(printer, &args),
        Verb::Serve(args) => serve::run(printer, settings(none)?.run.cores, &args).await,
        Verb::Train { verb: TrainVerb::Base(args) } => {
            base::make(&open(none).await?, args.size, args.run).await
        }
        Verb::Train { verb } => {
            let settings = settings(none)?;
            // Training computes all the time: it has a thread of its own.
            tokio::task::block_in_place(|| learn(printer, &settings, &verb))
        }
        Verb::Replay { record, instances, out } => {
            let session = open(none).await?;
            let folder = session.run_folder("replay", out);
            replay::run(&session, &record, &instances, &folder).await
        }
        Verb::Dev { verb: DevVerb::Model(args) } => dev::model(printer, &args).await,
        Verb::Doctor => doctor::run(settings(none)?, printer).await,
        Verb::Store { verb } => store::run(&settings(none)?, printer, &verb),
        Verb::Completions { shell } => completions::run(printer, shell),
        Verb::Bench { scenario } => bench::run(&global, environment, printer, scenario).await,
    }
}

fn learn(printer: Printer, settings: &Settings, verb: &TrainVerb) -> Result<u8, CommandError> {
    let stop = session::listen_for_stop();
    let place = |name: &str, run: &RunArgs| session::run_folder(&settings.home, name, run.out.clone());
    match verb {
        TrainVerb::Tokenizer(args) => train::tokenizer(printer, args),
        TrainVerb::Pretrain(args) => {
            train::pretrain(printer, settings.run.cores, args, &place("pretrain", &args.run), &stop)
        }
        TrainVerb::Sft(args) => {
            train::sft(printer, settings.run.cores, args, &place("sft", &args.run), &stop)
        }
        TrainVerb::Base(_) => unreachable!("it opens a session of its own"),
        TrainVerb::Verifier(args) => {
            train::verifier(printer, settings.run.cores, args, &place("verifier", &args.run), &stop)
        }
    }
}

fn unknown_fields(keep: bool) -> UnknownFields {
    if keep { UnknownFields::Keep } else { UnknownFields::Refuse }
}

fn place(session: &Session, verb: &str, run: RunArgs) -> (std::path::PathBuf, Open) {
    let RunArgs { out, resume } = run;
    (session.run_folder(verb, out), if resume { Open::Resume } else { Open::New })
}

/// Shows a finished stage and gives its exit code.
fn finish(printer: Printer, done: &Done) -> Result<u8, CommandError> {
    let mut table = vec![vec!["outcome".to_owned(), "number".to_owned()]];
    table.extend(done.counts.iter().map(|(word, number)| vec![word.clone(), number.to_string()]));
    let mut value = json!({"run": done.folder, "outcomes": done.counts});
    for (word, number) in &done.notes {
        table.push(vec![format!("  {word}"), number.to_string()]);
        value["notes"][word] = json!(number);
    }
    printer.result(&value, &table);
    printer.say(&format!("in {}", done.folder.display()));
    Ok(done.exit)
}
