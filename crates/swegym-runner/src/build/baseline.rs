//! One set of requirements, tried: what it installs, and what the tests say then.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Instant;

use regex::Regex;
use swegym_core::{Fault, TestRunner, TestStatus};
use swegym_grade::LogParser;
use swegym_grade::evidence::{RunEnd, Structured};
use swegym_grade::junit::Case;
use swegym_grade::witness;
use swegym_sandbox::Image;
use swegym_tasks::recipe::{self, Install, RequirementSet, Step, Way};

use super::install::{install, install_locked};
use super::installer::Refused;
use super::lock::Lock;
use super::search::{self, Stop};
use super::{Project, Trial, prepare};
use crate::context::Context;
use crate::plan::Suite;
use crate::shell::last_lines;
use crate::testing::{TestRun, run_tests, start, stop};

/// Runs of the untouched package's tests; only what passes in each can be an expectation.
const BASELINE_RUNS: u32 = 2;
/// Modules for want of which tests are skipped, as many as are added.
const MOST_SKIPPED: usize = 8;
/// How often tests that do not run may be mended.
const REPAIRS: usize = 3;
pub(super) const REPAIRED: &str = " + modules that the tests miss";

/// What failures say where a name or an address of the world is asked for.
const NO_NETWORK: [&str; 6] = [
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "nodename nor servname provided",
    "Failed to resolve",
    "No address associated with hostname",
];

/// An installed package: the image and how it was made.
#[derive(Clone)]
pub(super) struct Installed {
    pub(super) image: Image,
    pub(super) version: String,
    pub(super) suite: Suite,
    pub(super) commit: String,
    pub(super) set: RequirementSet,
    pub(super) way: Way,
    /// The versions that were chosen.
    pub(super) lock: Lock,
    /// Test files that cannot be collected, and are not asked for.
    pub(super) left_out: Vec<String>,
}

impl Installed {
    /// The same without these test files.
    fn without(&self, files: Vec<String>) -> Self {
        let mut suite = self.suite.clone();
        let arguments = &mut suite.command.arguments;
        // What is named is collected, ignored or not.
        arguments.retain(|word| !files.contains(word));
        arguments.extend(files.iter().map(|file| format!("--ignore={file}")));
        Self { left_out: files, ..self.clone() }.tested_by(suite)
    }

    /// The same with a parser that keeps names whole, where a test has one with a
    /// blank: the reference's first parser of pytest's logs cuts it there, another
    /// of its parsers does not.
    fn with_whole_names(self, run: &TestRun) -> Self {
        let Structured::Cases(cases) = &run.structured else { return self };
        let has_blanks = cases.iter().any(|case| case.name.contains(char::is_whitespace));
        if !has_blanks || self.suite.parser != LogParser::Pytest {
            return self;
        }
        let suite = Suite { parser: LogParser::PytestV2, ..self.suite.clone() };
        self.tested_by(suite)
    }

    fn tested_by(mut self, suite: Suite) -> Self {
        self.image.labels.insert(Suite::LABEL.to_owned(), suite.to_label());
        Self { suite, ..self }
    }
}

/// An installed package and the runs of its tests.
pub(super) struct Baseline {
    pub(super) installed: Installed,
    pub(super) runs: Vec<TestRun>,
}

impl Baseline {
    /// Whether the clock ended a run: another set or remedy would take as long.
    pub(super) fn is_cut(&self) -> bool {
        self.runs.iter().any(is_cut)
    }

    /// Tests that pass in every run.
    pub(super) fn passing(&self) -> Vec<String> {
        let mut runs = self.runs.iter().map(|run| run.passed(&self.installed.suite.tests()));
        let first = runs.next().unwrap_or_default();
        runs.fold(first, |all, run| all.into_iter().filter(|test| run.contains(test)).collect())
    }

    /// Whether every test file is there, and something passes.
    pub(super) fn is_whole(&self) -> bool {
        let collected = |run: &TestRun| run.collection_errors(&self.installed.suite.tests()).is_empty();
        self.installed.left_out.is_empty() && !self.passing().is_empty() && self.runs.iter().all(collected)
    }

    /// Whether most tests that were run pass.
    pub(super) fn is_mostly_passing(&self) -> bool {
        2 * self.passing().len() > self.named().len()
    }

    /// Test files that cannot be collected, and tests that do not pass every time: what
    /// nothing is expected of.
    pub(super) fn left_out(&self) -> Vec<String> {
        let passing: BTreeSet<String> = self.passing().into_iter().collect();
        let tests = self.named().into_iter().filter(|test| !passing.contains(test));
        self.installed.left_out.iter().cloned().chain(tests).collect()
    }

