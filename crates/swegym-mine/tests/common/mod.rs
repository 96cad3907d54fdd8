//! The repository that `forge.sh` makes, and a host with an API.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses a part of this"
)]

pub mod host;

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_sandbox::tool;

pub const PATIENCE: Duration = Duration::from_secs(120);

/// The repository that `forge.sh` makes.
pub struct Forge {
    pub folder: tempfile::TempDir,
}

impl Forge {
    pub fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forge.sh");
        let words = [script.as_os_str(), folder.path().join("work").as_os_str()].map(ToOwned::to_owned);
        tool::run("bash", words, PATIENCE).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn git(&self, words: &[&str]) -> String {
        let folder = self.path().to_string_lossy().into_owned();
        let line = ["-C", &folder].into_iter().chain(words.iter().copied());
        String::from_utf8(tool::run("git", line, PATIENCE).unwrap()).unwrap()
    }
}
