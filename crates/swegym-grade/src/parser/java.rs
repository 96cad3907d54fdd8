//! Java (reference/grading.md, section 4.3).

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Edition, Said, StatusMap, by_line, say};
use crate::lines::Lines;
use crate::text::python_strip;

/// Maven does not name what passes, so every test is run by a command of its
/// own. Commands as the shell traces them and results are matched in order;
/// results that come too early are kept for the commands that are left. Before
/// the fifth edition a result belonged to the last command.
pub(super) fn maven(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| pattern(r"^.*-Dtest=(\S+).*$"));
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^.*BUILD (SUCCESS|FAILURE)$"));
    let mut map = StatusMap::default();
    let (mut commands, mut early) = (VecDeque::new(), VecDeque::new());
    let mut current = "---NO TEST NAME FOUND YET---".to_owned();
    while let Some(line) = lines.next().map(python_strip) {
        if let Some(found) = COMMAND.captures(line) {
            if edition >= Edition::V5 {
                commands.push_back(found[1].to_owned());
            } else {
                found[1].clone_into(&mut current);
            }
        }
        if let Some(found) = RESULT.captures(line) {
            let status = if &found[1] == "SUCCESS" { TestStatus::Passed } else { TestStatus::Failed };
            match commands.pop_front() {
                Some(test) => say(&mut map, &test, Said::Status(status)),
                None if edition < Edition::V5 => say(&mut map, &current, Said::Status(status)),
                None => early.push_back(status),
            }
        }
    }
    for (test, status) in commands.into_iter().zip(early) {
        map.insert(test, Said::Status(status));
    }
    map
}

/// `[junit] [PASS] name`; an error is a failure.
pub(super) fn ant(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*\[junit\]\s+\[(PASS|FAIL|ERR)\]\s+(.*)$"));
    by_line(lines, |line| {
        let found = RESULT.captures(line)?;
        let status = if &found[1] == "PASS" { TestStatus::Passed } else { TestStatus::Failed };
        Some((found[2].to_owned(), status))
    })
}

/// `Class > method PASSED`, or (since the fifth edition) the name alone and
/// its status on a later line.
pub(super) fn gradle_custom(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^>].+)\s+(PASSED|FAILED)$"));
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^>]\S*\s+>\s+\S+)$"));
    let status = |word: &str| match word {
        "PASSED" => Some(TestStatus::Passed),
        "FAILED" => Some(TestStatus::Failed),
        _ => None,
    };
    let mut open: Option<String> = None;
    by_line(lines, |line| {
        if let Some(found) = WHOLE.captures(line) {
            open = None;
            return Some((found[1].to_owned(), status(&found[2])?));
        }
        if edition >= Edition::V5 && NAME.is_match(line) {
            open = Some(line.to_owned());
            return None;
        }
        let status = status(line)?;
        Some((open.take()?, status))
    })
}
