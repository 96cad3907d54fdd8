//! What a box wrote: what lies in its writable layer and in its `/tmp`.
//!
//! A box cannot set change times, so nothing it writes goes unseen, but for
//! what it stores through a memory map it keeps open.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fgetxattr, openat, statat};
use rustix::io::Errno;

use crate::sandbox::{EntryKind, SCRATCH, Written};
use crate::store::OPAQUE;

/// Everything in a writable layer and the `/tmp` beside it; `None` where it is
/// more than `most` names.
pub(super) fn list(upper: &OwnedFd, tmp: &str, most: usize) -> io::Result<Option<Vec<Written>>> {
    let mut list = List { written: Vec::new(), most };
    let is_whole = list.add(&open_folder(upper, ".")?, Path::new("/"))?
        && list.add(&open_folder(upper, tmp)?, Path::new("/tmp"))?;
    Ok(is_whole.then_some(list.written))
}

struct List {
    written: Vec<Written>,
    most: usize,
}

impl List {
    /// Adds a folder's names, in their order; whether there was room for all.
    fn add(&mut self, folder: &OwnedFd, at: &Path) -> io::Result<bool> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let path = at.join(OsStr::from_bytes(name.to_bytes()));
            // In the layer, the place where `/tmp` is mounted.
            if matches!(name.to_bytes(), b"." | b"..") || path == Path::new("/tmp") {
                continue;
            }
            match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => entries.push((path, stat)),
                // It went away while we looked: it is not there the next time either.
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            if self.written.len() + entries.len() > self.most {
                return Ok(false);
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, stat) in entries {
            if !self.add_one(folder, at, &path, &stat)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn add_one(&mut self, folder: &OwnedFd, at: &Path, path: &Path, stat: &Stat) -> io::Result<bool> {
        let kind = kind(stat);
        let inner = match path.file_name() {
            Some(name) if kind == EntryKind::Folder && at != Path::new(SCRATCH) => {
                match open_folder(folder, name) {
                    Ok(inner) => Some(inner),
                    // Gone, turned into a link, or closed even to its owner.
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => None,
                    Err(error) => return Err(error.into()),
                }
            }
            _ => None,
        };
        self.written.push(Written {
            path: path.to_owned(),
            kind,
            executable: kind == EntryKind::File && stat.st_mode & 0o100 != 0,
            replaces: inner.as_ref().is_some_and(is_opaque),
            stamp: stamp(stat, kind),
        });
        inner.map_or(Ok(true), |inner| self.add(&inner, path))
    }
}

fn kind(stat: &Stat) -> EntryKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        FileType::Symlink => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

/// A folder's own times change with every name in it, those left out too.
fn stamp(stat: &Stat, kind: EntryKind) -> u64 {
    let mut hash = DefaultHasher::new();
    (stat.st_mode, stat.st_ino).hash(&mut hash);
    if kind != EntryKind::Folder {
        (stat.st_size, stat.st_ctime, stat.st_ctime_nsec).hash(&mut hash);
    }
    hash.finish()
}

fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0_u8; 1];
    fgetxattr(folder, OPAQUE, &mut value[..]) == Ok(1) && value[0] == b'y'
}

/// Opened without following a link: the box may put one there at any moment.
fn open_folder(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}
