//! The seam between boxes and everything above: run, read, write, snapshot, stop.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use swegym_core::{Boundary, Fault, Hint, Trouble};
use thiserror::Error;

use crate::limits::LimitHit;
use crate::output::{Keep, Output};
use crate::store::{LayerId, StoreError};

/// A command for a box.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Program and arguments; the program is looked up in the box's `PATH`.
    pub argv: Vec<String>,
    /// Added to, and winning over, the image's environment.
    pub env: Vec<(String, String)>,
    /// Where it runs; the image's working folder by default.
    pub cwd: Option<String>,
    /// Its standard input; at end of file at once if empty.
    pub stdin: Vec<u8>,
    /// Wall time after which it is interrupted, then killed with its group.
    pub timeout: Duration,
    /// What of its output is kept.
    pub keep: Keep,
    /// Whether it is given [`RESULTS_FD`], and how many bytes may be written there.
    pub results: Option<u64>,
}

/// The descriptor that a command finds for its results, where it is given one.
/// The other end is the supervisor's alone.
pub const RESULTS_FD: i32 = 3;

impl Command {
    /// A program with arguments and a wall-time limit.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>, timeout: Duration) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            cwd: None,
            stdin: Vec::new(),
            timeout,
            keep: Keep::default(),
            results: None,
        }
    }

    /// A line for bash.
    #[must_use]
    pub fn shell(line: &str, timeout: Duration) -> Self {
        Self::new(["bash", "-c", line], timeout)
    }

    /// With this standard input.
    #[must_use]
    pub fn with_stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// In this folder.
    #[must_use]
    pub fn in_folder(mut self, path: impl Into<String>) -> Self {
        self.cwd = Some(path.into());
        self
    }

    /// With one more variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Keeping this much output.
    #[must_use]
    pub fn keeping(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// With a descriptor for results, of at most this many bytes.
    #[must_use]
    pub fn with_results(mut self, limit: u64) -> Self {
        self.results = Some(limit);
        self
    }
}

/// How a command ended, as its supervisor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It returned this status.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// Its time was over.
    TimedOut(Stopped),
}

/// What it took to stop a command whose time was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// An interrupt was enough.
    Interrupted,
    /// Its process group had to be killed.
    Killed,
    /// The session's shell had to be killed too; a new one has its folder and environment.
    Respawned,
}

/// What came through [`RESULTS_FD`] while a command ran. What is written after
/// its own end, by whatever it left behind, does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Results {
    /// It was not given the descriptor.
    NotAsked,
    /// All that was written.
    Whole(Vec<u8>),
    /// More than this many bytes; nothing of it is kept.
    TooLarge(u64),
}

/// A finished command.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// How it ended.
    pub end: End,
    /// A limit it ran into, if any.
    pub limit_hit: Option<LimitHit>,
    /// What it printed.
    pub output: Output,
    /// What it wrote to its descriptor for results.
    pub results: Results,
    /// Processor time of the command and the children it waited for.
    pub cpu_time: Duration,
    /// Largest resident set of any one of them, in bytes.
    pub max_rss_bytes: u64,
    /// From start to end.
    pub wall_time: Duration,
    /// The session's working folder afterwards; `None` for one-shot commands.
    pub folder: Option<String>,
}

impl Execution {
    /// Whether it returned zero.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.end == End::Exited(0)
    }
}

/// How far a session's command is that is not waited for to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// It is over.
    Over(Execution),
    /// It goes on; this is what it printed since it was last looked at.
    Running(Output),
}

/// What is pressed on a session's keyboard before its command is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys<'a> {
    /// Nothing.
    None,
    /// ^C: the command is interrupted.
    Interrupt,
    /// These, [`LONGEST_TYPED`] bytes at most. ^D at the start of a line is the
    /// end of input.
    Text(&'a str),
}

/// Bytes that a terminal takes in one line.
pub const LONGEST_TYPED: usize = 4095;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// As bytes; not a path.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Size of a file, in bytes.
    pub size: u64,
}

/// A name that a box wrote, or took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where, in the box.
    pub path: PathBuf,
    /// What is there; [`EntryKind::Other`] where nothing is any longer.
    pub kind: EntryKind,
    /// A file that its owner may run.
    pub executable: bool,
    /// A folder in whose place there was one that it has nothing of.
    pub replaces: bool,
    /// Size of a file, in bytes.
    pub size: u64,
    /// Changes when what is there does; of a folder, only when it becomes another
    /// one. It means nothing outside this box.
    pub stamp: u64,
}

/// What a name stands for; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Folder.
    Folder,
    /// Symbolic link.
    Link,
    /// Device, pipe or socket.
    Other,
}

