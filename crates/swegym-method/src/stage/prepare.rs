//! From raw instances to those that can be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, json};
use swegym_console::error::CommandError;
use swegym_console::progress::Bar;
use swegym_core::format::instances;
use swegym_core::format::results::{JobOutput, Prepared};
use swegym_core::{Digest, Instance};
use swegym_mine::Repository;
use swegym_runner::build::Raw;
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, foundation};

use super::{Done, Stage, without_secrets};
use crate::session::Session;

/// Makes an image for each raw instance, and the lists of its tests; writes `prepared.jsonl`
/// and, a row each, `recipes.jsonl`.
pub async fn prepare(
    session: &Session,
    raw: Vec<Instance>,
    places: &BTreeMap<String, PathBuf>,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let settings = &session.settings;
    let known = Map::from_iter([
        ("python".to_owned(), json!(settings.install.python)),
        ("index_url".to_owned(), json!(without_secrets(&settings.packages.index_url))),
        ("npm_registry".to_owned(), json!(without_secrets(&settings.packages.npm_registry))),
        ("crates_index".to_owned(), json!(without_secrets(&settings.packages.crates_index))),
        ("go_proxy".to_owned(), json!(without_secrets(&settings.packages.go_proxy))),
        ("exclude_newer".to_owned(), json!(settings.install.exclude_newer)),
        ("test_timeout".to_owned(), json!(settings.run.test_timeout.as_secs())),
    ]);
    let repositories = open_repositories(&raw, places)?;
    let text: String = raw.iter().map(instances::write_row).collect();
    let jobs = raw.into_iter().filter_map(|instance| {
        let repository = repositories.get(&instance.repo)?.clone();
        let name = instance.instance_id.to_string();
        Some(Job { name, kind: JobKind::Prepare(Arc::new(Raw { instance, repository })) })
    });
    let jobs: Vec<Job> = jobs.collect();
    let inputs = vec![Digest::of(text.as_bytes())];
    let stage = Stage { inputs, ..Stage::new(session, "prepare", (folder, open), known) };
    let context = stage.context();
    let preparing = Bar::waiting(session.printer, "prepare", "preparing uv");
    foundation::ready_uv(&context, settings.find_program("uv")).await?;
    drop(preparing);
    let ran = stage.run(jobs).await?;
    let (mut rows, mut recipes) = (Vec::new(), Vec::new());
    for (name, output) in ran.outputs() {
        let JobOutput::Prepared(Prepared { instance, recipe }) = output else { continue };
        rows.push(instance);
        let mut row = Map::from_iter([("instance_id".to_owned(), json!(name))]);
        row.extend(recipe.clone());
        recipes.push(row);
    }
    ran.write_lines("prepared.jsonl", rows)?;
    ran.write_lines("recipes.jsonl", recipes)?;
    ran.close(session)
}

/// The repositories of these instances.
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
    Ok(opened)
}
