//! `quickstart`: the whole method on the micro gym, then tasks from real packages.

mod method;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_agent::Scaffold;
use swegym_console::error::CommandError;
use swegym_core::format::instances::UnknownFields;
use swegym_data::report;
use swegym_runner::run_dir::Open;
use swegym_runner::{Checks, TestBounds};

use crate::session::{Place, Session};
use crate::settings::{ModelChoice, RolloutSettings};
use crate::stage::{self, Done, EvaluateSettings, Predictions};
use method::{Learnt, Method};

/// Where the micro gym's stages are.
const GYM: &str = "gym";

/// Small, well tested, pure Python, with their tests in the source archive.
const PACKAGES: [&str; 3] = ["inflection==0.5.1", "itsdangerous==2.2.0", "cachetools==5.5.2"];

/// How bugs are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The same seed plants the same bugs.
    pub seed: u64,
    /// Candidates of a package.
    pub candidates: u32,
}

/// Runs every stage in a folder of its own; each takes up what an earlier
/// attempt left, so `--resume` goes on wherever it stopped. What needs no network, and
/// the least time, comes first.
pub async fn run(
    session: &Session,
    packages: &[String],
    draw: Draw,
    repeats: u32,
    run: Place,
) -> Result<u8, CommandError> {
    let Place { out, resume } = run;
    let folder = session.run_folder("quickstart", out);
    if !resume && [GYM, "build"].iter().any(|stage| folder.join(stage).exists()) {
        return Err(CommandError::usage(
            format!("`{}` already holds a quickstart", folder.display()),
            "go on with it by --resume, or choose another folder with --out",
        ));
    }
    let mut method = Method::open(session, &folder.join(GYM))?;
    say(session, 1, "the micro gym: small tasks, a scripted teacher's attempts at them, verdicts");
    let first = method.look().await?;
    say(session, 2, "policy: it learns from a teacher that mostly fails, and is measured before and after");
    let policies = method.tune().await?;
    say(session, 3, "verifier: it learns to judge attempts, and chooses the best of eight");
    let learnt = method.choose(&policies).await?;
    let worst = on_packages(session, packages, draw, repeats, &folder).await?;
    say(session, 9, "report");
    finish(session, &folder, &first, &learnt)?;
    Ok(worst)
}

/// From real packages to graded attempts; gives the worst of the stages' exit codes.
async fn on_packages(
    session: &Session,
    packages: &[String],
    draw: Draw,
    repeats: u32,
    folder: &Path,
) -> Result<u8, CommandError> {
    let packages: Vec<String> =
        if packages.is_empty() { PACKAGES.map(str::to_owned).to_vec() } else { packages.to_vec() };
    say(session, 4, &format!("build: images of {}", packages.join(", ")));
    let built = stage::build(session, &packages, &folder.join("build"), Open::Any).await?;
    stop_unless_useful(&built, "built", "no package could be built")?;
    show(session, &[&built])?;

    say(session, 5, &format!("synth: {} candidate bugs for each", draw.candidates));
    let images = folder.join("build/images.jsonl");
    let synth =
        stage::synth(session, &images, draw.seed, draw.candidates, &folder.join("synth"), Open::Any).await?;
    stop_unless_useful(
        &synth,
        "candidate",
        "no candidate breaks a test; try another --seed or more --candidates",
    )?;
    show(session, &[&synth])?;

    say(session, 6, &format!("validate: tests {repeats} times without and {repeats} times with the fix"));
    let candidates = folder.join("synth/candidates.jsonl");
    let unknown = UnknownFields::Refuse;
    // Probes would run every suite 21 times more.
    let checks = Checks { repeats, probes: false, bounds: TestBounds::default() };
    let valid =
        stage::validate(session, &candidates, checks, unknown, &folder.join("validate"), Open::Any).await?;
    stop_unless_useful(&valid, "kept", "no candidate is a valid task")?;
    show(session, &[&valid])?;

    say(session, 7, "evaluate: three sets of answers (gold, empty, wrong) in fresh boxes");
    let instances = folder.join("validate/instances.jsonl");
    let mut judged = Vec::new();
    for answers in [Predictions::Gold, Predictions::Empty, Predictions::Wrong] {
        let place = folder.join(format!("evaluate-{}", answers.name()));
        let settings = EvaluateSettings { instances: instances.clone(), answers, unknown };
        let done = stage::evaluate(session, &settings, &place, Open::Any).await?;
        judged.push(unless_interrupted(done)?);
    }
    show(session, &judged.iter().collect::<Vec<_>>())?;

    say(session, 8, "rollout: a scripted teacher works on each task twice, and stumbles as students do");
    let place = folder.join("rollout");
    let teacher = RolloutSettings {
        attempts: 2,
        evaluate: true,
        ..RolloutSettings::new(instances, Scaffold::NoisyExpert, ModelChoice::Teacher)
    };
    let attempts = stage::rollout(session, &teacher, &place, Open::Any).await?;
    let attempts = unless_interrupted(attempts)?;
    show(session, &[&attempts])?;
    let stages = [&built, &synth, &valid, &attempts].into_iter().chain(&judged);
    Ok(stages.map(|done| done.exit).max().unwrap_or(0))
}

fn say(session: &Session, number: u32, text: &str) {
    session.printer.say(&format!("[{number}/9] {text}"));
}

/// Shows what stages came to, now that they are done.
fn show(session: &Session, stages: &[&Done]) -> Result<(), CommandError> {
    let folders: Vec<PathBuf> = stages.iter().map(|done| done.folder.clone()).collect();
    session.printer.part(&report::Summary::load(&folders)?.table());
    Ok(())
}

fn unless_interrupted(done: Done) -> Result<Done, CommandError> {
    if done.exit == swegym_console::exit::INTERRUPTED {
        Err(crate::workshop::interrupted())
    } else {
        Ok(done)
    }
}

fn stop_unless_useful(done: &Done, wanted: &str, otherwise: &str) -> Result<(), CommandError> {
    if done.exit == swegym_console::exit::INTERRUPTED {
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

fn finish(session: &Session, folder: &Path, first: &Value, learnt: &Learnt) -> Result<(), CommandError> {
    let summary = report::Summary::load(&[folder.to_owned()])?;
    let page = summary.write_page(folder)?;
    let value = json!({
        "run": folder, "report": page, "first": first, "summary": summary.to_json(), "method": learnt.value,
    });
    session.printer.whole(&value);
    session.printer.say(&format!("pages: {} and {}", page.display(), learnt.page.display()));
    Ok(())
}
