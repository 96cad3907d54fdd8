//! The box's one persistent bash.
//!
//! bash is interactive on a terminal of its own, so that an interrupt reaches
//! even a loop of builtins. Commands go to it NUL-terminated through a pipe,
//! into `eval` with empty standard input and with the two output pipes; at
//! every prompt, and when it exits, it writes status, folder and exported variables to a fourth
//! pipe. No marker stands in the output, so nothing printed can end a command.
//! What the shell says about itself is advice: a hostile command can forge it,
//! and verdicts therefore only ever rest on one-shot commands in fresh boxes.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use super::GRACE;
use super::command::{self, Pass, Pipes};
use crate::output::{Funnel, Keep};
use crate::sys::{self, Reaped};
use crate::wire::Ended;

/// Typed into the new shell. `__swegym_say` reports on descriptor 9, with `p`
/// at a prompt and `x` when a command ends the shell.
const SET_UP: &str = "PS1= PS2=; unset HISTFILE; set +o history; \
__swegym_say(){ local s=$?; { printf '%s %d %s\\0' \"$1\" \"$s\" \"$PWD\"; export -p; printf '\\0'; } >&9; return $s; }; \
trap '__swegym_say x' EXIT; PROMPT_COMMAND='__swegym_say p'\n";

/// Typed for every command: takes it from descriptor 8. It stands outside any
/// function, where `declare` would be local and `return` would return.
const RUN: &str =
    "IFS= read -r -d '' -u 8 __swegym_c; eval \"$__swegym_c\" </dev/null >&6 2>&7 6>&- 7>&- 8<&-\n";

/// Typed into a respawned shell, to take the last one's variables.
const RESTORE: &str = "IFS= read -r -d '' -u 8 __swegym_c; eval \"$__swegym_c\"; unset __swegym_c\n";

pub(super) struct Session {
    env: Vec<(String, String)>,
    folder: Vec<u8>,
    /// `export -p` of the last prompt, for a respawn.
    exports: Vec<u8>,
    shell: Option<Shell>,
    current: Option<Current>,
    finished: Option<Finished>,
}

struct Shell {
    pid: libc::pid_t,
    terminal: OwnedFd,
    pipes: Pipes,
    commands: OwnedFd,
    states: OwnedFd,
    state_bytes: Vec<u8>,
    /// Prompts of the set-up still to come; they answer no command.
    prompts_to_skip: u8,
}

struct Current {
    job: u32,
    /// Bytes the pipe had no room for yet.
    unsent: Vec<u8>,
    deadline: Instant,
    stage: Stage,
    died: Option<i32>,
    /// The command, until the shell is ready for it.
    waiting: Option<Vec<u8>>,
}

/// One report of the shell.
struct State {
    ending: bool,
    status: i32,
    folder: Vec<u8>,
    exports: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Running,
    Interrupted,
    GroupKilled,
    ShellKilled,
}

/// A session command to report.
pub(super) struct Finished {
    pub(super) job: u32,
    pub(super) end: Ended,
    pub(super) over: bool,
    pub(super) funnel: Funnel,
    pub(super) folder: Vec<u8>,
}

