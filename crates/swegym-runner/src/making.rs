//! What is being made or fetched, so that nobody does it twice at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use swegym_core::Digest;

/// Names of environments that are being made in this process, so that nobody makes one twice.
#[derive(Debug, Default)]
pub struct Making(Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>);

impl Making {
    /// The turn of whoever makes it next.
    pub(crate) fn turn(&self, key: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(key).or_default())
    }
}

/// What came of fetching each version of Python in this process: why there is none, or nothing.
#[derive(Debug, Default)]
pub struct Fetched(tokio::sync::Mutex<BTreeMap<String, Option<String>>>);

impl Fetched {
    /// The turn of whoever fetches next.
    pub(crate) async fn turn(&self) -> tokio::sync::MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.0.lock().await
    }
}
