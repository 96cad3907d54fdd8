//! Freezing a tree into a layer: its files become objects, the rest a list.
//! The tree that a box can be started on is made from both when it is first
//! needed: of most snapshots no box is ever started.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

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
pub(crate) const OPAQUE: &std::ffi::CStr = c"user.overlay.opaque";

struct Import<'a> {
    store: &'a Store,
    source: &'a Path,
    keep: &'a dyn Fn(&Path) -> bool,
    list: Vec<u8>,
}

pub(super) fn import(
    store: &Store,
    source: &Path,
    at: &Path,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<LayerId, StoreError> {
    let mut import = Import { store, source, keep, list: Vec::new() };
    let mut here = PathBuf::new();
    for part in at.components() {
        here.push(part);
        import.note(b'd', &here, b"");
    }
    import.folder(source, at)?;
    save_list(store, &import.list)
}

pub(super) fn import_box(
    store: &Store,
    upper: &Path,
    tmp: &Path,
    without: &Path,
) -> Result<LayerId, StoreError> {
    let everything = |_: &Path| true;
    let mut import = Import { store, source: upper, keep: &everything, list: Vec::new() };
    import.folder(upper, Path::new(""))?;
    let at = Path::new("tmp");
    let keep = |path: &Path| at.join(path) != without;
    let mut import = Import { source: tmp, keep: &keep, ..import };
    import.note(b'o', at, b"");
    import.folder(tmp, at)?;
    save_list(store, &import.list)
}

fn list_path(store: &Store, id: LayerId) -> PathBuf {
    store.home.join(format!("store/layers/{}.list", id.0.short()))
}

fn save_list(store: &Store, list_text: &[u8]) -> Result<LayerId, StoreError> {
    let id = LayerId(Digest::of(list_text));
    let list = list_path(store, id);
    if !list.exists() {
        write_whole(&list, list_text).map_err(StoreError::io("write", &list))?;
    }
    Ok(id)
}

/// Makes the tree of a layer from its list; `false` when there is no list.
pub(super) fn lay_out(store: &Store, id: LayerId, place: &Path) -> Result<bool, StoreError> {
    let path = list_path(store, id);
    let list = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read.map_err(StoreError::io("read", &path))?,
    };
    // Many boxes may start on one layer at once, and one of them is enough.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if place.is_dir() {
        return Ok(true);
    }
    let work = store.work_folder()?;
    let root = work.path().join("layer");
    make_folder(&root)?;
    for line in Line::all(&list) {
        line.lay(store, &root)?;
    }
    match fs::rename(&root, place) {
        // Another process was faster, with the same content.
        Err(_) if place.exists() => Ok(true),
        other => other.map(|()| true).map_err(StoreError::io("place the layer", place)),
    }
}

/// One line of a list; see [`Import::note`].
pub(super) struct Line<'a> {
    kind: &'a [u8],
    /// The digest of a file's or a link's content; empty for others.
    digest: &'a [u8],
    /// The length of a file.
    length: u64,
    path: &'a [u8],
}

