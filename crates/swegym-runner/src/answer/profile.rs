//! What of an answer counts when tests run: the product's code, and nothing
//! that decides how it is tested.
//!
//! docs/security.md shows the table. Every rule is about paths alone, so that
//! it can be looked up; where the gold patch changes such a path itself, the
//! answer's version of it counts.

mod languages;

use std::collections::BTreeSet;
use std::path::Path;

use swegym_core::Patch;
use swegym_tasks::recipe;

use super::tree::{Entry, Tree, folder, folders};

/// The rules of one language and its runners.
pub(super) struct Profile {
    /// Whether names of modules can stand for others, so that the image's interpreter is
    /// asked which there are.
    pub(super) has_modules: bool,
    /// Settings of the runner and of what it loads, by name: they are read in the
    /// folders of tests and in those above.
    settings: &'static [&'static str],
    /// Files that the runner or the interpreter takes wherever they are, by name.
    taken: &'static [&'static str],
    /// Modules that the interpreter loads before all others, by name.
    loaded: &'static [&'static str],
    /// Ends of the names of compiled code.
    compiled: &'static [&'static str],
    /// Ends of the names of folders and files that say what is installed.
    installed: &'static [&'static str],
}

/// Python, with pytest and unittest.
const PYTHON: Profile = Profile {
    has_modules: true,
    settings: &[
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "pyproject.toml",
        "setup.cfg",
        "tox.ini",
        ".coveragerc",
        ".coveragerc.toml",
        "unittest.cfg",
        "nose2.cfg",
    ],
    taken: &["conftest.py", "pyvenv.cfg"],
    loaded: &["sitecustomize", "usercustomize"],
    compiled: &[".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib"],
    installed: &[".dist-info", ".egg-info", ".egg-link", ".egg", ".pth"],
};

/// Each becomes an argument of the runner. No product has as many.
const MOST_IMPORTED: usize = 100;

/// Why something of an answer is not there when tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Settings of the runner or the interpreter.
    Settings,
    /// Compiled code.
    Compiled,
    /// It says that something is installed.
    Installed,
    /// A test, or what tests import.
    Tests,
    /// It stands where a test has to.
    InTheWay,
    /// Its name is one of the standard library's or of an installed package's.
    Shadows,
}

impl Reason {
    /// The code in reports.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Compiled => "compiled",
            Self::Installed => "installed",
            Self::Tests => "tests",
            Self::InTheWay => "in_the_way",
            Self::Shadows => "shadows",
        }
    }
}

/// What the interpreter of an image says.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Top-level names of the standard library and of what is installed.
    pub(super) names: BTreeSet<String>,
    /// Folders of the repository that are on its path.
    pub(super) path: BTreeSet<Vec<u8>>,
}

/// An answer in its setting.
pub(super) struct Case<'a> {
    pub(super) base: &'a Tree,
    pub(super) answered: &'a Tree,
    /// What made one the other.
    pub(super) patch: &'a Patch,
    /// Paths that the gold patch touches.
    pub(super) gold: &'a BTreeSet<Vec<u8>>,
    /// Paths that the test patch touches.
    pub(super) tests: &'a BTreeSet<Vec<u8>>,
    /// Files that expected tests are in by their names, whatever those are called.
    pub(super) expected: &'a BTreeSet<Vec<u8>>,
    /// Every module is collected, for its examples.
    pub(super) collects_modules: bool,
}

/// What is the same for every path of an answer.
struct Setting<'a> {
    profile: &'a Profile,
    known: &'a Known,
    /// Folders that tests are collected in, and those above them.
    collected: BTreeSet<Vec<u8>>,
    /// Folders on the interpreter's path.
    on_path: BTreeSet<Vec<u8>>,
    /// New files with names of tests that code imports.
    imported: BTreeSet<Vec<u8>>,
}

/// The tree of which the tests are run, but for the test patch.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) tree: Tree,
    /// What is not there as the answer has it.
    pub(super) left_out: Vec<(Vec<u8>, Reason)>,
    /// What would not be there, had the gold patch not changed it too.
    pub(super) kept_for_gold: Vec<Vec<u8>>,
    /// Modules of the product with names of tests: there, but not to be collected.
    pub(super) not_collected: BTreeSet<Vec<u8>>,
}

