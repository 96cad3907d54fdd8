//! One problem: a repository at a commit, a statement, and hidden tests.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::ImageRef;
use crate::{InstanceId, Names};

/// How the two test lists are written on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListEncoding {
    /// A JSON string that holds a JSON list, as in the published SWE-bench tables.
    #[default]
    Text,
    /// A plain JSON list.
    List,
}

/// One problem, with SWE-bench's fields (reference/swe-gym.md, section 2).
///
/// `None` in an optional field means that the row did not have it; writing a
/// row leaves it out again.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The name of the problem.
    pub instance_id: InstanceId,
    /// Where it came from, `owner/name` or `pypi/name`.
    pub repo: String,
    /// The commit that the agent starts from.
    pub base_commit: String,
    /// The reference fix (wire: `patch`).
    pub gold_patch: String,
    /// Changes to the tests that the agent never sees.
    pub test_patch: String,
    /// What the agent is told.
    pub problem_statement: String,
    /// Discussion from before the fix.
    pub hints_text: String,
    /// RFC 3339 time at which the problem came to be, or empty.
    pub created_at: String,
    /// Release of the repository that the problem belongs to.
    pub version: String,
    /// Tests that must flip.
    pub fail_to_pass: Names,
    /// Tests that must hold.
    pub pass_to_pass: Names,
    /// The commit whose set-up the environment follows.
    pub environment_setup_commit: Option<String>,
    /// Human label of SWE-bench Verified.
    pub difficulty: Option<String>,
    /// SWE-bench 5: the script that runs the hidden tests.
    pub eval_script: Option<String>,
    /// SWE-bench 5: the name of the log parser.
    pub log_parser: Option<String>,
    /// SWE-bench 5: `pass_and_fail` or `fail_only`.
    pub eval_type: Option<String>,
    /// SWE-bench 5: the image; ours read `swegym:<digest>`.
    pub image: Option<String>,
    /// Encoding the row was read with and is written with.
    pub encoding: ListEncoding,
    /// Columns outside the format: what `validate` notes, and others only when
    /// the reader was told to keep them.
    pub extra: Map<String, Value>,
}

impl Instance {
    /// Where its file system comes from, if it says so.
    #[must_use]
    pub fn image_ref(&self) -> Option<ImageRef> {
        ImageRef::parse(self.image.as_deref().unwrap_or_default())
    }

    /// Every test that has an expectation, in a fixed order.
    #[must_use]
    pub fn expected_tests(&self) -> BTreeSet<&str> {
        self.fail_to_pass.iter().chain(&self.pass_to_pass).collect()
    }
}
