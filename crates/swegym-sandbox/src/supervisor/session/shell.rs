//! One bash process: its terminal, its descriptors, and the loop it runs.
//!
//! bash is interactive on a terminal of its own, so that an interrupt reaches
//! even a loop of builtins. Typed into it, once, is a loop that takes
//! NUL-terminated commands from a pipe into `eval`, with the two output pipes,
//! and with empty standard input or, for those that listen, what is typed into
//! the terminal. Before it takes one, it reports how the last
//! one ended (kind, number, status, folder) on another pipe. What breaks the
//! loop (an interrupt, a stray `break`, `${x:?}`) ends at bash's own prompt,
//! which reports too, and the loop is typed again.
//!
//! Exported variables are not part of a report: listing them costs as much as
//! all the rest. They are written into a file in memory when the shell exits
//! and, by the handler of a signal, before it is killed. Only a shell that
//! dies of SIGKILL from within the box takes them with it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use crate::output::Keep;
use crate::sandbox::LONGEST_TYPED;
use crate::supervisor::command::{self, Pipes};
use crate::sys;

/// Descriptors the shell is born with: (exports, output, errors, commands, reports).
const GIVEN: [RawFd; 5] = [4, 6, 7, 8, 9];

/// Sends a signal to whoever is in the foreground of a terminal (Linux,
/// `asm-generic/ioctls.h`).
const TIOCSIG: libc::Ioctl = 0x4004_5436;

/// Asks the shell for its exported variables.
const KEEP: libc::c_int = 64;

/// Typed first. Reports have a kind: `p` at a prompt, `l` in the loop, `x` at
/// the end of the shell. The prompt's command is set after every command,
/// because scripts that are meant for people (virtual environments,
/// completions) set it too.
const SET_UP: &str = "PS1= PS2=; unset HISTFILE; set +o history; __swegym_n=0; __swegym_s=0; \
__swegym_p='__swegym_say p \"$?\" 9'; PROMPT_COMMAND=$__swegym_p; \
__swegym_say(){ builtin printf '%s %d %d %s\\0' \"$1\" \"$__swegym_n\" \"$2\" \"$PWD\" >&\"$3\"; }; \
__swegym_keep(){ builtin export -p; builtin printf '\\0'; }; \
__swegym_was(){ return \"$__swegym_s\"; }; \
__swegym_end(){ if __swegym_keep >&12; then __swegym_say x \"$1\" 11; else __swegym_keep >&4; __swegym_say x \"$1\" 9; fi; } \
2>/dev/null; trap '__swegym_end \"$?\"' EXIT; trap '__swegym_keep >&12' 64\n";

/// Typed at every prompt.
///
/// What the loop closes, bash keeps for the time after it, at 10 to 14 in this
/// order and hidden from the programs it starts: commands, reports, exports,
/// errors, output; and the terminal's input at 15. The loop's own streams are the terminal's, so that `set -x`
/// shows little but the user's commands, and `exec` with a redirection holds
/// for one command. After a command that failed, `eval` stands behind a test
/// that fails in the same way, so that `$?` is what it would be at a prompt;
/// as the last of a list it still counts for `set -e`. Backslashes keep aliases out.
const LOOP: &str = "while __swegym_s=$?; \
\\printf 'l %d %d %s\\0' \"$__swegym_n\" \"$__swegym_s\" \"$PWD\" >&11; PROMPT_COMMAND=$__swegym_p; \
IFS= \\read -r -d '' -u 10 __swegym_c && ((++__swegym_n)); \
do case ${__swegym_c::1}$__swegym_s in \
q0) \\eval -- \"${__swegym_c:1}\" >&14 2>&13;; \
t0) \\eval -- \"${__swegym_c:1}\" <&15 >&14 2>&13;; \
q*) __swegym_was || \\eval -- \"${__swegym_c:1}\" >&14 2>&13;; \
*) __swegym_was || \\eval -- \"${__swegym_c:1}\" <&15 >&14 2>&13;; esac; \
done 8<&- 9>&- 4>&- 7>&- 6>&- </dev/null\n";

/// Of the file with the exported variables, what is read at most, in bytes.
const EXPORTS_READ: u64 = 4 << 20;

pub(super) struct Shell {
    pub(super) pid: libc::pid_t,
    pub(super) terminal: OwnedFd,
    pub(super) pipes: Pipes,
    commands: fs::File,
    reports: fs::File,
    exports: fs::File,
    report_bytes: Vec<u8>,
    /// Nobody holds the other end of a descriptor of ours: bash became
    /// another program by `exec`, or is ending.
    hung_up: bool,
    /// Commands given so far; the last one's number.
    given: u64,
    /// Bytes the pipe had no room for yet.
    unsent: Vec<u8>,
    /// Something was typed that its command may not have read.
    was_typed: bool,
    /// Until then an interrupt may still be on its way, and would eat a command.
    pub(super) hold: Option<Instant>,
}

