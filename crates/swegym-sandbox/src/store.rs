//! The content-addressed store: files once, layers as trees of links to them.
//!
//! ```text
//! $SWEGYM_HOME/
//!   store/objects/ab/<sha256>[x]   one file's bytes (`x`: executable)
//!   store/layers/<digest>.list     what a layer holds; the digest is over it
//!   store/layers/<digest>/         the same as a tree, an overlay's lower folder, once a box needed it
//!   store/images/<digest>.json     ordered layers and how to start on them
//!   store/runs/<digest>            the folder of a run whose records name layers
//!   store/lock                     held by everybody who uses the store, and alone by who sweeps it
//!   store/turn                     held by who makes a folder in tmp/, or takes away those of the dead
//!   cache/                         what was fetched, and notes that save work; no box sees it
//!   mnt/                           mount point of every box, in its own mount namespace
//!   tmp/                           work in progress, a folder for each process (`store/work.rs`)
//! ```
//!
//! A file that two layers share takes its space once. Layers are normalised
//! (modes, times, owner), so equal content has an equal digest wherever it
//! was made.

mod freezer;
mod images;
mod layer;
mod sweep;
mod work;

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use swegym_core::id::IdError;
use swegym_core::{Hint, Trouble};
use thiserror::Error;

pub(crate) use freezer::{Freezer, path_of};
pub use layer::{LayerId, LayerStats};
pub use sweep::Swept;
use work::Workplace;

use crate::image::ImageError;

/// What can go wrong with the store.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// In words.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// No such image or layer.
    #[error("{kind} `{id}` is not in the store at `{}`", store.display())]
    Missing {
        /// `image` or `layer`.
        kind: &'static str,
        /// As asked for.
        id: String,
        /// Where it was looked for.
        store: PathBuf,
    },
    /// An image file that cannot be read.
    #[error("the image file `{}` is damaged", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ImageError,
    },
    /// A layer whose list is not what was written.
    #[error("the list of a layer, `{}`, is damaged", .0.display())]
    Layer(PathBuf),
    /// The store is somebody else's: files that we make in it its owner could not touch.
    #[error("the store at `{}` belongs to user {owner}, and this is user {user}", home.display())]
    Foreign {
        /// Its home folder.
        home: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who this is.
        user: u32,
    },
    /// An archive holds what must not be unpacked.
    #[error("the archive `{}` cannot be unpacked", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// It can only be swept by who uses it alone.
    #[error("another swegym uses the store at `{}`", .0.display())]
    Busy(PathBuf),
    /// A layer that claims more than a layer may hold.
    #[error("there is more to keep than may be kept: {0}")]
    TooMuch(&'static str),
    /// Not a digest.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl Hint for StoreError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Option<String> = match self {
            Self::Io { source, path, .. } if source.kind() == io::ErrorKind::StorageFull => Some(format!(
                "no space left: free some under `{}`, or set SWEGYM_HOME to a larger disk",
                path.display()
            )),
            Self::Io { source, .. } if matches!(source.raw_os_error(), Some(libc::ENOTSUP | libc::EOVERFLOW)) => {
                Some(
                    "the file system there keeps no extended attributes or cannot name this user (NFS, as a rule): \
                     set SWEGYM_HOME to a folder on a disk of this machine; runs may stay where they are"
                        .into(),
                )
            }
            Self::Foreign { owner, .. } => Some(format!(
                "run it as that user (`setpriv --reuid={owner} …`, `sudo -u`), or set SWEGYM_HOME or --home to a \
                 folder of your own"
            )),
            Self::Layer(path) => Some(format!(
                "the disk or a copy went wrong: remove `{}`, and build the image again with `swegym build`",
                path.display()
            )),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("set SWEGYM_HOME to a folder that this user owns".into())
            }
            Self::Missing { kind: "image", .. } => Some(
                "build it here with `swegym build`, or point SWEGYM_HOME at the store that has it".into(),
            ),
            Self::Missing { .. } | Self::Image { .. } => {
                Some("build the image again with `swegym build`".into())
            }
            Self::Busy(_) => Some("wait until every other swegym with this --home has ended".into()),
            Self::Io { .. } | Self::Archive { .. } | Self::TooMuch(_) | Self::Id(_) => None,
        };
        hint.map(Cow::Owned)
    }

    /// A store that is somebody else's was named by mistake.
    fn trouble(&self) -> Trouble {
        let is_denied = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
        match self {
            Self::Foreign { .. } => Trouble::Usage,
            Self::Io { source, .. } if is_denied(source) => Trouble::Usage,
            _ => Trouble::Infrastructure,
        }
    }
}

/// The store under one home folder.
#[derive(Debug, Clone)]
pub struct Store {
    home: PathBuf,
    lock: Arc<fs::File>,
    work: Arc<Workplace>,
}

