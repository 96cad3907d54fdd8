//! Limits that the kernel does not hold for us: where there is no control
//! group, memory and process counts are polled; in any case, what a command
//! ran into is told from the kernel's counters.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use crate::keeper::Witnesses;
use crate::limits::{LimitHit, Limits};

const EVERY: Duration = Duration::from_millis(100);

pub(super) struct Watchdog {
    upper: OwnedFd,
    memory: Option<fs::File>,
    own_limit: Option<fs::File>,
    around: Option<fs::File>,
    processes: Option<fs::File>,
    limits: Limits,
    next: Instant,
    /// Counters when the last command ended.
    seen: Counters,
    hit: Option<LimitHit>,
}

/// What the kernel has counted.
#[derive(Clone, Copy, Default)]
struct Counters {
    /// Processes of the box that were killed for memory.
    kills: u64,
    /// How often the box met its own limit.
    own_limit: u64,
    /// Processes that were killed for memory around the box.
    around: u64,
    /// Processes that were refused.
    refusals: u64,
}

impl Watchdog {
    pub(super) fn new(upper: OwnedFd, witnesses: Witnesses, limits: Limits) -> Self {
        let Witnesses { memory, own_limit, around, processes } = witnesses;
        let file = |fd: Option<OwnedFd>| fd.map(fs::File::from);
        let mut new = Self {
            upper,
            memory: file(memory),
            own_limit: file(own_limit),
            around: file(around),
            processes: file(processes),
            limits,
            next: Instant::now(),
            seen: Counters::default(),
            hit: None,
        };
        // A control group may have served another box before.
        new.seen = new.counters();
        new
    }

    /// The folder that collects what the box writes.
    pub(super) fn upper(&self) -> &OwnedFd {
        &self.upper
    }

    /// A command starts: forget what earlier ones ran into.
    pub(super) fn begin(&mut self) {
        self.hit = None;
        self.next = Instant::now() + EVERY;
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        (self.memory.is_none() || self.processes.is_none()).then_some(self.next)
    }

    /// True if everything in the box must be killed now.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + EVERY;
        let pids = processes();
        // The kernel refuses more (RLIMIT_NPROC, which counts this process
        // too), but does not say so; who stays at the limit is seen here.
        if self.processes.is_none() && pids.len() as u64 + 1 >= self.limits.processes {
            self.hit = Some(LimitHit::Processes);
        }
        if self.memory.is_none() && memory_of(&pids) + unattached() > self.limits.memory_bytes {
            self.hit = Some(LimitHit::Memory);
            return true;
        }
        false
    }

    /// Whether a command used what one process may. The kernel acts on ticks of
    /// its clock, which on a busy machine count more than the exact count that this
    /// is: up to a quarter of a short limit, and never more than a second.
    pub(super) fn is_over_time(&self, cpu_us: u64) -> bool {
        let slack = (self.limits.cpu_time / 4).clamp(EVERY, Duration::from_secs(1));
        Duration::from_micros(cpu_us) + slack >= self.limits.cpu_time
    }

    /// What the command that just ended ran into.
    pub(super) fn verdict(&mut self) -> Option<LimitHit> {
        let now = self.counters();
        let seen = std::mem::replace(&mut self.seen, now);
        let hit = self.hit.take();
        let is_own = now.own_limit > seen.own_limit;
        let killed =
            (now.kills > seen.kills).then_some(if is_own { LimitHit::Memory } else { LimitHit::Machine });
        hit.or(killed)
            .or((now.around > seen.around).then_some(LimitHit::Machine))
            .or((now.refusals > seen.refusals).then_some(LimitHit::Processes))
            .or(self.disk_is_full().then_some(LimitHit::Disk))
    }

    fn counters(&self) -> Counters {
        let read = |file: &Option<fs::File>, key: &str| -> u64 {
            // A few short lines: one read has them all.
            let mut buffer = [0; 512];
            let Some(Ok(n)) = file.as_ref().map(|f| f.read_at(&mut buffer, 0)) else { return 0 };
            let text = String::from_utf8_lossy(&buffer[..n]);
            let value = text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse().ok());
            // Version 1 has a file for the number alone.
            value.or_else(|| text.trim().parse().ok()).unwrap_or(0)
        };
        Counters {
            kills: read(&self.memory, "oom_kill "),
            own_limit: read(&self.own_limit, "oom "),
            around: read(&self.around, "oom_kill "),
            refusals: read(&self.processes, "max "),
        }
    }

    fn disk_is_full(&self) -> bool {
        // SAFETY: a zeroed statfs is a valid out-value.
        unsafe {
            let mut info: libc::statfs = std::mem::zeroed();
            libc::fstatfs(self.upper.as_raw_fd(), &raw mut info) == 0
                && (info.f_bavail * info.f_bsize as u64) < (64 << 10)
        }
    }
}

/// Every process of the box but the first.
pub(super) fn processes() -> Vec<libc::pid_t> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != 1).collect()
}

/// Bytes that the processes hold. Resident sizes count shared pages once a
/// process, so only if they are over the limit is the exact share read.
fn memory_of(pids: &[libc::pid_t]) -> u64 {
    let pss = |pid: &libc::pid_t| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix("Pss:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let rss = |pid: &libc::pid_t| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
    };
    pids.iter().filter_map(|pid| pss(pid).or_else(|| rss(pid))).sum()
}

/// Bytes of System V's shared memory that no process has attached. The kernel holds
/// all of it to a limit of its own (`keeper/namespace.rs`).
fn unattached() -> u64 {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let Some(names) = lines.next() else { return 0 };
    let place = |name: &str| names.iter().position(|n| *n == name);
    let (Some(attached), Some(resident)) = (place("nattch"), place("rss")) else { return 0 };
    let loose = lines.filter(|line| line.get(attached) == Some(&"0"));
    loose.filter_map(|line| line.get(resident)?.parse::<u64>().ok()).sum()
}
