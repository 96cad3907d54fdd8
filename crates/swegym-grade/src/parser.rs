//! Log parsers: from what a test runner printed to one status a test.
//!
//! A closed list, one file a language family. Each parser follows the
//! reference harness to the byte, quirks included, because gold lists were
//! made with those quirks (reference/grading.md, section 4).

mod python;

use indexmap::IndexMap;
use swegym_core::TestStatus;

use crate::text::python_newlines;

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

/// A parser by its registry name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogParser {
    /// `pytest -rA`.
    Pytest,
    /// `pytest -rA` with parameters that hold paths (requests, pylint, pydicom).
    PytestOptions,
    /// `pytest -rA` with colours and statuses at either end (astropy, scikit-learn, sphinx).
    PytestV2,
    /// `python -m unittest -v`; ours, the reference has none.
    Unittest,
}

impl LogParser {
    /// Every parser.
    pub const ALL: [Self; 4] = [Self::Pytest, Self::PytestOptions, Self::PytestV2, Self::Unittest];

    /// Its name in instances and images.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::PytestOptions => "pytest_options",
            Self::PytestV2 => "pytest_v2",
            Self::Unittest => "unittest",
        }
    }

    /// The parser of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Reads a log.
    #[must_use]
    pub fn parse(self, log: &str) -> StatusMap {
        let log = python_newlines(log);
        match self {
            Self::Pytest => python::pytest(&log),
            Self::PytestOptions => python::pytest_options(&log),
            Self::PytestV2 => python::pytest_v2(&log),
            Self::Unittest => python::unittest(&log),
        }
    }
}
