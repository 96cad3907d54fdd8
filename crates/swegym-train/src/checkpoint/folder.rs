//! Folders and files that appear whole or not at all.

use std::fs::{self, File};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::CheckpointError;

/// How the names of drafts begin.
const DRAFT: &str = ".draft-";

/// Writes a file and waits until the disk has it.
///
/// # Errors
/// It cannot be written.
pub fn write_synced(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    swegym_files::write_synced(path, content).map_err(|e| CheckpointError::io("write", path, e))
}

/// Fills a draft beside `folder`, syncs it, and puts it in its place. If
/// `fill` fails, the draft is removed and the folder is as it was.
///
/// # Errors
/// `fill` failed, or the folder cannot be replaced.
pub fn replace_folder<E: From<CheckpointError>>(
    folder: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| CheckpointError::io("make the folder", parent, e))?;
    let draft = tempfile::Builder::new()
        .prefix(DRAFT)
        .tempdir_in(parent)
        .map_err(|e| CheckpointError::io("make a folder in", parent, e))?;
    fill(draft.path())?;
    sync_folder(draft.path())?;
    if folder.exists() {
        // Both names change in one step, so that a kill at any moment leaves
        // the old folder or the new one. The old one goes with the draft.
        renameat_with(CWD, draft.path(), CWD, folder, RenameFlags::EXCHANGE)
            .map_err(|e| CheckpointError::io("replace", folder, e.into()))?;
        sync_folder(parent)?;
        return draft
            .close()
            .map_err(|e| CheckpointError::io("remove what was replaced by", folder, e).into());
    }
    fs::rename(draft.keep(), folder).map_err(|e| CheckpointError::io("write", folder, e))?;
    Ok(sync_folder(parent)?)
}

/// Removes the drafts that a killed process left in a folder.
///
/// # Errors
/// The folder cannot be read, or a draft not be removed.
pub fn remove_drafts(folder: &Path) -> Result<(), CheckpointError> {
    swegym_files::remove_drafts(folder).map_err(|e| CheckpointError::io("remove drafts in", folder, e))?;
    for entry in
        fs::read_dir(folder).map_err(|e| CheckpointError::io("read the folder", folder, e))?.flatten()
    {
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(|e| CheckpointError::io("remove", &path, e))?;
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| CheckpointError::io("sync", folder, e))
}
