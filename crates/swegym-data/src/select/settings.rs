//! What `score` and `select` are told.

use std::path::PathBuf;

/// Which attempts are judged by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreSettings {
    /// Folders of rollouts.
    pub runs: Vec<PathBuf>,
    /// A run of `train verifier`, or its model.
    pub verifier: PathBuf,
}

/// Which attempts are chosen among, and by what.
#[derive(Debug, Clone, PartialEq)]
pub struct SelectSettings {
    /// The rollout.
    pub run: PathBuf,
    /// Files of scores.
    pub scores: Vec<PathBuf>,
    /// Each file is a verifier of its own.
    pub apart: bool,
    /// Where the verdicts are, if not in the rollout.
    pub evaluation: Option<PathBuf>,
    /// How many attempts are chosen among.
    pub k: Option<usize>,
    /// An evaluation by tests that can be seen.
    pub tests: Option<PathBuf>,
    /// Share of the attempts that a hybrid choice leaves in.
    pub gate: f64,
    /// A rollout on which scores are calibrated, and its scores.
    pub calibrate: Option<(PathBuf, Vec<PathBuf>)>,
    /// What chooses.
    pub by: By,
}

impl SelectSettings {
    /// A choice among a run's attempts by a verifier.
    pub fn new(run: PathBuf) -> Self {
        Self {
            run,
            scores: Vec::new(),
            apart: false,
            evaluation: None,
            k: None,
            tests: None,
            gate: 0.75,
            calibrate: None,
            by: By::Verifier,
        }
    }
}

/// What chooses among attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// The best score.
    Verifier,
    /// What passes the tests that can be seen, of those with good scores.
    Hybrid,
    /// The shortest patch.
    Shortest,
    /// The patch that most attempts made.
    Majority,
    /// Chance: what the others are compared with.
    Random,
}

impl By {
    /// What can be asked for. Nobody asks for chance.
    pub const ASKED: [Self; 4] = [Self::Verifier, Self::Hybrid, Self::Shortest, Self::Majority];

    /// Its name in settings and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Verifier => "verifier",
            Self::Hybrid => "hybrid",
            Self::Shortest => "shortest",
            Self::Majority => "majority",
            Self::Random => "random",
        }
    }

    /// By its name in settings.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ASKED.into_iter().find(|by| by.name() == word)
    }
}
