//! The commands: what each verb of the command line runs, with what settings.

mod completions;
mod doctor;
mod kept_line;
mod store;

use std::path::Path;

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_data::curate::settings::CurateSettings;
use swegym_data::dataset::{self, Workplace};
use swegym_data::select::settings::{ScoreSettings, SelectSettings};
use swegym_data::{curate, export, grade, metrics, report, score, select, show};
use swegym_method::session::{self, Session, compute};
use swegym_method::settings::{
    Environment, ImproveSettings, MicroSettings, RolloutSettings, Settings, SftSettings, VerifierSettings,
};
use swegym_method::stage::{self, Done, EvaluateSettings, Predictions};
use swegym_method::{base, improve, paper, quickstart, real, replay, train};
use swegym_runner::Checks;
use swegym_runner::run_dir::Open;
use swegym_serve::settings::ServeSettings;
use swegym_serve::{script, server};

use crate::args::{
    Args, CommandLine, DatasetVerb, DevVerb, GlobalArgs, InstallArgs, RunArgs, ShowVerb, TrainVerb, Verb,
};
use crate::settings::{asked, unknown_fields};
use kept_line::KeptLine;

/// Runs what was typed; gives the exit code. A run's folder keeps the command line, and
/// whoever stops a run is told the one that goes on with it.
pub(crate) async fn run(
    args: Args,
    line: CommandLine,
    environment: &Environment,
    printer: Printer,
) -> Result<u8, CommandError> {
    let Args { global, mut verb } = args;
    let Some(run) = verb.run_mut() else { return act(global, verb, environment, printer).await };
    let folder = match &run.out {
        Some(folder) => folder.clone(),
        None => {
            let home = Settings::resolve(asked(global.clone(), InstallArgs::default()), environment)?.home;
            session::run_folder(&home, line.verb.rsplit(' ').next().unwrap_or_default(), None)
        }
    };
    run.out = Some(folder.clone());
    let kept = KeptLine::keep(&folder, &line, run.resume)?;
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
    environment: &Environment,
    printer: Printer,
) -> Result<u8, CommandError> {
    let none = InstallArgs::default();
    let settings = |install: InstallArgs| Settings::resolve(asked(global.clone(), install), environment);
    let open = async |install: InstallArgs| Session::open(settings(install)?, printer).await;
    match verb {
        Verb::Quickstart { packages, draw, repeats, install, run } => {
            let session = open(install).await?;
            quickstart::run(&session, &packages, draw.into(), repeats, run.into()).await
        }
        Verb::Mine(args) => {
            let out = args.out.clone();
            compute(|| swegym_mine::run(printer, &args.into(), &out))
        }
        Verb::Gym(args) => {
            let (session, run) = (open(args.install.clone()).await?, args.run.clone());
            real::run(&session, &args.try_into()?, run.into()).await
        }
        Verb::Recipe(args) => {
            let (session, run) = (open(args.install.clone()).await?, args.run.clone());
            real::remake(&session, &args.into(), run.into()).await
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
            let settings = MicroSettings::from(args);
            if let Some(path) = &text {
                return write_texts(printer, &settings, path);
            }
            let session = open(none).await?;
            let (folder, mode) = place(&session, "micro", run);
            finish(printer, &stage::micro(&session, &settings, &folder, mode).await?)
        }
        Verb::Validate { instances, repeats, bounds, probe, keep_unknown_fields, run } => {
            let session = open(none).await?;
            let (folder, mode) = place(&session, "validate", run);
            let unknown = unknown_fields(keep_unknown_fields);
            let checks = Checks { repeats, probes: probe, bounds: bounds.into() };
            let done = stage::validate(&session, &instances, checks, unknown, &folder, mode).await?;
            let dropped = done.counts.keys().any(|word| word != "kept");
            let code = finish(printer, &done)?;
            Ok(if code == exit::DONE && dropped { exit::INVALID_TASKS } else { code })
        }
        Verb::Rollout(args) => {
            let (session, run) = (open(none).await?, args.run.clone());
            let (folder, mode) = place(&session, "rollout", run);
            let settings = RolloutSettings::try_from(*args)?;
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
            grade::run(printer, cores, &args.into())
        }
        Verb::Dataset { verb } => look_at(&Workplace::new(printer, settings(none)?.run.cores)?, verb),
        Verb::Report { runs, resume: _ } => report::shown::run(printer, &runs),
        Verb::Show { verb: ShowVerb::Trajectory(args) } => show::trajectory(printer, &args.into()),
        Verb::Metrics(args) => metrics::run(printer, &args.into()),
        Verb::Curate(args) => {
            let out = args.out.clone();
            curate::run(printer, &CurateSettings::try_from(*args)?, &out)
        }
        Verb::Score(args) => {
            let (cores, out) = (settings(none)?.run.cores, args.out.clone());
            compute(|| score::run(printer, cores, &ScoreSettings::from(args), &out))
        }
        Verb::Select(args) => {
            let out = args.out.clone();
            select::run(printer, &SelectSettings::from(args), &out)
        }
        Verb::Paper(args) => paper::run(&open(none).await?, &(&args).into(), args.run.into()).await,
        Verb::Improve(args) => {
            let run = args.run.clone();
            let settings = ImproveSettings::try_from(*args)?;
            improve::run(&open(none).await?, &settings, run.into()).await
        }
        Verb::Export(args) => export::run(printer, &(*args).into()),
        Verb::Serve(args) => {
            let (cores, stop) = (settings(none)?.run.cores, session::listen_for_stop());
            server::run(printer, cores, &ServeSettings::try_from(args)?, stop).await
        }
        Verb::Train { verb } => learn(printer, settings(none)?, verb).await,
        Verb::Replay { record, instances, out } => {
            let session = open(none).await?;
            let folder = session.run_folder("replay", out);
            replay::run(&session, &record, &instances, &folder).await
        }
        Verb::Dev { verb: DevVerb::Model(args) } => script::model(printer, &args.into()).await,
        Verb::Doctor => doctor::run(settings(none)?, printer).await,
        Verb::Store { verb } => store::run(&settings(none)?, printer, &verb),
        Verb::Completions { shell } => completions::run(printer, shell),
    }
}

/// Runs a verb on datasets.
fn look_at(at: &Workplace, verb: DatasetVerb) -> Result<u8, CommandError> {
    match verb {
        DatasetVerb::Convert(args) => dataset::convert::run(at, &args.into()),
        DatasetVerb::Check { dataset, logs, strict } => {
            dataset::check::run(at, &dataset, logs.as_deref(), strict)
        }
        DatasetVerb::Stats { dataset, chart } => dataset::stats::run(at, &dataset, chart.as_deref()),
        DatasetVerb::Lite { dataset, out, dropped, issues_at } => {
            dataset::lite::run(at, &dataset, &out, dropped, issues_at.as_deref())
        }
        DatasetVerb::Diff { old, new } => dataset::diff::run(at, &old, &new),
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
            let settings = SftSettings::try_from(*args)?;
            compute(|| train::sft(&training, &settings, &out))
        }
        TrainVerb::Verifier(args) => {
            let (training, out) = (training(&args.run), place("verifier", &args.run));
            let settings = VerifierSettings::try_from(*args)?;
            compute(|| train::verifier(&training, &settings, &out))
        }
        TrainVerb::Base(args) => {
            let session = Session::open(settings, printer).await?;
            base::make(&session, args.size, args.run.into()).await
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
