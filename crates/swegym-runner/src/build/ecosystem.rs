//! Raw instances of other languages than Python: what they depend on is installed as of
//! their day, and their tests are run by the project's own runner.

mod toolchain;
mod workshop;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, json};
use swegym_core::format::instances;
use swegym_core::format::results::{Fields, Prepared};
use swegym_core::test_plan::marked_script;
use swegym_core::{Boundary, Fault, ImageRef, Instance, Patch, TestPlan};
use swegym_grade::LogParser;
use swegym_mine::{Gaps, Kind, Split, top_names};
use swegym_sandbox::store::LayerId;
use swegym_sandbox::{Image, SandboxError};
use swegym_tasks::project::{self, Language, Project, Testing};
use swegym_tasks::recipe::Install;

use super::prepare::{Known, Raw, image_alone};
use super::{checkout, gaps, nothing_passes};
use crate::answer::{self, Laid};
use crate::context::Context;
use crate::plan::{Tests, WORKDIR};
use crate::shell::last_lines;
use crate::testing::{TestRun, run_launched, start, stop};
use workshop::NOTHING;

/// Runs with the gold patch; only what passes in each can be an expectation.
const GOLDEN_RUNS: usize = 2;

/// What an instance's project is written in, if that is one of these languages.
///
/// # Errors
/// Only when this machine fails; a commit that is not there is told by whoever needs it.
pub(super) async fn language_of(raw: &Arc<Raw>) -> Result<Option<Language>, Fault> {
    let raw = Arc::clone(raw);
    let asked = tokio::task::spawn_blocking(move || {
        let names = top_names(&raw.repository, &raw.instance.base_commit).unwrap_or_default();
        Language::of_top(&names).filter(|language| *language != Language::Python)
    });
    asked.await.map_err(|e| Fault::new(Boundary::Internal, "panic", e.to_string()))
}

/// As [`super::prepare()`], for these languages.
///
/// # Errors
/// As there, and where the machine has no toolchain (`no_toolchain`).
pub(super) async fn prepare(
    context: &Context,
    raw: &Arc<Raw>,
    language: Language,
) -> Result<Prepared, Fault> {
    let source = unpack(context, raw, language).await?;
    let gaps = source.gaps.clone();
    from_source(context, raw, language, source).await.map_err(|fault| gaps::explain(fault, &gaps))
}

async fn from_source(
    context: &Context,
    raw: &Raw,
    language: Language,
    source: Source,
) -> Result<Prepared, Fault> {
    let Source { mut project, layer, mut until, gaps } = source;
    let instance = &raw.instance;
    let own_name = project.name.clone();
    let name = if own_name.is_empty() { instance.repo.as_str() } else { own_name.as_str() };
    let asks_for_nextest = project.ways.iter().any(Testing::needs_nextest);
    let toolchain = toolchain::lay(context, language, project.wants.as_deref(), asks_for_nextest).await?;
    let image = toolchain.image.with_layer(layer);
    if let Known::Recipe(said) | Known::Made(said, _) = &raw.known {
        follow(&mut project, said)?;
        until = said.until.clone().or(until);
    }
    let installed = workshop::install(context, image, language, &project, until.as_deref()).await?;
    if let Known::Made(..) = raw.known {
        return image_alone(context, instance, &installed.image);
    }
    let mut best: Option<Tried> = None;
    for way in project.ways.iter().filter(|way| toolchain.has_nextest || !way.needs_nextest()) {
        let tried = try_out(context, &installed.image, instance, way).await?;
        let is_enough = !tried.flip.is_empty();
        if best.as_ref().is_none_or(|best| best.rank() < tried.rank()) {
            best = Some(tried);
        }
        if is_enough {
            break;
        }
    }
    let runs = best.as_ref().map_or(&[][..], |best| &best.runs);
    let Some(best) = best.as_ref().filter(|best| best.rank() > (0, 0)) else {
        return Err(nothing_passes(name, runs, &installed.refused));
    };
    if best.flip.is_empty() {
        return Err(nothing_flips(instance, best));
    }
    let digest = context.host.store().save_image(&installed.image);
    let digest = digest.map_err(|e| SandboxError::from(e).to_fault())?;
    let recipe = Map::from_iter([
        ("language".to_owned(), json!(language.name())),
        ("package".to_owned(), json!(name)),
        ("version".to_owned(), json!(project.version)),
        ("commit".to_owned(), json!(installed.commit)),
        ("toolchain".to_owned(), json!(toolchain.version)),
        ("until".to_owned(), json!(installed.until)),
        ("requirements_from".to_owned(), json!(installed.from)),
        ("runner".to_owned(), json!(best.way.runner)),
        ("left_out".to_owned(), json!(best.left_out)),
    ]);
    let prepared = Instance {
        fail_to_pass: best.flip.iter().map(String::as_str).collect(),
        pass_to_pass: best.hold.iter().map(String::as_str).collect(),
        environment_setup_commit: Some(instance.base_commit.clone()),
        eval_script: Some(script_of(&best.way)),
        log_parser: Some(best.way.parser.to_owned()),
        eval_type: Some("pass_and_fail".to_owned()),
        image: Some(ImageRef::Store(digest.hex()).to_string()),
        encoding: swegym_core::instance::ListEncoding::List,
        ..instance.clone()
    };
    let mut recipe = with_refusals(recipe, &installed.refused);
    gaps::note(&mut recipe, &gaps);
    Ok(Prepared::Ready { instance: instances::fields(&prepared), recipe })
}

