//! What commands that start boxes share.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_runner::Context;
use swegym_sandbox::{Host, Store};
use tokio::sync::watch;

use crate::settings::Settings;

/// The one verb that is not for people: [`swegym_sandbox::keeper`].
pub const KEEPER: &str = "__keeper";

/// Where a run's results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A folder; a new one below the home folder where nothing is said.
    pub out: Option<PathBuf>,
    /// What an earlier attempt did there counts.
    pub resume: bool,
}

/// Whether a program was started as the keeper; it is that, then, and this gives its exit
/// code. Asked before there is a thread or much memory: the keeper forks for every box.
pub fn be_keeper(words: &[OsString]) -> Option<u8> {
    let [_, verb] = words else { return None };
    (verb == KEEPER).then(|| swegym_sandbox::keeper::run().map_or(exit::UNEXPECTED, |()| exit::DONE))
}

/// A keeper, a store, a printer, and the user's wish to stop.
pub struct Session {
    /// What the verb works with.
    pub settings: Settings,
    /// Who tells.
    pub printer: Printer,
    /// Who starts boxes.
    pub host: Host,
    /// Turns true where the user wants to stop.
    pub stop: watch::Receiver<bool>,
}

impl Session {
    /// Opens the store and starts a keeper, by this program.
    ///
    /// # Errors
    /// The home folder cannot be used, or the machine starts no boxes.
    pub async fn open(settings: Settings, printer: Printer) -> Result<Self, CommandError> {
        let store = Store::open(&settings.home)?;
        let program = std::env::current_exe()?;
        let host = Host::start(store, program, &[KEEPER]).await?;
        Ok(Self { settings, printer, host, stop: listen_for_stop() })
    }

    /// The same for a step of something larger.
    pub fn inner(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            printer: self.printer.inner(),
            host: self.host.clone(),
            stop: self.stop.clone(),
        }
    }

    /// The context of a run in this folder.
    pub fn context(&self, run_folder: &Path) -> Context {
        Context {
            host: self.host.clone(),
            settings: Arc::new(self.settings.run.clone()),
            install: Arc::new(self.settings.install.clone()),
            index: Arc::new(self.settings.index()),
            registries: self.settings.registries(),
            run_folder: Arc::new(run_folder.to_owned()),
            names: Arc::default(),
            making: Arc::default(),
            fetched: Arc::default(),
        }
    }

    /// The folder asked for, or a new one named by verb and time.
    pub fn run_folder(&self, verb: &str, out: Option<PathBuf>) -> PathBuf {
        run_folder(&self.settings.home, verb, out)
    }
}

/// The folder asked for, or a new one named by verb and time.
pub fn run_folder(home: &Path, verb: &str, out: Option<PathBuf>) -> PathBuf {
    out.unwrap_or_else(|| {
        let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        home.join("runs").join(format!("{verb}-{now}-{}", std::process::id()))
    })
}

/// Turns true at Ctrl-C or a polite termination; a second one ends at once.
pub fn listen_for_stop() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if sender.send_replace(true) {
                #[expect(clippy::disallowed_methods, reason = "the user asked twice")]
                std::process::exit(i32::from(exit::INTERRUPTED));
            }
        }
    });
    receiver
}

/// Work that computes all the time has a thread of its own.
pub fn compute(work: impl FnOnce() -> Result<u8, CommandError>) -> Result<u8, CommandError> {
    tokio::task::block_in_place(work)
}
