//! Plain code: what neither looks at who runs it nor makes values unlike others.

use std::collections::HashSet;

use super::limits::{Allowance, DEPTH};
use super::python::{Kind, Token, statements};
use super::source::Passage;
use super::{Statement, names, source, spelling};
use crate::patch::{FilePatch, Patch};

/// Modules of the standard library that give values and nothing else.
const MODULES: [&str; 10] = [
    "__future__",
    "bisect",
    "collections",
    "datetime",
    "heapq",
    "itertools",
    "math",
    "re",
    "textwrap",
    "unicodedata",
];

/// Names that lead to files, frames, other modules, or new kinds of objects.
#[rustfmt::skip]
const TELLING: &[&str] = &[
    // Of the interpreter itself.
    "open", "exec", "eval", "compile", "getattr", "setattr", "delattr", "vars", "globals", "locals", "dir",
    "type", "input", "breakpoint", "exit", "quit", "help", "object", "metaclass", "abc", "ABC", "ABCMeta", "enum",
    "Enum", "functools", "partial", "wraps", "update_wrapper", "total_ordering", "typing", "json", "copy", "copyreg",
    "string", "Formatter", "get_field", "vformat", "format_map", "dataclass", "dataclasses", "namedtuple", "attr",
    "attrs", "argparse", "numbers", "base64", "hashlib", "calendar", "locale", "random", "time", "warnings",
    // Modules that a file may have at hand.
    "os", "sys", "io", "inspect", "importlib", "imp", "pathlib", "Path", "subprocess", "ctypes", "gc", "license", "credits", "copyright", "memoryview",
    "builtins", "traceback", "linecache", "tokenize", "ast", "unittest", "pytest", "mock", "types", "weakref",
    "threading", "multiprocessing", "concurrent", "asyncio", "signal", "atexit", "runpy", "pickle", "marshal",
    "socket", "code", "codeop", "pkgutil", "site", "sysconfig", "shutil", "tempfile", "glob", "mmap", "fcntl",
    "resource", "dis", "tracemalloc", "faulthandler", "logging", "codecs", "fileinput", "operator", "zipfile",
    "zipimport", "tarfile", "platform", "pdb", "trace", "doctest", "timeit", "cProfile", "profile", "symtable",
    // What they give.
    "read", "readline", "readlines", "read_text", "read_bytes", "write", "write_text", "write_bytes", "walk",
    "listdir", "scandir", "iterdir", "rglob", "getsource", "getlines", "modules", "environ", "argv", "stdin",
    "stdout", "stderr", "chr", "decode", "stack", "currentframe", "settrace", "setprofile", "import_module", "attrgetter",
    "methodcaller", "f_back", "f_locals", "f_globals", "f_code", "tb_frame", "tb_next", "gi_frame", "cr_frame",
    "gi_code", "co_consts", "co_filename", "mro", "popen", "system", "register", "Mock", "MagicMock", "ANY",
];

/// What values of the language and of [`MODULES`] have. An attribute that is neither
/// one of these nor the file's own may lead anywhere.
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    // Texts.
    "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "index", "isalnum",
    "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace",
    "istitle", "isupper", "join", "ljust", "lower", "lstrip", "maketrans", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "translate", "upper", "zfill", "hex", "fromhex",
    // Numbers.
    "real", "imag", "conjugate", "bit_length", "to_bytes", "from_bytes", "is_integer", "as_integer_ratio",
    "numerator", "denominator",
    // Collections.
    "append", "appendleft", "extend", "extendleft", "insert", "remove", "pop", "popleft", "popitem", "clear",
    "reverse", "sort", "rotate", "maxlen", "get", "items", "keys", "values", "setdefault", "update", "fromkeys",
    "copy", "add", "discard", "union", "intersection", "difference", "symmetric_difference", "issubset",
    "issuperset", "isdisjoint", "intersection_update", "difference_update", "most_common", "elements",
    "move_to_end", "new_child", "maps", "parents", "default_factory", "start", "stop", "step",
    // Matches, dates, exceptions.
    "group", "groups", "groupdict", "span", "end", "pos", "endpos", "lastindex", "lastgroup", "expand", "pattern",
    "flags", "match", "fullmatch", "search", "sub", "subn", "findall", "finditer", "year", "month", "day", "hour",
    "minute", "second", "microsecond", "tzinfo", "fold", "date", "time", "weekday", "isoweekday", "isocalendar",
    "isoformat", "fromisoformat", "fromtimestamp", "timestamp", "toordinal", "fromordinal", "utcoffset", "tzname",
    "dst", "astimezone", "timetuple", "ctime", "strftime", "strptime", "combine", "today", "now", "utcnow",
    "total_seconds", "days", "seconds", "microseconds", "args", "with_traceback",
    // Generators and properties.
    "send", "throw", "close", "setter", "getter", "deleter",
];

