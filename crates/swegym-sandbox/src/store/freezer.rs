//! Freezing a tree into a layer: its files become objects, the rest a list.
//!
//! What is frozen is told entry by entry, by a walk over a folder of this machine
//! or by the supervisor of a box, which is not believed: names that would lead out
//! of the layer are refused, and so is more than was agreed on.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use swegym_core::Digest;

use super::layer::{LayerId, finish_file, save_list};
use super::{Store, StoreError};
use crate::tree::{self, Found, WalkError};

/// A file up to this length is hashed in memory, and written only where the
/// store does not have it: a snapshot holds all that changed since the first.
const SMALL: usize = 1 << 20;

/// What is only zeros in pieces of this length is not written, but left out.
const HOLE: usize = 4096;

/// A layer in the making. Entries come as a walk meets them: a folder, then all
/// that is in it.
pub(crate) struct Freezer<'a> {
    store: &'a Store,
    list: Vec<u8>,
    /// Folders that the next entry may stand in, outermost first.
    folders: Vec<PathBuf>,
    /// Bytes of files that may still come.
    room: u64,
    /// Bytes that the store may still grow by.
    growth: u64,
    file: Option<Incoming>,
}

/// A file of which not all has come.
struct Incoming {
    path: PathBuf,
    executable: bool,
    start: Vec<u8>,
    /// Where the rest goes, once it is no small file.
    rest: Option<Partial>,
}

struct Partial {
    path: PathBuf,
    file: fs::File,
    hash: Sha256,
    length: u64,
}

/// Freezes a folder of this machine.
pub(super) fn freeze_folder(
    store: &Store,
    folder: &Path,
    at: &Path,
    keep: &dyn Fn(&Path) -> bool,
) -> Result<LayerId, StoreError> {
    let opened = fs::File::open(folder).map_err(StoreError::io("read the folder", folder))?;
    let mut freezer = Freezer::new(store, u64::MAX, u64::MAX);
    let mut here = PathBuf::new();
    for part in at.components() {
        here.push(part);
        freezer.folder(&here, false)?;
    }
    freezer.tree(&OwnedFd::from(opened), at, keep, folder)?;
    freezer.finish()
}

/// Why a walk of this machine's folders ended.
enum Broken {
    Walk(WalkError),
    Store(StoreError),
}

