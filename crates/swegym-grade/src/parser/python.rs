//! Python runners (reference/grading.md, section 4.1).

mod django;
mod session;
pub(super) mod smith;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::Regex;
use swegym_core::{Names, TestStatus};

use super::pattern::pattern;
use super::{Edition, Said, StatusMap};
use crate::lines::Lines;
use crate::needles::{Needles, needles, pieces};
use crate::status_map::Lacking;
use crate::text::{python_split, python_strip, python_word};

pub(super) use django::django;
use session::Session;

/// The first edition does not know `XFAIL`.
fn starts_with_status(line: &str, edition: Edition) -> bool {
    match line.as_bytes().first() {
        Some(b'P' | b'F' | b'S' | b'E') => TestStatus::ALL.iter().any(|s| line.starts_with(s.as_str())),
        Some(b'X') => line.starts_with("XFAIL") && edition >= Edition::V2,
        _ => false,
    }
}

fn ends_with_status(line: &str) -> bool {
    matches!(line.as_bytes().last(), Some(b'D' | b'R' | b'L'))
        && TestStatus::ALL.iter().any(|s| line.ends_with(s.as_str()))
}

/// What every line with a status holds.
fn statuses() -> &'static Needles {
    needles!["PASSED", "FAILED", "SKIPPED", "ERROR", "XFAIL"]
}

/// A counted skip, `SKIPPED [3] file.py:12: reason`, names no test. Before the
/// fifth edition it did.
fn is_skip_count(word: &str, test: &str, edition: Edition) -> bool {
    static COUNT: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\[\d+\]$"));
    edition >= Edition::V5 && word == "SKIPPED" && COUNT.is_match(test)
}

/// The first two words of a line that starts with a status: status and test.
/// `FAILED` lines end in " - message", whose dash is blanked first, so that a
/// test without a message and one with are cut alike.
fn status_and_test(line: &str) -> Option<(&str, &str)> {
    let (status, mut rest) = python_word(line)?;
    loop {
        let (test, after) = python_word(rest)?;
        let before = &rest[..rest.len() - after.len() - test.len()];
        // Only a lone dash can be blanked away from the first two words; its
        // blanks go with it.
        if test == "-" && line.starts_with("FAILED") && before.ends_with(' ') && after.starts_with(' ') {
            rest = &after[1..];
        } else {
            return Some((status, test));
        }
    }
}

/// A line that starts with a status: the second word is the test.
pub(super) fn pytest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let (mut map, mut session) = (StatusMap::default(), Session::new(edition));
    while let Some(line) = session.next_line(lines) {
        if starts_with_status(line, edition)
            && let Some((status, test)) = status_and_test(line)
            && !is_skip_count(status, test, edition)
        {
            map.say(test, Said::of(status));
        } else {
            session.see(line, &mut map);
        }
    }
    session.finish(&mut map);
    map
}

/// As [`pytest`], but a parameter that is an absolute path keeps only its last
/// component, and what follows the bracket is dropped.
pub(super) fn pytest_options(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let (mut map, mut session) = (StatusMap::default(), Session::new(edition));
    while let Some(line) = session.next_line(lines) {
        if starts_with_status(line, edition)
            && let Some((status, test)) = status_and_test(line)
            && !is_skip_count(status, test, edition)
        {
            match test.split_once('[').and_then(|(main, rest)| Some((main, rest.rsplit_once(']')?.0))) {
                Some((main, option)) => {
                    let is_path =
                        option.starts_with('/') && !option.starts_with("//") && !option.contains('*');
                    let last = option.rsplit('/').next().unwrap_or(option);
                    let test = if is_path { format!("{main}[/{last}]") } else { format!("{main}[{option}]") };
                    map.say(test, Said::of(status));
                }
                None => map.say(test, Said::of(status)),
            }
        } else {
            session.see(line, &mut map);
        }
    }
    session.finish(&mut map);
    map
}

/// A line without colours (`[32m`, whose escape went with the other control
/// characters) and without control characters.
fn without_colours(line: &str) -> Cow<'_, str> {
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[\d+m"));
    let line = if may_have_colours(line) { COLOUR.replace_all(line, "") } else { Cow::Borrowed(line) };
    if line.bytes().any(|b| (1..32).contains(&b)) {
        return Cow::Owned(line.chars().filter(|c| !('\u{1}'..='\u{1f}').contains(c)).collect());
    }
    line
}

/// `" ".join(text.split())`.
fn words(text: &str) -> String {
    python_split(text).collect::<Vec<_>>().join(" ")
}

