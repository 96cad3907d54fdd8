//! Work in progress: a folder for each process that uses the store, held by a lock
//! for as long as the process lives. Whoever opens the store takes away the folders
//! that nobody holds. Names of machines and numbers of processes would not do:
//! containers that share a home folder have the same ones.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use super::StoreError;

/// Inside a process's folder, held by it.
const LOCK: &str = "lock";

/// Folders of this process. Where locks are a server's, a process could take its own.
static OWN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// A process's folder. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct Workplace {
    folder: PathBuf,
    next: AtomicU64,
    _held: File,
}

impl Workplace {
    /// Sweeps `all`, and makes a folder in it. Who does so holds the file `turn`, so that
    /// no folder is seen before it is held.
    pub(super) fn make(all: &Path, turn: &Path) -> Result<Self, StoreError> {
        let turn = open_lock(turn).map_err(StoreError::io("open", turn))?;
        // Where there are no locks, nobody sweeps.
        let has_locks = turn.lock().is_ok();
        if has_locks {
            sweep(all);
        }
        let name = format!("{}-{:016x}", std::process::id(), RandomState::new().hash_one(0u8));
        let folder = all.join(name);
        own().insert(folder.clone());
        fs::create_dir(&folder).map_err(StoreError::io("make the folder", &folder))?;
        let held = open_lock(&folder.join(LOCK)).map_err(StoreError::io("make a lock in", &folder))?;
        let _ = held.lock_shared();
        Ok(Self { folder, next: AtomicU64::new(0), _held: held })
    }

    /// A name in the folder that was not given before.
    pub(super) fn new_path(&self) -> PathBuf {
        self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        own().remove(&self.folder);
    }
}

fn own() -> std::sync::MutexGuard<'static, HashSet<PathBuf>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_lock(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Removes what processes left that are gone, killed as a rule.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let path = entry.path();
        if own().contains(&path) {
            continue;
        }
        let is_held = match File::open(path.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_err(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if !is_held {
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::TryLockError;

    use super::*;

    #[test]
    fn what_nobody_holds_is_swept_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let (all, turn) = (&home.path().join("tmp"), &home.path().join("turn"));
        fs::create_dir(all).unwrap();
        let own = Workplace::make(all, turn).unwrap();
        fs::write(own.new_path(), "mine").unwrap();
        // Another process's, alive: its lock is held.
        let alive = all.join("7-alive");
        fs::create_dir(&alive).unwrap();
        let held = open_lock(&alive.join(LOCK)).unwrap();
        held.lock_shared().unwrap();
        // Of the same number as a process that lives, and gone all the same.
        let dead = all.join(format!("{}-dead", std::process::id()));
        fs::create_dir_all(dead.join("deep")).unwrap();
        drop(open_lock(&dead.join(LOCK)).unwrap());
        fs::write(all.join("loose"), "left").unwrap();
        let other = Workplace::make(all, turn).unwrap();
        assert!(own.folder.join("0").exists() && alive.exists() && other.folder.exists());
        assert!(!dead.exists() && !all.join("loose").exists());
        assert!(matches!(open_lock(&alive.join(LOCK)).unwrap().try_lock(), Err(TryLockError::WouldBlock)));
        // A program that another test starts may have the descriptor for a moment.
        held.unlock().unwrap();
        drop(Workplace::make(all, turn).unwrap());
        assert!(!alive.exists());
        let folder = own.folder.clone();
        drop(own);
        assert!(!folder.exists());
    }
}
