//! Expected tests against what was said of them (reference/grading.md,
//! section 4.5, rules 5 to 9).

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

use swegym_core::report::Sides;
use swegym_core::{Instance, Names, Resolution, TestStatus, TestsStatus};

use super::Semantics;
use crate::parser::{Said, StatusMap, names_failures_only};

/// The two lists of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Must flip.
    FailToPass,
    /// Must hold.
    PassToPass,
}

/// How a test was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By its name.
    Exact,
    /// Its name is cut inside its brackets, and all that start with it agree;
    /// the first of them.
    Prefix(String),
    /// The same, but they disagree.
    Divided,
    /// Not at all.
    Missing,
}

/// The rule that decided one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It passed, or failed as it should.
    Passed,
    /// It failed or broke.
    Failed,
    /// Nothing was said of it, which is a failure.
    Missing,
    /// Nothing was said of it, which is allowed.
    MissingAllowed,
    /// It was skipped, which keeps what held.
    SkippedHolds,
    /// It was skipped, which mends nothing.
    SkippedFails,
    /// It was skipped, and these rules count it nowhere.
    SkippedUncounted,
    /// A word that is no status, which these rules count nowhere.
    WordUncounted,
    /// Only failures are named, and it was not.
    NotNamed,
    /// These rules take nothing but a pass, and this was none.
    NotAPass,
    /// Its status is the expected one, or is not.
    AsExpected(bool),
}

impl Rule {
    /// Whether the test meets its expectation; `None` leaves it out of both lists.
    pub(super) fn holds(self) -> Option<bool> {
        match self {
            Self::Passed | Self::MissingAllowed | Self::SkippedHolds | Self::NotNamed => Some(true),
            Self::Failed | Self::Missing | Self::SkippedFails | Self::NotAPass => Some(false),
            Self::SkippedUncounted | Self::WordUncounted => None,
            Self::AsExpected(is) => Some(is),
        }
    }

    /// For people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Missing => "missing, which counts as failed",
            Self::MissingAllowed => "missing, which these rules allow",
            Self::SkippedHolds => "skipped, which keeps what held",
            Self::SkippedFails => "skipped, which mends nothing",
            Self::SkippedUncounted => "skipped, which these rules count nowhere",
            Self::WordUncounted => "no status, which these rules count nowhere",
            Self::NotNamed => "not among the failures",
            Self::NotAPass => "these rules take nothing but a pass",
            Self::AsExpected(true) => "the expected status",
            Self::AsExpected(false) => "not the expected status",
        }
    }
}

/// One set of statuses, looked up by one rule set.
pub(super) struct Statuses<'a> {
    semantics: Semantics,
    instance: &'a Instance,
    map: &'a StatusMap,
    fail_only: bool,
    /// Where the next test may stand in the log.
    next: Cell<usize>,
    /// Names in order, for prefixes.
    sorted: OnceCell<Vec<&'a str>>,
}

impl<'a> Statuses<'a> {
    pub(super) fn new(semantics: Semantics, instance: &'a Instance, map: &'a StatusMap) -> Self {
        let fail_only = fail_only(semantics, instance);
        Self { semantics, instance, map, fail_only, next: Cell::new(0), sorted: OnceCell::new() }
    }

    /// What was said of a test, and how it was found. Rule 5: exact; else, in
    /// the fifth edition and for a name cut inside its brackets, by prefix.
    pub(super) fn find(&self, test: &str) -> (Lookup, Option<&'a Said>) {
        if let Some((place, said)) = self.map.get_near(test, self.next.get()) {
            self.next.set(place + 1);
            return (Lookup::Exact, Some(said));
        }
        if self.semantics != Semantics::V5 || self.fail_only {
            return (Lookup::Missing, None);
        }
        if test.matches('[').count() <= test.matches(']').count() {
            return (Lookup::Missing, None);
        }
        let sorted = self.sorted.get_or_init(|| {
            let mut names: Vec<&str> = self.map.keys().collect();
            names.sort_unstable();
            names
        });
        let candidates = &sorted[sorted.partition_point(|name| *name < test)..];
        let candidates = &candidates[..candidates.partition_point(|name| name.starts_with(test))];
        // Of several the first in the log speaks.
        let first = candidates.iter().min_by_key(|name| self.map.place(name));
        let Some((name, said)) = first.and_then(|name| Some((*name, self.map.get(name)?))) else {
            return (Lookup::Missing, None);
        };
        let passes = |said: &Said| said.status().is_some_and(TestStatus::is_pass);
        if candidates.iter().filter_map(|name| self.map.get(name)).any(|s| passes(s) != passes(said)) {
            return (Lookup::Divided, None);
        }
        (Lookup::Prefix(name.to_owned()), Some(said))
    }

