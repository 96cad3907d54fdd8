//! The box's one persistent bash, seen as a sequence of commands.
//!
//! No marker stands in the output, so nothing printed can end a command. What
//! the shell says about itself is advice: a hostile command can forge it, and
//! verdicts therefore only ever rest on one-shot commands in fresh boxes.

mod shell;

use std::io;
use std::time::{Duration, Instant};

use super::command::Pass;
use super::{GRACE, LOOK_AGAIN};
use crate::output::{Funnel, Keep};
use crate::sys::{self, Reaped};
use crate::wire::Ended;
use shell::{Kind, Report, Shell};

/// For so long after a command starts only its end is waited for: most are
/// over by then, and their output is read once, together with it.
const QUICK: Duration = Duration::from_millis(10);

/// How long an interrupt may take from the terminal to bash.
const INTERRUPT_TRAVELS: Duration = Duration::from_millis(100);

pub(super) struct Session {
    env: Vec<(String, String)>,
    folder: Vec<u8>,
    /// Exported variables of the last shell, for the next one.
    exports: Vec<u8>,
    shell: Option<Shell>,
    current: Option<Current>,
}

struct Current {
    job: u32,
    /// The shell's number for it.
    number: u64,
    started: Instant,
    deadline: Instant,
    stage: Stage,
    /// The group that was killed; the command is not over before it is gone.
    killed: Option<libc::pid_t>,
    /// When what is waited for is waited for no longer.
    give_up: Option<Instant>,
    /// Its status, once known.
    status: Option<i32>,
    /// Whether the shell itself is gone or going.
    shell_died: bool,
}

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Running,
    Interrupted,
    GroupKilled,
    /// The shell was asked for its variables, because it must go.
    Asked,
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
        Self { env, folder, exports: Vec::new(), shell: None, current: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some()
    }

    pub(super) fn poll_on(&self, fds: &mut Vec<libc::pollfd>) {
        let quick = self.current.as_ref().is_some_and(|c| c.started.elapsed() < QUICK);
        if let Some(shell) = &self.shell {
            shell.poll_on(fds, quick);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        let hold = self.shell.as_ref().and_then(|s| s.hold);
        let quick = current.started + QUICK;
        let quick = (Instant::now() < quick).then_some(quick);
        [Some(current.deadline), hold, quick].into_iter().flatten().min()
    }

    /// Starts a command, and the shell first if there is none.
    pub(super) fn begin(
        &mut self,
        job: u32,
        text: &[u8],
        listens: bool,
        timeout: Duration,
        keep: Keep,
    ) -> io::Result<()> {
        if self.current.is_some() {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        if text.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let shell = match self.shell.take() {
            Some(shell) => shell,
            None => Shell::start(&self.env, &self.folder, &self.exports)?,
        };
        let shell = self.shell.insert(shell);
        shell.pipes.restart(keep);
        let number = shell.give(text, listens);
        let started = Instant::now();
        self.current = Some(Current {
            job,
            number,
            started,
            deadline: started + timeout,
            stage: Stage::Running,
            killed: None,
            give_up: None,
            status: None,
            shell_died: false,
        });
        Ok(())
    }

    /// Passes output on and hears what the shell reports.
    pub(super) fn drain(
        &mut self,
        ready: &[libc::pollfd],
        buffer: &mut [u8],
        pass: Pass<'_>,
    ) -> io::Result<()> {
        let Some(shell) = &mut self.shell else { return Ok(()) };
        shell.feed();
        if let Some(current) = &self.current {
            shell.pipes.drain_ready(current.job, ready, buffer, pass)?;
        }
        shell.listen(ready, buffer);
        while let Some(report) = self.shell.as_mut().and_then(Shell::next_report) {
            self.hear(report, buffer, pass)?;
        }
        Ok(())
    }

    fn hear(&mut self, report: Report, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        let Some(shell) = &mut self.shell else { return Ok(()) };
        if report.kind == Kind::Prompt {
            shell.type_loop();
        }
        self.folder = report.folder;
        match &mut self.current {
            Some(current) if current.number == report.number => {
                // Whatever it printed before its report is in the pipes by now.
                shell.pipes.drain(current.job, buffer, pass)?;
                current.status = Some(report.status);
                current.shell_died = report.kind == Kind::End;
                if current.stage > Stage::Running && report.kind == Kind::Loop {
                    shell.hold = Some(Instant::now() + INTERRUPT_TRAVELS);
                }
            }
            // The interrupt came while the shell was taking the command in, or
            // before: a part of it may be lost, and the rest must not run.
            Some(current) if report.kind == Kind::Prompt && current.stage > Stage::Running => {
                current.stage = Stage::ShellKilled;
                shell.kill_all();
            }
            Some(_) => {}
            None if report.kind == Kind::End => self.forget_shell(),
            None => {}
        }
        Ok(())
    }

    /// The shell may be among the dead: by `exit`, by `exec`, or by our hand.
    pub(super) fn reaped(&mut self, dead: &Reaped, buffer: &mut [u8], pass: Pass<'_>) -> io::Result<()> {
        let Some(shell) = self.shell.as_mut().filter(|shell| shell.pid == dead.pid) else { return Ok(()) };
        let status = if libc::WIFEXITED(dead.status) {
            libc::WEXITSTATUS(dead.status)
        } else {
            -libc::WTERMSIG(dead.status)
        };
        match &mut self.current {
            Some(current) => {
                // What the shell became by `exec` prints and makes no report.
                shell.pipes.drain(current.job, buffer, pass)?;
                current.status = current.status.or(Some(status));
                current.shell_died = true;
            }
            None => self.forget_shell(),
        }
        Ok(())
    }

    /// The next command gets a new shell, with this one's variables.
    fn forget_shell(&mut self) {
        if let Some(exports) = self.shell.take().and_then(|s| s.exports()) {
            self.exports = exports;
        }
    }

    pub(super) fn enforce(&mut self, now: Instant) {
        let Some(shell) = &self.shell else { return };
        let Some(current) = &mut self.current else { return };
        if shell.pipes.printed_too_much() && current.stage < Stage::GroupKilled {
            current.deadline = now;
            current.stage = Stage::Interrupted;
        }
        if now < current.deadline || current.status.is_some() {
            return;
        }
        let mut wait = GRACE;
        current.stage = match (current.stage, shell.foreground()) {
            (Stage::Running, _) => {
                shell.interrupt();
                Stage::Interrupted
            }
            (Stage::Interrupted, Some(group)) => {
                sys::kill(-group, libc::SIGKILL);
                current.killed = Some(group);
                Stage::GroupKilled
            }
            (Stage::Interrupted | Stage::GroupKilled, _) => {
                shell.ask_for_exports();
                current.give_up = Some(now + GRACE);
                wait = LOOK_AGAIN;
                Stage::Asked
            }
            (Stage::Asked, _) if shell.exports().is_none() && current.give_up.is_some_and(|t| now < t) => {
                wait = LOOK_AGAIN;
                Stage::Asked
            }
            (Stage::Asked | Stage::ShellKilled, _) => {
                shell.kill_all();
                current.give_up = None;
                Stage::ShellKilled
            }
        };
        current.deadline = now + wait;
    }

    /// Its time is over now, if there is a command.
    pub(super) fn interrupt(&mut self, now: Instant) {
        if let Some(current) = self.current.as_mut().filter(|current| current.stage == Stage::Running) {
            current.deadline = now;
        }
    }

    /// Types to the command that is under way. It need not read it.
    pub(super) fn type_in(&mut self, text: &[u8]) -> io::Result<()> {
        match (&mut self.shell, &self.current) {
            (Some(shell), Some(_)) => shell.type_in(text),
            _ => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    }

    /// The command that is over, if one is: its status is known, and what had
    /// to be killed is gone.
    pub(super) fn take_finished(&mut self) -> Option<Finished> {
        let (shell, current) = (self.shell.as_mut()?, self.current.as_mut()?);
        let status = current.status?;
        let gone = match current.stage {
            Stage::ShellKilled => shell.kill_all(),
            _ => current.killed.is_none_or(|group| !sys::kill(-group, libc::SIGKILL)),
        };
        let now = Instant::now();
        if !gone && now < *current.give_up.get_or_insert(now + GRACE) {
            current.deadline = now + LOOK_AGAIN;
            return None;
        }
        let over = shell.pipes.printed_too_much();
        let funnel = shell.pipes.restart(Keep::default());
        let end = match current.stage {
            Stage::Running if status >= 0 => Ended::Exited(status),
            Stage::Running => Ended::Signalled(-status),
            Stage::Interrupted => Ended::TimedOut(1),
            Stage::GroupKilled => Ended::TimedOut(2),
            Stage::Asked | Stage::ShellKilled => Ended::TimedOut(3),
        };
        let (job, shell_died) = (current.job, current.shell_died);
        self.current = None;
        if shell_died {
            self.forget_shell();
        }
        Some(Finished { job, end, over, funnel, folder: self.folder.clone() })
    }
}
