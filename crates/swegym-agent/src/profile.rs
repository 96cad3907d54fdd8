//! What a scaffold does in its own way.

use std::time::Duration;

use swegym_core::calls::text::Dialect;

/// What a scaffold does in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Whether commands run in one shell that lives on.
    pub session: bool,
    /// How long a command of that shell is waited for before the model is told
    /// that it goes on (OpenHands' soft timeout); where there is none, to its end.
    pub patience: Option<Duration>,
    /// Which generation of the editor there is, if any.
    pub editor: Option<Generation>,
    /// How values of calls as text are read.
    pub dialect: Dialect,
    /// Whether history repeats sampled text to the byte, or renders it again.
    pub repeats_samples: bool,
    /// How often a model is told that it goes in circles before it is stopped.
    pub nudges: u32,
    /// Longest observation, in characters.
    pub observation: usize,
    /// Whether words without a call are an answer, or an error of form.
    pub words_are_fine: bool,
    /// Whether the repository is shown under `/workspace/<repo>__<version>`.
    pub named_workspace: bool,
    /// Whether scratch files stay out of the patch.
    pub leaves_scratch_out: bool,
    /// What stands before observations.
    pub observation_prefix: &'static str,
}

/// Generations of `str_replace_editor` (reference/agents.md, section 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// In OpenHands 0.12: an edit rewrites every tab of the file.
    A,
    /// In openhands-aci 0.1: replacing never matches tabs, inserting rewrites them.
    B,
    /// Today's manners: tabs and line ends stay as they are.
    C,
}
