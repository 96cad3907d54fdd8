//! Go (reference/grading.md, section 4.3).

use swegym_core::TestStatus;

use super::{Edition, Lacking, Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{before_brackets, python_strip};

/// `--- PASS: TestName (0.00s)`. Subtests count; the package is not part of
/// the name, so equal names of two packages are one test.
pub(super) fn gotest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::Own {
        return by_line(lines, needles!["--- "], result);
    }
    let mut map = StatusMap::default();
    let mut package = Package::default();
    while let Some(line) = lines.next_with(needles!["--- ", "=== RUN ", "ok  \t", "FAIL"]) {
        // Half of the lines are these.
        if line.starts_with("=== RUN ") {
            package.begin();
            continue;
        }
        let told = result(python_strip(line));
        package.see(line, told.is_some());
        if let Some((test, status)) = told {
            map.say(test, Said::Status(status));
        }
    }
    if let Some(lacking) = package.finish() {
        map.lack(lacking);
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

/// The tests of the package that runs. Each is announced, and has a result before the
/// package's own: one without has made the program exit. A package that says `FAIL` may
/// have stopped at a panic, and is no success anyway.
#[derive(Default)]
struct Package {
    /// Announced so far, of all packages, and those of them that have a result.
    counts: (u64, u64),
    /// Announced in this package and without a result.
    open: u64,
    lacks: bool,
}

impl Package {
    fn begin(&mut self) {
        self.counts.0 += 1;
        self.open += 1;
    }

    fn see(&mut self, line: &str, is_result: bool) {
        // A test that ends its output without a line end has its result behind it.
        if is_result || line.find("--- ").is_some_and(|at| result(&line[at..]).is_some()) {
            self.counts.1 += self.open.min(1);
            self.open = self.open.saturating_sub(1);
        } else if line.starts_with("ok  \t") {
            self.close();
        } else if line == "FAIL" || line.starts_with("FAIL\t") {
            self.counts.0 -= std::mem::take(&mut self.open);
        }
    }

    fn close(&mut self) {
        self.lacks |= std::mem::take(&mut self.open) > 0;
    }

    fn finish(mut self) -> Option<Lacking> {
        self.close();
        self.lacks.then_some(Lacking { announced: self.counts.0, told: self.counts.1 })
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn lacking(log: &str) -> Option<(u64, u64)> {
        LogParser::Gotest.parse(log).lacking().map(|lacking| (lacking.announced, lacking.told))
    }

    #[test]
    fn a_test_that_makes_the_program_exit_lacks_its_result() {
        let first = "=== RUN   TestA\n=== RUN   TestA/part\n--- PASS: TestA (0.00s)\n    --- PASS: TestA/part (0.00s)\n";
        let exits = "=== RUN   TestB\n";
        let end = "PASS\nok  \tacme/a\t0.002s\n";
        assert_eq!(lacking(&format!("{first}{end}")), None);
        assert_eq!(lacking(&format!("{first}{exits}{end}")), Some((3, 2)));
        assert_eq!(lacking(&format!("{first}{exits}")), Some((3, 2)));
        assert_eq!(lacking(&format!("{exits}{end}{first}{end}")), Some((3, 2)));
        assert_eq!(lacking(&format!("{exits}panic: no\nFAIL\tacme/b\t0.01s\n{first}{end}")), None);
        assert_eq!(lacking(&format!("{exits}no line end--- PASS: TestB (0.00s)\n{end}")), None);
    }
}
