//! JavaScript and TypeScript (reference/grading.md, section 4.2): runners that
//! name every test. Those that name files or failures only have files of
//! their own.

pub(super) mod failures;
pub(super) mod files;
mod tap;
mod vitest;

use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::Regex;
use serde_json::Value;
use swegym_core::TestStatus;

use super::pattern::pattern;
use super::{Edition, LogParser, Said, StatusMap, by_line};
use crate::lines::Lines;
use crate::needles::{needles, pieces};
use crate::text::{
    after_space, indent, is_python_digit, python_lstrip, python_strip, without_duration, without_escapes,
};

pub(super) use tap::tap;
pub(super) use vitest::vitest;

const PASSED: Said = Said::Status(TestStatus::Passed);
const FAILED: Said = Said::Status(TestStatus::Failed);

/// `✓ name (12 ms)`. A duration with a fraction stays in the name.
pub(super) fn jest(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    by_line(lines, needles!["✓", "✕", "○"], |line| {
        let mut rest = line.chars();
        let status = match rest.next()? {
            '✓' => TestStatus::Passed,
            '✕' => TestStatus::Failed,
            '○' => TestStatus::Skipped,
            _ => return None,
        };
        let name = after_space(rest.as_str()).filter(|name| !name.is_empty())?;
        let name = without_duration(name);
        Some((if edition >= Edition::V5 { python_strip(name) } else { name }, status))
    })
}

/// `[PASSED] suites and name`.
pub(super) fn jest_json(lines: &mut Lines<'_>) -> StatusMap {
    by_line(lines, needles!["[PASSED]", "[FAILED]"], |line| {
        let (rest, status) = match line.split_once(']')? {
            ("[PASSED", rest) => (rest, TestStatus::Passed),
            ("[FAILED", rest) => (rest, TestStatus::Failed),
            _ => return None,
        };
        Some((after_space(rest).filter(|name| !name.is_empty())?, status))
    })
}

/// immutable-js uses different runners.
pub(super) fn immutable_js(instance_id: &str) -> Option<LogParser> {
    match instance_id.rsplit('-').next()? {
        "2006" => Some(LogParser::Jest),
        "2005" => Some(LogParser::JestJson),
        _ => None,
    }
}

/// An indented tree between the browser's start and the summary. A deeper line
/// opens a suite, a shallower one closes one.
pub(super) fn karma(lines: &mut Lines<'_>) -> StatusMap {
    static LINE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\s*)?([✔✖])?\s(.*)$"));
    let mut map = StatusMap::default();
    let mut suites: Vec<String> = Vec::new();
    let mut depth = None;
    let mut started = false;
    while let Some(line) = lines.next() {
        if line.starts_with("SUMMARY:") {
            break;
        }
        if line.contains("Starting browser") {
            started = true;
            continue;
        }
        let Some(found) = started.then(|| LINE.captures(line)).flatten() else { continue };
        let (space, name) = (found.get(1).map_or("", |m| m.as_str()), &found[3]);
        match found.get(2).map(|mark| mark.as_str()) {
            Some(mark) => {
                suites.push(name.to_owned());
                map.say(suites.join(" > "), if mark == "✔" { PASSED } else { FAILED });
                suites.pop();
            }
            None if space.is_empty() => {}
            None => {
                let new = space.chars().count();
                if depth.is_none_or(|old| new > old) {
                    suites.push(name.to_owned());
                } else if depth.is_some_and(|old| new < old) {
                    suites.pop();
                }
                depth = Some(new);
            }
        }
    }
    map
}

/// Suites by indentation: a line closes all that are not shallower than itself.
#[derive(Default)]
struct Suites(Vec<(String, usize)>);

impl Suites {
    /// Takes an indented line for a suite.
    fn see(&mut self, line: &str) {
        let depth = indent(line);
        if depth > 0 {
            while self.0.last().is_some_and(|(_, old)| *old >= depth) {
                self.0.pop();
            }
            self.0.push((python_strip(line).to_owned(), depth));
        }
    }

    /// The open suites, outermost first.
    fn write_path(&self, to: &mut String) {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if at > 0 {
                to.push_str(" - ");
            }
            to.push_str(name);
        }
    }

    /// The path with a name at its end.
    fn named(&self, name: &str) -> String {
        let mut path = String::new();
        self.write_path(&mut path);
        if !self.0.is_empty() {
            path.push_str(" - ");
        }
        path + name
    }
}

