//! Ruby (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use memchr::memmem::FinderRev;
use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Edition, LogParser, Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::{Needles, needles, pieces};
use crate::text::{is_python_word, python_lstrip, python_strip};

fn letter(letter: &str) -> TestStatus {
    match letter {
        "." => TestStatus::Passed,
        "O" => TestStatus::Skipped,
        _ => TestStatus::Failed,
    }
}

/// `Class#test. = 0.00 s = .`: the last `.`, `F` or `E` of the line counts. minitest
/// itself writes no full stop after the name, and the reference does not read that.
pub(super) fn minitest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.+)\. .*=.*(\.|F|E).*$"));
    static VERBOSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\S.*#test_.*) = \d+\.\d+ s = ([.FES])$"));
    by_line(lines, needles!["="], |line| {
        if let Some(found) = line.contains('=').then(|| RESULT.captures(line)).flatten() {
            return Some((found.get(1)?.as_str(), letter(&found[2])));
        }
        let may_be = edition >= Edition::Own && line.ends_with(['.', 'F', 'E', 'S']);
        let found = if may_be { VERBOSE.captures(line) } else { None }?;
        let status = if &found[2] == "S" { TestStatus::Skipped } else { letter(&found[2]) };
        Some((found.get(1)?.as_str(), status))
    })
}

/// `Feature name ....F`.
pub(super) fn cucumber(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(.*) \.+(\.|F)"));
    by_line(lines, needles![" ."], |line| {
        let found = line.contains(" .").then(|| RESULT.captures(line)).flatten()?;
        Some((found.get(1)?.as_str(), letter(&found[2])))
    })
}

/// `test: name: .: (0.001)`; `O` is an omission.
pub(super) fn ruby_unit(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    let mut see = |line: &str| {
        let line = python_strip(line);
        let without = line.strip_prefix("test: ").and_then(before_outcome);
        if let Some((test, status)) = without.or_else(|| before_outcome(line)) {
            map.say(test, Said::Status(status));
        }
    };
    while let Some(block) = lines.block() {
        for piece in pieces(block) {
            // Of what is beyond ASCII some are blanks, too.
            let words = if piece.is_ascii() { blank_and_outcome() } else { needles![":"] };
            words.lines(piece).for_each(&mut see);
        }
    }
    map
}

/// A blank and the letter of an outcome: rarer than the colon before them.
#[rustfmt::skip]
fn blank_and_outcome() -> &'static Needles {
    needles![
        " .", "\t.", "\x0b.", "\x0c.", "\x1c.", "\x1d.", "\x1e.", "\x1f.",
        " E", "\tE", "\x0bE", "\x0cE", "\x1cE", "\x1dE", "\x1eE", "\x1fE",
        " F", "\tF", "\x0bF", "\x0cF", "\x1cF", "\x1dF", "\x1eF", "\x1fF",
        " O", "\tO", "\x0bO", "\x0cO", "\x1cO", "\x1dO", "\x1eO", "\x1fO",
    ]
}

/// Blanks and a letter; of what is beyond ASCII some are blanks.
fn may_be_outcome(text: &[u8]) -> bool {
    let mut text = text.iter();
    text.next().is_some_and(|c| !c.is_ascii_graphic())
        && text
            .find(|c| c.is_ascii_graphic() || !c.is_ascii())
            .is_some_and(|c| b".EFO".contains(c) || !c.is_ascii())
}

/// `^(.+):\s+(\.|E\b|F\b|O\b)`: what stands before the last colon that an
/// outcome follows.
fn before_outcome(line: &str) -> Option<(&str, TestStatus)> {
    let mut end = line.len();
    while let Some(at) = memchr::memrchr(b':', &line.as_bytes()[..end]) {
        end = at;
        if !may_be_outcome(&line.as_bytes()[at + 1..]) {
            continue;
        }
        let outcome = python_lstrip(&line[at + 1..]);
        let spaced = outcome.len() < line.len() - at - 1;
        let ends = outcome.starts_with('.') || !outcome.chars().nth(1).is_some_and(is_python_word);
        if spaced && at > 0 && ends && outcome.starts_with(['.', 'E', 'F', 'O']) {
            return Some((&line[..at], letter(&outcome[..1])));
        }
    }
    None
}

/// `full description - passed`. Pending examples leave no entry.
pub(super) fn rspec_transformed_json(lines: &mut Lines<'_>) -> StatusMap {
    static ENDS: LazyLock<[FinderRev<'static>; 2]> =
        LazyLock::new(|| [FinderRev::new(" - passed"), FinderRev::new(" - failed")]);
    by_line(lines, needles![" - passed", " - failed"], |line| {
        let (passed, failed) = (ENDS[0].rfind(line), ENDS[1].rfind(line));
        let at = passed.max(failed).filter(|at| *at > 0)?;
        let status = if passed > failed { TestStatus::Passed } else { TestStatus::Failed };
        Some((&line[..at], status))
    })
}

/// jekyll's pull requests use different runners.
pub(super) fn jekyll(instance_id: &str) -> Option<LogParser> {
    match instance_id.split('-').nth(1)? {
        "9141" | "8047" | "8167" => Some(LogParser::Minitest),
        "8761" | "8771" => Some(LogParser::Cucumber),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minitest_itself_is_read() {
        let log = "TestA#test_x = 0.00 s = .\nTestA#test_y = 0.01 s = F\n\
                   Outer thing::inner > x#test_0001_adds two = 0.00 s = S\nTestB#test_z. = 0.00 s = .\n";
        let map = LogParser::Minitest.parse(log);
        let told: Vec<_> = map.iter().map(|(t, s)| (t, s.status().unwrap().as_str())).collect();
        let spec = "Outer thing::inner > x#test_0001_adds two";
        let expected = [
            ("TestA#test_x", "PASSED"),
            ("TestA#test_y", "FAILED"),
            (spec, "SKIPPED"),
            ("TestB#test_z", "PASSED"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn any_white_space_may_stand_before_an_outcome() {
        let blanks = " \t\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{1f}\u{85}\u{a0}\u{1680}\u{2003}\u{2028}\u{202f}\u{205f}\u{3000}";
        for blank in blanks.chars() {
            for outcome in ["E", "F", "O", ".", "E:", "EE", "P"] {
                let log = format!("before\n  test: name:{blank}{blank}{outcome}\nafter: a");
                let named = LogParser::RubyUnit.parse(&log).contains_key("name");
                assert_eq!(named, !["EE", "P"].contains(&outcome), "{log:?}");
            }
        }
    }
}
