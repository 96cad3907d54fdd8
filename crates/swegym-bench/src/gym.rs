//! Benchmark of preparing real commits: what the second commit of a version costs beside
//! the first, in seconds and on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::Instance;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_data::run_view::RunView;
use swegym_method::real::Recipes;
use swegym_method::session::Session;
use swegym_method::stage::{self, Tasks, Told};
use swegym_mine::read_places;
use swegym_runner::run_dir::Open;

use crate::case::Case;
use crate::packages::disk_bytes;

/// Measures the first pair of commits of one version of each repository.
pub(super) async fn measure(
    session: &Session,
    raw: &Path,
    most: usize,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    let all = instances::read(&raw.to_string_lossy(), &text::read(raw)?, UnknownFields::Keep)?;
    let places = read_places(raw.parent().unwrap_or(Path::new(".")))?;
    let runs = session.settings.home.join("runs");
    let store = session.settings.home.join("store");
    let (mut seconds, mut bytes) = (Vec::new(), Vec::new());
    for (number, pair) in pairs(all).into_iter().take(most).enumerate() {
        let names: Vec<String> = pair.iter().map(|one| one.instance_id.to_string()).collect();
        session.printer.say(&names.join(", "));
        let before = disk_bytes(&store)?;
        let first = prepare(session, &pair[..1], &places, &runs.join(format!("first-{number}"))).await?;
        let between = disk_bytes(&store)?;
        let both = prepare(session, &pair, &places, &runs.join(format!("both-{number}"))).await?;
        let after = disk_bytes(&store)?;
        match (first.get(&names[0]), both.get(&names[1])) {
            (Some(first), Some(second)) => {
                seconds.push([*first, *second]);
                bytes.push([between - before, after - between].map(|bytes| bytes as f64 / 1e6));
            }
            _ => skipped.push(format!("{} is no pair: one of them makes no task", names.join(", "))),
        }
    }
    let case = |name: &'static str, unit: &'static str, values: &[[f64; 2]], target: &str| {
        let column = |at: usize| median(values.iter().map(|pair| pair[at]).collect());
        Case {
            name,
            ours: column(1),
            peer: column(0),
            unit,
            more_is_better: false,
            against: format!("the first commit of the version, {} pairs ({target})", values.len()),
        }
    };
    if !seconds.is_empty() {
        cases.push(case(
            "second commit of a version, with its tests",
            "s",
            &seconds,
            "10 is the least to reach",
        ));
        cases.push(case("disk of a second commit", "MB", &bytes, "10 MB are the most"));
    }
    Ok(())
}

/// Of each repository the two oldest commits of the version that has the most.
fn pairs(all: Vec<Instance>) -> Vec<Vec<Instance>> {
    let mut versions: BTreeMap<(String, String), Vec<Instance>> = BTreeMap::new();
    for one in all {
        versions.entry((one.repo.clone(), one.version.clone())).or_default().push(one);
    }
    let mut versions: Vec<_> = versions.into_iter().filter(|(_, commits)| commits.len() > 1).collect();
    versions.sort_by_key(|(_, commits)| std::cmp::Reverse(commits.len()));
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::new();
    for ((repo, _), mut commits) in versions {
        if seen.insert(repo) {
            commits.sort_by(|a, b| a.created_at.cmp(&b.created_at));
            commits.truncate(2);
            pairs.push(commits);
        }
    }
    pairs
}

/// Seconds that each took that makes a task.
async fn prepare(
    session: &Session,
    raw: &[Instance],
    places: &BTreeMap<String, std::path::PathBuf>,
    folder: &Path,
) -> Result<BTreeMap<String, f64>, CommandError> {
    let recipes = Recipes::default();
    let tasks =
        Tasks { raw: raw.to_vec(), places, known: Told::Gym(&recipes), runs_all: false, adviser: None };
    stage::prepare(session, tasks, folder, Open::New).await?;
    let view = RunView::open(folder)?;
    let finished = view.history.finished().into_iter().filter(|(_, one)| one.outcome == "prepared");
    Ok(finished.map(|(name, one)| (name.to_owned(), one.wall_time_ms as f64 / 1000.0)).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
