//! `quickstart`: tasks from real packages, then the whole method on the micro gym.

mod method;

use std::path::Path;

use serde_json::json;
use swegym_agent::Scaffold;
use swegym_core::format::instances::UnknownFields;
use swegym_runner::run_dir::Open;

use method::Learnt;

use crate::args::{DrawArgs, RunArgs};
use crate::error::CommandError;
use crate::printer::render;
use crate::report;
use crate::session::Session;
use crate::settings::{ModelChoice, RolloutSettings};
use crate::stage::{self, Checks, Done, EvaluateSettings, Predictions};

/// Small, well tested, pure Python, with their tests in the source archive.
const PACKAGES: [&str; 3] = ["inflection==0.5.1", "itsdangerous==2.2.0", "cachetools==5.5.2"];

/// Runs every stage in a folder of its own; each takes up what an earlier
/// attempt left, so `--resume` goes on wherever it stopped.
pub(crate) async fn run(
    session: &Session,
    packages: &[String],
    draw: &DrawArgs,
    repeats: u32,
    run: RunArgs,
) -> Result<u8, CommandError> {
    let RunArgs { out, resume } = run;
    let folder = session.run_folder("quickstart", out);
    if !resume && folder.join("build").exists() {
        return Err(CommandError::usage(
            format!("`{}` already holds a quickstart", folder.display()),
            "go on with it by --resume, or choose another folder with --out",
        ));
    }
    let packages: Vec<String> =
        if packages.is_empty() { PACKAGES.map(str::to_owned).to_vec() } else { packages.to_vec() };
    let say = |number: u32, text: &str| session.printer.say(&format!("[{number}/7] {text}"));

    say(1, &format!("build: images of {}", packages.join(", ")));
    let built = stage::build(session, &packages, &folder.join("build"), Open::Any).await?;
    stop_unless_useful(&built, "built", "no package could be built")?;

    say(2, &format!("synth: {} candidate bugs for each", draw.candidates));
    let images = folder.join("build/images.jsonl");
    let synth =
        stage::synth(session, &images, draw.seed, draw.candidates, &folder.join("synth"), Open::Any).await?;
    stop_unless_useful(
        &synth,
        "candidate",
        "no candidate breaks a test; try another --seed or more --candidates",
    )?;

    say(3, &format!("validate: tests {repeats} times without and {repeats} times with the fix"));
    let candidates = folder.join("synth/candidates.jsonl");
    let unknown = UnknownFields::Refuse;
    // Probes would run every suite 21 times more.
    let checks = Checks { repeats, probe: false };
    let valid =
        stage::validate(session, &candidates, checks, unknown, &folder.join("validate"), Open::Any).await?;
    stop_unless_useful(&valid, "kept", "no candidate is a valid task")?;

    say(4, "evaluate: three sets of answers (gold, empty, wrong) in fresh boxes");
    let instances = folder.join("validate/instances.jsonl");
    let mut worst = [built.exit, synth.exit, valid.exit].into_iter().max().unwrap_or(0);
    for answers in [Predictions::Gold, Predictions::Empty, Predictions::Wrong] {
        let place = folder.join(format!("evaluate-{}", answers.name()));
        let settings = EvaluateSettings { instances: instances.clone(), answers, unknown };
        let done = stage::evaluate(session, &settings, &place, Open::Any).await?;
        worst = worst.max(done.exit);
        if done.exit == crate::exit::INTERRUPTED {
            return Ok(done.exit);
        }
    }

    say(5, "rollout: a scripted teacher works on each task twice, and stumbles as students do");
    let place = folder.join("rollout");
    let teacher = RolloutSettings {
        attempts: 2,
        evaluate: true,
        ..RolloutSettings::new(instances, Scaffold::NoisyExpert, ModelChoice::Teacher)
    };
    let attempts = stage::rollout(session, &teacher, &place, Open::Any).await?;
    worst = worst.max(attempts.exit);
    if attempts.exit == crate::exit::INTERRUPTED {
        return Ok(attempts.exit);
    }

    say(6, "the method in miniature, on the micro gym: teach, tune, measure, choose");
    let learnt = method::learn(session, &folder.join("gym")).await?;

    say(7, "report");
    finish(session, &folder, &learnt)?;
    Ok(worst)
}

fn stop_unless_useful(done: &Done, wanted: &str, otherwise: &str) -> Result<(), CommandError> {
    if done.exit == crate::exit::INTERRUPTED {
        return Err(crate::workshop::interrupted());
    }
    if done.counts.contains_key(wanted) {
        return Ok(());
    }
    let found: Vec<_> = done.counts.iter().map(|(word, n)| format!("{n} {word}")).collect();
    Err(CommandError::nothing(
        format!("{otherwise} ({})", found.join(", ")),
        "see the run's failures.jsonl and dropped.jsonl",
    ))
}

fn finish(session: &Session, folder: &Path, learnt: &Learnt) -> Result<(), CommandError> {
    let summary = report::Summary::load(&[folder.to_owned()])?;
    let page = summary.write_page(folder)?;
    let value = json!({"run": folder, "report": page, "summary": summary.to_json(), "method": learnt.value});
    // Two tables of different columns: the tasks, and what was learnt.
    let text = format!("{}\n\n{}", render(&summary.table()), render(&learnt.table));
    session.printer.document(&value, &text);
    session.printer.say(&format!("pages: {} and {}", page.display(), learnt.page.display()));
    Ok(())
}