    /// Tests that fail for want of a network, as they say: boxes have none.
    pub(super) fn need_network(&self) -> Vec<String> {
        let Some(run) = self.runs.first() else { return Vec::new() };
        let Structured::Cases(cases) = &run.structured else { return Vec::new() };
        let says_so = |case: &Case| {
            let is_failure = matches!(case.status, TestStatus::Failed | TestStatus::Error);
            is_failure
                && NO_NETWORK.iter().any(|words| case.text.contains(words) || case.message.contains(words))
        };
        let lacking: BTreeSet<(&str, &str)> = cases
            .iter()
            .filter(|case| says_so(case))
            .map(|case| (case.classname.as_str(), case.name.as_str()))
            .collect();
        let is_lacking = |id: &String| {
            witness::split_id(id)
                .is_some_and(|(class, name)| lacking.contains(&(class.as_str(), name.as_str())))
        };
        self.left_out().into_iter().filter(is_lacking).collect()
    }

    /// What failing tests of the first run say.
    pub(super) fn said_of_failures(&self) -> String {
        self.runs.first().map(said_of_failures).unwrap_or_default()
    }

    /// The tests that some run names and does not skip.
    fn named(&self) -> BTreeSet<String> {
        let mut named = BTreeSet::new();
        for run in &self.runs {
            let statuses = run.statuses(&self.installed.suite.tests());
            let ran = statuses.iter().filter(|(_, said)| said.status() != Some(TestStatus::Skipped));
            named.extend(ran.map(|(test, _)| test.to_owned()));
        }
        named
    }
}

/// Installs one requirement set and runs the baseline; for what fails the next remedy is
/// taken, modules that failing tests miss are added by name, and the whole is tried again
/// until `ends`. What passed before is kept where that does not help.
pub(super) async fn install_and_test(
    project: &Project<'_>,
    set: &RequirementSet,
    way: &mut Way,
    preferred: &[String],
    ends: Instant,
) -> Result<Baseline, Stop> {
    let infrastructure = |fault: Fault| Stop::Refused(Refused::at(Step::Tests)(fault));
    let mut best = try_set(project, set, way, preferred).await?;
    for _ in 0..REPAIRS {
        if Instant::now() > ends || is_cut(&best.1) {
            break;
        }
        let Some((next, mut tried)) = repaired(project, &best.0, &best.1).await else { break };
        if tried.python_below != way.python_below {
            *way = tried;
            return Err(Stop::OlderPython);
        }
        // What served so far serves on.
        let served = best.0.lock.packages.clone();
        match try_set(project, &next, &mut tried, &served).await {
            Ok(repaired) if passes(&repaired) >= passes(&best) => best = repaired,
            Err(Stop::Refused(refused)) if refused.fault.boundary.is_infrastructure() => {
                return Err(Stop::Refused(refused));
            }
            Ok(_) | Err(_) => break,
        }
    }
    way.clone_from(&best.0.way);
    of_tried(project, best).await.map_err(infrastructure)
}

/// Installs what a recipe says.
pub(super) async fn install_said(project: &Project<'_>, said: &Install) -> Result<Installed, Fault> {
    let set = RequirementSet {
        from: said.requirements_from.clone(),
        requirements: Vec::new(),
        extras: Vec::new(),
        until: said.until.clone(),
    };
    let lock = Lock { packages: said.packages.clone() };
    install_locked(project, &set, &said.way, lock).await.map_err(|refused| refused.fault)
}

/// The same, and runs the baseline.
pub(super) async fn install_as_said(project: &Project<'_>, said: &Install) -> Result<Baseline, Fault> {
    let installed = install_said(project, said).await?;
    let run = run_once(project, &installed).await?;
    of_tried(project, (installed.with_whole_names(&run), run)).await
}

/// The baseline of what was run once.
async fn of_tried(project: &Project<'_>, tried: (Installed, TestRun)) -> Result<Baseline, Fault> {
    let (installed, first) = tried;
    if is_cut(&first) {
        return Ok(Baseline { installed, runs: vec![first] });
    }
    let (installed, first) = leave_out(project, installed, first).await?;
    // Where nothing passes once, nothing passes always.
    let count = if first.passed(&installed.suite.tests()).is_empty() { 1 } else { BASELINE_RUNS };
    let mut runs = vec![first];
    while (runs.len() as u32) < count {
        runs.push(run_once(project, &installed).await?);
    }
    Ok(Baseline { installed, runs })
}

