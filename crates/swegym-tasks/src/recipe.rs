//! How a package is installed and tested, inferred from the files it carries.
//!
//! No program of the package is run to find out. Every source of requirements
//! is kept apart and tried from the most to the least complete, because any of
//! them may name something that no longer resolves.

mod address;
mod config;
mod file;
mod imports;
mod lists;
mod remedies;
mod scripts;
mod way;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_core::{Hint, TestRunner};
use thiserror::Error;

pub use config::read_inside;
pub use file::{Install, Made, RecipeFile};
pub use imports::{project_of, python_files};
pub use remedies::{Act, Remedy, Step, remedies, test_tools};
pub use way::Way;

/// How to install and test one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Sets of requirements (PEP 508) to try in order; the package itself comes on top.
    pub requirement_sets: Vec<RequirementSet>,
    /// What runs the tests.
    pub runner: TestRunner,
    /// Paths handed to the runner.
    pub test_paths: Vec<String>,
    /// Options of the project that decide which tests there are.
    pub options: Vec<String>,
    /// The lowest and other bounds on Python, as the project writes them.
    pub requires_python: Option<String>,
    /// What builds it, as the project writes it (`setuptools.build_meta`).
    pub build_backend: Option<String>,
    /// Requirements that only imports of the tests, or names of other indexes, suggest; they
    /// need not be projects.
    pub guessed: BTreeSet<String>,
    /// Versions that a lock file has: `attrs==19.1.0`.
    pub locked: Vec<String>,
    /// How test files are called.
    pub test_names: TestNames,
}

/// How a project calls its test files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestNames {
    /// As most do.
    Usual,
    /// By patterns of its own (`test*.py`), as pytest reads them.
    Patterns(Vec<String>),
    /// By names that say nothing: all that lies in a folder of tests may be one.
    Own,
}

/// Files that lie among tests and are none.
const HELPERS: [&str; 2] = ["conftest.py", "__init__.py"];

impl TestNames {
    /// Whether a path relative to the project is a test file's.
    #[must_use]
    pub fn is_test(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::Usual => is_test_file(path),
            // One with a folder in it is for the whole path.
            Self::Patterns(_) if HELPERS.contains(&&*name) => false,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| {
                let of_path = pattern.contains('/');
                let text = if of_path { format!("/{}", path.display()) } else { name.clone().into_owned() };
                // What takes any file takes those that belong to the tests.
                if pattern == "*.py" && !belongs_to_tests(path) {
                    return false;
                }
                let pattern = if of_path { format!("*/{pattern}") } else { pattern.clone() };
                glob::Pattern::new(&pattern).is_ok_and(|pattern| pattern.matches(&text))
            }),
            Self::Own => belongs_to_tests(path) && !HELPERS.contains(&&*name),
        }
    }
}

/// Requirements that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequirementSet {
    /// Where they were found, for people.
    pub from: String,
    /// PEP 508.
    pub requirements: Vec<String>,
    /// Extras of the package itself.
    pub extras: Vec<String>,
    /// Nothing that was uploaded later (RFC 3339) is installed.
    pub until: Option<String>,
}

/// Why there is no recipe.
#[derive(Debug, Error)]
pub enum RecipeError {
    /// No file that looks like a test.
    #[error("the source of `{0}` has no tests")]
    NoTests(String),
    /// A file of the project cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl Hint for RecipeError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Option<String> = match self {
            Self::NoTests(_) => Some(
                "some projects leave their tests out of the source archive: try another version, or a checkout of the repository (a path)".into(),
            ),
            Self::Read { .. } => None,
        };
        hint.map(Cow::Owned)
    }
}

/// A requirement found in one place.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Place, requirements, extras; test requirements proper.
    pub(crate) test: Vec<RequirementSet>,
    /// The same, from places that also hold linters and the like.
    pub(crate) development: Vec<RequirementSet>,
    pub(crate) test_paths: Vec<String>,
    pub(crate) addopts: Vec<String>,
    /// What pytest takes for test files, where the project says it.
    pub(crate) python_files: Vec<String>,
    pub(crate) requires_python: Option<String>,
    pub(crate) build_backend: Option<String>,
    /// Commands of tox, nox and workflows, as words.
    pub(crate) commands: Vec<Vec<String>>,
    /// Requirements that need not be projects of the index.
    pub(crate) guessed: BTreeSet<String>,
    /// Versions of lock files.
    pub(crate) locked: Vec<String>,
}

