//! What a box may use. Every box has limits; there is no way to ask for none.

use std::time::Duration;

/// Resources of one box. Limits are clamped to what the machine gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Memory of all processes together, in bytes.
    pub memory_bytes: u64,
    /// Bytes that may be written: the writable layer, `/tmp` and `/dev/shm` together.
    pub disk_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Processor share, in cores; 0 leaves it to the scheduler.
    pub cpu_cores: f64,
    /// Processor time of any one process.
    pub cpu_time: Duration,
    /// Bytes that all snapshots of the box together may add to the store: a box can
    /// write another file of its disk's size for each.
    pub snapshot_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2 << 30,
            disk_bytes: 1 << 30,
            processes: 512,
            cpu_cores: 0.0,
            cpu_time: Duration::from_secs(3600),
            snapshot_bytes: 4 << 30,
        }
    }
}

/// A limit that a command ran into; the command was stopped, or its system
/// calls failed, because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitHit {
    /// The kernel or the watchdog killed for memory.
    Memory,
    /// The writable layer is full.
    Disk,
    /// No more processes were allowed.
    Processes,
    /// More output than a command may print.
    Output,
    /// One process used more processor time than any may.
    CpuTime,
    /// The kernel killed for memory, and not because of the box's own limit. A command
    /// that this happens to is an error of the machine, and has no execution.
    Machine,
}

impl LimitHit {
    /// The word in evidence files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Processes => "processes",
            Self::Output => "output",
            Self::CpuTime => "cpu_time",
            Self::Machine => "machine",
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Memory, Self::Disk, Self::Processes, Self::Output, Self::CpuTime, Self::Machine]
            .into_iter()
            .find(|h| h.code() == code)
    }

    pub(crate) fn code(self) -> u8 {
        self as u8 + 1
    }
}
