//! Whether an instance is a task: its tests fail every time without the gold
//! patch and pass every time with it.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use swegym_core::format::instances;
use swegym_core::format::results::{Fields, JobOutput, Kept, Validated};
use swegym_core::{Fault, Instance};
use swegym_grade::evidence::{PatchOutcome, RunEnd, Structured};
use swegym_grade::flake::{self, Tally};
use swegym_grade::parser::Said;
use swegym_grade::witness::{self, Cost};
use swegym_grade::{Semantics, StatusMap};
use swegym_sandbox::Image;
use swegym_tasks::synth::statement::gate::{self, Author, Problem, Secrets};

use crate::answer::{self, Laid, Notes};
use crate::context::Context;
use crate::evaluate::{self, image_of};
use crate::launcher::Watcher;
use crate::plan::Tests;
use crate::probe::{self, Probe};
use crate::result::JobResult;
use crate::shell::must_run;
use crate::testing::{TestRun, run_launched, start, stop};

/// Prints what an agent could read the fix from: a second commit, tags,
/// remotes, logs, objects that nothing reaches, left-over heads.
const LEAKS: &str = "git rev-list --all --count | grep -vx 1; git tag; git remote; git stash list; \
find .git/logs -type f 2>/dev/null; ls .git/ORIG_HEAD .git/FETCH_HEAD .git/packed-refs.lock 2>/dev/null; \
git fsck --unreachable --no-reflogs --no-progress 2>/dev/null | grep unreachable; test -e .git/objects/info/alternates && echo alternates; true";

/// Measures each test.
const COSTS: &[(&str, &str)] = &[("swegym_costs", include_str!("launcher/swegym_costs.py"))];

/// How an instance is validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Runs of the tests without and with the gold patch.
    pub repeats: u32,
    /// Whether the tricks of [`crate::probe`] are tried on what is kept.
    pub probes: bool,
    /// What one test may take.
    pub bounds: TestBounds,
}

/// What one test may take with the gold patch: what takes more counts for nothing, and an
/// instance whose fix it would show is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TestBounds {
    /// Time.
    pub seconds: Option<u64>,
    /// Memory of its process at most, in MiB. It is known where swegym starts the runner.
    pub mebibytes: Option<u64>,
}

impl TestBounds {
    fn are_set(self) -> bool {
        self != Self::default()
    }

    fn allow(self, cost: Cost) -> bool {
        let is_within = |most: Option<u64>, cost: Option<u64>| cost <= most || most.is_none();
        is_within(self.seconds.map(|seconds| seconds.saturating_mul(1000)), cost.milliseconds)
            && is_within(self.mebibytes, cost.mebibytes)
    }
}

/// Runs the tests `repeats` times each without and with the gold patch; then, if
/// wanted, tries on what is kept whether it can be passed without a fix.
///
/// # Errors
/// Only faults; an instance that is no good is a result with its reason.
pub async fn validate(context: &Context, instance: &Instance, checks: Checks) -> Result<JobResult, Fault> {
    let validated = judged(context, instance, checks).await?;
    Ok(JobResult::of(JobOutput::Validated(validated)))
}

async fn judged(context: &Context, instance: &Instance, checks: Checks) -> Result<Validated, Fault> {
    let Checks { repeats, probes, bounds } = checks;
    let image = image_of(context, instance)?;
    let tests = Tests::of(instance, &image)?;
    if let Some(leak) = leak(context, &image).await? {
        return Ok(dropped("leaks", json!({"leak": leak})));
    }
    let gold = match Some(instance.gold_patch.as_str()).filter(|gold| !gold.trim().is_empty()) {
        Some(text) => match answer::read(text) {
            Ok(patch) => Some(patch),
            Err(outcome) => {
                return Ok(dropped("gold_does_not_apply", json!({"said": answer::words_of(&outcome)})));
            }
        },
        None => None,
    };
    let mut before = Vec::new();
    let mut after = Vec::new();
    let mut golden = Notes::default();
    for _ in 0..repeats {
        for (side, patch) in [("before", None), ("after", gold.as_ref())] {
            let watcher = Some(Watcher { modules: COSTS, data: None });
            let watcher = watcher.filter(|_| bounds.are_set() && side == "after");
            match tested(context, &image, &tests, instance, patch, watcher.as_ref()).await? {
                Err(refused) => return Ok(refused),
                Ok((run, notes)) => match unusable(&run, &tests, side == "before") {
                    Some(reason) => return Ok(dropped(reason, json!({"side": side}))),
                    None if side == "before" => before.push(run),
                    None => {
                        after.push(run);
                        golden = notes;
                    }
                },
            }
        }
    }
    match judge(instance, &tests, &before, &after, &golden, bounds) {
        (Some(kept), result) if probes => probed(context, &kept, &image, &tests, result).await,
        (_, result) => Ok(result),
    }
}