    /// The rule that decides a test of a list.
    pub(super) fn decide(&self, list: List, test: &str) -> Rule {
        decide(self.semantics, self.fail_only, list, self.find(test).1)
    }

    /// Both lists, sorted, and the resolution.
    pub(super) fn judge(&self) -> (TestsStatus, Resolution) {
        if let Some(expected) = self.expected() {
            return judge_exactly(&expected, self.map);
        }
        let sort = |list, tests: &Names| {
            // Most tests are as expected.
            let success = Names::with_capacity(tests.len(), tests.text_len());
            let mut sides = Sides { success, ..Sides::default() };
            for test in tests {
                match self.decide(list, test).holds() {
                    Some(true) => sides.success.push(test),
                    Some(false) => sides.failure.push(test),
                    None => {}
                }
            }
            sides
        };
        let status = TestsStatus {
            fail_to_pass: sort(List::FailToPass, &self.instance.fail_to_pass),
            pass_to_pass: sort(List::PassToPass, &self.instance.pass_to_pass),
            ..TestsStatus::default()
        };
        let resolution = match resolve(&status) {
            // Live's rows leave tests out of the report that must not be missing.
            Resolution::Full
                if self.semantics == Semantics::SweBenchLive
                    && status.fail_to_pass.success.len() < self.instance.fail_to_pass.len() =>
            {
                Resolution::No
            }
            resolution => resolution,
        };
        (status, resolution)
    }

    /// R2E-Gym: the statuses that a run must have, all of them and no others
    /// (reference/environments.md, section 1.5).
    pub(super) fn expected(&self) -> Option<BTreeMap<String, String>> {
        (self.semantics == Semantics::R2e).then(|| expected_statuses(self.instance))
    }

    /// Whether there are expected tests and statuses, and no test has one.
    pub(super) fn knows_none(&self) -> bool {
        let mut tests = self.instance.fail_to_pass.iter().chain(&self.instance.pass_to_pass).peekable();
        tests.peek().is_some()
            && !self.map.is_empty()
            && !self.fail_only
            && tests.all(|t| self.find(t).1.is_none())
    }

    /// Whether there are expected tests, and a log that names none says nothing of them.
    pub(super) fn needs_names(&self) -> bool {
        let Instance { fail_to_pass, pass_to_pass, .. } = self.instance;
        let are_some = !fail_to_pass.is_empty() || !pass_to_pass.is_empty();
        are_some && !self.fail_only
    }

    /// The first expected test that a second witness does not support: it does
    /// not meet the expectation there, or passes by this one's word alone.
    pub(super) fn unproven<'t>(
        &self,
        instance: &'t Instance,
        second: impl Fn(&str) -> Option<TestStatus>,
    ) -> Option<&'t str> {
        if self.semantics == Semantics::R2e {
            // Its names have no files, so that no case can be told from another.
            return None;
        }
        let passes = |status: Option<TestStatus>| status.is_some_and(TestStatus::is_pass);
        let holds = |list: List, test: &str| {
            let said = second(test);
            let is_claimed = passes(self.find(test).1.and_then(Said::status)) && !passes(said);
            let said = said.map(Said::Status);
            let rule = decide(self.semantics, self.fail_only, list, said.as_ref());
            !is_claimed && rule.holds().unwrap_or(said.is_some())
        };
        let flipped = instance.fail_to_pass.iter().find(|test| !holds(List::FailToPass, test));
        flipped.or_else(|| instance.pass_to_pass.iter().find(|t| !holds(List::PassToPass, t)))
    }

    /// An expected test that is said to have failed or broken.
    pub(super) fn failing(&self) -> Option<&'a str> {
        let mut tests = self.instance.fail_to_pass.iter().chain(&self.instance.pass_to_pass);
        let failed = |said: &Said| matches!(said.status(), Some(TestStatus::Failed | TestStatus::Error));
        tests.find(|test| self.find(test).1.is_some_and(failed))
    }
}

