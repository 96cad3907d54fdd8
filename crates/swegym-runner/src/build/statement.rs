//! A statement for a pull request that says no more than a title: scripts of what its hidden
//! tests show, run with and without the gold patch.

use serde_json::json;
use swegym_core::{Fault, Instance, Patch};
use swegym_sandbox::Sandbox;
use swegym_tasks::synth::snippet::{self, Snippet};
use swegym_tasks::synth::statement::gate::{self, Author, Secrets};
use swegym_tasks::synth::statement::{self, Occasion};

use super::baseline::Installed;
use crate::answer::{self, Laid};
use crate::context::Context;
use crate::launcher::Watcher;
use crate::plan::WORKDIR;
use crate::reproduce::{of_tests, reproduce};
use crate::shell::must_run;
use crate::testing::{run_launched, start, stop};

/// Where the statement of a raw instance stems from, as `mine` says it.
const SOURCE: &str = "statement_source";
/// The source that says too little, and ours.
const TITLE: &str = "title";
const TESTS: &str = "tests";

/// Writes the statement where there is only a title, if its tests show something that
/// may be told; else the instance stays as it is.
///
/// # Errors
/// Faults of the machinery.
pub(super) async fn write(
    context: &Context,
    installed: &Installed,
    instance: Instance,
) -> Result<Instance, Fault> {
    if instance.extra.get(SOURCE).and_then(|source| source.as_str()) != Some(TITLE) {
        return Ok(instance);
    }
    let observed = observe(context, installed, &instance).await?;
    let tests: Vec<&str> = instance.fail_to_pass.iter().collect();
    let observed = of_tests(&observed, &tests);
    if observed.is_empty() {
        return Ok(instance);
    }
    let Some(files) = both_sides(context, installed, &instance).await? else { return Ok(instance) };
    let files: Vec<(&str, &str, &str)> = files
        .iter()
        .map(|[path, mended, broken]| (path.as_str(), mended.as_str(), broken.as_str()))
        .collect();
    let secrets = Secrets { tests: &tests, gold_patch: &instance.gold_patch };
    let title = instance.problem_statement.trim();
    let text = |shown: &[_]| statement::write(Occasion::Wanted { title }, shown);
    let reproduced = reproduce(context, &installed.image, &files, &observed).await?;
    let may_be_told =
        |one: &_| gate::problems(&text(std::slice::from_ref(one)), Author::Swegym, secrets).is_empty();
    let good: Vec<_> = reproduced.into_iter().filter(may_be_told).collect();
    if good.is_empty() {
        return Ok(instance);
    }
    let problem_statement = text(&good);
    let mut instance = Instance { problem_statement, ..instance };
    instance.extra.insert(SOURCE.to_owned(), json!(TESTS));
    Ok(instance)
}

/// What the hidden tests do on the commit as it is.
async fn observe(
    context: &Context,
    installed: &Installed,
    instance: &Instance,
) -> Result<Vec<(String, Vec<Snippet>)>, Fault> {
    let sandbox = start(context, &installed.image).await?;
    let tests = installed.suite.tests();
    let observer = Watcher { modules: snippet::OBSERVER, data: None };
    let laid = answer::lay_out(context, &sandbox, instance, &tests.plan, None, Some(&observer)).await?;
    let Laid::Out(notes, launch) = laid else { return Ok(Vec::new()) };
    run_launched(context, &sandbox, &tests, notes.not_collected(), &launch, Some(&observer)).await?;
    let bytes = sandbox.read(snippet::OBSERVER_OUTPUT, 16 << 20).await.unwrap_or_default();
    stop(sandbox).await?;
    Ok(snippet::read_observed(&String::from_utf8_lossy(&bytes)))
}

/// The Python files that the gold patch changes: path, with it, and without it. Nothing where
/// it brings, moves or removes some: a script cannot be run on either side then.
async fn both_sides(
    context: &Context,
    installed: &Installed,
    instance: &Instance,
) -> Result<Option<Vec<[String; 3]>>, Fault> {
    let Ok(patch) = Patch::survey(&instance.gold_patch) else { return Ok(None) };
    let mut paths = Vec::new();
    for file in &patch.files {
        match (&file.old_path, &file.new_path) {
            (Some(old), Some(new)) if old == new && new.ends_with(".py") => paths.push(new.clone()),
            (_, Some(new)) if !new.ends_with(".py") => {}
            _ => return Ok(None),
        }
    }
    let sandbox = start(context, &installed.image).await?;
    let before = read(&sandbox, &paths).await;
    let written = sandbox.write("/tmp/gold.patch", instance.gold_patch.as_bytes(), Some(0o644));
    written.await.map_err(|e| e.to_fault())?;
    let is_applied = must_run(&sandbox, "git apply /tmp/gold.patch", "applying the gold patch").await.is_ok();
    let after = read(&sandbox, &paths).await;
    stop(sandbox).await?;
    let (Some(before), Some(after), true) = (before, after, is_applied) else { return Ok(None) };
    let sides = paths.into_iter().zip(after.into_iter().zip(before));
    Ok(Some(sides.map(|(path, (after, before))| [path, after, before]).collect()))
}

async fn read(sandbox: &dyn Sandbox, paths: &[String]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for path in paths {
        let bytes = sandbox.read(&format!("{WORKDIR}/{path}"), 4 << 20).await.ok()?;
        texts.push(String::from_utf8(bytes).ok()?);
    }
    Some(texts)
}
