//! PHP (reference/grading.md, section 4.3).

use std::collections::HashMap;

use swegym_core::TestStatus;

use super::{Edition, Lacking, Said, StatusMap};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{before_brackets, is_python_word, python_lstrip, python_strip};

/// `--testdox`: a suite's line, `Name (Namespace\Class)`, then its tests with a mark
/// each. Tests before any suite belong to one called `None`.
///
/// Our own rules also read the forms that name tests as JUnit does, `Class::method`:
/// `--debug` (the events of release 10, and what started and ended before it),
/// `--teamcity`, and the lists of what failed at the end of every run; and two more marks:
/// `∅` for what is incomplete, `☢` for what asserted nothing (an error in its JUnit file).
pub(super) fn phpunit(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let mut map = StatusMap::default();
    let mut named = Named::default();
    let words = match edition < Edition::Own {
        true => needles!["✔", "✘", "↩", " ("],
        false => {
            needles!["✔", "✘", "↩", "∅", "☢", " (", "Test ", "Tests: ", "There w", "::", "##teamcity["]
        }
    };
    // What stands before a test's name: of many one after the other, in the same memory.
    let (mut test, mut suite) = ("None > ".to_owned(), "None > ".len());
    while let Some(line) = lines.next_with(words) {
        if edition >= Edition::Own && named.see(line, &mut map) {
            continue;
        }
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
            Some('∅') if edition >= Edition::Own => TestStatus::Skipped,
            Some('☢') if edition >= Edition::Own => TestStatus::Error,
            _ => continue,
        };
        test.truncate(suite);
        test.push_str(python_lstrip(rest.as_str()));
        map.say(&test, Said::Status(status));
    }
    named.finish(&mut map);
    map
}

/// Tests that go by their class and method.
#[derive(Default)]
struct Named {
    /// Tests that have begun and not ended.
    open: Vec<String>,
    /// Tests that ended, of which nothing else is said yet: passed, or skipped where the
    /// run counts tests that it does not name.
    ended: Vec<String>,
    /// What the list at hand holds.
    list: Option<TestStatus>,
    /// Skipped and incomplete tests that were listed.
    listed: u64,
    /// What was said before a test's end: TeamCity's.
    early: HashMap<String, TestStatus>,
    /// Ids by TeamCity's short names.
    ids: HashMap<String, String>,
    counts: (u64, u64),
}

impl Named {
    /// Reads a line; whether it is one of these forms.
    fn see(&mut self, line: &str, map: &mut StatusMap) -> bool {
        let line = python_strip(line);
        if let Some(message) = line.strip_prefix("##teamcity[") {
            self.teamcity(message, map);
        } else if let Some((word, test)) = event(line) {
            self.event(word, &id(test), map);
        } else if let Some(kind) = list(line) {
            self.list = kind;
        } else if let (Some(status), Some(test)) = (self.list, listed(line)) {
            self.listed += u64::from(status == TestStatus::Skipped);
            let test = id(test);
            self.ended.retain(|ended| *ended != test);
            map.say(&test, Said::Status(status));
        } else if let Some(unnamed) = unnamed(line) {
            self.end(unnamed, map);
        } else {
            return false;
        }
        true
    }

    fn event(&mut self, word: &str, test: &str, map: &mut StatusMap) {
        let said = match word {
            "started" | "Prepared" => {
                self.counts.0 += 1;
                return self.open.push(test.to_owned());
            }
            "ended" => return self.close(test, None, map),
            "Passed" => TestStatus::Passed,
            "Failed" => TestStatus::Failed,
            "Errored" => TestStatus::Error,
            "Skipped" | "Marked Incomplete" => TestStatus::Skipped,
            _ => return,
        };
        self.close(test, Some(said), map);
    }

    fn close(&mut self, test: &str, said: Option<TestStatus>, map: &mut StatusMap) {
        if let Some(at) = self.open.iter().rposition(|open| open == test) {
            self.open.remove(at);
            self.counts.1 += 1;
        }
        match said {
            Some(status) => {
                map.say(test, Said::Status(status));
            }
            None => self.ended.push(test.to_owned()),
        }
    }

