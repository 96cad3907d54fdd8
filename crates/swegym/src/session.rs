//! What commands that start boxes share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use swegym_runner::Context;
use swegym_sandbox::{Host, Store};
use tokio::sync::watch;

use crate::error::CommandError;
use crate::printer::Printer;
use crate::settings::Settings;

/// The one verb that is not for people: [`swegym_sandbox::keeper`].
pub(crate) const KEEPER: &str = "__keeper";

/// A keeper, a store, a printer, and the user's wish to stop.
pub(crate) struct Session {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) host: Host,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Session {
    pub(crate) async fn open(settings: Settings, printer: Printer) -> Result<Self, CommandError> {
        let store = Store::open(&settings.home)?;
        let program = std::env::current_exe()?;
        let host = Host::start(store, program, &[KEEPER]).await?;
        Ok(Self { settings, printer, host, stop: listen_for_stop() })
    }

    /// The same for a step of something larger.
    pub(crate) fn inner(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            printer: self.printer.inner(),
            host: self.host.clone(),
            stop: self.stop.clone(),
        }
    }

    /// The context of a run in this folder.
    pub(crate) fn context(&self, run_folder: &Path) -> Context {
        Context {
            host: self.host.clone(),
            settings: Arc::new(self.settings.run.clone()),
            install: Arc::new(self.settings.install.clone()),
            index: Arc::new(self.settings.index()),
            run_folder: Arc::new(run_folder.to_owned()),
            names: Arc::default(),
        }
    }

    /// The folder asked for, or a new one named by verb and time.
    pub(crate) fn run_folder(&self, verb: &str, out: Option<PathBuf>) -> PathBuf {
        run_folder(&self.settings.home, verb, out)
    }
}

/// The folder asked for, or a new one named by verb and time.
pub(crate) fn run_folder(home: &Path, verb: &str, out: Option<PathBuf>) -> PathBuf {
    out.unwrap_or_else(|| {
        let now = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
        home.join("runs").join(format!("{verb}-{now}-{}", std::process::id()))
    })
}

/// Turns true at Ctrl-C or a polite termination; a second one ends at once.
pub(crate) fn listen_for_stop() -> watch::Receiver<bool> {
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
                std::process::exit(i32::from(crate::exit::INTERRUPTED));
            }
        }
    });
    receiver
}

/// Work that computes all the time has a thread of its own.
pub(crate) fn compute(work: impl FnOnce() -> Result<u8, CommandError>) -> Result<u8, CommandError> {
    tokio::task::block_in_place(work)
}
