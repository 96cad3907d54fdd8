//! The steps of the method, taken one after another in one folder. The output of each is
//! in a folder (or file) named after it. Finished steps are not repeated.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_core::format::steps::{self, Taken};

use crate::session::Session;
use crate::step::Step;

/// A folder in which steps are taken.
pub struct Workshop {
    session: Session,
    folder: PathBuf,
    done: Vec<Taken>,
}

impl Workshop {
    /// Opens a folder; what an earlier attempt did there counts, if it is to be
    /// resumed.
    pub fn open(session: &Session, folder: &Path, resume: bool) -> Result<Self, CommandError> {
        let path = folder.join(steps::FILE);
        if !resume && path.exists() {
            return Err(CommandError::usage(
                format!("steps of an earlier run are in `{}`", folder.display()),
                "go on with them by --resume, or choose another folder with --out",
            ));
        }
        std::fs::create_dir_all(folder).map_err(|e| CommandError::file("make the folder", folder, &e))?;
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|e| CommandError::file("read", &path, &e))?,
        };
        let (done, whole) = steps::read(&path.to_string_lossy(), &text)?;
        // A line that was cut must not merge with the next one.
        if whole < text.len() {
            let file = OpenOptions::new().write(true).open(&path);
            let mended = file.and_then(|file| file.set_len(whole as u64));
            mended.map_err(|e| CommandError::file("mend", &path, &e))?;
        }
        Ok(Self { session: session.inner(), folder: folder.to_owned(), done })
    }

    /// Where a step's output lies.
    pub fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Seconds that all steps took that are done.
    pub fn seconds(&self) -> f64 {
        self.done.iter().map(|step| step.seconds).sum()
    }

    /// Takes a step, if it is not done; gives where its output lies.
    pub async fn take(&mut self, name: &str, step: Step) -> Result<PathBuf, CommandError> {
        let (place, settings) = (self.place(name), step.identity(&self.folder));
        if let Some(done) = self.done.iter().find(|done| done.step == name) {
            // Releases that wrote command lines cannot be compared with.
            if done.settings.as_ref().is_none_or(|known| *known == settings) {
                return Ok(place);
            }
            let message = format!("`{}` was made with other settings", place.display());
            let hint = "go on with the same settings, or choose another --out";
            return Err(CommandError::usage(message, hint));
        }
        if *self.session.stop.borrow() {
            return Err(interrupted());
        }
        let began = Instant::now();
        if step.take(&self.session, &place).await? == exit::INTERRUPTED {
            return Err(interrupted());
        }
        self.note(Taken {
            step: name.to_owned(),
            settings: Some(settings),
            seconds: began.elapsed().as_secs_f64(),
        })?;
        Ok(place)
    }

    fn note(&mut self, taken: Taken) -> Result<(), CommandError> {
        let path = self.folder.join(steps::FILE);
        let append = |mut file: File| {
            file.write_all(steps::line(&taken).as_bytes())?;
            file.sync_data()
        };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(append).map_err(|e| CommandError::file("write", &path, &e))?;
        self.done.push(taken);
        Ok(())
    }
}

/// What a run says that was stopped.
pub fn interrupted() -> CommandError {
    let mut error = CommandError::nothing("interrupted", "go on with --resume");
    error.exit = exit::INTERRUPTED;
    error
}
