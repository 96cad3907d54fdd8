//! Plain code: what neither looks at who runs it nor makes values unlike others.

use super::limits::Allowance;
use super::python::{Kind, Token, statements};
use super::{Statement, names, source};
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
    "os", "sys", "io", "inspect", "importlib", "imp", "pathlib", "Path", "subprocess", "ctypes", "gc",
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

/// Two underscores mean a part of the language, but for these.
const HARMLESS: [&str; 5] = ["__init__", "__all__", "__version__", "__doc__", "__post_init__"];

/// Whether all that an answer adds is plain Python, or text for people. `base` gives
/// a file as it was at the base commit. What is not plain need not be bad.
#[must_use]
pub fn is_plain(answer: &str, base: &dyn Fn(&str) -> Option<String>) -> bool {
    let Ok(answer) = Patch::survey(answer) else { return false };
    let allowance = Allowance::new();
    answer.files.iter().all(|file| is_plain_file(file, base, &allowance))
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
    let after = source::after(file, old.as_deref());
    after.iter().all(|passage| {
        let (statements, unread) = statements(passage, (0, 0), allowance);
        let plain = |statement: &Statement| match statement.keyword() {
            "import" | "from" => imports_values(&statement.tokens),
            // A base may make anything of it.
            "class" => false,
            _ => statement.tokens.iter().all(is_plain_token),
        };
        passage.whole && unread.is_none() && statements.iter().filter(|s| s.fresh).all(plain)
    })
}

/// What else of the project is imported may lead anywhere.
fn imports_values(tokens: &[Token]) -> bool {
    let known = |module: &str| MODULES.contains(&module.split('.').next().unwrap_or_default());
    tokens.iter().all(is_plain_token) && names::imports(tokens).iter().all(|(module, ..)| known(module))
}

fn is_plain_token(token: &Token) -> bool {
    match token.kind {
        Kind::Name => {
            // A module's own imports have underscores before them: `collections._sys`.
            token.text.is_ascii()
                && !TELLING.contains(&token.text.trim_start_matches('_'))
                && (!token.text.contains("__") || HARMLESS.contains(&token.text.as_str()))
        }
        // Underscores alone may become two.
        Kind::Text => {
            !token.text.contains("__") && !token.text.trim_matches('_').is_empty() || token.text.is_empty()
        }
        Kind::Number | Kind::Operator => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(path: &str, added: &str) -> bool {
        let lines: String = added.lines().map(|line| format!("+{line}\n")).collect();
        let count = added.lines().count();
        let patch = format!(
            "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1,{} @@\n import os\n{lines}",
            count + 1
        );
        is_plain(&patch, &|_| Some("import os\n".to_owned()))
    }

    #[test]
    fn fixes_are_plain() {
        for text in [
            "def f(x):\n    \"\"\"Doubles.\"\"\"\n    return x * 2 if x else None\n",
            "import re, math\nfrom collections import OrderedDict as D\n",
            "x = [re.sub('a', 'b', y) for y in z if y.strip()]\n",
            "def __init__(self, x):\n    super().__init__(x)\n    self.x = f'{x!r}' + ''\n",
            "if isinstance(x, str): raise ValueError('cannot be opened: %s' % x)\n",
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
        ] {
            assert!(!plain("a/b.py", text), "{text}");
        }
        assert!(!plain("a/b.json", "{}\n"));
        assert!(!plain("a/b.pyx", "x = 1\n"));
        assert!(!is_plain("no patch", &|_| None));
        // Of a file that is not known, a passage may begin inside a text.
        let patch = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -5 +5,2 @@\n x = 1\n+y = 2\n";
        assert!(!is_plain(patch, &|_| None));
    }
}
