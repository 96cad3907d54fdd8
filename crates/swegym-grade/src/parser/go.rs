//! Go (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{StatusMap, by_line};
use crate::lines::Lines;

/// `--- PASS: TestName (0.00s)`. Subtests count; the package is not part of
/// the name, so equal names of two packages are one test.
pub(super) fn gotest(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^--- (PASS|FAIL|SKIP): (.+) \((.+)\)$"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        let status = match &found[1] {
            "PASS" => TestStatus::Passed,
            "FAIL" => TestStatus::Failed,
            _ => TestStatus::Skipped,
        };
        Some((found[2].to_owned(), status))
    })
}
