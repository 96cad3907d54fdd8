//! What a box wrote: what lies in its writable layer and in its `/tmp`.
//!
//! A box cannot set change times, so nothing it writes goes unseen, but for
//! what it stores through a memory map it keeps open.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::sandbox::{EntryKind, SCRATCH, Written};
use crate::sys;

/// Everything in a writable layer and the `/tmp` beside it.
pub(super) fn list(upper: &OwnedFd, tmp: &str) -> io::Result<Vec<Written>> {
    let mut written = Vec::new();
    add(upper, Path::new("/"), &mut written)?;
    add(&open_folder(upper, tmp.as_bytes())?, Path::new("/tmp"), &mut written)?;
    Ok(written)
}

fn add(folder: &OwnedFd, at: &Path, written: &mut Vec<Written>) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        // In the layer, the place where `/tmp` is mounted.
        if path == Path::new("/tmp") {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => entries.push((path, metadata)),
            // It went away while we looked: it is not there the next time either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, metadata) in entries {
        let inner = (metadata.is_dir() && at != Path::new(SCRATCH)).then(|| path.clone());
        written.push(Written { kind: kind(&metadata), stamp: stamp(&metadata), path });
        if let Some(path) = inner {
            let name = path.file_name().map_or(&[][..], OsStr::as_bytes);
            match open_folder(folder, name) {
                Ok(inner) => add(&inner, &path, written)?,
                Err(error) if is_closed(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn kind(metadata: &fs::Metadata) -> EntryKind {
    match metadata.file_type() {
        t if t.is_file() => EntryKind::File,
        t if t.is_dir() => EntryKind::Folder,
        t if t.is_symlink() => EntryKind::Link,
        _ => EntryKind::Other,
    }
}

/// A folder's own times change with every name in it, those left out too.
fn stamp(metadata: &fs::Metadata) -> u64 {
    let mut hash = DefaultHasher::new();
    (metadata.mode(), metadata.ino()).hash(&mut hash);
    if !metadata.is_dir() {
        (metadata.size(), metadata.ctime(), metadata.ctime_nsec()).hash(&mut hash);
    }
    hash.finish()
}

/// Gone, turned into a link, or closed even to its owner.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EACCES))
}

/// Opened without following a link: the box may put one there at any moment.
fn open_folder(at: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let name = sys::cstring(name)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: a descriptor we hold and a NUL-terminated name.
    let fd = sys::check(unsafe { libc::openat(at.as_raw_fd(), name.as_ptr(), flags) })?;
    // SAFETY: the call just gave it to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
