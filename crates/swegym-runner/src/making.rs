//! Environments that are being made, so that nobody makes one twice at once.

use std::collections::HashMap;
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