/// Runs of jest, each after its command, up to its list of failures.
pub(super) fn calypso(lines: &mut Lines<'_>) -> StatusMap {
    const COMMAND: &str = " ./node_modules/.bin/jest ";
    static COMMANDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(COMMAND));
    let mut runs = CalypsoRuns::default();
    while let Some(block) = lines.block() {
        for piece in pieces(block) {
            if COMMANDS.find(piece.as_bytes()).is_none() {
                runs.see_all(piece);
                continue;
            }
            for line in piece.strip_suffix('\n').unwrap_or(piece).split('\n') {
                if COMMANDS.find(line.as_bytes()).is_none() {
                    runs.see(line);
                    continue;
                }
                for (at, part) in line.split(COMMAND).enumerate() {
                    runs.running |= at > 0;
                    runs.see(part);
                }
            }
        }
    }
    runs.map
}

#[derive(Default)]
struct CalypsoRuns {
    map: StatusMap,
    /// The test at hand: of many one after the other, in the same memory.
    name: String,
    suites: Suites,
    running: bool,
}

impl CalypsoRuns {
    /// Whole lines without a command.
    fn see_all(&mut self, lines: &str) {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', lines.as_bytes()).chain([lines.len()]) {
            if self.running && may_tell(&lines.as_bytes()[start..]) {
                self.see(&lines[start..end]);
            }
            start = end + 1;
            if start >= lines.len() {
                return;
            }
        }
    }

    fn see(&mut self, line: &str) {
        if !self.running || !may_tell(line.as_bytes()) {
            return;
        }
        if line.starts_with("Test Suites") || line.starts_with("  ● ") {
            self.running = false;
            return;
        }
        let said = match python_lstrip(line).chars().next() {
            Some('✓') => PASSED,
            Some('✕') => FAILED,
            _ => return self.suites.see(line),
        };
        if let Some(name) = calypso_name(line) {
            self.name.clear();
            self.suites.write_path(&mut self.name);
            self.name.push_str(" - ");
            self.name.push_str(name);
            self.map.say(python_strip(&self.name), said);
        }
    }
}

/// Of lines that are not indented only some say something.
fn may_tell(line: &[u8]) -> bool {
    line.first().is_some_and(|first| !first.is_ascii_graphic() || *first == b'T')
}

/// `^\s+[✓✕]\s(.*)`, and `\(\d+ms\)$` after it if there is a duration anywhere.
fn calypso_name(line: &str) -> Option<&str> {
    static TIMED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(\d+ms\)"));
    let marked = python_lstrip(line);
    let rest = after_space(marked.strip_prefix(['✓', '✕'])?).filter(|_| marked.len() < line.len())?;
    let name = rest.strip_suffix("ms)").and_then(|rest| {
        let open = rest.trim_end_matches(is_python_digit);
        open.strip_suffix('(').filter(|_| open.len() < rest.len())
    });
    name.or_else(|| (!TIMED.is_match(rest)).then_some(rest))
}

/// Tests with a mark or a number under the last indented line, up to the counts.
pub(super) fn highlightjs(lines: &mut Lines<'_>) -> StatusMap {
    static COUNTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[ \t]*\d+ passing"));
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d+\)"));
    static TIMED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\(\d+ms\)"));
    let mut map = StatusMap::default();
    let mut suite: Option<String> = None;
    let mut first = true;
    while let Some(line) = lines.next() {
        if !std::mem::take(&mut first) && COUNTS.is_match(line) {
            break;
        }
        let bare = python_strip(line);
        let (rest, said) = if let Some(mark) = ["✓", "✔"].into_iter().find(|mark| bare.starts_with(mark))
        {
            (line.split_once(mark), PASSED)
        } else if NUMBER.is_match(bare) {
            (line.split_once(')'), FAILED)
        } else {
            if line.starts_with("  ") {
                suite = Some(bare.to_owned());
            }
            continue;
        };
        let name = TIMED.replace_all(rest.map_or("", |(_, name)| name), "");
        let name = python_strip(&name);
        match &suite {
            Some(suite) => map.say(format!("{suite}.{name}"), said),
            None => map.say(name, said),
        }
    }
    map
}

