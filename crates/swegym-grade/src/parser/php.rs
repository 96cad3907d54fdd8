//! PHP (reference/grading.md, section 4.3).

use swegym_core::TestStatus;

use super::{Said, StatusMap};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{before_brackets, is_python_word, python_lstrip};

/// A suite's line, `Name (Namespace\Class)`, then its tests with a mark each.
/// Tests before any suite belong to one called `None`.
pub(super) fn phpunit(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    // What stands before a test's name: of many one after the other, in the same memory.
    let (mut test, mut suite) = ("None > ".to_owned(), "None > ".len());
    while let Some(line) = lines.next_with(needles!["✔", "✘", "↩", " ("]) {
        // `^(\w.+) \(.+\)$`
        let name = before_brackets(line).filter(|name| name.chars().nth(1).is_some());
        if let Some(name) = name.filter(|name| name.starts_with(is_python_word)) {
            name.clone_into(&mut test);
            test.push_str(" > ");
            suite = test.len();
            continue;
        }
        let mut rest = python_lstrip(line).chars();
        let status = match rest.next() {
            Some('✔') => TestStatus::Passed,
            Some('✘') => TestStatus::Failed,
            Some('↩') => TestStatus::Skipped,
            _ => continue,
        };
        test.truncate(suite);
        test.push_str(python_lstrip(rest.as_str()));
        map.say(&test, Said::Status(status));
    }
    map
}
