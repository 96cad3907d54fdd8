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
    let (mut map, mut package) = (StatusMap::default(), Package::default());
    while let Some(block) = lines.block() {
        let mut ends = ends(block).into_iter().peekable();
        // Half of the lines announce tests: they are counted, not read.
        let (mut counted, mut at) = (0, 0);
        let mut close = |package: &mut Package, (end, passed): (usize, bool)| {
            package.announced += announcements(&block[counted..end]);
            counted = end;
            package.close(passed);
        };
        while let Some((start, end)) = needles!["--- "].find_line(&block.as_bytes()[at..]) {
            let line = &block[at + start..at + end];
            while let Some(end) = ends.next_if(|(end, _)| *end < at + start) {
                close(&mut package, end);
            }
            at = (at + end + 1).min(block.len());
            if let Some((test, status)) = result(python_strip(line)) {
                map.say(test, Said::Status(status));
                package.results += 1;
            } else if line.find("--- ").is_some_and(|at| result(&line[at..]).is_some()) {
                // A test that ends its output without a line end has its result behind it.
                package.results += 1;
            }
        }
        ends.for_each(|end| close(&mut package, end));
        package.announced += announcements(&block[counted..]);
    }
    if let Some(lacking) = package.finish() {
        map.lack(lacking);
    }
    map
}

/// How many tests a text announces: `=== RUN   TestName`.
fn announcements(text: &str) -> u64 {
    let first = u64::from(text.starts_with("=== RUN "));
    first + memchr::memmem::find_iter(text.as_bytes(), "\n=== RUN ").count() as u64
}

/// Where packages end, and whether they passed.
fn ends(block: &str) -> Vec<(usize, bool)> {
    let starts = |word: &'static str| {
        let first = block.starts_with(&word[1..]).then_some(0);
        first.into_iter().chain(memchr::memmem::find_iter(block.as_bytes(), word).map(|at| at + 1))
    };
    let failed = |at: &usize| {
        let rest = &block[at + "FAIL".len()..];
        rest.is_empty() || rest.starts_with(['\n', '\t'])
    };
    let mut ends: Vec<(usize, bool)> = starts("\nok  \t").map(|at| (at, true)).collect();
    ends.extend(starts("\nFAIL").filter(failed).map(|at| (at, false)));
    ends.sort_unstable();
    ends
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
    /// Tests that it announces, and results.
    announced: u64,
    results: u64,
    /// The same of the packages before it.
    before: (u64, u64),
    lacks: bool,
}

impl Package {
    fn close(&mut self, passed: bool) {
        let (announced, results) = (std::mem::take(&mut self.announced), std::mem::take(&mut self.results));
        let told = results.min(announced);
        self.lacks |= passed && told < announced;
        self.before.0 += if passed { announced } else { told };
        self.before.1 += told;
    }

    fn finish(mut self) -> Option<Lacking> {
        self.close(true);
        let (announced, told) = self.before;
        self.lacks.then_some(Lacking { announced, told })
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
