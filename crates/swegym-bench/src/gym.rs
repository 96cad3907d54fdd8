//! Benchmark of images of real commits: what another commit of a version costs beside the
//! first one, in seconds and on disk.

use std::collections::BTreeSet;
use std::path::Path;
use std::slice;

use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_data::run_view::RunView;
use swegym_method::real::Recipes;
use swegym_method::session::Session;
use swegym_method::stage::{self, Tasks, Told};
use swegym_mine::read_places;
use swegym_runner::run_dir::Open;

use crate::case::Case;
use crate::packages::disk_bytes;

/// What making one image cost.
struct Cost {
    seconds: f64,
    megabytes: f64,
}

/// Makes the images of a gym again in an empty home, one after another, the oldest of each
/// version first, and compares what the first of a version costs with each of the others.
pub(super) async fn measure(
    session: &Session,
    gym: &Path,
    cases: &mut Vec<Case>,
    skipped: &mut Vec<String>,
) -> Result<(), CommandError> {
    let file = gym.join("instances.jsonl");
    let mut tasks = instances::read(&file.to_string_lossy(), &text::read(&file)?, UnknownFields::Keep)?;
    tasks.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    let (places, recipes) = (read_places(gym)?, Recipes::read(&gym.join(Recipes::FOLDER))?);
    let (store, runs) = (session.settings.home.join("store"), session.settings.home.join("runs"));
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for task in &tasks {
        let (known, id) = (Told::Made(&recipes), task.instance_id.as_str());
        let raw = slice::from_ref(task).to_vec();
        let tasks = Tasks { raw, places: &places, known, runs_all: false, adviser: None };
        let (before, folder) = (disk_bytes(&store)?, runs.join(id));
        stage::prepare(session, tasks, &folder, Open::New).await?;
        let view = RunView::open(&folder)?;
        let made = view.history.finished().into_iter().find(|(_, one)| one.outcome == "prepared");
        let Some((_, made)) = made else {
            skipped.push(format!("`{id}` is not made again"));
            continue;
        };
        let cost = Cost {
            seconds: made.wall_time_ms as f64 / 1000.0,
            megabytes: (disk_bytes(&store)? as f64 - before as f64) / 1e6,
        };
        let is_first = seen.insert((&task.repo, &task.version));
        session.printer.say(&format!(
            "{id}: {:.1} s, {:.1} MB, {}",
            cost.seconds,
            cost.megabytes,
            if is_first { "first of its version" } else { "another" }
        ));
        if is_first { &mut firsts } else { &mut others }.push(cost);
    }
    if others.is_empty() {
        skipped.push("no version has a second commit".to_owned());
        return Ok(());
    }
    let against = format!("the first commits of {} versions; {} others", firsts.len(), others.len());
    let median = |costs: &[Cost]| median(costs.iter().map(|cost| cost.seconds).collect());
    let mean = |costs: &[Cost]| costs.iter().map(|cost| cost.megabytes).sum::<f64>() / costs.len() as f64;
    for (name, unit, ours, peer) in [
        ("another commit of a version, median", "s", median(&others), median(&firsts)),
        ("disk of another commit, mean", "MB", mean(&others), mean(&firsts)),
    ] {
        cases.push(Case { name, ours, peer, unit, more_is_better: false, against: against.clone() });
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