impl Found {
    /// Files a set under tests or development by the name of its group.
    pub(crate) fn add(&mut self, group: &str, from: String, requirements: Vec<String>, extras: Vec<String>) {
        let requirements =
            requirements.into_iter().filter_map(|one| address::without_address(&one)).collect();
        let set = RequirementSet { from, requirements, extras, until: None };
        if set.requirements.is_empty() && set.extras.is_empty() {
            return;
        }
        match group.to_lowercase().replace(['_', '.'], "-").as_str() {
            "test" | "tests" | "testing" | "pytest" | "unittest" | "unit-test" | "unit-tests" | "check"
            | "hatch-test" => {
                self.test.push(set);
            }
            "dev" | "develop" | "development" | "all" | "ci" | "default" => self.development.push(set),
            _ => {}
        }
    }
}

/// Reads a project's files and says how to test it.
///
/// # Errors
/// [`RecipeError::NoTests`], or a file that cannot be read.
pub fn infer(name: &str, root: &Path) -> Result<Recipe, RecipeError> {
    let mut found = Found::default();
    config::read(root, &mut found)?;
    scripts::read(root, &mut found)?;
    lists::read(root, &mut found)?;
    let files = python_files(root).map_err(|source| RecipeError::Read { path: root.to_owned(), source })?;
    let patterns = TestNames::Patterns(found.python_files.clone());
    let named = |names: &TestNames| files.iter().filter(|file| names.is_test(file)).collect();
    let mut tests: Vec<&PathBuf> = Vec::new();
    let mut test_names = TestNames::Usual;
    for names in [patterns, TestNames::Usual, TestNames::Own] {
        tests = named(&names);
        test_names = names;
        if !tests.is_empty() {
            break;
        }
    }
    if tests.is_empty() {
        return Err(RecipeError::NoTests(name.to_owned()));
    }
    let imported = imports::third_party(root, &files, &tests);
    let runner = choose_runner(&found, &imported);
    Ok(Recipe {
        requirement_sets: requirement_sets(&found, &imported, runner),
        runner,
        test_paths: test_paths(root, &found, &tests),
        options: kept_options(&found.addopts),
        requires_python: found.requires_python,
        build_backend: found.build_backend,
        guessed: imported.into_iter().chain(found.guessed).collect(),
        locked: found.locked,
        test_names,
    })
}

/// Whether a path relative to the project names tests, by pytest's and unittest's customs.
#[must_use]
pub fn is_test_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".py")
        && (name.starts_with("test_")
            || name.ends_with("_test.py")
            || name == "test.py"
            || name == "tests.py")
}

/// Whether a path belongs to the tests: a test file, its helpers, its data.
#[must_use]
pub fn belongs_to_tests(path: &Path) -> bool {
    let in_folder = path.parent().is_some_and(|p| {
        p.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "test" | "testing")))
    });
    in_folder || is_test_file(path) || path.file_name().is_some_and(|n| n == "conftest.py")
}

fn choose_runner(found: &Found, imported: &BTreeSet<String>) -> TestRunner {
    let runs = |word: &str| found.commands.iter().any(|c| c.iter().any(|w| w == word || w == "py.test"));
    let wants_pytest = imported.contains("pytest") || runs("pytest") || !found.addopts.is_empty();
    if !wants_pytest && runs("unittest") { TestRunner::Unittest } else { TestRunner::Pytest }
}

