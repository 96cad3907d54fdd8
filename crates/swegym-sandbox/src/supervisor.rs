//! Process 1 of a box: starts commands, owns their groups, collects their
//! output, stops them in time, reaps orphans, reads and writes files.
//!
//! It shares nothing with the programs it runs but the box: it is not
//! dumpable, so they cannot look into it; it is the first process of its
//! namespace, so they cannot signal it; and what it says about exit statuses
//! comes from the kernel, never from what they print. When its socket to the
//! host ends, it ends, and the kernel kills everything in the box.

mod command;
mod files;
mod session;
mod snapshot;
mod watchdog;
mod written;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use crate::keeper::Witnesses;
use crate::limits::LimitHit;
use crate::output::Stream;
use crate::sys;
use crate::wire::{BoxSpec, Ended, MAX_FRAME, PIECE, Reply, Request};
use command::Running;
use session::Session;
use watchdog::Watchdog;

/// How long an interrupted command has before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// What a shell exits with when its last program got SIGXCPU.
const SHELL_XCPU: i32 = 128 + libc::SIGXCPU;

/// While killed processes are going away: how long until the next look.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long output waits for more of it, or for the command's end: the host
/// wakes up once for both.
const GATHER: Duration = Duration::from_millis(2);

pub(crate) struct Supervisor {
    socket: RawFd,
    inbox: Vec<u8>,
    /// Requests that came while another one was being answered.
    waiting: VecDeque<Request>,
    running: Vec<Running>,
    session: Session,
    watchdog: Watchdog,
    env: Vec<(String, String)>,
    workdir: String,
    buffer: Vec<u8>,
    outbox: Outbox,
    /// It holds no memory for work.
    is_calm: bool,
}

/// Replies on their way: one write wakes the host once.
struct Outbox {
    socket: RawFd,
    frames: Vec<u8>,
    /// When it must go out; `None` while it is empty.
    due: Option<Instant>,
    /// Bytes that were put here, ever.
    sent: usize,
}

/// How long nothing has to happen before memory for work is given back: while
/// agents wait for models, that of all boxes is most of what they hold.
const CALM: Duration = Duration::from_millis(100);

/// Bytes read at once.
const BUFFER: usize = 16 << 10;

/// Serves the host until its socket ends.
pub(crate) fn run(socket: OwnedFd, upper: OwnedFd, witnesses: Witnesses, spec: &BoxSpec) {
    let Ok((socket, watchdog)) = settle(socket, upper, witnesses, spec) else { return };
    let Ok(signals) = sys::signal_fd(&[libc::SIGCHLD]) else { return };
    let mut supervisor = Supervisor {
        socket: socket.as_raw_fd(),
        inbox: Vec::new(),
        waiting: VecDeque::new(),
        running: Vec::new(),
        session: Session::new(spec.env.clone(), spec.workdir.clone()),
        watchdog,
        env: spec.env.clone(),
        workdir: spec.workdir.clone(),
        buffer: Vec::new(),
        outbox: Outbox { socket: socket.as_raw_fd(), frames: Vec::new(), due: None, sent: 0 },
        is_calm: false,
    };
    // An error here means that the host is gone.
    let _ = supervisor.serve(signals.as_raw_fd());
}

/// Keeps only the descriptors of this box, above those that programs use, and
/// nothing on the first three.
fn settle(
    socket: OwnedFd,
    upper: OwnedFd,
    witnesses: Witnesses,
    spec: &BoxSpec,
) -> io::Result<(OwnedFd, Watchdog)> {
    let lift = |fd: OwnedFd| -> io::Result<OwnedFd> {
        // SAFETY: a duplicate is new and ours.
        unsafe {
            Ok(OwnedFd::from_raw_fd(sys::check(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100))?))
        }
    };
    let socket = lift(socket)?;
    let upper = lift(upper)?;
    let witnesses = witnesses.try_map(lift)?;
    // SAFETY: everything this process still uses was lifted to 100 and above;
    // the null device then takes the lowest free numbers, 0 to 2.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, 99, 0);
        let null = sys::check(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR))?;
        sys::check(libc::dup(null))?;
        sys::check(libc::dup(null))?;
    }
    sys::set_nonblocking(socket.as_raw_fd())?;
    // SAFETY: a constant name.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"supervisor".as_ptr()) };
    Ok((socket, Watchdog::new(upper, witnesses, spec.limits.clone())))
}

impl Supervisor {
    fn serve(&mut self, signals: RawFd) -> io::Result<()> {
        let mut polled = Vec::new();
        loop {
            polled.clear();
            polled.extend([sys::pollfd(self.socket, libc::POLLIN), sys::pollfd(signals, libc::POLLIN)]);
            for running in &self.running {
                running.poll_on(&mut polled);
            }
            self.session.poll_on(&mut polled);
            let wait = self.wait();
            let calm = (wait.is_none() && !self.is_calm).then_some(CALM);
            sys::poll(&mut polled, wait.or(calm))?;
            if calm.is_some() && polled.iter().all(|p| p.revents == 0) {
                self.calm_down();
                continue;
            }
            if polled[0].revents != 0 {
                self.receive()?;
            }
            self.drain(&polled)?;
            if polled[1].revents != 0 {
                let mut scratch = [0; 1024];
                let _ = sys::read(signals, &mut scratch);
                self.reap()?;
            }
            self.enforce();
            self.finish_commands()?;
            self.finish_session()?;
            self.outbox.flush_if_due()?;
        }
    }

