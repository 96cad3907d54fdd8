//! Lines that are ready in any order, written in theirs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::CommandError;

/// A file of lines. What comes before its turn waits in a second file, which
/// is gone at the end.
pub(super) struct InOrder {
    path: PathBuf,
    out: BufWriter<File>,
    /// The line that is written next.
    next: usize,
    early: PathBuf,
    spool: Option<File>,
    /// Place and length in the spool, by line.
    waiting: HashMap<usize, (u64, usize)>,
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
            out: BufWriter::with_capacity(1 << 20, file),
            next: 0,
            early: early.into(),
            spool: None,
            waiting: HashMap::new(),
        })
    }

    /// Takes line number `at`.
    pub(super) fn push(&mut self, at: usize, line: String) -> Result<(), CommandError> {
        let mut line = line;
        line.push('\n');
        self.take(at, &line).map_err(|e| CommandError::file("write", &self.path, &e))
    }

    fn take(&mut self, at: usize, line: &str) -> std::io::Result<()> {
        if at != self.next {
            let spool = match &mut self.spool {
                Some(spool) => spool,
                none => none.insert(
                    File::options().create(true).truncate(true).read(true).write(true).open(&self.early)?,
                ),
            };
            let place = spool.seek(SeekFrom::End(0))?;
            spool.write_all(line.as_bytes())?;
            self.waiting.insert(at, (place, line.len()));
            return Ok(());
        }
        self.out.write_all(line.as_bytes())?;
        self.next += 1;
        while let (Some((place, length)), Some(spool)) = (self.waiting.remove(&self.next), &mut self.spool) {
            let mut line = vec![0; length];
            spool.seek(SeekFrom::Start(place))?;
            spool.read_exact(&mut line)?;
            self.out.write_all(&line)?;
            self.next += 1;
        }
        Ok(())
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
