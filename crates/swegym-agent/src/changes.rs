//! Whether a box changed since the last look, as numbers to compare.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use swegym_sandbox::sandbox::SCRATCH;
use swegym_sandbox::{Sandbox, SandboxError, Written};

/// Our index in a box.
pub const INDEX: &str = "/tmp/.swegym/index";

/// A file beyond this length, in bytes, is in no patch.
const LARGE: u64 = 32 << 20;

/// What a box's writes come down to. A number differs from an earlier one of
/// the same box where its part of the box does.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The whole box, but for [`SCRATCH`].
    pub everything: u64,
    /// All that can be in a patch: the workspace but for its `.git`.
    pub tree: u64,
    /// Which names there are in the workspace, and what git reads to tell those
    /// that count ([`Self::rules`]): while they are the same, an index has the
    /// right names. `None` where ours ([`INDEX`]) is gone.
    pub names: Option<u64>,
    /// `.gitignore`, `.gitattributes` and the like, `.git/info`, and which files are
    /// [`Self::large`].
    pub rules: u64,
    /// Files of the workspace that are too large for any patch.
    pub large: Vec<PathBuf>,
    /// What [`Self::tree`] is of, where that is not much.
    pub files: Option<Arc<[Written]>>,
}

impl Changes {
    /// Most names in [`Self::files`].
    const FEW: usize = 512;

    /// As a box stands now.
    ///
    /// # Errors
    /// When the box does not say.
    pub async fn look(sandbox: &dyn Sandbox, workspace: &str) -> Result<Self, SandboxError> {
        Ok(Self::of(sandbox.written().await?, Path::new(workspace)))
    }

    fn of(written: Vec<Written>, workspace: &Path) -> Self {
        let mut parts: [DefaultHasher; 4] = Default::default();
        let [everything, tree, names, rules] = &mut parts;
        let git = workspace.join(".git");
        let info = git.join("info");
        let mut has_index = false;
        let in_tree = |path: &Path| path.starts_with(workspace) && !path.starts_with(&git);
        let mut large = Vec::new();
        for Written { path, kind, stamp, size, .. } in &written {
            if path.starts_with(SCRATCH) {
                has_index |= path == Path::new(INDEX);
                continue;
            }
            (path, kind, stamp).hash(everything);
            if in_tree(path) {
                (path, kind, stamp).hash(tree);
                (path, kind).hash(names);
                if *size > LARGE {
                    path.hash(rules);
                    large.push(path.clone());
                }
            }
            if path.starts_with(&info) || in_tree(path) && is_rule(path) {
                (path, kind, stamp).hash(rules);
            }
        }
        let [everything, tree, mut names, rules] = parts;
        let rules = rules.finish();
        names.write_u64(rules);
        let files: Vec<Written> = written.into_iter().filter(|w| in_tree(&w.path)).collect();
        Self {
            everything: everything.finish(),
            tree: tree.finish(),
            names: has_index.then(|| names.finish()),
            rules,
            large,
            files: (files.len() <= Self::FEW).then(|| files.into()),
        }
    }
}

/// Whether git takes what is in a file for a rule about others.
fn is_rule(path: &Path) -> bool {
    path.file_name().map(OsStr::as_bytes).is_some_and(|name| name.starts_with(b".git"))
}