/// One report of the shell.
pub(super) struct Report {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) status: i32,
    pub(super) folder: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// The loop is about to take a command.
    Loop,
    /// The loop was broken.
    Prompt,
    /// The shell is about to exit.
    End,
}

impl Shell {
    /// Starts bash in `folder` with `exports`, the report of an earlier one.
    pub(super) fn start(env: &[(String, String)], folder: &[u8], exports: &[u8]) -> io::Result<Self> {
        let (out, out_end) = sys::pipe()?;
        let (err, err_end) = sys::pipe()?;
        let (command_end, commands) = sys::pipe()?;
        let (reports, report_end) = sys::pipe()?;
        let exports_file = sys::memory_file(c"exports")?;
        let (terminal, line) = open_terminal()?;
        let env: Vec<(String, String)> =
            [("TERM", "dumb"), ("PAGER", "cat"), ("GIT_PAGER", "cat"), ("GIT_TERMINAL_PROMPT", "0")]
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .chain(env.iter().cloned())
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
                let given = [&exports_file, &out_end, &err_end, &command_end, &report_end];
                take_terminal(line.as_raw_fd(), given.map(|fd| fd.as_raw_fd()));
                // A folder that is gone: at the root rather than not at all.
                if std::env::set_current_dir(std::ffi::OsStr::from_bytes(folder)).is_err() {
                    let _ = std::env::set_current_dir("/");
                }
                for path in &candidates {
                    sys::exec(path, &argv, &env);
                }
                sys::exit_now(127)
            }
        };
        for fd in [&terminal, &commands, &reports] {
            sys::set_nonblocking(fd.as_raw_fd())?;
        }
        sys::write_all(terminal.as_raw_fd(), SET_UP.as_bytes())?;
        let mut shell = Self {
            pid,
            terminal,
            pipes: Pipes::new(out, err, Keep::default())?,
            commands: commands.into(),
            reports: reports.into(),
            exports: exports_file.into(),
            report_bytes: Vec::new(),
            hung_up: false,
            given: 0,
            unsent: Vec::new(),
            was_typed: false,
            hold: None,
        };
        if !exports.is_empty() {
            // Its first command, whose end nobody waits for.
            shell.give(exports, false);
        }
        Ok(shell)
    }

    /// A shell that is expected to report at once is not listened to otherwise.
    pub(super) fn poll_on(&self, fds: &mut Vec<libc::pollfd>, quick: bool) {
        if !self.hung_up {
            fds.push(sys::pollfd(self.reports.as_raw_fd(), libc::POLLIN));
        }
        if !self.hung_up && !quick {
            fds.push(sys::pollfd(self.terminal.as_raw_fd(), libc::POLLIN));
        }
        if !self.hung_up && !self.unsent.is_empty() && self.hold.is_none() {
            fds.push(sys::pollfd(self.commands.as_raw_fd(), libc::POLLOUT));
        }
        if !quick {
            self.pipes.poll_on(fds);
        }
    }

    /// Queues a command, which listens to the terminal or not; gives its number.
    pub(super) fn give(&mut self, text: &[u8], listens: bool) -> u64 {
        self.forget_what_was_typed();
        self.unsent.push(if listens { b't' } else { b'q' });
        self.unsent.extend_from_slice(text);
        self.unsent.push(0);
        self.given += 1;
        self.feed();
        self.given
    }

    /// Writes what is queued, as far as the pipe has room.
    pub(super) fn feed(&mut self) {
        if self.hold.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.hold = None;
        while !self.unsent.is_empty() {
            let Ok(n @ 1..) = self.commands.write(&self.unsent) else { break };
            self.unsent.drain(..n);
        }
    }

    /// Types the loop in, at a prompt.
    pub(super) fn type_loop(&mut self) {
        self.hold = None;
        self.forget_what_was_typed();
        let _ = sys::write_all(self.terminal.as_raw_fd(), LOOP.as_bytes());
    }

    /// Takes in what it said.
    pub(super) fn listen(&mut self, ready: &[libc::pollfd], buffer: &mut [u8]) {
        if sys::is_ready(ready, self.reports.as_raw_fd()) {
            match self.reports.read(buffer) {
                Ok(0) => self.hung_up = true,
                Ok(n) => self.report_bytes.extend_from_slice(&buffer[..n]),
                Err(_) => {}
            }
        }
        // The terminal only echoes prompts; it is emptied so that it never blocks.
        if sys::is_ready(ready, self.terminal.as_raw_fd())
            && sys::read(self.terminal.as_raw_fd(), buffer).is_err()
        {
            self.hung_up = true;
        }
    }

    pub(super) fn next_report(&mut self) -> Option<Report> {
        // What cannot be read was not written by the loop; it is skipped.
        while let Some(end) = self.report_bytes.iter().position(|b| *b == 0) {
            let report: Vec<u8> = self.report_bytes.drain(..=end).collect();
            if let Some(report) = Report::parse(&report[..end]) {
                return Some(report);
            }
        }
        None
    }

    /// Asks for the exported variables.
    pub(super) fn ask_for_exports(&self) {
        sys::kill(self.pid, KEEP);
    }

    /// The exported variables as commands that set them; `None` if the shell
    /// has not written them.
    pub(super) fn exports(&self) -> Option<Vec<u8>> {
        let size = self.exports.metadata().ok()?.len();
        let from = size.saturating_sub(EXPORTS_READ);
        let mut bytes = vec![0; (size - from) as usize];
        let n = self.exports.read_at(&mut bytes, from).ok()?;
        let complete = bytes[..n].iter().rposition(|b| *b == 0)?;
        let start = bytes[..complete].iter().rposition(|b| *b == 0).map_or(0, |at| at + 1);
        Some(bytes[start..complete].to_vec())
    }

    /// Types into the terminal, whether somebody reads it or not: what waits
    /// there to be read is never more than it has room for.
    pub(super) fn type_in(&mut self, mut text: &[u8]) -> io::Result<()> {
        let line = open_line(self.terminal.as_raw_fd())?;
        let mut unread = 0;
        // SAFETY: a terminal descriptor of ours; the call writes one number.
        sys::check(unsafe { libc::ioctl(line.as_raw_fd(), libc::FIONREAD, &raw mut unread) })?;
        if unread as usize + text.len() > LONGEST_TYPED {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        self.was_typed = true;
        while !text.is_empty() {
            match sys::write(self.terminal.as_raw_fd(), text)? {
                0 => return Err(io::Error::from_raw_os_error(libc::EAGAIN)),
                n => text = &text[n..],
            }
        }
        Ok(())
    }

    /// What a command did not read is neither the next one's nor the shell's.
    fn forget_what_was_typed(&mut self) {
        if std::mem::take(&mut self.was_typed)
            && let Ok(line) = open_line(self.terminal.as_raw_fd())
        {
            // SAFETY: a terminal descriptor of ours.
            unsafe { libc::tcflush(line.as_raw_fd(), libc::TCIFLUSH) };
        }
    }

    /// Interrupts what is in the foreground, as ^C does.
    pub(super) fn interrupt(&self) {
        // SAFETY: a terminal descriptor of ours; the argument is a number.
        unsafe { libc::ioctl(self.terminal.as_raw_fd(), TIOCSIG, libc::SIGINT) };
    }

    /// The process group in the foreground, unless it is bash itself.
    pub(super) fn foreground(&self) -> Option<libc::pid_t> {
        // SAFETY: a terminal descriptor of ours.
        let group = unsafe { libc::tcgetpgrp(self.terminal.as_raw_fd()) };
        (group > 0 && group != self.pid).then_some(group)
    }

    /// Kills every process of the shell's session, background jobs included;
    /// true if there was none left.
    pub(super) fn kill_all(&self) -> bool {
        let mut none = true;
        for pid in crate::supervisor::watchdog::processes() {
            // SAFETY: plain system call.
            if unsafe { libc::getsid(pid) } == self.pid {
                sys::kill(pid, libc::SIGKILL);
                none = false;
            }
        }
        none
    }
}

