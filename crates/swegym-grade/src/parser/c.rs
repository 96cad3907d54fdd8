//! C and C++ (reference/grading.md, section 4.3).

use std::sync::LazyLock;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::needles;
use crate::text::{after_space, is_python_space, python_lstrip, python_word, without_duration};

/// `[ok]: name (12 ms)`; a failure's file is no part of its name.
pub(super) fn redis(lines: &mut Lines<'_>) -> StatusMap {
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s+in\s+\S+$"));
    by_line(lines, needles!["]:"], |line| {
        let (word, rest) = line.strip_prefix('[')?.split_once("]:")?;
        let name = after_space(rest).filter(|name| !name.is_empty())?;
        let name = without_duration(name);
        match word {
            "ok" => Some((name, TestStatus::Passed)),
            "err" => {
                Some((PLACE.find(name).map_or(name, |place| &name[..place.start()]), TestStatus::Failed))
            }
            "skip" | "ignore" => Some((name, TestStatus::Skipped)),
            _ => None,
        }
    })
}

/// `PASS: name`.
pub(super) fn jq(lines: &mut Lines<'_>) -> StatusMap {
    by_line(lines, needles!["PASS:", "FAIL:"], |line| {
        let (rest, status) = match line.split_once(':')? {
            ("PASS", rest) => (rest, TestStatus::Passed),
            ("FAIL", rest) => (rest, TestStatus::Failed),
            _ => return None,
        };
        Some((after_space(rest).filter(|name| !name.is_empty())?, status))
    })
}

/// `pass  tests/basics/x.py`.
pub(super) fn micropython_test(lines: &mut Lines<'_>) -> StatusMap {
    by_line(lines, needles!["pass", "FAIL", "skip"], |line| {
        let (word, rest) = python_word(line)?;
        let status = match word {
            "pass" => TestStatus::Passed,
            "FAIL" => TestStatus::Failed,
            "skip" => TestStatus::Skipped,
            _ => return None,
        };
        Some((python_lstrip(rest), status)).filter(|(name, _)| !name.is_empty())
    })
}

/// `[       OK ] suite.test (0 ms)`.
pub(super) fn googletest(lines: &mut Lines<'_>) -> StatusMap {
    static RESULT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^.*\[\s*(OK|FAILED)\s*\]\s(.*)\s\(.*\)$"));
    by_line(lines, needles!["OK", "FAILED"], |line| {
        if !line.ends_with(')') || !line.contains(']') {
            return None;
        }
        // As GoogleTest writes it; the rule is wider.
        if let Some(rest) = line.strip_prefix("[       OK ] ")
            && memchr::memchr2(b'[', b'(', rest.as_bytes()).is_none_or(|at| rest.as_bytes()[at] == b'(')
            && let Some(name) = before_time(rest)
        {
            return Some((name, TestStatus::Passed));
        }
        let found = RESULT.captures(line)?;
        let status = if &found[1] == "OK" { TestStatus::Passed } else { TestStatus::Failed };
        Some((found.get(2)?.as_str(), status))
    })
}

/// A name up to its time, if no other bracket opens in the line.
fn before_time(rest: &str) -> Option<&str> {
    let name = rest.split_once('(').filter(|(_, time)| !time.contains(['(', '[']))?.0;
    name.strip_suffix(is_python_space)
}

/// doctest's XML (`-s -r=xml`): every `SubCase` of a `TestCase` is a test, and
/// passes unless one of its expressions failed. XML that is not well-formed
/// says nothing (the reference raises).
pub(super) fn doctest(lines: &mut Lines<'_>) -> StatusMap {
    let Some(log) = lines.text() else { return StatusMap::default() };
    let Some(xml) = log.find("<doctest").map(|start| &log[start..]) else { return StatusMap::default() };
    let Some(end) = xml.find("</doctest>") else { return StatusMap::default() };
    read_doctest(&xml[..end + "</doctest>".len()]).unwrap_or_default()
}

fn read_doctest(xml: &str) -> Option<StatusMap> {
    let mut reader = Reader::from_str(xml);
    let mut map = StatusMap::default();
    // Open elements: the name, and for a subcase the tests it stands for.
    let mut open: Vec<(String, Vec<String>)> = Vec::new();
    let mut cases: Vec<String> = Vec::new();
    loop {
        let (start, empty) = match reader.read_event().ok()? {
            Event::Start(start) => (start, false),
            Event::Empty(start) => (start, true),
            Event::End(_) => {
                let (name, _) = open.pop()?;
                if name == "TestCase" {
                    cases.pop();
                }
                continue;
            }
            Event::Eof => return open.is_empty().then_some(map),
            _ => continue,
        };
        let name = start.name().as_ref().to_owned();
        let mut tests = Vec::new();
        match name.as_str() {
            "TestCase" if !empty => cases.push(attribute(&start, "name")),
            "SubCase" => {
                let own = attribute(&start, "name");
                tests = cases.iter().map(|case| format!("{case} > {own}")).collect();
                for test in &tests {
                    map.say(test, Said::Status(TestStatus::Passed));
                }
            }
            "Expression" if attribute(&start, "success") != "true" => {
                for test in open.iter().flat_map(|(_, tests)| tests) {
                    map.say(test, Said::Status(TestStatus::Failed));
                }
            }
            _ => {}
        }
        if !empty {
            open.push((name, tests));
        }
    }
}

/// An attribute's value; `None`, spelled out, where there is none.
fn attribute(element: &BytesStart<'_>, name: &str) -> String {
    let found = element.try_get_attribute(name).ok().flatten();
    let text = found.and_then(|a| Some(quick_xml::escape::unescape(&a.value).ok()?.into_owned()));
    text.unwrap_or_else(|| "None".to_owned())
}
