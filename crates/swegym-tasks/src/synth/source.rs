//! Which files of a package a bug may be planted in: its own source, as somebody
//! wrote it. The others are named with the reason.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::syntax;
use crate::recipe::{belongs_to_tests, python_files};

/// One file of the package that may be broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the repository.
    pub path: String,
    /// As it is, with its line ends.
    pub text: String,
}

/// Why a file is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// Carriage returns without line feeds, which no tool counts as lines alike.
    LoneCr,
    /// It does not parse.
    NotPython,
    /// Another project's, brought along.
    Vendored,
    /// A program wrote it.
    Generated,
    /// It installs the package, or helps to.
    SetUp,
    /// A script beside the package that nothing imports.
    NotImported,
}

impl Skip {
    /// Its name in results.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::LoneCr => "lone_cr",
            Self::NotPython => "not_python",
            Self::Vendored => "vendored",
            Self::Generated => "generated",
            Self::SetUp => "set_up",
            Self::NotImported => "not_imported",
        }
    }
}

/// A file that is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFile {
    /// Relative to the repository.
    pub path: String,
    /// Why.
    pub reason: Skip,
}

/// Reads a package's own source: no tests; the files that are left alone come second.
///
/// # Errors
/// When a file cannot be read.
pub fn read(root: &Path, version: &str) -> std::io::Result<(Vec<SourceFile>, Vec<SkippedFile>)> {
    let paths = python_files(root)?;
    let mut imported = Imported { root, paths: &paths, names: None };
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths.iter().filter(|path| !belongs_to_tests(path)) {
        let name = path.to_string_lossy().into_owned();
        match judge(root, path, version, &mut imported)? {
            Ok(text) => files.push(SourceFile { path: name, text }),
            Err(reason) => skipped.push(SkippedFile { path: name, reason }),
        }
    }
    Ok((files, skipped))
}

/// A file's text, or why it is left alone.
fn judge(
    root: &Path,
    path: &Path,
    version: &str,
    imported: &mut Imported<'_>,
) -> std::io::Result<Result<String, Skip>> {
    let Ok(text) = String::from_utf8(std::fs::read(root.join(path))?) else { return Ok(Err(Skip::NotUtf8)) };
    let in_package = path.parent().is_some_and(|folder| root.join(folder).join("__init__.py").is_file());
    let skip = if text.replace("\r\n", "\n").contains('\r') {
        Some(Skip::LoneCr)
    } else if syntax::parse(&text).is_none_or(|tree| tree.root_node().has_error()) {
        Some(Skip::NotPython)
    } else if is_set_up(path, &text) {
        Some(Skip::SetUp)
    } else if is_vendored(path, &text, version, in_package) {
        Some(Skip::Vendored)
    } else if is_generated(&text) {
        Some(Skip::Generated)
    } else if !in_package && !imported.has(path)? {
        Some(Skip::NotImported)
    } else {
        None
    };
    Ok(skip.map_or(Ok(text), Err))
}

/// By its name or by what it does: `ez_setup.py`, or a call of `setup` from a
/// library that packages.
fn is_set_up(path: &Path, text: &str) -> bool {
    static CALLS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^(?:\w+\.)?setup\("));
    static PACKAGES: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?m)^\s*(?:from|import)\s+(?:setuptools|distutils|skbuild)\b"));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.split('_').any(|word| word == "setup") || CALLS.is_match(text) && PACKAGES.is_match(text)
}

/// By the folder, or by a version and an author of its own inside of a package that
/// has another version.
fn is_vendored(path: &Path, text: &str, version: &str, in_package: bool) -> bool {
    static FOLDER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^_?(?:vendor|vendored|vendors|third_?party|extern|externals?|bundled|packages)$")
    });
    static VERSION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"(?m)^__version__\s*(?::\s*\w+\s*)?=\s*['"]([^'"]+)['"]"#));
    static AUTHOR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^__author__\s*="));
    let folders = path.parent().into_iter().flat_map(Path::components);
    let in_folder = folders.map(|part| part.as_os_str().to_string_lossy()).any(|part| FOLDER.is_match(&part));
    let its_own = VERSION.captures(text).is_some_and(|found| &found[1] != version) && AUTHOR.is_match(text);
    in_folder || in_package && !path.ends_with("__init__.py") && its_own
}

/// By what its first lines say.
fn is_generated(text: &str) -> bool {
    const LINES: usize = 20;
    static SAYS: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)@generated|\bauto(?:matically)?[- ]?generated\b|\bdo not (?:edit|modify|change)\b|^\s*#.*\bgenerated (?:by|from|with|using)\b",
        )
    });
    text.lines().take(LINES).any(|line| SAYS.is_match(line))
}

/// What the files of a repository import, read when it is first asked for.
struct Imported<'a> {
    root: &'a Path,
    paths: &'a [PathBuf],
    names: Option<Vec<(PathBuf, String)>>,
}