    /// `testStarted name='…' locationHint='php_qn://FILE::\CLASS::METHOD'`, what befell it,
    /// and its end.
    fn teamcity(&mut self, message: &str, map: &mut StatusMap) {
        let Some((word, rest)) = message.split_once(' ') else { return };
        let Some(name) = attribute(rest, "name") else { return };
        let status = match word {
            "testStarted" => {
                let hint = attribute(rest, "locationHint").unwrap_or_default();
                let test = hint.rsplit_once("::\\").map_or(name.as_str(), |(_, test)| test).to_owned();
                self.event("started", &test, map);
                self.ids.insert(name, test);
                return;
            }
            "testFailed" => TestStatus::Failed,
            "testIgnored" => TestStatus::Skipped,
            "testFinished" => {
                let test = self.ids.remove(&name).unwrap_or(name);
                let said = self.early.remove(&test).unwrap_or(TestStatus::Passed);
                return self.close(&test, Some(said), map);
            }
            _ => return,
        };
        let test = self.ids.get(&name).cloned().unwrap_or(name);
        self.early.insert(test, status);
    }

    /// The end of a run that counts so many tests as skipped or incomplete.
    fn end(&mut self, skipped: u64, map: &mut StatusMap) {
        // Who was skipped is not always said: then nobody is known to have passed.
        if skipped <= self.listed {
            for test in &self.ended {
                map.say(test, Said::Status(TestStatus::Passed));
            }
        }
        self.ended.clear();
        (self.list, self.listed) = (None, 0);
    }

    fn finish(self, map: &mut StatusMap) {
        let (announced, told) = self.counts;
        // What ended in a run without its last lines passed, as far as anybody knows.
        for test in &self.ended {
            map.say(test, Said::Status(TestStatus::Passed));
        }
        if !self.open.is_empty() {
            map.lack(Lacking { announced, told });
        }
    }
}

/// `Test 'CLASS::METHOD' started`, or since release 10 `Test Passed (CLASS::METHOD)`.
fn event(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("Test ")?;
    if let Some(rest) = rest.strip_prefix('\'') {
        return ["started", "ended"]
            .into_iter()
            .find_map(|word| Some((word, rest.strip_suffix(word)?.strip_suffix("' ")?)));
    }
    let (word, test) = rest.split_once(" (")?;
    Some((word, test.strip_suffix(')')?)).filter(|(_, test)| test.contains("::"))
}

/// What a list at the end holds: `There were 2 failures:`.
fn list(line: &str) -> Option<Option<TestStatus>> {
    let rest = line.strip_prefix("There was ").or_else(|| line.strip_prefix("There were "))?;
    let (count, what) = rest.strip_suffix(':')?.split_once(' ')?;
    count.parse::<u64>().ok()?;
    let what = what.trim_end_matches('s');
    Some(match what.split(' ').next_back()? {
        "error" => Some(TestStatus::Error),
        "failure" => Some(TestStatus::Failed),
        "test" if what.starts_with("risky") => Some(TestStatus::Error),
        "test" if what.starts_with("skipped") || what.starts_with("incomplete") => Some(TestStatus::Skipped),
        _ => None,
    })
}

/// `2) CLASS::METHOD`.
fn listed(line: &str) -> Option<&str> {
    let (number, test) = line.split_once(") ")?;
    number.parse::<u64>().ok()?;
    test.contains("::").then_some(test)
}

/// How many tests a run's last line counts and no list need name: those that were skipped.
fn unnamed(line: &str) -> Option<u64> {
    if line.starts_with("OK (") && line.ends_with(')') {
        return Some(0);
    }
    let counts = line.strip_prefix("Tests: ")?.trim_end_matches('.');
    let of = |part: &str| {
        let (word, number) = part.split_once(": ")?;
        ["Skipped", "Incomplete"].contains(&word).then(|| number.parse::<u64>().ok()).flatten()
    };
    Some(counts.split(", ").filter_map(of).sum())
}

