//! What reaches into a test framework, or into what its assertions go through.

use super::names::{Reference, imports, literal};
use super::python::{Kind, Statement, Token};
use super::rules::{File, ends_with_one};
use super::{Trick, files};

/// Test frameworks by the first part of their modules' names.
pub(super) const FRAMEWORKS: [&str; 9] =
    ["pytest", "_pytest", "unittest", "nose", "nose2", "pluggy", "xdist", "unittest2", "testtools"];

/// Those whose names mean nothing else, wherever they stand in a path.
const PLAIN: [&str; 5] = ["pytest", "_pytest", "unittest", "unittest2", "pluggy"];

/// Names inside of frameworks that nothing else is called.
const INNER: [&str; 9] = [
    "runtest",
    "_callTestMethod",
    "_callSetUp",
    "_callTearDown",
    "_ShouldStop",
    "testPartExecutor",
    "pytest_runtest_protocol",
    "pytest_runtest_makereport",
    "pytest_pyfunc_call",
];

/// Functions that runners look for in modules.
const HOOKS: [&str; 7] = [
    "load_tests",
    "setup_module",
    "teardown_module",
    "setUpModule",
    "tearDownModule",
    "setup_function",
    "teardown_function",
];

/// Functions that bring what a text names.
const BRINGERS: [&str; 8] = [
    "resolve_name",
    "import_module",
    "__import__",
    "locate",
    "import_string",
    "import_object",
    "load_module",
    "reload",
];

/// What of a framework runs tests, which a package may offer to do.
const RUNS: [&str; 9] = [
    "main",
    "run",
    "TestLoader",
    "defaultTestLoader",
    "loader",
    "TextTestRunner",
    "TestSuite",
    "TestProgram",
    "runner",
];

/// Ends of a test that count as passing, or that end all tests.
const OUTCOMES: [&str; 4] = ["xfail", "XFailed", "exit", "Exit"];

/// Modules whose functions tests and their runners go through: with one of them
/// replaced, a comparison says what the replacement wants.
const UNDER_TESTS: [&str; 10] = [
    "builtins",
    "importlib",
    "ast",
    "traceback",
    "linecache",
    "math",
    "operator",
    "difflib",
    "numpy.testing",
    "pandas.testing",
];

/// Ways to objects that nobody gave.
const REACHES: [&str; 7] = [
    "gc.get_objects",
    "gc.get_referrers",
    "gc.get_referents",
    "gc.callbacks",
    "ctypes.pythonapi",
    "object.__subclasses__",
    "BaseException.__subclasses__",
];

/// Tokens that one name takes, with what it is given.
const NEARBY: usize = 128;

