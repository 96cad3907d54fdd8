//! What lies at the bottom of an image: the host's programs, or a root of its own.
//!
//! The host base shows the host's program folders (`/usr` without `/usr/local`
//! and, where they are not links into it, `/bin`, `/lib`, …) read-only, and gives
//! everything else from a skeleton: no home folders, no `/var`, and of `/etc` only what
//! programs need to start. An overlay cannot have `/` as a lower folder beside
//! layers that lie under it (the kernel answers ELOOP), so the program folders
//! are mounts of their own.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use swegym_core::Digest;

use crate::store::{LayerId, Store, StoreError};

/// The bottom of an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// The machine's own programs, read-only.
    Host {
        /// Everything around them.
        skeleton: LayerId,
        /// Folders of the host, shown at the same path.
        folders: Vec<String>,
    },
    /// A root file system of its own.
    Rootfs {
        /// Its files.
        layer: LayerId,
        /// Mount points and name files on top of it.
        skeleton: LayerId,
    },
}

/// Host folders that hold programs, if they are there and not links.
const PROGRAM_FOLDERS: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];

/// What of `/etc` is needed to start programs; nothing here is a secret.
const CONFIGURATION: [&str; 16] = [
    "alternatives",
    "bash.bashrc",
    "debian_version",
    "fonts",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "os-release",
    "perl",
    "protocols",
    "services",
    "ssl/certs",
    "terminfo",
];

/// Programs that whoever has this machine put there are not shown; a box may put
/// its own.
const LOCAL: [&str; 5] =
    ["usr/local/bin", "usr/local/include", "usr/local/lib", "usr/local/sbin", "usr/local/share"];

const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";
/// Without `localhost`, test runners that look their own machine up fail.
const HOSTS: &str = "127.0.0.1\tlocalhost box\n::1\tlocalhost\n";

impl Base {
    /// The host base of this machine. The skeleton is made anew each time and
    /// costs nothing when nothing changed.
    ///
    /// # Errors
    /// When the skeleton cannot be written.
    pub fn host(store: &Store) -> Result<Self, StoreError> {
        let work = store.work_folder()?;
        let root = work.path();
        let made = write_skeleton(root).and_then(|()| copy_configuration(root));
        let folders =
            made.and_then(|()| show_programs(root)).map_err(StoreError::io("write the skeleton in", root))?;
        Ok(Self::Host { skeleton: store.import_folder(root)?, folders })
    }

    /// A base from an unpacked root file system or a tarball of one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn rootfs(store: &Store, source: &Path) -> Result<Self, StoreError> {
        let layer =
            if source.is_dir() { store.import_folder(source)? } else { store.import_tarball(source)? };
        let work = store.work_folder()?;
        write_mount_points(work.path()).map_err(StoreError::io("write the skeleton in", work.path()))?;
        Ok(Self::Rootfs { layer, skeleton: store.import_folder(work.path())? })
    }

    /// Whether the store has all that it is made of.
    #[must_use]
    pub fn is_kept(&self, store: &Store) -> bool {
        self.layers().iter().all(|layer| store.layer_folder(*layer).is_ok())
    }

    /// Lower folders of the base, topmost first.
    pub(crate) fn layers(&self) -> Vec<LayerId> {
        match self {
            Self::Host { skeleton, .. } => vec![*skeleton],
            Self::Rootfs { layer, skeleton } => vec![*skeleton, *layer],
        }
    }

    pub(crate) fn host_folders(&self) -> Vec<String> {
        match self {
            Self::Host { folders, .. } => folders.clone(),
            Self::Rootfs { .. } => Vec::new(),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Host { skeleton, folders } => {
                json!({"kind": "host", "skeleton": skeleton.0.hex(), "folders": folders})
            }
            Self::Rootfs { layer, skeleton } => {
                json!({"kind": "rootfs", "layer": layer.0.hex(), "skeleton": skeleton.0.hex()})
            }
        }
    }

    pub(crate) fn from_json(value: &Value) -> Option<Self> {
        let layer = |field: &str| Some(LayerId(Digest::parse(value.get(field)?.as_str()?).ok()?));
        match value.get("kind")?.as_str()? {
            "host" => {
                let folders = value.get("folders")?.as_array()?.iter();
                let folders = folders.map(|f| f.as_str().map(str::to_owned)).collect::<Option<_>>()?;
                Some(Self::Host { skeleton: layer("skeleton")?, folders })
            }
            "rootfs" => Some(Self::Rootfs { layer: layer("layer")?, skeleton: layer("skeleton")? }),
            _ => None,
        }
    }
}

/// The places that every box mounts on.
fn write_mount_points(root: &Path) -> io::Result<()> {
    for folder in ["dev", "proc", "sys", "tmp", "run", "etc", "root"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(root.join("etc/hosts"), HOSTS)?;
    fs::write(root.join("etc/hostname"), "box\n")?;
    fs::write(root.join("etc/resolv.conf"), "")
}

fn write_skeleton(root: &Path) -> io::Result<()> {
    write_mount_points(root)?;
    let own = ["home", "mnt", "opt", "srv", "var/tmp", "var/log", "var/cache", "var/lib"];
    for folder in own.into_iter().chain(LOCAL) {
        fs::create_dir_all(root.join(folder))?;
    }
    for (file, text) in [("passwd", PASSWD), ("group", GROUP), ("nsswitch.conf", NSSWITCH)] {
        fs::write(root.join("etc").join(file), text)?;
    }
    Ok(())
}

fn copy_configuration(root: &Path) -> io::Result<()> {
    for name in CONFIGURATION {
        let source = Path::new("/etc").join(name);
        if source.symlink_metadata().is_ok() {
            let target = root.join("etc").join(name);
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            copy_readable(&source, &target)?;
        }
    }
    Ok(())
}

/// Copies what every user may read, links as links.
fn copy_readable(source: &Path, target: &Path) -> io::Result<()> {
    let metadata = source.symlink_metadata()?;
    if metadata.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(source)?, target);
    }
    if metadata.permissions().mode() & 0o004 == 0 {
        return Ok(());
    }
    if metadata.is_dir() {
        fs::create_dir_all(target)?;
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            copy_readable(&entry.path(), &target.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if metadata.is_file() {
        fs::copy(source, target)?;
    }
    Ok(())
}

/// Links of the host's root are copied; real folders become mount points and are returned.
fn show_programs(root: &Path) -> io::Result<Vec<String>> {
    let mut shown = Vec::new();
    for folder in PROGRAM_FOLDERS {
        let target = root.join(folder.trim_start_matches('/'));
        let Ok(metadata) = Path::new(folder).symlink_metadata() else { continue };
        if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(folder)?, &target)?;
        } else if metadata.is_dir() {
            fs::create_dir_all(&target)?;
            shown.push(folder.to_owned());
        }
    }
    Ok(shown)
}
