//! Writes lines in order that become ready in any order.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use swegym_console::error::CommandError;

/// What may wait in memory, in bytes.
const MEMORY: usize = 16 << 20;

/// A file of lines. What comes before its turn waits, in memory or in a second
/// file, which is gone at the end.
pub(super) struct InOrder {
    path: PathBuf,
    out: BufWriter<File>,
    /// The line that is written next.
    next: usize,
    early: PathBuf,
    spool: Option<File>,
    waiting: HashMap<usize, Early>,
    /// Bytes that wait in memory.
    held: usize,
}

/// A line that waits.
enum Early {
    Memory(String),
    /// Its place and its length in the spool.
    Spool(u64, usize),
}

impl InOrder {
    /// Makes the file, and its folder.
    pub(super) fn create(path: &Path) -> Result<Self, CommandError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|e| CommandError::file("create", folder, &e))?;
        }
        let file = File::create(path).map_err(|e| CommandError::file("create", path, &e))?;
        let mut early = path.as_os_str().to_owned();
        early.push(".early");
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 17, file),
            next: 0,
            early: early.into(),
            spool: None,
            waiting: HashMap::new(),
            held: 0,
        })
    }

    /// Takes line number `at`.
    pub(super) fn push(&mut self, at: usize, mut line: String) -> Result<(), CommandError> {
        line.push('\n');
        self.take(at, line).map_err(|e| CommandError::file("write", &self.path, &e))
    }

    fn take(&mut self, at: usize, line: String) -> std::io::Result<()> {
        if at != self.next {
            let early = self.keep(line)?;
            self.waiting.insert(at, early);
            return Ok(());
        }
        self.out.write_all(line.as_bytes())?;
        self.next += 1;
        while let Some(early) = self.waiting.remove(&self.next) {
            let line = self.give(early)?;
            self.out.write_all(&line)?;
            self.next += 1;
        }
        Ok(())
    }

    fn keep(&mut self, line: String) -> std::io::Result<Early> {
        if self.held + line.len() <= MEMORY {
            self.held += line.len();
            return Ok(Early::Memory(line));
        }
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => none.insert(
                File::options().create(true).truncate(true).read(true).write(true).open(&self.early)?,
            ),
        };
        let place = spool.seek(SeekFrom::End(0))?;
        spool.write_all(line.as_bytes())?;
        Ok(Early::Spool(place, line.len()))
    }

    fn give(&mut self, early: Early) -> std::io::Result<Vec<u8>> {
        match (early, &mut self.spool) {
            (Early::Memory(line), _) => {
                self.held -= line.len();
                Ok(line.into_bytes())
            }
            (Early::Spool(place, length), Some(spool)) => {
                let mut line = vec![0; length];
                spool.seek(SeekFrom::Start(place))?;
                spool.read_exact(&mut line)?;
                Ok(line)
            }
            (Early::Spool(..), None) => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// Writes out what is buffered and removes the second file.
    pub(super) fn finish(&mut self) -> Result<(), CommandError> {
        self.out.flush().map_err(|e| CommandError::file("write", &self.path, &e))?;
        if self.spool.take().is_some() {
            fs::remove_file(&self.early).map_err(|e| CommandError::file("remove", &self.early, &e))?;
        }
        Ok(())
    }
}
