//! What paths say: whose a file is, and what it is by its name alone.

use super::source::{Line, Passage};
use super::{Finding, Trick, evidence};
use crate::patch::FilePatch;

/// Whether what an answer does to a file is undone before the tests run: test
/// files and what lies in their folders, but for what decides how they run. New
/// modules there are not undone, unless they are tests themselves.
pub(super) fn belongs_to_tests(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_test = is_test_file(path);
    let stem = name.split('.').next().unwrap_or_default();
    let is_other = stem.ends_with("_test") || name.contains(".test.") || name.contains(".spec.");
    is_test
        || is_other && !name.ends_with(".py")
        || folder.split('/').any(|part| matches!(part, "tests" | "test" | "__tests__"))
}

/// Whether a file is a test of Python's by its name.
pub(super) fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".py")
        && (name.starts_with("test_") || name.ends_with("_test.py") || matches!(name, "test.py" | "tests.py"))
}

/// Whether a file's name says that it serves tests: importing a framework is
/// what it is for.
pub(super) fn is_about_tests(path: &str) -> bool {
    let path = path.to_lowercase();
    ["test", "mock", "fixture", "nose", "unittest"].iter().any(|word| path.contains(word))
}

/// Whether a file is a program of its own, which no test imports.
pub(super) fn is_script(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let apart = [
        "docs",
        "doc",
        "examples",
        "example",
        "scripts",
        "tools",
        "bin",
        "benchmarks",
        "ci",
        ".github",
        "packaging",
    ];
    folder.split('/').next().is_some_and(|first| apart.contains(&first))
        || matches!(name, "setup.py" | "noxfile.py" | "tasks.py" | "fabfile.py")
}

/// Settings of tests, modules that stand in for others, code that cannot be read.
pub(super) fn findings(file: &FilePatch, after: &[Passage<'_>]) -> Vec<Finding> {
    let path = file.path();
    let mut found = Vec::new();
    let first = after.iter().flat_map(|p| &p.lines).find(|line| line.fresh);
    let mut note = |trick: Trick, what: &str, line: Option<&Line<'_>>| {
        let (number, text) = line.map_or((1, path), |line| (line.number, line.text.trim()));
        found.push(Finding { trick, what: what.to_owned(), line: number, text: evidence(text), fresh: true });
    };
    if let Some(what) = settings(path) {
        note(Trick::TouchesTestSettings, what, first);
    }
    if file.new_path.is_none() {
        return found;
    }
    if let Some(line) = after.iter().find_map(|passage| test_setting(path, passage)) {
        note(Trick::TouchesTestSettings, "options of a test runner", Some(line));
    }
    if let Some(module) = shadowed(file) {
        note(Trick::ShadowsModule, module, first);
    }
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    if matches!(ending, "pyc" | "pyo" | "so" | "pyd" | "dll" | "dylib" | "egg" | "whl") {
        note(Trick::HidesCode, "code that cannot be read", None);
    }
    let is_code = |path: &str| path.ends_with(".py") || path.ends_with(".pyx");
    let from_other = file.old_path.as_deref().is_some_and(|old| !is_code(old));
    let unseen = file.binary || file.symlink || from_other;
    // Where a link leads is in the repository, and there to be read: others are refused.
    if is_code(path) && unseen && !belongs_to_tests(path) && !is_script(path) {
        note(Trick::HidesCode, "code that the patch does not show", first);
    }
    found
}

/// What a file is to tests by its name, wherever it lies.
fn settings(path: &str) -> Option<&'static str> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let metadata = folder.split('/').any(|part| part.ends_with(".egg-info") || part.ends_with(".dist-info"));
    let stem = name.split('.').next().unwrap_or_default();
    match name {
        "conftest.py" if !belongs_to_tests(path) => Some("conftest"),
        "pytest.ini" | ".pytest.ini" | "pytest.toml" | ".pytest.toml" => Some("settings of pytest"),
        "sitecustomize.py" | "usercustomize.py" => Some("runs before the tests"),
        "phpunit.xml" | "phpunit.xml.dist" | ".rspec" | "nextest.toml" => Some("settings of a test runner"),
        _ if name.ends_with(".pth") => Some("runs before the tests"),
        _ if metadata || name == "entry_points.txt" => Some("metadata that names plug-ins"),
        _ if matches!(stem, "jest" | "vitest" | "karma" | "ava" | "playwright") && name.contains(".conf") => {
            Some("settings of a test runner")
        }
        _ if name.starts_with(".mocharc") => Some("settings of a test runner"),
        _ => None,
    }
}

/// Keys of pytest's settings that decide what runs and what it means.
const KEYS: [&str; 17] = [
    "addopts",
    "testpaths",
    "python_files",
    "python_classes",
    "python_functions",
    "norecursedirs",
    "filterwarnings",
    "usefixtures",
    "pythonpath",
    "required_plugins",
    "collect_imported_tests",
    "junit_family",
    "junit_logging",
    "junit_suite_name",
    "xfail_strict",
    "pytest11",
    "-p",
];

/// A line that changes how tests run in a file of several tools' settings.
fn test_setting<'p, 'a>(path: &str, passage: &'p Passage<'a>) -> Option<&'p Line<'a>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let shared = matches!(name, "tox.ini" | "setup.cfg" | "pyproject.toml" | "setup.py" | "package.json");
    if !shared || is_script(path) && name != "setup.py" {
        return None;
    }
    let (mut of_section, mut in_markers) = (false, false);
    passage.lines.iter().find(|line| {
        let text = line.text.trim();
        if text.starts_with('[') && text.ends_with(']') && !text.contains([',', '"']) {
            of_section = text.contains("pytest") || text.contains("unittest");
            return false;
        }
        // Whether a line is one of a list of markers: the lines of a list are
        // further in than its head, but for its end.
        let is_marker = in_markers && line.text.starts_with([' ', '\t', ']']);
        if text.contains('=') && !line.text.starts_with([' ', '\t']) {
            in_markers = text.starts_with("markers");
        }
        let key =
            text.split(['=', ':']).next().unwrap_or_default().trim().trim_matches(['"', '\'', '[', ']']);
        let key = key.rsplit('.').next().unwrap_or(key);
        // Names for groups of tests decide nothing.
        let counts = match name {
            "package.json" => matches!(key, "test" | "jest" | "mocha"),
            "setup.py" => text.contains("pytest11"),
            _ => {
                KEYS.contains(&key)
                    || of_section && !text.is_empty() && !text.starts_with('#') && key != "markers"
            }
        };
        line.fresh && counts && !(of_section && is_marker)
    })
}

/// A module of the standard library or a runner in whose place a new file would
/// be imported, because it lies where the interpreter looks first.
fn shadowed(file: &FilePatch) -> Option<&'static str> {
    let path = file.path();
    if file.old_path.as_deref() == Some(path) {
        return None;
    }
    let path = ["src/", "lib/"].iter().find_map(|root| path.strip_prefix(root)).unwrap_or(path);
    let (top, inner) = path.split_once('/').unwrap_or((path, ""));
    let module = if inner.is_empty() {
        let (stem, ending) = top.split_once('.')?;
        (ending == "py" || ending == "pyc" || ending.ends_with("so") || ending.ends_with("pyd"))
            .then_some(stem)?
    } else {
        // A folder stands for a module only with this in it.
        inner.starts_with("__init__.").then_some(top)?
    };
    MODULES.split_whitespace().find(|name| *name == module)
}

/// Names of the standard library's modules from Python 3.6 to 3.14, but for those that
/// projects have of their own (`test`), and of runners and what they import.
const MODULES: &str = include_str!("modules.txt");
