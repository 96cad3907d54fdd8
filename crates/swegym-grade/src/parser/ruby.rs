//! Ruby (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{LogParser, StatusMap, by_line};
use crate::lines::Lines;

fn letter(letter: &str) -> TestStatus {
    match letter {
        "." => TestStatus::Passed,
        "O" => TestStatus::Skipped,
        _ => TestStatus::Failed,
    }
}

/// `Class#test. = 0.00 s = .`: the last `.`, `F` or `E` of the line counts.
pub(super) fn minitest(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.+)\. .*=.*(\.|F|E).*$"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        Some((found[1].to_owned(), letter(&found[2])))
    })
}

/// `Feature name ....F`.
pub(super) fn cucumber(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.*) \.+(\.|F)"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        Some((found[1].to_owned(), letter(&found[2])))
    })
}

/// `test: name: .: (0.001)`; `O` is an omission.
pub(super) fn ruby_unit(lines: &mut Lines<'_>) -> StatusMap {
    // A letter must end its word.
    static RESULT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*(?:test: )?(.+):\s+(?:(\.)|([EFO])(?:[^\p{L}\p{N}_]|$))"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        let outcome = found.get(2).or(found.get(3))?;
        Some((found[1].to_owned(), letter(outcome.as_str())))
    })
}

/// `full description - passed`. Pending examples leave no entry.
pub(super) fn rspec_transformed_json(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.+) - (passed|failed)"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        let status = if &found[2] == "passed" { TestStatus::Passed } else { TestStatus::Failed };
        Some((found[1].to_owned(), status))
    })
}

/// jekyll's pull requests use different runners.
pub(super) fn jekyll(instance_id: &str) -> Option<LogParser> {
    match instance_id.split('-').nth(1)? {
        "9141" | "8047" | "8167" => Some(LogParser::Minitest),
        "8761" | "8771" => Some(LogParser::Cucumber),
        _ => None,
    }
}
