//! From a raw instance to one that can be run: its commit installed with what there was
//! on that day, and the tests that its gold patch makes pass.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swegym_core::format::instances;
use swegym_core::format::results::{Fields, JobOutput, Prepared};
use swegym_core::{Boundary, Fault, ImageRef, Instance, Patch, TestRunner};
use swegym_mine::{Kind, Repository, Split, export};
use swegym_sandbox::SandboxError;
use swegym_sandbox::store::LayerId;
use swegym_tasks::package::{self, Package};
use swegym_tasks::recipe::{self, Recipe};

use super::baseline::{Baseline, Installed};
use super::{Project, Trial, best_of, checkout, ecosystem, in_its_days, nothing_installs, nothing_passes};
use super::{SETS_TRIED, foundation};
use crate::answer::{self, Laid};
use crate::context::Context;
use crate::foundation::Wanted;
use crate::plan::{GOES_ON, WORKDIR};
use crate::result::JobResult;
use crate::shell::last_lines;
use crate::testing::{TestRun, run_launched, start, stop};

/// A raw instance, and where its repository lies.
#[derive(Debug, Clone)]
pub struct Raw {
    /// Without an image and lists of tests.
    pub instance: Instance,
    /// A clone or mirror that has its base commit.
    pub repository: Repository,
}

/// Keeps the one commit that is there: what the build changed is put back, and what it
/// left is no change.
pub(super) const KEEP_COMMIT: &str = "set -e; git read-tree HEAD; git update-index -q --refresh >/dev/null 2>&1 || true; \
git ls-files -z -m | xargs -0 -r git checkout-index -f -q --; \
git ls-files -z --others --exclude-standard | sed -z 's/[][*?\\\\ ]/\\\\&/g; s|^|/|' | tr '\\0' '\\n' >> .git/info/exclude; \
rm -f .git/index; git read-tree HEAD; git rev-parse HEAD";

/// Makes the image of an instance's base commit, and the lists of its tests.
///
/// # Errors
/// A fault of the task (it does not install, its tests do not pass with the gold patch, or
/// pass without it) or of the machinery.
pub async fn prepare(context: &Context, raw: &Arc<Raw>) -> Result<JobResult, Fault> {
    if let Some(language) = ecosystem::language_of(raw).await? {
        return ecosystem::prepare(context, raw, language).await;
    }
    let Source { package, recipe, layer } = unpack(context, raw).await?;
    let instance = &raw.instance;
    let day = package.released.as_deref().and_then(|time| time.get(..10)).map(str::to_owned);
    let wanted = Wanted { requires: recipe.requires_python.clone(), day };
    let foundation = foundation::lay(context, &wanted).await?;
    let image = foundation.image.with_layer(layer);
    let project = Project {
        context,
        foundation: &foundation,
        image: &image,
        package: &package,
        recipe: &recipe,
        trial: Trial::Gold(instance),
    };
    let sets = &recipe.requirement_sets[..recipe.requirement_sets.len().min(SETS_TRIED)];
    // What is newer than the commit may install, and quietly lose tests: it is not tried
    // unless the user says so.
    let then = in_its_days(context, &package, sets);
    let tried = if then.is_empty() { sets } else { &then };
    let (best, refused) = best_of(&project, tried, &[]).await?;
    let Some(baseline) = best else { return Err(nothing_installs(&package.name, &refused)) };
    if baseline.passing().is_empty() {
        return Err(nothing_passes(&package.name, &baseline.runs, &refused));
    }
    let before = run(context, &baseline.installed, instance, false).await?;
    let prepared = prepared(context, instance, &baseline, &before)?;
    let mut recipe = recipe_of(&package, &recipe, &baseline, &foundation.version);
    if !refused.is_empty() {
        let refused = refused.iter().map(|(from, fault)| json!({"from": from, "message": fault.message}));
        recipe.insert("does_not_install".to_owned(), refused.collect());
    }
    let instance = instances::fields(&prepared);
    Ok(JobResult::of(JobOutput::Prepared(Prepared { instance, recipe })))
}

/// What an instance starts from.
struct Source {
    package: Package,
    recipe: Recipe,
    layer: LayerId,
}

async fn unpack(context: &Context, raw: &Arc<Raw>) -> Result<Source, Fault> {
    let (raw, store, index) = (Arc::clone(raw), context.host.store().clone(), context.index.clone());
    let work = tokio::task::spawn_blocking(move || {
        let folder = store.work_folder().map_err(|e| SandboxError::from(e).to_fault())?;
        let (root, instance) = (folder.path().join("source"), &raw.instance);
        export(&raw.repository, &instance.base_commit, &root).map_err(|error| {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            Fault::new(Boundary::Task, "no_base_commit", format!("{error}{why}")).hinted_by(&error)
        })?;
        let task = |code, error: String| Fault::new(Boundary::Task, code, error);
        let given = Path::new(instance.repo.rsplit('/').next().unwrap_or_default());
        let mut package = package::describe(root.clone(), given)
            .map_err(|e| task("no_package", e.to_string()).hinted_by(&e))?;
        package.released = checkout::committed(&root);
        // A version without a number but zeros is one that a tool fills in.
        if package.version.chars().all(|c| matches!(c, '0' | '.')) && !instance.version.is_empty() {
            package.version.clone_from(&instance.version);
        }
        let mut recipe =
            recipe::infer(&package.name, &root).map_err(|e| task("no_tests", e.to_string()).hinted_by(&e))?;
        // Modules of Python 2, and a plug-in's own name, are imported like any other.
        let unknown = |guess: &&String| {
            let name = guess.split(['<', '=', '>']).next().unwrap_or(guess);
            index.files(name).map_or_else(|error| !error.is_infrastructure(), |files| files.is_empty())
        };
        let wrong: BTreeSet<String> = recipe.guessed.iter().filter(unknown).cloned().collect();
        recipe.forget(&wrong);
        // Hidden tests may ask for what only the gold patch brings, and cannot be collected
        // without it; the others run all the same.
        if recipe.runner == TestRunner::Pytest {
            recipe.options.push(GOES_ON.to_owned());
        }
        let files = test_files(instance);
        if !files.is_empty() {
            recipe.test_paths = files;
        }
        let layer = store.import_folder_at(&root, WORKDIR, |_| true);
        Ok(Source { package, recipe, layer: layer.map_err(|e| SandboxError::from(e).to_fault())? })
    });
    work.await.map_err(|e| Fault::new(Boundary::Internal, "panic", e.to_string()))?
}