/// What may help a run: modules that it misses, or a remedy of the table.
async fn repaired(
    project: &Project<'_>,
    installed: &Installed,
    run: &TestRun,
) -> Option<(RequirementSet, Way)> {
    let (mut set, mut way) = (installed.set.clone(), installed.way.clone());
    // Hidden tests are few: what skips one may skip what the gold patch mends.
    let skips = if project.is_of_many() { said_of_skips(run) } else { String::new() };
    let skipped = known_projects(project.context, missing_modules(&skips, &set)).await;
    let mut missing = known_projects(project.context, missing_modules(&said_of_failures(run), &set)).await;
    // Nobody waits for a compiler where tests can do without.
    way.wheels_only.extend(skipped.iter().filter(|name| !missing.contains(name)).cloned());
    missing.extend(skipped);
    missing.dedup();
    if !missing.is_empty() {
        set.from = set.from.trim_end_matches(REPAIRED).to_owned() + REPAIRED;
        set.requirements.extend(missing);
        return Some((set, way));
    }
    let tests = installed.suite.tests();
    let starts = !run.passed(&tests).is_empty() && run.collection_errors(&tests).is_empty();
    let is_taken = search::take(project, &mut way, Step::Tests, &said_of_failures(run));
    // Single tests may speak of anything; another interpreter or command is for all of them.
    let is_for_all = way.python_below != installed.way.python_below
        || way.without_options != installed.way.without_options;
    (is_taken && !(starts && is_for_all)).then_some((set, way))
}

/// Installs a set, with remedies for what fails, and runs its tests once.
async fn try_set(
    project: &Project<'_>,
    set: &RequirementSet,
    way: &mut Way,
    preferred: &[String],
) -> Result<(Installed, TestRun), Stop> {
    loop {
        match install(project, set, way.clone(), preferred).await {
            Ok(installed) => {
                way.clone_from(&installed.way);
                let run = run_once(project, &installed).await;
                let run = run.map_err(|fault| Stop::Refused(Refused::at(Step::Tests)(fault)))?;
                return Ok((installed.with_whole_names(&run), run));
            }
            Err((refused, mut tried)) => {
                let below = way.python_below.clone();
                let is_mended = search::mend(project, &mut tried, &refused);
                *way = tried;
                if !is_mended {
                    return Err(Stop::Refused(refused));
                }
                if way.python_below != below {
                    return Err(Stop::OlderPython);
                }
            }
        }
    }
}

fn is_cut(run: &TestRun) -> bool {
    run.end == RunEnd::TimedOut
}

fn passes((installed, run): &(Installed, TestRun)) -> usize {
    run.passed(&installed.suite.tests()).len()
}

/// pytest runs nothing where one file cannot be collected. Such files are left
/// out, if the others then have a test that passes.
async fn leave_out(
    project: &Project<'_>,
    installed: Installed,
    first: TestRun,
) -> Result<(Installed, TestRun), Fault> {
    let broken = first.collection_errors(&installed.suite.tests());
    if broken.is_empty() || installed.suite.command.runner != TestRunner::Pytest {
        return Ok((installed, first));
    }
    let named = &project.recipe.test_paths;
    // Nothing that was asked for is left: without a name, all tests would run.
    if !named.is_empty() && named.iter().all(|path| broken.contains(path)) {
        return Ok((installed, first));
    }
    let rest = installed.without(broken);
    let run = run_once(project, &rest).await?;
    let passes = !run.passed(&rest.suite.tests()).is_empty();
    Ok(if passes { (rest, run) } else { (installed, first) })
}

async fn run_once(project: &Project<'_>, installed: &Installed) -> Result<TestRun, Fault> {
    let Project { context, trial, .. } = project;
    match trial {
        Trial::Whole => {
            let sandbox = start(context, &installed.image).await?;
            let run = run_tests(context, &sandbox, &installed.suite.tests()).await?;
            stop(sandbox).await?;
            Ok(run)
        }
        Trial::Gold(instance) => prepare::run_gold(context, installed, instance).await,
    }
}

/// What to require for the modules that a text says are missing. A passing test's may speak of
/// one that is meant to be missing.
fn missing_modules(text: &str, set: &RequirementSet) -> Vec<String> {
    let mut missing: Vec<String> = Vec::new();
    for part in text.split("No module named ").skip(1) {
        let is_of_name = |c: &char| c.is_alphanumeric() || "_.".contains(*c);
        let name: String = part.trim_start_matches(['\'', '"']).chars().take_while(is_of_name).collect();
        let Some(project) = recipe::project_of(&name).filter(|_| !name.is_empty()) else { continue };
        if !missing.contains(&project) && !set.requirements.contains(&project) {
            missing.push(project);
        }
    }
    missing
}

