//! What a test said and what the tests together decide.

use std::fmt;

/// Outcome of one test, with SWE-bench's spelling (reference/grading.md, section 4.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TestStatus {
    /// The test ran and its checks held.
    Passed,
    /// A check did not hold.
    Failed,
    /// The test was not run on purpose.
    Skipped,
    /// The test could not run: a fixture, an import or a collection broke.
    Error,
    /// The test failed and was marked as expected to fail.
    XFail,
}

impl TestStatus {
    /// All statuses, in the order in which SWE-bench tries them.
    pub const ALL: [Self; 5] = [Self::Failed, Self::Passed, Self::Skipped, Self::Error, Self::XFail];

    /// The word in logs and files.
    #[inline]
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Error => "ERROR",
            Self::XFail => "XFAIL",
        }
    }

    /// Reads the word of [`TestStatus::as_str`].
    #[inline]
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether graders count the test as holding.
    #[inline]
    #[must_use]
    pub fn is_pass(self) -> bool {
        matches!(self, Self::Passed | Self::XFail)
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Verdict over the two test lists (reference/grading.md, section 4.5, rule 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Every `FAIL_TO_PASS` test passes and every `PASS_TO_PASS` test holds.
    Full,
    /// Some but not all `FAIL_TO_PASS` tests pass, and nothing broke.
    Partial,
    /// Anything else.
    No,
}

impl Resolution {
    /// The word in files, as SWE-bench spells it.
    #[inline]
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "RESOLVED_FULL",
            Self::Partial => "RESOLVED_PARTIAL",
            Self::No => "RESOLVED_NO",
        }
    }
}