/// Every line that may name a status, [`without_colours`].
fn each_uncoloured(lines: &mut Lines<'_>, needles: &Needles, mut see: impl FnMut(&str)) {
    static START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(session::START));
    // The number of tests comes soon after a session's first heading.
    let (mut before_session, mut in_head) = (true, false);
    while let Some(block) = lines.block() {
        for piece in pieces(block) {
            let was_in_head = std::mem::take(&mut in_head);
            if before_session && START.find(piece.as_bytes()).is_some() {
                (before_session, in_head) = (false, true);
            }
            if in_head || was_in_head {
                piece.lines().filter(|line| session::counts(line)).for_each(&mut see);
            }
            // Where nothing is removed, nothing comes together that was apart.
            if is_plain(piece) {
                needles.lines(piece).for_each(&mut see);
            } else {
                piece.lines().for_each(|line| see(&without_colours(line)));
            }
        }
    }
}

/// Whether [`without_colours`] changes no line of a text.
fn is_plain(text: &str) -> bool {
    // Without a way out of the loop, so that it takes many bytes at once.
    let controls = text.bytes().fold(false, |found, b| found | ((b < 32) & (b != b'\n')));
    !controls && !may_have_colours(text)
}

/// Whether a digit follows an opening bracket, of any script.
fn may_have_colours(line: &str) -> bool {
    let bytes = line.as_bytes();
    memchr::memchr_iter(b'[', bytes)
        .any(|at| bytes.get(at + 1).is_some_and(|next| next.is_ascii_digit() || !next.is_ascii()))
}

/// Colours and control characters removed; the status may stand at either end
/// of the line, and all the words between are the test: before the fifth
/// edition only one, before the second only at the start.
pub(super) fn pytest_v2(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let (mut map, mut session) = (StatusMap::default(), Session::new(edition));
    each_uncoloured(lines, session.needles(), |line| {
        let is_result = starts_with_status(line, edition);
        if !is_result {
            session.see(line, &mut map);
        }
        if edition < Edition::V5 {
            say_old_v2(&mut map, line, edition);
        } else if is_result {
            let line = if line.starts_with("FAILED") { line.split(" - ").next().unwrap_or("") } else { line };
            if let Some((status, rest)) = python_word(line)
                && let Some((first, more)) = python_word(rest)
                && !is_skip_count(status, first, edition)
            {
                match python_split(more).next() {
                    None => map.say(first, Said::of(status)),
                    Some(_) => map.say(words(rest), Said::of(status)),
                }
            }
        } else if ends_with_status(line)
            && let Some((test, status)) = words(line).rsplit_once(' ')
        {
            map.say(test, Said::of(status));
        }
    });
    session.finish(&mut map);
    map
}

fn say_old_v2(map: &mut StatusMap, line: &str, edition: Edition) {
    if starts_with_status(line, edition) {
        if let Some((status, test)) = status_and_test(line) {
            map.say(test, Said::of(status));
        }
    } else if edition >= Edition::V2 && ends_with_status(line) {
        let mut words = python_split(line);
        if let (Some(test), Some(status)) = (words.next(), words.next()) {
            map.say(test, Said::of(status));
        }
    }
}

/// As [`pytest_v2`] of the second edition, with the counter after `FAILED`
/// removed (SWE-Gym's fork, for pydantic).
pub(super) fn pytest_pydantic(lines: &mut Lines<'_>) -> StatusMap {
    static COUNTER: LazyLock<Regex> = LazyLock::new(|| pattern(r"FAILED\s*\[.*?\]"));
    let mut map = StatusMap::default();
    each_uncoloured(lines, statuses(), |line| {
        say_old_v2(&mut map, &COUNTER.replace_all(line, "FAILED"), Edition::V2);
    });
    map
}

/// As [`pytest`], with two members of an enumeration that newer versions print by number.
pub(super) fn matplotlib(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    if edition < Edition::V2 {
        return pytest(lines, edition);
    }
    let (mut map, mut session) = (StatusMap::default(), Session::new(edition));
    while let Some(line) = session.next_line(lines) {
        // Neither name can bring forth a status at the start of a line.
        if starts_with_status(line, edition)
            && let Some((status, test)) = status_and_test(line)
            && !is_skip_count(status, test, edition)
        {
            let status = status.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3");
            let test = test.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3");
            map.say(test, Said::of(&status));
        } else {
            session.see(line, &mut map);
        }
    }
    session.finish(&mut map);
    map
}

/// Failures from the summary, passes from progress lines or the summary.
pub(super) fn seaborn(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    while let Some(line) = lines.next_with(needles!["PASSED", "FAILED"]) {
        let mut words = python_split(line);
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        let (test, status) = if line.starts_with("FAILED") {
            (second, TestStatus::Failed)
        } else if line.contains(" PASSED ") {
            if second != "PASSED" {
                continue;
            }
            (first, TestStatus::Passed)
        } else if line.starts_with("PASSED") {
            (second, TestStatus::Passed)
        } else {
            continue;
        };
        map.say(test, Said::Status(status));
    }
    map
}

