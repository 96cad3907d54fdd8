//! A command in a box that somebody waits for: what it printed so far, and how
//! it ends.

use std::io;
use std::time::{Duration, Instant};

use super::connection::{Connection, Replies};
use super::{Lease, PATIENCE};
use crate::limits::LimitHit;
use crate::output::Output;
use crate::sandbox::{End, Execution, Results, SandboxError, Stopped};
use crate::wire::{Ended, Reply, Request};

pub(super) struct Awaited {
    replies: Replies,
    /// What came since it was last taken.
    pub(super) output: Output,
    results: Results,
    /// How many bytes of results it may have.
    limit: u64,
    started: Instant,
    /// When the box itself is given up: its own deadline is long over then.
    deadline: tokio::time::Instant,
    program: String,
}

impl Awaited {
    pub(super) async fn begin(
        connection: &Connection,
        request: impl FnOnce(u32) -> Request,
        timeout: Duration,
        program: &str,
    ) -> Result<Self, SandboxError> {
        let started = Instant::now();
        let replies = connection.ask(request).await?;
        Ok(Self {
            replies,
            output: Output::default(),
            results: Results::NotAsked,
            limit: 0,
            started,
            deadline: tokio::time::Instant::now() + timeout + PATIENCE,
            program: program.to_owned(),
        })
    }

    /// It may have results.
    pub(super) fn with_results(mut self, limit: Option<u64>) -> Self {
        if let Some(limit) = limit {
            (self.results, self.limit) = (Results::Whole(Vec::new()), limit);
        }
        self
    }

    fn take_results(&mut self, bytes: &[u8]) {
        if let Results::Whole(all) = &mut self.results {
            all.extend_from_slice(bytes);
            if all.len() as u64 > self.limit {
                self.results = Results::TooLarge(self.limit);
            }
        }
    }

    /// Waits for the end. A caller may stop waiting and wait again: what came
    /// in between is in [`Self::output`].
    pub(super) async fn end(&mut self, lease: &Lease) -> Result<Execution, SandboxError> {
        loop {
            let reply = match tokio::time::timeout_at(self.deadline, self.replies.next()).await {
                Ok(reply) => reply?,
                Err(_) => {
                    lease.shared.kill(lease.id);
                    return Err(SandboxError::Gone);
                }
            };
            match reply {
                Reply::Chunk { stream, tail: false, bytes, .. } => self.output.push_head(stream, &bytes),
                Reply::Chunk { stream, tail: true, bytes, .. } => self.output.push_tail(stream, &bytes),
                Reply::Results { bytes, .. } => self.take_results(&bytes),
                Reply::Done { end, limit, dropped, cpu_us, max_rss_kb, folder, .. } => {
                    let mut output = std::mem::take(&mut self.output);
                    output.dropped = dropped;
                    let end = match end {
                        Ended::Exited(code) => End::Exited(code),
                        Ended::Signalled(signal) => End::Signalled(signal),
                        Ended::TimedOut(1) => End::TimedOut(Stopped::Interrupted),
                        Ended::TimedOut(2) => End::TimedOut(Stopped::Killed),
                        Ended::TimedOut(_) => End::TimedOut(Stopped::Respawned),
                    };
                    let limit = match limit {
                        // Others may have been killed, and not this one.
                        Some(LimitHit::Machine) if end == End::Exited(0) => None,
                        Some(LimitHit::Machine) => return Err(SandboxError::KilledOutside),
                        limit => limit,
                    };
                    return Ok(Execution {
                        end,
                        limit_hit: limit,
                        output,
                        results: std::mem::replace(&mut self.results, Results::NotAsked),
                        cpu_time: Duration::from_micros(cpu_us),
                        max_rss_bytes: max_rss_kb * 1024,
                        wall_time: self.started.elapsed(),
                        folder: (!folder.is_empty()).then(|| String::from_utf8_lossy(&folder).into_owned()),
                    });
                }
                Reply::Status { errno, .. } => {
                    let source = io::Error::from_raw_os_error(errno);
                    return Err(SandboxError::Start { program: self.program.clone(), source });
                }
                _ => return Err(SandboxError::Gone),
            }
        }
    }
}