/// Rows of SWE-bench 5 say it; for older ones the repository does.
pub(super) fn fail_only(semantics: Semantics, instance: &Instance) -> bool {
    match (semantics, instance.eval_type.as_deref()) {
        (Semantics::V5 | Semantics::V4, Some(word)) if !word.is_empty() => word == "fail_only",
        (Semantics::V5 | Semantics::V4, _) => names_failures_only(&instance.repo),
        _ => false,
    }
}

/// Rules 6 to 8.
fn decide(semantics: Semantics, fail_only: bool, list: List, said: Option<&Said>) -> Rule {
    let status = said.map(Said::status);
    if fail_only {
        return if status == Some(Some(TestStatus::Failed)) { Rule::Failed } else { Rule::NotNamed };
    }
    match (semantics, status) {
        (Semantics::SweBenchLive, None) if list == List::PassToPass => Rule::MissingAllowed,
        // Their report omits it, and resolves nothing without it.
        (Semantics::SweBenchLive, None) => Rule::WordUncounted,
        (_, None) => Rule::Missing,
        (_, Some(Some(TestStatus::Passed))) => Rule::Passed,
        (Semantics::MultiSweBench | Semantics::Pro, _) => Rule::NotAPass,
        (Semantics::SweBenchLive, Some(Some(TestStatus::Skipped))) => Rule::SkippedUncounted,
        (_, Some(Some(TestStatus::XFail))) => Rule::Passed,
        (Semantics::SweBenchLive, _) => Rule::Failed,
        (_, Some(Some(TestStatus::Failed | TestStatus::Error))) => Rule::Failed,
        (Semantics::V5, Some(Some(TestStatus::Skipped))) if list == List::PassToPass => Rule::SkippedHolds,
        (Semantics::V5, Some(Some(TestStatus::Skipped))) => Rule::SkippedFails,
        (_, Some(Some(TestStatus::Skipped))) => Rule::SkippedUncounted,
        (_, Some(None)) => Rule::WordUncounted,
    }
}

/// Rule 9.
fn resolve(status: &TestsStatus) -> Resolution {
    let rate = |sides: &Sides| {
        let total = sides.success.len() + sides.failure.len();
        if total == 0 { 1.0 } else { sides.success.len() as f64 / total as f64 }
    };
    match (rate(&status.fail_to_pass), rate(&status.pass_to_pass)) {
        (f2p, p2p) if f2p >= 1.0 && p2p >= 1.0 => Resolution::Full,
        (f2p, p2p) if f2p > 0.0 && p2p >= 1.0 => Resolution::Partial,
        _ => Resolution::No,
    }
}

/// A name as R2E-Gym compares it: without colours and message.
fn bare_name(name: &str) -> String {
    let name = crate::text::without_escapes(name);
    name.split(" - ").next().unwrap_or_default().to_owned()
}

fn expected_statuses(instance: &Instance) -> BTreeMap<String, String> {
    let field = instance.extra.get("expected_output_json");
    let parsed = match field {
        Some(serde_json::Value::String(text)) => swegym_core::json::from_str(text).ok(),
        Some(value) => Some(value.clone()),
        None => None,
    };
    let Some(serde_json::Value::Object(statuses)) = parsed else {
        let lists = instance.fail_to_pass.iter().chain(&instance.pass_to_pass);
        return lists.map(|test| (bare_name(test), "PASSED".to_owned())).collect();
    };
    // In the order of the whole names, so that the last of equal short ones counts.
    let statuses: BTreeMap<String, serde_json::Value> = statuses.into_iter().collect();
    let word = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    statuses.into_iter().map(|(name, value)| (bare_name(&name), word(value))).collect()
}

fn judge_exactly(expected: &BTreeMap<String, String>, map: &StatusMap) -> (TestsStatus, Resolution) {
    let mut sides = Sides::default();
    for (test, word) in expected {
        let is = map.get(test).and_then(Said::status).is_some_and(|s| s.as_str() == word);
        if is { &mut sides.success } else { &mut sides.failure }.push(test);
    }
    sides.failure.extend(map.keys().filter(|test| !expected.contains_key(*test)));
    let resolved = sides.failure.is_empty() && !expected.is_empty();
    let status = TestsStatus { pass_to_pass: sides, ..TestsStatus::default() };
    (status, if resolved { Resolution::Full } else { Resolution::No })
}