/// Failures by their headings, `____ path.py:test ____`, then one line a test;
/// the module is not part of its name there. The second edition forgives
/// `[OK]` and `[FAIL]`, which end the last line of a file.
pub(super) fn sympy(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    static HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"(_*) (.*)\.py:(.*) (_*)"));
    static FILE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(".py:"));
    let mut map = StatusMap::default();
    let (mut tests, mut said) = (Names::default(), Vec::new());
    while let Some(line) = lines.next_with(needles![".py:", "test_"]) {
        if FILE.find(line.as_bytes()).is_some()
            && let Some(found) = HEADING.captures(line)
        {
            map.say(format!("{}.py:{}", &found[2], &found[3]), Said::Status(TestStatus::Failed));
        }
        let mut line = python_strip(line);
        if !line.starts_with("test_") {
            continue;
        }
        if edition == Edition::V2 && (line.ends_with("[FAIL]") || line.ends_with("[OK]")) {
            line = line.rsplit_once('[').map_or(line, |(before, _)| python_strip(before));
        }
        let ends = [(" E", TestStatus::Error), (" F", TestStatus::Failed), (" ok", TestStatus::Passed)];
        let status = ends.into_iter().find(|(end, _)| line.ends_with(end)).map(|(_, status)| status);
        if let (Some(status), Some((test, _))) = (status, python_word(line)) {
            tests.push(test);
            said.push(status);
        }
    }
    for (test, status) in tests.iter().zip(said) {
        map.say(test, Said::Status(status));
    }
    map
}

