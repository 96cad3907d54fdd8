//! One verdict, and the evidence class it rests on.

use crate::conduct::patch::Mark;
use crate::{Boundary, Fault, InstanceId, Names, Resolution, Verdict};

/// Names of tests that met and missed one kind of expectation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sides {
    /// Tests as expected.
    pub success: Names,
    /// Tests not as expected.
    pub failure: Names,
}

/// The four lists of SWE-bench's `tests_status`. The last two are always
/// empty, as in the reference, which keeps them for old readers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestsStatus {
    /// Must flip.
    pub fail_to_pass: Sides,
    /// Must hold.
    pub pass_to_pass: Sides,
    /// Not judged.
    pub fail_to_fail: Sides,
    /// Not judged.
    pub pass_to_fail: Sides,
}

/// The verdict on one prediction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The problem.
    pub instance_id: InstanceId,
    /// The prediction was `null`.
    pub patch_is_none: bool,
    /// The prediction has a patch.
    pub patch_exists: bool,
    /// The patch went onto the base commit and the tests gave a readable result.
    pub patch_successfully_applied: bool,
    /// The tests ran to an end and their log was read, whatever it said.
    pub log_graded: bool,
    /// Full, partial or no.
    pub resolution: Resolution,
    /// Something other than the answer broke: the verdict says nothing about the agent.
    pub infra_failure: Option<Fault>,
    /// A sign in the log of a broken environment or a bad answer, as a code: which of them is not known.
    pub ambiguous_failure: Option<String>,
    /// Why there is no test result although nothing broke (patch refused, forged log, witnesses disagree, …).
    pub reason: Option<Fault>,
    /// Test by test; absent when no test result exists. Apart, because reports
    /// without it are kept by the thousand.
    pub tests_status: Option<Box<TestsStatus>>,
    /// What the answer does to the tests. It stands beside the verdict, which stays
    /// what the tests say.
    pub conduct: Vec<Mark>,
}

impl Report {
    /// Whether the prediction resolves the instance: full resolution only.
    #[must_use]
    pub fn resolved(&self) -> bool {
        self.resolution == Resolution::Full
    }

    /// What is known of the answer, for whoever learns from it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict { resolved: self.resolved(), marked: !self.conduct.is_empty() }
    }

    /// Notes a sign of trouble in the log, a code, and whether only the
    /// environment can have caused it. Advice: the verdict stays.
    pub fn note_sign(&mut self, sign: Option<(&'static str, bool)>) {
        match sign {
            Some((code, true)) => {
                let message = "the log shows that the environment broke";
                self.infra_failure = Some(Fault::new(Boundary::Task, code, message));
            }
            Some((code, false)) => self.ambiguous_failure = Some(code.to_owned()),
            None => {}
        }
    }
}
