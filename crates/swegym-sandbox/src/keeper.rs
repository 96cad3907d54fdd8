//! The keeper: one small process that makes, holds and buries all boxes of a run.
//!
//! It is the same program, started again before any thread exists, so that a
//! fork is cheap and safe. It speaks over one socket with its parent and ends
//! when that socket does: then it kills every box and removes every control
//! group, so a parent killed with SIGKILL leaves nothing behind. If the keeper
//! itself is killed, the boxes die by their parent-death signal, and the
//! control groups are swept by the next keeper.

mod cgroup;
mod namespace;
mod seccomp;
mod users;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::sys::{self, Cores};
use crate::wire::{BoxSpec, Get, Put};
use cgroup::{Cgroup, CgroupRoot};
use namespace::Sights;
use users::{User, Users};

pub(crate) use cgroup::{Witnesses, memory_groups};

/// Spares kept: while one is being made, the other is taken.
const SPARES: usize = 2;

/// The longest that the scheduler takes.
const LONG_SLICE: Duration = Duration::from_millis(100);

/// Kinds of messages from the parent.
pub(crate) const MAKE: u8 = 1;
pub(crate) const KILL: u8 = 2;
/// Kinds of messages to the parent. That a box stands is the supervisor's word.
pub(crate) const REFUSED: u8 = 2;
pub(crate) const ENDED: u8 = 3;
/// Sent once, first: which limits have a control group, and whom boxes run as.
pub(crate) const HELLO: u8 = 4;

struct Held {
    /// `None` while nobody has asked for it.
    id: Option<u64>,
    cgroup: Option<Cgroup>,
    user: Option<User>,
}

/// Namespaces with a user and control groups, waiting to become a box. Making
/// them takes longer than anything else about a box, and nothing of it depends
/// on the box, so some are always made ahead.
struct Spare {
    pid: libc::pid_t,
    channel: OwnedFd,
    /// What it hears once its namespaces stand; `None` after that.
    untold: Option<Vec<u8>>,
    /// Its root stands and is this box's: no other may have it.
    settled_for: Option<BoxSpec>,
}

struct Keeper {
    control: RawFd,
    boxes: HashMap<libc::pid_t, Held>,
    cgroups: Option<CgroupRoot>,
    /// Where the kernel counts what it killed around boxes without groups of their own.
    kills: Option<PathBuf>,
    users: Users,
    sights: Sights,
    /// Where this may run, if the kernel says so.
    cores: Option<Cores>,
    /// Oldest first.
    spares: VecDeque<Spare>,
    /// The box that was asked for last; no spare is made before the first.
    last: Option<BoxSpec>,
    /// The last two boxes had the same root, so the next one's is settled ahead.
    steady: bool,
}

/// A failed step with its reason.
type Refused = (&'static str, io::Error);

/// Runs the keeper on standard input, which must be a sequenced-packet socket
/// to the parent, in the working folder, which must be swegym's home. Returns
/// when the parent is gone.
///
/// # Errors
/// When the process cannot be set up at all; the parent then sees the socket end.
pub fn run() -> io::Result<()> {
    // Every box begins as a copy of this process.
    sys::hold_little_memory();
    // A session of its own: Ctrl-C on the terminal is for the parent to handle.
    // SAFETY: plain system calls.
    unsafe {
        libc::setsid();
        libc::umask(0o022);
    }
    let signals = sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP])?;
    let cgroups = CgroupRoot::find();
    let kills = if cgroups.is_none() { cgroup::own_kills() } else { None };
    let mut keeper = Keeper {
        kills,
        control: 0,
        boxes: HashMap::new(),
        cgroups,
        cores: Cores::allowed().ok(),
        users: Users::find(),
        sights: Sights::find(),
        spares: VecDeque::new(),
        last: None,
        steady: false,
    };
    let limits_by = keeper.cgroups.as_ref().map(CgroupRoot::describe).unwrap_or_default();
    let hello =
        Put::default().u8(HELLO).bytes(limits_by.as_bytes()).bytes(keeper.users.describe().as_bytes());
    let served =
        sys::send_with_fd(keeper.control, &hello.0, None).and_then(|()| keeper.serve(signals.as_raw_fd()));
    // However it came to its end: a parent that was killed may be gone before the
    // first word, or in the middle of an answer.
    keeper.end_all();
    served
}

