//! One answer to one problem.

use crate::InstanceId;

/// SWE-bench's predictions row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// The problem.
    pub instance_id: InstanceId,
    /// Who answered; free text.
    pub model_name_or_path: String,
    /// The answer as a git patch. `None` where the file says `null`.
    pub model_patch: Option<String>,
}

impl Prediction {
    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.model_patch.as_deref().is_none_or(|p| p.trim().is_empty())
    }
}
