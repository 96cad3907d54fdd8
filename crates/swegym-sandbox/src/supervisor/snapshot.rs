//! Telling the host what the box wrote, while everything in the box stands still.
//!
//! This process is the box's own first one: it sees the box's mounts alone and
//! has the rights of its user, so that no way of misleading it reaches further
//! than the box itself does.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Supervisor, errno, watchdog, written};
use crate::sandbox::SCRATCH;
use crate::sys;
use crate::tree::{self, Found};
use crate::wire::{EntryMark, PIECE, Reply, Request, WINDOW};

/// Where the box's `/tmp` lies, seen from its writable layer (`keeper/namespace.rs`).
const TMP_BESIDE_UPPER: &str = "../t";

/// How long processes may take to stop. They do when they get a core, so that
/// only a machine that is overrun needs it.
const STILL_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at what has not stopped.
const PAUSE: Duration = Duration::from_millis(1);

/// A process that waits inside the kernel for a child to become another program
/// stops when the child does that, and the child may have stopped before: after
/// so many looks at nothing but such, everybody may go on for a moment.
const LOOKS: u32 = 20;

/// How long the host may take over a part of a snapshot.
const HOST_TAKES: Duration = Duration::from_secs(120);

/// Names in one frame.
const NAMES: usize = 4096;

impl Supervisor {
    /// Answers with entries and data, and a status at the end. The box goes on
    /// whatever happens.
    pub(super) fn snapshot(&mut self, job: u32, whole: bool, room: u64) -> io::Result<()> {
        stand_still();
        let told = Telling { supervisor: self, job, room, under_way: 0 }.tell_all(whole);
        sys::kill(-1, libc::SIGCONT);
        let errno = match told {
            Err(Broken::Host(error)) => return Err(error),
            Err(Broken::Tree(error)) => errno(&error),
            Ok(()) => 0,
        };
        self.send(&Reply::Status { job, errno })
    }

    /// Answers with what lies in the writable layer and in `/tmp`.
    pub(super) fn tell_written(&mut self, job: u32) -> io::Result<()> {
        let mut all = match written::list(self.watchdog.upper(), TMP_BESIDE_UPPER) {
            Ok(all) => all,
            Err(error) => return self.send(&Reply::Status { job, errno: errno(&error) }),
        };
        loop {
            let rest = all.split_off(all.len().min(NAMES));
            let last = rest.is_empty();
            self.send(&Reply::Wrote { job, entries: std::mem::replace(&mut all, rest), last })?;
            if last {
                return Ok(());
            }
        }
    }
}

/// One snapshot.
struct Telling<'a> {
    supervisor: &'a mut Supervisor,
    job: u32,
    /// Bytes of files that may still be told.
    room: u64,
    /// Bytes that the host did not yet say that it took.
    under_way: usize,
}