/// What mocha's JSON reporter prints after each run of its command. A report
/// that is not JSON says nothing (the reference raises).
pub(super) fn prismjs(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for run in text.split("./node_modules/.bin/mocha tests/run.js --reporter json").skip(1) {
        let body = run.split_once('{').map_or(run, |(_, body)| body);
        let body = body.rsplit_once('}').map_or(body, |(body, _)| body);
        let Ok(report) = swegym_core::json::from_str::<Value>(&format!("{{{body}}}")) else { continue };
        for (list, said) in [("failures", FAILED), ("passes", PASSED)] {
            for test in report[list].as_array().into_iter().flatten() {
                if let Some(title) = test["fullTitle"].as_str() {
                    map.say(title, said.clone());
                }
            }
        }
    }
    map
}

/// `[smoke] > name ... ok`, with temporary files renumbered in the order of
/// their appearance. A test without a status failed.
pub(super) fn quarto_cli(lines: &mut Lines<'_>) -> StatusMap {
    static FILES: LazyLock<[Regex; 2]> =
        LazyLock::new(|| [pattern(r"/tmp/(\w+)\.qmd"), pattern(r"/tmp/(\w+)/")]);
    let mut map = StatusMap::default();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    while let Some(line) = lines.next() {
        if line.contains("ERRORS") || line.contains("failures:") {
            break;
        }
        if !line.contains("[smoke]") && !line.contains("[unit]") {
            continue;
        }
        let mut line = line.to_owned();
        for rule in &*FILES {
            if let Some(found) = rule.find(&line) {
                let next = numbers.len();
                let number = *numbers.entry(found.as_str().to_owned()).or_insert(next);
                line = rule.replace_all(&line, format!("/tmp/{number}")).into_owned();
            }
        }
        let steps = ["passed", "failed", "steps"].iter().all(|word| line.contains(word));
        if line.starts_with("test result:") || steps || line.contains("34mINFO") {
            continue;
        }
        let name = python_strip(line.split("...").next().unwrap_or_default());
        if line.contains("32mok") {
            map.say(name, PASSED);
        } else if line.contains("31mFAILED") || !map.contains_key(name) {
            map.say(name, FAILED);
        }
    }
    map
}

/// The versions of lighthouse have used three runners.
pub(super) fn lighthouse(version: &str) -> Option<LogParser> {
    if ["9.5", "10.0", "10.2"].contains(&version) {
        return Some(LogParser::LighthouseMocha);
    }
    let number = python_float(version)?;
    Some(if number >= 3.0 { LogParser::Carbon } else { LogParser::LighthouseJson })
}

/// `float(text)`, where single underscores may stand between digits.
fn python_float(text: &str) -> Option<f64> {
    let text = python_strip(text);
    let mut parts = text.split('_').peekable();
    while let Some(part) = parts.next() {
        let digits = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        if let Some(next) = parts.peek()
            && !(digits(part.chars().next_back()) && digits(next.chars().next()))
        {
            return None;
        }
    }
    text.replace('_', "").parse().ok()
}

/// Runs of mocha between "running N test files" and "N passing".
pub(super) fn lighthouse_mocha(lines: &mut Lines<'_>) -> StatusMap {
    static RUN: LazyLock<Regex> = LazyLock::new(|| pattern(r"running\s\d+\stest\sfiles"));
    static COUNTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d+\spassing"));
    static RESULTS: LazyLock<[(Regex, Said); 4]> = LazyLock::new(|| {
        [
            (pattern(r"^✔\s(.*)\s\(\d+m+s\)"), PASSED),
            (pattern(r"^✔\s(.*)"), PASSED),
            (pattern(r"^\d+\)\s(.*)\s\(\d+m+s\)"), FAILED),
            (pattern(r"^\d+\)\s(.*)"), FAILED),
        ]
    });
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for run in RUN.split(&text).skip(1) {
        let mut suites = Suites::default();
        for line in python_strip(COUNTS.split(run).next().unwrap_or_default()).split('\n') {
            let bare = python_strip(line);
            match RESULTS.iter().find_map(|(rule, said)| Some((rule.captures(bare)?, said))) {
                Some((found, said)) => map.say(suites.named(&found[1]), said.clone()),
                None => suites.see(line),
            }
        }
    }
    map
}

/// Titles in the two lists of mocha's JSON, after each run of its command.
pub(super) fn lighthouse_json(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    for run in text.split("./node_modules/.bin/mocha --reporter json").skip(1) {
        say_titles(&mut map, run, "\"passes\": [", "]", &PASSED);
        say_titles(&mut map, run, "\"failures\": [", "],", &FAILED);
    }
    map
}

