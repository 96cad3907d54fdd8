//! jest's `PASS file` and `FAIL file` lines.

use std::sync::LazyLock;

use regex::Regex;

use super::{FAILED, PASSED};
use crate::lines::Lines;
use crate::needles::needles;
use crate::parser::StatusMap;
use crate::parser::pattern::pattern;
use crate::text::{after_space, python_strip};

/// `PASS file (5.2 s)`, whose duration is no part of the name.
pub(in crate::parser) fn carbon(lines: &mut Lines<'_>) -> StatusMap {
    static TIMED: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            pattern(r"^(?:PASS|FAIL)\s(.*)\s\([\d.]+ms\)"),
            pattern(r"^(?:PASS|FAIL)\s(.*)\s\([\d.]+\ss\)"),
            pattern(r"^(?:PASS|FAIL)\s(.*)\s\([\d.]+s\)"),
        ]
    });
    static BARE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:PASS|FAIL)\s(.*)"));
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(needles!["PASS", "FAIL"]) {
        let said = match line.as_bytes() {
            [b'P', b'A', b'S', b'S', ..] => PASSED,
            [b'F', b'A', b'I', b'L', ..] => FAILED,
            _ => continue,
        };
        // As jest writes it; the rules are wider.
        if let Some((name, time)) = after_space(&line[4..]).and_then(|rest| rest.split_once(" ("))
            && let Some(time) = time.strip_suffix("s)")
            && let Some(time) = time.strip_suffix([' ', 'm']).or(Some(time))
            && !time.is_empty()
            && time.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        {
            map.say(name, said);
            continue;
        }
        let timed = TIMED.iter().find_map(|rule| rule.captures(line));
        if let Some(found) = timed.or_else(|| BARE.captures(line)) {
            map.say(&found[1], said);
        }
    }
    map
}

/// As [`carbon`], but a file that failed and passed has passed.
pub(in crate::parser) fn grommet(lines: &mut Lines<'_>) -> StatusMap {
    static TIME: LazyLock<Regex> = LazyLock::new(|| pattern(r"\s\([\d.]+\s?(?:ms|s)\)$"));
    failures_then_passes(lines, |name| TIME.replace(name, "").into_owned())
}

/// As [`grommet`], with durations.
pub(in crate::parser) fn emotion(lines: &mut Lines<'_>) -> StatusMap {
    failures_then_passes(lines, str::to_owned)
}

fn failures_then_passes(lines: &mut Lines<'_>, name: impl Fn(&str) -> String) -> StatusMap {
    static FAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^FAIL\s(.*)"));
    static PASS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^PASS\s(.*)"));
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for (rule, said) in [(&*FAIL, FAILED), (&*PASS, PASSED)] {
        for found in rule.captures_iter(&text) {
            map.say(name(python_strip(&found[1])), said.clone());
        }
    }
    map
}