impl Telling<'_> {
    fn tell_all(&mut self, whole: bool) -> Result<(), Broken> {
        let upper = tree::open_folder(self.supervisor.watchdog.upper(), ".").map_err(io::Error::from)?;
        self.tell(&upper, Path::new(""), &|_| true)?;
        if whole {
            let tmp = tree::open_folder(&upper, TMP_BESIDE_UPPER).map_err(io::Error::from)?;
            let at = Path::new("tmp");
            self.entry(EntryMark::Opaque, at, Vec::new())?;
            let scratch = Path::new(SCRATCH.trim_start_matches('/'));
            self.tell(&tmp, at, &|path| at.join(path) != scratch)?;
        }
        Ok(())
    }

    fn tell(&mut self, top: &OwnedFd, at: &Path, keep: &dyn Fn(&Path) -> bool) -> Result<(), Broken> {
        tree::walk(top, keep, &mut |path, found| {
            let path = at.join(path);
            match found {
                Found::Folder { opaque: true } => self.entry(EntryMark::Opaque, &path, Vec::new()),
                Found::Folder { opaque: false } => self.entry(EntryMark::Folder, &path, Vec::new()),
                Found::Whiteout => self.entry(EntryMark::Whiteout, &path, Vec::new()),
                Found::Link(target) => self.entry(EntryMark::Link, &path, target),
                Found::File { file, executable } => {
                    let kind = if executable { EntryMark::Executable } else { EntryMark::File };
                    self.entry(kind, &path, Vec::new())?;
                    self.file(file)
                }
            }
        })
    }

    fn entry(&mut self, kind: EntryMark, path: &Path, link: Vec<u8>) -> Result<(), Broken> {
        let (job, path) = (self.job, path.as_os_str().as_bytes().to_vec());
        self.put(&Reply::Entry { job, kind, path, link })
    }

    fn file(&mut self, mut file: fs::File) -> Result<(), Broken> {
        let job = self.job;
        loop {
            let mut bytes = Vec::new();
            file.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
            let left = self.room.checked_sub(bytes.len() as u64);
            self.room = left.ok_or_else(|| io::Error::from_raw_os_error(libc::EFBIG))?;
            let last = bytes.len() < PIECE;
            self.put(&Reply::Data { job, bytes, last })?;
            if last {
                return Ok(());
            }
        }
    }

    /// Sends a part; waits where too much is under way.
    fn put(&mut self, reply: &Reply) -> Result<(), Broken> {
        let outbox = &mut self.supervisor.outbox;
        let before = outbox.sent;
        outbox.put(reply, Instant::now()).map_err(Broken::Host)?;
        self.under_way += outbox.sent - before;
        while self.under_way > WINDOW {
            self.supervisor.outbox.flush().map_err(Broken::Host)?;
            self.wait_for_room().map_err(Broken::Host)?;
        }
        Ok(())
    }

    /// Waits until the host took some. What else it asks for meanwhile has its turn
    /// later.
    fn wait_for_room(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + HOST_TAKES;
        loop {
            while let Some(request) = self.supervisor.next_request()? {
                match request {
                    Request::More { job } if job == self.job => {
                        self.under_way = self.under_way.saturating_sub(WINDOW / 2);
                        return Ok(());
                    }
                    Request::More { .. } => {}
                    request => self.supervisor.waiting.push_back(request),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                // Nobody listens to this box any longer.
                return Err(io::ErrorKind::TimedOut.into());
            }
            sys::poll(&mut [sys::pollfd(self.supervisor.socket, libc::POLLIN)], Some(left))?;
            self.supervisor.read_requests()?;
        }
    }
}

/// Why a snapshot ended early.
enum Broken {
    /// The host is gone, and so is the box.
    Host(io::Error),
    /// Something cannot be read.
    Tree(io::Error),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Tree(error)
    }
}

impl From<tree::WalkError> for Broken {
    fn from(error: tree::WalkError) -> Self {
        Self::Tree(error.source)
    }
}

/// Stops everything in the box but this process, and comes back when it has
/// stopped: a signal alone would be sent and not yet felt, by whoever is just
/// renaming something inside the kernel. Who does not stop in time is killed.
fn stand_still() {
    let started = Instant::now();
    let mut looks = 0;
    loop {
        sys::kill(-1, libc::SIGSTOP);
        let moving = moving();
        if moving.is_empty() {
            return;
        }
        looks = if moving.iter().all(|(_, waits)| *waits) { looks + 1 } else { 0 };
        if started.elapsed() > STILL_WITHIN {
            moving.iter().for_each(|(pid, _)| _ = sys::kill(*pid, libc::SIGKILL));
        } else if looks == LOOKS {
            sys::kill(-1, libc::SIGCONT);
            looks = 0;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Processes of the box with a thread that is neither stopped nor dead, and
/// whether all those threads wait inside the kernel (`D`).
fn moving() -> Vec<(libc::pid_t, bool)> {
    let look = |pid: libc::pid_t| {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let states = threads.filter_map(|thread| state(&fs::read(thread.path().join("stat")).ok()?));
        let moving: Vec<u8> =
            states.filter(|state| !matches!(state, b'T' | b't' | b'Z' | b'X' | b'x')).collect();
        (!moving.is_empty()).then(|| (pid, moving.iter().all(|state| *state == b'D')))
    };
    watchdog::processes().into_iter().filter_map(look).collect()
}

/// The state that a thread's line tells. Its name comes before, in brackets, and
/// may hold any.
fn state(stat: &[u8]) -> Option<u8> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end + 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_claim_that_a_thread_stands_still() {
        assert_eq!(state(b"7 (sleep) T 1 7"), Some(b'T'));
        assert_eq!(state(b"7 (a) T 1) R 1 7"), Some(b'R'));
        assert_eq!(state(b"7 (x"), None);
    }
}