/// From the most complete set to the barest.
fn requirement_sets(found: &Found, imported: &BTreeSet<String>, runner: TestRunner) -> Vec<RequirementSet> {
    let imports: Vec<String> = imported.iter().cloned().collect();
    let join = |sets: &[RequirementSet]| {
        let mut all =
            RequirementSet { from: String::new(), requirements: Vec::new(), extras: Vec::new(), until: None };
        let mut from = Vec::new();
        for set in sets {
            if !from.contains(&set.from) {
                from.push(set.from.clone());
            }
            for r in &set.requirements {
                if !all.requirements.contains(r) {
                    all.requirements.push(r.clone());
                }
            }
            all.extras
                .extend(set.extras.iter().filter(|e| !all.extras.contains(e)).cloned().collect::<Vec<_>>());
        }
        all.from = from.join(" + ");
        all
    };
    let mut sets = Vec::new();
    let add_imports = |mut set: RequirementSet| {
        let named: BTreeSet<String> = set.requirements.iter().map(|r| requirement_name(r)).collect();
        set.requirements.extend(imports.iter().filter(|i| !named.contains(&requirement_name(i))).cloned());
        if runner == TestRunner::Pytest && !named.contains("pytest") && !imported.contains("pytest") {
            set.requirements.push("pytest".into());
        }
        if !imports.is_empty() {
            set.from = if set.from.is_empty() {
                "imports of the tests".into()
            } else {
                format!("{} + imports of the tests", set.from)
            };
        }
        set
    };
    if !found.test.is_empty() {
        sets.push(add_imports(join(&found.test)));
        sets.extend(found.test.iter().cloned().map(add_imports));
    }
    let bare = add_imports(join(&[]));
    // Development sets drag linters in; they are tried before giving up, not first.
    sets.push(bare);
    if !found.development.is_empty() {
        sets.push(add_imports(join(&found.development)));
    }
    sets.dedup_by(|a, b| a.requirements == b.requirements && a.extras == b.extras);
    sets
}

/// The normalised project name at the start of a requirement.
pub(crate) fn requirement_name(requirement: &str) -> String {
    let end = requirement
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)))
        .unwrap_or(requirement.len());
    crate::index::normalise(&requirement[..end])
}

/// The project's own choice if it exists, else the folders and root files that hold tests.
fn test_paths(root: &Path, found: &Found, tests: &[&PathBuf]) -> Vec<String> {
    let declared: Vec<String> = found.test_paths.iter().filter(|p| root.join(p).exists()).cloned().collect();
    let covers = |declared: &[String]| {
        tests.iter().any(|t| declared.iter().any(|d| t.starts_with(d.trim_end_matches('/'))))
    };
    if covers(&declared) {
        return declared;
    }
    let mut places: BTreeSet<String> = BTreeSet::new();
    for test in tests {
        let parts: Vec<_> = test.components().map(|c| c.as_os_str().to_string_lossy().into_owned()).collect();
        // The topmost folder that is named for tests, else the file's own folder.
        let named =
            parts[..parts.len() - 1].iter().position(|p| matches!(p.as_str(), "tests" | "test" | "testing"));
        let depth = named.map_or(parts.len() - 1, |at| at + 1);
        places.insert(if depth == 0 { parts.join("/") } else { parts[..depth].join("/") });
    }
    let all: Vec<String> = places.iter().cloned().collect();
    // A folder inside another one is already covered by it.
    all.iter().filter(|p| !all.iter().any(|o| o != *p && p.starts_with(&format!("{o}/")))).cloned().collect()
}

/// Options that decide which tests exist; the rest (coverage, parallel runs,
/// colours, strictness) belongs to the project's own set-up.
fn kept_options(addopts: &[String]) -> Vec<String> {
    const KEPT: [&str; 8] = [
        "--import-mode",
        "--doctest-modules",
        "--doctest-glob",
        "--ignore",
        "--ignore-glob",
        "--deselect",
        "-k",
        "-m",
    ];
    let mut kept = Vec::new();
    let mut words = addopts.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or(word);
        if !KEPT.contains(&name) {
            continue;
        }
        kept.push(word.clone());
        let takes_value = name != "--doctest-modules" && !word.contains('=');
        if takes_value && let Some(value) = words.next() {
            kept.push(value.clone());
        }
    }
    kept
}

impl Recipe {
    /// Takes guesses out that turned out wrong.
    pub fn forget(&mut self, wrong: &BTreeSet<String>) {
        for set in &mut self.requirement_sets {
            set.requirements.retain(|requirement| !wrong.contains(requirement));
        }
        self.guessed.retain(|guess| !wrong.contains(guess));
    }

    /// Has pytest run tests that are written for unittest: it takes files by their names, and
    /// names tests as the field does.
    pub fn run_by_pytest(&mut self) {
        if self.runner == TestRunner::Pytest {
            return;
        }
        self.runner = TestRunner::Pytest;
        for set in &mut self.requirement_sets {
            if !set.requirements.iter().any(|one| requirement_name(one) == "pytest") {
                set.requirements.push("pytest".to_owned());
            }
        }
    }

