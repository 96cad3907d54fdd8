//! A bug report from failing tests: the call, what came out, what was
//! expected. It names no file of the package, no line and no kind of bug: an
//! agent must find those itself.

use std::sync::LazyLock;

use regex::Regex;

/// How one test fails: what its own code shows. The observer (a pytest plugin,
/// [`OBSERVER`]) writes these; a traceback gives a poorer one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The failing statement of the test, with values for its variables.
    pub code: Option<String>,
    /// What the statement shows.
    pub symptom: Symptom,
}

/// What a failing statement shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Symptom {
    /// A computed value is not the expected one.
    Compared {
        /// The expression that was computed, if it is known.
        call: Option<String>,
        /// Its value.
        came: String,
        /// The value it should have.
        expected: String,
    },
    /// An exception of this class did not come.
    NotRaised(String),
    /// An exception came: class and message.
    Raised(String),
    /// A claim is false; its text, if known.
    Untrue(Option<String>),
}

impl Default for Symptom {
    fn default() -> Self {
        Self::Untrue(None)
    }
}

/// The observer's source, its module name, and the file it writes in the box.
pub const OBSERVER: &str = include_str!("observer.py");
/// See [`OBSERVER`].
pub const OBSERVER_MODULE: &str = "swegym_observer";
/// See [`OBSERVER`].
pub const OBSERVER_OUTPUT: &str = "/tmp/swegym/failures.jsonl";

/// Reads what the observer wrote: (test, failure). Lines that say nothing are
/// left out: the file comes from a box and may hold anything.
#[must_use]
pub fn read_observed(text: &str) -> Vec<(String, Failure)> {
    let read = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        let get = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let symptom = match (get("came"), get("expected"), get("not_raised"), get("error")) {
            (Some(came), Some(expected), ..) => Symptom::Compared { call: get("call"), came, expected },
            (_, _, Some(class), _) => Symptom::NotRaised(class),
            (_, _, _, Some(error)) => Symptom::Raised(error),
            _ => Symptom::Untrue(None),
        };
        Some((get("test")?, Failure { code: get("code"), symptom }))
    };
    text.lines().filter_map(read).collect()
}

/// A failure from a traceback in pytest's short form, or from unittest's.
#[must_use]
pub fn from_traceback(traceback: &str, message: &str) -> Failure {
    let code = frames(traceback).iter().rev().find(|f| f.in_tests).map(|f| f.code.join("\n"));
    let errors: Vec<&str> =
        traceback.lines().filter_map(|l| l.strip_prefix("E ").map(str::trim_start)).collect();
    let first = errors.first().copied().or_else(|| message.lines().next()).unwrap_or("").trim();
    Failure { code: code.filter(|c| !c.trim().is_empty()), symptom: symptom_of(first) }
}

/// Longest piece of code or value that is quoted.
const LONGEST: usize = 240;
/// How many failures a report shows.
const SHOWN: usize = 3;

/// The report.
#[must_use]
pub fn write(package: &str, version: &str, failures: &[Failure]) -> String {
    let mut symptoms: Vec<String> = Vec::new();
    for failure in failures {
        let symptom = describe(failure);
        if !symptoms.contains(&symptom) {
            symptoms.push(symptom);
        }
    }
    let more = symptoms.len().saturating_sub(SHOWN);
    symptoms.truncate(SHOWN);
    let mut text = format!("{package} {version} does not behave as it should.\n");
    for symptom in &symptoms {
        text.push('\n');
        text.push_str(symptom);
        text.push('\n');
    }
    if more > 0 {
        let (are, calls) = if more == 1 { ("is", "case") } else { ("are", "cases") };
        text.push_str(&format!("\nThere {are} {more} more {calls} like this.\n"));
    }
    text.push_str("\nThe behaviour described as expected is how it worked before. Everything else should stay as it is.\n");
    text
}

fn describe(failure: &Failure) -> String {
    let shown = failure.code.as_deref().map(block);
    match (&failure.symptom, shown) {
        (Symptom::Compared { call: Some(call), came, expected }, _) => {
            format!("Computing\n\n{}\n\ngives `{}`. Expected: `{}`.", block(call), clip(came), clip(expected))
        }
        (Symptom::Compared { came, expected, .. }, Some(code)) => {
            format!(
                "This should hold:\n\n{code}\n\nThe two sides are `{}` and `{}`.",
                clip(came),
                clip(expected)
            )
        }
        (Symptom::Compared { came, expected, .. }, None) => {
            format!("`{}` and `{}` should be equal and are not.", clip(came), clip(expected))
        }
        (Symptom::NotRaised(class), Some(code)) => {
            format!("This should raise `{class}`, but nothing is raised:\n\n{code}")
        }
        (Symptom::NotRaised(class), None) => format!("`{class}` should be raised, but nothing is."),
        (Symptom::Raised(error), Some(code)) => {
            format!("This should work:\n\n{code}\n\nInstead it raises `{}`.", clip(error))
        }
        (Symptom::Raised(error), None) => format!("An unexpected `{}` is raised.", clip(error)),
        (Symptom::Untrue(claim), code) => {
            let code = code.or_else(|| claim.as_deref().map(block)).unwrap_or_default();
            format!("This should hold and does not:\n\n{code}")
        }
    }
}

struct Frame {
    in_tests: bool,
    code: Vec<String>,
}

