//! What was fetched from indexes, kept on disk: files by their digest, pages by
//! their address. Only this code writes here, and nothing is believed that does
//! not have its digest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use swegym_core::id::hex;

/// Read or written at once.
const BLOCK: usize = 256 << 10;

/// A folder with `files/<digest>` and `pages/<digest of the address>`.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
}

/// A file that is being fetched. Nobody else fetches it meanwhile.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    hash: Sha256,
}

impl Shelf {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(super) fn file_path(&self, sha256: &str) -> PathBuf {
        self.folder.join("files").join(sha256)
    }

    /// A kept file, at its beginning; one that is damaged is removed.
    pub(super) fn file(&self, sha256: &str) -> io::Result<Option<File>> {
        let path = self.file_path(sha256);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => break,
                n => hash.update(&block[..n]),
            }
        }
        if hex(&hash.finalize()) == sha256 {
            file.seek(SeekFrom::Start(0))?;
            return Ok(Some(file));
        }
        // Somebody else may have seen it too.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(None),
        }
    }

    /// Begins a file. Waits for whoever is at it, in this process or another,
    /// so ask again for the file afterwards. What a killed process left is
    /// begun anew.
    pub(super) fn begin(&self, sha256: &str) -> io::Result<Partial> {
        let path = self.folder.join("files").join(format!(".{sha256}"));
        self.make_folder("files")?;
        loop {
            let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
            let file = open?;
            file.lock()?;
            let is_current =
                fs::metadata(&path).is_ok_and(|m| file.metadata().is_ok_and(|f| f.ino() == m.ino()));
            if is_current {
                return Ok(Partial { file, path, hash: Sha256::new() });
            }
            // Meanwhile it was finished and has its name.
        }
    }

    /// Gives a whole file its name; `None` if it does not have its digest.
    pub(super) fn finish(&self, mut partial: Partial, sha256: &str) -> io::Result<Option<File>> {
        if hex(&std::mem::take(&mut partial.hash).finalize()) != sha256 {
            partial.abandon();
            return Ok(None);
        }
        partial.file.sync_data()?;
        fs::rename(&partial.path, self.file_path(sha256))?;
        partial.file.seek(SeekFrom::Start(0))?;
        Ok(Some(partial.file))
    }

    /// The page that was at an address when it was last asked for.
    pub(super) fn page(&self, address: &str) -> Option<String> {
        fs::read_to_string(self.page_path(address)).ok()
    }

    pub(super) fn put_page(&self, address: &str, text: &str) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.make_folder("pages")?;
        let path = self.page_path(address);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let partial = path.with_extension(format!("{}-{number}", std::process::id()));
        fs::write(&partial, text)?;
        fs::rename(&partial, &path)
    }

    pub(super) fn page_path(&self, address: &str) -> PathBuf {
        self.folder.join("pages").join(format!("{}.json", hex(&Sha256::digest(address))))
    }

    /// Addresses of files may hold somebody's keys.
    fn make_folder(&self, name: &str) -> io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder.join(name))
    }
}

impl Partial {
    /// Forgets what came so far.
    pub(super) fn restart(&mut self) -> io::Result<()> {
        self.hash = Sha256::new();
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    /// Leaves nothing of it.
    pub(super) fn abandon(self) {
        // What cannot be removed is begun anew by whoever comes next.
        let _ = fs::remove_file(&self.path);
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(shelf: &Shelf, sha256: &str, bytes: &[u8]) -> Option<File> {
        let mut partial = shelf.begin(sha256).unwrap();
        partial.restart().unwrap();
        partial.push(bytes).unwrap();
        shelf.finish(partial, sha256).unwrap()
    }

    #[test]
    fn only_what_has_its_digest_is_kept_and_given() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path());
        let name = hex(&Sha256::digest(b"right"));
        assert!(shelf.file(&name).unwrap().is_none());
        assert!(put(&shelf, &name, b"wrong").is_none() && shelf.file(&name).unwrap().is_none());
        // A longer one that was cut by a crash.
        fs::write(folder.path().join(format!("files/.{name}")), "something longer").unwrap();
        assert!(put(&shelf, &name, b"right").is_some());
        assert_eq!(io::read_to_string(shelf.file(&name).unwrap().unwrap()).unwrap(), "right");
        fs::write(shelf.file_path(&name), "wrong").unwrap();
        assert!(shelf.file(&name).unwrap().is_none() && !shelf.file_path(&name).exists());
    }

    #[test]
    fn two_that_want_one_file_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(folder.path());
        let name = hex(&Sha256::digest(b"right"));
        let mut first = shelf.begin(&name).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let partial = shelf.begin(&name).unwrap();
                (shelf.file(&name).unwrap().is_some(), partial.file.metadata().unwrap().len())
            });
            first.push(b"right").unwrap();
            shelf.finish(first, &name).unwrap();
            // Neither waits for ever, nor has the finished file in its hands.
            assert_eq!(second.join().unwrap(), (true, 0));
        });
    }
}