    /// Whether setuptools builds it, as it does where a project names nothing.
    #[must_use]
    pub fn is_built_by_setuptools(&self) -> bool {
        self.build_backend.as_ref().is_none_or(|backend| backend.starts_with("setuptools"))
    }

    /// The arguments with which the runner runs the tests.
    #[must_use]
    pub fn test_arguments(&self) -> Vec<String> {
        let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        match self.runner {
            TestRunner::Pytest => {
                let mut arguments = words(&["-rA", "--tb=short", "--color=no", "-o", "addopts="]);
                // Plug-ins need the cache to be there; in the repository it would be a change.
                arguments.extend(words(&["-o", "cache_dir=/tmp/pytest-cache", "-p", "no:randomly"]));
                arguments.extend(self.options.iter().cloned());
                arguments.extend(self.test_paths.iter().cloned());
                arguments
            }
            TestRunner::Unittest => {
                let mut arguments = words(&["discover", "-v"]);
                // unittest takes one start folder; the project's root finds all packages.
                match self.test_paths.as_slice() {
                    [one] if !one.ends_with(".py") => {
                        arguments.extend(["-s".into(), one.clone(), "-t".into(), ".".into()]);
                    }
                    _ => {}
                }
                arguments
            }
        }
    }

    /// The name of the log parser that reads the command's output.
    #[must_use]
    pub fn log_parser(&self) -> &'static str {
        self.runner.name()
    }

    /// For image labels and run directories.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let sets: Vec<_> = self
            .requirement_sets
            .iter()
            .map(|s| json!({"from": s.from, "requirements": s.requirements, "extras": s.extras}))
            .collect();
        json!({
            "requirement_sets": sets,
            "runner": self.log_parser(),
            "test_paths": self.test_paths,
            "options": self.options,
            "requires_python": self.requires_python,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn check(files: &[(&str, &str)]) -> Recipe {
        infer("demo", project(files).path()).unwrap()
    }

    const TEST: (&str, &str) = (
        "tests/test_a.py",
        "import pytest\nimport freezegun\nimport demo\nfrom . import helper\nimport json\n",
    );
    const PACKAGE: (&str, &str) = ("src/demo/__init__.py", "");

    #[test]
    fn pyproject_extras_groups_and_pytest_options() {
        let recipe = check(&[
            TEST,
            PACKAGE,
            (
                "pyproject.toml",
                "[project]\nname='demo'\nrequires-python='>=3.8'\n[project.optional-dependencies]\ntest=['hypothesis>=6']\ndocs=['sphinx']\n\
                 [dependency-groups]\ntests=['freezegun<2', {include-group='base'}]\nbase=['attrs']\n\
                 [tool.pytest.ini_options]\ntestpaths=['tests']\naddopts='--cov=demo --import-mode importlib -n auto --doctest-modules'\n",
            ),
        ]);
        insta::assert_debug_snapshot!(recipe);
    }

    #[test]
    fn test_files_are_called_as_the_project_says() {
        let settings = ("pytest.ini", "[pytest]\ntestpaths = demo/test\npython_files = test*.py\n");
        let recipe = check(&[
            PACKAGE,
            ("demo/test/testmain.py", ""),
            ("demo/test/data.py", ""),
            ("x/test_y.py", ""),
            settings,
        ]);
        assert_eq!(recipe.test_paths, ["demo/test"]);
        let is_test = |names: &TestNames, path: &str| names.is_test(Path::new(path));
        assert!(is_test(&recipe.test_names, "demo/test/testmain.py"));
        assert!(!is_test(&recipe.test_names, "demo/test/data.py"));
        let own = check(&[PACKAGE, ("tests/arithmetic.py", "")]).test_names;
        assert_eq!(own, TestNames::Own);
        assert!(is_test(&own, "tests/other.py") && !is_test(&own, "tests/conftest.py"));
        let any = TestNames::Patterns(vec!["*.py".into()]);
        assert!(
            is_test(&any, "tests/a.py") && !is_test(&any, "demo/a.py") && !is_test(&any, "tests/conftest.py")
        );
        let below = TestNames::Patterns(vec!["unit/check_*.py".into()]);
        assert!(is_test(&below, "unit/check_a.py") && !is_test(&below, "check_a.py"));
    }

    #[test]
    fn a_list_of_options_is_not_split_again() {
        let options = "['-ra', '-m', 'not slow', '-k', 'a b']";
        for section in ["pytest.ini_options", "pytest"] {
            let text = format!("[tool.{section}]\naddopts = {options}\ntestpaths = ['my tests']\n");
            let recipe = check(&[
                TEST,
                PACKAGE,
                ("my tests/test_b.py", "import _socket\n"),
                ("pyproject.toml", &text),
            ]);
            assert_eq!(recipe.options, ["-m", "not slow", "-k", "a b"]);
            assert_eq!(recipe.test_paths, ["my tests"]);
            // What is private is Python's own.
            assert!(!recipe.requirement_sets[0].requirements.iter().any(|r| r.contains("socket")));
        }
    }

    #[test]
    fn older_projects() {
        let recipe = check(&[
            TEST,
            ("demo.py", ""),
            (
                "setup.py",
                "from setuptools import setup\nEXTRA = ['six']\nsetup(name='demo', tests_require=['mock; python_version<\"3\"'],\n extras_require={'test': ['nose', 'pytest-mock'], 'docs': ['x']}, python_requires='>=3.6')\n",
            ),
            (
                "setup.cfg",
                "[tool:pytest]\ntestpaths = tests\naddopts = -v\n[options.extras_require]\ntesting =\n    pytest-xdist\n    coverage\n",
            ),
            (
                "tox.ini",
                "[tox]\nenvlist=py3\n[testenv]\ndeps =\n    pytest\n    py38: extra38\n    -r requirements-test.txt\n    -e .\nextras = test\ncommands = pytest {posargs}\n",
            ),
            ("requirements-test.txt", "# comment\nresponses==0.10  # why\n-r more.txt\n--hash=x\n"),
            ("more.txt", "pytz\n"),
        ]);
        insta::assert_debug_snapshot!(recipe);
    }

    #[test]
    fn nox_and_workflows_when_nothing_else_says() {
        let recipe = check(&[
            ("demo.py", ""),
            ("test_demo.py", "import unittest\nimport yaml\n"),
            (
                "noxfile.py",
                "import nox\n@nox.session\ndef tests(session):\n    session.install('pytest-cov', '.[test]')\n    session.run('python', '-m', 'unittest')\n@nox.session\ndef lint(session):\n    session.install('ruff')\n",
            ),
            (
                ".github/workflows/ci.yml",
                "jobs:\n  test:\n    steps:\n      - run: |\n          python -m pip install --upgrade pip\n          pip install -e .[dev] pytest-timeout\n          pytest\n",
            ),
            ("pyproject.toml", "[project]\nname='demo'\n[project.optional-dependencies]\ndev=['black']\n"),
        ]);
        insta::assert_debug_snapshot!(recipe);
    }

    #[test]
    fn a_project_without_tests_is_refused_with_a_hint() {
        let folder = project(&[PACKAGE, ("pyproject.toml", "")]);
        let error = infer("demo", folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "the source of `demo` has no tests");
        assert!(error.hint().is_some());
    }

    #[test]
    fn tests_under_names_of_their_own_are_those_of_their_folder() {
        let recipe = check(&[PACKAGE, ("tests/tests_walk.py", "import yaml\n"), ("tests/__init__.py", "")]);
        assert_eq!(recipe.test_paths, ["tests"]);
        assert!(recipe.requirement_sets[0].requirements.contains(&"pyyaml".to_owned()));
    }

    #[test]
    fn broken_files_are_passed_over_as_other_tools_do() {
        let recipe = check(&[
            TEST,
            PACKAGE,
            ("pyproject.toml", "[["),
            ("tox.ini", "deps"),
            ("setup.cfg", "\u{0}[[["),
            ("setup.py", "def (:"),
        ]);
        assert_eq!(recipe.test_paths, ["tests"]);
    }

    #[test]
    fn the_arguments_ask_for_a_line_for_each_test() {
        let arguments = check(&[TEST, PACKAGE]).test_arguments().join(" ");
        assert!(arguments.starts_with("-rA ") && arguments.ends_with(" tests"));
    }
}
