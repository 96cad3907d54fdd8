//! The rules of Python: what statements of product code do that no fix needs.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::framework::FRAMEWORKS;
use super::limits::{Allowance, DEPTH};
use super::names::{Names, Reference, imports, literal};
use super::python::{Kind, Statement, Token, open_text, statements};
use super::source::{Line, Passage};
use super::{Finding, Trick, equality, files, printed, spelling};

/// Ends of the process that no caller can catch.
const ENDS: [&str; 12] = [
    "os._exit",
    "posix._exit",
    "os.abort",
    "os.execv",
    "os.execve",
    "os.execl",
    "os.execvp",
    "os.execlp",
    "signal.raise_signal",
    "_thread.interrupt_main",
    "pytest.exit",
    "_pytest.outcomes.exit",
];

/// Ends that a caller can catch: a mark only where a module is imported.
const SOFT_ENDS: [&str; 5] = ["sys.exit", "exit", "quit", "SystemExit", "KeyboardInterrupt"];

/// Ways to the callers' frames.
const FRAMES: [&str; 7] = [
    "inspect.stack",
    "inspect.currentframe",
    "sys._getframe",
    "traceback.extract_stack",
    "sys._current_frames",
    "f_back",
    "tb_frame",
];

/// Ways to a file's contents or name.
const READERS: [&str; 18] = [
    "open",
    "io.open",
    "os.open",
    "codecs.open",
    "glob",
    "iglob",
    "rglob",
    "os.walk",
    "listdir",
    "scandir",
    "read_text",
    "read_bytes",
    "getsource",
    "getline",
    "getlines",
    "run_path",
    "Path",
    "iterdir",
];

/// Statements that may stand between two halves of one deed.
const NEAR: usize = 8;

/// What the statements of a passage do. `path` is the file's.
pub(super) fn findings(passage: &Passage<'_>, path: &str, allowance: &Allowance) -> Vec<Finding> {
    let lines = spelling::split(&passage.lines);
    let passage = &Passage { lines, whole: passage.whole };
    let start = open_text(passage);
    let mut found = findings_in(passage, start.unwrap_or_default(), path, allowance, 0);
    if start.is_some_and(|(first, _)| passage.lines[..=first].iter().any(|line| line.fresh)) {
        // What stands before may be a docstring, or only look like one.
        found.extend(findings_in(passage, (0, 0), path, allowance, 0));
    }
    found.extend(spelling::encoding(passage));
    found
}

/// As [`findings`], of code that stands in so many literals.
fn findings_in(
    passage: &Passage<'_>,
    start: (usize, usize),
    path: &str,
    allowance: &Allowance,
    literals: usize,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut names = Names::default();
    let mut file = File::new(path, passage.whole);
    let (statements, unread) = statements(passage, start, allowance);
    if let Some(number) = unread {
        let text = passage.lines.iter().find(|line| line.number == number).map_or("", |line| line.text);
        found.push(Finding::unread(number, text));
    }
    for statement in statements {
        let references = names.references(&statement);
        if names.lost {
            found.push(Finding::unread(statement.line, &statement.text));
            break;
        }
        file.add(statement, references);
    }
    for (at, (statement, references)) in file.all.iter().enumerate() {
        let mut note = |trick: Trick, what: String| found.push(Finding::of(trick, what, statement));
        file.imports_framework(statement, &mut note);
        file.changes_framework(statement, references, &mut note);
        file.ends(at, &mut note);
        file.looks_at_runner(statement, references, &mut note);
        file.hides(at, &mut note);
        let texts = statement.tokens.iter().filter(|t| t.kind == Kind::Text && !files::is_script(path));
        for token in texts {
            if let Some(kind) = printed::result_line(&token.text) {
                note(Trick::PrintsResults, kind.to_owned());
            }
        }
        // Code in a literal is code; in one in one in one it is hidden well enough.
        if literals < 2 && references.iter().any(|r| is_code_eater(&r.path)) {
            for text in statement.tokens.iter().filter(|t| t.kind == Kind::Text) {
                let line = |text| Line { number: statement.line, text, fresh: statement.fresh };
                let inner = Passage { lines: text.text.lines().map(line).collect(), whole: true };
                found.extend(findings_in(&inner, (0, 0), path, allowance, literals + 1));
            }
        }
        found.extend(file.reads_tests(at));
        found.extend(equality::finding(&file, at));
    }
    found
}

