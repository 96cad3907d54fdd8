//! Go (reference/grading.md, section 4.3).

use swegym_core::TestStatus;

use super::{StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::before_brackets;

/// `--- PASS: TestName (0.00s)`. Subtests count; the package is not part of
/// the name, so equal names of two packages are one test.
pub(super) fn gotest(lines: &mut Lines<'_>) -> StatusMap {
    by_line(lines, needles!["--- "], |line| {
        let (word, rest) = line.strip_prefix("--- ")?.split_once(':')?;
        let rest = rest.strip_prefix(' ')?;
        let status = match word {
            "PASS" => TestStatus::Passed,
            "FAIL" => TestStatus::Failed,
            "SKIP" => TestStatus::Skipped,
            _ => return None,
        };
        Some((before_brackets(rest)?, status))
    })
}
