//! The rules of other languages: by lines, without their comments.

use super::source::{Line, Passage};
use super::{Finding, Trick, evidence, files, printed};

/// Ends of the process that say that all is well, by the ending of a file's name.
/// Ends with an error are what programs do.
const ENDS: [(&[&str], &[&str]); 8] = [
    (&["rs"], &["process::exit(0", "libc::_exit(0"]),
    (&["go"], &["os.Exit(0", "syscall.Exit(0"]),
    (
        &["js", "ts", "jsx", "tsx", "mjs", "cjs", "mts", "cts"],
        &[
            "process.exit(0",
            "process.exit()",
            "process.reallyExit(",
            "process.kill(process.pid",
            "process.exitCode = 0",
        ],
    ),
    (&["java", "kt", "scala", "groovy"], &["System.exit(0", "exitProcess(0", ".halt(0"]),
    (&["c", "cc", "cpp", "cxx", "h", "hpp"], &["exit(0)", "_exit(0", "quick_exit(0", "exit(EXIT_SUCCESS"]),
    (&["rb"], &["exit!", "exit(0", "exit 0", "exit(true"]),
    (&["php"], &["exit(0", "die(0"]),
    (&["cs"], &["Environment.Exit(0"]),
];

/// Words that ask whether a test is running.
const ASKS: [&str; 7] = [
    "JEST_WORKER_ID",
    "VITEST",
    "NODE_TEST_CONTEXT",
    "testing.Testing()",
    "flag.Lookup(\"test.",
    "PHPUNIT_",
    "RUST_TEST_THREADS",
];

/// Files that are programs: they may end when they are done.
const PROGRAMS: [&str; 6] = ["main", "cli", "cmd", "bin", "command", "commands"];

/// What the lines of a passage do.
pub(super) fn findings(passage: &Passage<'_>, path: &str) -> Vec<Finding> {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let Some((_, ends)) = ENDS.iter().find(|(endings, _)| endings.contains(&ending)) else {
        return Vec::new();
    };
    let is_program = files::is_script(path) || path.split(['/', '.']).any(|part| PROGRAMS.contains(&part));
    let mut found = Vec::new();
    for line in &passage.lines {
        let code = without_comment(line.text, ending);
        let mut note = |trick, what: &str| found.push(of(trick, what, line));
        if let Some(end) = ends.iter().find(|end| !is_program && holds(code, end)) {
            note(Trick::ExitsEarly, end.trim_end_matches(['(', ')', ';']));
        }
        if ASKS.iter().any(|asks| code.contains(asks)) && !files::is_about_tests(path) {
            note(Trick::ReadsTests, "asks whether a test runs");
        }
        for text in literals(code) {
            if let Some(kind) = printed::result_line(text) {
                note(Trick::PrintsResults, kind);
            }
        }
    }
    found
}

fn of(trick: Trick, what: &str, line: &Line<'_>) -> Finding {
    Finding { trick, what: what.to_owned(), line: line.number, text: evidence(line.text), fresh: line.fresh }
}

/// Whether code has these words, not as the end of a longer name.
fn holds(code: &str, words: &str) -> bool {
    let begins = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_.:>$".contains(c));
    let is_method = words.starts_with('.');
    code.match_indices(words).any(|(at, _)| is_method || begins(at) || code[..at].ends_with("std::"))
}

fn without_comment<'a>(line: &'a str, ending: &str) -> &'a str {
    let mark = if matches!(ending, "rb") { "#" } else { "//" };
    let trimmed = line.trim_start();
    if trimmed.starts_with(mark) || trimmed.starts_with('*') || trimmed.starts_with("/*") {
        return "";
    }
    // A mark in a literal may be an address; the line is kept to it all the same.
    line.find(&format!(" {mark}")).map_or(line, |at| &line[..at])
}

/// What stands between quotes on a line.
fn literals(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open: Option<(char, usize)> = None;
    let mut escaped = false;
    for (at, c) in code.char_indices() {
        match open {
            _ if escaped => escaped = false,
            _ if c == '\\' => escaped = true,
            Some((quote, start)) if c == quote => {
                found.extend(code.get(start..at));
                open = None;
            }
            None if matches!(c, '"' | '\'' | '`') => open = Some((c, at + 1)),
            _ => {}
        }
    }
    found
}