/// Two underscores mean a part of the language, but for these.
const HARMLESS: [&str; 5] = ["__init__", "__all__", "__version__", "__doc__", "__post_init__"];

/// Whether all that an answer adds is plain Python, or text for people. `base` gives
/// a file as it was at the base commit. What is not plain need not be bad.
#[must_use]
pub fn is_plain(answer: &str, base: &dyn Fn(&str) -> Option<String>) -> bool {
    let Ok(answer) = Patch::survey(answer) else { return false };
    let allowance = Allowance::new();
    // Of a file in several pieces no piece alone is what runs.
    let mut seen = HashSet::new();
    answer
        .files
        .iter()
        .all(|file| seen.insert(plain_path(file.path())) && is_plain_file(file, base, &allowance))
}

/// A path without what says nothing: `./a//b` is `a/b`.
pub(super) fn plain_path(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

fn is_plain_file(file: &FilePatch, base: &dyn Fn(&str) -> Option<String>, allowance: &Allowance) -> bool {
    let path = file.path();
    if file.symlink || file.binary {
        return false;
    }
    if [".md", ".rst", ".txt"].iter().any(|end| path.ends_with(end)) {
        return true;
    }
    let moved = file.old_path.as_deref().is_some_and(|old| old != path);
    if !path.ends_with(".py") || moved || !allowance.begin(0) {
        return false;
    }
    let old = file.old_path.as_deref().and_then(base);
    source::after(file, old.as_deref()).iter().all(|passage| is_plain_passage(passage, allowance))
}

fn is_plain_passage(passage: &Passage<'_>, allowance: &Allowance) -> bool {
    let has_odd_lines = passage.lines.iter().any(|line| line.text.contains(['\r', '\u{b}', '\u{c}', '\0']));
    if !passage.whole || has_odd_lines || spelling::encoding(passage).is_some() {
        return false;
    }
    let (statements, unread) = statements(passage, (0, 0), allowance);
    let names = FileNames::of(&statements);
    unread.is_none()
        && !names.are_unknown
        && statements.iter().filter(|s| s.fresh).all(|statement| match statement.keyword() {
            "import" | "from" => imports_values(&statement.tokens),
            // A base may make anything of it.
            "class" => false,
            _ => names.hold(&statement.tokens),
        })
}

/// What else of the project is imported may lead anywhere.
fn imports_values(tokens: &[Token]) -> bool {
    let is_told = |token: &Token| is_told_by_name(&token.text) || token.text.contains("__");
    !tokens.iter().any(is_told) && names::imports(tokens).iter().all(|(module, ..)| is_of_values(module))
}

fn is_of_values(module: &str) -> bool {
    MODULES.contains(&module.split('.').next().unwrap_or_default())
}

/// A module's own imports have underscores before them: `collections._sys`.
fn is_told_by_name(name: &str) -> bool {
    TELLING.contains(&name.trim_start_matches('_'))
}

/// What the names of a file are good for.
#[derive(Default)]
struct FileNames {
    /// A module is imported whole, so that a name may be any of its own.
    are_unknown: bool,
    /// Names of [`MODULES`], as the file calls them.
    modules: HashSet<String>,
    /// What the file defines and what it gives to objects.
    own: HashSet<String>,
    /// What is imported from elsewhere, and what is made with more than plain code.
    told: HashSet<String>,
}

impl FileNames {
    fn of(statements: &[Statement]) -> Self {
        let mut names = Self::default();
        for statement in statements {
            names.import(statement);
            names.own.extend(bound(statement).map(str::to_owned));
        }
        // What uses such a name is such a name: until there are no more. Names that lead
        // to names further than people write are not followed.
        for _ in 0..DEPTH {
            let before = names.told.len();
            for statement in statements {
                let is_import = matches!(statement.keyword(), "import" | "from");
                if !is_import && !names.hold(&statement.tokens) {
                    names.tell(statement, statements);
                }
            }
            if names.told.len() == before {
                return names;
            }
        }
        names.are_unknown = true;
        names
    }

    fn import(&mut self, statement: &Statement) {
        if !matches!(statement.keyword(), "import" | "from") {
            return;
        }
        self.are_unknown |= statement.tokens.iter().any(|token| token.is("*"));
        for (module, name, bound) in names::imports(&statement.tokens) {
            let top = module.split('.').next().unwrap_or_default().to_owned();
            let (is_whole, called) = (name.is_none(), bound.or(name).unwrap_or(top));
            if !is_of_values(&module) {
                self.told.insert(called);
            } else if is_whole {
                self.modules.insert(called);
            }
        }
    }

    /// Notes that a statement is more than plain: what it binds and what it is part of.
    fn tell(&mut self, statement: &Statement, all: &[Statement]) {
        self.told.extend(bound(statement).map(str::to_owned));
        let around: Vec<&Statement> = statement.scope.blocks.iter().rev().map(|at| &all[*at]).collect();
        let mut definitions = around.iter().filter_map(|s| s.defines("def").or(s.defines("class")));
        if let Some(name) = definitions.next() {
            self.told.insert(name.to_owned());
        }
        // A class is what its own methods make of it.
        let is_of_language = |name: &str| name.starts_with("__");
        let method = statement.defines("def").or(around.iter().find_map(|s| s.defines("def")));
        if method.is_some_and(is_of_language) {
            self.told.extend(around.iter().filter_map(|s| s.defines("class")).map(str::to_owned));
        }
    }

    /// Whether nothing of a statement is more than plain.
    fn hold(&self, tokens: &[Token]) -> bool {
        tokens.iter().enumerate().all(|(at, token)| match token.kind {
            Kind::Name => self.is_plain_name(tokens, at),
            // Underscores alone may become two.
            Kind::Text => {
                !token.text.contains("__") && !token.text.trim_matches('_').is_empty()
                    || token.text.is_empty()
            }
            Kind::Number | Kind::Operator => true,
        })
    }

    fn is_plain_name(&self, tokens: &[Token], at: usize) -> bool {
        let name = tokens[at].text.as_str();
        if !name.is_ascii() || name.contains("__") && !HARMLESS.contains(&name) {
            return false;
        }
        let owner = at.checked_sub(2).filter(|_| tokens[at - 1].is("."));
        let Some(owner) = owner.map(|at| &tokens[at]) else {
            return !is_told_by_name(name) && !self.told.contains(name);
        };
        if owner.kind == Kind::Name && self.modules.contains(&owner.text) {
            return !is_told_by_name(name);
        }
        if name == "format" {
            let is_joined = at > 2 && tokens[at - 3].kind == Kind::Text;
            return owner.kind == Kind::Text && !is_joined && has_plain_fields(&owner.text);
        }
        ATTRIBUTES.contains(&name)
            || self.own.contains(name) && !self.told.contains(name) && !is_told_by_name(name)
    }
}

/// The names that a statement defines or gives a value, attributes among them.
fn bound(statement: &Statement) -> impl Iterator<Item = &str> {
    let defined = statement.defines("def").or(statement.defines("class"));
    let is_given = |token: &Token| {
        matches!(token.text.as_str(), "=" | ":" | ":=" | "+=" | "-=" | "*=" | "/=" | "|=" | "&=" | "in")
            && token.kind != Kind::Text
    };
    let end = statement.tokens.iter().position(is_given).filter(|_| defined.is_none()).unwrap_or(0);
    let given = statement.tokens[..end].iter().filter(|token| token.kind == Kind::Name);
    defined.into_iter().chain(given.map(|token| token.text.as_str()))
}

/// Whether the fields of a format ask for values, and not for what those have.
fn has_plain_fields(text: &str) -> bool {
    text.split('{').skip(1).all(|field| {
        let name = field.split(['}', ':', '!']).next().unwrap_or_default();
        !name.contains(['.', '['])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &str, added: &str) -> bool {
        let lines: String = added.lines().map(|line| format!("+{line}\n")).collect();
        let count = added.lines().count();
        let old = "import os\nfrom a.b import thing as one\ndef load(p): return os.walk(p)\nclass Q:\n  def __eq__(s, o): return True\n  def go(s): return s.strip()\n  def far(s): return load(s)\ndef wide(p): return load(p)\nbest = one\n";
        let kept: String = old.lines().map(|line| format!(" {line}\n")).collect();
        let patch = format!(
            "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,9 +1,{} @@\n{kept}{lines}",
            count + 9
        );
        is_plain(&patch, &|_| Some(old.to_owned()))
    }

    #[test]
    fn fixes_are_plain() {
        for text in [
            "def f(x):\n    \"\"\"Doubles.\"\"\"\n    return x * 2 if x else None\n",
            "import re, math\nfrom collections import OrderedDict as D\n",
            "x = [re.sub('a', 'b', y) for y in z if y.strip()]\n",
            "def __init__(self, x):\n    super().__init__(x)\n    self.x = f'{x!r}' + ''\n",
            "if isinstance(x, str): raise ValueError('cannot be opened: %s' % x)\n",
            "x = 'a {} {b:>{c}}'.format(1, b=2, c=3).strip().split(',')\n",
            "x = [y.go() for y in z]; x.copy()\n",
            "import datetime as d\nx = d.datetime.now() - d.timedelta(days=1)\n",
            "self.size = x.size + 1\n",
        ] {
            assert!(plain("a/b.py", text), "{text}");
        }
        assert!(plain("docs/a.rst", "open everything\n"));
    }

    #[test]
    fn what_could_tell_is_not() {
        for text in [
            "x = open('tests/test_a.py').read()\n",
            "import sys\n",
            "from os import path\n",
            "x = os.path\n",
            "class A:\n    def __eq__(self, other):\n        return True\n",
            "A = type('A', (), {})\n",
            "x = getattr(a, 'b' + 'c')\n",
            "x = f'{eval(y)}'\n",
            "x = '__eq__'\n",
            "\u{ff4f}pen('x')\n",
            "if (o := a.f_back): pass\n",
            "import other.helpers\n",
            "x = collections._sys\n",
            "A = abc.ABCMeta('A', (), made)\n",
            "x = string.Formatter().get_field(name, a, b)\n",
            "import functools\n",
            "from .other import thing\n",
            "class A(B):\n    pass\n",
            "x = '_' * 2\n",
            "x = 1 # a\rexec(y)\n",
            "x = f\"{'}' and exec(y)}\"\n",
            "x = f\"\\x7b{exec(y)}\"\n",
            "x = y.ag_frame\n",
            "x = '{0.gi_frame}'.format(y)\n",
            "x = '{0._' '_class_' '_}'.format(y)\n",
            "x = ('{0.' + 'a}').format(y)\n",
            "x = one(y)\n",
            "x = best\n",
            "x = load('a')\n",
            "x = wide('a')\n",
            "x = y.far()\n",
            "x = Q()\n",
            "x = y.unheard_of()\n",
            "from re import *\n",
            "x = license\n",
        ] {
            assert!(!plain("a/b.py", text), "{text}");
        }
        let cookie = "# coding:@ coding: utf-7\nx = 1\n";
        let new = |text: &str| {
            let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
            format!(
                "diff --git a/a.py b/a.py\nnew file mode 100644\n--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,2 @@\n{lines}"
            )
        };
        assert!(is_plain(&new("x = 1\ny = 2\n"), &|_| None));
        assert!(!is_plain(&new(cookie), &|_| None));
        let pieces = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1,2 @@\n x = 1\n+y = 2\n";
        let other = pieces.replace("a/a.py", "a/./a.py").replace("b/a.py", "b/./a.py");
        assert!(is_plain(pieces, &|_| Some("x = 1\n".into())));
        assert!(!is_plain(&format!("{pieces}{other}"), &|_| Some("x = 1\n".into())));
        assert!(!plain("a/b.json", "{}\n"));
        assert!(!plain("a/b.pyx", "x = 1\n"));
        assert!(!is_plain("no patch", &|_| None));
        // Of a file that is not known, a passage may begin inside a text.
        let patch = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -5 +5,2 @@\n x = 1\n+y = 2\n";
        assert!(!is_plain(patch, &|_| None));
    }
}
