//! What pytest says of its tests on lines that the reference passes over, and
//! whether the session came to its end.

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::statuses;
use crate::lines::Lines;
use crate::needles::{Needles, needles};
use crate::parser::pattern::pattern;
use crate::parser::{Edition, Said, StatusMap};
use crate::status_map::Lacking;
use crate::text::{python_split, python_word};

/// What headings and the last line begin and end with.
const RULE: &str = "====";
/// What the first heading of a session holds.
pub(super) const START: &str = "test session starts";
/// Lines between that and the number of tests, at most.
const HEAD: usize = 200;

/// One session, line by line. Says nothing for the editions of the reference.
#[derive(Default)]
pub(super) struct Session {
    edition: Edition,
    /// Sessions that were begun: of several no numbers are compared.
    begun: usize,
    /// Lines that are still looked at whatever they hold: the number of tests comes soon.
    head: usize,
    /// Tests that are to be run.
    collected: Option<u64>,
    /// Results by the last line.
    counted: Option<u64>,
    /// Whether that line counts failures or errors: after one the runner may have stopped,
    /// as it was told.
    has_failures: bool,
    /// Lines that say that a part of a test failed.
    parts: Vec<String>,
}

impl Session {
    pub(super) fn new(edition: Edition) -> Self {
        Self { edition, ..Self::default() }
    }

    /// What every line holds that says something.
    pub(super) fn needles(&self) -> &'static Needles {
        if self.edition < Edition::Own {
            return statuses();
        }
        needles!["PASSED", "FAILED", "SKIPPED", "ERROR", "XFAIL", "XPASS ", "SUBFAIL", RULE]
    }

    /// The next line that may say something.
    pub(super) fn next_line<'l>(&mut self, lines: &'l mut Lines<'_>) -> Option<&'l str> {
        if self.head == 0 {
            return lines.next_with(self.needles());
        }
        self.head -= 1;
        lines.next()
    }

    /// Takes in a line that has no status at its start.
    pub(super) fn see(&mut self, line: &str, map: &mut StatusMap) {
        if self.edition < Edition::Own {
            return;
        }
        match line.as_bytes().first() {
            Some(b'=') => self.see_rule(line),
            Some(b'c') if line.starts_with("collected ") => self.collect(collected(line)),
            Some(b'0'..=b'9') if line.ends_with(" items]") => self.collect(shared(line)),
            Some(b'X') if line.starts_with("XPASS ") => say_unexpected_pass(line, map),
            _ if line.contains("SUBFAIL") => self.parts.push(line.to_owned()),
            _ => {}
        }
    }

    fn collect(&mut self, tests: Option<u64>) {
        self.collected = self.collected.or(tests);
        self.head = 0;
    }

    /// `=== 2 failed, 1 passed in 0.10s ===`, and headings.
    fn see_rule(&mut self, line: &str) {
        static COUNT: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(\d+) (?:passed|failed|skipped|xfailed|xpassed|errors?)\b"));
        let line = line.trim_matches(['=', ' ']);
        if line == START {
            self.begun += 1;
            self.head = if self.collected.is_none() { HEAD } else { 0 };
        } else if line.contains(" in ") || line.starts_with("no tests ran") {
            let numbers = COUNT.captures_iter(line).filter_map(|found| found[1].parse::<u64>().ok());
            self.has_failures = line.contains(" failed") || line.contains(" error");
            self.counted = Some(numbers.sum());
        }
    }

    /// After the last line.
    pub(super) fn finish(self, map: &mut StatusMap) {
        for part in &self.parts {
            if let Some(test) = test_of_part(part, map).map(str::to_owned) {
                map.say(test, Said::Status(TestStatus::Failed));
            }
        }
        let Some(announced) = self.collected.filter(|_| self.begun < 2 && !self.has_failures) else { return };
        let told = self.counted.unwrap_or(map.len() as u64);
        if self.counted.is_none() && announced > 0 || told < announced {
            map.lack(Lacking { announced, told: told.min(announced) });
        }
    }
}

/// Whether a line says how many tests are to be run.
pub(super) fn counts(line: &str) -> bool {
    line.starts_with("collected ") || line.ends_with(" items]")
}

/// `collected 12 items / 1 error / 3 deselected / 9 selected`: those that are run.
fn collected(line: &str) -> Option<u64> {
    static COUNTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^collected (\d+) items?(.*)$"));
    static LEFT_OUT: LazyLock<Regex> = LazyLock::new(|| pattern(r"/ (\d+) deselected"));
    let found = COUNTS.captures(line)?;
    let left_out = LEFT_OUT.captures(&found[2]).and_then(|found| found[1].parse::<u64>().ok());
    Some(found[1].parse::<u64>().ok()?.saturating_sub(left_out.unwrap_or(0)))
}

/// `4 workers [12 items]`.
fn shared(line: &str) -> Option<u64> {
    static COUNT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d+ workers? \[(\d+) items\]$"));
    COUNT.captures(line)?[1].parse().ok()
}

