//! `mine`: the files of a mined set.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_console::sheet::{Line, Part, Sheet};
use swegym_console::text;
use swegym_core::format::instances;
use swegym_files::Draft;
use swegym_tasks::dataset::Rows;

use crate::against::{Against, Known};
use crate::api::ApiSettings;
use crate::funnel::{Funnel, Reason};
use crate::kind::Split;
use crate::link::Rule;
use crate::places;
use crate::sources;
use crate::statement::Source;
use crate::survey::{Dropped, Found, Rules, survey};
use crate::texts::Texts;

/// What `mine` is told.
#[derive(Debug, Clone)]
pub struct MineSettings {
    /// Clones and mirrors, each a folder or `OWNER/NAME=FOLDER`.
    pub repositories: Vec<String>,
    /// The main branch of each; what `HEAD` names where there is none.
    pub branch: Option<String>,
    /// What counts as a test.
    pub split: Split,
    /// Where statements may stem from.
    pub statements: Vec<Source>,
    /// Datasets whose instances are not mined again.
    pub against: Vec<PathBuf>,
    /// Whom to ask for issues and pull requests, and about which repositories.
    pub api: ApiSettings,
    /// Files with issues, pull requests and comments that were saved.
    pub saved: Vec<PathBuf>,
}

/// Mines repositories into a folder: `instances.jsonl`, `dropped.jsonl`, `funnel.json`,
/// `report.html`; gives the exit code.
///
/// # Errors
/// A repository or dataset cannot be read, the folder not be written to, or nothing is kept.
pub fn run(printer: Printer, settings: &MineSettings, out: &Path) -> Result<u8, CommandError> {
    check_statements(settings)?;
    let mut repositories = sources::open(&settings.repositories)?;
    sources::check_names(&repositories, &settings.api)?;
    let mut texts = Texts::default();
    sources::read_saved(printer, &settings.saved, &repositories, &settings.api, &mut texts)?;
    let rules = Rules {
        branch: settings.branch.clone(),
        split: settings.split,
        statements: settings.statements.clone(),
        against: read_known(&settings.against)?,
    };
    std::fs::create_dir_all(out).map_err(|e| CommandError::file("create", out, &e))?;
    swegym_files::remove_drafts(out).map_err(|e| CommandError::file("write in", out, &e))?;
    sources::ask(printer, &settings.api, &mut repositories, out, &mut texts)?;
    let mut files = Files::begin(out)?;
    let mut funnels = Vec::new();
    for repository in &repositories {
        let bar = Bar::of(printer, repository.name(), 0);
        let funnel = survey(
            repository,
            &rules,
            &mut texts,
            |progress| bar.set(progress.done as u64, progress.total as u64),
            |found| files.write(repository.name(), &found),
        )?;
        bar.finish();
        funnels.push((repository.name().to_owned(), funnel));
    }
    let mut all = Funnel::default();
    funnels.iter().for_each(|(_, funnel)| all.add(funnel));
    files.publish()?;
    places::write(out, &repositories)?;
    texts.complete()?;
    let has_texts = !texts.is_empty();
    let by_name: Map<String, Value> =
        funnels.iter().map(|(name, funnel)| (name.clone(), funnel.to_json())).collect();
    let value = json!({"version": 1, "all": all.to_json(), "repositories": by_name});
    text::write(&out.join("funnel.json"), &format!("{value:#}\n"))?;
    sheet(&funnels, &all, has_texts).write(out)?;
    printer.part(&funnel_table(&funnels, &all, has_texts));
    printer.result(&json!({"out": out, "funnel": value}), &reason_table(&all));
    if all.kept() == 0 {
        let message = "no change of these repositories is an instance";
        return Err(CommandError::nothing(
            message,
            format!("`{}` says why of each", out.join("dropped.jsonl").display()),
        ));
    }
    Ok(exit::DONE)
}

/// Refuses to look for statements where there can be none.
fn check_statements(settings: &MineSettings) -> Result<(), CommandError> {
    let needs_texts = settings.statements.iter().all(|source| source.is_of_host());
    if !needs_texts || !settings.api.repositories.is_empty() || !settings.saved.is_empty() {
        return Ok(());
    }
    let message = "a repository's history holds no texts of issues or pull requests";
    Err(CommandError::usage(message, "give them with --api OWNER/NAME or --issues FILE"))
}

/// The files that grow.
struct Files {
    folder: PathBuf,
    instances: Draft,
    dropped: Draft,
}

impl Files {
    fn begin(folder: &Path) -> Result<Self, CommandError> {
        let begin = |name: &str| {
            let path = folder.join(name);
            Draft::begin(&path).map_err(|e| CommandError::file("write", &path, &e))
        };
        Ok(Self {
            instances: begin("instances.jsonl")?,
            dropped: begin("dropped.jsonl")?,
            folder: folder.to_owned(),
        })
    }

