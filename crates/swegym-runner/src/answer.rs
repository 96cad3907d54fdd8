//! From a patch to the tree that is tested: the answer applied, what decides
//! how it is tested taken out of it, the hidden tests put on.
//!
//! All of that happens to lists of files in a repository of ours; the working
//! folder sees only the outcome.

mod names;
mod profile;
mod repository;
mod tree;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swegym_core::conduct::patch::module_of_examples;
use swegym_core::patch::CANNOT_BE_LAID_OUT;
use swegym_core::{Boundary, Fault, Hint as _, Instance, Patch, TestPlan};
use swegym_grade::evidence::PatchOutcome;
use swegym_sandbox::Sandbox;

use crate::context::Context;
use crate::launcher::{Launch, Watcher};
pub use names::Names;
use profile::{Case, Counted, Profile};
use repository::{Repository, Which};
use tree::Tree;

/// What became of an answer in a box.
pub(crate) enum Laid {
    /// It lies in the working folder, with the hidden tests, as far as it counts, and
    /// what runs them is there.
    Out(Notes, Launch),
    /// It does not apply, or what it makes cannot be made in the box.
    Failed(PatchOutcome),
    /// The hidden tests do not apply, in the words of the first way. They are put
    /// on files of the base commit, whatever the answer made of those, so it is
    /// not the answer's doing.
    TestsFailed(String),
}

/// The option by which pytest collects every module.
const DOCTESTS: &str = "--doctest-modules";

/// What was said of a patch that is not on.
pub(crate) fn words_of(outcome: &PatchOutcome) -> &str {
    match outcome {
        PatchOutcome::Refused(_, words, _) | PatchOutcome::Failed(words) => words,
        PatchOutcome::Absent | PatchOutcome::Applied => "",
    }
}

/// Why a section of an answer is not there.
const WITHOUT_CONTENTS: &str = "without_contents";

/// What of an answer does not count, or counts only because the gold patch does the same.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    left_out: Vec<(String, &'static str)>,
    kept_for_gold: Vec<String>,
    not_collected: Vec<String>,
}

impl Notes {
    /// The field beside a report; nothing where everything counts as anywhere.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let left_out = self.left_out.iter().map(|(path, reason)| json!({"path": path, "reason": reason}));
        let left_out: Vec<Value> = left_out.collect();
        (!left_out.is_empty() || !self.kept_for_gold.is_empty())
            .then(|| json!({"left_out": left_out, "as_gold": self.kept_for_gold}))
    }

    /// The answer's modules with names of tests: what pytest collects can bring plug-ins.
    pub(crate) fn not_collected(&self) -> &[String] {
        &self.not_collected
    }

    /// Paths that decide how it is tested, and that the gold patch changes.
    pub(crate) fn as_gold(&self) -> &[String] {
        &self.kept_for_gold
    }
}

/// An answer as it is applied.
pub(crate) struct Answer {
    patch: Patch,
    /// Files of sections that were left out, because their contents are missing.
    without_contents: Vec<String>,
}

/// Reads an answer. Sections of binary files whose contents are missing are
/// left out where there are others, as GNU patch does it, and named.
///
/// # Errors
/// What it is refused for.
pub(crate) fn read(answer: &str) -> Result<Answer, PatchOutcome> {
    let refused = |why: swegym_core::patch::PatchError| {
        PatchOutcome::Refused(why.code().into(), why.to_string(), why.hint().unwrap_or_default().into_owned())
    };
    let mut patch = Patch::survey(answer).map_err(refused)?;
    if patch.files.iter().all(|file| file.lacks_contents()) {
        let patch = Patch::parse(answer).map_err(refused)?;
        return Ok(Answer { patch, without_contents: Vec::new() });
    }
    let lacking = patch.files.iter().filter(|file| file.lacks_contents());
    let without_contents = lacking.map(|file| file.path().to_owned()).collect();
    patch.files.retain(|file| !file.lacks_contents());
    Ok(Answer { patch, without_contents })
}