impl From<WalkError> for Broken {
    fn from(error: WalkError) -> Self {
        Self::Walk(error)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl<'a> Freezer<'a> {
    /// A layer of at most `room` bytes in files, counted by their lengths, of which
    /// at most `growth` are new to the store.
    pub(crate) fn new(store: &'a Store, room: u64, growth: u64) -> Self {
        Self { store, list: Vec::new(), folders: vec![PathBuf::new()], room, growth, file: None }
    }

    fn tree(
        &mut self,
        top: &OwnedFd,
        at: &Path,
        keep: &dyn Fn(&Path) -> bool,
        shown_as: &Path,
    ) -> Result<(), StoreError> {
        let walked = tree::walk(top, keep, &mut |path, found| -> Result<(), Broken> {
            Ok(self.found(&at.join(path), found, shown_as)?)
        });
        walked.map_err(|broken| match broken {
            Broken::Walk(error) => StoreError::io(error.action, &shown_as.join(error.path))(error.source),
            Broken::Store(error) => error,
        })
    }

    fn found(&mut self, path: &Path, found: Found, shown_as: &Path) -> Result<(), StoreError> {
        match found {
            Found::Folder { opaque } => self.folder(path, opaque),
            Found::Link(target) => self.link(path, &target),
            Found::Whiteout => self.whiteout(path),
            Found::File { mut file, executable } => {
                self.begin_file(path, executable)?;
                let mut buffer = vec![0; 128 << 10];
                loop {
                    match file.read(&mut buffer).map_err(StoreError::io("read", &shown_as.join(path)))? {
                        0 => return self.end_file(),
                        n => self.data(&buffer[..n])?,
                    }
                }
            }
        }
    }

    /// A folder; an opaque one hides what lower layers have at its place.
    pub(crate) fn folder(&mut self, path: &Path, opaque: bool) -> Result<(), StoreError> {
        self.enter(path)?;
        self.folders.push(path.to_owned());
        self.note(if opaque { b'o' } else { b'd' }, path, b"");
        Ok(())
    }

    /// A symbolic link, whatever it says.
    pub(crate) fn link(&mut self, path: &Path, target: &[u8]) -> Result<(), StoreError> {
        self.enter(path)?;
        self.take_room(target.len())?;
        let (digest, grown) = self.store.add_bytes(target, false)?;
        self.take_growth(grown)?;
        self.note(b'l', path, digest.hex().as_bytes());
        Ok(())
    }

    /// What a lower layer has there is deleted.
    pub(crate) fn whiteout(&mut self, path: &Path) -> Result<(), StoreError> {
        self.enter(path)?;
        self.note(b'w', path, b"");
        Ok(())
    }

    /// A regular file, whose bytes follow.
    pub(crate) fn begin_file(&mut self, path: &Path, executable: bool) -> Result<(), StoreError> {
        self.enter(path)?;
        self.file = Some(Incoming { path: path.to_owned(), executable, start: Vec::new(), rest: None });
        Ok(())
    }

    /// More of the file that was begun.
    pub(crate) fn data(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.take_room(bytes.len())?;
        let Some(file) = &mut self.file else { return Err(nonsense(Path::new(""))) };
        if let Some(rest) = &mut file.rest {
            return rest.write(bytes);
        }
        file.start.extend_from_slice(bytes);
        if file.start.len() >= SMALL {
            let mut rest = Partial::new(self.store.work.new_path())?;
            rest.write(&std::mem::take(&mut file.start))?;
            file.rest = Some(rest);
        }
        Ok(())
    }

    /// The file that was begun is whole.
    pub(crate) fn end_file(&mut self) -> Result<(), StoreError> {
        let Some(file) = self.file.take() else { return Err(nonsense(Path::new(""))) };
        let length = file.rest.as_ref().map_or(file.start.len() as u64, |rest| rest.length);
        let (digest, grown) = match file.rest {
            None => self.store.add_bytes(&file.start, file.executable)?,
            Some(rest) => rest.place(self.store, file.executable)?,
        };
        self.take_growth(grown)?;
        let content = format!("{} {length}", digest.hex());
        self.note(if file.executable { b'x' } else { b'f' }, &file.path, content.as_bytes());
        Ok(())
    }

    /// Bytes that the store may still grow by.
    pub(crate) fn growth(&self) -> u64 {
        self.growth
    }

    /// The layer, once everything was told.
    pub(crate) fn finish(self) -> Result<LayerId, StoreError> {
        if let Some(file) = self.file {
            return Err(nonsense(&file.path));
        }
        save_list(self.store, &self.list)
    }

    /// Goes to the folder that an entry stands in. It must be one that was told:
    /// no link, nothing above the layer.
    fn enter(&mut self, path: &Path) -> Result<(), StoreError> {
        let bytes = path.as_os_str().as_bytes();
        let is_plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
        let is_inside = bytes.split(|byte| *byte == b'/').all(is_plain);
        let Some(parent) = path.parent().filter(|_| is_inside && self.file.is_none()) else {
            return Err(nonsense(path));
        };
        while self.folders.last().is_some_and(|folder| folder != parent) {
            self.folders.pop();
        }
        if self.folders.is_empty() { Err(nonsense(path)) } else { Ok(()) }
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), StoreError> {
        let left = self.room.checked_sub(bytes as u64);
        self.room = left.ok_or(StoreError::TooMuch("its files are longer than the box's disk is large"))?;
        Ok(())
    }

    fn take_growth(&mut self, bytes: u64) -> Result<(), StoreError> {
        let left = self.growth.checked_sub(bytes);
        // What is in the store by now was paid for.
        self.growth = left.unwrap_or(0);
        left.map(|_| ()).ok_or(StoreError::TooMuch("its snapshots together have the room that they may have"))
    }

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
}

/// What no walk comes upon was told of this path.
fn nonsense(path: &Path) -> StoreError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "no walk of a tree comes upon this");
    StoreError::io("keep", path)(source)
}

