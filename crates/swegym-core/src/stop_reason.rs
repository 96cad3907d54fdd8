//! Why an attempt ended.

/// Why an attempt ended. Nothing here says that something broke: that is a
/// [`crate::Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopReason {
    /// The model said that it is done.
    Submitted,
    /// As many steps as allowed.
    StepLimit,
    /// As much money as allowed.
    CostLimit,
    /// As much time as allowed.
    Timeout,
    /// The conversation no longer fits the model, or what was allowed of it.
    ContextOverflow,
    /// One answer after another that could not be carried out.
    FormatErrors,
    /// A loop that did not end after the model was told.
    StuckInLoop,
    /// The user or a budget of the whole run ended it for good.
    Interrupted,
}

impl StopReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Submitted,
        Self::StepLimit,
        Self::CostLimit,
        Self::Timeout,
        Self::ContextOverflow,
        Self::FormatErrors,
        Self::StuckInLoop,
        Self::Interrupted,
    ];

    /// Whether a limit of ours ended it rather than the model: such an attempt
    /// is graded; what becomes of it else, [`crate::Class`] says.
    #[must_use]
    pub fn is_budget(self) -> bool {
        matches!(
            self,
            Self::StepLimit | Self::CostLimit | Self::Timeout | Self::ContextOverflow | Self::Interrupted
        )
    }

    /// The word in files (`exit_status`).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::StepLimit => "step_limit",
            Self::CostLimit => "cost_limit",
            Self::Timeout => "timeout",
            Self::ContextOverflow => "context_overflow",
            Self::FormatErrors => "format_errors",
            Self::StuckInLoop => "stuck_in_loop",
            Self::Interrupted => "interrupted",
        }
    }

    /// Reads the word of [`StopReason::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }
}
