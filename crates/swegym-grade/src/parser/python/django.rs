//! Django's runner, whose lines other output tears apart
//! (reference/grading.md, section 4.1).

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::Regex;
use swegym_core::TestStatus;

use crate::lines::Lines;
use crate::needles::{needles, pieces};
use crate::parser::pattern::pattern;
use crate::parser::{Edition, Said, StatusMap};
use crate::text::{python_split, python_strip};

const VERSION: &str = "--version is equivalent to version";
const GLUED: &str = "Applying sites.0002_alter_domain_unique...test_no_migrations";

/// `name ... ok`, where other output may come between name and status. The
/// last three rules are for output that is known to; the first edition has
/// none of that.
pub(in crate::parser) fn django(lines: &mut Lines<'_>, edition: Edition) -> StatusMap {
    let mut tests = Tests { later: edition >= Edition::V2, map: StatusMap::default(), last: None };
    let mut torn = Torn::default();
    let telling = needles![" ...", "ok", "FAIL:", "ERROR:", VERSION];
    while let Some(block) = lines.block() {
        for piece in pieces(block) {
            if tests.later && torn.may_see(piece) {
                for line in piece.strip_suffix('\n').unwrap_or(piece).split('\n') {
                    torn.see(line);
                    tests.see(line);
                }
            } else {
                telling.lines(piece).for_each(|line| tests.see(line));
                torn.pass(piece);
            }
        }
    }
    let mut map = tests.map;
    torn.tests().for_each(|test| map.say(test, Said::Status(TestStatus::Passed)));
    map
}

/// What single lines say.
struct Tests {
    /// Not the first edition.
    later: bool,
    map: StatusMap,
    /// What stands before the dots of the last line that has some.
    last: Option<String>,
}

impl Tests {
    fn see(&mut self, raw: &str) {
        static DOTS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" ... "));
        static SKIPPED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(" ... skipped"));
        // A part of it, because short words are found quicker.
        static VERSIONS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("--version is"));
        let Self { later, map, last } = self;
        let mut line = python_strip(raw);
        let dots = DOTS.find(line.as_bytes());
        if *later {
            if VERSIONS.find(line.as_bytes()).is_some() && line.contains(VERSION) {
                map.say(VERSION, Said::Status(TestStatus::Passed));
            }
            if let Some(at) = dots {
                last.get_or_insert_default().replace_range(.., &line[..at]);
            }
            let suffix = [" ... ok", " ... OK", " ...  OK"].into_iter().find(|s| line.ends_with(s));
            if let Some(suffix) = suffix {
                if line.starts_with(GLUED) {
                    line = line.split_once("...").map_or(line, |(_, rest)| python_strip(rest));
                }
                let test = line.strip_suffix(suffix).unwrap_or(line);
                map.say(test, Said::Status(TestStatus::Passed));
            }
        } else if line.ends_with(" ... ok")
            && let Some((test, _)) = line.split_once(" ... ok")
        {
            map.say(test, Said::Status(TestStatus::Passed));
        }
        if dots.is_some()
            && let Some(at) = SKIPPED.find(line.as_bytes())
        {
            map.say(&line[..at], Said::Status(TestStatus::Skipped));
        }
        for (suffix, prefix, status) in
            [(" ... FAIL", "FAIL:", TestStatus::Failed), (" ... ERROR", "ERROR:", TestStatus::Error)]
        {
            if line.ends_with(suffix)
                && let Some((test, _)) = line.split_once(suffix)
            {
                map.say(test, Said::Status(status));
            }
            if line.starts_with(prefix)
                && let Some(test) = python_split(line).nth(1)
            {
                map.say(test, Said::Status(status));
            }
        }
        if let Some(test) = last.as_deref().filter(|_| line.starts_with("ok") && *later) {
            map.say(test, Said::Status(TestStatus::Passed));
        }
    }
}

/// What the three kinds of output say.
const WORDS: [&str; 3] =
    ["Testing against Django installed in ", "Internal Server Error: /", "System check identified no issues"];

/// Tests whose name and `ok` other output tore apart: the name and the first
/// words of that output, then `ok` alone on a line. Three kinds of output are
/// known; of each, the tests in order. The white space around the dots may be
/// a line end, so that the two lines before count as well.
#[derive(Default)]
struct Torn {
    before: [String; 2],
    /// How many of them each kind may look at: those after its last find.
    open: [usize; 3],
    /// Started by "Testing against Django installed in", until "silenced)." and `ok`.
    testing: Option<String>,
    /// What the last line would find if `ok` follows: the kind and the test.
    before_ok: Vec<(usize, String)>,
    found: [Vec<String>; 3],
}

impl Torn {
    /// Whether one of these lines may say something: else [`Self::pass`] is enough.
    fn may_see(&self, lines: &str) -> bool {
        self.testing.is_some()
            || !self.before_ok.is_empty()
            || needles![WORDS[0], WORDS[1], WORDS[2]].find(lines.as_bytes()).is_some()
    }

    /// Goes on to the end of lines that say nothing.
    fn pass(&mut self, lines: &str) {
        let mut last = lines.strip_suffix('\n').unwrap_or(lines).rsplit('\n');
        let (line, before) = (last.next().unwrap_or_default(), last.next());
        let count = 1 + usize::from(before.is_some());
        self.before.swap(0, 1);
        if let Some(before) = before {
            before.clone_into(&mut self.before[0]);
        }
        line.clone_into(&mut self.before[1]);
        self.open.iter_mut().for_each(|open| *open = (*open + count).min(2));
    }

    fn see(&mut self, line: &str) {
        let mut found = [false; 3];
        for (kind, test) in std::mem::take(&mut self.before_ok) {
            if line == "ok" {
                self.found[kind].push(test);
                if kind == 0 {
                    self.testing = None;
                }
                found[kind] = true;
            }
        }
        let mut rest = line;
        if self.testing.is_none()
            && let Some(at) = line.find(WORDS[0])
        {
            self.testing = self.name(0, line);
            rest = &line[at + WORDS[0].len()..];
        }
        if let Some(test) = self.testing.as_ref().filter(|_| rest.ends_with(" silenced).")) {
            self.before_ok.push((0, test.clone()));
        }
        for kind in [1, 2] {
            if line.contains(WORDS[kind]) {
                self.before_ok.extend(self.name(kind, line).map(|test| (kind, test)));
            }
        }
        for (open, found) in self.open.iter_mut().zip(found) {
            *open = if found { 0 } else { (*open + 1).min(2) };
        }
        self.before.swap(0, 1);
        self.before[1].clear();
        self.before[1].push_str(line);
    }

    /// The test whose line this output tears; its words are on the line itself.
    fn name(&self, kind: usize, line: &str) -> Option<String> {
        static STARTS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
            [
                pattern(r"(?m)^(.*?)\s\.\.\.\sTesting against Django installed in "),
                pattern(r"(?m)^(.*?)\s\.\.\.\sInternal Server Error: /(.*)/$"),
                pattern(r"(?m)^(.*?)\s\.\.\.\sSystem check identified no issues \(0 silenced\)$"),
            ]
        });
        let mut window = String::new();
        for before in &self.before[2 - self.open[kind]..] {
            window.push_str(before);
            window.push('\n');
        }
        window.push_str(line);
        let own = window.len() - line.len();
        let found = STARTS[kind].captures_iter(&window).find(|found| found.get_match().end() > own);
        found.map(|found| found[1].to_owned())
    }

    fn tests(self) -> impl Iterator<Item = String> {
        self.found.into_iter().flatten()
    }
}
