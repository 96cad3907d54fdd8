//! `gym`: raw instances become a gym: each gets an image of its day and the lists of its
//! tests, and is validated. `recipe`: the images of a gym are made again of its recipes.

mod quality;
mod recipes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::text;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::{Digest, Instance};
use swegym_mine::{Repository, read_places, write_places};
use swegym_runner::run_dir::Open;
use swegym_runner::{Checks, TestBounds};
use swegym_tasks::dataset::lite;

use crate::session::{Place, Session};
use crate::settings::ModelChoice;
use crate::stage;
use quality::Candidate;
pub use recipes::Recipes;

/// What `gym` is told.
#[derive(Debug, Clone)]
pub struct GymSettings {
    /// Raw instances.
    pub raw: PathBuf,
    /// Where repositories lie, beyond what stands beside the raw instances: `OWNER/NAME=FOLDER`.
    pub repositories: Vec<String>,
    /// How many of them; all where nothing is said.
    pub sample: Option<usize>,
    /// Which: the same seed draws the same.
    pub seed: u64,
    /// Runs of the tests without and with the gold patch.
    pub repeats: u32,
    /// What one test may take.
    pub bounds: TestBounds,
    /// A folder of recipes, which are followed as they stand.
    pub recipes: Option<PathBuf>,
    /// Whether all tests are run, rather than those of changed files.
    pub runs_all: bool,
    /// A model that is asked for a recipe where the search finds none.
    pub recipe_model: Option<ModelChoice>,
}

/// What `recipe` is told.
#[derive(Debug, Clone)]
pub struct RecipeSettings {
    /// The gym.
    pub gym: PathBuf,
    /// Where repositories lie: `OWNER/NAME=FOLDER`.
    pub repositories: Vec<String>,
}

/// Prepares and validates; writes `instances.jsonl`, `lite.jsonl`, `dropped.jsonl` and
/// `report.html`; gives the exit code.
///
/// # Errors
/// Files that cannot be read or written, and faults of the machinery.
pub async fn run(session: &Session, settings: &GymSettings, place: Place) -> Result<u8, CommandError> {
    let Place { out, resume } = place;
    let folder = session.run_folder("gym", out);
    let open = if resume { Open::Any } else { Open::New };
    let text = text::read(&settings.raw)?;
    let raw = instances::read(&settings.raw.to_string_lossy(), &text, UnknownFields::Keep)?;
    let drawn = draw(raw, settings.sample, settings.seed);
    let beside = settings.raw.parent().unwrap_or(Path::new("."));
    let places = places(beside, &settings.repositories)?;
    let recipes = settings.recipes.as_deref().map(Recipes::read).transpose()?.unwrap_or_default();
    let mut candidates: Vec<Candidate> = drawn.iter().map(candidate).collect();
    let printer = session.printer;
    printer.say(&format!("[1/2] prepare: images and test lists of {} raw instances", drawn.len()));
    let preparing = folder.join("prepare");
    let (known, runs_all) = (stage::Told::Gym(&recipes), settings.runs_all);
    let adviser = settings.recipe_model.clone();
    let tasks = stage::Tasks { raw: drawn, places: &places, known, runs_all, adviser };
    let prepared = stage::prepare(session, tasks, &preparing, open).await?;
    if prepared.exit == exit::INTERRUPTED {
        return Ok(exit::INTERRUPTED);
    }
    let rows = preparing.join("prepared.jsonl");
    note(&mut candidates, &rows_of(&preparing.join("failures.jsonl"))?, "job", "code");
    let made = rows_of(&preparing.join("recipes.jsonl"))?;
    write_places(&folder, &places)?;
    Recipes::of_rows(&made, &rows_of(&rows)?).write(&folder.join(Recipes::FOLDER))?;
    for one in &mut candidates {
        one.is_prepared = one.reason.is_none();
    }
    quality::add_costs(&mut candidates, &preparing, &made, session.host.store())?;
    if !prepared.counts.contains_key("prepared") {
        finish(session, &folder, &candidates, &[])?;
        let message = "no raw instance could be prepared";
        return Err(CommandError::nothing(
            message,
            format!("see `{}`", folder.join("dropped.jsonl").display()),
        ));
    }
    printer.say(&format!("[2/2] validate: tests {} times without and with the gold patch", settings.repeats));
    let checks = Checks { repeats: settings.repeats, probes: false, bounds: settings.bounds };
    // A run that was cut before it came so far has nothing to go on with.
    let open = if folder.join("validate").exists() { Open::Any } else { Open::New };
    let valid =
        stage::validate(session, &rows, checks, UnknownFields::Keep, &folder.join("validate"), open).await?;
    if valid.exit == exit::INTERRUPTED {
        return Ok(exit::INTERRUPTED);
    }
    let kept = rows_of(&folder.join("validate/instances.jsonl"))?;
    note(&mut candidates, &rows_of(&folder.join("validate/dropped.jsonl"))?, "instance_id", "reason");
    for one in &mut candidates {
        one.is_valid = kept.iter().any(|row| row["instance_id"] == one.id.as_str());
    }
    finish(session, &folder, &candidates, &kept)?;
    let infrastructure = prepared.exit == exit::INFRASTRUCTURE || valid.exit == exit::INFRASTRUCTURE;
    Ok(match (infrastructure, kept.len() == candidates.len()) {
        (true, _) => exit::INFRASTRUCTURE,
        (_, true) => exit::DONE,
        _ => exit::INVALID_TASKS,
    })
}

