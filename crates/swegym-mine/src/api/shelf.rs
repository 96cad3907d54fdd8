//! What was fetched, on disk: one file for each request, so that a mining that was killed
//! goes on where it was, and a later one asks only for what has changed.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_core::Digest;

/// The file that says which mining is under way.
const STATE: &str = "state.json";

/// The folder of one repository.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Counts the minings: what was fetched in this one is not asked for again.
    round: u64,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    /// The host's mark of this state of it.
    pub(super) etag: Option<String>,
    /// Where the list goes on.
    pub(super) next: Option<String>,
    pub(super) body: Value,
    /// Whether it was fetched in this mining.
    pub(super) is_current: bool,
}

impl Shelf {
    /// Opens it. A mining that did not come to its end is gone on with.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        swegym_files::remove_drafts(folder)?;
        let state = read(&folder.join(STATE)).unwrap_or_default();
        let last = state.get("round").and_then(Value::as_u64).unwrap_or_default();
        let is_over = state.get("complete").and_then(Value::as_bool).unwrap_or(true);
        let shelf = Self { folder: folder.to_owned(), round: last.saturating_add(u64::from(is_over)) };
        shelf.note(false)?;
        Ok(shelf)
    }

    /// Says that the mining came to its end: the next one asks anew.
    pub(super) fn complete(&self) -> io::Result<()> {
        self.note(true)
    }

    fn note(&self, complete: bool) -> io::Result<()> {
        let state = json!({"version": 1, "round": self.round, "complete": complete});
        swegym_files::write_whole(&self.folder.join(STATE), format!("{state}\n").as_bytes())
    }

    /// What was fetched for this request. A damaged file is none.
    pub(super) fn get(&self, request: &str) -> Option<Kept> {
        let mut entry = read(&self.path(request))?;
        let is_this = entry["version"] == 1 && entry["request"] == request;
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        let (etag, next) = (text("etag"), text("next"));
        let is_current = entry["round"] == self.round;
        is_this.then(|| Kept { etag, next, body: entry["body"].take(), is_current })
    }

    /// Keeps an answer.
    pub(super) fn put(
        &self,
        request: &str,
        etag: Option<&str>,
        next: Option<&str>,
        body: &Value,
    ) -> io::Result<()> {
        let entry = json!({
            "version": 1, "round": self.round, "request": request, "etag": etag, "next": next, "body": body,
        });
        swegym_files::write_whole(&self.path(request), format!("{entry}\n").as_bytes())
    }

    pub(super) fn path(&self, request: &str) -> PathBuf {
        self.folder.join(format!("{}.json", &Digest::of(request.as_bytes()).hex()[..32]))
    }
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mining_that_did_not_end_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let first = Shelf::open(folder.path()).unwrap();
        first.put("GET /a", Some("\"x\""), Some("/b"), &json!([1])).unwrap();
        assert_eq!(first.get("GET /b"), None);
        drop(first);
        let resumed = Shelf::open(folder.path()).unwrap();
        let kept = resumed.get("GET /a").unwrap();
        assert!(kept.is_current && kept.next.as_deref() == Some("/b") && kept.body == json!([1]));
        resumed.complete().unwrap();
        let later = Shelf::open(folder.path()).unwrap();
        assert!(!later.get("GET /a").unwrap().is_current);
        std::fs::write(later.path("GET /a"), "{\"version\": 1, ").unwrap();
        assert_eq!(later.get("GET /a"), None);
    }
}
