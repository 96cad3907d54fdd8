//! From a raw instance to one that can be run: its commit installed with what there was
//! on that day, and the tests that its gold patch makes pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::{Map, Value, json};
use swegym_core::format::instances;
use swegym_core::format::results::{Fields, JobOutput, Prepared};
use swegym_core::patch::FilePatch;
use swegym_core::{Boundary, Fault, ImageRef, Instance, Patch};
use swegym_mine::{Gaps, Kind, MARK_ABSENT, MineError, Repository, Split, export_whole};
use swegym_sandbox::store::LayerId;
use swegym_sandbox::{Image, SandboxError};
use swegym_tasks::package::{self, Package};
use swegym_tasks::recipe::{self, Install, Recipe, TestNames};

use super::adviser::{self, Adviser};
use super::baseline::{self, Baseline, Installed};
use super::gaps;
use super::search::{self, Found, Lesson, search};
use super::statement;
use super::{
    Project, SETS_TRIED, Trial, checkout, ecosystem, foundation, in_its_days, nothing_installs,
    nothing_passes,
};
use crate::answer::{self, Laid};
use crate::context::Context;
use crate::foundation::{Foundation, Wanted};
use crate::plan::{GOES_ON, Suite, WORKDIR};
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
    /// All repositories that are known, by their names: some may be submodules.
    pub others: Arc<BTreeMap<String, Repository>>,
    /// Where from it is known how to install it.
    pub known: Known,
    /// Whether all tests are run, rather than those of the files that the hidden tests bring
    /// or change.
    pub runs_all: bool,
    /// A model that is asked where the search finds nothing.
    pub adviser: Option<Adviser>,
}

impl Raw {
    /// Lays the base commit out in a folder, as a repository of that one commit, and its
    /// submodules in theirs.
    pub(super) fn export_to(&self, root: &Path) -> Result<Gaps, Fault> {
        let Self { repository, others, instance, .. } = self;
        let exported = export_whole(repository, &instance.base_commit, root, others);
        let gaps = exported.map_err(|error: MineError| {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            let message = format!("{error}{why}");
            // The disk's trouble is this machine's, and the same commit may be tried again.
            if ["No space left on device", "unable to write"].iter().any(|words| message.contains(words)) {
                return Fault::new(Boundary::Sandbox, "no_space", message)
                    .with_hint("free some space, then go on with --resume");
            }
            Fault::new(Boundary::Task, "no_base_commit", message).hinted_by(&error)
        })?;
        let patches = [&instance.gold_patch, &instance.test_patch].map(|text| Patch::survey(text));
        let mut changed =
            patches.iter().flatten().flat_map(|patch| patch.files.iter().flat_map(FilePatch::names));
        match changed.find(|path| gaps.absent_files.iter().any(|absent| absent.as_bytes() == *path)) {
            None => Ok(gaps),
            Some(path) => {
                let (place, path) = (repository.path().display(), String::from_utf8_lossy(path));
                let message = format!("`{place}` does not have what {path} holds");
                let hint = "it is a partial clone: clone it again without --filter";
                Err(Fault::new(Boundary::Task, "no_base_commit", message).with_hint(hint))
            }
        }
    }
}

/// What is known beforehand of how an instance is installed.
#[derive(Debug, Clone)]
pub enum Known {
    /// What earlier commits of the repository taught, if any came before.
    Lesson(Lesson),
    /// All of it, by a recipe that somebody gave.
    Recipe(Install),
    /// All of it and how its tests are run: only its image is made again.
    Made(Install, String),
}

/// Tests that are asked for by their names, at most.
const MOST_CASES: usize = 200;

/// Keeps the one commit that is there: what the build changed is put back, and what it
/// left is no change.
pub(super) fn keep_commit() -> String {
    format!(
        "set -e; read_commit() {{ git read-tree HEAD; {MARK_ABSENT}; }}; \
         read_commit; git update-index -q --refresh >/dev/null 2>&1 || true; \
         git ls-files -z -m | xargs -0 -r git checkout-index -f -q --; \
         git ls-files -z --others --exclude-standard | sed -z 's/[][*?\\\\ ]/\\\\&/g; s|^|/|' | tr '\\0' '\\n' >> .git/info/exclude; \
         rm -f .git/index; read_commit; git rev-parse HEAD"
    )
}

/// Makes the image of an instance's base commit, and the lists of its tests; or says why
/// it makes no task (it does not install, its tests do not pass with the gold patch, or
/// pass without it).
///
/// # Errors
/// Faults of the machinery.
pub async fn prepare(context: &Context, raw: &Arc<Raw>) -> Result<JobResult, Fault> {
    let prepared = match make_ready(context, raw).await {
        Ok(ready) => ready,
        Err(Fault { boundary: Boundary::Task, code, message, hint, .. }) => {
            Prepared::Dropped { reason: code, message, hint }
        }
        Err(fault) => return Err(fault),
    };
    Ok(JobResult::of(JobOutput::Prepared(prepared)))
}

