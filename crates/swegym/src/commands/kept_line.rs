//! The command line in a run's folder. It is there before the run begins, so that
//! however the run ends, it can be taken up; what refuses its flags leaves no trace.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_core::format::run::COMMAND;
use swegym_files::write_whole;

use crate::args::CommandLine;

/// A command line that was written.
pub(super) struct KeptLine {
    path: PathBuf,
    /// What the file said before.
    before: Option<Vec<u8>>,
    /// What else was in the folder.
    beside: BTreeSet<OsString>,
    /// Folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl KeptLine {
    /// Writes what was typed; not where there is nothing to resume, which would look as if
    /// there were.
    pub(super) fn keep(folder: &Path, line: &CommandLine, resume: bool) -> Result<Self, CommandError> {
        let path = folder.join(COMMAND);
        let before = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(CommandError::file("read", &path, &error)),
        };
        let is_absent = |above: &&Path| !above.as_os_str().is_empty() && !above.exists();
        let made = folder.ancestors().take_while(is_absent).map(Path::to_owned).collect();
        let beside = names(folder);
        let is_nothing = resume && beside.is_empty();
        if let Some(text) = line.text().filter(|_| !is_nothing) {
            fs::create_dir_all(folder).map_err(|e| CommandError::file("make the folder", folder, &e))?;
            write_whole(&path, text.as_bytes()).map_err(|e| CommandError::file("write", &path, &e))?;
        }
        Ok(Self { path, before, beside, made })
    }

    /// Takes it back where the run was refused before it began: all is as it was.
    pub(super) fn settle(self, ran: &Result<u8, CommandError>) -> Result<(), CommandError> {
        let is_refusal = |error: &CommandError| [exit::USAGE, exit::NOTHING_SELECTED].contains(&error.exit);
        if !ran.as_ref().is_err_and(is_refusal) {
            return Ok(());
        }
        let Self { path, before, mut beside, made } = self;
        if let Some(bytes) = before {
            return write_whole(&path, &bytes).map_err(|e| CommandError::file("write", &path, &e));
        }
        beside.insert(COMMAND.into());
        let has_begun = path.parent().is_some_and(|folder| !names(folder).is_subset(&beside));
        if !has_begun {
            // What cannot be removed is not there, or somebody needs it.
            _ = fs::remove_file(&path);
            made.iter().for_each(|folder| _ = fs::remove_dir(folder));
        }
        Ok(())
    }
}

/// What a folder holds; nothing where there is none.
fn names(folder: &Path) -> BTreeSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}