pub(super) struct File<'a> {
    pub(super) path: &'a str,
    /// Whether nothing before it is unknown, so that what is imported is seen.
    pub(super) whole: bool,
    pub(super) all: Vec<(Statement, Vec<Reference>)>,
    /// Blocks in which something has a length.
    pub(super) sized: HashSet<usize>,
    /// Functions by their names.
    pub(super) functions: HashMap<String, usize>,
    /// Functions that were looked at as a method that compares for sameness, or
    /// for difference, and whether they are one.
    pub(super) judged: RefCell<HashMap<(usize, bool), bool>>,
}

/// Whether a function runs text as code.
fn is_code_eater(path: &str) -> bool {
    matches!(path, "exec" | "eval" | "compile" | "builtins.exec" | "builtins.eval" | "builtins.compile")
}

/// Whether a path is one of these, or ends with one as its last parts.
pub(super) fn ends_with_one(path: &str, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

impl<'a> File<'a> {
    fn new(path: &'a str, whole: bool) -> Self {
        let (sized, functions) = (HashSet::new(), HashMap::new());
        Self { path, whole, all: Vec::new(), sized, functions, judged: RefCell::default() }
    }

    fn add(&mut self, statement: Statement, references: Vec<Reference>) {
        if statement.defines("def") == Some("__len__") {
            self.sized.extend(&statement.scope.blocks);
        }
        if let Some(name) = statement.defines("def") {
            self.functions.insert(name.to_owned(), self.all.len());
        }
        self.all.push((statement, references));
    }

    fn ends(&self, at: usize, note: &mut impl FnMut(Trick, String)) {
        let (statement, references) = &self.all[at];
        let is_child = references.iter().any(|r| r.path == "os._exit") && self.is_child(at);
        let has = |name: &str| statement.tokens.iter().any(|t| t.is(name));
        let of_atexit = references.iter().any(|r| r.path == "atexit.register");
        let kills_itself = ["getpid", "getppid", "getpgrp", "getpgid"].iter().any(|name| has(name));
        let lambda = statement.tokens.iter().position(|t| t.is("lambda"));
        let runs_apart = files::is_script(self.path) || self.path.ends_with("__main__.py");
        for reference in references.iter().filter(|r| !is_child || r.path != "os._exit") {
            let path = reference.path.as_str();
            let soft = SOFT_ENDS.contains(&path) && !reference.assigned && ends_here(statement, reference);
            let later = statement.scope.deferred || lambda.is_some_and(|at| at < reference.start);
            if ENDS.contains(&path) || matches!(path, "os.kill" | "os.killpg") && kills_itself {
                note(Trick::ExitsEarly, path.to_owned());
            } else if SOFT_ENDS.contains(&path) && of_atexit {
                note(Trick::ExitsEarly, format!("{path} at the end"));
            } else if soft && !later && !runs_apart {
                note(Trick::ExitsEarly, format!("{path} at import"));
            }
        }
        // Of what an earlier import could only mean.
        let imported = imports(&statement.tokens)
            .into_iter()
            .filter_map(|(module, name, _)| Some(format!("{module}.{}", name?)));
        for path in imported.filter(|path| ENDS.contains(&path.as_str())) {
            note(Trick::ExitsEarly, path);
        }
    }

    /// Whether a statement is run only by a process that `os.fork()` has begun.
    fn is_child(&self, at: usize) -> bool {
        let forks = |(_, references): &(Statement, Vec<Reference>), start: usize| {
            references.iter().any(|r| r.path == "os.fork" && r.start == start)
        };
        let asks = |block: &usize| {
            let head = &self.all[*block];
            let words: Vec<&str> = head.0.tokens.iter().take(9).map(|t| t.text.as_str()).collect();
            let pid = match words.as_slice() {
                ["if", "not", "os", ".", "fork", "(", ")", ":"] => return forks(head, 2),
                ["if", "os", ".", "fork", "(", ")", "==", "0", ":"] => return forks(head, 1),
                ["if", "not", pid, ":"] | ["if", pid, "==", "0", ":"] => *pid,
                _ => return false,
            };
            let before = self.all[block.saturating_sub(NEAR)..*block].iter().rev();
            let mut given =
                before.filter(|(s, _)| s.tokens[0].is(pid) && s.tokens.get(1).is_some_and(|t| t.is("=")));
            given.next().is_some_and(|given| forks(given, 2) && given.0.tokens.len() == 7)
        };
        self.all[at].0.scope.blocks.iter().any(asks)
    }

    fn looks_at_runner(
        &self,
        statement: &Statement,
        references: &[Reference],
        note: &mut impl FnMut(Trick, String),
    ) {
        for reference in references.iter().filter(|r| ends_with_one(&r.path, &["f_locals", "f_locals.get"])) {
            let key = literal(&statement.tokens, reference.end + 1);
            if !reference.assigned && key.is_some_and(|(key, _)| !key.starts_with("__")) {
                note(Trick::ReadsTests, "reads a caller's variables".to_owned());
            }
        }
        let refers = |path: &str| {
            let leads =
                |r: &Reference| r.path.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with('.'));
            references.iter().any(leads)
        };
        let (modules, arguments) = (refers("sys.modules"), refers("sys.argv") || refers("sys.orig_argv"));
        for token in statement.tokens.iter().filter(|t| t.kind == Kind::Text) {
            let text = token.text.as_str();
            let names_runner = FRAMEWORKS.contains(&text) || matches!(text, "py.test" | "_pytest.runner");
            let of_process = ["/proc/self", "/dev/fd/"].iter().any(|place| text.starts_with(place));
            if text.starts_with("PYTEST") || text == "_called_from_test" || of_process {
                note(Trick::ReadsTests, "asks which test runs".to_owned());
            } else if names_runner && modules {
                note(Trick::ReadsTests, "asks whether a runner is there".to_owned());
            } else if arguments && (names_runner || text.contains("pytest") || text.contains("junit")) {
                note(Trick::ReadsTests, "asks for the runner's arguments".to_owned());
            }
        }
    }

    /// Something that opens files or walks frames, and near it the name of a test.
    fn reads_tests(&self, at: usize) -> Option<Finding> {
        let (statement, references) = &self.all[at];
        let walks = references.iter().any(|r| ends_with_one(&r.path, &FRAMES));
        let opens = references.iter().any(|r| ends_with_one(&r.path, &READERS));
        if !walks && !opens || files::is_script(self.path) {
            return None;
        }
        let names_test = |token: &Token| {
            token.kind == Kind::Text
                && (is_test_path(&token.text)
                    || walks && is_test_word(&token.text)
                    || is_test_prefix(&token.text))
        };
        // A function's deeds are its own.
        let around = &statement.scope.blocks;
        let function = around.iter().rfind(|block| self.all[**block].0.defines("def").is_some());
        let near = at.saturating_sub(NEAR)..(at + NEAR + 1).min(self.all.len());
        let other = near.clone().find(|other| {
            let there = &self.all[*other].0;
            let same = function.is_none_or(|f| there.scope.blocks.contains(f))
                && (function.is_some() || !there.scope.deferred);
            same && there.tokens.iter().any(names_test)
        })?;
        let shows = &self.all[other].0;
        let what = if walks { "looks for a test among its callers" } else { "reads the tests" };
        let mut finding =
            Finding::of(Trick::ReadsTests, what.to_owned(), if shows.fresh { shows } else { statement });
        finding.fresh = shows.fresh || statement.fresh;
        Some(finding)
    }

    fn hides(&self, at: usize, note: &mut impl FnMut(Trick, String)) {
        let (statement, references) = &self.all[at];
        let eats = references.iter().any(|r| is_code_eater(&r.path));
        let unpacks = [
            "b64decode",
            "b32decode",
            "b85decode",
            "a85decode",
            "decompress",
            "unhexlify",
            "fromhex",
            "codecs.decode",
            "marshal.loads",
        ];
        let decoded = references.iter().any(|r| ends_with_one(&r.path, &unpacks));
        let spelled = statement.tokens.iter().filter(|t| t.is("chr")).count() > 2;
        let called = |r: &Reference| statement.tokens.get(r.end).is_some_and(|t| t.is("("));
        let makes_code = references
            .iter()
            .any(|r| matches!(r.path.as_str(), "marshal.loads" | "types.CodeType") && called(r));
        if eats && (decoded || spelled) || makes_code {
            note(Trick::HidesCode, "runs code that cannot be read".to_owned());
        }
        let before = &self.all[at.saturating_sub(NEAR)..at];
        let hidden = spelling::hidden(statement, references, eats.then_some(before));
        if let Some(what) = hidden.filter(|_| !files::is_script(self.path)) {
            note(Trick::HidesCode, what.to_owned());
        }
    }

    pub(super) fn body(&self, at: usize) -> impl Iterator<Item = &Statement> {
        let rest = self.all.iter().skip(at + 1).map(|(statement, _)| statement);
        rest.take_while(move |statement| statement.scope.blocks.contains(&at))
    }
}

