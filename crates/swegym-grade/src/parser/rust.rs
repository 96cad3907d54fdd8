//! Rust (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{StatusMap, by_line};
use crate::lines::Lines;

/// `test path::name ... ok`. Ignored tests, doctests and "should panic" tests
/// leave no entry; the crate is not part of the name.
pub(super) fn cargo(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^test\s+(\S+)\s+\.\.\.\s+(\w+)$"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        let status = match &found[2] {
            "ok" => TestStatus::Passed,
            "FAILED" => TestStatus::Failed,
            _ => return None,
        };
        Some((found[1].to_owned(), status))
    })
}