    /// Time until something must be looked at again.
    fn wait(&self) -> Option<Duration> {
        let deadlines = self.running.iter().map(Running::next_deadline).chain(self.session.next_deadline());
        let busy = deadlines.min();
        let look = busy.and_then(|_| self.watchdog.next_look());
        let next = [busy, look, self.outbox.due].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn calm_down(&mut self) {
        (self.buffer, self.inbox, self.outbox.frames) = Default::default();
        sys::give_memory_back();
        self.is_calm = true;
    }

    fn receive(&mut self) -> io::Result<()> {
        self.is_calm = false;
        self.read_requests()?;
        while let Some(request) = self.next_request()? {
            self.handle(request)?;
            // What came during a snapshot, in its order.
            while let Some(request) = self.waiting.pop_front() {
                self.handle(request)?;
            }
        }
        if self.inbox.is_empty() {
            self.inbox.shrink_to(4096);
        }
        Ok(())
    }

    /// Takes what the host sent so far.
    fn read_requests(&mut self) -> io::Result<()> {
        self.buffer.resize(BUFFER, 0);
        loop {
            match sys::read(self.socket, &mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.inbox.extend_from_slice(&self.buffer[..n]);
                    if n < self.buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next request that is whole.
    fn next_request(&mut self) -> io::Result<Option<Request>> {
        let Some(length) = self.inbox.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize) else {
            return Ok(None);
        };
        if length > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if self.inbox.len() < 4 + length {
            return Ok(None);
        }
        let frame: Vec<u8> = self.inbox.drain(..4 + length).collect();
        Request::parse(&frame[4..]).map(Some)
    }

    /// Everything but output, which the host waits for.
    fn send(&mut self, reply: &Reply) -> io::Result<()> {
        self.outbox.put(reply, Instant::now())
    }

    fn handle(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Exec { job, argv, env, cwd, stdin, timeout_ms, keep, results } => {
                let mut all = self.env.clone();
                for entry in env {
                    let text = String::from_utf8_lossy(&entry).into_owned();
                    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                    all.retain(|(n, _)| n != name);
                    all.push((name.to_owned(), value.to_owned()));
                }
                let cwd = if cwd.is_empty() { self.workdir.clone().into_bytes() } else { cwd };
                self.watchdog.begin();
                let timeout = Duration::from_millis(timeout_ms);
                match command::start(job, &argv, &all, &cwd, &stdin, timeout, keep, results) {
                    Ok(running) => {
                        self.running.push(running);
                        Ok(())
                    }
                    Err(error) => self.send(&Reply::Status { job, errno: errno(&error) }),
                }
            }
            Request::Session { job, text, listens, timeout_ms, keep } => {
                self.watchdog.begin();
                let timeout = Duration::from_millis(timeout_ms);
                match self.session.begin(job, &text, listens, timeout, keep) {
                    Ok(()) => Ok(()),
                    Err(error) => self.send(&Reply::Status { job, errno: errno(&error) }),
                }
            }
            Request::Read { job, path, limit } => self.read_file(job, &path, limit),
            Request::Write { job, path, mode, bytes, append } => {
                let done = files::write(&path, mode, &bytes, append);
                self.send(&Reply::Status { job, errno: done.map_or_else(|e| errno(&e), |()| 0) })
            }
            Request::List { job, path } => match files::list(&path) {
                Ok(entries) => self.send(&Reply::Listing { job, entries }),
                Err(error) => self.send(&Reply::Status { job, errno: errno(&error) }),
            },
            Request::Snapshot { job, whole, room } => self.snapshot(job, whole, room),
            // The snapshot that it belongs to is told already.
            Request::More { .. } => Ok(()),
            Request::Written { job } => self.tell_written(job),
            Request::Interrupt { job } => {
                self.session.interrupt(Instant::now());
                self.send(&Reply::Status { job, errno: 0 })
            }
            Request::Type { job, text } => {
                let typed = self.session.type_in(&text);
                self.send(&Reply::Status { job, errno: typed.map_or_else(|e| errno(&e), |()| 0) })
            }
        }
    }

    fn read_file(&mut self, job: u32, path: &[u8], limit: u64) -> io::Result<()> {
        let mut reader = match files::Reader::open(path, limit) {
            Ok(reader) => reader,
            Err(error) => return self.send(&Reply::Status { job, errno: errno(&error) }),
        };
        loop {
            let mut bytes = vec![0; PIECE.min(reader.size().max(4095) + 1)];
            match reader.next(&mut bytes) {
                Ok(0) => return self.send(&Reply::Data { job, bytes: Vec::new(), last: true }),
                Ok(n) => {
                    bytes.truncate(n);
                    self.send(&Reply::Data { job, bytes, last: false })?;
                }
                Err(error) => return self.send(&Reply::Status { job, errno: errno(&error) }),
            }
        }
    }

    /// Passes on what commands printed.
    fn drain(&mut self, polled: &[libc::pollfd]) -> io::Result<()> {
        let Self { outbox, buffer, running, session, .. } = self;
        let mut pass = |job: u32, stream: Stream, bytes: &[u8]| outbox.pass_on(job, stream, false, bytes);
        buffer.resize(BUFFER, 0);
        for running in &mut *running {
            running.drain_ready(polled, buffer, &mut pass)?;
        }
        session.drain(polled, buffer, &mut pass)?;
        for running in running {
            let job = running.job;
            running.drain_results(polled, buffer, &mut |bytes| outbox.pass_results(job, bytes))?;
        }
        Ok(())
    }

    fn reap(&mut self) -> io::Result<()> {
        let Self { outbox, buffer, running, session, .. } = self;
        buffer.resize(BUFFER, 0);
        while let Some(dead) = sys::reap() {
            if let Some(running) = running.iter_mut().find(|r| r.pid == dead.pid) {
                let job = running.job;
                running.note_death(dead, buffer, &mut |bytes| outbox.pass_results(job, bytes))?;
            } else {
                let mut pass =
                    |job: u32, stream: Stream, bytes: &[u8]| outbox.pass_on(job, stream, false, bytes);
                session.reaped(&dead, buffer, &mut pass)?;
            }
        }
        Ok(())
    }

    /// Deadlines and limits.
    fn enforce(&mut self) {
        let now = Instant::now();
        for running in &mut self.running {
            running.enforce(now);
        }
        self.session.enforce(now);
        if (!self.running.is_empty() || self.session.is_busy()) && self.watchdog.look(now) {
            sys::kill(-1, libc::SIGKILL);
        }
    }

    fn finish_commands(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(at) = self.running.iter_mut().position(|r| r.is_over(now)) {
            let mut running = self.running.swap_remove(at);
            let Self { outbox, buffer, .. } = self;
            buffer.resize(BUFFER, 0);
            running.drain(buffer, &mut |job, stream, bytes| outbox.pass_on(job, stream, false, bytes))?;
            let job = running.job;
            let over = running.printed_too_much();
            let (end, cpu_us, max_rss_kb, (tail, dropped)) = running.finish();
            self.report(job, end, over, cpu_us, max_rss_kb, tail, dropped, Vec::new())?;
        }
        Ok(())
    }

    fn finish_session(&mut self) -> io::Result<()> {
        let Some(finished) = self.session.take_finished() else { return Ok(()) };
        let session::Finished { job, end, over, funnel, folder } = finished;
        let (tail, dropped) = funnel.finish();
        self.report(job, end, over, 0, 0, tail, dropped, folder)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one reply")]
    fn report(
        &mut self,
        job: u32,
        end: Ended,
        printed_too_much: bool,
        cpu_us: u64,
        max_rss_kb: u64,
        tail: Vec<crate::output::Chunk>,
        dropped: u64,
        folder: Vec<u8>,
    ) -> io::Result<()> {
        for chunk in tail {
            self.outbox.pass_on(job, chunk.stream, true, &chunk.bytes)?;
        }
        let limit = match end {
            _ if printed_too_much => Some(LimitHit::Output),
            Ended::Signalled(libc::SIGXCPU) => Some(LimitHit::CpuTime),
            // A shell's word for the same, of a program it ran.
            Ended::Exited(SHELL_XCPU) if self.watchdog.is_over_time(cpu_us) => Some(LimitHit::CpuTime),
            _ => self.watchdog.verdict(),
        };
        self.send(&Reply::Done { job, end, limit, dropped, cpu_us, max_rss_kb, folder })
    }
}

impl Outbox {
    fn put(&mut self, reply: &Reply, due: Instant) -> io::Result<()> {
        let frame = reply.frame();
        self.sent += frame.len();
        self.frames.extend(frame);
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        if self.frames.len() > PIECE { self.flush() } else { Ok(()) }
    }

    /// Output can wait a little.
    fn pass_on(&mut self, job: u32, stream: Stream, tail: bool, bytes: &[u8]) -> io::Result<()> {
        let due = Instant::now() + GATHER;
        let mut pieces = bytes.chunks(PIECE);
        pieces.try_for_each(|p| self.put(&Reply::Chunk { job, stream, tail, bytes: p.to_vec() }, due))
    }

    fn pass_results(&mut self, job: u32, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.put(&Reply::Results { job, bytes: bytes.to_vec() }, Instant::now() + GATHER)
    }

    fn flush_if_due(&mut self) -> io::Result<()> {
        if self.due.is_some_and(|due| due <= Instant::now()) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.due = None;
        let sent = sys::write_all(self.socket, &self.frames);
        self.frames.clear();
        self.frames.shrink_to(4096);
        sent
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(match error.kind() {
        io::ErrorKind::InvalidInput => libc::EINVAL,
        io::ErrorKind::FileTooLarge => libc::EFBIG,
        _ => libc::EIO,
    })
}
