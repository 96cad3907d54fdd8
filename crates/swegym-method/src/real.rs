//! `gym`: raw instances become a gym: each gets an image of its day and the lists of its
//! tests, and is validated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::sheet::{Part, Sheet};
use swegym_console::text;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::{Digest, Instance};
use swegym_mine::read_places;
use swegym_runner::run_dir::Open;
use swegym_tasks::dataset::lite;

use crate::session::{Place, Session};
use crate::stage::{self, Checks};

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
    let places = places(settings)?;
    let whole: Vec<(String, String)> =
        drawn.iter().map(|one| (one.instance_id.to_string(), one.repo.clone())).collect();
    let printer = session.printer;
    printer.say(&format!("[1/2] prepare: images and test lists of {} raw instances", drawn.len()));
    let prepared = stage::prepare(session, drawn, &places, &folder.join("prepare"), open).await?;
    if prepared.exit == exit::INTERRUPTED {
        return Ok(exit::INTERRUPTED);
    }
    let rows = folder.join("prepare/prepared.jsonl");
    let failures = rows_of(&folder.join("prepare/failures.jsonl"))?;
    if !prepared.counts.contains_key("prepared") {
        finish(session, &folder, &whole, &failures, &[], &[])?;
        let message = "no raw instance could be prepared";
        return Err(CommandError::nothing(
            message,
            format!("see `{}`", folder.join("dropped.jsonl").display()),
        ));
    }
    printer.say(&format!("[2/2] validate: tests {} times without and with the gold patch", settings.repeats));
    let checks = Checks { repeats: settings.repeats, probe: false };
    // A run that was cut before it came so far has nothing to go on with.
    let open = if folder.join("validate").exists() { Open::Any } else { Open::New };
    let valid =
        stage::validate(session, &rows, checks, UnknownFields::Keep, &folder.join("validate"), open).await?;
    if valid.exit == exit::INTERRUPTED {
        return Ok(exit::INTERRUPTED);
    }
    let kept = rows_of(&folder.join("validate/instances.jsonl"))?;
    let dropped = rows_of(&folder.join("validate/dropped.jsonl"))?;
    finish(session, &folder, &whole, &failures, &dropped, &kept)?;
    let infrastructure = prepared.exit == exit::INFRASTRUCTURE || valid.exit == exit::INFRASTRUCTURE;
    Ok(match (infrastructure, kept.len() == whole.len()) {
        (true, _) => exit::INFRASTRUCTURE,
        (_, true) => exit::DONE,
        _ => exit::INVALID_TASKS,
    })
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

/// Where repositories lie: what is said, over what stands beside the raw instances.
fn places(settings: &GymSettings) -> Result<BTreeMap<String, PathBuf>, CommandError> {
    let beside = settings.raw.parent().unwrap_or(Path::new("."));
    let mut places = read_places(beside)?;
    for given in &settings.repositories {
        let (name, place) = given.split_once('=').ok_or_else(|| {
            CommandError::usage(format!("`{given}` is no place of a repository"), "write OWNER/NAME=FOLDER")
        })?;
        places.insert(name.to_owned(), PathBuf::from(place));
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
    whole: &[(String, String)],
    failures: &[Value],
    dropped: &[Value],
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
    let reason = |row: &Value, id: &str, key: &str| {
        // Below its first line stands what a tool printed, with times; `failures.jsonl` has it.
        let message = row["message"].as_str().and_then(|text| text.lines().next());
        json!({"instance_id": row[id], "reason": row[key], "message": message, "test": row["test"]})
    };
    let failed = failures.iter().map(|row| reason(row, "job", "code"));
    let others: Vec<Value> =
        failed.chain(dropped.iter().map(|row| reason(row, "instance_id", "reason"))).collect();
    text::write(&folder.join("dropped.jsonl"), &lines(&others))?;
    let (table, reasons) = (repositories_table(whole, failures, kept), reasons_table(&others));
    let lead = "How many raw instances became tasks, and why the others did not.";
    let mut sheet = Sheet::new("Gym", lead);
    sheet.push(Part { title: "Repositories".to_owned(), table: table.clone(), ..Part::default() });
    sheet.push(Part { title: "Why others are none".to_owned(), table: reasons.clone(), ..Part::default() });
    let page = sheet.write(folder)?;
    session.printer.part(&table);
    let value = json!({
        "run": folder, "raw": whole.len(), "prepared": whole.len() - failures.len(), "valid": kept.len(),
        "lite": small.lines().count(), "report": page,
    });
    session.printer.result(&value, &reasons);
    Ok(())
}

/// Raw, prepared and valid instances of each repository.
fn repositories_table(whole: &[(String, String)], failures: &[Value], kept: &[Value]) -> Vec<Vec<String>> {
    let of_failure =
        |row: &Value| whole.iter().find(|(id, _)| row["job"] == id.as_str()).map(|(_, repo)| repo);
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (_, repo) in whole {
        counts.entry(repo).or_default()[0] += 1;
        counts.entry(repo).or_default()[1] += 1;
    }
    for repo in failures.iter().filter_map(of_failure) {
        counts.entry(repo).or_default()[1] -= 1;
    }
    for repo in kept.iter().filter_map(|row| row["repo"].as_str()) {
        counts.entry(repo).or_default()[2] += 1;
    }
    let row = |name: &str, [raw, prepared, valid]: [usize; 3]| {
        let share = format!("{:.0}", 100.0 * valid as f64 / raw.max(1) as f64);
        vec![name.to_owned(), raw.to_string(), prepared.to_string(), valid.to_string(), share]
    };
    let mut table = vec![["repository", "raw", "prepared", "valid", "%"].map(str::to_owned).to_vec()];
    table.extend(counts.iter().map(|(name, counts)| row(name, *counts)));
    if counts.len() > 1 {
        let all = counts.values().fold([0; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z]);
        table.push(row("all", all));
    }
    table
}

/// Why instances were dropped, most frequent first, with one of each.
fn reasons_table(others: &[Value]) -> Vec<Vec<String>> {
    let mut reasons: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for row in others {
        let (code, id) =
            (row["reason"].as_str().unwrap_or_default(), row["instance_id"].as_str().unwrap_or_default());
        reasons.entry(code).or_insert((0, id)).0 += 1;
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let mut table = vec![["dropped because", "instances", "for one"].map(str::to_owned).to_vec()];
    table.extend(
        reasons
            .into_iter()
            .map(|(code, (count, id))| vec![code.to_owned(), count.to_string(), id.to_owned()]),
    );
    table
}
