//! Text that reads like what a test runner says.

/// What kind of result a text holds, if it does: lines of pytest, unittest, Go,
/// Rust, TAP and JUnit, SWE-bench's own marks, and the name of a file of results.
pub(super) fn result_line(text: &str) -> Option<&'static str> {
    // Longer ones are documents.
    if text.len() > 4000 {
        return None;
    }
    text.lines().find_map(kind)
}

fn kind(line: &str) -> Option<&'static str> {
    let line = line.trim();
    let has = |what: &str| line.contains(what);
    let starts = |what: &[&str]| what.iter().any(|what| line.starts_with(what));
    let status = |word: &str| matches!(word, "PASSED" | "FAILED" | "XPASS" | "XFAIL" | "ERROR" | "SKIPPED");
    let mut words = line.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let last = words.next_back().or(second).unwrap_or_default();
    if status(first) && second.is_some_and(names_test)
        || has("::") && (status(last) || second.is_some_and(status))
    {
        return Some("a result of pytest");
    }
    let ends_unittest = [" ... ok", " ... FAIL", " ... ERROR"].iter().any(|end| line.ends_with(end));
    if ends_unittest || line == "... ok" {
        return Some("a result of unittest");
    }
    if starts(&["Ran "]) && has(" test") && has(" in ") || starts(&["test result: ok", "test result: FAILED"])
    {
        return Some("a summary of tests");
    }
    let bar = line.trim_matches('=').trim();
    if (has(" passed in ") || has(" failed in "))
        && (line != bar || bar.starts_with(|c: char| c.is_ascii_digit() || "{%".contains(c)))
    {
        return Some("a summary of tests");
    }
    if starts(&["--- PASS:", "--- FAIL:", "=== RUN"]) || line.starts_with("ok  \t") {
        return Some("a result of Go");
    }
    let number = line.strip_prefix("not ok ").or(line.strip_prefix("ok "));
    if number.is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit() || "{%$#".contains(c))) {
        return Some("a result of TAP");
    }
    if starts(&["<testsuite", "<testcase", "</testsuite", "</testcase"])
        || has("<testcase ")
        || has("<testsuite ")
    {
        return Some("a result of JUnit");
    }
    if starts(&[">>>>> "]) {
        return Some("a mark of the harness");
    }
    let junit = has("junit") && has(".xml") || has("--junit") || has("/tmp/swegym");
    (junit && !line.contains(' ')).then_some("a file of results")
}

/// Whether a word is the id of a test, or is filled with one when the program runs.
fn names_test(word: &str) -> bool {
    let path = word.split("::").next().unwrap_or(word);
    word.contains("::")
        || path.ends_with(".py")
        || word.starts_with("test_")
        || word.contains(['{', '%', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_runners_are_known() {
        for (text, expected) in [
            ("PASSED tests/test_a.py::test_b", "a result of pytest"),
            ("tests/test_a.py::test_b PASSED [ 50%]", "a result of pytest"),
            ("\nFAILED {name}\n", "a result of pytest"),
            ("test_a (tests.A.test_a) ... ok", "a result of unittest"),
            ("Ran 3 tests in 0.001s", "a summary of tests"),
            ("===== 3 passed in 0.01s =====", "a summary of tests"),
            ("{n} passed in 0.01s", "a summary of tests"),
            ("--- PASS: TestA (0.00s)", "a result of Go"),
            ("test result: ok. 3 passed", "a summary of tests"),
            ("ok 1 - works", "a result of TAP"),
            ("<testcase classname=\"a\" name=\"b\"/>", "a result of JUnit"),
            (">>>>> Start Test Output", "a mark of the harness"),
            ("/tmp/swegym/junit.xml", "a file of results"),
        ] {
            assert_eq!(result_line(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_programs_say_is_not() {
        for text in [
            "",
            "PASSED",
            "all tests passed",
            "ok",
            "ok, done",
            "not ok",
            "Ran into trouble",
            "FAILED to open",
            "a::b",
            "use std::process::Command",
            "3 tests passed",
            "it passed in silence",
            "PASS: user:password",
            "ERROR reading file",
            "ERROR: {message}",
            "writes junit reports",
            "Skipped 3 files ...",
            "done ... okay",
        ] {
            assert_eq!(result_line(text), None, "{text}");
        }
    }
}
