//! The Test Anything Protocol.

use swegym_core::TestStatus;

use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::{Edition, Lacking, StatusMap, by_line};
use crate::text::is_python_digit;

/// `ok 12 name`; directives stay in the name. A plan, `1..12`, says how many
/// results there are.
pub(in crate::parser) fn tap(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["ok "], result);
    }
    let (mut announced, mut told) = (0, 0);
    let mut map = StatusMap::default();
    // Lines that are indented belong to a result that has a line of its own.
    while let Some(line) = lines.next_with(needles!["ok ", "1.."]) {
        if let Some(plan) = line.strip_prefix("1..") {
            let count = plan.split(' ').next().unwrap_or_default();
            announced += count.trim_end().parse::<u64>().unwrap_or(0);
        }
        told += u64::from(line.starts_with("ok ") || line.starts_with("not ok "));
        if let Some((test, status)) = result(crate::text::python_strip(line)) {
            map.say(test, crate::parser::Said::Status(status));
        }
    }
    if told < announced {
        map.lack(Lacking { announced, told });
    }
    map
}

fn result(line: &str) -> Option<(&str, TestStatus)> {
    let (rest, status) = match line.strip_prefix("not ok ") {
        Some(rest) => (rest, TestStatus::Failed),
        None => (line.strip_prefix("ok ")?, TestStatus::Passed),
    };
    let name = rest.trim_start_matches(is_python_digit);
    let counted = name.len() < rest.len();
    Some((name.strip_prefix(' ').filter(|name| counted && !name.is_empty())?, status))
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    #[test]
    fn fewer_results_than_planned_are_lacking() {
        let lacking =
            |log: &str| LogParser::Tap.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told));
        assert_eq!(lacking("1..2\nok 1 - a\n    1..5\n    ok 1 - inner\nnot ok 2 - b # TODO\n"), None);
        assert_eq!(lacking("ok 1 - a\n1..1 # done\n1..3\nok 1 - b\n"), Some((4, 2)));
    }
}