/// Drops an instance that a trick passes unseen. Others keep a note of what was
/// tried and what passed with a mark.
async fn probed(
    context: &Context,
    kept: &Instance,
    image: &Image,
    tests: &Tests,
    validated: Validated,
) -> Result<Validated, Fault> {
    let tried = probe::probe(context, kept, image, tests).await?;
    let probes = Some(tried.iter().map(Probe::to_json).collect());
    let unseen = tried.iter().find(|probe| probe.is_unseen());
    Ok(match unseen {
        Some(unseen) => Validated { probes, ..dropped("forgeable", json!({"probe": unseen.name})) },
        None => Validated { probes, ..validated },
    })
}

/// One run of the tests, the hidden ones among them, after a patch; or what an
/// instance is dropped for whose patches do not apply.
async fn tested(
    context: &Context,
    image: &Image,
    tests: &Tests,
    instance: &Instance,
    patch: Option<&answer::Answer>,
    watcher: Option<&Watcher>,
) -> Result<Result<(TestRun, Notes), Validated>, Fault> {
    let sandbox = start(context, image).await?;
    let laid = answer::lay_out(context, &sandbox, instance, &tests.plan, patch, watcher).await?;
    let (notes, launch) = match laid {
        Laid::Out(notes, launch) => (notes, launch),
        Laid::Failed(outcome) => {
            return Ok(Err(dropped("gold_does_not_apply", json!({"said": answer::words_of(&outcome)}))));
        }
        Laid::TestsFailed(words) => {
            return Ok(Err(dropped("test_patch_does_not_apply", json!({"said": words}))));
        }
    };
    let run = run_launched(context, &sandbox, tests, notes.not_collected(), &launch, watcher).await?;
    stop(sandbox).await?;
    Ok(Ok((run, notes)))
}

async fn leak(context: &Context, image: &Image) -> Result<Option<String>, Fault> {
    let sandbox = start(context, image).await?;
    let found = must_run(&sandbox, LEAKS, "looking for leaks").await?;
    stop(sandbox).await?;
    Ok((!found.trim().is_empty()).then(|| found.trim().to_owned()))
}

fn dropped(reason: &str, details: Value) -> Validated {
    let details = if let Value::Object(details) = details { details } else { Fields::new() };
    let kept = Kept::Dropped { reason: reason.to_owned(), details };
    Validated { kept, flakes: None, probes: None }
}

fn unusable(run: &TestRun, tests: &Tests, is_before: bool) -> Option<&'static str> {
    if run.end == RunEnd::TimedOut {
        return Some("timeout");
    }
    if run.limit_hit.is_some() {
        return Some("limit");
    }
    // Before the gold patch, hidden tests may ask for what is not there yet; where the
    // others run all the same, that is how they fail.
    let may_break = is_before && tests.go_on();
    let is_broken = !may_break && !run.collection_errors(tests).is_empty();
    // Where everything has to be built or loaded first, nothing may run at all.
    let is_silent = run.statuses(tests).is_empty() && !(is_before && tests.may_not_build());
    (is_silent || is_broken).then_some("collection_error")
}

/// Sorts the expected tests by what the repeats say; gives the instance with those
/// that count where it is kept.
fn judge(
    instance: &Instance,
    tests: &Tests,
    before: &[TestRun],
    golden_runs: &[TestRun],
    golden: &Notes,
    bounds: TestBounds,
) -> (Option<Instance>, Validated) {
    // Passing is by both witnesses; a map of only those makes one tally of it.
    let agreed = |runs: &[TestRun]| -> Vec<StatusMap> {
        runs.iter()
            .map(|run| {
                let passed: HashSet<String> = run.passed(tests).into_iter().collect();
                let statuses = run.statuses(tests);
                let counts =
                    |id: &str, s: &Said| s.status().is_none_or(|s| !s.is_pass()) || passed.contains(id);
                statuses.iter().filter(|(id, s)| counts(id, s)).map(|(id, s)| (id, s.clone())).collect()
            })
            .collect()
    };
    let (before, after) = (flake::tally(&agreed(before)), flake::tally(&agreed(golden_runs)));
    let always = |t: Option<&Tally>| t.is_some_and(|t| t.runs > 0 && t.passed == t.runs);
    let never = |t: Option<&Tally>| t.is_none_or(|t| t.passed == 0);
    let flaky = |id: &str| {
        before.get(id).is_some_and(|t| t.is_flaky()) || after.get(id).is_some_and(|t| t.is_flaky())
    };
    let mut kept = instance.clone();
    if !golden.as_gold().is_empty() {
        kept.extra.insert("gold_settings".into(), json!(golden.as_gold()));
    }
    let costly = costly(instance, golden_runs, bounds);
    let is_cheap = |test: &str| !costly.contains_key(test);
    kept.pass_to_pass.retain(|t| always(before.get(t)) && always(after.get(t)) && is_cheap(t));
    let mut flakes = flake_statistics(instance, &before, &after);
    if !costly.is_empty() {
        flakes["over_bounds"] = costly.iter().map(|(test, cost)| cost_row(test, *cost)).collect();
    }
    let flakes = Some(flakes);
    let first = |fails: &dyn Fn(&str) -> bool| instance.fail_to_pass.iter().find(|t| fails(t));
    let reason = if instance.fail_to_pass.is_empty() {
        Some(("no_failing_test", None))
    } else if let Some(test) = first(&|t| flaky(t)) {
        Some(("flaky", Some(test)))
    } else if let Some(test) = first(&|t| !never(before.get(t))) {
        Some(("does_not_fail", Some(test)))
    } else if let Some(test) = first(&|t| !always(after.get(t))) {
        Some(("gold_does_not_pass", Some(test)))
    } else {
        first(&|t| !is_cheap(t)).map(|test| ("over_bounds", Some(test)))
    };
    if let Some((reason, test)) = reason {
        return (None, Validated { flakes, ..dropped(reason, json!({"test": test})) });
    }
    if let Some(said) = golden_runs.iter().find_map(|run| refusal(&kept, tests, run)) {
        return (None, Validated { flakes, ..dropped("gold_is_not_resolved", json!({"said": said})) });
    }
    note_statement(&mut kept);
    let row = Kept::Kept(instances::fields(&kept));
    (Some(kept), Validated { kept: row, flakes, probes: None })
}

