//! Going through a tree that somebody else may be changing.
//!
//! Every name is opened from the descriptor of the folder that it stands in, and
//! no link is followed, so that whatever takes the place of what in the meantime,
//! nothing is reached that does not lie in the tree.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fgetxattr, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

/// Marks a folder that hides those below it, in overlays mounted with `userxattr`.
pub(crate) const OPAQUE: &CStr = c"user.overlay.opaque";

/// Folders in one another: beyond this no path names them, and a stack ends.
pub(crate) const DEEPEST: usize = 512;

/// What stands at a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// A folder, before what is in it.
    Folder {
        /// It hides what lower layers have at its place.
        opaque: bool,
    },
    /// A link, with what it says.
    Link(Vec<u8>),
    /// A regular file, open for reading.
    File { file: File, executable: bool },
    /// An overlay's "deleted here": a device 0/0, which any user may make.
    Whiteout,
}

/// Why the walk ended early.
#[derive(Debug)]
pub(crate) struct WalkError {
    pub(crate) action: &'static str,
    /// From the top of the tree.
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl From<WalkError> for io::Error {
    fn from(error: WalkError) -> Self {
        error.source
    }
}

/// Shows everything in a folder, in the order of names, a folder before what is in
/// it. `keep` is asked with the path from the top. Pipes, sockets and devices mean
/// nothing elsewhere and are passed over, as is what is gone when its turn comes.
pub(crate) fn walk<E: From<WalkError>>(
    top: &OwnedFd,
    keep: &dyn Fn(&Path) -> bool,
    visit: &mut dyn FnMut(&Path, Found) -> Result<(), E>,
) -> Result<(), E> {
    let top = open_folder(top, c".").map_err(|source| failed("read the folder", Path::new(""), source))?;
    Walk { keep, visit }.folder(&top, Path::new(""), 0)
}

struct Walk<'a, E> {
    keep: &'a dyn Fn(&Path) -> bool,
    visit: &'a mut dyn FnMut(&Path, Found) -> Result<(), E>,
}

fn failed(action: &'static str, path: &Path, source: Errno) -> WalkError {
    WalkError { action, path: path.to_owned(), source: source.into() }
}

impl<E: From<WalkError>> Walk<'_, E> {
    fn folder(&mut self, folder: &OwnedFd, at: &Path, depth: usize) -> Result<(), E> {
        if depth > DEEPEST {
            return Err(failed("go into the folder", at, Errno::NAMETOOLONG).into());
        }
        let mut names = entries(folder).map_err(|source| failed("read the folder", at, source))?;
        names.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, stat) in names {
            let path = at.join(&name);
            if (self.keep)(&path) {
                self.entry(folder, &name, &stat, &path, depth)?;
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &OsStr,
        stat: &Stat,
        path: &Path,
        depth: usize,
    ) -> Result<(), E> {
        let found = match look(folder, name, stat) {
            Ok(Some(Look::Folder(inner, opaque))) => {
                (self.visit)(path, Found::Folder { opaque })?;
                return self.folder(&inner, path, depth + 1);
            }
            Ok(Some(Look::Other(found))) => found,
            Ok(None) | Err(Errno::NOENT) => return Ok(()),
            Err(source) => return Err(failed("read", path, source).into()),
        };
        (self.visit)(path, found)
    }
}

enum Look {
    Folder(OwnedFd, bool),
    Other(Found),
}

/// Opens what stands at a name; what it was when it was listed says how.
fn look(folder: &OwnedFd, name: &OsStr, stat: &Stat) -> Result<Option<Look>, Errno> {
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let inner = open_folder(folder, name)?;
            let opaque = is_opaque(&inner);
            Some(Look::Folder(inner, opaque))
        }
        FileType::Symlink => {
            Some(Look::Other(Found::Link(readlinkat(folder, name, Vec::new())?.into_bytes())))
        }
        FileType::RegularFile => {
            // A pipe in its place would be waited for.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = openat(folder, name, flags | OFlags::CLOEXEC, Mode::empty())?;
            let stat = fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(None);
            }
            let executable = stat.st_mode & 0o111 != 0;
            Some(Look::Other(Found::File { file: file.into(), executable }))
        }
        FileType::CharacterDevice if stat.st_rdev == 0 => Some(Look::Other(Found::Whiteout)),
        _ => None,
    })
}

/// The names in a folder, as they were when they were looked at.
pub(crate) fn entries(folder: &OwnedFd) -> Result<Vec<(std::ffi::OsString, Stat)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => found.push((OsStr::from_bytes(name.to_bytes()).to_owned(), stat)),
            // It went away while we looked.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Opens a folder, and no link to one.
pub(crate) fn open_folder(at: impl AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

pub(crate) fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0_u8; 1];
    fgetxattr(folder, OPAQUE, &mut value[..]) == Ok(1) && value[0] == b'y'
}