/// Makes the images of a gym again, of its recipes alone, and says which are the same byte
/// for byte; gives the exit code.
///
/// # Errors
/// Files that cannot be read or written, and faults of the machinery.
pub async fn remake(session: &Session, settings: &RecipeSettings, place: Place) -> Result<u8, CommandError> {
    let Place { out, resume } = place;
    let folder = session.run_folder("recipe", out);
    let open = if resume { Open::Any } else { Open::New };
    let file = settings.gym.join("instances.jsonl");
    let tasks = instances::read(&file.to_string_lossy(), &text::read(&file)?, UnknownFields::Keep)?;
    let recipes = Recipes::read(&settings.gym.join(Recipes::FOLDER))?;
    let places = places(&settings.gym, &settings.repositories)?;
    let images: BTreeMap<String, Option<String>> =
        tasks.iter().map(|one| (one.instance_id.to_string(), one.image.clone())).collect();
    let known = stage::Told::Made(&recipes);
    let tasks = stage::Tasks { raw: tasks, places: &places, known, runs_all: false, adviser: None };
    let done = stage::prepare(session, tasks, &folder, open).await?;
    if done.exit == exit::INTERRUPTED {
        return Ok(exit::INTERRUPTED);
    }
    let failures = rows_of(&folder.join("failures.jsonl"))?;
    let mut table = vec![["instance", "image", "is"].map(str::to_owned).to_vec()];
    let mut same = 0;
    for row in rows_of(&folder.join("prepared.jsonl"))? {
        let id = row["instance_id"].as_str().unwrap_or_default();
        let is_same = images.get(id).is_some_and(|image| image.as_deref() == row["image"].as_str());
        same += usize::from(is_same);
        let word = if is_same { "the same" } else { "another" };
        table.push(vec![
            id.to_owned(),
            row["image"].as_str().unwrap_or_default().to_owned(),
            word.to_owned(),
        ]);
    }
    table.extend(failures.iter().map(|row| {
        let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        vec![word("job"), String::new(), word("code")]
    }));
    let value = json!({"run": folder, "images": images.len(), "same": same, "failed": failures.len()});
    session.printer.result(&value, &table);
    Ok(if done.exit == exit::DONE && same < images.len() { exit::INVALID_TASKS } else { done.exit })
}

/// A raw instance of which nothing is known yet.
fn candidate(instance: &Instance) -> Candidate {
    let is_year = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    Candidate {
        id: instance.instance_id.to_string(),
        repo: instance.repo.clone(),
        year: instance.created_at.get(..4).filter(is_year).unwrap_or_default().to_owned(),
        ..Candidate::default()
    }
}