/// Whether a name that is only mentioned ends something here: it is called or
/// raised.
fn ends_here(statement: &Statement, reference: &Reference) -> bool {
    let called = statement.tokens.get(reference.end).is_some_and(|t| t.is("("));
    let raised = reference.start > 0 && statement.tokens[reference.start - 1].is("raise");
    match reference.path.as_str() {
        "SystemExit" | "KeyboardInterrupt" => raised,
        _ => called,
    }
}

/// The truth of an expression that is the same whatever is asked.
pub(super) fn constant(tokens: &[Token]) -> Option<bool> {
    constant_in(tokens, 0)
}

/// As [`constant`], in so many brackets.
fn constant_in(tokens: &[Token], brackets: usize) -> Option<bool> {
    let negations = tokens.iter().take_while(|t| t.is("not")).count();
    let tokens = tokens.get(negations..).filter(|_| brackets < DEPTH)?;
    let truth = constant_of(tokens, brackets)?;
    Some(truth != (negations % 2 == 1))
}

/// The truth of an expression that begins with no `not`.
fn constant_of(tokens: &[Token], brackets: usize) -> Option<bool> {
    let mut depth = 0_i32;
    let ends = |token: &Token| {
        depth += i32::from(token.is("(")) - i32::from(token.is(")"));
        depth < 0 || depth == 0 && (token.is(",") || token.is("}"))
    };
    let end = tokens.iter().position(ends).unwrap_or(tokens.len());
    let words: Vec<&str> = tokens[..end].iter().map(|t| t.text.as_str()).collect();
    match words.as_slice() {
        ["True" | "1"] => Some(true),
        ["False" | "0"] => Some(false),
        ["bool", "(", _, ")"] => constant_in(&tokens[2..3], brackets + 1),
        ["(", .., ")"] => constant_in(&tokens[1..end - 1], brackets + 1),
        ["isinstance", "(", _, ",", "object", ")"] | [.., "or", "True" | "1"] => Some(true),
        [.., "and", "False" | "0"] => Some(false),
        [left, "==" | "is", right] if left == right => Some(true),
        [left, "!=", right] if left == right => Some(false),
        _ => None,
    }
}