/// Why tests are skipped for want of a module, in the words of the import that fails: pytest
/// tells the module, a project's own reason its name.
fn said_of_skips(run: &TestRun) -> String {
    static REASON: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"could not import '([\w.]+)'|\b([A-Za-z][\w-]+)(?: is| are)? not installed").ok()
    });
    let (Structured::Cases(cases), Some(reason)) = (&run.structured, REASON.as_ref()) else {
        return String::new();
    };
    let skipped = cases.iter().filter(|case| case.status == TestStatus::Skipped);
    let words = skipped.flat_map(|case| [case.message.as_str(), case.text.as_str()]);
    let modules = words.filter_map(|text| {
        let found = reason.captures(text)?;
        found.get(1).or(found.get(2)).map(|module| module.as_str())
    });
    let modules: BTreeSet<&str> = modules.collect();
    modules.into_iter().take(MOST_SKIPPED).map(|module| format!("No module named '{module}'\n")).collect()
}

/// The end of what the first test that fails says.
pub(super) fn first_failure(run: &TestRun) -> Option<String> {
    let Structured::Cases(cases) = &run.structured else { return None };
    let first = cases.iter().find(|case| matches!(case.status, TestStatus::Failed | TestStatus::Error))?;
    let said = if first.text.trim().is_empty() { &first.message } else { &first.text };
    Some(last_lines(said, 12))
}

/// What failing tests say, or a run without results.
fn said_of_failures(run: &TestRun) -> String {
    let is_failure = |case: &&Case| matches!(case.status, TestStatus::Failed | TestStatus::Error);
    match &run.structured {
        Structured::Cases(cases) if !cases.is_empty() => {
            let failures = cases.iter().filter(is_failure);
            failures.map(|case| format!("{}\n{}\n", case.message, case.text)).collect()
        }
        _ => run.log.clone(),
    }
}

/// Those that the index knows: a module need not be a project's.
async fn known_projects(context: &Context, requirements: Vec<String>) -> Vec<String> {
    let index = context.index.clone();
    let is_known = move |requirement: &String| {
        let name = requirement.split(['<', '=', '>']).next().unwrap_or(requirement);
        index.files(name).is_ok_and(|files| !files.is_empty())
    };
    let asked = tokio::task::spawn_blocking(move || requirements.into_iter().filter(is_known).collect());
    asked.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(log: &str, structured: Structured) -> TestRun {
        TestRun {
            log: log.into(),
            end: RunEnd::Exited(1),
            structured,
            junit: None,
            sites: Vec::new(),
            changed: Vec::new(),
            limit_hit: None,
            usage: json!(null),
        }
    }

    #[test]
    fn modules_that_failing_tests_miss_become_requirements_once() {
        let set = RequirementSet {
            from: String::new(),
            requirements: vec!["six".into()],
            extras: vec![],
            until: None,
        };
        let log = "E   ModuleNotFoundError: No module named 'dateutil'\nE  ModuleNotFoundError: No module named 'six'\nNo module named 'dateutil.tz'\nNo module named '_ctypes'\nNo module named \nNo module named 'pkg_resources'\n";
        let silent = run(log, Structured::Missing(String::new()));
        assert_eq!(
            missing_modules(&said_of_failures(&silent), &set),
            ["python-dateutil", "setuptools<82"],
            "{log}"
        );
        let case = |name: &str, status, text: &str| Case {
            classname: "t".into(),
            name: name.into(),
            status,
            message: String::new(),
            text: text.into(),
            suites: Vec::new(),
            may_have_subtests: false,
            milliseconds: None,
            mebibytes: None,
        };
        let cases = vec![
            case("a", TestStatus::Passed, "No module named 'nothing'"),
            case("b", TestStatus::Error, "No module named 'yaml'"),
        ];
        assert_eq!(missing_modules(&said_of_failures(&run(log, Structured::Cases(cases))), &set), ["pyyaml"]);
        let skipped = |message: &str| Case { message: message.into(), ..case("c", TestStatus::Skipped, "") };
        let skipped = [
            skipped("Skipped: could not import 'tables': something"),
            skipped("email_validator not installed"),
            skipped("not on this platform"),
        ];
        assert_eq!(
            missing_modules(&said_of_skips(&run("", Structured::Cases(skipped.into()))), &set),
            ["email-validator", "tables"]
        );
    }
}
