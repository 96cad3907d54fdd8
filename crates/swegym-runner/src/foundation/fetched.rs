//! Interpreters that uv fetches, where the user allows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_core::Fault;
use swegym_sandbox::tool;

use super::{Wanted, interpreter};
use crate::context::{Context, InstallSettings};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Fetches the interpreter that fits best, unless the machine has one of its version. Gives why
/// it is not there now.
pub(super) async fn fetch(
    context: &Context,
    install: &InstallSettings,
    wanted: &Wanted,
) -> Result<Option<String>, Fault> {
    let (asked_install, asked) = (install.clone(), wanted.clone());
    let best = tokio::task::spawn_blocking(move || interpreter::best_of_all(&asked_install, &asked));
    let Some((version, false)) = best.await.map_err(|e| super::internal(&e))? else { return Ok(None) };
    let mut fetched = context.fetched.turn().await;
    if let Some(known) = fetched.get(&version) {
        return Ok(known.clone());
    }
    let home = context.host.store().home().to_owned();
    let (uv, place, of) = (home.join("tools/uv"), folder(&home), version.clone());
    let done = tokio::task::spawn_blocking(move || by_uv(&uv, &place, &of));
    let refusal = done.await.map_err(|e| super::internal(&e))?.err();
    fetched.insert(version, refusal.clone());
    Ok(refusal)
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
