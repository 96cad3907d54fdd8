//! From raw instances to those that can be run.

mod lessons;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, json};
use swegym_console::error::CommandError;
use swegym_console::progress::Bar;
use swegym_core::format::instances;
use swegym_core::format::results::{JobOutput, Prepared};
use swegym_core::{Boundary, Digest, Fault, Instance};
use swegym_mine::Repository;
use swegym_runner::build::{Adviser, Known, Lesson, Raw};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, Jobs, Outcome, foundation};

use super::rollout::open_model;
use super::{Done, Ran, Stage, without_secrets};
use crate::real::Recipes;
use crate::session::Session;
use crate::settings::ModelChoice;
use lessons::Lessons;

/// What is prepared.
pub struct Tasks<'a> {
    /// The instances.
    pub raw: Vec<Instance>,
    /// Where repositories lie.
    pub places: &'a BTreeMap<String, PathBuf>,
    /// What is known of how they are installed.
    pub known: Told<'a>,
    /// Whether all tests of each are run.
    pub runs_all: bool,
    /// Who is asked where no search helps.
    pub adviser: Option<ModelChoice>,
}

/// What recipes are for.
#[derive(Clone, Copy)]
pub enum Told<'a> {
    /// What has one is installed by it; for the rest, a way is searched.
    Gym(&'a Recipes),
    /// Images are made again that were made before.
    Made(&'a Recipes),
}

impl Told<'_> {
    /// What is known of an instance; a search is told what its repository taught.
    fn of(self, instance: &Instance, lesson: Lesson) -> Known {
        let (Self::Gym(recipes) | Self::Made(recipes)) = self;
        let install = recipes.install_of(instance).cloned();
        match (self, install, recipes.made(instance)) {
            (Self::Made(_), Some(install), Some(made)) => Known::Made(install, made.tests.clone()),
            (Self::Gym(_), Some(install), _) => Known::Recipe(install),
            _ => Known::Lesson(lesson),
        }
    }

    fn to_text(self) -> String {
        let (Self::Gym(recipes) | Self::Made(recipes)) = self;
        recipes.to_text()
    }
}

/// Makes an image for each raw instance, and the lists of its tests; writes `prepared.jsonl`
/// and, a row each, `recipes.jsonl`.
pub async fn prepare(
    session: &Session,
    tasks: Tasks<'_>,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let Tasks { raw, places, known: told, runs_all, adviser } = tasks;
    let adviser = adviser.map(|choice| open_model(&choice, &Arc::default())).transpose()?.flatten();
    let settings = &session.settings;
    let repositories = Arc::new(open_repositories(&raw, places)?);
    let known = Map::from_iter([
        ("python".to_owned(), json!(settings.install.python)),
        ("roots".to_owned(), json!(settings.install.roots)),
        ("index_url".to_owned(), json!(without_secrets(&settings.packages.index_url))),
        ("npm_registry".to_owned(), json!(without_secrets(&settings.packages.npm_registry))),
        ("crates_index".to_owned(), json!(without_secrets(&settings.packages.crates_index))),
        ("go_proxy".to_owned(), json!(without_secrets(&settings.packages.go_proxy))),
        ("exclude_newer".to_owned(), json!(settings.install.exclude_newer)),
        ("test_timeout".to_owned(), json!(settings.run.test_timeout.as_secs())),
        ("runs_all_tests".to_owned(), json!(runs_all)),
        ("repositories".to_owned(), json!(repositories.keys().collect::<Vec<_>>())),
        ("recipe_model".to_owned(), json!(adviser.as_ref().map(|(_, name)| name))),
    ]);
    let text: String = raw.iter().map(instances::write_row).collect();
    let order: Vec<String> = raw.iter().map(|instance| instance.instance_id.to_string()).collect();
    let inputs = [text, told.to_text()].iter().map(|text| Digest::of(text.as_bytes())).collect();
    let stage = Stage { inputs, ..Stage::new(session, "prepare", (folder, open), known) };
    let context = stage.context();
    let preparing = Bar::waiting(session.printer, "prepare", "preparing uv");
    foundation::ready_uv(&context, settings.find_program("uv")).await?;
    foundation::read_roots(&context).await?;
    drop(preparing);
    let mut lessons = Lessons::new(&raw);
    let mut waiting: BTreeMap<String, Instance> =
        raw.into_iter().map(|instance| (instance.instance_id.to_string(), instance)).collect();
    let next = |outcomes: &[Option<Outcome>]| {
        let taught = lessons.next(outcomes).into_iter();
        let jobs = taught.filter_map(|(name, lesson)| {
            let instance = waiting.remove(&name)?;
            let repository = repositories.get(&instance.repo)?.clone();
            let known = told.of(&instance, lesson);
            let others = Arc::clone(&repositories);
            let adviser = adviser.as_ref().map(|(model, _)| Adviser(Arc::clone(model)));
            let raw = Raw { instance, repository, others, known, runs_all, adviser };
            Some(Job { name, kind: JobKind::Prepare(Arc::new(raw)) })
        });
        jobs.collect()
    };
    let jobs = Jobs { whole: order.len(), next: Box::new(next) };
    // Files are in the order of what was given, whatever was taught by what.
    let Ran { run, mut outcomes } = stage.run_as_given(order, jobs).await?;
    let (mut rows, mut recipes) = (Vec::new(), Vec::new());
    for (name, outcome) in &mut outcomes {
        let Outcome::Finished(output) = outcome else { continue };
        let JobOutput::Prepared(prepared) = &**output else { continue };
        match prepared {
            Prepared::Ready { instance, recipe } => {
                rows.push(instance.clone());
                let mut row = Map::from_iter([("instance_id".to_owned(), json!(name))]);
                row.extend(recipe.clone());
                recipes.push(row);
            }
            Prepared::Dropped { reason, message, hint } => {
                let fault = Fault::new(Boundary::Task, reason.clone(), message.clone());
                *outcome = Outcome::Failed(Fault { hint: hint.clone(), ..fault });
            }
        }
    }
    let ran = Ran { run, outcomes };
    ran.write_lines("prepared.jsonl", rows)?;
    ran.write_lines("recipes.jsonl", recipes)?;
    ran.close(session)
}

/// The repositories of these instances, and those of the others that are there: they may be
/// submodules.
fn open_repositories(
    raw: &[Instance],
    places: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, Repository>, CommandError> {
    let mut opened = BTreeMap::new();
    for instance in raw {
        if opened.contains_key(&instance.repo) {
            continue;
        }
        let place = places.get(&instance.repo).ok_or_else(|| {
            let message = format!("`{}`: nobody says where `{}` lies", instance.instance_id, instance.repo);
            CommandError::usage(message, format!("say it: --repository {}=FOLDER", instance.repo))
        })?;
        let repository = Repository::open(&format!("{}={}", instance.repo, place.display()))?;
        opened.insert(instance.repo.clone(), repository);
    }
    for (name, place) in places {
        if !opened.contains_key(name)
            && let Ok(repository) = Repository::open(&format!("{name}={}", place.display()))
        {
            opened.insert(name.clone(), repository);
        }
    }
    Ok(opened)
}