/// Leaves of what is known of a project what its recipe says.
fn follow(project: &mut Project, said: &Install) -> Result<(), Fault> {
    let from = &said.requirements_from;
    project.installs.retain(|install| install.from == *from);
    let nothing_to_install = project.installs.is_empty() && from != NOTHING;
    if let Some(runner) = &said.runner {
        project.ways.retain(|way| way.runner == *runner);
    }
    if !nothing_to_install && !project.ways.is_empty() {
        return Ok(());
    }
    let what = if nothing_to_install { from } else { said.runner.as_ref().unwrap_or(from) };
    let message = format!("the recipe says `{what}`, which this commit of `{}` does not have", project.name);
    Err(Fault::new(Boundary::Task, "does_not_install", message)
        .with_hint("correct `requirements_from` and `runner` in the recipe, or leave them to the search"))
}

fn with_refusals(mut recipe: Fields, refused: &[(String, Fault)]) -> Fields {
    if !refused.is_empty() {
        let refused = refused.iter().map(|(from, fault)| json!({"from": from, "message": fault.message}));
        recipe.insert("does_not_install".to_owned(), refused.collect());
    }
    recipe
}

/// What an instance starts from.
struct Source {
    project: Project,
    layer: LayerId,
    /// A time after which nothing that is installed was published.
    until: Option<String>,
    gaps: Gaps,
}

async fn unpack(context: &Context, raw: &Arc<Raw>, language: Language) -> Result<Source, Fault> {
    let (raw, store) = (Arc::clone(raw), context.host.store().clone());
    let named = context.install.exclude_newer.clone();
    let work = tokio::task::spawn_blocking(move || {
        let folder = store.work_folder().map_err(|e| SandboxError::from(e).to_fault())?;
        let (root, instance) = (folder.path().join("source"), &raw.instance);
        let gaps = raw.export_to(&root)?;
        // Registries tell times in UTC, and compare them as text.
        let committed = || checkout::committed(&root)?.parse::<jiff::Timestamp>().ok();
        let until = named.or_else(|| Some(committed()?.to_string()));
        let tests = project::Tests { files: changed_tests(instance), patch: instance.test_patch.clone() };
        let mut project = project::infer(language, &root, &tests, until.as_deref())
            .map_err(|e| Fault::new(Boundary::Task, e.code(), e.to_string()).hinted_by(&e))?;
        if project.version.is_empty() {
            project.version.clone_from(&instance.version);
        }
        let layer = store.import_folder_at(&root, WORKDIR, |_| true);
        Ok(Source { project, layer: layer.map_err(|e| SandboxError::from(e).to_fault())?, until, gaps })
    });
    work.await.map_err(|e| Fault::new(Boundary::Internal, "panic", e.to_string()))?
}

/// The files of tests that the hidden tests bring or change.
fn changed_tests(instance: &Instance) -> Vec<String> {
    let Ok(patch) = Patch::survey(&instance.test_patch) else { return Vec::new() };
    let files = patch.files.iter().filter_map(|file| file.new_path.clone());
    let files: BTreeSet<String> =
        files.filter(|path| Split::Kinds.of_path(path) == Some(Kind::Test)).collect();
    files.into_iter().collect()
}

/// The script that runs a way's lines; it fails where one of them does.
fn script_of(way: &Testing) -> String {
    let line = match way.lines.as_slice() {
        [line] => line.clone(),
        lines => {
            let each = lines.iter().map(|line| format!("{line} || failed=$?\n"));
            format!("failed=0\n{}(exit $failed)", each.collect::<String>())
        }
    };
    marked_script(WORKDIR, &way.before, &line)
}

