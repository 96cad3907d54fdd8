//! The Test Anything Protocol.

use swegym_core::TestStatus;

use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::{Edition, Lacking, Said, StatusMap, by_line};
use crate::text::{is_python_digit, python_strip};

/// `ok 12 name`; directives stay in the name.
pub(in crate::parser) fn tap(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["ok "], result);
    }
    let mut map = StatusMap::default();
    let mut plan = Plan::default();
    while let Some(line) = lines.next_with(needles!["ok ", "1..", "Bail out!"]) {
        let told = result(python_strip(line));
        plan.see(line, told.is_some_and(|(_, status)| status == TestStatus::Failed));
        if let Some((test, status)) = told {
            map.say(test, Said::Status(status));
        }
    }
    if let Some(lacking) = plan.finish() {
        map.lack(lacking);
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

/// How many results a stream promises, before them or after. Those of parts are
/// indented and have plans of their own; several streams one after the other add up.
#[derive(Default)]
struct Plan {
    announced: u64,
    told: u64,
    /// A stream may stop at a failure, and says when it gives up.
    gave_up: bool,
}

impl Plan {
    fn see(&mut self, line: &str, is_failure: bool) {
        self.gave_up |= is_failure || line.starts_with("Bail out!");
        if line.starts_with("ok ") || line.starts_with("not ok ") {
            self.told += 1;
        } else if let Some(rest) = line.strip_prefix("1..") {
            let count = rest.split([' ', '\t']).next().and_then(|count| count.parse::<u64>().ok());
            self.announced = self.announced.saturating_add(count.unwrap_or(0));
        }
    }

    fn finish(self) -> Option<Lacking> {
        let Self { announced, told, gave_up } = self;
        (told < announced && !gave_up).then_some(Lacking { announced, told })
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn lacking(log: &str) -> Option<(u64, u64)> {
        LogParser::Tap.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told))
    }

    #[test]
    fn a_stream_that_breaks_its_promise_lacks_results() {
        let results = "ok 1 adds\n    ok 1 part\n    1..1\nok 2 takes # SKIP no\n";
        assert_eq!(lacking(&format!("TAP version 13\n1..2\n{results}")), None);
        assert_eq!(lacking(&format!("{results}1..2\n")), None);
        assert_eq!(lacking(&format!("1..3\n{results}")), Some((3, 2)));
        assert_eq!(lacking(&format!("1..3\n{results}1..2\n{results}")), Some((5, 4)));
        assert_eq!(lacking(&format!("1..4\n{results}not ok 3 divides\n")), None);
        assert_eq!(lacking(&format!("1..4\n{results}Bail out! no more\n")), None);
        assert_eq!(lacking("1..0 # SKIP all\n"), None);
        assert_eq!(lacking(results), None);
    }
}
