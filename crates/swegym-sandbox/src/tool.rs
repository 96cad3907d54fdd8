//! The one place where programs are started on the host itself, always with a
//! time limit and never with anything a task or a model wrote as the program.

mod stream;

use std::ffi::OsStr;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

pub use stream::Stream;

/// Why a host program gave no answer.
#[derive(Debug, Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Its name.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("`{program}` did not finish within {} s", limit.as_secs())]
    Timeout {
        /// Its name.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It returned an error.
    #[error("`{program}` failed ({status}): {stderr}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        stderr: String,
    },
}

/// Runs a host program to its end and gives its standard output.
///
/// # Errors
/// When it cannot be started, does not end in time, or fails.
pub fn run<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
    limit: Duration,
) -> Result<Vec<u8>, ToolError> {
    ask(program, arguments, Vec::new(), limit)
}

/// As [`run`], with something on the program's standard input. It need not read it.
///
/// # Errors
/// As [`run`].
pub fn ask<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
    input: Vec<u8>,
    limit: Duration,
) -> Result<Vec<u8>, ToolError> {
    let name = program.as_ref().to_string_lossy().into_owned();
    let start = |source| ToolError::Start { program: name.clone(), source };
    #[expect(clippy::disallowed_methods, reason = "this is the helper the ban points to")]
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(start)?;
    // Ends with the program at the latest: then nobody holds the other end.
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let collect = |pipe: Option<Box<dyn io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // A host tool that prints more than this is not one of ours.
            pipe.map(|p| p.take(256 << 20).read_to_end(&mut bytes));
            bytes
        })
    };
    let stdout = collect(stdout.map(|p| Box::new(p) as Box<dyn io::Read + Send>));
    let stderr = collect(stderr.map(|p| Box::new(p) as Box<dyn io::Read + Send>));
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if Instant::now() > deadline {
            crate::sys::kill(-(child.id() as i32), libc::SIGKILL);
            let _ = child.wait();
            return Err(ToolError::Timeout { program: name, limit });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    if !status.success() {
        return Err(ToolError::Failed { program: name, status, stderr: last_words(&stderr) });
    }
    Ok(stdout)
}

/// The end of what a program complained of, on one line.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let tail: Vec<&str> = text.trim().lines().rev().take(5).collect();
    tail.into_iter().rev().collect::<Vec<_>>().join("; ")
}

/// Runs a host program for its time alone: nothing it prints is read.
///
/// # Errors
/// As [`run`], without its words.
pub fn wait_for(program: &str, arguments: &[&str], limit: Duration) -> Result<(), ToolError> {
    let start = |source| ToolError::Start { program: program.to_owned(), source };
    #[expect(clippy::disallowed_methods, reason = "this is the helper the ban points to")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(start)?;
    let group = -(child.id() as i32);
    // Waiting must not poll: what is timed is shorter than any pause.
    let (done, finished) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let late = finished.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if late {
            crate::sys::kill(group, libc::SIGKILL);
        }
        late
    });
    let status = child.wait().map_err(start)?;
    drop(done);
    match (watch.join(), status.success()) {
        (Ok(true), _) => Err(ToolError::Timeout { program: program.to_owned(), limit }),
        (_, true) => Ok(()),
        _ => Err(ToolError::Failed { program: program.to_owned(), status, stderr: String::new() }),
    }
}

/// Starts the keeper with its socket as standard input. It outlives us only
/// for as long as it takes to clean up.
pub(crate) fn start_keeper(
    program: &Path,
    arguments: &[String],
    home: &Path,
    socket: OwnedFd,
) -> io::Result<Child> {
    #[expect(clippy::disallowed_methods, reason = "this is the helper the ban points to")]
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home).env_clear().stdin(Stdio::from(socket)).stdout(Stdio::null());
    // Every box's first process shows these words, which say nothing of the host.
    command.arg0("swegym");
    // What the C library sets aside for a thread it never gives back, and every
    // supervisor would hold its own.
    command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
    command.spawn()
}

/// A child for `swegym-bench`: lines in, lines out, timed by the caller, driven
/// by the same runtime as boxes are.
pub struct Dialogue {
    child: tokio::process::Child,
    stdin: tokio::process::ChildStdin,
    stdout: tokio::process::ChildStdout,
}

impl Dialogue {
    /// Starts a program with pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &str, arguments: &[&str]) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "this is the helper the ban points to")]
        let mut command = tokio::process::Command::from(Command::new(program));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        match (stdin, stdout) {
            (Some(stdin), Some(stdout)) => Ok(Self { child, stdin, stdout }),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends a line and waits for exactly this answer.
    ///
    /// # Errors
    /// When the program is gone or answers something else.
    pub async fn exchange(&mut self, line: &[u8], answer: &[u8]) -> io::Result<()> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut buffer = vec![0; answer.len()];
        self.stdin.write_all(line).await?;
        self.stdout.read_exact(&mut buffer).await?;
        if buffer == answer { Ok(()) } else { Err(io::Error::other("another answer")) }
    }

    /// Ends the program.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn end(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_killed_at_its_limit_and_its_words_are_kept() {
        let slow = run("sleep", ["100"], Duration::from_millis(50));
        assert!(matches!(slow, Err(ToolError::Timeout { .. })));
        let failed = run("sh", ["-c", "echo why >&2; exit 3"], Duration::from_secs(5)).unwrap_err();
        assert!(failed.to_string().ends_with("why"), "{failed}");
        assert!(matches!(
            run("no-such-program", ["x"], Duration::from_secs(1)),
            Err(ToolError::Start { .. })
        ));
        assert_eq!(run("echo", ["a"], Duration::from_secs(5)).unwrap(), b"a\n");
        let much = vec![b'x'; 1 << 20];
        let limit = Duration::from_secs(5);
        assert_eq!(ask("wc", ["-c"], much.clone(), limit).unwrap(), b"1048576\n");
        assert_eq!(ask("true", [] as [&str; 0], much, limit).unwrap(), b"");
    }
}