impl Partial {
    fn new(path: PathBuf) -> Result<Self, StoreError> {
        let file = fs::File::create(&path).map_err(StoreError::io("write", &path))?;
        Ok(Self { path, file, hash: Sha256::new(), length: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        write_around_holes(&mut self.file, bytes).map_err(StoreError::io("write", &self.path))
    }

    /// Makes it an object; gives its digest, and bytes that are new to the store.
    fn place(mut self, store: &Store, executable: bool) -> Result<(Digest, u64), StoreError> {
        // A hole at the end has no last byte that was written.
        self.file.set_len(self.length).map_err(StoreError::io("write", &self.path))?;
        let digest = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        let is_new = store.place_object(&self.path, digest, executable)?;
        Ok((digest, if is_new { self.length } else { 0 }))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already where it became an object.
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes on, and skips what is zero: a file of holes takes no more room in the
/// store than in the box.
fn write_around_holes(file: &mut fs::File, bytes: &[u8]) -> io::Result<()> {
    let is_hole = |piece: &[u8]| piece.len() == HOLE && piece.iter().all(|byte| *byte == 0);
    let pieces: Vec<&[u8]> = bytes.chunks(HOLE).collect();
    let mut at = 0;
    for run in pieces.chunk_by(|a, b| is_hole(a) == is_hole(b)) {
        let end = at + run.iter().map(|piece| piece.len()).sum::<usize>();
        if is_hole(run[0]) {
            file.seek_relative((end - at) as i64)?;
        } else {
            file.write_all(&bytes[at..end])?;
        }
        at = end;
    }
    Ok(())
}

/// A file and one that may be run are two, whatever they hold.
fn object_name(hex: &str, executable: bool) -> String {
    format!("{hex}{}", if executable { "x" } else { "" })
}

impl Store {
    pub(super) fn object(&self, hex: &str, executable: bool) -> PathBuf {
        let folder = hex.get(..2).unwrap_or_default();
        self.home.join("store/objects").join(folder).join(object_name(hex, executable))
    }

    /// Gives the digest, and bytes that are new to the store.
    fn add_bytes(&self, bytes: &[u8], executable: bool) -> Result<(Digest, u64), StoreError> {
        let digest = Digest::of(bytes);
        if self.object(&digest.hex(), executable).exists() {
            return Ok((digest, 0));
        }
        let partial = self.work.new_path();
        let written = fs::write(&partial, bytes);
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written.map_err(StoreError::io("write", &partial))?;
        let is_new = self.place_object(&partial, digest, executable)?;
        Ok((digest, if is_new { bytes.len() as u64 } else { 0 }))
    }

    /// False if it was there.
    fn place_object(&self, partial: &Path, digest: Digest, executable: bool) -> Result<bool, StoreError> {
        let object = self.object(&digest.hex(), executable);
        if object.exists() {
            return fs::remove_file(partial).map(|()| false).map_err(StoreError::io("remove", partial));
        }
        let folder = object.parent().unwrap_or(&self.home);
        fs::create_dir_all(folder).map_err(StoreError::io("make the folder", folder))?;
        finish_file(partial, executable).map_err(StoreError::io("finish", partial))?;
        fs::rename(partial, &object).map(|()| true).map_err(StoreError::io("place", &object))
    }
}

/// The path that a box's supervisor told, as a path of the layer.
pub(crate) fn path_of(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        (home, store)
    }

    #[test]
    fn what_leads_out_of_a_layer_is_refused() {
        let (_home, store) = store();
        let nothing: &[&str] = &[];
        let refused: [(&[&str], &str); 10] = [
            (nothing, "../a"),
            (nothing, "/etc/a"),
            (nothing, ""),
            (nothing, "."),
            (&["a"], "a/.."),
            (&["a"], "a/../../b"),
            (nothing, "not/told"),
            (&["a", "b"], "a/left"),
            (nothing, "nul\0"),
            (&["a"], "a/./b"),
        ];
        for (folders, path) in refused {
            let mut freezer = Freezer::new(&store, 100, 100);
            for folder in folders {
                freezer.folder(Path::new(folder), false).unwrap();
            }
            assert!(freezer.begin_file(Path::new(path), false).is_err(), "{path:?}");
            assert!(freezer.folder(Path::new(path), false).is_err(), "{path:?}");
        }
        // A link is no folder.
        let mut freezer = Freezer::new(&store, 100, 100);
        freezer.link(Path::new("l"), b"/etc").unwrap();
        assert!(freezer.begin_file(Path::new("l/passwd"), false).is_err());
        assert!(Freezer::new(&store, 100, 100).data(b"x").is_err());
        assert!(Freezer::new(&store, 100, 100).end_file().is_err());
        let mut freezer = Freezer::new(&store, 100, 100);
        freezer.begin_file(Path::new("cut"), false).unwrap();
        assert!(freezer.finish().is_err());
    }

    #[test]
    fn a_layer_has_the_room_that_was_agreed_on() {
        let (home, store) = store();
        let mut freezer = Freezer::new(&store, 3 << 20, 100 << 20);
        freezer.begin_file(Path::new("a"), false).unwrap();
        freezer.data(&vec![1; 2 << 20]).unwrap();
        assert!(matches!(freezer.data(&vec![1; 2 << 20]), Err(StoreError::TooMuch(_))));
        drop(freezer);
        // Beside the lock of this process's folder.
        let work = store.work_folder().unwrap();
        assert_eq!(fs::read_dir(work.path().parent().unwrap()).unwrap().count(), 2);
        assert!(work.path().starts_with(home.path().join("tmp")));
    }
}
