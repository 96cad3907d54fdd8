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
    /// Folder of the rollout's evaluation [default: the rollout's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Choose among so many attempts of each instance, the first ones [default: all]
    #[arg(long, value_name = "K")]
    pub(crate) k: Option<usize>,
    /// What chooses the predictions that are written: verifier, shortest, majority
    #[arg(long, value_name = "BY", default_value = "verifier")]
    pub(crate) by: String,
    /// Folder to write: predictions, figures and a page
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
