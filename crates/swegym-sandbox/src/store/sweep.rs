//! Space given back: layers that nobody names any longer, and the files that
//! only they had.
//!
//! Lists go before trees and files, so that whatever moment the process dies at,
//! a layer that has a list has all of its files.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use swegym_core::Digest;

use super::layer::Line;
use super::{LayerId, Store, StoreError};

/// What a sweep takes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Layers.
    pub layers: u64,
    /// Files of the store.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
}

fn sweep(store: &Store, wanted: &HashSet<LayerId>, removes: bool) -> Result<Swept, StoreError> {
    let mut kept: HashSet<String> = wanted.iter().map(|layer| layer.0.short()).collect();
    for (_, image) in store.images()? {
        kept.extend(image.layers.iter().copied().chain(image.base.layers()).map(|layer| layer.0.short()));
    }
    let mut swept = Swept::default();
    let mut objects = HashSet::new();
    let mut trees = Vec::new();
    for entry in entries(&store.home.join("store/layers"))? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.strip_suffix(".list") {
            Some(layer) if kept.contains(layer) => {
                let list = fs::read(&entry).map_err(StoreError::io("read", &entry))?;
                for line in Line::all(&list) {
                    objects.extend(line.ok_or_else(|| StoreError::Layer(entry.clone()))?.object());
                }
            }
            Some(_) => {
                swept.layers += 1;
                if removes {
                    fs::remove_file(&entry).map_err(StoreError::io("remove", &entry))?;
                }
            }
            None if !kept.contains(&name) => trees.push(entry),
            None => {}
        }
    }
    if removes {
        for tree in trees {
            // Moved away first: half a tree must not be taken for a layer.
            let work = store.work_folder()?;
            fs::rename(&tree, work.path().join("tree")).map_err(StoreError::io("move away", &tree))?;
        }
    }
    for folder in entries(&store.home.join("store/objects"))? {
        for object in entries(&folder)? {
            let name = object.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if objects.contains(&name) {
                continue;
            }
            let metadata = fs::symlink_metadata(&object).map_err(StoreError::io("read", &object))?;
            swept.files += 1;
            swept.bytes += metadata.len();
            if removes {
                fs::remove_file(&object).map_err(StoreError::io("remove", &object))?;
            }
        }
    }
    Ok(swept)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = fs::read_dir(folder).map_err(StoreError::io("read the folder", folder))?;
    let paths = read.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>();
    paths.map_err(StoreError::io("read the folder", folder))
}

impl Store {
    /// Takes away the layers that neither an image nor `wanted` has, and the
    /// files that only they had; only counts them where `removes` is false.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where others use the store; an image that cannot be
    /// read; when something cannot be removed.
    pub fn sweep(&self, wanted: &HashSet<LayerId>, removes: bool) -> Result<Swept, StoreError> {
        if removes && self.lock.try_lock().is_err() {
            return Err(StoreError::Busy(self.home.clone()));
        }
        sweep(self, wanted, removes)
    }

    fn note(&self, run: &Path) -> PathBuf {
        self.home.join("store/runs").join(Digest::of(run.as_os_str().as_bytes()).short())
    }

    /// Notes that the records of a run name layers.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_run(&self, run: &Path) -> Result<(), StoreError> {
        let run = std::path::absolute(run).map_err(StoreError::io("find", run))?;
        let note = self.note(&run);
        swegym_files::write_whole(&note, run.as_os_str().as_bytes()).map_err(StoreError::io("write", &note))
    }

    /// The folders of [`Self::note_run`], in order; some may be gone by now.
    ///
    /// # Errors
    /// When a note cannot be read.
    pub fn runs(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut runs = Vec::new();
        for note in entries(&self.home.join("store/runs"))? {
            let bytes = fs::read(&note).map_err(StoreError::io("read", &note))?;
            runs.push(OsString::from_vec(bytes).into());
        }
        runs.sort();
        Ok(runs)
    }

    /// Takes a note of [`Self::note_run`] back.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_run(&self, run: &Path) -> Result<(), StoreError> {
        let note = self.note(run);
        fs::remove_file(&note).map_err(StoreError::io("remove", &note))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(store: &Store, files: &[(&str, &str)]) -> LayerId {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        store.import_folder(folder.path()).unwrap()
    }

    #[test]
    fn what_is_wanted_stays_whole() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let wanted = layer(&store, &[("a", "shared"), ("b", "kept")]);
        let other = layer(&store, &[("a", "shared"), ("c", "only here")]);
        let (tree, gone) = (store.layer_folder(wanted).unwrap(), store.layer_folder(other).unwrap());
        let keep = HashSet::from([wanted]);
        let expected = Swept { layers: 1, files: 1, bytes: 9 };
        assert_eq!(store.sweep(&keep, false).unwrap(), expected);
        assert!(home.path().join(&gone).exists());
        assert_eq!(store.sweep(&keep, true).unwrap(), expected);
        assert_eq!(store.sweep(&keep, true).unwrap(), Swept::default());
        assert!(!home.path().join(gone).exists() && store.layer_folder(other).is_err());
        fs::remove_dir_all(home.path().join(&tree)).unwrap();
        store.layer_folder(wanted).unwrap();
        assert_eq!(fs::read_to_string(home.path().join(tree).join("b")).unwrap(), "kept");
    }

    #[test]
    fn nothing_is_swept_under_another_ones_feet() {
        let home = tempfile::tempdir().unwrap();
        let (store, other) = (Store::open(home.path()).unwrap(), Store::open(home.path()).unwrap());
        assert!(matches!(store.sweep(&HashSet::new(), true), Err(StoreError::Busy(_))));
        drop(other);
        store.sweep(&HashSet::new(), true).unwrap();
    }

    #[test]
    fn runs_are_known_until_they_are_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let run = Path::new("/some/run");
        store.note_run(run).unwrap();
        store.note_run(run).unwrap();
        assert_eq!(store.runs().unwrap(), [run]);
        store.forget_run(run).unwrap();
        assert!(store.runs().unwrap().is_empty());
    }
}
