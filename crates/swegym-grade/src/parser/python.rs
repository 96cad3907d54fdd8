//! Python runners (reference/grading.md, section 4.1).

use std::sync::LazyLock;

use regex::Regex;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Said, StatusMap};
use crate::text::{python_split, python_strip};

fn starts_with_status(line: &str) -> bool {
    TestStatus::ALL.iter().any(|s| line.starts_with(s.as_str()))
}

/// A counted skip, `SKIPPED [3] file.py:12: reason`, names no test.
fn is_skip_count(words: &[&str]) -> bool {
    let counted = |w: &str| {
        w.strip_prefix('[')
            .and_then(|w| w.strip_suffix(']'))
            .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    };
    words[0] == "SKIPPED" && counted(words[1])
}

/// A line that starts with a status: the second word is the test. `FAILED`
/// lines end in " - message", whose dash is blanked first, so that a test
/// without a message and one with are cut alike.
pub(super) fn pytest(log: &str) -> StatusMap {
    let mut map = StatusMap::new();
    for line in log.split('\n').filter(|l| starts_with_status(l)) {
        let line = if line.starts_with("FAILED") { line.replace(" - ", " ") } else { line.to_owned() };
        let words: Vec<&str> = python_split(&line).collect();
        if words.len() > 1 && !is_skip_count(&words) {
            map.insert(words[1].to_owned(), Said::of(words[0]));
        }
    }
    map
}

/// As [`pytest`], but a parameter that is an absolute path keeps only its last
/// component, and what follows the bracket is dropped.
pub(super) fn pytest_options(log: &str) -> StatusMap {
    static OPTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(.*?)\[(.*)\]"));
    let mut map = StatusMap::new();
    for line in log.split('\n').filter(|l| starts_with_status(l)) {
        let line = if line.starts_with("FAILED") { line.replace(" - ", " ") } else { line.to_owned() };
        let words: Vec<&str> = python_split(&line).collect();
        if words.len() < 2 || is_skip_count(&words) {
            continue;
        }
        let id = match OPTION.captures(words[1]) {
            Some(parts) => {
                let (main, option) = (&parts[1], &parts[2]);
                let is_path = option.starts_with('/') && !option.starts_with("//") && !option.contains('*');
                let last = option.rsplit('/').next().unwrap_or(option);
                if is_path { format!("{main}[/{last}]") } else { format!("{main}[{option}]") }
            }
            None => words[1].to_owned(),
        };
        map.insert(id, Said::of(words[0]));
    }
    map
}

/// Colours and control characters removed; the status may stand at either end
/// of the line, and all the words between are the test.
pub(super) fn pytest_v2(log: &str) -> StatusMap {
    static COLOUR: LazyLock<Regex> = LazyLock::new(|| pattern(r"\[(\d+)m"));
    let mut map = StatusMap::new();
    for line in log.split('\n') {
        let line = COLOUR.replace_all(line, "");
        let line: String = line.chars().filter(|c| !('\u{1}'..='\u{1f}').contains(c)).collect();
        if starts_with_status(&line) {
            let line =
                if line.starts_with("FAILED") { line.split(" - ").next().unwrap_or("") } else { &line };
            let words: Vec<&str> = python_split(line).collect();
            if words.len() > 1 && !is_skip_count(&words) {
                map.insert(words[1..].join(" "), Said::of(words[0]));
            }
        } else if TestStatus::ALL.iter().any(|s| line.ends_with(s.as_str())) {
            let words: Vec<&str> = python_split(&line).collect();
            if let [id @ .., status] = words.as_slice()
                && !id.is_empty()
            {
                map.insert(id.join(" "), Said::of(status));
            }
        }
    }
    map
}

/// As [`pytest`], with two members of an enumeration that newer versions print by number.
pub(super) fn matplotlib(log: &str) -> StatusMap {
    pytest(&log.replace("MouseButton.LEFT", "1").replace("MouseButton.RIGHT", "3"))
}