async fn make_ready(context: &Context, raw: &Arc<Raw>) -> Result<Prepared, Fault> {
    if let Some(language) = ecosystem::language_of(raw).await? {
        return ecosystem::prepare(context, raw, language).await;
    }
    let source = unpack(context, raw).await?;
    let gaps = source.gaps.clone();
    from_source(context, raw, source).await.map_err(|fault| gaps::explain(fault, &gaps))
}

async fn from_source(context: &Context, raw: &Raw, source: Source) -> Result<Prepared, Fault> {
    let found = match &raw.known {
        Known::Made(install, tests) => return make_again(context, raw, &source, install, tests).await,
        Known::Recipe(install) => by_recipe(context, raw, &source, install).await,
        Known::Lesson(lesson) => by_search(context, raw, &source, lesson).await,
    };
    let judged = match found {
        Ok((baseline, foundation, refused)) => {
            judge(context, &raw.instance, &baseline).await.map(|task| (task, baseline, foundation, refused))
        }
        Err(fault) => Err(fault),
    };
    // A recipe that somebody gave is followed as it stands.
    let is_searched = matches!(raw.known, Known::Lesson(_));
    match (judged, &raw.adviser) {
        (Ok((task, baseline, foundation, refused)), _) => {
            let refused = refused.iter().map(|(from, fault)| json!({"from": from, "message": fault.message}));
            let more = ("does_not_install", refused.collect());
            finish(context, &source, task, (&baseline, &foundation), more).await
        }
        (Err(fault), Some(adviser)) if is_searched && adviser::may_help(&fault) => {
            let judge = |baseline, foundation| async move {
                let task = judge(context, &raw.instance, &baseline).await?;
                Ok((task, baseline, foundation))
            };
            let advised = adviser::ask(context, (raw, &source, adviser), fault, judge).await?;
            let (task, baseline, foundation) = advised.found;
            let more = ("proposals", advised.proposals);
            finish(context, &source, task, (&baseline, &foundation), more).await
        }
        (Err(fault), _) => Err(fault),
    }
}

/// The task that an installation makes: with the lists of tests that the gold patch mends,
/// and that pass on both sides.
async fn judge(context: &Context, instance: &Instance, baseline: &Baseline) -> Result<Instance, Fault> {
    let before = run(context, &baseline.installed, instance, false).await?;
    prepared(context, instance, baseline, &before)
}

/// The row of a task and that of its recipe, in which `more` is told if there is any.
async fn finish(
    context: &Context,
    source: &Source,
    task: Instance,
    (baseline, foundation): (&Baseline, &Foundation),
    (name, more): (&str, Vec<Value>),
) -> Result<Prepared, Fault> {
    let task = match statement::write(context, &baseline.installed, task.clone()).await {
        Ok(told) => told,
        Err(fault) if fault.boundary.is_infrastructure() => return Err(fault),
        // It is a task all the same.
        Err(_) => task,
    };
    let mut recipe = recipe_of(&source.package, &source.recipe, baseline, &foundation.version);
    if !more.is_empty() {
        recipe.insert(name.to_owned(), more.into());
    }
    gaps::note(&mut recipe, &source.gaps);
    Ok(Prepared::Ready { instance: instances::fields(&task), recipe })
}

/// The best that a search finds, on its interpreter, and what it could not install.
async fn by_search(
    context: &Context,
    raw: &Raw,
    source: &Source,
    lesson: &Lesson,
) -> Result<(Baseline, Foundation, Refusals), Fault> {
    let Source { package, recipe, .. } = source;
    let sets = &recipe.requirement_sets[..recipe.requirement_sets.len().min(SETS_TRIED)];
    // What is newer than the commit may install, and quietly lose tests: it is not tried
    // unless the user says so.
    let then = in_its_days(context, package, sets);
    let tried = if then.is_empty() { sets } else { &then };
    let served = lesson.python.clone().filter(|_| !lesson.packages.is_empty());
    let wanted = Wanted { below: lesson.way.python_below.clone(), served, ..source.wanted() };
    let mut foundation = foundation::lay(context, &wanted).await?;
    let mut lesson = lesson.clone();
    let Found { best, refused, way } = loop {
        let project = source.project(context, &foundation, &raw.instance);
        let found = search(&project, tried, &[], &lesson).await?;
        if found.best.is_some() || found.way.python_below == lesson.way.python_below {
            break found;
        }
        // What was chosen for one interpreter serves no other.
        lesson = Lesson { way: found.way.to_teach(), packages: Vec::new(), ..lesson };
        let older = Wanted { below: lesson.way.python_below.clone(), ..wanted.clone() };
        // Where there is none, the one that there is has to do.
        if let Ok(laid) = foundation::lay(context, &older).await {
            foundation = laid;
        }
    };
    let Some(baseline) = best else {
        return Err(search::told(nothing_installs(&package.name, &refused), &way));
    };
    if baseline.passing().is_empty() || baseline.is_cut() {
        let way = search::beyond(baseline.installed.way.clone(), &baseline.said_of_failures());
        let fault = nothing_passes(&package.name, &baseline.runs, &refused);
        return Err(search::told(search::explained(fault, &way), &way));
    }
    Ok((baseline, foundation, refused))
}