impl File<'_> {
    pub(super) fn imports_framework(&self, statement: &Statement, note: &mut impl FnMut(Trick, String)) {
        let serves_tests = files::is_about_tests(self.path) || files::is_script(self.path);
        let hook =
            statement.defines("def").is_some_and(|name| name.starts_with("pytest_") || name == "load_tests");
        let set =
            matches!(statement.tokens.as_slice(), [name, is, ..] if is.is("=") && name.is("load_tests"));
        if hook || set {
            note(Trick::PatchesTestFramework, "defines a hook of the runner".to_owned());
        }
        for (module, name, _) in imports(&statement.tokens) {
            let name = name.as_deref().unwrap_or_default();
            let of_tests = is_test_module(&module)
                || module.chars().all(|c| c == '.') && !name.is_empty() && is_test_module(name);
            if of_tests && !serves_tests {
                note(Trick::PatchesTestFramework, "imports tests".to_owned());
            }
            let brings = PLAIN.contains(&name) && !module.starts_with('.');
            if !FRAMEWORKS.contains(&module.split('.').next().unwrap_or_default()) {
                if brings && !serves_tests {
                    note(Trick::PatchesTestFramework, format!("imports {name}"));
                }
                continue;
            }
            // A function may offer to run the tests; what it does with a module shows
            // where it does it.
            let offers = statement.scope.deferred && (name.is_empty() || RUNS.contains(&name));
            if module.starts_with('_') || OUTCOMES.contains(&name) || !serves_tests && !offers {
                let framework = module.split('.').next().unwrap_or_default();
                note(Trick::PatchesTestFramework, format!("imports {framework}"));
            }
        }
    }

    /// Whether a reference leads into a test framework.
    fn is_of_framework(&self, reference: &Reference) -> bool {
        is_framework(&reference.path) && (reference.bound || !self.whole)
    }

    pub(super) fn changes_framework(
        &self,
        statement: &Statement,
        references: &[Reference],
        note: &mut impl FnMut(Trick, String),
    ) {
        let serves_tests = files::is_about_tests(self.path) || files::is_script(self.path);
        if !serves_tests && reaches_by_name(statement, references) {
            note(Trick::PatchesTestFramework, "reaches into the test framework".to_owned());
        }
        for reference in references {
            let path = reference.path.as_str();
            let tokens = &statement.tokens[reference.start..reference.end];
            let is_module = UNDER_TESTS.contains(&path) && reference.end > reference.start;
            let starts = |modules: &[&str]| {
                modules.iter().any(|m| path.strip_prefix(m).is_some_and(|rest| rest.starts_with('.')))
            };
            let of_framework = self.is_of_framework(reference);
            let last = path.rsplit('.').next().unwrap_or_default();
            let is_known = reference.bound || !self.whole || path == "builtins" || starts(&["builtins"]);
            let what = if reference.assigned && of_framework {
                "changes the test framework"
            } else if reference.assigned
                && is_known
                && (starts(&UNDER_TESTS) || is_module)
                && path != "builtins._"
                || reference.assigned && is_of_builtins(path)
            {
                "changes what assertions go through"
            } else if reference.assigned
                && (path.starts_with("sys.modules.")
                    || is_entry_of_modules(path, tokens, statement, reference.end))
            {
                "sets sys.modules"
            } else if reference.assigned
                && ends_with_one(path, &["f_globals", "f_locals", "f_builtins", "__globals__"])
            {
                "writes into a caller's frame"
            } else if reference.assigned && last == "__code__" {
                "puts other code into a function"
            } else if reference.assigned && is_hook(last) && path.contains('.') {
                "defines a hook of the runner"
            } else if ends_with_one(path, &REACHES) || walks_classes(path) || starts(&REACHES) {
                "reaches objects that are not its own"
            } else if ends_with_one(path, &["sys.settrace", "sys.setprofile", "threading.settrace"]) {
                "traces what runs"
            } else if starts(&["sys.meta_path", "sys.path_hooks"])
                || reference.assigned && path == "sys.meta_path"
            {
                "changes how modules are imported"
            } else if path == "pytest.hookimpl" || path == "pytest_plugins" || path == "pluggy.HookimplMarker"
            {
                "defines a hook of the runner"
            } else if of_framework && OUTCOMES.contains(&last) {
                "gives the runner an outcome"
            } else if of_framework && path.contains('.') && !serves_tests && !RUNS.contains(&last) {
                "uses the test framework"
            } else if of_framework && is_reached_indirectly(tokens) {
                "reaches into the test framework"
            } else {
                continue;
            };
            note(Trick::PatchesTestFramework, what.to_owned());
        }
    }
}

fn is_framework(path: &str) -> bool {
    let mut parts = path.split('.');
    FRAMEWORKS.contains(&parts.next().unwrap_or_default()) || parts.any(|part| PLAIN.contains(&part))
}

fn is_hook(name: &str) -> bool {
    name.starts_with("pytest_") && name != "pytest_plugins" || HOOKS.contains(&name)
}

/// Whether a module is one of tests.
fn is_test_module(module: &str) -> bool {
    let (dots, parts) = (module.starts_with('.'), module.trim_start_matches('.').split('.'));
    let count = parts.clone().count();
    parts.enumerate().any(|(at, part)| {
        part.starts_with("test_")
            || part == "conftest"
            || matches!(part, "tests" | "test") && (at + 1 < count || at == 0 && !dots)
    })
}