impl Case<'_> {
    /// Whether the answer brings code, so that its names matter.
    pub(super) fn brings_modules(&self) -> bool {
        self.new_paths().any(|path| is_module(path, self.answered.get(path)))
    }

    fn new_paths(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.answered.0.keys().filter(|path| self.base.get(path).is_none())
    }

    /// Takes out of the answer what decides how it is tested.
    pub(super) fn counted(&self, profile: &Profile, known: &Known) -> Counted {
        let collected = self.collected();
        let on_path = self.path(&collected, known);
        let mut setting = Setting { profile, known, collected, on_path, imported: BTreeSet::new() };
        while self.finds_more_imported(&mut setting) {}
        let mut counted = Counted { tree: self.answered.clone(), ..Counted::default() };
        for changed in self.answered.differing(self.base) {
            let Some(reason) = self.reason(changed, &setting) else { continue };
            if self.is_golden(changed, reason, &setting.on_path) {
                counted.kept_for_gold.push(changed.clone());
                continue;
            }
            counted.left_out.push((changed.clone(), reason));
            let way = counted.tree.restore(changed, self.base);
            counted.left_out.extend(way.into_iter().map(|path| (path, Reason::InTheWay)));
        }
        let is_there = |path: &Vec<u8>| counted.tree.get(path).is_some() && !self.gold.contains(path);
        counted.not_collected = setting.imported.into_iter().filter(is_there).collect();
        counted.left_out.sort_by(|(one, _), (other, _)| one.cmp(other));
        counted.left_out.dedup_by(|(one, _), (other, _)| one == other);
        counted
    }

    fn reason(&self, path: &[u8], setting: &Setting<'_>) -> Option<Reason> {
        let Setting { profile, known, collected, on_path, .. } = setting;
        let text = String::from_utf8_lossy(path);
        let name = text.rsplit('/').next().unwrap_or_default();
        let ends = |text: &str, ends: &[&str]| ends.iter().any(|end| text.to_lowercase().ends_with(end));
        let new = self.base.get(path).is_none().then(|| self.answered.get(path)).flatten();
        let is_above_tests = |folder: &[u8]| collected.contains(folder) || folder.is_empty();
        if text.split('/').any(|part| part == "__pycache__") || ends(name, profile.compiled) {
            Some(Reason::Compiled)
        } else if text.split('/').any(|part| ends(part, profile.installed) || part == "EGG-INFO") {
            Some(Reason::Installed)
        } else if profile.taken.contains(&name)
            || text.split('/').any(|part| profile.loaded.contains(&stem(part)))
            || profile.settings.contains(&name) && is_above_tests(folder(path))
        {
            Some(Reason::Settings)
        } else if self.expected.contains(path)
            || belongs_to_tests(path) && new.is_none_or(|entry| self.is_test(path, entry, setting))
        {
            Some(Reason::Tests)
        } else if new.is_some() && self.stands_for_a_test(path) {
            Some(Reason::InTheWay)
        } else if is_module(path, new)
            && new.is_some()
            && (self.shadows(path, on_path, known) || self.shadows_a_helper(path, on_path))
        {
            Some(Reason::Shadows)
        } else {
            None
        }
    }

    /// Whether a new file that belongs to the tests by its path is a test, or decides
    /// how tests run. A module of the product may have such a path, too.
    fn is_test(&self, path: &[u8], entry: &Entry, setting: &Setting<'_>) -> bool {
        if entry.is_link() || self.tests.contains(path) {
            return true;
        }
        if is_test_file(path) {
            // Without a package around it, a module's name is its file's.
            let is_package = self.answered.get(&[folder(path), b"/__init__.py"].concat()).is_some();
            let has_its_name = |test: &Vec<u8>| file_name(test) == file_name(path);
            return !setting.imported.contains(path) || !is_package && self.test_files().any(has_its_name);
        }
        // It would run before the tests in its folder, and give them other names.
        file_name(path) == b"__init__.py" && self.has_tests_module_below(folder(path))
    }

    /// Adds those new files with names of tests that code of the answer imports,
    /// unless that code itself is left out.
    fn finds_more_imported(&self, setting: &mut Setting<'_>) -> bool {
        let counts = |path: &str| self.reason(path.as_bytes(), setting).is_none();
        let files = self.patch.files.iter().filter(|file| counts(file.path()));
        let lines = files.flat_map(|file| &file.hunks).flat_map(|hunk| &hunk.lines);
        let added: Vec<&str> = lines.filter_map(|line| line.strip_prefix('+')).collect();
        let is_imported = |path: &&Vec<u8>| {
            let name = String::from_utf8_lossy(file_name(path)).into_owned();
            is_test_file(path) && added.iter().any(|line| imports(line, stem(&name)))
        };
        let is_text = |path: &&Vec<u8>| std::str::from_utf8(path).is_ok();
        let found = self.new_paths().filter(is_text).filter(is_imported).take(MOST_IMPORTED);
        let found: BTreeSet<Vec<u8>> = found.cloned().collect();
        let is_more = found.len() > setting.imported.len();
        setting.imported.extend(found);
        is_more
    }

    /// Whether the gold patch changes the same, so that right answers may.
    fn is_golden(&self, path: &[u8], reason: Reason, on_path: &BTreeSet<Vec<u8>>) -> bool {
        self.gold.contains(path)
            || reason == Reason::Shadows
                && tops(path, on_path).all(|(folder, top)| {
                    self.gold.iter().any(|gold| tops(gold, on_path).any(|(f, t)| f == folder && t == top))
                })
    }

    /// The test files: of the base commit, and of the test patch.
    fn test_files(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.base.0.keys().chain(self.tests).filter(|path| is_test_file(path))
    }

    /// The modules that belong to the tests: of the base commit, and of the test patch.
    fn tests_modules(&self) -> impl Iterator<Item = &Vec<u8>> {
        let all = self.base.0.keys().chain(self.tests);
        all.filter(|path| path.ends_with(b".py") && belongs_to_tests(path))
    }

    fn has_tests_module_below(&self, folder: &[u8]) -> bool {
        let below = [folder, b"/"].concat();
        self.tests_modules().any(|path| path.starts_with(&below))
    }

    /// The folders that tests are collected in, and those above them.
    fn collected(&self) -> BTreeSet<Vec<u8>> {
        let modules = self.answered.0.keys().filter(|path| self.collects_modules && path.ends_with(b".py"));
        self.test_files().chain(modules).flat_map(|path| folders(path)).map(<[u8]>::to_vec).collect()
    }

    /// The folders that get on the interpreter's path: the root and `src`, those
    /// of the image, and the first one above each collected file that is no package.
    fn path(&self, collected: &BTreeSet<Vec<u8>>, known: &Known) -> BTreeSet<Vec<u8>> {
        let is_package = |folder: &[u8]| self.answered.get(&[folder, b"/__init__.py"].concat()).is_some();
        let tested = collected.iter().filter(|folder| {
            let holds = |path: &Vec<u8>| {
                let holder = folders(path).find(|f| !is_package(f)).unwrap_or_default();
                holder == folder.as_slice()
            };
            !is_package(folder) && (self.collects_modules || self.test_files().any(holds))
        });
        tested.chain(&known.path).cloned().chain([Vec::new(), b"src".to_vec()]).collect()
    }

    /// Whether it is imported instead of a module of the tests beside it: `test_x/`
    /// for `test_x.py`, or `helpers.py` for a folder of helpers that is no package.
    fn stands_for_a_test(&self, path: &[u8]) -> bool {
        let there = |path: &[u8]| self.base.get(path).is_some() || self.tests.contains(path);
        let is_module_of_tests = |path: Vec<u8>| belongs_to_tests(&path) && there(&path);
        let is_package = |folder: &[u8]| there(&[folder, b"/__init__.py"].concat());
        folders(path).chain([path]).any(|part| is_module_of_tests([part, b".py"].concat()))
            || path
                .strip_suffix(b".py")
                .is_some_and(|stem| !is_package(stem) && self.has_tests_module_below(stem))
    }

    /// Whether a new module among the tests has the name of one of their helpers
    /// elsewhere, which another folder on the path may hold.
    fn shadows_a_helper(&self, path: &[u8], on_path: &BTreeSet<Vec<u8>>) -> bool {
        belongs_to_tests(path)
            && tops(path, on_path)
                .filter(|(folder, _)| belongs_to_tests(&[folder, &b"/x.py"[..]].concat()))
                .any(|(_, top)| {
                    let is_it = |part: &[u8]| stem(&String::from_utf8_lossy(part)) == top;
                    self.tests_modules().any(|helper| helper.split(|b| *b == b'/').any(is_it))
                })
    }

    /// Whether a new module is found instead of one that is installed. A name
    /// that the base commit has itself is the project's.
    fn shadows(&self, path: &[u8], on_path: &BTreeSet<Vec<u8>>, known: &Known) -> bool {
        tops(path, on_path).any(|(folder, top)| {
            let at = |name: &str| match folder {
                b"" => name.as_bytes().to_vec(),
                folder => [folder, b"/", name.as_bytes()].concat(),
            };
            let is_projects = self.base.has(&at(&top)) || self.base.get(&at(&format!("{top}.py"))).is_some();
            known.names.contains(&top) && !is_projects
        })
    }
}

