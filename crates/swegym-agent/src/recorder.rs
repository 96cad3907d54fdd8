//! The record of one attempt on disk: appended to as things happen.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use swegym_core::format::FormatError;
use swegym_core::format::record::{self, write_entry};
use swegym_core::record::RecordEvent;
use thiserror::Error;

/// An open record. A line is handed to the system in one call before the next
/// thing happens: whatever moment the process dies at, lines are whole.
pub struct Recorder {
    path: PathBuf,
    file: fs::File,
    next: u64,
    clock: fn() -> u64,
}

/// Why a record cannot be read or written.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is damaged, or newer.
    #[error("the record is damaged")]
    Format(#[from] FormatError),
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// In words.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecordError {
    let path = path.to_owned();
    move |source| RecordError::Io { action, path, source }
}

impl Recorder {
    /// Opens or makes a record, and reads what it holds. A line that a crash
    /// cut is taken off. `clock` gives milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn open(path: &Path, clock: fn() -> u64) -> Result<(Self, Vec<RecordEvent>), RecordError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io_error("make the folder", folder))?;
        }
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(path).map_err(io_error("open", path))?;
        let text = fs::read(path).map_err(io_error("read", path))?;
        let read = record::read(&path.to_string_lossy(), &String::from_utf8_lossy(&text))?;
        if read.sound_bytes < text.len() {
            file.set_len(read.sound_bytes as u64).map_err(io_error("mend", path))?;
        }
        let next = read.entries.last().map_or(0, |e| e.seq + 1);
        Ok((Self { path: path.to_owned(), file, next, clock }, read.into_events()))
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, event: &RecordEvent) -> Result<(), RecordError> {
        let line = write_entry(self.next, (self.clock)(), event);
        self.next += 1;
        self.file.write_all(line.as_bytes()).map_err(io_error("append to", &self.path))
    }

    /// Appends the last event, and waits until the disk has all of them.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(&mut self, event: &RecordEvent) -> Result<(), RecordError> {
        self.append(event)?;
        self.file.sync_data().map_err(io_error("store", &self.path))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