/// R2E-Gym's: the lines between the heading of pytest's summary and its next
/// mention; what follows the file is the name, without colours and message.
pub(super) fn r2e(lines: &mut Lines<'_>) -> StatusMap {
    const HEADING: &str = "short test summary info";
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\x1b\[\d+m"));
    let mut said: BTreeMap<String, TestStatus> = BTreeMap::new();
    let mut headings = 0;
    while let Some(line) = lines.next_with(needles![HEADING, "PASSED", "FAILED", "ERROR"]) {
        for (at, part) in line.split(HEADING).enumerate() {
            headings += usize::from(at > 0);
            let words = [TestStatus::Passed, TestStatus::Failed, TestStatus::Error];
            let status = words.into_iter().find(|s| part.contains(s.as_str()));
            if let Some(status) = status.filter(|_| headings == 1) {
                let name = part.split("::").skip(1).collect::<Vec<_>>().join(".");
                said.insert(COLOUR.replace_all(&name, "").into_owned(), status);
            }
        }
    }
    let mut map = StatusMap::default();
    for (name, status) in said {
        map.say(name.split(" - ").next().unwrap_or_default(), Said::Status(status));
    }
    map
}

/// `test_x (module.Class.test_x) ... ok`, with the first line of a docstring
/// possibly between name and dots; the blocks `FAIL: …` and `ERROR: …` at the
/// end decide over a status line that other output tore apart. Parts of a test
/// have indented lines of their own: one that was skipped leaves its test passed.
pub(super) fn unittest(lines: &mut Lines<'_>) -> StatusMap {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w+) \(([\w.]+)\)"));
    static PART: LazyLock<Regex> = LazyLock::new(|| pattern(r"^  (\w+) \(([\w.]+)\) .* \.\.\. (.*)$"));
    static BLOCK: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(FAIL|ERROR): (\w+) \(([\w.]+)\)"));
    static END: LazyLock<Regex> = LazyLock::new(|| pattern(r"^Ran \d+ tests?(?: in |$)"));
    let mut map = StatusMap::default();
    let mut open: Option<String> = None;
    let mut is_over = false;
    while let Some(line) = lines.next() {
        is_over |= line.starts_with("Ran ") && END.is_match(line);
        if let Some(block) = BLOCK.captures(line) {
            let status = if &block[1] == "FAIL" { TestStatus::Failed } else { TestStatus::Error };
            map.say(unittest_id(&block[2], &block[3]), Said::Status(status));
            continue;
        }
        if line.starts_with("  ")
            && let Some(part) = PART.captures(line)
        {
            let id = unittest_id(&part[1], &part[2]);
            match unittest_status(&part[3]) {
                Some(TestStatus::Skipped) if map.contains_key(&id) => {}
                Some(TestStatus::Skipped) => map.say(id, Said::Status(TestStatus::Passed)),
                Some(status) => map.say(id, Said::Status(status)),
                None => {}
            }
            open = None;
            continue;
        }
        if let Some(name) = NAME.captures(line) {
            open = Some(unittest_id(&name[1], &name[2]));
        }
        // Either after the dots, or alone on a line after what the test printed.
        let word = line.rsplit_once(" ... ").map_or(line, |(_, word)| word);
        if let Some(status) = unittest_status(word)
            && let Some(id) = open.take()
        {
            map.say(id, Said::Status(status));
        }
    }
    if !is_over && (!map.is_empty() || open.is_some()) {
        let told = map.len() as u64;
        map.lack(Lacking { announced: told + 1, told });
    }
    map
}

/// Before Python 3.11 the brackets hold the class only.
fn unittest_id(name: &str, place: &str) -> String {
    if place.rsplit('.').next() == Some(name) { place.to_owned() } else { format!("{place}.{name}") }
}

fn unittest_status(word: &str) -> Option<TestStatus> {
    match python_strip(word) {
        "ok" => Some(TestStatus::Passed),
        // The run fails by it.
        "FAIL" | "unexpected success" => Some(TestStatus::Failed),
        "ERROR" => Some(TestStatus::Error),
        "expected failure" => Some(TestStatus::XFail),
        skipped if skipped.starts_with("skipped") => Some(TestStatus::Skipped),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::parser::LogParser;

    fn check(parser: LogParser, log: &str, expected: &[(&str, &str)]) {
        let map = parser.parse(log);
        let found: Vec<(String, String)> = map
            .iter()
            .map(|(id, said)| {
                let word = match said {
                    super::Said::Status(s) => s.as_str().to_owned(),
                    super::Said::Other(w) => w.clone(),
                };
                (id.to_owned(), word)
            })
            .collect();
        let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn pytest_lines_keep_the_reference_quirks() {
        check(
            LogParser::Pytest,
            "PASSED t.py::a\nFAILED t.py::b - assert 1 == 2\nFAILED t.py::c[x - y] - boom\nSKIPPED [1] t.py:3: no\n\
             SKIPPED t.py::s\nXFAIL t.py::d - reason\nERROR t.py\nERROR: not found: t.py::q\n  PASSED t.py::indented\nXPASS t.py::e\nPASSED\n\
             PASSED t.py::p[a b]\rPASSED t.py::f\u{1c}tail\nFAILED t.py::a\n",
            &[
                ("t.py::a", "FAILED"),
                ("t.py::b", "FAILED"),
                ("t.py::c[x", "FAILED"),
                ("t.py::s", "SKIPPED"),
                ("t.py::d", "XFAIL"),
                ("t.py", "ERROR"),
                ("not", "ERROR:"),
                ("t.py::e", "PASSED"),
                ("t.py::p[a", "PASSED"),
                ("t.py::f", "PASSED"),
            ],
        );
    }

    #[test]
    fn option_paths_are_shortened() {
        check(
            LogParser::PytestOptions,
            "PASSED t.py::a[/tmp/x/y.txt]\nPASSED t.py::b[//host/x]\nPASSED t.py::c[/a*/b]\nPASSED t.py::d[x]tail\nPASSED t.py::e\n",
            &[
                ("t.py::a[/y.txt]", "PASSED"),
                ("t.py::b[//host/x]", "PASSED"),
                ("t.py::c[/a*/b]", "PASSED"),
                ("t.py::d[x]", "PASSED"),
                ("t.py::e", "PASSED"),
            ],
        );
    }

    #[test]
    fn statuses_at_either_end_and_colours() {
        check(
            LogParser::PytestV2,
            "\u{1b}[32mPASSED\u{1b}[0m t.py::a[b c]\nFAILED t.py::b - why - not\nt.py::c PASSED\nt.py::d x FAILED\nPASSED\n",
            &[
                ("t.py::a[b c]", "PASSED"),
                ("t.py::b", "FAILED"),
                ("t.py::c", "PASSED"),
                ("t.py::d x", "FAILED"),
            ],
        );
    }

    #[test]
    fn unittest_names_are_whole_in_every_python() {
        check(
            LogParser::Unittest,
            "test_a (m.C.test_a) ... ok\ntest_b (m.C)\nDocstring. ... FAIL\ntest_c (m.C.test_c) ... noise\nok\ntest_d (m.C.test_d) ... skipped 'x'\n\
             test_e (m.C.test_e) ... expected failure\ntest_f (m.C.test_f) ... torn\n======\nERROR: test_f (m.C.test_f)\nRan 6 tests\n\nOK\n",
            &[
                ("m.C.test_a", "PASSED"),
                ("m.C.test_b", "FAILED"),
                ("m.C.test_c", "PASSED"),
                ("m.C.test_d", "SKIPPED"),
                ("m.C.test_e", "XFAIL"),
                ("m.C.test_f", "ERROR"),
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn any_log_is_read(log in "((PASSED|FAILED|ERROR|SKIPPED|ok|\\[\\d+m| \\.\\.\\. |::|\\[|\\]| - |/)|\\PC|\r|\n|\u{1c}){0,80}") {
            for parser in LogParser::ALL.iter() { let _ = parser.parse(&log); }
        }
    }
}
