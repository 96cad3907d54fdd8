//! What a box wrote: what lies in its writable layer and in its `/tmp`.
//!
//! A box cannot set change times, so nothing it writes goes unseen, but for
//! what it stores through a memory map it keeps open.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::sandbox::{EntryKind, SCRATCH, Written};
use crate::tree::{self, DEEPEST};

/// Everything in a writable layer and the `/tmp` beside it.
pub(super) fn list(upper: &OwnedFd, tmp: &str) -> io::Result<Vec<Written>> {
    let mut written = Vec::new();
    add(&mut written, &tree::open_folder(upper, ".")?, Path::new("/"), 0)?;
    add(&mut written, &tree::open_folder(upper, tmp)?, Path::new("/tmp"), 0)?;
    Ok(written)
}

/// Adds a folder's names, in their order.
fn add(written: &mut Vec<Written>, folder: &OwnedFd, at: &Path, depth: usize) -> io::Result<()> {
    let mut entries = tree::entries(folder)?;
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, stat) in entries {
        let path = at.join(&name);
        // In the layer, the place where `/tmp` is mounted.
        if path == Path::new("/tmp") {
            continue;
        }
        let kind = kind(&stat);
        let inner = match kind {
            EntryKind::Folder if at != Path::new(SCRATCH) => match tree::open_folder(folder, &name) {
                Ok(inner) => Some(inner),
                // Gone, or turned into a link.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        written.push(Written {
            kind,
            executable: kind == EntryKind::File && stat.st_mode & 0o100 != 0,
            replaces: inner.as_ref().is_some_and(tree::is_opaque),
            size: if kind == EntryKind::File { stat.st_size as u64 } else { 0 },
            stamp: stamp(&stat, kind),
            path: path.clone(),
        });
        // No snapshot and no patch goes deeper.
        if let Some(inner) = inner.filter(|_| depth < DEEPEST) {
            add(written, &inner, &path, depth + 1)?;
        }
    }
    Ok(())
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
