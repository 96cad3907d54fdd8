//! SWE-smith's runners (its `harness/log_parsers.py` at cf2e649): verbose
//! pytest, and a few projects with runners of their own.

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::session::Session;
use super::statuses;
use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::pattern::pattern;
use crate::parser::{Edition, Said, StatusMap};
use crate::text::{after_space, is_python_space, python_split, python_word};

/// The status that a text starts with, and what follows.
fn status_at_start(text: &str) -> Option<(TestStatus, &str)> {
    TestStatus::ALL.iter().find_map(|status| Some((*status, text.strip_prefix(status.as_str())?)))
}

/// A word that follows one character of white space.
fn word_after_space(text: &str) -> Option<&str> {
    let rest = after_space(text)?;
    rest.split(is_python_space).next().filter(|word| !word.is_empty())
}

/// `tests/a.py::test_b PASSED [ 1%]`: `^(\S+)(\s+)STATUS`.
pub(in crate::parser) fn pytest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let (mut map, mut session) = (StatusMap::default(), Session::new(edition));
    while let Some(line) = session.next_line(lines) {
        if !line.starts_with(is_python_space)
            && let Some((test, rest)) = python_word(line)
            && let Some((status, _)) = status_at_start(rest.trim_start_matches(is_python_space))
        {
            map.say(test, Said::Status(status));
        } else {
            session.see(line, &mut map);
        }
    }
    session.finish(&mut map);
    map
}

/// mypy: the last word of a line with a status anywhere.
pub(in crate::parser) fn mypy(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(needles!["PASSED", "FAILED"]) {
        let status = if line.contains("PASSED") { TestStatus::Passed } else { TestStatus::Failed };
        if let Some(test) = python_split(line).last() {
            map.say(test, Said::Status(status));
        }
    }
    map
}

/// python-slugify: `test_a (test.T) ... ok`.
pub(in crate::parser) fn slugify(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^([a-zA-Z0-9_\-,\.\s\(\)']+)\s\.{3}\s(ok|FAIL|ERROR)$"));
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(needles!["..."]) {
        if let Some(found) = RESULT.captures(line) {
            let status = match &found[2] {
                "ok" => TestStatus::Passed,
                "FAIL" => TestStatus::Failed,
                _ => TestStatus::Error,
            };
            map.say(&found[1], Said::Status(status));
        }
    }
    map
}

/// tornado: unittest's lines; failures by their headings.
pub(in crate::parser) fn tornado(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(needles!["... ok", " ... skipped ", "ERROR:", "FAIL:"]) {
        let before_dots = line.split(" ... ").next().unwrap_or(line);
        if line.ends_with("... ok") {
            map.say(before_dots, Said::Status(TestStatus::Passed));
        } else if line.contains(" ... skipped ") {
            map.say(before_dots, Said::Status(TestStatus::Skipped));
        } else if line.starts_with("ERROR:") || line.starts_with("FAIL:") {
            let name = python_split(line).skip(1).take(2).collect::<Vec<_>>().join(" ");
            map.say(name, Said::Status(TestStatus::Failed));
        }
    }
    map
}

/// paramiko: the status first.
pub(in crate::parser) fn paramiko(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(statuses()) {
        if let Some((status, rest)) = status_at_start(line)
            && let Some(test) = word_after_space(rest)
        {
            map.say(test, Said::Status(status));
        }
    }
    map
}

/// autograd: `[gw0] PASSED tests/a.py::test_b`.
pub(in crate::parser) fn autograd(lines: &mut Lines<'_>) -> StatusMap {
    static WORKER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[gw\d\]\s"));
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(statuses()) {
        if let Some(worker) = WORKER.find(line)
            && let Some((status, rest)) = status_at_start(&line[worker.end()..])
            && let Some(test) = word_after_space(rest)
        {
            map.say(test, Said::Status(status));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn read(parser: LogParser, log: &str) -> Vec<String> {
        let map = parser.parse(log);
        map.iter().map(|(test, said)| format!("{test}={}", said.status().unwrap().as_str())).collect()
    }

    #[test]
    fn every_runner_is_read() {
        let log =
            "t.py::a PASSED [ 1%]\nt.py::b[x]  \tFAILED\n t.py::c PASSED\nPASSED t.py::d\nt.py::a ERROR\n";
        assert_eq!(read(LogParser::SmithPytest, log), ["t.py::a=ERROR", "t.py::b[x]=FAILED"]);
        assert_eq!(
            read(LogParser::SmithMypy, "[gw0] PASSED m/t.py::a\nFAILED b\n"),
            ["m/t.py::a=PASSED", "b=FAILED"]
        );
        let log = "test_a (t.T) ... ok\ntest_b (t.T) ... FAIL\ntest:c ... ok\ntest_d ... ok \n";
        assert_eq!(read(LogParser::SmithSlugify, log), ["test_a (t.T)=PASSED", "test_b (t.T)=FAILED"]);
        let log = "test_a (t.T) ... ok\ntest_b ... skipped 'x'\nERROR: test_c (t.T) more\ntest_d ... FAIL\n";
        assert_eq!(
            read(LogParser::SmithTornado, log),
            ["test_a (t.T)=PASSED", "test_b=SKIPPED", "test_c (t.T)=FAILED"]
        );
        assert_eq!(
            read(LogParser::SmithParamiko, "PASSED a b\nPASSED  c\nXFAIL\td\n"),
            ["a=PASSED", "d=XFAIL"]
        );
        assert_eq!(read(LogParser::SmithAutograd, "[gw1] FAILED a\n[gw12] PASSED b\n"), ["a=FAILED"]);
    }
}