impl Store {
    /// Opens the store, making its folders.
    ///
    /// # Errors
    /// [`StoreError::Foreign`]; when the folders cannot be made.
    pub fn open(home: &Path) -> Result<Self, StoreError> {
        let home = std::path::absolute(home).map_err(StoreError::io("find", home))?;
        check_owner(&home)?;
        for folder in
            ["store/objects", "store/layers", "store/images", "store/runs", "mnt", "tmp", "cache", "tools"]
        {
            let path = home.join(folder);
            fs::create_dir_all(&path).map_err(StoreError::io("make the folder", &path))?;
        }
        // Boxes reach the layers as another user when swegym runs as root.
        let open = fs::Permissions::from_mode(0o755);
        for folder in ["", "store", "store/layers", "mnt"] {
            let path = home.join(folder);
            fs::set_permissions(&path, open.clone()).map_err(StoreError::io("open up", &path))?;
        }
        let work = Arc::new(Workplace::make(&home.join("tmp"), &home.join("store/turn"))?);
        let lock = home.join("store/lock");
        let open = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let file = open.map_err(StoreError::io("open", &lock))?;
        // Whoever sweeps is waited for; where there are no locks, nobody sweeps.
        let _ = file.lock_shared();
        Ok(Self { home, lock: Arc::new(file), work })
    }

    /// The folder everything is under.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// A fresh folder for work in progress, on the same file system.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work_folder(&self) -> Result<WorkFolder, StoreError> {
        let path = self.work.new_path();
        fs::create_dir_all(&path).map_err(StoreError::io("make the folder", &path))?;
        Ok(WorkFolder { path })
    }

    /// Freezes a folder into a layer. Its files are copied, never linked.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn import_folder(&self, folder: &Path) -> Result<LayerId, StoreError> {
        self.import_folder_at(folder, "/", |_| true)
    }

    /// Freezes a folder so that it stands at `at` in the box, with only the
    /// entries (paths relative to the folder) that `keep` wants.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub fn import_folder_at(
        &self,
        folder: &Path,
        at: &str,
        keep: impl Fn(&Path) -> bool,
    ) -> Result<LayerId, StoreError> {
        freezer::freeze_folder(self, folder, Path::new(at.trim_start_matches('/')), &keep)
    }

    /// Unpacks a root file system (`.tar`, `.tar.gz`) into a layer. Entries
    /// that would land outside are refused; devices are left out.
    ///
    /// # Errors
    /// When the archive is damaged or hostile, or something cannot be written.
    pub fn import_tarball(&self, archive: &Path) -> Result<LayerId, StoreError> {
        let damaged = |source| StoreError::Archive { path: archive.to_owned(), source };
        let file = fs::File::open(archive).map_err(StoreError::io("open", archive))?;
        let work = self.work_folder()?;
        let name = archive.to_string_lossy();
        let reader: Box<dyn io::Read> = if name.ends_with("gz") {
            Box::new(flate2::read::MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut tar = tar::Archive::new(reader);
        tar.set_preserve_permissions(true);
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let kind = entry.header().entry_type();
            if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
                continue;
            }
            // `false` means that the entry's path leaves the folder.
            if !entry.unpack_in(work.path()).map_err(damaged)? {
                return Err(damaged(io::Error::other("an entry's path leaves the archive")));
            }
        }
        self.import_folder(work.path())
    }

    /// The folder of a layer, relative to the home folder. It is made when it
    /// is asked for the first time.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; when it cannot be made.
    pub fn layer_folder(&self, id: LayerId) -> Result<String, StoreError> {
        let relative = format!("store/layers/{}", id.0.short());
        let place = self.home.join(&relative);
        if place.is_dir() || layer::lay_out(self, id, &place)? {
            return Ok(relative);
        }
        Err(StoreError::Missing { kind: "layer", id: id.0.short(), store: self.home.join("store") })
    }

    /// Whether trees of layers can be made here.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn try_layer(&self) -> Result<(), StoreError> {
        layer::try_out(self)
    }

    /// How much a layer holds.
    ///
    /// # Errors
    /// When its list cannot be read.
    pub fn layer_stats(&self, id: LayerId) -> Result<LayerStats, StoreError> {
        layer::stats(self, id)
    }
}

/// Files in a store are their maker's, and boxes of two users cannot share them.
fn check_owner(home: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = fs::metadata(home.join("store")) else { return Ok(()) };
    let (owner, user) = (metadata.uid(), crate::sys::effective_ids().0);
    // A server may give root's files to another user.
    let is_given = || {
        let probe = home.join(format!("store/.owner-{}", std::process::id()));
        let made = fs::File::create(&probe).and_then(|file| file.metadata());
        let _ = fs::remove_file(&probe);
        made.is_ok_and(|made| made.uid() == owner)
    };
    if owner == user || is_given() {
        return Ok(());
    }
    Err(StoreError::Foreign { home: home.to_owned(), owner, user })
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
}

impl WorkFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_its_owners_alone() {
        let home = tempfile::tempdir().unwrap();
        drop(Store::open(home.path()).unwrap());
        assert!(Store::open(home.path()).is_ok());
        let user = crate::sys::effective_ids().0;
        if user != 0 {
            // Only root can give a folder away.
            return;
        }
        std::os::unix::fs::chown(home.path().join("store"), Some(1234), None).unwrap();
        let error = Store::open(home.path()).unwrap_err();
        assert!(matches!(error, StoreError::Foreign { owner: 1234, user: 0, .. }), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--home")));
    }
}