/// Frames of a short traceback: `path:line: in name`, then indented code.
fn frames(traceback: &str) -> Vec<Frame> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S.*\.py):\d+: "));
    let mut frames: Vec<Frame> = Vec::new();
    for line in traceback.lines() {
        if let Some(head) = HEAD.captures(line) {
            let in_tests = crate::recipe::belongs_to_tests(std::path::Path::new(&head[1]));
            frames.push(Frame { in_tests, code: Vec::new() });
        } else if line.starts_with("    ")
            && !is_underline(line)
            && let Some(frame) = frames.last_mut()
        {
            frame.code.push(line[4..].to_owned());
        }
    }
    frames
}

/// Python 3.11 and later underline the failing part.
fn is_underline(line: &str) -> bool {
    line.trim().chars().all(|c| matches!(c, '^' | '~')) && !line.trim().is_empty()
}

/// Reads the first line of an error. Which side of a comparison was computed
/// cannot be told from it.
fn symptom_of(first: &str) -> Symptom {
    static EQUAL: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:AssertionError: )?(?:assert (.+) == (.+)|(.+) != (.+))$"));
    static NOT_RAISED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"DID NOT RAISE <class '([\w.]+)'>|AssertionError: (\w+) not raised"));
    static ERROR: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^[A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt|Iteration)\b.*$")
    });
    if let Some(found) = NOT_RAISED.captures(first) {
        let class = found.get(1).or(found.get(2)).map_or("", |m| m.as_str());
        return Symptom::NotRaised(class.trim_start_matches("builtins.").to_owned());
    }
    if let Some(found) = EQUAL.captures(first) {
        let side = |a: usize, b: usize| {
            found.get(a).or(found.get(b)).map_or(String::new(), |m| m.as_str().to_owned())
        };
        return Symptom::Compared { call: None, came: side(1, 3), expected: side(2, 4) };
    }
    if !first.starts_with("AssertionError") && ERROR.is_match(first) {
        return Symptom::Raised(first.to_owned());
    }
    let claim = first.trim_start_matches("AssertionError: ").trim_start_matches("assert ");
    Symptom::Untrue((!claim.is_empty()).then(|| claim.to_owned()))
}

fn block(code: &str) -> String {
    let lines = code.lines().take(8).map(|l| format!("    {}", clip(l)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bounded, and without paths and line numbers, which would lead to the place.
fn clip(text: &str) -> String {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\w./-]*/[\w.-]+\.py(?::\d+)?|\bline \d+\b"));
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r" at 0x[0-9a-f]+"));
    let text = PLACE.replace_all(text, "…");
    // Addresses differ from run to run.
    let text = ADDRESS.replace_all(&text, "");
    if text.chars().count() <= LONGEST {
        return text.into_owned();
    }
    text.chars().take(LONGEST).chain("…".chars()).collect()
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
    Regex::new(text).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(traceback: &str) -> String {
        describe(&from_traceback(traceback, ""))
    }

    #[test]
    fn what_the_observer_saw_names_the_call_and_both_values() {
        let lines = r#"{"test": "t.py::a", "code": "assert add(1, 1) == 2", "call": "add(1, 1)", "came": "4", "expected": "2"}
{"test": "t.py::b", "code": "run([1])", "error": "KeyError: 'x'"}
{"test": "t.py::c", "code": "with raises(ValueError):\n    f(1)", "not_raised": "ValueError"}
{"test": "t.py::d", "code": "assert is_good(3)", "untrue": true}
not json
{"code": "no test"}"#;
        let failures: Vec<_> = read_observed(lines).into_iter().map(|(_, f)| f).collect();
        insta::assert_snapshot!(failures.iter().map(describe).collect::<Vec<_>>().join("\n--\n"));
    }

    #[test]
    fn tracebacks_show_the_tests_code_and_not_the_packages() {
        let text = check(
            "tests/test_a.py:7: in test_x\n    run(items)\n    ^^^^^^^^^^\nsrc/demo/core.py:31: in run\n    return helper[secret]\nE   KeyError: 'x'",
        );
        insta::assert_snapshot!(text);
        let text = check(
            "tests/test_a.py:7: in test_plural\n    assert pluralize(\"ox\") == \"oxen\"\nE   AssertionError: assert 'oxs' == 'oxen'",
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn places_and_addresses_are_left_out_and_long_values_cut() {
        assert_eq!(clip("boom in /opt/x/demo/core.py:31 <A at 0x7f00>"), "boom in … <A>");
        assert_eq!(clip("File \"demo/core.py\", line 3"), "File \"…\", …");
        assert_eq!(clip(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn the_report_is_whole() {
        let failure = |n: u32| Failure {
            code: None,
            symptom: Symptom::Compared {
                call: Some(format!("f({n})")),
                came: n.to_string(),
                expected: "1".into(),
            },
        };
        let failures: Vec<_> = (2..7).chain(2..3).map(failure).collect();
        insta::assert_snapshot!(write("demo", "1.2", &failures));
    }

    proptest::proptest! {
        #[test]
        fn any_traceback_is_described(text in "((tests/a.py:1: in x|    |E   |assert | == |AssertionError: |where |\\+  |DID NOT RAISE)|\\PC|\n){0,40}") {
            let _ = check(&text);
        }
    }
}
