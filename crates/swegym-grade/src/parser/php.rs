//! PHP (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Said, StatusMap};
use crate::lines::Lines;

/// A suite's line, `Name (Namespace\Class)`, then its tests with a mark each.
/// Tests before any suite belong to one called `None`.
pub(super) fn phpunit(lines: &mut Lines<'_>) -> StatusMap {
    static SUITE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w.+) \(.+\)$"));
    static TEST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([✔✘↩])\s*(.*)$"));
    let mut map = StatusMap::default();
    let mut suite = "None".to_owned();
    while let Some(line) = lines.next() {
        if let Some(found) = SUITE.captures(line) {
            found[1].clone_into(&mut suite);
        } else if let Some(found) = TEST.captures(line) {
            let status = match &found[1] {
                "✔" => TestStatus::Passed,
                "✘" => TestStatus::Failed,
                _ => TestStatus::Skipped,
            };
            map.insert(format!("{suite} > {}", &found[2]), Said::Status(status));
        }
    }
    map
}
