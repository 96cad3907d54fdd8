//! A bug report from failing tests: the call, what came out, what was
//! expected. It names no file of the package, no line and no kind of bug: an
//! agent must find those itself.

use std::sync::LazyLock;

use regex::Regex;

/// One failing test, as structured results give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The test's name, without file.
    pub name: String,
    /// The short message.
    pub message: String,
    /// The traceback, in pytest's short form.
    pub traceback: String,
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
    let frames = frames(&failure.traceback);
    let call = frames.iter().rev().find(|f| f.in_tests).map(|f| f.code.join("\n"));
    let errors: Vec<&str> =
        failure.traceback.lines().filter_map(|l| l.strip_prefix("E ").map(str::trim_start)).collect();
    let what = outcome(&errors, &failure.message);
    let code = call.map(|c| c.trim().to_owned()).filter(|c| !c.is_empty());
    match (what, code) {
        (Outcome::Compared { call: Some(call), came, wanted }, _) => {
            format!("Calling\n\n{}\n\ngives `{came}`. Expected: `{wanted}`.", block(&call))
        }
        (Outcome::Compared { call: None, came, wanted }, Some(code)) => {
            format!(
                "With this check\n\n{}\n\nwhat comes out is `{came}`. Expected: `{wanted}`.",
                block(&code)
            )
        }
        (Outcome::Compared { came, wanted, .. }, None) => {
            format!("What comes out is `{came}`. Expected: `{wanted}`.")
        }
        (Outcome::NotRaised(expected), Some(code)) => {
            format!("This should raise `{expected}`, but nothing is raised:\n\n{}", block(&code))
        }
        (Outcome::NotRaised(expected), None) => format!("`{expected}` should be raised, but nothing is."),
        (Outcome::Raised(error), Some(code)) => {
            format!("This should work:\n\n{}\n\nInstead it raises `{error}`.", block(&code))
        }
        (Outcome::Raised(error), None) => format!("An unexpected `{error}` is raised."),
        (Outcome::Untrue(claim), Some(code)) => {
            format!("This should hold:\n\n{}\n\nIt does not: {claim}.", block(&code))
        }
        (Outcome::Untrue(claim), None) => format!("This should hold and does not: {claim}."),
    }
}

enum Outcome {
    Compared { call: Option<String>, came: String, wanted: String },
    NotRaised(String),
    Raised(String),
    Untrue(String),
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

/// Reads pytest's `E` lines (assertion rewriting) and unittest's messages.
fn outcome(errors: &[&str], message: &str) -> Outcome {
    static EQUAL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:AssertionError: )?assert (.+) == (.+)$"));
    static UNITTEST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^AssertionError: (.+) != (.+)$"));
    static WHERE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\+\s+(?:where|and) (.+?) = (.+)$"));
    static NOT_RAISED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"DID NOT RAISE <class '([\w.]+)'>|AssertionError: (\w+) not raised"));
    static ERROR: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^([A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Interrupt|Iteration)\b.*)$")
    });
    let first = errors.first().copied().or_else(|| message.lines().next()).unwrap_or("").trim();
    if let Some(found) = NOT_RAISED.captures(first) {
        let class = found.get(1).or(found.get(2)).map_or("", |m| m.as_str());
        return Outcome::NotRaised(class.trim_start_matches("builtins.").to_owned());
    }
    if let Some(found) = EQUAL.captures(first) {
        let (left, right) = (clip(&found[1]), clip(&found[2]));
        for line in &errors[1.min(errors.len())..] {
            let Some(place) = WHERE.captures(line.trim()) else { continue };
            let (value, call) = (clip(&place[1]), clip(&place[2]));
            // The side that a call computed is what came out.
            if value == left {
                return Outcome::Compared { call: Some(call), came: left, wanted: right };
            }
            if value == right {
                return Outcome::Compared { call: Some(call), came: right, wanted: left };
            }
        }
        return Outcome::Compared { call: None, came: left, wanted: right };
    }
    if let Some(found) = UNITTEST.captures(first) {
        return Outcome::Compared { call: None, came: clip(&found[1]), wanted: clip(&found[2]) };
    }
    let claim = first.strip_prefix("AssertionError: ").unwrap_or(first);
    if first.starts_with("assert ") || first.starts_with("AssertionError") {
        return Outcome::Untrue(format!("`{}`", clip(claim.trim_start_matches("assert "))));
    }
    match ERROR.captures(first) {
        Some(found) => Outcome::Raised(clip(&found[1])),
        None => Outcome::Untrue(format!("`{}`", clip(first))),
    }
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
        describe(&Failure { name: "test".into(), message: String::new(), traceback: traceback.into() })
    }

    #[test]
    fn a_comparison_names_the_call_and_both_values() {
        let text = check(
            "tests/test_a.py:7: in test_plural\n    assert pluralize(\"ox\") == \"oxen\"\nE   AssertionError: assert 'oxs' == 'oxen'\nE     \nE     - oxen\nE     + oxs",
        );
        insta::assert_snapshot!(text, @r#"
        With this check

            assert pluralize("ox") == "oxen"

        what comes out is `'oxs'`. Expected: `'oxen'`.
        "#);
        let text = check(
            "tests/test_a.py:7: in test_add\n    assert 3 == add(1, 1)\nE   assert 3 == 4\nE    +  where 4 = add(1, 1)",
        );
        insta::assert_snapshot!(text, @"
        Calling

            add(1, 1)

        gives `4`. Expected: `3`.
        ");
    }

    #[test]
    fn errors_show_the_tests_code_and_not_the_packages() {
        let text = check(
            "tests/test_a.py:7: in test_x\n    run(items)\n    ^^^^^^^^^^\nsrc/demo/core.py:31: in run\n    return helper[secret]\nE   KeyError: 'x'",
        );
        insta::assert_snapshot!(text, @"
        This should work:

            run(items)

        Instead it raises `KeyError: 'x'`.
        ");
        let text = check(
            "tests/test_a.py:7: in test_x\n    with pytest.raises(ValueError):\nE   Failed: DID NOT RAISE <class 'ValueError'>",
        );
        insta::assert_snapshot!(text, @"
        This should raise `ValueError`, but nothing is raised:

            with pytest.raises(ValueError):
        ");
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
            name: format!("test_{n}"),
            message: String::new(),
            traceback: format!(
                "tests/test_a.py:7: in test_x\n    self.assertEqual(f({n}), 1)\nE   AssertionError: {n} != 1"
            ),
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
