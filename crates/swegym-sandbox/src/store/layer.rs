//! Freezing a tree into a layer: normalised, listed, linked to objects.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use swegym_core::Digest;

use super::{Store, StoreError, work_name, write_whole};
use crate::keeper::BOX_USER;
use crate::sys;

/// The name of a layer: the digest of its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerId(pub Digest);

/// What a layer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerStats {
    /// Regular files.
    pub files: u64,
    /// Their bytes, before sharing.
    pub bytes: u64,
}

/// Every file has this time (2020-01-01): digests must not depend on the clock,
/// and archives cannot hold times before 1980.
const EPOCH: i64 = 1_577_836_800;
/// Marks a folder that hides those below it, in overlays mounted with `userxattr`.
const OPAQUE: &std::ffi::CStr = c"user.overlay.opaque";

struct Import<'a> {
    store: &'a Store,
    source: &'a Path,
    keep: &'a dyn Fn(&Path) -> bool,
    target: PathBuf,
    list: Vec<u8>,
}

pub(super) fn import(
    store: &Store,
    source: &Path,
    at: &Path,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<LayerId, StoreError> {
    let work = store.work_folder()?;
    let mut import = Import { store, source, keep, target: work.path().join("layer"), list: Vec::new() };
    let root = import.target.clone();
    import.make_folder(&root)?;
    let mut here = PathBuf::new();
    for part in at.components() {
        here.push(part);
        import.note(b'd', &here, b"");
        import.make_folder(&root.join(&here))?;
    }
    import.folder(source, at)?;
    place(store, &root, &import.list)
}

pub(super) fn import_box(
    store: &Store,
    upper: &Path,
    tmp: &Path,
    without: &Path,
) -> Result<LayerId, StoreError> {
    let work = store.work_folder()?;
    let root = work.path().join("layer");
    let everything = |_: &Path| true;
    let mut import =
        Import { store, source: upper, keep: &everything, target: root.clone(), list: Vec::new() };
    import.make_folder(&root)?;
    import.folder(upper, Path::new(""))?;
    let at = Path::new("tmp");
    let list = std::mem::take(&mut import.list);
    let keep = |path: &Path| at.join(path) != without;
    let mut import = Import { source: tmp, keep: &keep, list, ..import };
    let folder = root.join(at);
    import.note(b'o', at, b"");
    import.make_folder(&folder)?;
    mark_opaque(&folder).map_err(StoreError::io("mark as opaque", &folder))?;
    import.folder(tmp, at)?;
    place(store, &root, &import.list)
}

/// Moves a finished tree to its place under the name of its list.
fn place(store: &Store, root: &Path, list_text: &[u8]) -> Result<LayerId, StoreError> {
    let id = LayerId(Digest::of(list_text));
    let layers = store.home.join("store/layers");
    let place = layers.join(id.0.short());
    // The list first: a layer without one is never seen.
    let list = layers.join(format!("{}.list", id.0.short()));
    write_whole(&list, list_text).map_err(StoreError::io("write", &list))?;
    if !place.exists() {
        match fs::rename(root, &place) {
            // Another process was faster, with the same content.
            Err(_) if place.exists() => {}
            other => other.map_err(StoreError::io("place the layer", &place))?,
        }
    }
    Ok(id)
}

pub(super) fn stats(store: &Store, id: LayerId) -> Result<LayerStats, StoreError> {
    let path = store.home.join(format!("store/layers/{}.list", id.0.short()));
    let list = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let mut stats = LayerStats::default();
    for line in list.split(|b| *b == b'\n').filter(|l| l.starts_with(b"f ") || l.starts_with(b"x ")) {
        let size =
            line.split(|b| *b == b' ').nth(2).and_then(|s| std::str::from_utf8(s).ok()?.parse::<u64>().ok());
        stats.files += 1;
        stats.bytes += size.unwrap_or(0);
    }
    Ok(stats)
}

/// Files of the store belong to the user that boxes run as.
pub(super) fn give_to_boxes(path: &Path) -> io::Result<()> {
    // Asked once: it is asked for every file.
    static ROOT: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| sys::is_root_over(BOX_USER));
    if *ROOT {
        std::os::unix::fs::lchown(path, Some(BOX_USER), Some(BOX_USER))?;
    }
    Ok(())
}