impl<'a> Line<'a> {
    pub(super) fn all(list: &'a [u8]) -> impl Iterator<Item = Self> {
        list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Self::read)
    }

    fn read(line: &'a [u8]) -> Self {
        let cut = |text: &'a [u8]| {
            let at = text.iter().position(|byte| *byte == b' ').unwrap_or(text.len());
            (&text[..at], text.get(at + 1..).unwrap_or_default())
        };
        let (kind, rest) = cut(line);
        let (digest, path) = cut(rest);
        if !matches!(kind, b"f" | b"x") {
            return Self { kind, digest, length: 0, path };
        }
        let (length, path) = cut(path);
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { kind, digest, length, path }
    }

    /// The name of the file in the store that holds its content.
    pub(super) fn object(&self) -> Option<String> {
        let end = if self.kind == b"x" { "x" } else { "" };
        matches!(self.kind, b"f" | b"x" | b"l")
            .then(|| format!("{}{end}", String::from_utf8_lossy(self.digest)))
    }

    /// Makes the entry in a tree.
    fn lay(&self, store: &Store, root: &Path) -> Result<(), StoreError> {
        let target = root.join(unescape(self.path));
        let executable = self.kind == b"x";
        let object = store.object(&String::from_utf8_lossy(self.digest), executable);
        match self.kind {
            b"d" => make_folder(&target),
            b"o" => {
                make_folder(&target)?;
                mark_opaque(&target).map_err(StoreError::io("mark as opaque", &target))
            }
            b"l" => {
                let link = fs::read(&object).map_err(StoreError::io("read", &object))?;
                std::os::unix::fs::symlink(OsStr::from_bytes(&link), &target)
                    .map_err(StoreError::io("make the link", &target))?;
                give_to_boxes(&target).map_err(StoreError::io("hand over", &target))
            }
            b"w" => make_whiteout(&target).map_err(StoreError::io("note the deletion of", &target)),
            _ => match fs::hard_link(&object, &target) {
                // Some file systems allow few links to one file.
                Err(error) if error.raw_os_error() == Some(libc::EMLINK) => {
                    fs::copy(&object, &target).map_err(StoreError::io("copy", &target))?;
                    finish_file(&target, executable).map_err(StoreError::io("finish", &target))
                }
                other => other.map_err(StoreError::io("link", &target)),
            },
        }
    }
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("make the folder", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(StoreError::io("open up", path))?;
    give_to_boxes(path).map_err(StoreError::io("hand over", path))
}

fn unescape(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut path = path.iter();
    while let Some(byte) = path.next() {
        bytes.push(match byte {
            b'\\' => path.next().map_or(b'\\', |escaped| if *escaped == b'n' { b'\n' } else { *escaped }),
            other => *other,
        });
    }
    OsString::from_vec(bytes).into()
}

pub(super) fn stats(store: &Store, id: LayerId) -> Result<LayerStats, StoreError> {
    let path = list_path(store, id);
    let list = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let mut stats = LayerStats::default();
    for line in Line::all(&list).filter(|line| matches!(line.kind, b"f" | b"x")) {
        stats.files += 1;
        stats.bytes += line.length;
    }
    Ok(stats)
}

/// Files of the store belong to the user that boxes run as.
fn give_to_boxes(path: &Path) -> io::Result<()> {
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
        if kind.is_dir() {
            self.note(if has_opaque_mark(source) { b'o' } else { b'd' }, at, b"");
            self.folder(source, at)
        } else if kind.is_symlink() {
            let link = fs::read_link(source).map_err(StoreError::io("read the link", source))?;
            let digest = self.store.add_bytes(link.as_os_str().as_bytes(), false)?;
            self.note(b'l', at, digest.hex().as_bytes());
            Ok(())
        } else if kind.is_file() {
            let executable = metadata.permissions().mode() & 0o111 != 0;
            let (digest, length) = self.store.add_file(source, executable)?;
            let content = format!("{} {length}", digest.hex());
            self.note(if executable { b'x' } else { b'f' }, at, content.as_bytes());
            Ok(())
        } else if kind.is_char_device() && metadata.rdev() == 0 {
            self.note(b'w', at, b"");
            Ok(())
        } else {
            // Pipes and sockets mean nothing in another box.
            Ok(())
        }
    }
}

/// A file up to this length is hashed in memory, and written only where the
/// store does not have it: a snapshot holds all that changed since the first.
const SMALL: usize = 1 << 20;

/// A file and one that may be run are two, whatever they hold.
fn object_name(hex: &str, executable: bool) -> String {
    format!("{hex}{}", if executable { "x" } else { "" })
}

impl Store {
    fn object(&self, hex: &str, executable: bool) -> PathBuf {
        let folder = hex.get(..2).unwrap_or_default();
        self.home.join("store/objects").join(folder).join(object_name(hex, executable))
    }