/// What can go wrong between us and a box. None of these say anything about
/// the program that ran in it.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The machine refuses a part of the isolation.
    #[error("cannot set up the box: {step} failed")]
    Setup {
        /// The step, in words.
        step: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The box ended before its answer came.
    #[error("the box is gone")]
    Gone,
    /// Something in the box was killed for memory, and not by the box's own limit.
    #[error("the machine, or a limit around swegym, killed what ran in the box for want of memory")]
    KilledOutside,
    /// The keeper process ended.
    #[error("the keeper of the boxes is gone")]
    KeeperGone,
    /// A file operation failed inside the box.
    #[error("cannot {action} `{path}` in the box")]
    File {
        /// `read`, `write` or `list`.
        action: &'static str,
        /// Lossy, for people.
        path: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The file is larger than the caller can take.
    #[error("`{path}` in the box is larger than {limit} bytes")]
    FileTooLarge {
        /// Lossy, for people.
        path: String,
        /// The caller's limit.
        limit: u64,
    },
    /// Starting a program failed (not found, not executable, no such folder).
    #[error("cannot start `{program}` in the box")]
    Start {
        /// The program.
        program: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A session's command does not take what was typed.
    #[error("nothing can be typed to the command")]
    NotTyped(#[source] io::Error),
    /// A snapshot or an image could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the box holds is more than a snapshot keeps; the box goes on.
    #[error("there is no snapshot of the box: {0}")]
    TooMuch(&'static str),
    /// A script ran out, or was given something it does not expect.
    #[error("scripted sandbox: {0}")]
    Script(String),
    /// Talking to the box failed.
    #[error("cannot talk to the box")]
    Io(#[from] io::Error),
}

impl SandboxError {
    /// The same as a fault. Starting a program that is not there is the task's;
    /// the rest is the machinery's.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let mut message = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            message = format!("{message}: {inner}");
            source = inner.source();
        }
        let (boundary, code) = match self {
            Self::Start { .. } => (Boundary::Task, "cannot_start"),
            Self::TooMuch(_) => (Boundary::Task, "disk_limit"),
            Self::Store(StoreError::Missing { .. }) => (Boundary::Task, "image_missing"),
            // Reading it again will not make it whole.
            Self::Store(StoreError::Image { .. } | StoreError::Layer(_)) => (Boundary::Task, "image_damaged"),
            Self::Store(_) => (Boundary::Sandbox, "store"),
            Self::KilledOutside => (Boundary::Sandbox, "killed_outside"),
            _ => (Boundary::Sandbox, "sandbox"),
        };
        Fault::new(boundary, code, message).hinted_by(self)
    }
}

impl Hint for SandboxError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Option<String> = match self {
            Self::Setup { step, source } => crate::hints::hint_for(step, source),
            Self::KilledOutside => Some(
                "ask for more memory (the container's or the job's), or run less at once with --memory or --cores"
                    .into(),
            ),
            Self::KeeperGone => Some("run the command again with --resume; see `swegym doctor`".into()),
            Self::Store(error) => return error.hint(),
            Self::TooMuch(_) => Some("give the box more disk, or have it write less".into()),
            Self::FileTooLarge { .. } | Self::File { .. } | Self::Start { .. } => None,
            Self::Gone | Self::NotTyped(_) | Self::Script(_) | Self::Io(_) => None,
        };
        hint.map(Cow::Owned)
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Store(error) => error.trouble(),
            _ => Trouble::Infrastructure,
        }
    }
}

/// A folder for work on the box that is not the box's own: it is in no snapshot.
pub const SCRATCH: &str = "/tmp/.swegym";

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What lies outside `/tmp`: the layer of an image.
    Image,
    /// `/tmp` too: a box of the image and this layer goes on where this one
    /// stands, but for its processes.
    Whole,
}

/// A running, limited image.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Runs one program to its end. What it leaves behind in its process
    /// group is killed; files stay.
    async fn exec(&self, command: Command) -> Result<Execution, SandboxError>;

    /// Runs text in the box's one persistent bash: folder, variables and
    /// background jobs live on to the next call.
    async fn session(&self, text: &str, timeout: Duration, keep: Keep) -> Result<Execution, SandboxError>;

    /// As [`Sandbox::session`], but waits no longer than `patience`: what is not
    /// over by then goes on in the box, until it ends or its time is over, and
    /// reads what is typed. The session takes no other text before that;
    /// [`Sandbox::attend`] waits for it.
    async fn begin(
        &self,
        text: &str,
        timeout: Duration,
        keep: Keep,
        patience: Duration,
    ) -> Result<Progress, SandboxError>;

    /// Waits on, at most for `patience`, for the text that was begun, after keys
    /// were pressed. Keys that it cannot take are refused, and it goes on.
    async fn attend(&self, keys: Keys<'_>, patience: Duration) -> Result<Progress, SandboxError>;

    /// Reads a file of at most `limit` bytes.
    async fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, SandboxError>;

    /// Writes a file, making the folders above it; `mode` as in `chmod`.
    /// Without a mode a file that is there keeps its own.
    async fn write(&self, path: &str, bytes: &[u8], mode: Option<u32>) -> Result<(), SandboxError>;

    /// Lists a folder, sorted by name.
    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, SandboxError>;

    /// Freezes what the box wrote into a layer of the store. The box goes on.
    async fn snapshot(&self, extent: Extent) -> Result<LayerId, SandboxError>;

    /// What the box wrote so far, `/tmp` included, each folder's names in order;
    /// of [`SCRATCH`] only what lies in it directly.
    async fn written(&self) -> Result<Vec<Written>, SandboxError>;

    /// Ends the box and everything in it.
    async fn stop(&self) -> Result<(), SandboxError>;
}
