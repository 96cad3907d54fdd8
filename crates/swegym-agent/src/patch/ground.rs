//! How a repository stands before anybody works in it: what all attempts at an
//! instance would find out one after another, found out once.
//!
//! Nothing in it is taken on the word of an agent: the index is copied before
//! one begins, and a file's text is only kept if the index has its hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::index::{self, Blob};
use super::section::{Original, is_plain};

/// Of one image and commit.
#[derive(Debug, Default)]
pub struct Ground {
    index: OnceLock<Vec<u8>>,
    /// The tree is that of the commit, but for what no patch holds.
    is_clean: OnceLock<()>,
    files: Mutex<HashMap<String, File>>,
}

/// What is known of a name.
#[derive(Debug, Clone)]
pub(super) enum File {
    /// The commit has no such file.
    Absent,
    /// Git has to say.
    Other,
    /// The commit has it; git has not yet shown it.
    Unseen(Blob),
    Known(Arc<Original>),
}

impl Ground {
    /// The index, with notes on files that save reading them again.
    pub(super) fn index(&self) -> Option<&[u8]> {
        self.index.get().map(Vec::as_slice)
    }

    /// Keeps an index that no agent has touched.
    pub(super) fn keep_index(&self, index: Vec<u8>) {
        // Another attempt's is as good.
        let _ = self.index.set(index);
    }

    pub(super) fn is_clean(&self) -> bool {
        self.is_clean.get().is_some()
    }

    pub(super) fn note_clean(&self) {
        let _ = self.is_clean.set(());
    }

    pub(super) fn file(&self, path: &str) -> File {
        if let Some(file) = self.files().get(path) {
            return file.clone();
        }
        match self.index().and_then(|index| index::find(index, path)) {
            Some(Some(blob)) if is_plain(path) => {
                self.files().insert(path.to_owned(), File::Unseen(blob));
                File::Unseen(blob)
            }
            // These are not kept: there is no end to names that agents give.
            Some(None) => File::Absent,
            _ => File::Other,
        }
    }

    /// Learns of a file what git shows of it, once.
    pub(super) fn learn(&self, path: &str, blob: Blob, section: &str, now: &str) {
        let file = match Original::learn(path, blob, section, now) {
            Some(original) => File::Known(Arc::new(original)),
            None => File::Other,
        };
        self.files().insert(path.to_owned(), file);
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The grounds that attempts stand on just now, by instance.
#[derive(Debug, Default)]
pub struct Grounds(Mutex<HashMap<String, Weak<Ground>>>);

impl Grounds {
    /// An instance's; a new one where nobody works on it.
    #[must_use]
    pub fn of(&self, instance_id: &str) -> Arc<Ground> {
        let mut grounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ground) = grounds.get(instance_id).and_then(Weak::upgrade) {
            return ground;
        }
        grounds.retain(|_, ground| ground.strong_count() > 0);
        let ground = Arc::new(Ground::default());
        grounds.insert(instance_id.to_owned(), Arc::downgrade(&ground));
        ground
    }
}
