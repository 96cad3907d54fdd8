//! PHP (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Said, StatusMap};

/// A suite's line, `Name (Namespace\Class)`, then its tests with a mark each.
/// Tests before any suite belong to one called `None`.
pub(super) fn phpunit(log: &str) -> StatusMap {
    static SUITE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w.+) \(.+\)$"));
    static TEST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\s*([✔✘↩])\s*(.*)$"));
    let mut map = StatusMap::new();
    let mut suite = "None";
    for line in log.split('\n') {
        if let Some(found) = SUITE.captures(line) {
            suite = found.get(1).map_or("", |m| m.as_str());
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
