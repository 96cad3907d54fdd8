//! From packages to images.

use std::path::Path;

use serde_json::{Map, json};
use swegym_console::error::CommandError;
use swegym_console::progress::Bar;
use swegym_core::format::results::JobOutput;
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, foundation};
use swegym_tasks::package::PackageSpec;

use super::{Done, Stage, job_name, without_secrets};
use crate::session::Session;

/// Builds every package; writes `images.jsonl`.
pub async fn build(
    session: &Session,
    packages: &[String],
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let settings = &session.settings;
    let known = Map::from_iter([
        ("packages".to_owned(), json!(packages)),
        ("python".to_owned(), json!(settings.install.python)),
        ("roots".to_owned(), json!(settings.install.roots)),
        ("index_url".to_owned(), json!(without_secrets(&settings.packages.index_url))),
        ("exclude_newer".to_owned(), json!(settings.install.exclude_newer)),
        ("test_timeout".to_owned(), json!(settings.run.test_timeout.as_secs())),
    ]);
    let mut jobs: Vec<Job> = Vec::new();
    for text in packages {
        let spec = PackageSpec::parse(text)?;
        let name = match &spec {
            PackageSpec::Index { .. } => job_name(text),
            PackageSpec::Path(path) => {
                let whole = std::fs::canonicalize(path).map_err(|e| CommandError::file("read", path, &e))?;
                job_name(&whole.file_name().unwrap_or_default().to_string_lossy())
            }
        };
        if jobs.iter().any(|j| j.name == name) {
            return Err(CommandError::usage(
                format!("the package `{text}` is named twice"),
                "name each package once",
            ));
        }
        jobs.push(Job { name, kind: JobKind::Build(spec) });
    }
    let stage = Stage::new(session, "build", (folder, open), known);
    let context = stage.context();
    let preparing = Bar::waiting(session.printer, "build", "preparing uv and the interpreter");
    foundation::ready_uv(&context, settings.find_program("uv")).await?;
    foundation::read_roots(&context).await?;
    // Prepared once, before builds ask for it side by side.
    foundation::lay(&context, &foundation::Wanted::default()).await?;
    drop(preparing);
    let ran = stage.run(jobs).await?;
    let rows = ran.outputs().filter_map(|(_, output)| match output {
        JobOutput::Built(row) => Some(row),
        _ => None,
    });
    ran.write_lines("images.jsonl", rows)?;
    ran.close(session)
}