/// A way to run the tests, tried.
struct Tried {
    way: Testing,
    /// With the gold patch.
    runs: Vec<TestRun>,
    /// Tests that pass with the gold patch every time, and not without it.
    flip: Vec<String>,
    /// Tests that pass on both sides.
    hold: Vec<String>,
    /// Tests that do not pass every time with the gold patch.
    left_out: Vec<String>,
}

impl Tried {
    fn rank(&self) -> (usize, usize) {
        (self.flip.len(), self.hold.len())
    }
}

async fn try_out(
    context: &Context,
    image: &Image,
    instance: &Instance,
    way: &Testing,
) -> Result<Tried, Fault> {
    let parser = LogParser::named(way.parser).unwrap_or(LogParser::Tap);
    let tests = Tests { plan: TestPlan::Script(script_of(way)), parser };
    let mut runs = vec![run(context, image, instance, &tests, true).await?];
    let mut passing = runs[0].passed(&tests);
    // Runners that do several things at once tell them in the order in which they end.
    passing.sort_unstable();
    let (mut flip, mut hold) = (Vec::new(), Vec::new());
    if !passing.is_empty() {
        while runs.len() < GOLDEN_RUNS {
            let again = run(context, image, instance, &tests, true).await?;
            let passed: BTreeSet<String> = again.passed(&tests).into_iter().collect();
            passing.retain(|test| passed.contains(test));
            runs.push(again);
        }
        let before = run(context, image, instance, &tests, false).await?;
        let passed: BTreeSet<String> = before.passed(&tests).into_iter().collect();
        (hold, flip) = passing.iter().cloned().partition(|test| passed.contains(test));
    }
    let steady: BTreeSet<String> = passing.into_iter().collect();
    let named = runs.iter().flat_map(|run| {
        let statuses = run.statuses(&tests);
        statuses.keys().map(str::to_owned).collect::<Vec<_>>()
    });
    let left_out: BTreeSet<String> = named.filter(|test| !steady.contains(test)).collect();
    let left_out = left_out.into_iter().collect();
    Ok(Tried { way: way.clone(), runs, flip, hold, left_out })
}

/// The hidden tests on the base commit, with or without the gold patch.
async fn run(
    context: &Context,
    image: &Image,
    instance: &Instance,
    tests: &Tests,
    is_mended: bool,
) -> Result<TestRun, Fault> {
    let does_not_apply = |what: &str, words: &str| {
        let message =
            format!("the {what} of `{}` does not apply to its base commit: {words}", instance.instance_id);
        Fault::new(Boundary::Task, "gold_does_not_apply", message)
    };
    let gold = answer::read(&instance.gold_patch)
        .map_err(|outcome| does_not_apply("gold patch", answer::words_of(&outcome)))?;
    // What decides how an answer counts is the row's; see the profiles.
    let instance = Instance { log_parser: Some(tests.parser.name().to_owned()), ..instance.clone() };
    let sandbox = start(context, image).await?;
    let gold = is_mended.then_some(&gold);
    let laid = answer::lay_out(context, &sandbox, &instance, &tests.plan, gold, None).await?;
    let (notes, launch) = match laid {
        Laid::Out(notes, launch) => (notes, launch),
        Laid::Failed(outcome) => return Err(does_not_apply("gold patch", answer::words_of(&outcome))),
        Laid::TestsFailed(words) => return Err(does_not_apply("test patch", &words)),
    };
    let run = run_launched(context, &sandbox, tests, notes.not_collected(), &launch, None).await?;
    stop(sandbox).await?;
    Ok(run)
}

fn nothing_flips(instance: &Instance, tried: &Tried) -> Fault {
    let said = tried.runs.first().map(|run| last_lines(&run.log, 12)).unwrap_or_default();
    let message = format!(
        "no test of `{}` passes with the gold patch only: {} pass with it and without it, {} do not pass\n{said}",
        instance.instance_id,
        tried.hold.len(),
        tried.left_out.len()
    );
    Fault::new(Boundary::Task, "no_failing_test", message)
        .with_hint("the tests may need what this machine or the box lacks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_fails_where_one_of_its_lines_does() {
        let way = |lines: &[&str]| Testing {
            runner: "x".into(),
            before: vec!["build".into()],
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            parser: "tap",
        };
        let one = script_of(&way(&["run a"]));
        assert!(
            one.contains("\nbuild\n: '>>>>> Start Test Output'\nrun a\nSWEBENCH_TEST_EXIT_CODE=$?\n"),
            "{one}"
        );
        let two = script_of(&way(&["run a", "(cd b && run c)"]));
        let lines = "failed=0\nrun a || failed=$?\n(cd b && run c) || failed=$?\n(exit $failed)\n";
        assert!(two.contains(lines), "{two}");
    }
}
