//! Files that are there whole or not at all, whenever we die.
//!
//! What is written gets its name when it is complete. Until then it lies beside its
//! place as a draft, `.NAME.RANDOM.draft`; [`remove_drafts`] takes away those of a
//! process that was killed. A file that is there keeps its permissions, and a link stays
//! one: the file that it leads to is replaced. Devices, pipes and what a process has open
//! (`/dev/stdout`) are written to as they are; there is nothing to put in their place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// Writes a file so that a reader sees all of it or what was there before. After a loss
/// of power that may be neither: see [`write_synced`].
///
/// # Errors
/// The folder cannot be written to.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::begin(path)?;
    draft.write_all(bytes)?;
    draft.publish()
}

/// The same, and waits until the disk has it.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = Draft::begin(path)?;
    draft.write_all(bytes)?;
    draft.publish_synced()
}

/// How the names of drafts end.
const DRAFT: &str = ".draft";

/// Removes the drafts that a killed process left in a folder. Nobody may write there at
/// the same time.
///
/// # Errors
/// The folder cannot be read, or a draft not be removed.
pub fn remove_drafts(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_draft(&entry.path()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a name is a draft's.
#[must_use]
pub fn is_draft(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(DRAFT)
}

/// A file that does not have its name yet. One that is dropped leaves nothing, and what
/// was there before as it was.
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    out: BufWriter<File>,
    /// Where it lies until it is published; nowhere else than its place if that is a device.
    beside: Option<TempPath>,
}

impl Draft {
    /// Begins a file that will be at `place`. Folders above it that are missing are made.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn begin(place: &Path) -> io::Result<Self> {
        let there = fs::metadata(place).ok();
        if is_open_file(place) || there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
            let out = BufWriter::new(File::options().append(true).open(place)?);
            return Ok(Self { place: place.to_owned(), out, beside: None });
        }
        let place = behind_links(place)?;
        let folder = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        folder.map_or(Ok(()), fs::create_dir_all)?;
        // The whole name could be too long with what comes around it.
        let name: String = place.file_name().unwrap_or_default().to_string_lossy().chars().take(32).collect();
        let draft = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(DRAFT)
            .make_in(folder.unwrap_or(Path::new(".")), |path| File::create_new(path))?;
        let (file, beside) = NamedTempFile::into_parts(draft);
        if let Some(there) = there {
            file.set_permissions(there.permissions())?;
        }
        Ok(Self { place, out: BufWriter::new(file), beside: Some(beside) })
    }

    /// Lets everybody run it.
    ///
    /// # Errors
    /// Its permissions cannot be changed.
    pub fn make_executable(&self) -> io::Result<()> {
        self.out.get_ref().set_permissions(fs::Permissions::from_mode(0o755))
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// The rest cannot be written, or the name cannot be given.
    pub fn publish(self) -> io::Result<()> {
        self.finish(false)
    }

    /// Gives it its name once the disk has it.
    ///
    /// # Errors
    /// As for [`Draft::publish`].
    pub fn publish_synced(self) -> io::Result<()> {
        self.finish(true)
    }

    fn finish(mut self, is_synced: bool) -> io::Result<()> {
        self.out.flush()?;
        let Some(beside) = self.beside else { return Ok(()) };
        if is_synced {
            self.out.get_ref().sync_all()?;
        }
        beside.persist(&self.place).map_err(|failed| failed.error)
    }
}

/// Whether a path stands for what a process has open: `/dev/stdout`, `/proc/self/fd/1`.
fn is_open_file(place: &Path) -> bool {
    let is_of_system = |path: &Path| path.starts_with("/dev/fd") || path.starts_with("/proc");
    let mut place = place.to_owned();
    // As many links as the kernel follows.
    for _ in 0..40 {
        if is_of_system(&place) {
            return true;
        }
        let Ok(link) = fs::read_link(&place) else { return false };
        place = place.parent().unwrap_or(Path::new("/")).join(link);
    }
    false
}

