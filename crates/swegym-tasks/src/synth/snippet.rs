//! Snippets: what a failing test shows, as lines that run without the tests.
//!
//! The observer ([`OBSERVER`]) makes them in the box while tests fail; a second
//! program ([`REPRODUCE`]) runs them on the mended and on the broken tree and
//! keeps those that tell the two apart. Both read what a repository wrote, so
//! what they say is read with care.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The observer's modules for the launcher, itself first.
pub const OBSERVER: &[(&str, &str)] = &[
    ("swegym_observer", include_str!("snippet/observer.py")),
    ("swegym_names", include_str!("snippet/names.py")),
    ("swegym_assertions", include_str!("snippet/assertions.py")),
    ("swegym_slices", include_str!("snippet/slices.py")),
    ("swegym_origins", include_str!("snippet/origins.py")),
];
/// The file that the observer writes in the box.
pub const OBSERVER_OUTPUT: &str = "/tmp/swegym/failures.jsonl";
/// Takes a [`question`] on its standard input, and says what [`read_reproduced`] reads.
pub const REPRODUCE: &str = include_str!("snippet/reproduce.py");

/// Longest snippet that is tried, in bytes: nobody reads a longer one.
const LONGEST: usize = 3000;

/// One way to show a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// Python, from its imports on.
    pub text: String,
    /// The class of the exception that should end it, where one should.
    pub raises: Option<String>,
    /// Whether it prints a claim that must be true where nothing is broken.
    pub holds: bool,
}

/// How a run of a snippet ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What it printed.
    pub output: String,
    /// The exception that ended it: class and message.
    pub error: Option<String>,
}

/// A snippet that shows the bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reproduced {
    /// Python, from its imports on.
    pub text: String,
    /// With the bug.
    pub before: Outcome,
    /// Without it.
    pub after: Outcome,
}

/// Reads what the observer wrote: a failing test, and the ways to show what it
/// shows, best first. Lines that say nothing are left out.
#[must_use]
pub fn read_observed(text: &str) -> Vec<(String, Vec<Snippet>)> {
    let snippet = |value: &Value| {
        let text = value["text"].as_str().filter(|text| text.len() <= LONGEST)?;
        let raises = value["raises"].as_str().map(str::to_owned);
        Some(Snippet { text: text.to_owned(), raises, holds: value["holds"] == true })
    };
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let snippets: Vec<Snippet> = value["scripts"].as_array()?.iter().filter_map(snippet).collect();
        (!snippets.is_empty()).then_some((value["test"].as_str()?.to_owned(), snippets))
    };
    text.lines().filter_map(read).collect()
}

/// The input of [`REPRODUCE`]: files as (path, mended, broken), and of each failing test
/// its ways to be shown. One case of each test comes before another of the same, and
/// short snippets before long ones.
#[must_use]
pub fn question(files: &[(&str, &str, &str)], failures: &[(&str, &[Snippet])], wanted: usize) -> String {
    let mut failures = failures.to_vec();
    failures.sort_by_key(|(_, group)| group.iter().map(|s| s.text.len()).min());
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &[Snippet])> = Vec::new();
    for (test, group) in failures {
        let case = cases.entry(test.split('[').next().unwrap_or(test)).or_default();
        ranked.push((*case, group));
        *case += 1;
    }
    ranked.sort_by_key(|(case, _)| *case);
    let snippet = |s: &Snippet| json!({"text": s.text, "raises": s.raises, "holds": s.holds});
    let groups: Vec<Vec<Value>> =
        ranked.iter().map(|(_, group)| group.iter().map(snippet).collect()).collect();
    let files: Vec<Value> = files
        .iter()
        .map(|(path, mended, broken)| json!({"path": path, "mended": mended, "broken": broken}))
        .collect();
    json!({"files": files, "groups": groups, "wanted": wanted}).to_string()
}

/// What [`REPRODUCE`] says; lines that say nothing are left out.
#[must_use]
pub fn read_reproduced(text: &str) -> Vec<Reproduced> {
    let outcome = |value: &Value| {
        let output = value["output"].as_str()?.to_owned();
        Some(Outcome { output, error: value["error"].as_str().map(str::to_owned) })
    };
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = value["text"].as_str()?.to_owned();
        Some(Reproduced { text, before: outcome(&value["before"])?, after: outcome(&value["after"])? })
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_box_says_is_read_and_the_rest_left_out() {
        let long = "x".repeat(LONGEST + 1);
        let text = format!(
            "{}\nnot json\n[]\n{}\n{}\n",
            json!({"test": "t.py::a", "scripts": [{"text": "print(1)\n", "raises": null}, {"text": "f()", "raises": "ValueError"}, 3]}),
            json!({"test": "t.py::b", "scripts": [{"text": long}]}),
            json!({"scripts": [{"text": "print(1)"}]}),
        );
        let observed = read_observed(&text);
        let found: Vec<_> = observed.iter().map(|(test, s)| (test.as_str(), s.len())).collect();
        assert_eq!(found, [("t.py::a", 2)]);
        assert_eq!(observed[0].1[1].raises.as_deref(), Some("ValueError"));
        let said = json!({"text": "f()", "before": {"output": "1\n", "error": null}, "after": {"output": "", "error": "E: x"}});
        let reproduced = read_reproduced(&format!("{said}\n{{\"text\": \"f()\"}}\n"));
        assert_eq!(reproduced.len(), 1);
        assert_eq!(reproduced[0].after.error.as_deref(), Some("E: x"));
    }

    #[test]
    fn short_snippets_and_other_tests_are_tried_first() {
        let group = |text: &str| vec![Snippet { text: text.to_owned(), raises: None, holds: false }];
        let groups = [group("print(f(1, 2, 3))"), group("print(f(1))"), group("print(f(12))")];
        let failures = [("t.py::b", &*groups[0]), ("t.py::a[1]", &*groups[1]), ("t.py::a[2]", &*groups[2])];
        let asked: Value = serde_json::from_str(&question(&[("a.py", "x", "y")], &failures, 3)).unwrap();
        let order: Vec<_> = (0..3).map(|i| asked["groups"][i][0]["text"].as_str().unwrap()).collect();
        assert_eq!(order, ["print(f(1))", "print(f(1, 2, 3))", "print(f(12))"]);
        assert_eq!(asked["files"][0], json!({"path": "a.py", "mended": "x", "broken": "y"}));
    }
}