/// Notes why instances are none, by rows that name them under `id` and the reason under `code`.
fn note(candidates: &mut [Candidate], rows: &[Value], id: &str, code: &str) {
    for row in rows {
        let Some(one) = candidates.iter_mut().find(|one| row[id] == one.id.as_str()) else { continue };
        one.reason = row[code].as_str().map(str::to_owned);
        let said = ["message", "said", "test"].into_iter().find_map(|key| row[key].as_str());
        said.unwrap_or_default().clone_into(&mut one.said);
    }
}

/// So many of them, in their order.
fn draw(raw: Vec<Instance>, sample: Option<usize>, seed: u64) -> Vec<Instance> {
    let Some(count) = sample.filter(|count| *count < raw.len()) else { return raw };
    let lot = |one: &Instance| Digest::of(format!("{seed} {}", one.instance_id).as_bytes()).hex();
    let mut lots: Vec<(String, usize)> = raw.iter().enumerate().map(|(at, one)| (lot(one), at)).collect();
    lots.sort();
    lots.truncate(count);
    let mut chosen: Vec<usize> = lots.into_iter().map(|(_, at)| at).collect();
    chosen.sort_unstable();
    let mut raw: Vec<Option<Instance>> = raw.into_iter().map(Some).collect();
    chosen.into_iter().filter_map(|at| raw[at].take()).collect()
}

/// Where repositories lie: what is said, over what stands beside the instances.
fn places(beside: &Path, said: &[String]) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let mut places = read_places(beside)?;
    for given in said {
        let (name, place) = given.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("`{given}` is no place of a repository"), "write OWNER/NAME=FOLDER")
        })?;
        // What somebody names is there, wherever the command runs next time.
        let repository = Repository::open(&format!("{name}={place}"))?;
        let path = repository.path();
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        places.insert(name.to_owned(), path);
    }
    Ok(places)
}

fn rows_of(path: &Path) -> Result<Vec<Value>, CommandError> {
    let text = text::read(path)?;
    let rows = text.lines().enumerate().map(|(at, line)| {
        serde_json::from_str(line).map_err(|e| {
            let message = format!("{}:{}: {e}", path.display(), at + 1);
            CommandError::usage(message, "the file is damaged; run the stage again")
        })
    });
    rows.collect()
}

/// Writes the gym and what is to be said of it.
fn finish(
    session: &Session,
    folder: &Path,
    candidates: &[Candidate],
    kept: &[Value],
) -> Result<(), CommandError> {
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let text = lines(kept);
    text::write(&folder.join("instances.jsonl"), &text)?;
    let small = if kept.is_empty() {
        String::new()
    } else {
        let instances = instances::read("instances.jsonl", &text, UnknownFields::Keep)?;
        let is_lite = |one: &&Instance| lite::drops(one, |_, _| true).is_empty();
        instances.iter().filter(is_lite).map(instances::write_row).collect()
    };
    text::write(&folder.join("lite.jsonl"), &small)?;
    let dropped = candidates.iter().filter_map(|one| {
        // Below its first line stands what a tool printed, with times; `failures.jsonl` has it.
        let message = one.said.lines().next();
        let reason = one.reason.as_ref()?;
        Some(json!({"instance_id": one.id, "reason": reason, "message": message}))
    });
    text::write(&folder.join("dropped.jsonl"), &lines(&dropped.collect::<Vec<_>>()))?;
    let page = quality::sheet(candidates).write(folder)?;
    session.printer.part(&quality::by_repository(candidates));
    let count = |is_so: fn(&Candidate) -> bool| candidates.iter().filter(|one| is_so(one)).count();
    let value = json!({
        "run": folder, "raw": candidates.len(), "prepared": count(|one| one.is_prepared),
        "valid": kept.len(), "lite": small.lines().count(), "report": page,
    });
    session.printer.result(&value, &quality::reasons(candidates));
    Ok(())
}