impl Import<'_> {
    /// One line of the list: kind, what identifies the content, path. Newlines
    /// and backslashes in paths are escaped.
    fn note(&mut self, kind: u8, path: &Path, content: &[u8]) {
        self.list.push(kind);
        self.list.push(b' ');
        self.list.extend_from_slice(content);
        self.list.push(b' ');
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b'\n' => self.list.extend(b"\\n"),
                b'\\' => self.list.extend(b"\\\\"),
                other => self.list.push(*other),
            }
        }
        self.list.push(b'\n');
    }

    fn make_folder(&self, path: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("make the folder", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(StoreError::io("open up", path))?;
        give_to_boxes(path).map_err(StoreError::io("hand over", path))
    }

    fn folder(&mut self, source: &Path, at: &Path) -> Result<(), StoreError> {
        let read = fs::read_dir(source).map_err(StoreError::io("read the folder", source))?;
        let mut entries =
            read.collect::<io::Result<Vec<_>>>().map_err(StoreError::io("read the folder", source))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            if (self.keep)(path.strip_prefix(self.source).unwrap_or(&path)) {
                self.entry(&path, &at.join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, at: &Path) -> Result<(), StoreError> {
        let metadata = fs::symlink_metadata(source).map_err(StoreError::io("read", source))?;
        let kind = metadata.file_type();
        let target = self.target.join(at);
        if kind.is_dir() {
            let opaque = has_opaque_mark(source);
            self.note(if opaque { b'o' } else { b'd' }, at, b"");
            self.make_folder(&target)?;
            if opaque {
                mark_opaque(&target).map_err(StoreError::io("mark as opaque", &target))?;
            }
            self.folder(source, at)
        } else if kind.is_symlink() {
            let link = fs::read_link(source).map_err(StoreError::io("read the link", source))?;
            self.note(b'l', at, Digest::of(link.as_os_str().as_bytes()).hex().as_bytes());
            std::os::unix::fs::symlink(&link, &target).map_err(StoreError::io("make the link", &target))?;
            give_to_boxes(&target).map_err(StoreError::io("hand over", &target))
        } else if kind.is_file() {
            self.file(source, at, &target, &metadata)
        } else if kind.is_char_device() && metadata.rdev() == 0 {
            self.note(b'w', at, b"");
            make_whiteout(&target).map_err(StoreError::io("note the deletion of", &target))
        } else {
            // Pipes and sockets mean nothing in another box.
            Ok(())
        }
    }

    fn file(
        &mut self,
        source: &Path,
        at: &Path,
        target: &Path,
        metadata: &fs::Metadata,
    ) -> Result<(), StoreError> {
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let (digest, object) = self.store.add_object(source, executable)?;
        let content = format!("{} {}", digest.hex(), metadata.len());
        self.note(if executable { b'x' } else { b'f' }, at, content.as_bytes());
        match fs::hard_link(&object, target) {
            // Some file systems allow few links to one file.
            Err(error) if error.raw_os_error() == Some(libc::EMLINK) => {
                fs::copy(&object, target).map_err(StoreError::io("copy", target))?;
                finish_file(target, executable).map_err(StoreError::io("finish", target))
            }
            other => other.map_err(StoreError::io("link", target)),
        }
    }
}

impl Store {
    /// Copies a file into the objects, hashing it on the way.
    fn add_object(&self, source: &Path, executable: bool) -> Result<(Digest, PathBuf), StoreError> {
        let partial = self.home.join("tmp").join(work_name());
        let mut input = fs::File::open(source).map_err(StoreError::io("read", source))?;
        let mut output = fs::File::create(&partial).map_err(StoreError::io("write", &partial))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let n = input.read(&mut buffer).map_err(StoreError::io("read", source))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            let written = output.write_all(&buffer[..n]);
            if written.is_err() {
                let _ = fs::remove_file(&partial);
            }
            written.map_err(StoreError::io("write", &partial))?;
        }
        drop(output);
        let digest = Digest::from_bytes(hash.finalize().into());
        let hex = digest.hex();
        let folder = self.home.join("store/objects").join(&hex[..2]);
        let object = folder.join(format!("{hex}{}", if executable { "x" } else { "" }));
        if object.exists() {
            fs::remove_file(&partial).map_err(StoreError::io("remove", &partial))?;
        } else {
            fs::create_dir_all(&folder).map_err(StoreError::io("make the folder", &folder))?;
            finish_file(&partial, executable).map_err(StoreError::io("finish", &partial))?;
            fs::rename(&partial, &object).map_err(StoreError::io("place", &object))?;
        }
        Ok((digest, object))
    }
}

fn finish_file(path: &Path, executable: bool) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    let time = libc::timespec { tv_sec: EPOCH, tv_nsec: 0 };
    let name = sys::cstring(path.as_os_str().as_bytes())?;
    // SAFETY: two valid times and a NUL-terminated path.
    sys::check(unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), [time; 2].as_ptr(), 0) })?;
    give_to_boxes(path)
}

fn has_opaque_mark(path: &Path) -> bool {
    let Ok(name) = sys::cstring(path.as_os_str().as_bytes()) else { return false };
    let mut value = [0u8; 1];
    // SAFETY: a one-byte buffer.
    let n = unsafe { libc::lgetxattr(name.as_ptr(), OPAQUE.as_ptr(), value.as_mut_ptr().cast(), 1) };
    n == 1 && value[0] == b'y'
}

/// Makes a folder hide whatever lower layers have at its place.
pub(crate) fn mark_opaque(path: &Path) -> io::Result<()> {
    let name = sys::cstring(path.as_os_str().as_bytes())?;
    // SAFETY: constant name and value.
    sys::check(unsafe { libc::lsetxattr(name.as_ptr(), OPAQUE.as_ptr(), c"y".as_ptr().cast(), 1, 0) })?;
    Ok(())
}

/// A device 0/0 is an overlay's "deleted here"; any user may make one.
fn make_whiteout(path: &Path) -> io::Result<()> {
    let name = sys::cstring(path.as_os_str().as_bytes())?;
    // SAFETY: a NUL-terminated path.
    sys::check(unsafe { libc::mknod(name.as_ptr(), libc::S_IFCHR, 0) })?;
    Ok(())
}
