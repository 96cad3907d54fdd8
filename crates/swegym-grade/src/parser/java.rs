//! Java (reference/grading.md, section 4.3).

use std::collections::VecDeque;
use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Edition, Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{is_python_space, python_split, python_strip, python_word};

/// Maven does not name what passes, so every test is run by a command of its
/// own. Commands as the shell traces them and results are matched in order;
/// results that come too early are kept for the commands that are left. Before
/// the fifth edition a result belonged to the last command.
pub(super) fn maven(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let mut map = StatusMap::default();
    let (mut commands, mut early) = (VecDeque::new(), VecDeque::new());
    let mut current = "---NO TEST NAME FOUND YET---".to_owned();
    while let Some(line) = lines.next_with(needles!["-Dtest=", "BUILD "]).map(python_strip) {
        if let Some(test) = named_test(line) {
            if edition >= Edition::V5 {
                commands.push_back(test.to_owned());
            } else {
                test.clone_into(&mut current);
            }
        }
        let passed = line.ends_with("BUILD SUCCESS");
        if passed || line.ends_with("BUILD FAILURE") {
            let status = if passed { TestStatus::Passed } else { TestStatus::Failed };
            match commands.pop_front() {
                Some(test) => map.say(test, Said::Status(status)),
                None if edition < Edition::V5 => map.say(current.as_str(), Said::Status(status)),
                None => early.push_back(status),
            }
        }
    }
    for (test, status) in commands.into_iter().zip(early) {
        map.say(test, Said::Status(status));
    }
    map
}

/// `^.*-Dtest=(\S+).*$`: of several options the last one with a value.
fn named_test(line: &str) -> Option<&str> {
    let equals = memchr::memrchr_iter(b'=', line.as_bytes());
    let values = equals.filter(|at| line[..*at].ends_with("-Dtest")).map(|at| &line[at + 1..]);
    let at_once = |value: &&str| !value.starts_with(is_python_space);
    values.filter(at_once).find_map(|value| Some(python_word(value)?.0))
}

/// `[junit] [PASS] name`; an error is a failure.
pub(super) fn ant(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[junit\]\s+\[(PASS|FAIL|ERR)\]\s+(.*)$"));
    by_line(lines, needles!["[junit]"], |line| {
        let found = line.starts_with("[junit]").then(|| RESULT.captures(line)).flatten()?;
        let status = if &found[1] == "PASS" { TestStatus::Passed } else { TestStatus::Failed };
        Some((found.get(2)?.as_str(), status))
    })
}

/// `Class > method PASSED`, or (since the fifth edition) the name alone and
/// its status on a later line.
pub(super) fn gradle_custom(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let mut map = StatusMap::default();
    let mut open: Option<String> = None;
    while let Some(line) = lines.next_with(needles!["PASSED", "FAILED", ">"]) {
        let line = python_strip(line);
        let (rest, status) = if let Some(rest) = line.strip_suffix("PASSED") {
            (rest, TestStatus::Passed)
        } else if let Some(rest) = line.strip_suffix("FAILED") {
            (rest, TestStatus::Failed)
        } else {
            if edition >= Edition::V5 && is_bare_name(line) {
                open = Some(line.to_owned());
            }
            continue;
        };
        // `^([^>].+)\s+(PASSED|FAILED)$`: of the blanks only the last is no part of the name.
        let name = rest.strip_suffix(is_python_space).filter(|name| name.chars().nth(1).is_some());
        match name.filter(|name| !name.starts_with('>')) {
            Some(name) => {
                open = None;
                map.say(name, Said::Status(status));
            }
            None if rest.is_empty() => {
                open.take().into_iter().for_each(|name| map.say(name, Said::Status(status)));
            }
            None if edition >= Edition::V5 && is_bare_name(line) => open = Some(line.to_owned()),
            None => {}
        }
    }
    map
}

/// `^[^>]\S*\s+>\s+\S+$`
fn is_bare_name(line: &str) -> bool {
    let mut words = python_split(line).skip(1);
    !line.starts_with('>')
        && line.contains('>')
        && words.next() == Some(">")
        && words.next().is_some()
        && words.next().is_none()
}