/// As a recipe says, whatever comes of it.
async fn by_recipe(
    context: &Context,
    raw: &Raw,
    source: &Source,
    install: &Install,
) -> Result<(Baseline, Foundation, Refusals), Fault> {
    let foundation = foundation::lay_named(context, &install.python).await?;
    let project = source.project(context, &foundation, &raw.instance);
    let baseline = baseline::install_as_said(&project, install).await?;
    if baseline.passing().is_empty() || baseline.is_cut() {
        return Err(nothing_passes(&source.package.name, &baseline.runs, &[]));
    }
    Ok((baseline, foundation, Vec::new()))
}

/// The image alone.
async fn make_again(
    context: &Context,
    raw: &Raw,
    source: &Source,
    install: &Install,
    tests: &str,
) -> Result<Prepared, Fault> {
    let foundation = foundation::lay_named(context, &install.python).await?;
    let project = source.project(context, &foundation, &raw.instance);
    let mut image = baseline::install_said(&project, install).await?.image;
    image.labels.insert(Suite::LABEL.to_owned(), tests.to_owned());
    image_alone(context, &raw.instance, &image)
}

/// What it is to have made nothing but the image of an instance.
pub(super) fn image_alone(context: &Context, instance: &Instance, image: &Image) -> Result<Prepared, Fault> {
    let digest = context.host.store().save_image(image).map_err(|e| SandboxError::from(e).to_fault())?;
    let image = Some(ImageRef::Store(digest.hex()).to_string());
    let instance = instances::fields(&Instance { image, ..instance.clone() });
    Ok(Prepared::Ready { instance, recipe: Fields::new() })
}

/// Sets of requirements that do not install, and why.
type Refusals = Vec<(String, Fault)>;

/// What an instance starts from.
pub(super) struct Source {
    pub(super) package: Package,
    pub(super) recipe: Recipe,
    pub(super) layer: LayerId,
    gaps: Gaps,
    /// What a model is told of it, if one may be asked.
    pub(super) shown: String,
}

impl Source {
    /// The interpreter that fits the project and its day.
    pub(super) fn wanted(&self) -> Wanted {
        let day = self.package.released.as_deref().and_then(|time| time.get(..10)).map(str::to_owned);
        Wanted { requires: self.recipe.requires_python.clone(), day, ..Wanted::default() }
    }

    /// It, to be installed on an interpreter and tried with an instance's gold patch.
    pub(super) fn project<'a>(
        &'a self,
        context: &'a Context,
        foundation: &'a Foundation,
        instance: &'a Instance,
    ) -> Project<'a> {
        let Self { package, recipe, layer, .. } = self;
        Project { context, foundation, source: *layer, package, recipe, trial: Trial::Gold(instance) }
    }
}

async fn unpack(context: &Context, raw: &Arc<Raw>) -> Result<Source, Fault> {
    let (raw, store, index) = (Arc::clone(raw), context.host.store().clone(), context.index.clone());
    let work = tokio::task::spawn_blocking(move || {
        let folder = store.work_folder().map_err(|e| SandboxError::from(e).to_fault())?;
        let (root, instance) = (folder.path().join("source"), &raw.instance);
        let gaps = raw.export_to(&root)?;
        let given = Path::new(instance.repo.rsplit('/').next().unwrap_or_default());
        let mut package = package::describe(root.clone(), given);
        package.released = checkout::committed(&root).and_then(|time| checkout::end_of_week(&time));
        // A version without a number but zeros is one that a tool fills in.
        if package.version.chars().all(|c| matches!(c, '0' | '.')) && !instance.version.is_empty() {
            package.version.clone_from(&instance.version);
        }
        let mut recipe = recipe::infer(&package.name, &root)
            .map_err(|e| Fault::new(Boundary::Task, "no_tests", e.to_string()).hinted_by(&e))?;
        recipe.run_by_pytest();
        // Modules of Python 2, and a plug-in's own name, are imported like any other.
        let unknown = |guess: &&String| {
            let name = guess.split(['<', '=', '>']).next().unwrap_or(guess);
            index.files(name).map_or_else(|error| !error.is_infrastructure(), |files| files.is_empty())
        };
        let wrong: BTreeSet<String> = recipe.guessed.iter().filter(unknown).cloned().collect();
        recipe.forget(&wrong);
        // Hidden tests may ask for what only the gold patch brings, and cannot be collected
        // without it; the others run all the same.
        recipe.options.push(GOES_ON.to_owned());
        let (files, cases) = (test_files(instance, &recipe.test_names), test_cases(instance));
        if raw.runs_all {
            // As the project runs them.
        } else if !files.is_empty() {
            recipe.test_paths = files;
        } else if !cases.is_empty() {
            recipe.options.extend(["-k".to_owned(), cases.join(" or ")]);
        }
        let layer = store.import_folder_at(&root, WORKDIR, |_| true);
        let shown = raw.adviser.as_ref().map(|_| adviser::describe(&root)).unwrap_or_default();
        let layer = layer.map_err(|e| SandboxError::from(e).to_fault())?;
        Ok(Source { package, recipe, layer, gaps, shown })
    });
    work.await.map_err(|e| Fault::new(Boundary::Internal, "panic", e.to_string()))?
}