/// Expected tests that take more than they may, and the most that each took.
fn costly(instance: &Instance, golden_runs: &[TestRun], bounds: TestBounds) -> BTreeMap<String, Cost> {
    let mut costly = BTreeMap::new();
    for run in golden_runs.iter().filter(|_| bounds.are_set()) {
        let Structured::Cases(cases) = &run.structured else { continue };
        let second = witness::Structured::new(cases);
        for test in instance.expected_tests() {
            let cost = second.cost_of(test);
            if !bounds.allow(cost) {
                let most = costly.entry(test.to_owned()).or_insert(cost);
                *most = most.most(cost);
            }
        }
    }
    costly
}

fn cost_row(test: &str, cost: Cost) -> Value {
    json!({
        "test": test,
        "seconds": cost.milliseconds.map(|milliseconds| milliseconds as f64 / 1000.0),
        "mebibytes": cost.mebibytes,
    })
}

/// What is wrong with a statement stays with its row: whoever made the task may have
/// wanted it so. Statements of our own were held to more when they were written.
fn note_statement(instance: &mut Instance) {
    const NOTE: &str = "statement_problems";
    let tests: Vec<&str> = instance.fail_to_pass.iter().collect();
    let secrets = Secrets { tests: &tests, gold_patch: &instance.gold_patch };
    let found = gate::problems(&instance.problem_statement, Author::Person, secrets);
    let found: Vec<Value> = found.iter().map(Problem::to_json).collect();
    match found.is_empty() {
        true => instance.extra.remove(NOTE),
        false => instance.extra.insert(NOTE.to_owned(), Value::Array(found)),
    };
}

/// Why an evaluation of the gold patch that left this run would not resolve the
/// instance, though its tests pass.
fn refusal(instance: &Instance, tests: &Tests, run: &TestRun) -> Option<String> {
    let evidence = evaluate::evidence_of(tests, PatchOutcome::Applied, Some(run));
    let report = Semantics::V5.grade(instance, false, &evidence);
    let unsaid = || "not every expected test holds".to_owned();
    (!report.resolved()).then(|| report.reason.map_or_else(unsaid, |fault| fault.message))
}

/// Per test that is expected or unsteady: passes and runs on both sides, and
/// how large a rate of flaking these runs leave possible.
fn flake_statistics(
    instance: &Instance,
    before: &indexmap::IndexMap<String, Tally>,
    after: &indexmap::IndexMap<String, Tally>,
) -> Value {
    let expected = instance.expected_tests();
    let mut ids: Vec<&String> = before.keys().chain(after.keys()).collect();
    ids.sort();
    ids.dedup();
    let unsteady = |id: &&String| {
        instance.fail_to_pass.contains(id)
            || before.get(*id).is_some_and(|t| t.is_flaky())
            || after.get(*id).is_some_and(|t| t.is_flaky())
    };
    let side = |t: Option<&Tally>| t.map_or(json!(null), |t| json!({"passed": t.passed, "runs": t.runs}));
    let row = |id: &String| {
        let bound = after.get(id).map_or(1.0, |t| t.flake_rate_bound());
        json!({
            "test": id,
            "before": side(before.get(id)),
            "after": side(after.get(id)),
            "flake_rate_below": (bound * 1000.0).round() / 1000.0,
        })
    };
    let steady = ids.iter().filter(|id| expected.contains(id.as_str()) && !unsteady(id)).count();
    let shown: Vec<Value> = ids.into_iter().filter(unsteady).map(row).collect();
    json!({"tests": shown, "steady_tests": steady})
}
