//! Files by bytes, resolved by the kernel inside the box: a link that points
//! out of the box points nowhere. Pipes and devices are refused rather than
//! waited for.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::sandbox::{DirEntry, EntryKind};
use crate::wire::KEEP_MODE;

fn path_of(bytes: &[u8]) -> io::Result<&Path> {
    let path = Path::new(OsStr::from_bytes(bytes));
    if path.is_absolute() { Ok(path) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

pub(super) struct Reader {
    file: fs::File,
    left: u64,
    size: u64,
}

impl Reader {
    pub(super) fn open(path: &[u8], limit: u64) -> io::Result<Self> {
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path_of(path)?)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if metadata.len() > limit {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        // A file that still grows is cut where the caller's patience ends.
        Ok(Self { file, left: limit, size: metadata.len() })
    }

    /// Bytes when it was opened.
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX - 1)
    }

    pub(super) fn next(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.read(&mut buffer[..room])?;
        self.left -= n as u64;
        Ok(n)
    }
}

pub(super) fn write(path: &[u8], mode: u32, bytes: &[u8], append: bool) -> io::Result<()> {
    let path = path_of(path)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut options = fs::OpenOptions::new();
    let kept = mode == KEEP_MODE;
    let first = if kept { 0o644 } else { mode };
    options.write(true).create(true).mode(first).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    if append {
        options.append(true);
    } else {
        options.truncate(true);
    }
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if !kept {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)
}

pub(super) fn list(path: &[u8]) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path_of(path)?)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
            (true, ..) => EntryKind::File,
            (_, true, _) => EntryKind::Folder,
            (_, _, true) => EntryKind::Link,
            _ => EntryKind::Other,
        };
        let size = if kind == EntryKind::File { entry.metadata()?.len() } else { 0 };
        entries.push(DirEntry { name: entry.file_name().as_bytes().to_vec(), kind, size });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}
