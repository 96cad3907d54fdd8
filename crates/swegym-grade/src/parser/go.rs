//! Go (reference/grading.md, section 4.3).

use std::collections::HashSet;

use swegym_core::TestStatus;

use super::{Edition, Lacking, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::before_brackets;

/// `--- PASS: TestName (0.00s)`. Subtests count; the package is not part of
/// the name, so equal names of two packages are one test.
pub(super) fn gotest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["--- "], result);
    }
    let (mut begun, mut over): (HashSet<String>, HashSet<String>) = Default::default();
    let mut map = by_line(lines, needles!["--- ", "=== RUN"], |line| {
        if let Some(name) = line.strip_prefix("=== RUN") {
            begun.insert(name.trim().to_owned());
        } else if let Some(name) = torn(line) {
            over.insert(name.to_owned());
        }
        result(line)
    });
    let (announced, told) = (begun.len() as u64, begun.intersection(&over).count() as u64);
    if told < announced {
        map.lack(Lacking { announced, told });
    }
    map
}

fn result(line: &str) -> Option<(&str, TestStatus)> {
    let (word, rest) = line.strip_prefix("--- ")?.split_once(':')?;
    let rest = rest.strip_prefix(' ')?;
    let status = match word {
        "PASS" => TestStatus::Passed,
        "FAIL" => TestStatus::Failed,
        "SKIP" => TestStatus::Skipped,
        _ => return None,
    };
    Some((before_brackets(rest)?, status))
}

/// The test of a result that stands behind what a test printed without a line end.
fn torn(line: &str) -> Option<&str> {
    let at = ["--- PASS: ", "--- FAIL: ", "--- SKIP: "].iter().find_map(|word| line.find(word))?;
    result(&line[at..]).map(|(test, _)| test)
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    #[test]
    fn a_test_that_began_and_has_no_result_is_lacking() {
        let lacking = |log: &str| {
            LogParser::Gotest.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told))
        };
        let a =
            "=== RUN   TestA\n=== RUN   TestA/x\n    --- PASS: TestA/x (0.00s)\n--- PASS: TestA (0.00s)\n";
        assert_eq!(lacking(a), None);
        assert_eq!(lacking(&format!("{a}=== RUN   TestB\nok  \tpkg\t0.01s\n")), Some((3, 2)));
        assert_eq!(lacking(&format!("{a}=== RUN   TestB\npartial--- PASS: TestB (0.00s)\n")), None);
    }
}
