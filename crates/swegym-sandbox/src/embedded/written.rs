//! Whether a box wrote something: a number over names, kinds, sizes and change
//! times of what lies in its writable layer and its `/tmp`.
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
use std::path::{Path, PathBuf};

use crate::sandbox::SCRATCH;
use crate::sys;

/// A part of a box: what lies under one path, and not under others.
pub(super) struct Part {
    under: PathBuf,
    without: [PathBuf; 2],
}

impl Part {
    pub(super) fn new(under: &str, without: &str) -> Self {
        let inside = |path: &str| PathBuf::from(path.trim_start_matches('/'));
        // An empty path would leave everything out.
        let without = if without.is_empty() { SCRATCH } else { without };
        Self { under: inside(under), without: [inside(SCRATCH), inside(without)] }
    }

    /// The number for a writable layer and the `/tmp` beside it.
    pub(super) fn mark(&self, upper: &OwnedFd, tmp: &str) -> io::Result<u64> {
        let mut hash = DefaultHasher::new();
        self.add(upper, Path::new(""), &mut hash)?;
        let at = Path::new("tmp");
        if self.may_hold(at) {
            self.add(&open_folder(upper, tmp.as_bytes())?, at, &mut hash)?;
        }
        Ok(hash.finish())
    }

    /// Whether something at or below this path counts.
    fn may_hold(&self, path: &Path) -> bool {
        (path.starts_with(&self.under) || self.under.starts_with(path))
            && !self.without.iter().any(|without| path.starts_with(without))
    }

    fn add(&self, folder: &OwnedFd, at: &Path, hash: &mut DefaultHasher) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(format!("/proc/self/fd/{}", folder.as_raw_fd()))? {
            let entry = entry?;
            let path = at.join(entry.file_name());
            if !self.may_hold(&path) {
                continue;
            }
            match entry.metadata() {
                Ok(metadata) => entries.push((path, metadata)),
                // It went away while we looked: the next mark differs anyway.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (path, metadata) in entries {
            let size = if metadata.is_dir() { 0 } else { metadata.size() };
            // A folder's own times change with what is left out, too.
            let times = if metadata.is_dir() { (0, 0) } else { (metadata.ctime(), metadata.ctime_nsec()) };
            if path.starts_with(&self.under) {
                (path.as_os_str().as_bytes(), metadata.mode(), metadata.ino(), size, times).hash(hash);
            }
            if metadata.is_dir() {
                let name = path.file_name().map_or(&[][..], OsStr::as_bytes);
                match open_folder(folder, name) {
                    Ok(inner) => self.add(&inner, &path, hash)?,
                    Err(error) if is_closed(&error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
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
