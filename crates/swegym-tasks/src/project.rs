//! Projects of other languages than Python: what installs them, and what runs their tests.
//!
//! All of it is read from files; nothing is run. Lines are for bash, in the project's folder.

mod cargo;
mod go;
mod npm;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::{fs, io};

use swegym_core::Hint;
use swegym_core::shell::quote;
use thiserror::Error;

/// A larger file says nothing about a project, in bytes.
const LARGEST_FILE: u64 = 4 << 20;

/// Where an image has what tells tests' results, for runners that take such a thing.
pub const REPORTERS: &str = "/opt/swegym";

/// The runner of Rust's tests that is no part of its toolchain: a program of this name.
pub const NEXTEST: &str = "cargo-nextest";

/// What a project is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// See [`crate::recipe`].
    Python,
    /// JavaScript or TypeScript, installed by npm.
    JavaScript,
    /// Built by cargo.
    Rust,
    /// A module.
    Go,
}

impl Language {
    /// What the names of files at a project's top say. Python's files count first, for they
    /// often have a page or an extension beside them.
    #[must_use]
    pub fn of_top<S: AsRef<str>>(names: &[S]) -> Option<Self> {
        const FILES: [(&str, Language); 6] = [
            ("setup.py", Language::Python),
            ("pyproject.toml", Language::Python),
            ("setup.cfg", Language::Python),
            ("Cargo.toml", Language::Rust),
            ("go.mod", Language::Go),
            ("package.json", Language::JavaScript),
        ];
        let is_there = |file: &str| names.iter().any(|name| name.as_ref() == file);
        FILES.into_iter().find(|(file, _)| is_there(file)).map(|(_, language)| language)
    }

    /// Its name for people and in recipes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::Rust => "Rust",
            Self::Go => "Go",
        }
    }
}

/// How a project is installed and tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// What it calls itself; empty where it has no name.
    pub name: String,
    /// Its version; empty where its files do not say one.
    pub version: String,
    /// The oldest toolchain that it says it can be built with: `1.21`, where it says one.
    pub wants: Option<String>,
    /// Ways to install what it depends on, the best first; one of them has to work. None
    /// where it depends on nothing.
    pub installs: Vec<Install>,
    /// Lines that build ahead what tests take long to build. They may fail.
    pub builds: Vec<String>,
    /// Ways to run its tests, the first that proves something counts.
    pub ways: Vec<Testing>,
}

/// One way to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// What it goes by, for people: `package-lock.json`.
    pub from: String,
    /// The line.
    pub line: String,
    /// How old what it takes is.
    pub age: Age,
}

/// How old what is installed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// As a lock file says.
    Locked,
    /// Published by a day, as far as the registry knows that.
    OfItsDay,
    /// What there is now.
    Now,
}

/// One way to run tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Testing {
    /// What runs them, for people: `mocha`.
    pub runner: String,
    /// Lines that have to run before: what builds the code that is tested.
    pub before: Vec<String>,
    /// One line for each start of the runner.
    pub lines: Vec<String>,
    /// What reads the log, by its name.
    pub parser: &'static str,
}

impl Testing {
    /// Whether it takes [`NEXTEST`].
    #[must_use]
    pub fn needs_nextest(&self) -> bool {
        self.runner.starts_with(cargo::BY_NEXTEST)
    }
}

/// The tests that are to be run.
#[derive(Debug, Clone, Default)]
pub struct Tests {
    /// Files that the hidden tests bring or change.
    pub files: Vec<String>,
    /// The patch that does.
    pub patch: String,
}

/// Why nobody knows how a project is tested.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// A file that says so is missing or not as it should be.
    #[error("`{}` cannot be used: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It has no tests that a known runner runs.
    #[error("`{name}` has no tests that a known runner runs")]
    NoRunner {
        /// The project.
        name: String,
        /// Runners that are known.
        known: &'static str,
    },
}

impl ProjectError {
    /// The reason, in one word.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "no_package",
            Self::NoRunner { .. } => "no_tests",
        }
    }
}

impl Hint for ProjectError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Unreadable { .. } => None,
            Self::NoRunner { known, .. } => Some(format!("known are {known}").into()),
        }
    }
}

/// What a project's files say. `until` is a time after which nothing that it installs was
/// published (RFC 3339).
///
/// # Errors
/// A file is missing or damaged, or no known runner runs its tests.
pub fn infer(
    language: Language,
    root: &Path,
    tests: &Tests,
    until: Option<&str>,
) -> Result<Project, ProjectError> {
    match language {
        Language::JavaScript => npm::infer(root, tests, until),
        Language::Rust => cargo::infer(root, tests),
        Language::Go => go::infer(root, tests),
        Language::Python => Err(ProjectError::Unreadable {
            path: root.to_owned(),
            why: "Python's projects are read as recipes".to_owned(),
        }),
    }
}

/// A file of the project. A link may lead anywhere, so none is followed.
fn text(path: &Path) -> Result<String, ProjectError> {
    let unreadable = |why: String| ProjectError::Unreadable { path: path.to_owned(), why };
    let about = fs::symlink_metadata(path).map_err(|error| unreadable(absence(&error)))?;
    if !about.is_file() || about.len() > LARGEST_FILE {
        return Err(unreadable("it is no file, or too large".to_owned()));
    }
    fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

fn absence(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound { "it is not there".to_owned() } else { error.to_string() }
}

/// The folder of a file, or of one above it, that has a file of this name; relative to the
/// root, which is the empty text.
fn holder<'a>(root: &Path, file: &'a str, name: &str) -> Option<&'a str> {
    let mut folder = file;
    loop {
        folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_plain = !folder.split('/').any(|part| part == "..");
        if is_plain && root.join(folder).join(name).symlink_metadata().is_ok_and(|about| about.is_file()) {
            return Some(folder);
        }
        if folder.is_empty() {
            return None;
        }
    }
}

/// The line as it is run in a folder below the project's.
fn within(folder: &str, line: &str) -> String {
    if folder.is_empty() { line.to_owned() } else { format!("(cd {} && {line})", quote(folder)) }
}

/// A path as it is seen from a folder above it.
fn below<'a>(folder: &str, path: &'a str) -> &'a str {
    path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_what_stands_at_its_top() {
        let of = |names: &[&str]| Language::of_top(names);
        assert_eq!(of(&["package.json", "src"]), Some(Language::JavaScript));
        assert_eq!(of(&["package.json", "setup.py"]), Some(Language::Python));
        assert_eq!(of(&["Cargo.toml", "package.json"]), Some(Language::Rust));
        assert_eq!(of(&["go.mod"]), Some(Language::Go));
        assert_eq!(of(&["Makefile"]), None);
    }

    #[test]
    fn the_nearest_folder_with_a_file_holds_another() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("a/b/c")).unwrap();
        fs::write(root.path().join("x.toml"), "").unwrap();
        fs::write(root.path().join("a/b/x.toml"), "").unwrap();
        assert_eq!(holder(root.path(), "a/b/c/t.rs", "x.toml"), Some("a/b"));
        assert_eq!(holder(root.path(), "a/t.rs", "x.toml"), Some(""));
        assert_eq!(holder(root.path(), "t.rs", "y.toml"), None);
    }
}