    /// Copies a file into the objects; gives digest and length of what was read.
    fn add_file(&self, source: &Path, executable: bool) -> Result<(Digest, u64), StoreError> {
        let mut input = fs::File::open(source).map_err(StoreError::io("read", source))?;
        let mut start = Vec::new();
        let read = (&mut input).take(SMALL as u64).read_to_end(&mut start);
        if read.map_err(StoreError::io("read", source))? < SMALL {
            return Ok((self.add_bytes(&start, executable)?, start.len() as u64));
        }
        let partial = self.home.join("tmp").join(work_name());
        let copied = copy_hashed(&start, &mut input, &partial);
        if copied.is_err() {
            let _ = fs::remove_file(&partial);
        }
        let (digest, length) = copied.map_err(StoreError::io("write", &partial))?;
        self.place_object(&partial, digest, executable)?;
        Ok((digest, length))
    }

    fn add_bytes(&self, bytes: &[u8], executable: bool) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.object(&digest.hex(), executable).exists() {
            let partial = self.home.join("tmp").join(work_name());
            let written = fs::write(&partial, bytes);
            if written.is_err() {
                let _ = fs::remove_file(&partial);
            }
            written.map_err(StoreError::io("write", &partial))?;
            self.place_object(&partial, digest, executable)?;
        }
        Ok(digest)
    }

    fn place_object(&self, partial: &Path, digest: Digest, executable: bool) -> Result<(), StoreError> {
        let object = self.object(&digest.hex(), executable);
        if object.exists() {
            return fs::remove_file(partial).map_err(StoreError::io("remove", partial));
        }
        let folder = object.parent().unwrap_or(&self.home);
        fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        finish_file(partial, executable).map_err(StoreError::io("finish", partial))?;
        fs::rename(partial, &object).map_err(StoreError::io("place", &object))
    }
}

/// Writes what was read and what follows it; gives its digest and length.
fn copy_hashed(start: &[u8], rest: &mut fs::File, to: &Path) -> io::Result<(Digest, u64)> {
    let mut output = fs::File::create(to)?;
    let (mut hash, mut length) = (Sha256::new(), 0);
    let mut buffer = vec![0; 128 << 10];
    let mut piece = start;
    while !piece.is_empty() {
        hash.update(piece);
        output.write_all(piece)?;
        length += piece.len() as u64;
        let read = rest.read(&mut buffer)?;
        piece = &buffer[..read];
    }
    Ok((Digest::from_bytes(hash.finalize().into()), length))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything under a folder: path, what it is, what it holds.
    fn tree(folder: &Path, at: &Path, all: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, at) = (entry.path(), at.join(entry.file_name()));
            let kind = entry.file_type().unwrap();
            let what = if kind.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if kind.is_dir() {
                format!("folder {}", has_opaque_mark(&path))
            } else {
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o111;
                format!("{} {}", mode != 0, fs::read_to_string(&path).unwrap())
            };
            all.push((at.clone(), what));
            if kind.is_dir() {
                tree(&path, &at, all);
            }
        }
    }

    #[test]
    fn a_tree_is_made_again_from_list_and_objects() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let source = tempfile::tempdir().unwrap();
        let source = source.path();
        fs::create_dir_all(source.join("a b/deep")).unwrap();
        fs::write(source.join("a b/deep/odd\nna\\me \\n"), "one").unwrap();
        fs::write(source.join("run"), "two").unwrap();
        fs::set_permissions(source.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(source.join("large"), "x".repeat(SMALL + 17)).unwrap();
        fs::write(source.join("edge"), "y".repeat(SMALL)).unwrap();
        std::os::unix::fs::symlink("../else where", source.join("link")).unwrap();
        let id = store.import_folder(source).unwrap();
        assert!(!home.path().join(format!("store/layers/{}", id.0.short())).exists());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        tree(source, Path::new(""), &mut before);
        let folder = home.path().join(store.layer_folder(id).unwrap());
        tree(&folder, Path::new(""), &mut after);
        assert_eq!(before, after);
        // The tree is the same layer again, and a layer without a list is none.
        assert_eq!(store.import_folder(&folder).unwrap(), id);
        assert!(store.layer_folder(LayerId(Digest::of(b"none"))).is_err());
    }
}
