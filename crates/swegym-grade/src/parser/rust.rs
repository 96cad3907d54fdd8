//! Rust (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Edition, Lacking, Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{python_strip, python_word};

/// `test path::name ... ok`. Ignored tests, doctests and "should panic" tests
/// leave no entry; the crate is not part of the name. We read nextest's lines, too,
/// which the reference does not.
pub(super) fn cargo(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["test"], libtest);
    }
    let mut binaries = Binaries::default();
    let mut map = StatusMap::default();
    // nextest's first line says whose the next ones are.
    let mut is_nextest = false;
    while let Some(line) = if is_nextest { lines.next() } else { lines.next_with(needles!["test"]) } {
        let line = python_strip(line);
        let told = libtest(line).or_else(|| if is_nextest { nextest(line) } else { None });
        binaries.see(line, told.is_some());
        match told {
            Some((test, status)) => map.say(test, Said::Status(status)),
            None => is_nextest |= line.starts_with("Nextest run ID "),
        }
    }
    if let Some(lacking) = binaries.finish() {
        map.lack(lacking);
    }
    map
}

fn libtest(line: &str) -> Option<(&str, TestStatus)> {
    if !line.starts_with("test") {
        return None;
    }
    let (test, rest) =
        python_word(line).filter(|(word, _)| *word == "test").and_then(|(_, rest)| python_word(rest))?;
    let (dots, rest) = python_word(rest)?;
    let status = match python_word(rest)? {
        ("ok", "") => TestStatus::Passed,
        ("FAILED", "") => TestStatus::Failed,
        _ => return None,
    };
    (dots == "...").then_some((test, status))
}

/// `PASS [   0.004s] ( 1/12) pkg::binary path::name`; another word is how it failed.
fn nextest(line: &str) -> Option<(&str, TestStatus)> {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(PASS|LEAK|FAIL|ABORT|TIMEOUT|SIG[A-Z]+) \[ *[\d.]+s\] (?:\( *\d+/\d+\) )?\S+ (\S.*)$")
    });
    let found = RESULT.captures(line)?;
    let status = if matches!(&found[1], "PASS" | "LEAK") { TestStatus::Passed } else { TestStatus::Failed };
    Some((found.get(2)?.as_str(), status))
}

/// Each test binary says how many tests it runs, tells of each, and ends with a sum.
/// One that exits early, with whatever status, leaves out the rest.
#[derive(Default)]
struct Binaries {
    /// Announced and told, of the one that runs.
    open: Option<(u64, u64)>,
    early: Option<Lacking>,
}

impl Binaries {
    fn see(&mut self, line: &str, is_result: bool) {
        if is_result {
            self.count();
            return;
        }
        let announced = line.strip_prefix("running ").and_then(|rest| {
            let (count, word) = rest.split_once(' ')?;
            count.parse::<u64>().ok().filter(|_| matches!(word, "test" | "tests"))
        });
        if let Some(announced) = announced {
            self.close_early();
            self.open = Some((announced, 0));
        } else if line.contains("test result: ") {
            self.open = None;
        } else if line.starts_with("test ") && line.contains(" ... ") {
            self.count();
        }
    }

    fn count(&mut self) {
        if let Some((_, told)) = &mut self.open {
            *told += 1;
        }
    }

    fn close_early(&mut self) {
        if let Some((announced, told)) = self.open.take() {
            let before = self.early.unwrap_or(Lacking { announced: 0, told: 0 });
            let told = told.min(announced);
            self.early = Some(Lacking { announced: before.announced + announced, told: before.told + told });
        }
    }

    fn finish(mut self) -> Option<Lacking> {
        self.close_early();
        self.early
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn lacking(log: &str) -> Option<(u64, u64)> {
        LogParser::Cargo.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told))
    }

    #[test]
    fn a_binary_that_exits_early_lacks_results() {
        let first = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n";
        let sum = "test result: FAILED. 1 passed; 1 failed; 0 ignored\n";
        let second = "running 3 tests\ntest c ... ok\n";
        assert_eq!(lacking(&format!("{first}{sum}")), None);
        assert_eq!(lacking(first), Some((2, 2)));
        assert_eq!(lacking(&format!("{second}{first}{sum}")), Some((3, 1)));
        assert_eq!(lacking(&format!("{first}{sum}{second}")), Some((3, 1)));
        assert_eq!(lacking(&format!("{first}no line end{sum}")), None);
    }

    #[test]
    fn nextest_names_tests_as_cargo_does() {
        let log = "  Nextest run ID 1 with nextest profile: default\n    PASS [   0.004s] ( 1/12) pkg::bin tests::adds\n    FAIL [   0.1s] pkg same\n SIGABRT [ 0.1s] pkg::t aborts\n";
        let map = LogParser::Cargo.parse(log);
        let told: Vec<_> = map.iter().map(|(t, s)| (t, s.status().unwrap().as_str())).collect();
        assert_eq!(told, [("tests::adds", "PASSED"), ("same", "FAILED"), ("aborts", "FAILED")]);
    }
}
