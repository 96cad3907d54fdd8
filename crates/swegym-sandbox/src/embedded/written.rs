//! Whether a box wrote something: a number over names, kinds, sizes and change
//! times of what lies in its writable layer and its `/tmp`.
//!
//! A box cannot set change times, so nothing it writes goes unseen, but for
//! what it stores through a memory map it keeps open.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use crate::sandbox::SCRATCH;
use crate::sys;

/// The number for a writable layer and the `/tmp` beside it.
pub(super) fn mark(upper: &OwnedFd, tmp: &str) -> io::Result<u64> {
    let mut hash = DefaultHasher::new();
    add(upper, None, &mut hash)?;
    let tmp = open_folder(upper, tmp.as_bytes())?;
    let scratch = SCRATCH.rsplit('/').next();
    add(&tmp, scratch.map(str::as_bytes), &mut hash)?;
    Ok(hash.finish())
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

fn add(folder: &OwnedFd, without: Option<&[u8]>, hash: &mut DefaultHasher) -> io::Result<()> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))? {
        let entry = entry?;
        if without.is_some_and(|name| name == entry.file_name().as_bytes()) {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => entries.push((entry.file_name(), metadata)),
            // It went away while we looked: the next mark differs anyway.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, metadata) in entries {
        let size = if metadata.is_dir() { 0 } else { metadata.size() };
        // A folder's own times change with what is left out, too.
        let times = if metadata.is_dir() { (0, 0) } else { (metadata.ctime(), metadata.ctime_nsec()) };
        (name.as_bytes(), metadata.mode(), metadata.ino(), size, times).hash(hash);
        if metadata.is_dir() {
            match open_folder(folder, name.as_bytes()) {
                Ok(inner) => add(&inner, None, hash)?,
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