/// The test files that the hidden tests bring or change; none where these are data alone,
/// and all tests have to run.
fn test_files(instance: &Instance) -> Vec<String> {
    let Ok(patch) = Patch::survey(&instance.test_patch) else { return Vec::new() };
    let is_test = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let by_kind = Split::Kinds.of_path(name) == Some(Kind::Test) && name != "conftest.py";
        name.ends_with(".py") && (by_kind || recipe::is_test_file(Path::new(name)))
    };
    let files = patch.files.iter().filter_map(|file| file.new_path.clone());
    let files: BTreeSet<String> = files.filter(|path| is_test(path)).collect();
    files.into_iter().collect()
}

/// The tests of an instance, on its commit with the gold patch.
pub(super) async fn run_gold(
    context: &Context,
    installed: &Installed,
    instance: &Instance,
) -> Result<TestRun, Fault> {
    run(context, installed, instance, true).await
}

async fn run(
    context: &Context,
    installed: &Installed,
    instance: &Instance,
    is_mended: bool,
) -> Result<TestRun, Fault> {
    let does_not_apply = |what: &str, words: String| {
        let message =
            format!("the {what} of `{}` does not apply to its base commit: {words}", instance.instance_id);
        Fault::new(Boundary::Task, "gold_does_not_apply", message)
    };
    let gold = answer::read(&instance.gold_patch)
        .map_err(|outcome| does_not_apply("gold patch", answer::words_of(&outcome).to_owned()))?;
    // What an image's interpreter knows is remembered by the image.
    let image: Vec<String> = installed.image.layers.iter().map(|layer| layer.0.hex()).collect();
    let instance = Instance { image: Some(image.join(" ")), ..instance.clone() };
    let sandbox = start(context, &installed.image).await?;
    let gold = is_mended.then_some(&gold);
    let tests = installed.suite.tests();
    let laid = answer::lay_out(context, &sandbox, &instance, &tests.plan, gold, None).await?;
    let (notes, launch) = match laid {
        Laid::Out(notes, launch) => (notes, launch),
        Laid::Failed(outcome) => {
            return Err(does_not_apply("gold patch", answer::words_of(&outcome).to_owned()));
        }
        Laid::TestsFailed(words) => return Err(does_not_apply("test patch", words)),
    };
    let run = run_launched(context, &sandbox, &tests, notes.not_collected(), &launch, None).await?;
    stop(sandbox).await?;
    Ok(run)
}

/// The instance with its image and its lists: what passes with the gold patch every time,
/// and of that, what does not pass without it.
fn prepared(
    context: &Context,
    instance: &Instance,
    baseline: &Baseline,
    before: &TestRun,
) -> Result<Instance, Fault> {
    let suite = &baseline.installed.suite;
    let passed: BTreeSet<String> = before.passed(&suite.tests()).into_iter().collect();
    let (hold, flip): (Vec<String>, Vec<String>) =
        baseline.passing().into_iter().partition(|test| passed.contains(test));
    if flip.is_empty() {
        let failing = baseline.left_out();
        let said = baseline.runs.first().map(|run| last_lines(&run.log, 12)).unwrap_or_default();
        let message = format!(
            "no test of `{}` passes with the gold patch only: {} pass with it and without it, {} do not pass\n{said}",
            instance.instance_id,
            hold.len(),
            failing.len()
        );
        return Err(Fault::new(Boundary::Task, "no_failing_test", message)
            .with_hint("the tests may need what this machine or the box lacks"));
    }
    let digest = context.host.store().save_image(&baseline.installed.image);
    let digest = digest.map_err(|e| SandboxError::from(e).to_fault())?;
    Ok(Instance {
        fail_to_pass: flip.iter().map(String::as_str).collect(),
        pass_to_pass: hold.iter().map(String::as_str).collect(),
        environment_setup_commit: Some(instance.base_commit.clone()),
        eval_script: Some(suite.command.to_script(WORKDIR)),
        log_parser: Some(suite.parser.name().to_owned()),
        eval_type: Some("pass_and_fail".to_owned()),
        image: Some(ImageRef::Store(digest.hex()).to_string()),
        encoding: swegym_core::instance::ListEncoding::List,
        ..instance.clone()
    })
}

fn recipe_of(package: &Package, recipe: &Recipe, baseline: &Baseline, python: &str) -> Fields {
    let installed = &baseline.installed;
    Map::from_iter([
        ("package".to_owned(), json!(package.name)),
        ("version".to_owned(), json!(installed.version)),
        ("commit".to_owned(), json!(installed.commit)),
        ("python".to_owned(), json!(python)),
        ("until".to_owned(), json!(installed.set.until)),
        ("requirements_from".to_owned(), json!(installed.set.from)),
        ("frozen".to_owned(), json!(installed.frozen)),
        ("test_paths".to_owned(), json!(recipe.test_paths)),
        ("left_out".to_owned(), Value::from(baseline.left_out())),
    ])
}
