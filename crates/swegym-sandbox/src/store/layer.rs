//! A layer: a list of what it holds, and files of the store. The tree that a box
//! can be started on is made from both when it is first needed: of most
//! snapshots no box is ever started.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use swegym_core::Digest;
use swegym_files::write_whole;

use super::{Store, StoreError};
use crate::owner::BOX_USER;
use crate::sys;
use crate::tree::OPAQUE;

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
fn list_path(store: &Store, id: LayerId) -> PathBuf {
    store.home.join(format!("store/layers/{}.list", id.0.short()))
}

pub(super) fn save_list(store: &Store, list_text: &[u8]) -> Result<LayerId, StoreError> {
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
    if Digest::of(&list) != id.0 {
        return Err(StoreError::Layer(path));
    }
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
        line.ok_or_else(|| StoreError::Layer(path.clone()))?.lay(store, &root)?;
    }
    match fs::rename(&root, place) {
        // Another process was faster, with the same content.
        Err(_) if place.exists() => Ok(true),
        other => other.map(|()| true).map_err(StoreError::io("place the layer", place)),
    }
}

/// Makes one of each kind of entry, as a layer's tree has them.
pub(super) fn try_out(store: &Store) -> Result<(), StoreError> {
    let work = store.work_folder()?;
    let root = work.path().join("layer");
    make_folder(&root)?;
    mark_opaque(&root).map_err(StoreError::io("mark as opaque", &root))?;
    let (file, link, deletion) = (root.join("file"), root.join("link"), root.join("deletion"));
    fs::write(&file, b"").map_err(StoreError::io("write", &file))?;
    finish_file(&file, false).map_err(StoreError::io("finish", &file))?;
    fs::hard_link(&file, &link).map_err(StoreError::io("link", &link))?;
    make_whiteout(&deletion).map_err(StoreError::io("note the deletion of", &deletion))
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
    /// The lines of a list; `None` for one that no list has.
    pub(super) fn all(list: &'a [u8]) -> impl Iterator<Item = Option<Self>> {
        list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Self::read)
    }

    fn read(line: &'a [u8]) -> Option<Self> {
        let cut = |text: &'a [u8]| {
            let at = text.iter().position(|byte| *byte == b' ')?;
            Some((&text[..at], &text[at + 1..]))
        };
        let (kind, rest) = cut(line)?;
        let (digest, path) = cut(rest)?;
        let has_content = match kind {
            b"f" | b"x" | b"l" => true,
            b"d" | b"o" | b"w" => false,
            _ => return None,
        };
        let is_digest = digest.len() == 64 && digest.iter().all(u8::is_ascii_hexdigit);
        if has_content != is_digest || (!has_content && !digest.is_empty()) {
            return None;
        }
        let (length, path) = match kind {
            b"f" | b"x" => {
                let (length, path) = cut(path)?;
                (std::str::from_utf8(length).ok()?.parse().ok()?, path)
            }
            _ => (0, path),
        };
        let stays = unescape(path).components().all(|part| matches!(part, Component::Normal(_)));
        (stays && !path.is_empty()).then_some(Self { kind, digest, length, path })
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
    for line in Line::all(&list) {
        let line = line.ok_or_else(|| StoreError::Layer(path.clone()))?;
        if matches!(line.kind, b"f" | b"x") {
            stats.files += 1;
            stats.bytes += line.length;
        }
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

pub(super) fn finish_file(path: &Path, executable: bool) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    let time = libc::timespec { tv_sec: EPOCH, tv_nsec: 0 };
    let name = sys::cstring(path.as_os_str().as_bytes())?;
    // SAFETY: two valid times and a NUL-terminated path.
    sys::check(unsafe { libc::utimensat(libc::AT_FDCWD, name.as_ptr(), [time; 2].as_ptr(), 0) })?;
    give_to_boxes(path)
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
                "folder".to_owned()
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
        fs::write(source.join("large"), "x".repeat((1 << 20) + 17)).unwrap();
        fs::write(source.join("edge"), "y".repeat(1 << 20)).unwrap();
        std::os::unix::fs::symlink("../else where", source.join("link")).unwrap();
        let id = store.import_folder(source).unwrap();
        assert!(!home.path().join(format!("store/layers/{}", id.0.short())).exists());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        tree(source, Path::new(""), &mut before);
        let folder = home.path().join(store.layer_folder(id).unwrap());
        tree(&folder, Path::new(""), &mut after);
        assert_eq!(before, after);
        // A list that was changed is told, whatever it says now.
        let list = list_path(&store, id);
        let text = fs::read(&list).unwrap();
        for damaged in [&text[..text.len() / 2], &[0; 40], b"f  a\n", b"d  ../../a\n"] {
            fs::remove_dir_all(&folder).ok();
            fs::write(&list, damaged).unwrap();
            let error = store.layer_folder(id).unwrap_err();
            assert!(matches!(&error, StoreError::Layer(path) if *path == list), "{error}");
        }
        fs::write(&list, text).unwrap();
        let folder = home.path().join(store.layer_folder(id).unwrap());
        // The tree is the same layer again, and a layer without a list is none.
        assert_eq!(store.import_folder(&folder).unwrap(), id);
        assert!(store.layer_folder(LayerId(Digest::of(b"none"))).is_err());
    }
}