/// Whether a text names something in a framework, as `unittest.case:TestCase` does.
fn names_framework(text: &str, brings: bool) -> bool {
    let is_name = text.len() < 200 && text.chars().all(|c| c.is_alphanumeric() || "_.:".contains(c));
    let is_file = [".ini", ".py", ".toml", ".cfg", ".xml", ".log"].iter().any(|end| text.ends_with(end));
    let mut parts = text.split(['.', ':']);
    let first = parts.next().is_some_and(|first| PLAIN.contains(&first));
    let inner = parts.next().is_some_and(|part| !part.is_empty());
    is_name && !is_file && first && (inner || brings)
}

/// Whether a path leads to every class there is.
fn walks_classes(path: &str) -> bool {
    let owner = path.strip_suffix(".__subclasses__");
    owner.is_some_and(|owner| {
        owner == "()" || owner.split('.').any(|part| matches!(part, "__base__" | "__bases__" | "__mro__"))
    })
}

/// Whether what is set is an entry of the builtins, by way of one of them.
fn is_of_builtins(path: &str) -> bool {
    let of_function = path.split_once(".__self__.").is_some_and(|(function, _)| {
        matches!(
            function,
            "len"
                | "print"
                | "abs"
                | "open"
                | "isinstance"
                | "all"
                | "any"
                | "sum"
                | "id"
                | "repr"
                | "iter"
                | "hash"
                | "getattr"
                | "setattr"
                | "sorted"
                | "min"
                | "max"
                | "next"
                | "callable"
                | "dir"
                | "vars"
        )
    });
    of_function || path.ends_with(".AssertionError")
}

/// A name of the framework in a text that a call is given, and names of its
/// insides wherever they stand.
fn reaches_by_name(statement: &Statement, references: &[Reference]) -> bool {
    let brings = references.iter().any(|r| ends_with_one(&r.path, &BRINGERS));
    let inner = |t: &Token| matches!(t.kind, Kind::Name | Kind::Text) && INNER.contains(&t.text.as_str());
    let mut before = None;
    statement.tokens.iter().any(|token| {
        let given = before.is_some_and(|t: &Token| t.is("(") || t.is(",") || t.is("="));
        let of_path = before.is_some_and(|t: &Token| t.is("."));
        before = Some(token);
        let is_text = token.kind == Kind::Text;
        given && is_text && names_framework(&token.text, brings) || (of_path || is_text) && inner(token)
    })
}

/// `__import__("pytest")`, `sys.modules["_pytest.python"]`: no import statement
/// shows it.
fn is_reached_indirectly(tokens: &[Token]) -> bool {
    tokens[0].is("sys") || tokens.iter().take(NEARBY).any(|t| t.is("import_module") || t.is("__import__"))
}

/// Whether an assignment puts a module in another one's place. A module may
/// replace itself, and one that is loaded by a recipe has to be entered.
fn is_entry_of_modules(path: &str, tokens: &[Token], statement: &Statement, end: usize) -> bool {
    let is_list = path == "sys.modules";
    let mut near = tokens.iter().take(NEARBY);
    let literal_key = tokens.last().is_some_and(|t| t.is("]")) && near.any(|t| t.is("modules"));
    if !is_list {
        return literal_key;
    }
    let mut behind = statement.tokens.iter().skip(end).take(NEARBY);
    // One that is only let go, to be imported anew.
    let dropped = statement.tokens[..end].last().is_some_and(|t| t.is("pop"))
        && literal(&statement.tokens, end + 1)
            .is_some_and(|(name, _)| !is_framework(&name) && !UNDER_TESTS.contains(&name.as_str()));
    let own = behind.any(|t| t.is("__name__") || t.is("__package__"));
    let opened = statement.tokens.get(end).is_some_and(|t| t.is("[") || t.is("("));
    let recipe = opened && statement.tokens.get(end + 1).is_some_and(|t| t.kind == Kind::Name);
    literal_key || !own && !recipe && !dropped
}