    fn write(&mut self, repo: &str, found: &Found) -> Result<(), CommandError> {
        let written = match found {
            Found::Kept(instance) => {
                writeln!(self.instances, "{}", instances::write_row(instance).trim_end())
            }
            Found::Dropped(Dropped { pull, commit, reason, detail }) => {
                let row = json!({
                    "repo": repo, "pull_request": pull, "commit": commit, "reason": reason.code(), "detail": detail,
                });
                writeln!(self.dropped, "{row}")
            }
        };
        written.map_err(|e| CommandError::file("write in", &self.folder, &e))
    }

    fn publish(self) -> Result<(), CommandError> {
        let Self { folder, instances, dropped } = self;
        let publish = || {
            dropped.publish()?;
            instances.publish()
        };
        publish().map_err(|e| CommandError::file("write in", &folder, &e))
    }
}

/// Instances of other datasets.
fn read_known(datasets: &[PathBuf]) -> Result<Against, CommandError> {
    let mut against = Against::default();
    for path in datasets {
        for row in Rows::open(path)? {
            let instance = row?.own_fields()?;
            against.add(Known {
                id: instance.instance_id.to_string(),
                repo: instance.repo,
                base_commit: instance.base_commit,
                patch: instance.gold_patch,
            });
        }
    }
    Ok(against)
}

/// The funnel, a repository a row. Issues are counted where there can be any.
fn funnel_table(funnels: &[(String, Funnel)], all: &Funnel, has_texts: bool) -> Vec<Vec<String>> {
    let head = [
        "repository",
        "commits",
        "pull requests",
        "landed",
        "both kinds",
        "with statement",
        "kept",
        "with issue",
    ];
    let columns = if has_texts { head.len() } else { head.len() - 1 };
    let row = |name: &str, funnel: &Funnel| {
        let [landed, both, stated, kept] = funnel.steps();
        let counts = [funnel.commits, funnel.pulls, landed, both, stated, kept, funnel.with_issue];
        let cells = std::iter::once(name.to_owned()).chain(counts.iter().map(usize::to_string));
        cells.take(columns).collect::<Vec<_>>()
    };
    let mut table = vec![head[..columns].iter().map(|cell| (*cell).to_owned()).collect()];
    table.extend(funnels.iter().map(|(name, funnel)| row(name, funnel)));
    if funnels.len() > 1 {
        table.push(row("all", all));
    }
    table
}

/// Why candidates are dropped.
fn reason_table(all: &Funnel) -> Vec<Vec<String>> {
    let mut table = vec![["dropped because", "candidates", "meaning"].map(str::to_owned).to_vec()];
    table.extend(Reason::ALL.into_iter().filter_map(|reason| {
        let count = all.dropped.get(&reason)?;
        Some(vec![reason.code().to_owned(), count.to_string(), reason.meaning().to_owned()])
    }));
    table
}

/// The page of a mined set.
fn sheet(funnels: &[(String, Funnel)], all: &Funnel, has_texts: bool) -> Sheet {
    let lead = "What histories of repositories hold: from commits to raw instances.";
    let mut sheet = Sheet::new("Mined instances", lead);
    sheet.push(Part {
        title: "Funnel".to_owned(),
        table: funnel_table(funnels, all, has_texts),
        ..Part::default()
    });
    sheet.push(Part { title: "Why others are none".to_owned(), table: reason_table(all), ..Part::default() });
    let mut sources = vec![["statement from", "instances"].map(str::to_owned).to_vec()];
    sources.extend(
        Source::ALL
            .iter()
            .filter_map(|source| Some(vec![source.code().to_owned(), all.sources.get(source)?.to_string()])),
    );
    sheet.push(Part { title: "Statements".to_owned(), table: sources, ..Part::default() });
    if has_texts {
        let mut links = vec![["issue known by", "issues", "meaning"].map(str::to_owned).to_vec()];
        links.extend(Rule::ALL.iter().map(|rule| {
            let count = all.links.get(rule).copied().unwrap_or_default();
            vec![rule.code().to_owned(), count.to_string(), rule.meaning().to_owned()]
        }));
        sheet.push(Part { title: "Issues of kept instances".to_owned(), table: links, ..Part::default() });
    }
    let line = |(name, funnel): &(String, Funnel)| {
        let mut points: Vec<_> =
            funnel.years.iter().map(|(year, count)| (f64::from(*year), *count as f64, None)).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        Line { name: name.clone(), points }
    };
    let lines = funnels.iter().map(line).collect();
    sheet.push(Part {
        title: "Kept, by year".to_owned(),
        lines,
        across: "year".to_owned(),
        ..Part::default()
    });
    sheet
}
