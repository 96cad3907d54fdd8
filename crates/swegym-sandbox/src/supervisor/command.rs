//! One-shot commands: a process group of its own, two pipes, a deadline.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::{GRACE, LOOK_AGAIN};
use crate::output::{Chunk, Funnel, Keep, Stream};
use crate::sys::{self, Reaped};
use crate::wire::Ended;

/// Where passed-on output goes: job, stream, bytes.
pub(super) type Pass<'a> = &'a mut dyn FnMut(u32, Stream, &[u8]) -> io::Result<()>;

/// A command that has not been reported yet.
pub(super) struct Running {
    pub(super) job: u32,
    pub(super) pid: libc::pid_t,
    reaped: Option<Reaped>,
    pipes: Pipes,
    results: Option<ResultsPipe>,
    deadline: Instant,
    stage: Stage,
    /// When what it left in its group is no longer waited for.
    give_up: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Running,
    Interrupted,
    Killed,
}

/// Where a command writes results, until its own process is over.
struct ResultsPipe {
    end: Option<OwnedFd>,
    /// Bytes that are still passed on; one more than it may have tells that it had more.
    left: u64,
}

impl ResultsPipe {
    fn new(end: OwnedFd, limit: u64) -> io::Result<Self> {
        sys::set_nonblocking(end.as_raw_fd())?;
        Ok(Self { end: Some(end), left: limit.saturating_add(1) })
    }

