//! Why a verdict is what it is: test by test, who said what and which rule
//! decided.

use swegym_core::{Instance, Names, TestStatus};

use super::judge::{List, Lookup, Rule, Statuses};
use super::{Second, Semantics, Structured};
use crate::evidence::Evidence;
use crate::parser::Said;

/// One expected test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `FAIL_TO_PASS` or `PASS_TO_PASS`.
    pub list: &'static str,
    /// Its id.
    pub test: String,
    /// The log's word.
    pub log: Option<String>,
    /// How it was found in the log.
    pub lookup: Lookup,
    /// The structured results' word; `None` where there are none, or nothing in them.
    pub structured: Option<TestStatus>,
    /// The rule that decided.
    pub rule: Rule,
    /// Whether it meets its expectation; `None` counts it nowhere.
    pub holds: Option<bool>,
}

/// Every expected test, in the order of the lists. Empty without a log.
#[must_use]
pub fn explain(semantics: Semantics, instance: &Instance, evidence: &Evidence) -> Vec<Explanation> {
    let Some(reading) = &evidence.reading else { return Vec::new() };
    let statuses = Statuses::new(semantics, instance, &reading.statuses);
    let second = match &evidence.structured {
        Structured::Cases(cases) => Second::of(evidence, cases),
        _ => None,
    };
    let word = |said: &Said| match said {
        Said::Status(status) => status.as_str().to_owned(),
        Said::Other(word) => word.clone(),
    };
    let line = |list: &'static str, test: &str, rule: Rule| {
        let (lookup, said) = statuses.find(test);
        let structured = second.as_ref().and_then(|second| second.status_of(test));
        let log = said.map(word);
        Explanation { list, test: test.to_owned(), log, lookup, structured, rule, holds: rule.holds() }
    };
    if let Some(expected) = statuses.expected() {
        let extra = reading.statuses.keys().filter(|test| !expected.contains_key(*test));
        let known = expected.iter().map(|(test, word)| {
            let said = reading.statuses.get(test).and_then(Said::status);
            (test.as_str(), said.is_some_and(|said| said.as_str() == word))
        });
        let all = known.chain(extra.map(|test| (test, false)));
        return all.map(|(test, is)| line("expected_output_json", test, Rule::AsExpected(is))).collect();
    }
    let lists = [
        ("FAIL_TO_PASS", List::FailToPass, &instance.fail_to_pass),
        ("PASS_TO_PASS", List::PassToPass, &instance.pass_to_pass),
    ];
    let each = |(name, list, tests): (&'static str, List, &Names)| {
        tests.iter().map(|test| line(name, test, statuses.decide(list, test))).collect::<Vec<_>>()
    };
    lists.into_iter().flat_map(each).collect()
}