impl Session {
    pub(super) fn new(env: Vec<(String, String)>, folder: String) -> Self {
        let folder = folder.into_bytes();
        Self { env, folder, exports: Vec::new(), shell: None, current: None, finished: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn poll_on(&self, fds: &mut Vec<libc::pollfd>) {
        if let Some(shell) = &self.shell {
            shell.pipes.poll_on(fds);
            fds.push(sys::pollfd(shell.states.as_raw_fd(), libc::POLLIN));
            fds.push(sys::pollfd(shell.terminal.as_raw_fd(), libc::POLLIN));
            if self.current.as_ref().is_some_and(|c| !c.unsent.is_empty()) {
                fds.push(sys::pollfd(shell.commands.as_raw_fd(), libc::POLLOUT));
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|c| c.deadline)
    }

    /// Starts a command, and the shell first if there is none.
    pub(super) fn begin(&mut self, job: u32, text: &[u8], timeout: Duration, keep: Keep) -> io::Result<()> {
        if self.current.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        if text.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if self.shell.is_none() {
            self.shell = Some(self.spawn()?);
        }
        let mut command = text.to_vec();
        command.push(0);
        let deadline = Instant::now() + timeout;
        let fresh = self.shell.as_ref().is_some_and(|s| s.prompts_to_skip == 2);
        let mut unsent = Vec::new();
        if fresh {
            // The last shell's variables are the new one's first command.
            unsent = self.exports.clone();
            unsent.push(0);
        }
        let current =
            Current { job, unsent, deadline, stage: Stage::Running, died: None, waiting: Some(command) };
        self.current = Some(current);
        if let Some(shell) = &mut self.shell {
            shell.pipes.restart(keep);
        }
        self.hand_over();
        Ok(())
    }

    /// Gives a waiting command to a shell that is ready.
    fn hand_over(&mut self) {
        let (Some(shell), Some(current)) = (&self.shell, &mut self.current) else { return };
        if shell.prompts_to_skip == 0
            && let Some(command) = current.waiting.take()
        {
            let _ = sys::write_all(shell.terminal.as_raw_fd(), RUN.as_bytes());
            current.unsent = command;
            self.feed();
        }
    }

    fn feed(&mut self) {
        let (Some(shell), Some(current)) = (&self.shell, &mut self.current) else { return };
        while !current.unsent.is_empty() {
            // SAFETY: the buffer is valid for its length.
            let n = unsafe {
                libc::write(shell.commands.as_raw_fd(), current.unsent.as_ptr().cast(), current.unsent.len())
            };
            if n <= 0 {
                break;
            }
            current.unsent.drain(..n as usize);
        }
    }

    pub(super) fn drain(&mut self, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        self.feed();
        let job = self.current.as_ref().map(|c| c.job);
        let Some(shell) = &mut self.shell else { return Ok(()) };
        // The terminal only echoes prompts; it is emptied so that it never blocks.
        while matches!(sys::read(shell.terminal.as_raw_fd(), buffer), Ok(n) if n > 0) {}
        if let Some(job) = job {
            shell.pipes.drain(job, buffer, pass)?;
        }
        while let Ok(n) = sys::read(shell.states.as_raw_fd(), buffer) {
            if n == 0 {
                break;
            }
            shell.state_bytes.extend_from_slice(&buffer[..n]);
        }
        while let Some(state) = self.next_state() {
            self.prompt(&state, buffer, pass)?;
        }
        Ok(())
    }

    fn next_state(&mut self) -> Option<State> {
        let bytes = &mut self.shell.as_mut()?.state_bytes;
        let first = bytes.iter().position(|b| *b == 0)?;
        let second = first + 1 + bytes[first + 1..].iter().position(|b| *b == 0)?;
        let state: Vec<u8> = bytes.drain(..=second).collect();
        let mut head = state[..first].splitn(3, |b| *b == b' ');
        let (kind, status, folder) = (head.next()?, head.next()?, head.next()?);
        let status = std::str::from_utf8(status).ok()?.parse().ok()?;
        let exports = state[first + 1..second].to_vec();
        Some(State { ending: kind == b"x", status, folder: folder.to_vec(), exports })
    }

    fn prompt(&mut self, state: &State, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        let State { ending, status, folder, exports } = state;
        let Some(shell) = &mut self.shell else { return Ok(()) };
        if shell.prompts_to_skip > 0 {
            shell.prompts_to_skip -= 1;
            self.hand_over();
            return Ok(());
        }
        self.folder.clone_from(folder);
        self.exports.clone_from(exports);
        if let Some(current) = self.current.take() {
            // Whatever it printed before its prompt is in the pipes by now.
            shell.pipes.drain(current.job, buffer, pass)?;
            self.finish(&current, *status);
        }
        if *ending {
            // It is about to exit; the next command needs another one.
            self.shell = None;
        }
        Ok(())
    }

    fn finish(&mut self, current: &Current, status: i32) {
        let Some(shell) = &mut self.shell else { return };
        let over = shell.pipes.printed_too_much();
        let funnel = shell.pipes.restart(Keep::default());
        let end = match current.stage {
            Stage::Running if status >= 0 => Ended::Exited(status),
            Stage::Running => Ended::Signalled(-status),
            Stage::Interrupted => Ended::TimedOut(1),
            Stage::GroupKilled => Ended::TimedOut(2),
            Stage::ShellKilled => Ended::TimedOut(3),
        };
        self.finished = Some(Finished { job: current.job, end, over, funnel, folder: self.folder.clone() });
    }

    /// The shell may be among the dead: by `exit`, or by our hand.
    pub(super) fn reaped(&mut self, dead: &Reaped) {
        if self.shell.as_ref().is_none_or(|s| s.pid != dead.pid) {
            return;
        }
        let status = if libc::WIFEXITED(dead.status) {
            libc::WEXITSTATUS(dead.status)
        } else {
            -libc::WTERMSIG(dead.status)
        };
        if let Some(current) = &mut self.current {
            current.died = Some(status);
        } else {
            self.shell = None;
        }
    }

    pub(super) fn enforce(&mut self, now: Instant) {
        let Some(shell) = &self.shell else { return };
        let Some(current) = &mut self.current else { return };
        if current.died.is_some() {
            return self.bury();
        }
        if shell.pipes.printed_too_much() && current.stage < Stage::GroupKilled {
            current.deadline = now;
            current.stage = Stage::Interrupted;
        }
        if now < current.deadline {
            return;
        }
        let foreground = foreground_group(shell.terminal.as_raw_fd());
        current.stage = match current.stage {
            Stage::Running => {
                let _ = sys::write_all(shell.terminal.as_raw_fd(), b"\x03");
                Stage::Interrupted
            }
            Stage::Interrupted if foreground.is_some_and(|g| g != shell.pid) => {
                foreground.into_iter().for_each(|group| sys::kill(-group, libc::SIGKILL));
                Stage::GroupKilled
            }
            _ => {
                kill_terminal_session(shell.pid);
                Stage::ShellKilled
            }
        };
        current.deadline = now + GRACE;
    }

    /// Reports the command that was running when the shell died; the next
    /// command gets a new shell with this one's folder and variables.
    fn bury(&mut self) {
        let Some(current) = self.current.take() else { return };
        self.finish(&current, current.died.unwrap_or(0));
        self.shell = None;
    }

    pub(super) fn take_finished(&mut self) -> Option<Finished> {
        self.finished.take()
    }

    fn spawn(&self) -> io::Result<Shell> {
        let (out, out_end) = sys::pipe()?;
        let (err, err_end) = sys::pipe()?;
        let (command_end, commands) = sys::pipe()?;
        let (states, state_end) = sys::pipe()?;
        let (terminal, line) = open_terminal()?;
        let env: Vec<(String, String)> =
            [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0")]
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .chain(self.env.iter().cloned())
                .collect();
        let candidates = command::find(b"bash", &env)?;
        let argv = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
            .iter()
            .map(|a| sys::cstring(*a))
            .collect::<io::Result<Vec<_>>>()?;
        let env =
            env.iter().map(|(n, v)| sys::cstring(format!("{n}={v}"))).collect::<io::Result<Vec<_>>>()?;
        // SAFETY: the supervisor has one thread.
        let pid = match unsafe { sys::fork() }? {
            Some(pid) => pid,
            None => {
                let given = [&out_end, &err_end, &command_end, &state_end].map(|fd| fd.as_raw_fd());
                take_terminal(line.as_raw_fd(), given);
                // A folder that is gone: at the root rather than not at all.
                if std::env::set_current_dir(std::ffi::OsStr::from_bytes(&self.folder)).is_err() {
                    let _ = std::env::set_current_dir("/");
                }
                for path in &candidates {
                    sys::exec(path, &argv, &env);
                }
                sys::exit_now(127)
            }
        };
        for fd in [&terminal, &commands, &states] {
            sys::set_nonblocking(fd.as_raw_fd())?;
        }
        let pipes = Pipes::new(out, err, Keep::default())?;
        sys::write_all(terminal.as_raw_fd(), SET_UP.as_bytes())?;
        let mut prompts_to_skip = 1;
        if !self.exports.is_empty() {
            sys::write_all(terminal.as_raw_fd(), RESTORE.as_bytes())?;
            prompts_to_skip = 2;
        }
        Ok(Shell { pid, terminal, pipes, commands, states, state_bytes: Vec::new(), prompts_to_skip })
    }
}

/// A terminal of the box's own: (our side, the shell's side).
fn open_terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    // SAFETY: new descriptors that are ours; plain terminal settings.
    unsafe {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        let ours = OwnedFd::from_raw_fd(sys::check(libc::open(c"/dev/ptmx".as_ptr(), flags))?);
        let unlock = 0;
        sys::check(libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock))?;
        let line = OwnedFd::from_raw_fd(sys::check(libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags))?);
        let mut settings: libc::termios = std::mem::zeroed();
        sys::check(libc::tcgetattr(line.as_raw_fd(), &raw mut settings))?;
        settings.c_lflag &= !libc::ECHO;
        settings.c_oflag &= !libc::OPOST;
        sys::check(libc::tcsetattr(line.as_raw_fd(), libc::TCSANOW, &raw const settings))?;
        Ok((ours, line))
    }
}

/// In the child: the terminal becomes the controlling one, and the four pipes
/// take the numbers 6 to 9, open across exec.
fn take_terminal(line: RawFd, given: [RawFd; 4]) {
    // SAFETY: single-threaded child; descriptors above 100 are not in the way.
    unsafe {
        sys::reset_signals();
        libc::setsid();
        libc::ioctl(line, libc::TIOCSCTTY, 0);
        for stream in 0..3 {
            libc::dup2(line, stream);
        }
        let lifted = given.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 200));
        for (i, fd) in lifted.into_iter().enumerate() {
            libc::dup2(fd, 6 + i as i32);
        }
    }
}

fn foreground_group(terminal: RawFd) -> Option<libc::pid_t> {
    // SAFETY: a terminal descriptor of ours.
    let group = unsafe { libc::tcgetpgrp(terminal) };
    (group > 0).then_some(group)
}

/// Kills every process whose session is the shell's, background jobs included.
fn kill_terminal_session(shell: libc::pid_t) {
    for pid in super::watchdog::processes() {
        // SAFETY: plain system call.
        if unsafe { libc::getsid(pid) } == shell {
            sys::kill(pid, libc::SIGKILL);
        }
    }
}