impl Report {
    /// `KIND NUMBER STATUS FOLDER`, where only the folder may hold blanks.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.splitn(4, |b| *b == b' ');
        let kind = match fields.next()? {
            b"l" => Kind::Loop,
            b"p" => Kind::Prompt,
            b"x" => Kind::End,
            _ => return None,
        };
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let (number, status) = (text()?.parse().ok()?, text()?.parse().ok()?);
        Some(Self { kind, number, status, folder: fields.next()?.to_vec() })
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
        let line = open_line(ours.as_raw_fd())?;
        let mut settings: libc::termios = std::mem::zeroed();
        sys::check(libc::tcgetattr(line.as_raw_fd(), &raw mut settings))?;
        settings.c_lflag &= !libc::ECHO;
        settings.c_oflag &= !libc::OPOST;
        sys::check(libc::tcsetattr(line.as_raw_fd(), libc::TCSANOW, &raw const settings))?;
        Ok((ours, line))
    }
}

/// The shell's side of a terminal.
fn open_line(ours: RawFd) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a new descriptor that is ours.
    unsafe { Ok(OwnedFd::from_raw_fd(sys::check(libc::ioctl(ours, libc::TIOCGPTPEER, flags))?)) }
}

/// In the child: the terminal becomes the controlling one, and the other
/// descriptors take the numbers of [`GIVEN`], open across exec.
fn take_terminal(line: RawFd, given: [RawFd; GIVEN.len()]) {
    // SAFETY: single-threaded child; descriptors above 100 are not in the way.
    unsafe {
        sys::reset_signals();
        libc::setsid();
        libc::ioctl(line, libc::TIOCSCTTY, 0);
        let lifted = given.map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 200));
        for stream in 0..3 {
            libc::dup2(line, stream);
        }
        for (fd, number) in lifted.into_iter().zip(GIVEN) {
            libc::dup2(fd, number);
        }
    }
}
