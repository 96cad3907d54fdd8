//! Log parsers: from what a test runner printed to one status a test.
//!
//! A closed list, one file a language family. Each parser follows the
//! reference harness to the byte, quirks included, because gold lists were
//! made with those quirks (reference/grading.md, section 4).

mod c;
mod go;
mod java;
mod pattern;
mod php;
mod python;
mod ruby;
mod rust;
mod table;

use indexmap::IndexMap;
use swegym_core::{Instance, TestStatus};
use thiserror::Error;

use crate::text::python_newlines;

pub use table::parser_of_repository;

/// What a log says about one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A status.
    Status(TestStatus),
    /// A word that is no status. The reference stores such words ("ERROR:"),
    /// and a test that has one is neither passed nor failed there.
    Other(String),
}

impl Said {
    /// The status, if it is one.
    #[must_use]
    pub fn status(&self) -> Option<TestStatus> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Other(_) => None,
        }
    }

    fn of(word: &str) -> Self {
        TestStatus::parse(word).map_or_else(|| Self::Other(word.to_owned()), Self::Status)
    }
}

/// Tests in the order in which the log first names them; the last word wins.
pub type StatusMap = IndexMap<String, Said>;

/// A parser. The reference knows some of them by several names; see [`LogParser::named`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogParser {
    /// `pytest -rA`.
    Pytest,
    /// `pytest -rA` with parameters that hold paths (requests, pylint, pydicom).
    PytestOptions,
    /// `pytest -rA` with colours and statuses at either end (astropy, scikit-learn, sphinx).
    PytestV2,
    /// Django's `runtests.py --verbosity 2`.
    Django,
    /// pytest with progress and summary mixed (seaborn).
    Seaborn,
    /// `bin/test -C --verbose` (sympy).
    Sympy,
    /// pytest with enumeration members in parameters (matplotlib).
    Matplotlib,
    /// `python -m unittest -v`; ours, the reference has none.
    Unittest,
    /// `go test -v`.
    Gotest,
    /// `cargo test`.
    Cargo,
    /// One `mvn test -Dtest=…` for each test, traced by the shell.
    Maven,
    /// `ant` with its junit task.
    Ant,
    /// Gradle with a test logger.
    GradleCustom,
    /// `phpunit --testdox`.
    Phpunit,
    /// minitest, verbose.
    Minitest,
    /// cucumber's progress format, with names.
    Cucumber,
    /// test-unit, verbose.
    RubyUnit,
    /// rspec's JSON, made lines by `jq`.
    RspecTransformedJson,
    /// [`Self::Minitest`] or [`Self::Cucumber`], by the instance.
    Jekyll,
    /// The Tcl runner of redis and valkey.
    Redis,
    /// jq's own.
    Jq,
    /// doctest's XML (C++).
    Doctest,
    /// micropython's `run-tests.py`.
    MicropythonTest,
    /// GoogleTest.
    Googletest,
}

/// A parser that is chosen by the instance, and an instance it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the log parser `{parser}` does not know the instance `{instance_id}`")]
pub struct UnknownInstance {
    /// The parser's name.
    pub parser: &'static str,
    /// The instance.
    pub instance_id: String,
}

impl LogParser {
    /// Every parser.
    pub const ALL: [Self; 24] = [
        Self::Pytest,
        Self::PytestOptions,
        Self::PytestV2,
        Self::Django,
        Self::Seaborn,
        Self::Sympy,
        Self::Matplotlib,
        Self::Unittest,
        Self::Gotest,
        Self::Cargo,
        Self::Maven,
        Self::Ant,
        Self::GradleCustom,
        Self::Phpunit,
        Self::Minitest,
        Self::Cucumber,
        Self::RubyUnit,
        Self::RspecTransformedJson,
        Self::Jekyll,
        Self::Redis,
        Self::Jq,
        Self::Doctest,
        Self::MicropythonTest,
        Self::Googletest,
    ];

