//! Folders that requests may load adapters from, held open from the start.
//!
//! A request names a path; only what lies below one of the folders is opened. The
//! kernel makes sure that no link leads out, even if files are swapped meanwhile,
//! and that the file that was checked is the file that is read.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2};
use rustix::io::Errno;
use swegym_console::error::CommandError;
use swegym_train::checkpoint::{ADAPTER_CONFIG, ADAPTER_MODEL};
use swegym_train::verifier;

/// Longest file beside an adapter's numbers.
const SMALL: u64 = 1 << 20;

/// The folders.
pub(super) struct Shelf {
    folders: Vec<Folder>,
}

struct Folder {
    /// As it was named, and as it is without links.
    names: [PathBuf; 2],
    handle: OwnedFd,
}

/// The content of an adapter's files.
pub(super) struct Found {
    pub(super) config: Vec<u8>,
    pub(super) model: Vec<u8>,
    /// Only a verifier has it.
    pub(super) verifier: Option<Vec<u8>>,
}

impl Shelf {
    /// Opens the folders.
    pub(super) fn open<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Self, CommandError> {
        let folder = |path: &Path| {
            let opened = || {
                let names = [std::path::absolute(path)?, path.canonicalize()?];
                let handle = openat2(
                    CWD,
                    &names[1],
                    OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                    ResolveFlags::NO_MAGICLINKS,
                )?;
                Ok(Folder { names, handle })
            };
            opened().map_err(|e| CommandError::file("open the folder", path, &e))
        };
        Ok(Self { folders: paths.map(folder).collect::<Result<_, _>>()? })
    }

    /// The adapter at a place, if it is whole, below one of the folders, and its
    /// numbers have at most `most` bytes. A training run stands for its model.
    pub(super) fn find(&self, place: &Path, most: u64) -> Option<Found> {
        let place = std::path::absolute(place).ok()?;
        let below = |folder: &'_ Folder| -> Vec<PathBuf> {
            folder.names.iter().filter_map(|name| place.strip_prefix(name).ok()).map(Path::to_owned).collect()
        };
        self.folders.iter().find_map(|folder| {
            let places = below(folder).into_iter().flat_map(|rest| [rest.join("model"), rest]);
            places.into_iter().find_map(|rest| folder.adapter(&rest, most))
        })
    }
}

impl Folder {
    fn adapter(&self, rest: &Path, most: u64) -> Option<Found> {
        let config = self.read(&rest.join(ADAPTER_CONFIG), SMALL).ok()?;
        let model = self.read(&rest.join(ADAPTER_MODEL), most).ok()?;
        let verifier = match self.read(&rest.join(verifier::FILE), SMALL) {
            Err(Errno::NOENT) => None,
            read => Some(read.ok()?),
        };
        Some(Found { config, model, verifier })
    }

    /// A regular file of at most `most` bytes below the folder, on its file system.
    fn read(&self, rest: &Path, most: u64) -> Result<Vec<u8>, Errno> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        // Nothing happens to what is opened in this way: a device does not notice,
        // and a pipe waits for nobody.
        let found = openat2(&self.handle, rest, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), beneath)?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        let same = format!("/proc/self/fd/{}", found.as_raw_fd());
        let file = File::from(open(same, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        let mut content = Vec::new();
        let failed = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
        file.take(most + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > most { Err(Errno::FBIG) } else { Ok(content) }
    }
}
