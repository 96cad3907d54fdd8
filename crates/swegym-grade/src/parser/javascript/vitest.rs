//! vitest's verbose list.

use swegym_core::TestStatus;

use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::{Edition, Said, StatusMap, by_line};
use crate::text::{after_space, is_python_digit, is_python_space};

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
    let mut rest = line.chars();
    let status = match rest.next()? {
        '✓' => TestStatus::Passed,
        '×' => TestStatus::Failed,
        '↓' => TestStatus::Skipped,
        _ => return None,
    };
    let name = after_space(rest.as_str()).filter(|name| !name.is_empty())?;
    Some((without_end(name), status))
}

/// A name without what may stand at its end: `\s(\d+\s*m?s?|\[skipped\])`.
fn without_end(name: &str) -> &str {
    let before = name.strip_suffix("[skipped]").or_else(|| {
        let number = name.strip_suffix('s').unwrap_or(name);
        let number = number.strip_suffix('m').unwrap_or(number).trim_end_matches(is_python_space);
        let before = number.trim_end_matches(is_python_digit);
        (before.len() < number.len()).then_some(before)
    });
    let bare = before.and_then(|before| before.strip_suffix(is_python_space));
    bare.filter(|bare| !bare.is_empty()).unwrap_or(name)
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
    fn what_stands_behind_a_name_is_no_part_of_it() {
        for (line, name) in [
            ("✓ a 12ms", "a"),
            ("✓ a 1 s", "a"),
            ("✓ a  3", "a "),
            ("✓ a 5ms [skipped]", "a 5ms"),
            ("✓ a[skipped]", "a[skipped]"),
            ("✓ 5ms", "5ms"),
            ("✓  5ms", " 5ms"),
            ("✓ a 5x", "a 5x"),
            ("✓ a 1.5ms", "a 1.5ms"),
            ("✓ a 5sm", "a 5sm"),
        ] {
            assert_eq!(super::result(line).map(|(name, _)| name), Some(name), "{line}");
        }
        assert_eq!(super::result("✓"), None);
    }

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