impl Keeper {
    fn serve(&mut self, signals: RawFd) -> io::Result<()> {
        loop {
            let mut fds = vec![sys::pollfd(self.control, libc::POLLIN), sys::pollfd(signals, libc::POLLIN)];
            let untold = self.spares.iter().filter(|spare| spare.untold.is_some());
            fds.extend(untold.map(|spare| sys::pollfd(spare.channel.as_raw_fd(), libc::POLLIN)));
            // Only after the first box: a run that needs none makes none.
            let idle = self.last.is_some() && self.spares.len() < SPARES;
            sys::poll(&mut fds, idle.then_some(Duration::ZERO))?;
            if fds[1].revents != 0 {
                let _ = sys::read(signals, &mut [0; 512]);
                self.bury_the_dead();
            }
            if fds[0].revents != 0 {
                let mut message = vec![0; 256 << 10];
                let Ok((n @ 1.., fd)) = sys::receive_with_fd(self.control, &mut message) else { break };
                // What is held from here on, a new box holds too.
                message.truncate(n);
                message.shrink_to_fit();
                self.answer(&message, fd)?;
            } else if fds[2..].iter().any(|fd| fd.revents != 0) {
                self.tell_newborn(&fds[2..]);
            } else if idle {
                // Nobody waits just now. A refusal will be told to whoever asks next.
                match self.make_spare_aside() {
                    Ok(spare) => self.spares.push_back(spare),
                    Err(_) => self.last = None,
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, message: &[u8], fd: Option<OwnedFd>) -> io::Result<()> {
        match message.first() {
            Some(&MAKE) => {
                let spec = BoxSpec::decode(message)?;
                let Some(socket) = fd else { return Ok(()) };
                let Err((step, error)) = self.make(&spec, &socket) else { return Ok(()) };
                let errno = error.raw_os_error().unwrap_or(libc::EIO) as u32;
                let reply = Put::default().u8(REFUSED).u64(spec.id).bytes(step.as_bytes()).u32(errno);
                sys::send_with_fd(self.control, &reply.0, None)
            }
            Some(&KILL) => {
                let id = Get(&message[1..]).u64()?;
                match self.boxes.iter().find(|(_, held)| held.id == Some(id)) {
                    Some((pid, _)) => {
                        sys::kill(*pid, libc::SIGKILL);
                    }
                    None => self.tell_ended(id),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn make(&mut self, spec: &BoxSpec, socket: &OwnedFd) -> Result<(), Refused> {
        let fits = |s: &Spare| s.settled_for.as_ref().is_none_or(|other| other.has_same_root(spec));
        // A spare that does not fit ends when its channel does.
        self.spares.retain(fits);
        let mut spare = match self.spares.pop_front() {
            Some(spare) => spare,
            None => self.make_spare(None)?,
        };
        if spare.untold.is_some() {
            self.map_and_tell(&mut spare)?;
        }
        self.steady = self.last.as_ref().is_some_and(|last| last.has_same_root(spec));
        self.last = Some(spec.clone());
        let Some(held) = self.boxes.get_mut(&spare.pid) else {
            return Err(("making namespaces", io::Error::from_raw_os_error(libc::ECHILD)));
        };
        held.id = Some(spec.id);
        let limited = held.cgroup.as_mut().map_or(Ok(()), |c| c.limit(&spec.limits));
        let told = limited.map_err(|e| ("setting limits", e)).and_then(|()| {
            sys::send_with_fd(spare.channel.as_raw_fd(), &spec.encode(), Some(socket.as_fd()))
                .map_err(|e| ("starting the supervisor", e))
        });
        if told.is_err() {
            sys::kill(spare.pid, libc::SIGKILL);
        }
        told
    }

    /// Out of everybody's way. The box that was just asked for was woken on
    /// this core, and would wait here until the spare is made; on another core,
    /// whoever wakes up goes first.
    fn make_spare_aside(&mut self) -> Result<Spare, Refused> {
        let moved = self.cores.as_ref().and_then(Cores::others).is_some_and(|c| c.use_them().is_ok());
        let _ = sys::set_time_slice(Some(LONG_SLICE));
        let made = self.make_spare(self.last.clone());
        let _ = sys::set_time_slice(None);
        if let Some(cores) = self.cores.as_ref().filter(|_| moved) {
            // The same set as before, which was allowed.
            let _ = cores.use_them();
        }
        made
    }

    fn make_spare(&mut self, guess: Option<BoxSpec>) -> Result<Spare, Refused> {
        let mut cgroup = match &mut self.cgroups {
            Some(root) => Some(root.make().map_err(|e| ("making a control group", e))?),
            None => None,
        };
        let (channel, theirs) = sys::socket_pair(libc::SOCK_SEQPACKET).map_err(|e| ("making a socket", e))?;
        // One byte is no specification: nothing to guess.
        let mut message = guess.as_ref().map_or_else(|| vec![0], BoxSpec::encode);
        let settled_for = guess.filter(|_| self.steady);
        if settled_for.is_some() {
            message[0] = namespace::CERTAIN;
        }
        let user = match self.users.take() {
            Ok(user) => user,
            Err(refused) => {
                self.release(cgroup.take(), None);
                return Err(refused);
            }
        };
        let child = user.as_ref().map_or(Ok(None), User::layers).and_then(|layers| {
            let doors = cgroup.as_ref().map(Cgroup::doors).transpose();
            let doors = doors.map_err(|e| ("opening a control group", e))?;
            // SAFETY: the keeper has one thread.
            let child = unsafe { clone_for(user.as_ref(), namespace::FIRST) };
            Ok((layers, doors, child.map_err(|e| (namespace::MAKING, e))?))
        });
        let pid = match child {
            Ok((_, _, Some(pid))) => pid,
            Ok((layers, doors, None)) => {
                drop(channel);
                // The other boxes are none of this one's business, nor its memory's.
                self.boxes = HashMap::new();
                if let Some(cores) = &self.cores {
                    let _ = cores.use_them();
                }
                let around = || self.kills.as_ref().and_then(|path| std::fs::File::open(path).ok());
                let witnesses = match cgroup {
                    Some(cgroup) => cgroup.witnesses(),
                    None => Witnesses { around: around().map(OwnedFd::from), ..Witnesses::default() },
                };
                namespace::enter(theirs, layers, doors, witnesses, &self.sights)
            }
            Err(refused) => {
                self.release(cgroup.take(), user);
                return Err(refused);
            }
        };
        self.boxes.insert(pid, Held { id: None, cgroup, user });
        Ok(Spare { pid, channel, untold: Some(message), settled_for })
    }

    /// Some spare's namespaces stand, or will not.
    fn tell_newborn(&mut self, polled: &[libc::pollfd]) {
        let mut spares = std::mem::take(&mut self.spares);
        spares.retain_mut(|spare| {
            let is_told =
                !sys::is_ready(polled, spare.channel.as_raw_fd()) || self.map_and_tell(spare).is_ok();
            if !is_told {
                // Whoever asks next will be told.
                self.last = None;
            }
            is_told
        });
        self.spares = spares;
    }

    /// Waits for a spare's namespaces and gives it its user, not before: files that
    /// describe a network belong to its user if there is one when it is made, and
    /// some of them describe the machine.
    fn map_and_tell(&self, spare: &mut Spare) -> Result<(), Refused> {
        let user = self.boxes.get(&spare.pid).and_then(|held| held.user.as_ref()).map(|user| user.id);
        let told = namespace::await_namespaces(&spare.channel)
            .map_err(|e| (namespace::MAKING, e))
            .and_then(|()| map_user(spare.pid, user).map_err(|e| ("mapping the user", e)))
            .and_then(|()| {
                let message = spare.untold.take().unwrap_or_default();
                sys::send_with_fd(spare.channel.as_raw_fd(), &message, None)
                    .map_err(|e| ("starting the supervisor", e))
            });
        if told.is_err() {
            sys::kill(spare.pid, libc::SIGKILL);
        }
        told
    }

    fn bury_the_dead(&mut self) {
        while let Some(dead) = sys::reap() {
            if let Some(held) = self.boxes.remove(&dead.pid) {
                self.release(held.cgroup, held.user);
                let spares = self.spares.len();
                self.spares.retain(|spare| spare.pid != dead.pid);
                // Whatever it could not settle, the next one will not try.
                self.steady &= self.spares.len() == spares;
                if let Some(id) = held.id {
                    self.tell_ended(id);
                }
            }
        }
    }

    fn release(&mut self, cgroup: Option<Cgroup>, user: Option<User>) {
        self.users.release(user);
        if let (Some(root), Some(cgroup)) = (&mut self.cgroups, cgroup) {
            root.release(cgroup);
        }
    }

    fn tell_ended(&self, id: u64) {
        // A parent that is gone is noticed by the next poll.
        let _ = sys::send_with_fd(self.control, &Put::default().u8(ENDED).u64(id).0, None);
    }

    fn end_all(&mut self) {
        for pid in self.boxes.keys() {
            sys::kill(*pid, libc::SIGKILL);
        }
        while !self.boxes.is_empty() {
            let mut status = 0;
            // SAFETY: a valid out-pointer.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, 0) };
            if pid < 0 {
                break;
            }
            if let Some(held) = self.boxes.remove(&pid) {
                self.release(held.cgroup, held.user);
            }
        }
        if let Some(root) = self.cgroups.take() {
            root.remove();
        }
    }
}

/// A new process in namespaces that belong to a user: what the kernel counts by
/// the owner of a namespace is counted for it, too. Where only root may make
/// namespaces, they are root's.
///
/// # Safety
/// The caller must be single-threaded.
unsafe fn clone_for(user: Option<&User>, flags: libc::c_int) -> io::Result<Option<libc::pid_t>> {
    if let Some(user) = user
        && sys::act_as(user.id).is_ok()
    {
        // SAFETY: upheld by the caller.
        let child = unsafe { sys::clone_into_namespaces(flags) };
        if matches!(child, Ok(None)) {
            return child;
        }
        sys::act_as(0)?;
        if child.is_ok() {
            return child;
        }
    }
    // SAFETY: upheld by the caller.
    unsafe { sys::clone_into_namespaces(flags) }
}

/// Gives the new user namespace one user: root inside, `user` outside.
fn map_user(pid: libc::pid_t, user: Option<u32>) -> io::Result<()> {
    let (uid, gid) = match user {
        Some(user) => (user, user),
        None => {
            // An ordinary user may map a group only after giving up setgroups.
            std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
            sys::effective_ids()
        }
    };
    std::fs::write(format!("/proc/{pid}/gid_map"), format!("0 {gid} 1\n"))?;
    std::fs::write(format!("/proc/{pid}/uid_map"), format!("0 {uid} 1\n"))
}
