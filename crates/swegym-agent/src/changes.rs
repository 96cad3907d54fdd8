//! Whether a box changed since the last look, as numbers to compare.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use swegym_sandbox::sandbox::SCRATCH;
use swegym_sandbox::{Sandbox, SandboxError, Written};

use crate::patch::INDEX;

/// What a box's writes come down to. A number differs from an earlier one of
/// the same box where its part of the box does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// The whole box, but for [`SCRATCH`].
    pub everything: u64,
    /// All that can be in a patch: the workspace but for its `.git`.
    pub tree: u64,
    /// Which names there are in the workspace, and what git reads to tell those
    /// that count (`.gitignore`, `.git/info/exclude`): while they are the same,
    /// an index has the right names. `None` where ours ([`INDEX`]) is gone.
    pub names: Option<u64>,
}

impl Changes {
    /// As a box stands now.
    ///
    /// # Errors
    /// When the box does not say.
    pub async fn look(sandbox: &dyn Sandbox, workspace: &str) -> Result<Self, SandboxError> {
        Ok(Self::of(&sandbox.written().await?, Path::new(workspace)))
    }

    fn of(written: &[Written], workspace: &Path) -> Self {
        let mut parts: [DefaultHasher; 3] = Default::default();
        let [everything, tree, names] = &mut parts;
        let git = workspace.join(".git");
        let rules = git.join("info");
        let mut has_index = false;
        for Written { path, kind, stamp } in written {
            if path.starts_with(SCRATCH) {
                has_index |= path == Path::new(INDEX);
                continue;
            }
            (path, kind, stamp).hash(everything);
            if path.starts_with(workspace) && !path.starts_with(&git) {
                (path, kind, stamp).hash(tree);
                (path, kind).hash(names);
                if is_rule(path) {
                    stamp.hash(names);
                }
            } else if path.starts_with(&rules) {
                (path, kind, stamp).hash(names);
            }
        }
        let [everything, tree, names] = parts.map(|hasher| hasher.finish());
        Self { everything, tree, names: has_index.then_some(names) }
    }
}

/// Whether git takes what is in a file for a rule about others.
fn is_rule(path: &Path) -> bool {
    path.file_name().map(OsStr::as_bytes).is_some_and(|name| name.starts_with(b".git"))
}