    /// Takes what is there, at most `most` bytes: somebody may write without end.
    fn drain(
        &mut self,
        mut most: usize,
        buffer: &mut [u8],
        pass: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        while let Some(fd) = self.end.as_ref().filter(|_| most > 0) {
            let wanted = buffer.len().min(most);
            match sys::read(fd.as_raw_fd(), &mut buffer[..wanted]) {
                Ok(0) => self.end = None,
                Ok(n) => {
                    most -= n;
                    let kept = usize::try_from(self.left).unwrap_or(usize::MAX).min(n);
                    self.left -= kept as u64;
                    pass(&buffer[..kept])?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Takes what lies in it at this moment, and closes it.
    fn close(&mut self, buffer: &mut [u8], pass: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let there = self.end.as_ref().map_or(0, |fd| sys::bytes_in_pipe(fd.as_raw_fd()));
        self.drain(there, buffer, pass)?;
        self.end = None;
        Ok(())
    }
}

/// The two streams of a command and the funnel they go through.
pub(super) struct Pipes {
    ends: [(Stream, Option<OwnedFd>); 2],
    funnel: Funnel,
    kill_after: u64,
}

impl Pipes {
    /// Takes the read ends.
    pub(super) fn new(stdout: OwnedFd, stderr: OwnedFd, keep: Keep) -> io::Result<Self> {
        sys::set_nonblocking(stdout.as_raw_fd())?;
        sys::set_nonblocking(stderr.as_raw_fd())?;
        let ends = [(Stream::Stdout, Some(stdout)), (Stream::Stderr, Some(stderr))];
        Ok(Self { ends, funnel: Funnel::new(keep), kill_after: keep.kill_after })
    }

    pub(super) fn poll_on(&self, fds: &mut Vec<libc::pollfd>) {
        let open = self.ends.iter().filter_map(|(_, fd)| fd.as_ref());
        fds.extend(open.map(|fd| sys::pollfd(fd.as_raw_fd(), libc::POLLIN)));
    }

    /// Reads what is there, a megabyte a stream at most: more than a pipe
    /// holds, and an end for a stream that is written to without end.
    pub(super) fn drain(&mut self, job: u32, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        self.drain_where(job, |_| true, buffer, pass)
    }

    /// The same, for the streams that the last poll found something in.
    pub(super) fn drain_ready(
        &mut self,
        job: u32,
        polled: &[libc::pollfd],
        buffer: &mut [u8],
        pass: Pass<'_>,
    ) -> io::Result<()> {
        self.drain_where(job, |fd| sys::is_ready(polled, fd), buffer, pass)
    }

    fn drain_where(
        &mut self,
        job: u32,
        wanted: impl Fn(RawFd) -> bool,
        buffer: &mut [u8],
        pass: Pass<'_>,
    ) -> io::Result<()> {
        for (stream, end) in &mut self.ends {
            if !end.as_ref().is_some_and(|fd| wanted(fd.as_raw_fd())) {
                continue;
            }
            let mut taken = 0;
            while let Some(fd) = end.as_ref().filter(|_| taken < 1 << 20) {
                match sys::read(fd.as_raw_fd(), buffer) {
                    Ok(0) => *end = None,
                    Ok(n) => {
                        taken += n;
                        let head = self.funnel.take(*stream, &buffer[..n]);
                        if !head.is_empty() {
                            pass(job, *stream, head)?;
                        }
                        if n < buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
        Ok(())
    }

    pub(super) fn printed_too_much(&self) -> bool {
        self.funnel.total > self.kill_after
    }

    /// Starts a new command on the same streams.
    pub(super) fn restart(&mut self, keep: Keep) -> Funnel {
        self.kill_after = keep.kill_after;
        std::mem::replace(&mut self.funnel, Funnel::new(keep))
    }

    pub(super) fn finish(self) -> (Vec<Chunk>, u64) {
        self.funnel.finish()
    }
}

/// Starts a program; an error is the kernel's answer to `execve`.
#[expect(clippy::too_many_arguments, reason = "the fields of one request")]
pub(super) fn start(
    job: u32,
    argv: &[Vec<u8>],
    env: &[(String, String)],
    cwd: &[u8],
    stdin: &[u8],
    timeout: Duration,
    keep: Keep,
    results: Option<u64>,
) -> io::Result<Running> {
    let program = argv.first().ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let candidates = find(program, env)?;
    let argv = argv.iter().map(|a| sys::cstring(a.clone())).collect::<io::Result<Vec<_>>>()?;
    let env = env.iter().map(|(n, v)| sys::cstring(format!("{n}={v}"))).collect::<io::Result<Vec<_>>>()?;
    let cwd = sys::cstring(cwd)?;
    let (out, out_end) = sys::pipe()?;
    let (err, err_end) = sys::pipe()?;
    let stdin = stdin_holding(stdin)?;
    let mut given = vec![stdin.as_raw_fd(), out_end.as_raw_fd(), err_end.as_raw_fd()];
    let results = results.map(|limit| Ok::<_, io::Error>((sys::pipe()?, limit))).transpose()?;
    // It comes after the three streams: [`crate::sandbox::RESULTS_FD`].
    given.extend(results.as_ref().map(|((_, end), _)| end.as_raw_fd()));
    let mut found = Err(io::Error::from_raw_os_error(libc::ENOENT));
    for path in &candidates {
        found = sys::spawn(path, &argv, &env, &cwd, &given);
        // Absent in one folder of PATH: the next one may have it.
        if !found.as_ref().err().is_some_and(sys::says_absent) {
            break;
        }
    }
    let pid = found?;
    let pipes = Pipes::new(out, err, keep)?;
    let results = results.map(|((read, _), limit)| ResultsPipe::new(read, limit)).transpose()?;
    let deadline = Instant::now() + timeout;
    Ok(Running { job, pid, reaped: None, pipes, results, deadline, stage: Stage::Running, give_up: None })
}

/// The paths to try, in order, as `execvp` would; those that are not there are
/// left out, because finding that out by a new process costs more.
pub(super) fn find(program: &[u8], env: &[(String, String)]) -> io::Result<Vec<CString>> {
    if program.contains(&b'/') {
        return Ok(vec![sys::cstring(program)?]);
    }
    let path =
        env.iter().find(|(n, _)| n == "PATH").map_or("/usr/local/bin:/usr/bin:/bin", |(_, v)| v.as_str());
    let candidates = path.split(':').map(|folder| sys::cstring([folder.as_bytes(), b"/", program].concat()));
    let mut found = candidates.collect::<io::Result<Vec<_>>>()?;
    // Where another path leads is known in the program's folder only.
    found.retain(|path| !path.as_bytes().starts_with(b"/") || !sys::is_absent(path));
    Ok(found)
}

/// An empty or filled standard input that cannot block anybody.
fn stdin_holding(bytes: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: new descriptors that are ours; constant names.
    unsafe {
        if bytes.is_empty() {
            let fd = sys::check(libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC))?;
            return Ok(OwnedFd::from_raw_fd(fd));
        }
        let fd = sys::memory_file(c"stdin")?;
        sys::write_all(fd.as_raw_fd(), bytes)?;
        sys::check(libc::lseek(fd.as_raw_fd(), 0, libc::SEEK_SET) as i32)?;
        Ok(fd)
    }
}

impl Running {
    pub(super) fn poll_on(&self, fds: &mut Vec<libc::pollfd>) {
        self.pipes.poll_on(fds);
        let results = self.results.as_ref().and_then(|r| r.end.as_ref());
        fds.extend(results.map(|fd| sys::pollfd(fd.as_raw_fd(), libc::POLLIN)));
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn drain_ready(
        &mut self,
        polled: &[libc::pollfd],
        buffer: &mut [u8],
        pass: Pass<'_>,
    ) -> io::Result<()> {
        self.pipes.drain_ready(self.job, polled, buffer, pass)
    }

    pub(super) fn drain(&mut self, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        self.pipes.drain(self.job, buffer, pass)
    }

    /// Passes results on that the last poll found.
    pub(super) fn drain_results(
        &mut self,
        polled: &[libc::pollfd],
        buffer: &mut [u8],
        pass: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.results {
            Some(results) if results.end.as_ref().is_some_and(|fd| sys::is_ready(polled, fd.as_raw_fd())) => {
                results.drain(1 << 20, buffer, pass)
            }
            _ => Ok(()),
        }
    }

    /// Its own process is over: what others write from now on are no results.
    pub(super) fn note_death(
        &mut self,
        dead: Reaped,
        buffer: &mut [u8],
        pass: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.reaped = Some(dead);
        self.results.as_mut().map_or(Ok(()), |results| results.close(buffer, pass))
    }

    /// Whether it ended, and with it all that it left in its group, which
    /// would hold the pipes and live on.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        if self.reaped.is_none() {
            return false;
        }
        if !sys::kill(-self.pid, libc::SIGKILL) {
            return true;
        }
        self.deadline = now + LOOK_AGAIN;
        now >= *self.give_up.get_or_insert(now + GRACE)
    }

    pub(super) fn printed_too_much(&self) -> bool {
        self.pipes.printed_too_much()
    }

    /// Interrupts at the deadline, kills a grace later; kills at once what prints without end.
    pub(super) fn enforce(&mut self, now: Instant) {
        if self.pipes.printed_too_much() && self.stage != Stage::Killed {
            sys::kill(-self.pid, libc::SIGKILL);
            return;
        }
        if now < self.deadline || self.reaped.is_some() {
            return;
        }
        let (signal, stage) = match self.stage {
            Stage::Running => (libc::SIGINT, Stage::Interrupted),
            Stage::Interrupted | Stage::Killed => (libc::SIGKILL, Stage::Killed),
        };
        sys::kill(-self.pid, signal);
        self.stage = stage;
        self.deadline = now + GRACE;
    }

    /// How it ended, what it used, and the tail of its output.
    pub(super) fn finish(self) -> (Ended, u64, u64, (Vec<Chunk>, u64)) {
        let (status, cpu_us, max_rss_kb) =
            self.reaped.map_or((0, 0, 0), |r| (r.status, r.cpu_us, r.max_rss_kb));
        let end = match self.stage {
            Stage::Running if libc::WIFEXITED(status) => Ended::Exited(libc::WEXITSTATUS(status)),
            Stage::Running => Ended::Signalled(libc::WTERMSIG(status)),
            Stage::Interrupted => Ended::TimedOut(1),
            Stage::Killed => Ended::TimedOut(2),
        };
        (end, cpu_us, max_rss_kb, self.pipes.finish())
    }
}