/// Where a file can be put that `path` names, behind its links.
///
/// # Errors
/// There is a device, a pipe, or what a process has open, in whose place nothing can be put.
pub fn place_of(path: &Path) -> io::Result<PathBuf> {
    let is_other = fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    if is_other || is_open_file(path) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    behind_links(path)
}

/// Where the file is, or will be, that a path leads to.
fn behind_links(place: &Path) -> io::Result<PathBuf> {
    let mut place = place.to_owned();
    for _ in 0..40 {
        let Ok(link) = fs::read_link(&place) else { return Ok(place) };
        place = place.parent().unwrap_or(Path::new("/")).join(link);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "its links lead in a circle"))
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        write_whole(&place, b"first").unwrap();
        let mut draft = Draft::begin(&place).unwrap();
        draft.write_all(&[0; 100_000]).unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"first");
        drop(draft);
        assert_eq!((fs::read(&place).unwrap().as_slice(), names(folder.path()).len()), (&b"first"[..], 1));
        write_synced(&place, b"second").unwrap();
        assert_eq!((fs::read(&place).unwrap().as_slice(), names(folder.path()).len()), (&b"second"[..], 1));
        assert!(write_whole(&place.join("below"), b"").is_err());
        assert!(write_whole(folder.path(), b"").is_err());
        assert_eq!(names(folder.path()), ["file"]);
        let deep = folder.path().join("a/b/file");
        write_whole(&deep, b"third").unwrap();
        assert_eq!(fs::read(&deep).unwrap(), b"third");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::begin(&folder.path().join("a.json")).unwrap();
        draft.write_all(b"half").unwrap();
        std::mem::forget(draft);
        for other in ["a.draft", ".hidden", "a.json"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        fs::create_dir(folder.path().join(".b.draft")).unwrap();
        assert_eq!(names(folder.path()).len(), 5);
        remove_drafts(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".b.draft", ".hidden", "a.draft", "a.json"]);
    }

    /// Files of runs are read by other users, as far as their umask lets them.
    #[test]
    fn a_file_may_be_read_as_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode();
        fs::write(folder.path().join("usual"), "").unwrap();
        write_whole(&folder.path().join("ours"), b"").unwrap();
        assert_eq!(mode("ours"), mode("usual"));
    }

    #[test]
    fn what_is_there_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("own"), "").unwrap();
        fs::set_permissions(at("own"), fs::Permissions::from_mode(0o600)).unwrap();
        write_whole(&at("own"), b"new").unwrap();
        assert_eq!(at("own").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // Links lead on, to what is not there yet as well.
        fs::create_dir(at("far")).unwrap();
        for (link, to) in [("near", "own"), ("next", "near"), ("early", "far/later")] {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        for (link, file) in [("next", "own"), ("early", "far/later")] {
            write_whole(&at(link), link.as_bytes()).unwrap();
            assert!(at(link).is_symlink());
            assert_eq!(fs::read_to_string(at(file)).unwrap(), link);
        }
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        assert!(write_whole(&at("loop"), b"").is_err());
        write_whole(&at(&"n".repeat(255)), b"").unwrap();
        // What a process has open is no name to give.
        let open = File::options().append(true).create(true).open(at("said")).unwrap();
        let place = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&open));
        std::os::unix::fs::symlink(&place, at("stdout")).unwrap();
        for path in [Path::new(&place), &at("stdout")] {
            write_whole(path, b"one more").unwrap();
        }
        assert_eq!(fs::read_to_string(at("said")).unwrap(), "one moreone more");
        assert!(at("stdout").is_symlink());
        assert!(place_of(&at("stdout")).is_err() && place_of(Path::new("/dev/null")).is_err());
        assert_eq!(place_of(&at("next")).unwrap(), at("own"));
    }

    #[test]
    fn a_device_stays_one() {
        write_whole(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let full = write_synced(Path::new("/dev/full"), &[0; 1 << 20]).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    }
}