/// The test files that the hidden tests bring or change; none where these are data or helpers
/// alone, and all tests have to run.
fn test_files(instance: &Instance, names: &TestNames) -> Vec<String> {
    let Ok(patch) = Patch::survey(&instance.test_patch) else { return Vec::new() };
    let is_test = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let by_kind = Split::Kinds.of_path(name) == Some(Kind::Test) && name != "conftest.py";
        name.ends_with(".py") && (by_kind || names.is_test(Path::new(path)))
    };
    let files = patch.files.iter().filter_map(|file| file.new_path.clone());
    let named: BTreeSet<String> = files.filter(|path| is_test(path)).collect();
    named.into_iter().collect()
}

/// The tests that data files of the hidden tests name in lines of their own, as suites have
/// them whose cases are data (`[case testUnion]`).
fn test_cases(instance: &Instance) -> Vec<String> {
    static CASE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?m)^\+\W{0,2}(?:\w+\s+|name\W+)?(test\w{3,})(?:-\w+)*\W*$").ok());
    let Some(case) = CASE.as_ref() else { return Vec::new() };
    let named = case.captures_iter(&instance.test_patch).map(|found| found[1].to_owned());
    let named: BTreeSet<String> = named.collect();
    named.into_iter().take(MOST_CASES).collect()
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
        let hint = match changes_compiled(&instance.gold_patch) {
            true => {
                "the gold patch changes sources that are compiled, and what is installed is not built again"
            }
            false => "the tests may need what this machine or the box lacks",
        };
        return Err(Fault::new(Boundary::Task, "no_failing_test", message).with_hint(hint));
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

/// Whether a patch changes what is compiled when the project is installed.
fn changes_compiled(patch: &str) -> bool {
    const COMPILED: [&str; 8] = [".c", ".h", ".cc", ".cpp", ".pyx", ".pxd", ".rs", ".f90"];
    Patch::survey(patch)
        .is_ok_and(|patch| patch.paths().any(|path| COMPILED.iter().any(|ending| path.ends_with(ending))))
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
        ("way".to_owned(), json!(installed.way)),
        ("frozen".to_owned(), json!(installed.lock.packages)),
        ("tests".to_owned(), json!(installed.suite.to_label())),
        ("layers".to_owned(), installed.image.layers.iter().map(|layer| layer.0.hex()).collect()),
        ("test_paths".to_owned(), json!(recipe.test_paths)),
        ("left_out".to_owned(), Value::from(baseline.left_out())),
        ("need_network".to_owned(), Value::from(baseline.need_network())),
    ])
}

#[cfg(test)]
mod tests {
    use swegym_core::format::instances::UnknownFields;

    use super::*;

    #[test]
    fn cases_of_data_are_named_by_lines_of_their_own() {
        let patch = "diff --git a/t/check.test b/t/check.test\n--- a/t/check.test\n+++ b/t/check.test\n@@ -1,1 +1,5 @@\n [case testOld]\n\
                     +[case testUnion]\n+x = testing(1)\n+[case testOther-skip]\n+- name: test_yaml\n+test\n";
        let row = json!({
            "instance_id": "a__b-1", "repo": "a/b", "base_commit": "", "patch": "", "test_patch": patch,
            "problem_statement": "", "FAIL_TO_PASS": [], "PASS_TO_PASS": [],
        });
        let instance = instances::read("r", &row.to_string(), UnknownFields::Refuse).unwrap().remove(0);
        assert_eq!(test_cases(&instance), ["testOther", "testUnion", "test_yaml"]);
    }
}
