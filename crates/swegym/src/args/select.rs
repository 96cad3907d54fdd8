//! Flags of `score` and `select`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_data::select::settings::By;

use super::choice::choice;

/// Which attempts are judged by whom.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ScoreArgs {
    /// Folders of rollouts
    #[arg(required = true, num_args = 1..)]
    pub(crate) runs: Vec<PathBuf>,
    /// Verifier: a run folder of `train verifier`, or its model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) verifier: PathBuf,
    /// File for the scores: one line per attempt
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Which attempts are chosen among, and by what.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SelectArgs {
    /// Folder of an evaluated rollout with several attempts per instance
    pub(crate) run: PathBuf,
    /// Scores of its attempts, as `swegym score` writes them; several files are averaged
    #[arg(long, value_name = "FILE")]
    pub(crate) scores: Vec<PathBuf>,
    /// Treat each scores file as a separate verifier: figures are means over them, predictions come
    /// from the first
    #[arg(long)]
    pub(crate) apart: bool,
    /// Folder of the rollout's evaluation [default: the rollout's own]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Choose among the first K attempts per instance [default: all]
    #[arg(long, value_name = "K")]
    pub(crate) k: Option<usize>,
    /// For --by hybrid: evaluation of the same attempts against visible tests (`micro`'s
    /// examples.jsonl, or tests that a model wrote)
    #[arg(long, value_name = "DIR")]
    pub(crate) tests: Option<PathBuf>,
    /// For --by hybrid: share of the attempts per instance, best scores first, that stay in
    #[arg(long, value_name = "SHARE", default_value_t = 0.75)]
    pub(crate) gate: f64,
    /// Another evaluated rollout, on which scores are calibrated
    #[arg(long, value_name = "RUN", requires = "calibrate_scores")]
    pub(crate) calibrate: Option<PathBuf>,
    /// Scores of that rollout
    #[arg(long, value_name = "FILE", requires = "calibrate")]
    pub(crate) calibrate_scores: Vec<PathBuf>,
    /// How the predictions are chosen: verifier, hybrid, shortest, majority
    #[arg(long, value_name = "BY", default_value = "verifier", hide_possible_values = true,
          value_parser = choice(By::ASKED.map(By::name), By::named))]
    pub(crate) by: By,
    /// Folder for predictions, figures and an HTML page
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
