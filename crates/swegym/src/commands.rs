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

use std::path::Path;

use kept_line::KeptLine;
use serde_json::json;
use swegym_core::format::instances::UnknownFields;
use swegym_runner::run_dir::Open;

use crate::args::{Args, CommandLine, DevVerb, GlobalArgs, InstallArgs, RunArgs, ShowVerb, TrainVerb, Verb};
use crate::error::CommandError;
use crate::printer::Printer;
use crate::session::{self, Session, compute};
use crate::settings::{
    CurateSettings, Environment, ImproveSettings, MicroSettings, RolloutSettings, ServeSettings, Settings,
    SftSettings, VerifierSettings,
};
use crate::stage::{self, Checks, Done, EvaluateSettings, Predictions};
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
            let (run, text) = (args.run.clone(), args.text.clone());
            let settings = MicroSettings::resolve(args)?;
            if let Some(path) = &text {
                return write_texts(printer, &settings, path);
            }
            let session = open(none).await?;
            let (folder, mode) = place(&session, "micro", run);
            finish(printer, &stage::micro(&session, &settings, &folder, mode).await?)
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
            let (session, run) = (open(none).await?, args.run.clone());
            let (folder, mode) = place(&session, "rollout", run);
            let settings = RolloutSettings::resolve(*args)?;
            finish(printer, &stage::rollout(&session, &settings, &folder, mode).await?)
        }
        Verb::Evaluate { instances, predictions, keep_unknown_fields, run } => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "evaluate", run);
            let (answers, unknown) = (Predictions::parse(&predictions), unknown_fields(keep_unknown_fields));
            let settings = EvaluateSettings { instances, answers, unknown };
            finish(printer, &stage::evaluate(&session, &settings, &folder, mode).await?)
        }
        Verb::Grade(args) => {
            let cores = settings(none)?.run.cores;
            grade::run(printer, cores, &args)
        }
        Verb::Dataset { verb } => dataset::run(printer, settings(none)?.run.cores, verb),
        Verb::Report { runs, resume: _ } => report::run(printer, &runs),
        Verb::Show { verb: ShowVerb::Trajectory(args) } => show::trajectory(printer, &args),
        Verb::Metrics(args) => metrics::run(printer, &args),
        Verb::Curate(args) => {
            let out = args.out.clone();
            curate::run(printer, &CurateSettings::resolve(*args)?, &out)
        }
        Verb::Score(args) => {
            let (cores, out) = (settings(none)?.run.cores, args.out.clone());
            compute(|| score::run(printer, cores, &args.into(), &out))
        }
        Verb::Select(args) => {
            let out = args.out.clone();
            select::run(printer, &args.into(), &out)
        }
        Verb::Paper(args) => paper::run(&open(none).await?, &args).await,
        Verb::Improve(args) => {
            let run = args.run.clone();
            let settings = ImproveSettings::resolve(*args)?;
            improve::run(&open(none).await?, &settings, run).await
        }
        Verb::Export(args) => export::run(printer, &args),
        Verb::Serve(args) => {
            serve::run(printer, settings(none)?.run.cores, &ServeSettings::resolve(args)?).await
        }
        Verb::Train { verb } => learn(printer, settings(none)?, verb).await,
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

async fn learn(printer: Printer, settings: Settings, verb: TrainVerb) -> Result<u8, CommandError> {
    let (stop, cores, home) = (session::listen_for_stop(), settings.run.cores, settings.home.clone());
    let place = |name: &str, run: &RunArgs| session::run_folder(&home, name, run.out.clone());
    let training = |run: &RunArgs| train::Training { printer, cores, resume: run.resume, stop: &stop };
    match verb {
        TrainVerb::Tokenizer(args) => {
            let out = args.out.clone();
            compute(|| train::tokenizer(printer, &args.into(), &out))
        }
        TrainVerb::Pretrain(args) => {
            let (training, out) = (training(&args.run), place("pretrain", &args.run));
            compute(|| train::pretrain(&training, &(*args).into(), &out))
        }
        TrainVerb::Sft(args) => {
            let (training, out) = (training(&args.run), place("sft", &args.run));
            let settings = SftSettings::resolve(*args)?;
            compute(|| train::sft(&training, &settings, &out))
        }
        TrainVerb::Verifier(args) => {
            let (training, out) = (training(&args.run), place("verifier", &args.run));
            let settings = VerifierSettings::resolve(*args)?;
            compute(|| train::verifier(&training, &settings, &out))
        }
        TrainVerb::Base(args) => {
            let session = Session::open(settings, printer).await?;
            base::make(&session, args.size, args.run).await
        }
    }
}

/// Text about the micro gym, to pre-train on.
fn write_texts(printer: Printer, settings: &MicroSettings, path: &Path) -> Result<u8, CommandError> {
    stage::write_texts(settings, path)?;
    let table = vec![vec!["texts".to_owned()], vec![settings.count.to_string()]];
    printer.result(&json!({"texts": settings.count, "out": path}), &table);
    Ok(exit::DONE)
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