impl Imported<'_> {
    /// Whether another file than those that set up imports a module of this name.
    fn has(&mut self, path: &Path) -> std::io::Result<bool> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names = match self.names.take() {
            Some(names) => names,
            None => self.read()?,
        };
        let found = names.iter().any(|(by, name)| by != path && *name == stem);
        self.names = Some(names);
        Ok(found)
    }

    /// Every part of every name that an import statement has.
    fn read(&self) -> std::io::Result<Vec<(PathBuf, String)>> {
        static IMPORT: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r"(?m)^\s*(?:>>> )?(?:from\s+([\w.]+)\s+import\s+([^\r\n#]+)|import\s+([^\r\n#]+))")
        });
        let mut names = Vec::new();
        for path in self.paths {
            let text = String::from_utf8_lossy(&std::fs::read(self.root.join(path))?).into_owned();
            if is_set_up(path, &text) {
                continue;
            }
            for found in IMPORT.captures_iter(&text) {
                let parts = found
                    .iter()
                    .skip(1)
                    .flatten()
                    .flat_map(|part| part.as_str().split(|c: char| !c.is_alphanumeric() && c != '_'));
                names.extend(
                    parts.filter(|part| !part.is_empty()).map(|part| (path.clone(), part.to_owned())),
                );
            }
        }
        Ok(names)
    }
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
    Regex::new(text).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files; what may be broken, and what is left alone.
    fn check(tree: &[(&str, &[u8])], expected: &[&str], left: &[(&str, &str)]) {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in tree {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let (files, skipped) = read(root.path(), "1.2").unwrap();
        assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), expected);
        let skipped: Vec<_> = skipped.iter().map(|s| (s.path.as_str(), s.reason.code())).collect();
        assert_eq!(skipped, left);
    }

    const CODE: &[u8] = b"def f(a):\n    return a + 1\n";

    #[test]
    fn line_ends_are_kept_and_what_cannot_be_read_is_named() {
        check(
            &[
                ("demo/__init__.py", b""),
                ("demo/dos.py", b"def f(a):\r\n    return a + 1\r\n"),
                ("demo/mac.py", b"def f(a):\r    return a + 1\r"),
                ("demo/latin.py", b"# -*- coding: latin-1 -*-\nx = '\xe9'\n"),
                ("demo/old.py", b"def f(:\n    return\n"),
                ("demo/bom.py", b"\xef\xbb\xbfdef f(a):\n    return a + 1\n"),
            ],
            &["demo/__init__.py", "demo/bom.py", "demo/dos.py"],
            &[("demo/latin.py", "not_utf8"), ("demo/mac.py", "lone_cr"), ("demo/old.py", "not_python")],
        );
    }

    #[test]
    fn what_is_not_the_packages_own_is_left_alone() {
        check(
            &[
                ("setup.py", b"from setuptools import setup\nimport ez_setup, release\nsetup(name='demo')\n"),
                ("ez_setup.py", CODE),
                ("release.py", CODE),
                ("build_it.py", b"import setuptools\nsetuptools.setup(name='x')\n"),
                ("src/demo/__init__.py", b"__version__ = '1.1'\n__author__ = 'me'\n"),
                ("src/demo/core.py", CODE),
                ("src/demo/_vendor/other/__init__.py", CODE),
                ("src/demo/compat.py", b"__author__ = 'You'\n__version__ = '1.16.0'\n"),
                ("src/demo/own.py", b"__author__ = 'me'\n__version__ = '1.2'\n"),
                ("src/demo/table.py", b"# This file is automatically generated. Do not edit.\nx = 1\n"),
                ("src/demo/reads.py", b"\"\"\"Reads what is generated by others.\"\"\"\nx = 1\n"),
                ("src/demo/parser.py", b"#!/usr/bin/env python\n# Generated by a tool 3.2\nx = 1\n"),
                ("tools/gen.py", CODE),
                ("tests/test_core.py", b"import demo\n"),
            ],
            &["src/demo/__init__.py", "src/demo/core.py", "src/demo/own.py", "src/demo/reads.py"],
            &[
                ("build_it.py", "set_up"),
                ("ez_setup.py", "set_up"),
                ("release.py", "not_imported"),
                ("setup.py", "set_up"),
                ("src/demo/_vendor/other/__init__.py", "vendored"),
                ("src/demo/compat.py", "vendored"),
                ("src/demo/parser.py", "generated"),
                ("src/demo/table.py", "generated"),
                ("tools/gen.py", "not_imported"),
            ],
        );
    }

    #[test]
    fn modules_without_a_package_count_where_something_imports_them() {
        check(
            &[
                ("demo.py", b"__version__ = '1.2'\n__author__ = 'me'\n"),
                ("src/space/part/deep.py", CODE),
                ("test_demo.py", b"import demo as d\nfrom space.part.deep import f\n"),
            ],
            &["demo.py", "src/space/part/deep.py"],
            &[],
        );
    }
}
