//! What `score` and `select` are told.

use std::path::PathBuf;

use crate::args::{By, ScoreArgs, SelectArgs};

/// Which attempts are judged by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScoreSettings {
    /// Folders of rollouts.
    pub(crate) runs: Vec<PathBuf>,
    pub(crate) verifier: PathBuf,
}

impl From<ScoreArgs> for ScoreSettings {
    fn from(args: ScoreArgs) -> Self {
        let ScoreArgs { runs, verifier, out: _ } = args;
        Self { runs, verifier }
    }
}

/// Which attempts are chosen among, and by what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SelectSettings {
    /// The rollout.
    pub(crate) run: PathBuf,
    /// Files of scores.
    pub(crate) scores: Vec<PathBuf>,
    /// Each file is a verifier of its own.
    pub(crate) apart: bool,
    /// Where the verdicts are, if not in the rollout.
    pub(crate) evaluation: Option<PathBuf>,
    /// How many attempts are chosen among.
    pub(crate) k: Option<usize>,
    /// An evaluation by tests that can be seen.
    pub(crate) tests: Option<PathBuf>,
    /// Share of the attempts that a hybrid choice leaves in.
    pub(crate) gate: f64,
    /// A rollout on which scores are calibrated, and its scores.
    pub(crate) calibrate: Option<(PathBuf, Vec<PathBuf>)>,
    pub(crate) by: By,
}

impl SelectSettings {
    /// A choice among a run's attempts by a verifier.
    pub(crate) fn new(run: PathBuf) -> Self {
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

impl From<SelectArgs> for SelectSettings {
    fn from(args: SelectArgs) -> Self {
        let SelectArgs {
            run,
            scores,
            apart,
            evaluation,
            k,
            tests,
            gate,
            calibrate,
            calibrate_scores,
            by,
            out: _,
        } = args;
        let calibrate = calibrate.map(|run| (run, calibrate_scores));
        Self { run, scores, apart, evaluation, k, tests, gate, calibrate, by }
    }
}
