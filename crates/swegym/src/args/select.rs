//! Flags of `score` and `select`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Which attempts are judged by whom.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ScoreArgs {
    /// Folders of rollouts
    #[arg(required = true, num_args = 1..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Verifier: the run of `train verifier`, or its model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) verifier: PathBuf,
    /// File to write: a line an attempt
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Which attempts are chosen among, and by what.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SelectArgs {
    /// Folder of an evaluated rollout with several attempts at each instance
    pub(crate) run: PathBuf,
    /// Scores of its attempts, as `swegym score` writes them; several are averaged
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Vec<PathBuf>,
    /// Each file is a verifier of its own: figures are means over them, predictions the first's
    #[arg(long)]
    pub(crate) apart: bool,
    /// Folder of the rollout's evaluation [default: the rollout's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Choose among so many attempts of each instance, the first ones [default: all]
    #[arg(long, value_name = "K")]
    pub(crate) k: Option<usize>,
    /// The same attempts evaluated against tests that anybody can make (`micro`'s
    /// examples.jsonl, or tests that a model wrote): for a hybrid choice
    #[arg(long, value_name = "DIR")]
    pub(crate) tests: Option<PathBuf>,
    /// Share of an instance's attempts, the best scored, that a hybrid choice is among
    #[arg(long, value_name = "SHARE", default_value_t = 0.75)]
    pub(crate) gate: f64,
    /// Another evaluated rollout, to learn from what scores are worth
    #[arg(long, value_name = "RUN", requires = "calibrate_scores")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Its scores
    #[arg(long, value_name = "FILE", requires = "calibrate")]
    pub(crate) calibrate_scores: Vec<PathBuf>,
    /// What chooses the predictions that are written: verifier, hybrid, shortest, majority
    #[arg(long, value_name = "BY", default_value = "verifier")]
    pub(crate) by: String,
    /// Folder to write: predictions, figures and a page
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
