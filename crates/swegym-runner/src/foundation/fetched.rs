//! Interpreters that uv fetches, where the user allows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_core::Fault;
use swegym_sandbox::tool;

use super::{Wanted, interpreter};
use crate::context::{Context, InstallSettings};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fetches the interpreter that fits best of those that uv knows, unless the machine has a
/// better one. Gives why the very best is not there now.
pub(super) async fn fetch(
    context: &Context,
    install: &InstallSettings,
    wanted: &Wanted,
) -> Result<Option<String>, Fault> {
    let (asked_install, asked) = (install.clone(), wanted.clone());
    let better =
        tokio::task::spawn_blocking(move || interpreter::better_than_here(&asked_install, &asked)).await;
    let mut first = None;
    for version in better.map_err(|e| super::internal(&e))? {
        let mut fetched = context.fetched.turn().await;
        let known = match fetched.get(&version) {
            Some(known) => known.clone(),
            None => {
                let home = context.host.store().home().to_owned();
                let (uv, place, of) = (home.join("tools/uv"), folder(&home), version.clone());
                let done = tokio::task::spawn_blocking(move || by_uv(&uv, &place, &of)).await;
                done.map_err(|e| super::internal(&e))?.err()
            }
        };
        fetched.insert(version, known.clone());
        match known {
            None => break,
            Some(refusal) => first = first.or(Some(refusal)),
        }
    }
    Ok(first)
}

/// uv checks what it fetches, and takes its addresses from its own variables.
fn by_uv(uv: &Path, place: &Path, version: &str) -> Result<(), String> {
    let place = place.to_string_lossy();
    let words = ["python", "install", "-q", "--no-bin", "--no-config", "--install-dir", &place, version];
    match tool::run(uv, words, PATIENCE) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("uv cannot fetch Python {version}: {error}")),
    }
}

/// The folder of a home in which they lie.
#[must_use]
pub fn folder(home: &Path) -> PathBuf {
    home.join("tools/python")
}