/// A test without the arguments of its data set: `X::y with data set "a" (1)`.
fn id(test: &str) -> String {
    const SET: &str = " with data set ";
    let Some(at) = test.find(SET).map(|at| at + SET.len()) else { return test.to_owned() };
    let (before, set) = test.split_at(at);
    let end = match set.strip_prefix('"') {
        Some(name) => name.find("\" (").map_or(set.len(), |at| at + 2),
        None => set.find(" (").unwrap_or(set.len()),
    };
    format!("{before}{}", &set[..end])
}

/// The value of an attribute, `|` before a character taken away.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("{name}='"))?;
    let (mut value, mut characters) = (String::new(), rest.chars());
    loop {
        match characters.next()? {
            '\'' => return Some(value),
            '|' => match characters.next()? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn said(log: &str) -> Vec<(String, String)> {
        let map = LogParser::Phpunit.parse(log);
        map.iter().map(|(test, said)| (test.to_owned(), format!("{:?}", said.status().unwrap()))).collect()
    }

    #[test]
    fn what_ended_passed_where_nobody_can_have_been_skipped() {
        let run = "Test 'A::testX' started\nTest 'A::testX' ended\nTest 'A::testD with data set \"a (b)\" ('c')' started\nTest 'A::testD with data set \"a (b)\" ('c')' ended\n\n\n";
        let passed = [("A::testX", "Passed"), ("A::testD with data set \"a (b)\"", "Passed")];
        let passed = passed.map(|(test, status)| (test.to_owned(), status.to_owned()));
        assert_eq!(said(&format!("{run}OK (2 tests, 2 assertions)\n")), passed);
        assert_eq!(said(&format!("{run}Tests: 2, Assertions: 2, Risky: 1.\n")), passed);
        let unknown = format!("{run}Tests: 2, Assertions: 1, Skipped: 1.\n");
        assert_eq!(said(&unknown), []);
        let listed = format!("{run}There was 1 skipped test:\n\n1) A::testX\nno\n\nTests: 2, Skipped: 1.\n");
        assert_eq!(said(&listed)[0].1, "Skipped");
        assert_eq!(said(&listed)[1], passed[1]);
    }

    #[test]
    fn what_is_incomplete_or_asserts_nothing_is_named() {
        let testdox = "Num (Acme\\Tests\\Num)\n ✔ It adds two\n ∅ Incomplete\n ☢ Runs\n";
        let words =
            [("Num > It adds two", "Passed"), ("Num > Incomplete", "Skipped"), ("Num > Runs", "Error")];
        assert_eq!(said(testdox), words.map(|(test, status)| (test.to_owned(), status.to_owned())));
        let listed = "Test 'A::testX' started\nTest 'A::testX' ended\nThere was 1 risky test:\n\n1) A::testX\nno\n\nTests: 1, Risky: 1.\n";
        assert_eq!(said(listed), [("A::testX".to_owned(), "Error".to_owned())]);
    }

    #[test]
    fn events_and_messages_say_the_same() {
        let events = "Test Prepared (A::testX)\nTest Passed (A::testX)\nTest Finished (A::testX)\nTest Prepared (A::testY#a b)\nTest Failed (A::testY#a b)\nno\nTest Prepared (A::testZ)\n";
        let found = [("A::testX", "Passed"), ("A::testY#a b", "Failed")];
        let found = found.map(|(test, status)| (test.to_owned(), status.to_owned()));
        assert_eq!(said(events), found);
        let lacking = LogParser::Phpunit.parse(events).lacking().unwrap();
        assert_eq!((lacking.announced, lacking.told), (3, 2));
        let messages = "##teamcity[testStarted name='testX' locationHint='php_qn:///t/A.php::\\A::testX' flowId='1']\n\n##teamcity[testFinished name='testX' duration='3' flowId='1']\n##teamcity[testStarted name='testY with |'q|'' locationHint='php_qn:///t/A.php::\\N\\A::testY with |'q|'' flowId='1']\n##teamcity[testIgnored name='testY with |'q|'' message='']\n##teamcity[testFinished name='testY with |'q|'' duration='0']\n";
        let found = [("A::testX", "Passed"), ("N\\A::testY with 'q'", "Skipped")];
        assert_eq!(said(messages), found.map(|(test, status)| (test.to_owned(), status.to_owned())));
        assert!(LogParser::Phpunit.parse(messages).lacking().is_none());
    }
}