/// A test that passed though it need not. Its line is the only one on it.
fn say_unexpected_pass(line: &str, map: &mut StatusMap) {
    let Some((_, rest)) = python_word(line) else { return };
    let whole = rest.split(" - ").next().unwrap_or_default().trim();
    let cut = python_word(whole).map(|(test, _)| test);
    // A whole name is for parsers that keep blanks, a cut one for those that do not.
    for test in [Some(whole), cut].into_iter().flatten().filter(|test| test.contains("::")) {
        if !map.contains_key(test) {
            map.say(test, Said::Status(TestStatus::Passed));
        }
    }
}

/// The test that a line on one of its parts is about: one that other lines name.
/// What the part is called stands before or after it, and may hold anything.
fn test_of_part<'l>(line: &'l str, map: &StatusMap) -> Option<&'l str> {
    let starts = python_split(line).filter(|word| word.contains("::")).map(|word| {
        let at = word.as_ptr() as usize - line.as_ptr() as usize;
        (word, &line[at..])
    });
    for (word, rest) in starts {
        let whole = rest.split(" - ").next().unwrap_or(rest).trim_end();
        if let Some(test) = [whole, word].into_iter().find(|test| map.contains_key(test)) {
            return Some(test);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::parser::{LogParser, Said};

    fn said(parser: LogParser, log: &str) -> Vec<(String, &'static str)> {
        let word = |said: &Said| said.status().map_or("?", |status| status.as_str());
        parser.parse(log).iter().map(|(test, said)| (test.to_owned(), word(said))).collect()
    }

    fn lacking(log: &str) -> Option<(u64, u64)> {
        LogParser::Pytest.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told))
    }

    #[test]
    fn a_part_that_failed_fails_its_test_whatever_it_is_called() {
        for line in [
            "SUBFAILED(i=1) a.py::T::t - AssertionError: 1 == 1",
            "SUBFAILED[step a::b] (x='c d') a.py::T::t - no",
            "[step] (i=1) SUBFAIL a.py::T::t - assert 0",
            "a.py::T::t SUBFAILED[x] (i=1)            [ 50%]",
            "a.py::T::t [x] (i=1) SUBFAIL             [ 50%]",
        ] {
            let log = format!("{line}\nPASSED a.py::T::t\nPASSED a.py::T::u\n");
            let (bad, good) = (("a.py::T::t".to_owned(), "FAILED"), ("a.py::T::u".to_owned(), "PASSED"));
            assert_eq!(said(LogParser::Pytest, &log), [bad.clone(), good.clone()], "{line}");
            assert_eq!(said(LogParser::PytestV2, &log).len(), 2, "{line}");
            assert!(said(LogParser::PytestV2, &log).contains(&bad), "{line}");
        }
        let whole = "PASSED a.py::t[x y]\nSUBFAILED(i=1) a.py::t[x y] - no\n";
        assert_eq!(said(LogParser::PytestV2, whole), [("a.py::t[x y]".to_owned(), "FAILED")]);
        assert_eq!(said(LogParser::Pytest, whole), [("a.py::t[x".to_owned(), "FAILED")]);
        // Of tests that nothing else names nothing is said.
        assert_eq!(said(LogParser::Pytest, "SUBFAILED(i=1) b.py::t - no\n"), []);
    }

    #[test]
    fn a_pass_that_was_not_expected_is_one() {
        let log = "XPASS a.py::t - known\nXPASS a.py::u\n";
        let passed = |test: &str| (test.to_owned(), "PASSED");
        assert_eq!(said(LogParser::Pytest, log), [passed("a.py::t"), passed("a.py::u")]);
        assert_eq!(said(LogParser::PytestV2, log), [passed("a.py::t"), passed("a.py::u")]);
    }

    #[test]
    fn a_session_that_ends_early_lacks_results() {
        let start = "===== test session starts =====\ncollected 12 items / 2 deselected / 10 selected\n\n";
        let end = "===== 1 failed, 8 passed, 1 xfailed, 3 subtests passed in 0.10s =====\n";
        assert_eq!(lacking(&format!("{start}{end}")), None);
        assert_eq!(lacking(start), Some((10, 0)));
        assert_eq!(lacking(&format!("{start}PASSED a.py::t\n")), Some((10, 1)));
        let few = "==== 3 passed, 2 warnings in 0.01s ====\n";
        assert_eq!(lacking(&format!("{start}{few}")), Some((10, 3)));
        assert_eq!(lacking(&format!("{start}==== 1 failed, 3 passed in 0.01s ====\n")), None);
        let broken = "!!!! Interrupted: 1 error during collection !!!!\n===== 1 error in 0.10s =====\n";
        assert_eq!(lacking(&format!("{start}{broken}")), None);
        // Of two sessions nobody knows which numbers belong together.
        assert_eq!(lacking(&format!("{start}{end}{start}{few}")), None);
        let shared = "===== test session starts =====\ncreated: 4/4 workers\n4 workers [12 items]\n..\n";
        assert_eq!(lacking(shared), Some((12, 0)));
        assert_eq!(lacking("===== no tests ran in 0.01s =====\n"), None);
        assert_eq!(lacking("PASSED a.py::t\n"), None);
    }
}