/// The names that a path is imported by at the top, and the folders on the path
/// that it is found in.
fn tops<'a>(path: &'a [u8], on_path: &'a BTreeSet<Vec<u8>>) -> impl Iterator<Item = (&'a [u8], String)> {
    on_path.iter().filter_map(move |folder| {
        let rest = match folder.as_slice() {
            b"" => path,
            folder => path.strip_prefix(folder)?.strip_prefix(b"/")?,
        };
        let first = rest.split(|b| *b == b'/').next()?;
        Some((folder.as_slice(), stem(&String::from_utf8_lossy(first)).to_owned()))
    })
}

fn is_test_file(path: &[u8]) -> bool {
    recipe::is_test_file(Path::new(&*String::from_utf8_lossy(path)))
}

fn belongs_to_tests(path: &[u8]) -> bool {
    recipe::belongs_to_tests(Path::new(&*String::from_utf8_lossy(path)))
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// Whether a line may import a module of this name. It is one of several that an
/// import has, or the name stands after a dot or a slash, or beside `import`.
fn imports(line: &str, module: &str) -> bool {
    let code = line.split('#').next().unwrap_or_default();
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let says_import = code.contains("import");
    let says_only_names = code.chars().all(|c| is_of_name(c) || " \t,.()\\".contains(c));
    code.match_indices(module).any(|(at, _)| {
        let (before, after) = (code[..at].chars().next_back(), code[at + module.len()..].chars().next());
        let is_whole = !before.is_some_and(is_of_name) && !after.is_some_and(is_of_name);
        is_whole && (says_import || says_only_names || before == Some('.') || before == Some('/'))
    })
}

/// Whether it can be imported, or leads to what can.
fn is_module(path: &[u8], entry: Option<&Entry>) -> bool {
    path.ends_with(b".py") || entry.is_some_and(Entry::is_link)
}

/// A module's name without what its file's name says beside it.
fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    const BASE: [&str; 10] = [
        "pkg.py",
        "pyproject.toml",
        "src/a/__init__.py",
        "tests/test_a.py",
        "tests/data.txt",
        "tests/helpers.py",
        "tests/deep/odd.py",
        "src/a/testing/tools.py",
        "test_root.py",
        "types.py",
    ];

    fn left_out(new: &[&str], gold: &[&str]) -> Vec<(String, &'static str)> {
        left_out_of("", new, gold)
    }

    /// The same where `new.py` says something.
    fn left_out_of(text: &str, new: &[&str], gold: &[&str]) -> Vec<(String, &'static str)> {
        let counted = counted_of(text, new, gold);
        let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
        counted.left_out.iter().map(|(path, reason)| (text(path), reason.code())).collect()
    }

    fn counted_of(text: &str, new: &[&str], gold: &[&str]) -> Counted {
        let patch = Patch::survey(&format!("--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+{text}\n")).unwrap();
        let base = tree(&BASE);
        let mut answered = base.clone();
        for path in new {
            answered.restore(path.as_bytes(), &tree(&[path]));
            answered.0.entry(path.as_bytes().to_vec()).and_modify(|entry| entry.blob = "f".repeat(40));
        }
        let bytes = |paths: &[&str]| paths.iter().map(|p| p.as_bytes().to_vec()).collect::<BTreeSet<_>>();
        let known = Known {
            names: ["unittest", "pytest", "types", "random"].map(str::to_owned).into(),
            path: bytes(&["lib"]),
        };
        let (gold, tests) = (bytes(gold), bytes(&["more/test_new.py"]));
        let (base, answered, patch, collects_modules) = (&base, &answered, &patch, false);
        let expected = &bytes(&["docs/usage.rst", "checks/check_a.py"]);
        let case = Case { base, answered, patch, gold: &gold, tests: &tests, expected, collects_modules };
        case.counted(&PYTHON, &known)
    }

    #[test]
    fn code_of_the_product_counts() {
        let paths = [
            "pkg.py",
            "src/a/types.py",
            "src/a/new.py",
            "new.py",
            "docs/pyproject.toml",
            "src/a/tox.ini",
            "tests/more.json",
            "types.py",
            "other/random.py",
            "src/a/random/x.py",
            "README.md",
            "tests/test_a.txt",
            "testing/helpers.py",
            "testing/__init__.py",
            "src/a/test/__init__.py",
            "src/a/testing/more.py",
            "src/a/testing/extra/__init__.py",
            "src/a/tests_support.py",
            "src/a/helpers.py",
            "helpers.py",
            "tests/new.py",
            "tests/unit/__init__.py",
        ];
        assert_eq!(left_out(&paths, &[]), []);
    }

    #[test]
    fn what_decides_how_it_is_tested_does_not_count() {
        for (path, reason) in [
            ("pyproject.toml", "settings"),
            ("tests/pytest.ini", "settings"),
            ("more/tox.ini", "settings"),
            ("deep/er/conftest.py", "settings"),
            ("src/sitecustomize.py", "settings"),
            ("usercustomize/__init__.py", "settings"),
            ("x.pth", "installed"),
            ("src/x.egg-info/entry_points.txt", "installed"),
            ("x-1.DIST-INFO/METADATA", "installed"),
            ("tests/__pycache__/test_a.cpython-311.pyc", "compiled"),
            ("pkg.cpython-311-x86_64-linux-gnu.so", "compiled"),
            ("tests/test_a.py", "tests"),
            ("tests/data.txt", "tests"),
            ("tests/test_new.py", "tests"),
            ("tests/__init__.py", "tests"),
            ("tests/deep/__init__.py", "tests"),
            ("speed_test.py", "tests"),
            ("a/tests.py", "tests"),
            ("tests/helpers/__init__.py", "in_the_way"),
            ("tests/deep.py", "in_the_way"),
            ("tests/odd.py", "shadows"),
            ("tests/random.py", "shadows"),
            ("docs/usage.rst", "tests"),
            ("checks/check_a.py", "tests"),
            ("test_root/__init__.py", "in_the_way"),
            ("test_root/deep/__init__.py", "in_the_way"),
            ("unittest/__init__.py", "shadows"),
            ("src/pytest.py", "shadows"),
            ("lib/random.py", "shadows"),
            ("more/random.py", "shadows"),
        ] {
            assert_eq!(left_out(&[path], &[]), [(path.to_owned(), reason)]);
            assert_eq!(left_out(&[path], &[path]), []);
        }
        assert_eq!(left_out(&["random/__init__.py"], &["random.py"]), []);
    }

    #[test]
    fn modules_with_names_of_tests_count_where_code_imports_them() {
        for (text, path) in [
            ("import speed_test", "speed_test.py"),
            ("    from a.speed_test import (  # fast", "src/a/speed_test.py"),
            ("    tests,", "a/tests.py"),
            ("run = importlib.import_module('speed_test')", "speed_test.py"),
            ("main = 'a.speed_test:main'", "src/a/speed_test.py"),
            ("from . import test", "src/a/test.py"),
        ] {
            let counted = counted_of(text, &["new.py", path], &[]);
            assert_eq!(counted.left_out, [], "{text}");
            assert_eq!(counted.not_collected, BTreeSet::from([path.as_bytes().to_vec()]), "{text}");
            assert_eq!(counted_of(text, &["new.py", path], &[path]).not_collected, BTreeSet::new());
        }
        for (text, path) in [
            ("import speed_tests", "speed_test.py"),
            ("# import speed_test", "speed_test.py"),
            ("print('a speed_test')", "speed_test.py"),
            ("import test_a", "other/test_a.py"),
            ("import test_new", "more/test_new.py"),
            ("import conftest", "deep/conftest.py"),
        ] {
            assert_eq!(left_out_of(text, &["new.py", path], &[]).len(), 1, "{text}");
        }
        // What is left out itself makes nothing count.
        let patch = "--- /dev/null\n+++ b/conftest.py\n@@ -0,0 +1 @@\n+import speed_test\n";
        let (base, answered) = (tree(&BASE), tree(&[&BASE[..], &["conftest.py", "speed_test.py"]].concat()));
        let patch = &Patch::survey(patch).unwrap();
        let none = &BTreeSet::new();
        let case = Case {
            base: &base,
            answered: &answered,
            patch,
            gold: none,
            tests: none,
            expected: none,
            collects_modules: false,
        };
        assert_eq!(case.counted(&PYTHON, &Known::default()).tree, base);
    }

    #[test]
    fn a_folder_of_tests_that_became_a_file_comes_back() {
        let out = left_out(&["tests"], &[]);
        assert!(out.contains(&("tests".into(), "in_the_way")), "{out:?}");
    }
}
