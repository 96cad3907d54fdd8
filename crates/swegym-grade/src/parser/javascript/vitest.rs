//! vitest's verbose list.

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::pattern::pattern;
use crate::parser::{Edition, Said, StatusMap, by_line};

/// `✓ file > suite > name 12ms`. What a block that could not be set up holds is
/// listed as skipped, which keeps nothing: the block stands among the failed suites.
pub(in crate::parser) fn vitest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["✓", "×", "↓"], result);
    }
    let mut broken = Vec::new();
    let mut in_suites = false;
    let mut map = by_line(lines, needles!["✓", "×", "↓", "FAIL ", "Failed "], |line| {
        let told = result(line);
        if told.is_none() {
            if line.contains("Failed Suites ") || line.contains("Failed Tests ") {
                in_suites = line.contains("Failed Suites ");
            } else if let Some(suite) = line.strip_prefix("FAIL ").filter(|_| in_suites) {
                broken.push(suite_of(suite).to_owned());
            }
        }
        told
    });
    if broken.is_empty() {
        return map;
    }
    let is_skipped = |said: &Said| said.status() == Some(TestStatus::Skipped);
    let within = |test: &str| {
        broken
            .iter()
            .any(|suite| test.strip_prefix(suite.as_str()).is_some_and(|rest| rest.starts_with(" > ")))
    };
    let skipped = map.iter().filter(|(test, said)| is_skipped(said) && within(test));
    let skipped: Vec<String> = skipped.map(|(test, _)| test.to_owned()).collect();
    skipped.iter().for_each(|test| map.say(test, Said::Status(TestStatus::Failed)));
    map
}

fn result(line: &str) -> Option<(&str, TestStatus)> {
    static RESULT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^\s*(✓|×|↓)\s(.+?)(?:\s(\d+\s*m?s?|\[skipped\]))?$"));
    let status = match line.chars().next()? {
        '✓' => TestStatus::Passed,
        '×' => TestStatus::Failed,
        '↓' => TestStatus::Skipped,
        _ => return None,
    };
    Some((RESULT.captures(line)?.get(2)?.as_str(), status))
}

/// `t/a.test.js > outer`, or `t/a.test.js [ t/a.test.js ]` for a whole file.
fn suite_of(line: &str) -> &str {
    let line = line.trim();
    line.strip_suffix(" ]").and_then(|rest| rest.rsplit_once(" [ ")).map_or(line, |(file, _)| file)
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    #[test]
    fn tests_of_a_block_that_was_not_set_up_are_not_held() {
        let log = " ✓ a.js > outer > adds 9ms\n ↓ a.js > outer > later\n ↓ a.js > outer > bad > never\n ↓ b.js > x\n\
                   ⎯⎯ Failed Suites 2 ⎯⎯\n FAIL  a.js > outer > bad\n FAIL  b.js [ b.js ]\n\
                   ⎯⎯ Failed Tests 1 ⎯⎯\n FAIL  a.js > outer\n";
        let map = LogParser::Vitest.parse(log);
        let told: Vec<_> = map.iter().map(|(t, s)| (t, s.status().unwrap().as_str())).collect();
        let expected = [
            ("a.js > outer > adds", "PASSED"),
            ("a.js > outer > later", "SKIPPED"),
            ("a.js > outer > bad > never", "FAILED"),
            ("b.js > x", "FAILED"),
        ];
        assert_eq!(told, expected);
    }
}