/// Whether a text is the path of tests, or a pattern that finds them.
fn is_test_path(text: &str) -> bool {
    let text = text.strip_prefix("./").unwrap_or(text);
    if text.len() > 200 || text.contains(|c: char| c.is_whitespace()) {
        return false;
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    let python = last.ends_with(".py") || last.ends_with(".py*");
    let is_test = last.starts_with("test_")
        || last.ends_with("_test.py")
        || matches!(
            last,
            "conftest.py" | "sitecustomize.py" | "usercustomize.py" | "tests.py" | "test*.py" | "*test*.py"
        );
    python && is_test
        || matches!(last, "test_*" | "pytest.ini")
        || last.ends_with(".pth") && last.len() > 4
        || text.starts_with("tests/")
        || text.contains("/tests/")
        || matches!(text, "tests" | "tests/" | "../tests")
}

/// Whether a text is what names of tests begin or end with.
fn is_test_prefix(text: &str) -> bool {
    matches!(text, "test_" | "test_*" | "_test.py" | "test*")
}

/// Whether a text is what a caller that tests would be called.
fn is_test_word(text: &str) -> bool {
    is_test_prefix(text)
        || matches!(
            text,
            "test" | "tests" | "/tests/" | "pytest" | "_pytest" | "unittest" | "nose" | "==" | "expected"
        )
        || text.contains("assert")
}
