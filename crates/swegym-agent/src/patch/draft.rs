//! A patch brought up to date without git: where nothing changed but the text of
//! files whose originals are known, only their sections are written anew.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use swegym_sandbox::sandbox::EntryKind;
use swegym_sandbox::{Sandbox, Written};

use super::ground::{File, Ground};
use super::section::is_plain;
use crate::changes::Changes;

/// Largest file that is read for a draft, in bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// Most files of a draft: each is read from the box and looked for in the index,
/// and git reads many together faster.
pub(super) const MANY: usize = 32;

/// As a workspace was when its patch was taken.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    files: Arc<[Written]>,
    rules: u64,
    /// What is not among the files is as in the commit.
    is_all: bool,
}

impl Taken {
    /// `None` where too much is written to remember.
    pub(super) fn of(changes: &Changes, was_fresh: bool) -> Option<Self> {
        let files = changes.files.clone()?;
        // What lay in a folder that was made anew is gone without a trace.
        let is_all = was_fresh && files.iter().all(|w| !w.replaces);
        Some(Self { files, rules: changes.rules, is_all })
    }

    /// Files that were written since; `None` where something else happened, too.
    fn changed<'a>(&self, changes: &'a Changes) -> Option<Vec<&'a Written>> {
        let now = changes.files.as_deref().filter(|_| changes.rules == self.rules)?;
        let mut before: HashMap<&Path, &Written> = self.files.iter().map(|w| (&*w.path, w)).collect();
        let mut changed = Vec::new();
        for written in now {
            let old = before.remove(&*written.path);
            match written.kind {
                _ if old == Some(written) => {}
                EntryKind::File if old.map_or(self.is_all, |old| old.kind == EntryKind::File) => {
                    changed.push(written);
                }
                EntryKind::Folder if old.is_none() && self.is_all && !written.replaces => {}
                _ => return None,
            }
        }
        before.is_empty().then_some(changed)
    }

    /// The patch now, from the one that was taken; `None` where git has to take it.
    pub(super) async fn draft(
        &self,
        sandbox: &dyn Sandbox,
        workspace: &str,
        ground: &Ground,
        changes: &Changes,
        patch: &str,
    ) -> Option<String> {
        let changed = self.changed(changes).filter(|changed| changed.len() <= MANY)?;
        let mut sections = by_path(patch)?;
        for written in changed {
            let name = written.path.strip_prefix(workspace).ok()?.to_str()?;
            match ground.file(name) {
                File::Known(original) if original.executable == written.executable => {
                    let bytes = sandbox.read(written.path.to_str()?, LARGEST).await.ok()?;
                    let section = original.section(name, std::str::from_utf8(&bytes).ok()?)?;
                    sections.insert(name.to_owned().into(), section.into());
                }
                // Git did not want it when it looked.
                File::Absent if self.has(&written.path) && !sections.contains_key(name) => {}
                _ => return None,
            }
        }
        Some(sections.into_values().collect())
    }

    fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|written| written.path == path)
    }

    /// Whether all files of a patch are among those that were written.
    pub(super) fn explains(&self, workspace: &str, patch: &str) -> bool {
        by_path(patch)
            .is_some_and(|sections| sections.keys().all(|name| self.has(&Path::new(workspace).join(&**name))))
    }
}

/// The sections of a patch, in git's order; `None` where a name is not written
/// as it is.
pub(super) fn by_path(patch: &str) -> Option<BTreeMap<Cow<'_, str>, Cow<'_, str>>> {
    super::sections(patch.as_bytes())
        .into_iter()
        .map(|section| {
            let section = std::str::from_utf8(section).ok()?;
            // Both names are the same: renames are not looked for.
            let names = section.lines().next()?.strip_prefix("diff --git a/")?;
            let name = names.get(..names.len().checked_sub(3)? / 2)?;
            let is_whole = names.get(name.len()..)?.strip_prefix(" b/") == Some(name);
            (is_whole && is_plain(name)).then_some((name.into(), section.into()))
        })
        .collect()
}