/// The same of Cypress, whose reports end in a path.
pub(super) fn cypress(lines: &mut Lines<'_>) -> StatusMap {
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    let Some((reports, _)) = text.rsplit_once("../..") else { return map };
    for report in reports.split("../..") {
        say_titles(&mut map, report, "  \"passes\": [", "  }", &PASSED);
        say_titles(&mut map, report, "  \"failures\": [", "  ],", &FAILED);
    }
    map
}

/// Titles between the last opening and the last closing of a list.
fn say_titles(map: &mut StatusMap, text: &str, open: &str, close: &str, said: &Said) {
    static TITLE: LazyLock<Regex> = LazyLock::new(|| pattern(r#""fullTitle":\s"(.*)",\n"#));
    let list = text.rsplit_once(open).map_or(text, |(_, list)| list);
    let list = list.rsplit_once(close).map_or(list, |(list, _)| list);
    for found in TITLE.captures_iter(list) {
        map.say(&found[1], said.clone());
    }
}

/// Runs of karma after their `xvfb-run`, from the browser's start to the
/// total, without escapes and assertion messages.
pub(super) fn next_karma(lines: &mut Lines<'_>) -> StatusMap {
    static ASSERTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"AssertionError:\s+#((?s:.*?))\n\n"));
    const NOISE: [&str; 5] = ["ERROR", "LOG", "WARN", "Check", "in"];
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    let text = without_escapes(&text);
    let text = ASSERTION.replace_all(&text, "");
    let mut suites = Suites::default();
    for run in text.split(" xvfb-run ").skip(1) {
        let run = run.rsplit_once("Starting browser Chrome").map_or(run, |(_, run)| run);
        for line in run.split('\n') {
            let bare = python_strip(line);
            if line.starts_with("TOTAL") {
                break;
            } else if NOISE.iter().any(|word| bare.starts_with(word)) {
                continue;
            } else if let Some((_, test)) = line.split_once('✗') {
                map.say(suites.named(python_lstrip(test)), FAILED);
            } else if let Some((_, test)) = line.split_once('✓') {
                map.say(suites.named(python_lstrip(test)), PASSED);
            } else {
                suites.see(line);
            }
        }
    }
    map
}

/// Specs of Cypress, each after its `Running:` line.
pub(super) fn next_cypress(lines: &mut Lines<'_>) -> StatusMap {
    static SPEC: LazyLock<Regex> = LazyLock::new(|| pattern(r"Running:(.*)\)\n{3}\s{2}(.*)\n"));
    static FAILURE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s{4}\d+\)\s(.*)"));
    static SUCCESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s{4}✓\s(.*)\("));
    let mut map = StatusMap::default();
    let text = lines.text().unwrap_or_default();
    let specs: Vec<_> = SPEC.captures_iter(&text).collect();
    for (at, spec) in specs.iter().enumerate() {
        let end = specs.get(at + 1).map_or(text.len(), |next| next.get_match().start());
        let run = &text[spec.get_match().end()..end];
        for (rule, said) in [(&*FAILURE, FAILED), (&*SUCCESS, PASSED)] {
            for found in rule.captures_iter(run) {
                map.say(format!("{}: {}", &spec[2], python_strip(&found[1])), said.clone());
            }
        }
    }
    map
}

/// `- suite :` and `* test : status`; any line that is not deeper than the
/// last suite closes all suites.
pub(super) fn plotly(lines: &mut Lines<'_>) -> StatusMap {
    static SUITE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\s+)-\s+(.*?)\s+:"));
    static TEST: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(\s+)\*\s+(.*?)\s+:\s*(.*)"));
    let mut map = StatusMap::default();
    let (mut suites, mut depth) = (Vec::new(), 0);
    while let Some(line) = lines.next() {
        if let Some(found) = SUITE.captures(line) {
            let new = found[1].chars().count();
            if new <= depth {
                suites.clear();
            }
            suites.push(found[2].to_owned());
            depth = new;
        } else if let Some(found) = TEST.captures(line) {
            if found[1].chars().count() <= depth {
                suites.clear();
            }
            let status = found[3].to_lowercase();
            let passed = status.contains("ok") && !status.contains("failed");
            suites.push(found[2].to_owned());
            map.say(suites.join("."), if passed { PASSED } else { FAILED });
            suites.pop();
        }
    }
    map
}
