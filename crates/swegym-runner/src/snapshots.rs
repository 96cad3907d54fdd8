//! The snapshots of boxes that records of runs name.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use swegym_core::Hint;
use swegym_core::format::{FormatError, record};
use swegym_core::record::RecordEvent;
use swegym_sandbox::store::LayerId;
use thiserror::Error;

/// Why it is not known which snapshots a run names.
#[derive(Debug, Error)]
pub enum SnapshotsError {
    /// A record is damaged, or newer.
    #[error("a record is damaged")]
    Format(#[from] FormatError),
    /// The file system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl Hint for SnapshotsError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("nothing was taken away; move the run that is damaged out of its folder, and try again".into())
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> SnapshotsError {
    let path = path.to_owned();
    move |source| SnapshotsError::Io { path, source }
}

/// Layers that a run's attempts may be taken up or forked from. Where
/// `unfinished` says so, only those of attempts that are not over.
///
/// # Errors
/// See [`SnapshotsError`]: whoever does not know all of them must not remove any.
pub fn named_by(run: &Path, unfinished: bool) -> Result<HashSet<LayerId>, SnapshotsError> {
    let mut layers = HashSet::new();
    for folder in entries(&run.join("trajectories"))? {
        for file in entries(&folder)? {
            let text = fs::read(&file).map_err(io_error(&file))?;
            let read = record::read(&file.to_string_lossy(), &String::from_utf8_lossy(&text))?;
            let is_over = read.entries.iter().any(|e| matches!(e.event, RecordEvent::Ended { .. }));
            if unfinished && is_over {
                continue;
            }
            for entry in read.entries {
                if let RecordEvent::Stepped { standing, .. } = entry.event {
                    layers.extend(standing.layers.unwrap_or_default().into_iter().map(LayerId));
                }
            }
        }
    }
    Ok(layers)
}

/// What is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, SnapshotsError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => {
            let paths = read.map_err(io_error(folder))?.map(|entry| entry.map(|e| e.path()));
            paths.collect::<Result<_, _>>().map_err(io_error(folder))
        }
    }
}