    /// Its name in instances and images.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::PytestOptions => "pytest_options",
            Self::PytestV2 => "pytest_v2",
            Self::Django => "django",
            Self::Seaborn => "seaborn",
            Self::Sympy => "sympy",
            Self::Matplotlib => "matplotlib",
            Self::Unittest => "unittest",
            Self::Gotest => "gotest",
            Self::Cargo => "cargo",
            Self::Maven => "maven",
            Self::Ant => "ant",
            Self::GradleCustom => "gradle_custom",
            Self::Phpunit => "phpunit",
            Self::Minitest => "minitest",
            Self::Cucumber => "cucumber",
            Self::RubyUnit => "ruby_unit",
            Self::RspecTransformedJson => "rspec_transformed_json",
            Self::Jekyll => "jekyll",
            Self::Redis => "redis",
            Self::Jq => "jq",
            Self::Doctest => "doctest",
            Self::MicropythonTest => "micropython_test",
            Self::Googletest => "googletest",
        }
    }

    /// The parser of a name: ours, or one of the reference registry's, with or
    /// without its `parse_log_`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix("parse_log_").unwrap_or(name);
        let alias = table::ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, parser)| *parser);
        alias.or_else(|| Self::ALL.into_iter().find(|p| p.name() == name))
    }

    /// The parser of an instance: the one it names, else its repository's.
    ///
    /// # Errors
    /// See [`Self::for_instance`].
    pub fn of(instance: &Instance) -> Result<Option<Self>, UnknownInstance> {
        let named = instance.log_parser.as_deref().and_then(Self::named);
        let parser = named.or_else(|| parser_of_repository(&instance.repo));
        parser.map(|p| p.for_instance(instance.instance_id.as_str())).transpose()
    }

    /// The parser that reads this instance's logs: another one where the
    /// reference chooses by instance.
    ///
    /// # Errors
    /// When it chooses by instance and does not know this one; the reference
    /// raises there.
    pub fn for_instance(self, instance_id: &str) -> Result<Self, UnknownInstance> {
        match self {
            Self::Jekyll => ruby::jekyll(instance_id)
                .ok_or(UnknownInstance { parser: self.name(), instance_id: instance_id.to_owned() }),
            other => Ok(other),
        }
    }

    /// Reads a log. A parser that is chosen by instance says nothing before
    /// [`Self::for_instance`].
    #[must_use]
    pub fn parse(self, log: &str) -> StatusMap {
        let log = python_newlines(log);
        match self {
            Self::Pytest => python::pytest(&log),
            Self::PytestOptions => python::pytest_options(&log),
            Self::PytestV2 => python::pytest_v2(&log),
            Self::Django => python::django(&log),
            Self::Seaborn => python::seaborn(&log),
            Self::Sympy => python::sympy(&log),
            Self::Matplotlib => python::matplotlib(&log),
            Self::Unittest => python::unittest(&log),
            Self::Gotest => go::gotest(&log),
            Self::Cargo => rust::cargo(&log),
            Self::Maven => java::maven(&log),
            Self::Ant => java::ant(&log),
            Self::GradleCustom => java::gradle_custom(&log),
            Self::Phpunit => php::phpunit(&log),
            Self::Minitest => ruby::minitest(&log),
            Self::Cucumber => ruby::cucumber(&log),
            Self::RubyUnit => ruby::ruby_unit(&log),
            Self::RspecTransformedJson => ruby::rspec_transformed_json(&log),
            Self::Jekyll => StatusMap::new(),
            Self::Redis => c::redis(&log),
            Self::Jq => c::jq(&log),
            Self::Doctest => c::doctest(&log),
            Self::MicropythonTest => c::micropython_test(&log),
            Self::Googletest => c::googletest(&log),
        }
    }
}

/// One status a line, for the many runners that print so: `rule` sees the
/// line without the white space around it.
fn by_line<'a>(log: &'a str, mut rule: impl FnMut(&'a str) -> Option<(String, TestStatus)>) -> StatusMap {
    let mut map = StatusMap::new();
    for line in log.split('\n') {
        if let Some((id, status)) = rule(crate::text::python_strip(line)) {
            map.insert(id, Said::Status(status));
        }
    }
    map
}
