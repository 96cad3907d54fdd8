//! What a gym came to: by repository and year, with what it took, and why others are none.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part, Sheet};
use swegym_core::Digest;
use swegym_data::run_view::RunView;
use swegym_sandbox::Store;
use swegym_sandbox::store::LayerId;

/// A raw instance and what became of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) repo: String,
    /// `2021`; empty where nobody knows.
    pub(super) year: String,
    /// Why it is no task.
    pub(super) reason: Option<String>,
    /// What a tool said then.
    pub(super) said: String,
    /// Whether an image was made and its tests run.
    pub(super) is_prepared: bool,
    pub(super) is_valid: bool,
    /// Wall time of preparing, in seconds; not known where it was prepared in another run.
    pub(super) seconds: Option<f64>,
    /// Bytes of the layers that only its image has, of the gym's.
    pub(super) own_bytes: Option<u64>,
    /// Whether an image of the gym before it has the same environment.
    pub(super) shares_environment: bool,
}

/// Reasons for which nothing could be installed, so that no test ran.
const NOT_INSTALLED: [&str; 8] = [
    "no_base_commit",
    "no_package",
    "no_tests",
    "no_interpreter",
    "no_toolchain",
    "does_not_install",
    "needs_system_package",
    "no_python",
];

impl Candidate {
    fn is_installed(&self) -> bool {
        self.reason.as_deref().is_none_or(|reason| !NOT_INSTALLED.contains(&reason))
    }
}

/// Adds what the journal and the store know.
pub(super) fn add_costs(
    candidates: &mut [Candidate],
    preparing: &Path,
    recipes: &[Value],
    store: &Store,
) -> Result<(), CommandError> {
    let view = RunView::open(preparing)?;
    let seconds: BTreeMap<&str, f64> = view
        .history
        .finished()
        .into_iter()
        .map(|(job, finished)| (job, finished.wall_time_ms as f64 / 1000.0))
        .collect();
    let layers = |row: &Value| -> Vec<LayerId> {
        let digests = row["layers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        digests.filter_map(|hex| Some(LayerId(Digest::parse(hex).ok()?))).collect()
    };
    let of: BTreeMap<&str, Vec<LayerId>> =
        recipes.iter().filter_map(|row| Some((row["instance_id"].as_str()?, layers(row)))).collect();
    let mut uses: HashMap<Digest, usize> = HashMap::new();
    for layer in of.values().flatten() {
        *uses.entry(layer.0).or_default() += 1;
    }
    let mut environments: HashMap<Digest, usize> = HashMap::new();
    for candidate in candidates {
        candidate.seconds = seconds.get(candidate.id.as_str()).copied();
        let Some(layers) = of.get(candidate.id.as_str()) else { continue };
        // The environment lies below the source and the project.
        if let Some(environment) = layers.len().checked_sub(3).map(|at| layers[at]) {
            let before = environments.entry(environment.0).or_default();
            candidate.shares_environment = *before > 0;
            *before += 1;
        }
        let own = layers.iter().filter(|layer| uses.get(&layer.0) == Some(&1));
        candidate.own_bytes =
            own.map(|layer| store.layer_stats(*layer).ok().map(|stats| stats.bytes)).sum::<Option<u64>>();
    }
    Ok(())
}

/// The page.
pub(super) fn sheet(candidates: &[Candidate]) -> Sheet {
    let lead = "How many raw instances became tasks, what it took, and why the others did not.";
    let mut sheet = Sheet::new("Gym", lead);
    let part = |title: &str, words: &str, table: Vec<Vec<String>>| Part {
        title: title.to_owned(),
        words: words.to_owned(),
        table,
        ..Part::default()
    };
    sheet.push(part("Repositories", "", by_repository(candidates)));
    let words = "Installed: a set of requirements installs, so that tests ran. Prepared: some test passes with the \
                 gold patch only. Valid: that holds in every run. Seconds and megabytes are medians; megabytes are \
                 of files that no other image of the gym has; shared: images whose environment an earlier one has.";
    sheet.push(part("Repositories and years", words, by_year(candidates)));
    sheet.push(Part {
        title: "Valid by year".to_owned(),
        words: "Per cent of the raw instances of a year.".to_owned(),
        lines: shares(candidates),
        across: "year".to_owned(),
        ..Part::default()
    });
    sheet.push(part("Why others are none", "", reasons(candidates)));
    for (reason, id, said) in logs(candidates) {
        let rows = said.lines().map(|line| vec![line.to_owned()]).collect();
        sheet.push(part(&format!("{reason}, for one: {id}"), "", rows));
    }
    sheet
}

/// Counts of some candidates: raw, installed, prepared, valid.
#[derive(Default, Clone)]
struct Tally {
    counts: [usize; 4],
    shared: usize,
    seconds: Vec<f64>,
    megabytes: Vec<f64>,
}

impl Tally {
    fn add(&mut self, one: &Candidate) {
        let steps = [true, one.is_installed(), one.is_prepared, one.is_valid];
        for (count, is_so) in self.counts.iter_mut().zip(steps) {
            *count += usize::from(is_so);
        }
        self.shared += usize::from(one.shares_environment);
        self.seconds.extend(one.seconds);
        self.megabytes.extend(one.own_bytes.map(|bytes| bytes as f64 / 1e6));
    }

    fn valid_share(&self) -> f64 {
        100.0 * self.counts[3] as f64 / self.counts[0].max(1) as f64
    }

    fn row(&self, names: &[&str]) -> Vec<String> {
        let mut row: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        row.extend(self.counts.iter().map(usize::to_string));
        row.push(format!("{:.0}", self.valid_share()));
        row
    }
}

fn median(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).map_or_else(|| "-".to_owned(), |middle| format!("{middle:.1}"))
}

fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Raw, installed, prepared and valid instances of each repository.
pub(super) fn by_repository(candidates: &[Candidate]) -> Vec<Vec<String>> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut all = Tally::default();
    for one in candidates {
        tallies.entry(&one.repo).or_default().add(one);
        all.add(one);
    }
    let mut table = vec![head(&["repository", "raw", "installed", "prepared", "valid", "%"])];
    table.extend(tallies.iter().map(|(name, tally)| tally.row(&[name])));
    if tallies.len() > 1 {
        table.push(all.row(&["all"]));
    }
    table
}

fn by_year(candidates: &[Candidate]) -> Vec<Vec<String>> {
    let mut tallies: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
    for one in candidates {
        tallies.entry((&one.repo, &one.year)).or_default().add(one);
    }
    let names =
        ["repository", "year", "raw", "installed", "prepared", "valid", "%", "seconds", "MB", "shared"];
    let row = |((repo, year), tally): (&(&str, &str), &Tally)| {
        let mut row = tally.row(&[repo, year]);
        row.extend([median(&tally.seconds), median(&tally.megabytes), tally.shared.to_string()]);
        row
    };
    [head(&names)].into_iter().chain(tallies.iter().map(row)).collect()
}

/// The share that is valid, over years; one line for all.
fn shares(candidates: &[Candidate]) -> Vec<Line> {
    let mut years: BTreeMap<&str, Tally> = BTreeMap::new();
    for one in candidates.iter().filter(|one| !one.year.is_empty()) {
        years.entry(&one.year).or_default().add(one);
    }
    let point = |(year, tally): (&&str, &Tally)| Some((year.parse().ok()?, tally.valid_share(), None));
    let points = years.iter().filter_map(point).collect();
    vec![Line { name: "valid, %".to_owned(), points }]
}

/// Why instances were dropped, most frequent first, with one of each.
pub(super) fn reasons(candidates: &[Candidate]) -> Vec<Vec<String>> {
    let mut counts: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for one in candidates {
        if let Some(reason) = &one.reason {
            counts.entry(reason).or_insert((0, &one.id)).0 += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let row = |(reason, (count, id)): (&str, (usize, &str))| {
        vec![reason.to_owned(), count.to_string(), id.to_owned()]
    };
    [head(&["dropped because", "instances", "for one"])]
        .into_iter()
        .chain(counts.into_iter().map(row))
        .collect()
}

/// What a tool said, for one instance of each reason.
fn logs(candidates: &[Candidate]) -> Vec<(&str, &str, &str)> {
    let mut logs: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for one in candidates.iter().filter(|one| !one.said.is_empty()) {
        if let Some(reason) = &one.reason {
            logs.entry(reason).or_insert((&one.id, &one.said));
        }
    }
    logs.into_iter().map(|(reason, (id, said))| (reason, id, said)).collect()
}