/// Applies an answer (none, where there is nothing to apply) and the hidden
/// tests, makes the working folder of a fresh box the tree that is tested, and
/// puts there what runs the tests.
///
/// # Errors
/// Faults of the box or of the task.
pub(crate) async fn lay_out(
    context: &Context,
    sandbox: &dyn Sandbox,
    instance: &Instance,
    plan: &TestPlan,
    answer: Option<&Answer>,
    watcher: Option<&Watcher>,
) -> Result<Laid, Fault> {
    let without_contents = answer.map(|answer| answer.without_contents.as_slice()).unwrap_or_default();
    let answer = answer.map(|answer| &answer.patch);
    let hidden = match instance.test_patch.trim() {
        "" => None,
        _ => match Patch::parse(&instance.test_patch) {
            Ok(patch) => Some(patch),
            Err(why) => return Ok(Laid::TestsFailed(why.to_string())),
        },
    };
    if answer.is_none() && hidden.is_none() {
        return Ok(Laid::Out(Notes::default(), Launch::prepare(sandbox, plan, watcher, None).await?));
    }
    let profile = Profile::of(instance);
    let mut known = match answer {
        Some(patch) if profile.has_modules && may_bring_modules(patch) => {
            Some(context.names.of(sandbox, instance.image.as_deref().unwrap_or_default()).await?)
        }
        _ => None,
    };
    let (repository, mut exact) =
        Repository::open(sandbox, &instance.base_commit, hidden.as_ref(), answer).await?;
    let base = repository.base();
    let mut notes = Notes::default();
    let mut tree = base.clone();
    if let Some(patch) = answer {
        let answered = match repository.apply(Which::Answer, patch, &mut exact).await {
            Ok(Ok(tree)) => tree,
            Ok(Err(words)) => return Ok(Laid::Failed(PatchOutcome::Failed(words))),
            Err(fault) => return not_laid_out(fault, answer),
        };
        let gold = Patch::survey(&instance.gold_patch).ok();
        let (gold, tests) = (touched(gold.as_ref()), touched(hidden.as_ref()));
        let collects_modules = match plan {
            TestPlan::Command(command) => command.arguments.iter().any(|word| word == DOCTESTS),
            TestPlan::Script(script) => script.contains(DOCTESTS),
        };
        let expected = files_of_tests(instance);
        let case = Case {
            base,
            answered: &answered,
            patch,
            gold: &gold,
            tests: &tests,
            expected: &expected,
            collects_modules,
        };
        if profile.has_modules && known.is_none() && case.brings_modules() {
            match names::ask(sandbox).await {
                Ok(said) => known = Some(said.into()),
                Err(fault) => return not_laid_out(fault, answer),
            }
        }
        let counted = case.counted(profile, &known.unwrap_or_default());
        notes = Notes::of(&counted);
        notes.left_out.extend(without_contents.iter().map(|path| (path.clone(), WITHOUT_CONTENTS)));
        tree = counted.tree;
    }
    if let Some(patch) = &hidden {
        let paths = touched(Some(patch));
        // With nothing of the answer in their way, the tests come to what they come to
        // on the base commit.
        paths.iter().for_each(|path| clear(&mut tree, path, base));
    }
    if let Some(patch) = hidden.as_ref().filter(|_| !plan.lays_out(&instance.test_patch)) {
        let tested = match repository.apply(Which::Tests, patch, &mut exact).await {
            Ok(Ok(tree)) => tree,
            Ok(Err(words)) => return Ok(Laid::TestsFailed(words)),
            Err(fault) => return not_laid_out(fault, answer),
        };
        touched(Some(patch)).iter().for_each(|path| drop(tree.restore(path, &tested)));
    }
    let launch = match Launch::prepare(sandbox, plan, watcher, Some(base.listing())).await {
        Ok(launch) => launch,
        Err(fault) => return not_laid_out(fault, answer),
    };
    match repository.lay_out(&tree).await {
        Ok(()) => Ok(Laid::Out(notes, launch)),
        Err(fault) => not_laid_out(fault, answer),
    }
}

/// The files that expected tests say they are in. Modules with examples are the
/// product's.
fn files_of_tests(instance: &Instance) -> BTreeSet<Vec<u8>> {
    let tests = instance.fail_to_pass.iter().chain(instance.pass_to_pass.iter());
    let of_tests = tests.filter(|test| module_of_examples(test).is_none());
    of_tests.filter_map(|test| test.split_once("::")).map(|(file, _)| file.as_bytes().to_vec()).collect()
}

/// Whether a patch may bring code where there was none.
fn may_bring_modules(patch: &Patch) -> bool {
    patch
        .files
        .iter()
        .any(|file| file.symlink || file.old_path != file.new_path && file.path().ends_with(".py"))
}

/// Whose doing it is that a tree cannot be made in the box, for its names, its
/// size, or the time it takes: the answer's where there is one, for without it
/// the box held the base commit. A box that broke is nobody's.
fn not_laid_out(fault: Fault, answer: Option<&Patch>) -> Result<Laid, Fault> {
    if answer.is_none() || fault.boundary != Boundary::Task {
        return Err(fault);
    }
    let hint = "an answer has to fit into the box: change less, with shorter names";
    Ok(Laid::Failed(PatchOutcome::Refused(CANNOT_BE_LAID_OUT.into(), fault.message, hint.into())))
}

impl Notes {
    fn of(counted: &Counted) -> Self {
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        Self {
            left_out: counted.left_out.iter().map(|(path, reason)| (text(path), reason.code())).collect(),
            kept_for_gold: counted.kept_for_gold.iter().map(text).collect(),
            not_collected: counted.not_collected.iter().map(text).collect(),
        }
    }
}

/// The paths that a patch reads or writes.
fn touched(patch: Option<&Patch>) -> BTreeSet<Vec<u8>> {
    let files = patch.into_iter().flat_map(|patch| &patch.files);
    files.flat_map(|file| file.names().map(<[u8]>::to_vec)).collect()
}

/// Brings a path to what it is at the base commit, and takes away whatever
/// would be in the way of a file there.
fn clear(tree: &mut Tree, path: &[u8], base: &Tree) {
    let way: Vec<Vec<u8>> = tree.below(path).filter(|p| base.get(p).is_none()).cloned().collect();
    let above =
        tree::folders(path).filter(|f| tree.get(f).is_some() && base.get(f).is_none()).map(<[u8]>::to_vec);
    let way: Vec<Vec<u8>> = above.chain(way).collect();
    way.iter().for_each(|path| drop(tree.0.remove(path)));
    tree.restore(path, base);
}