/// `name ... ok`, where other output may come between name and status. The
/// last three rules are for output that is known to.
pub(super) fn django(log: &str) -> StatusMap {
    static TORN: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [
            pattern(r"(?m)^(.*?)\s\.\.\.\sTesting against Django installed in ((?s:.*?)) silenced\)\.\nok$"),
            pattern(r"(?m)^(.*?)\s\.\.\.\sInternal Server Error: /(.*)/\nok$"),
            pattern(r"(?m)^(.*?)\s\.\.\.\sSystem check identified no issues \(0 silenced\)\nok$"),
        ]
    });
    const VERSION: &str = "--version is equivalent to version";
    const GLUED: &str = "Applying sites.0002_alter_domain_unique...test_no_migrations";
    let mut map = StatusMap::new();
    let mut last: Option<&str> = None;
    for line in log.split('\n') {
        let mut line = python_strip(line);
        let mut say = |test: &str, status| drop(map.insert(test.to_owned(), Said::Status(status)));
        if line.contains(VERSION) {
            say(VERSION, TestStatus::Passed);
        }
        if let Some((test, _)) = line.split_once(" ... ") {
            last = Some(test);
        }
        if let Some(suffix) = [" ... ok", " ... OK", " ...  OK"].into_iter().find(|s| line.ends_with(s)) {
            if line.starts_with(GLUED) {
                line = line.split_once("...").map_or(line, |(_, rest)| python_strip(rest));
            }
            say(line.rsplit_once(suffix).map_or(line, |(test, _)| test), TestStatus::Passed);
        }
        if let Some((test, _)) = line.split_once(" ... skipped") {
            say(test, TestStatus::Skipped);
        }
        for (suffix, prefix, status) in
            [(" ... FAIL", "FAIL:", TestStatus::Failed), (" ... ERROR", "ERROR:", TestStatus::Error)]
        {
            if line.ends_with(suffix)
                && let Some((test, _)) = line.split_once(suffix)
            {
                say(test, status);
            }
            if line.starts_with(prefix)
                && let Some(test) = python_split(line).nth(1)
            {
                say(test, status);
            }
        }
        if let Some(test) = last.filter(|_| line.starts_with("ok")) {
            say(test, TestStatus::Passed);
        }
    }
    for torn in &*TORN {
        for found in torn.captures_iter(log) {
            map.insert(found[1].to_owned(), Said::Status(TestStatus::Passed));
        }
    }
    map
}

/// Failures from the summary, passes from progress lines or the summary.
pub(super) fn seaborn(log: &str) -> StatusMap {
    let mut map = StatusMap::new();
    for line in log.split('\n') {
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
        map.insert(test.to_owned(), Said::Status(status));
    }
    map
}

/// Failures by their headings, `____ path.py:test ____`, then one line a test;
/// the module is not part of its name there.
pub(super) fn sympy(log: &str) -> StatusMap {
    static HEADING: LazyLock<Regex> = LazyLock::new(|| pattern(r"(_*) (.*)\.py:(.*) (_*)"));
    let mut map = StatusMap::new();
    for found in HEADING.captures_iter(log) {
        map.insert(format!("{}.py:{}", &found[2], &found[3]), Said::Status(TestStatus::Failed));
    }
    for line in log.split('\n').map(python_strip).filter(|l| l.starts_with("test_")) {
        let ends = [(" E", TestStatus::Error), (" F", TestStatus::Failed), (" ok", TestStatus::Passed)];
        let status = ends.into_iter().find(|(end, _)| line.ends_with(end)).map(|(_, status)| status);
        if let (Some(status), Some(test)) = (status, python_split(line).next()) {
            map.insert(test.to_owned(), Said::Status(status));
        }
    }
    map
}

/// `test_x (module.Class.test_x) ... ok`, with the first line of a docstring
/// possibly between name and dots; the blocks `FAIL: …` and `ERROR: …` at the
/// end decide over a status line that other output tore apart.
pub(super) fn unittest(log: &str) -> StatusMap {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\w+) \(([\w.]+)\)"));
    static BLOCK: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(FAIL|ERROR): (\w+) \(([\w.]+)\)"));
    let mut map = StatusMap::new();
    let mut open: Option<String> = None;
    for line in log.split('\n') {
        if let Some(block) = BLOCK.captures(line) {
            let status = if &block[1] == "FAIL" { TestStatus::Failed } else { TestStatus::Error };
            map.insert(unittest_id(&block[2], &block[3]), Said::Status(status));
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
            map.insert(id, Said::Status(status));
        }
    }
    map
}

/// Before Python 3.11 the brackets hold the class only.
fn unittest_id(name: &str, place: &str) -> String {
    if place.rsplit('.').next() == Some(name) { place.to_owned() } else { format!("{place}.{name}") }
}

fn unittest_status(word: &str) -> Option<TestStatus> {
    match python_strip(word) {
        "ok" | "unexpected success" => Some(TestStatus::Passed),
        "FAIL" => Some(TestStatus::Failed),
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
            .into_iter()
            .map(|(id, said)| {
                let word = match said {
                    super::Said::Status(s) => s.as_str().to_owned(),
                    super::Said::Other(w) => w,
                };
                (id, word)
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
            for parser in LogParser::ALL { let _ = parser.parse(&log); }
        }
    }
}
