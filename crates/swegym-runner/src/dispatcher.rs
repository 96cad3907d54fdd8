//! The one place that knows the state of a run.
//!
//! Executors are tasks that send messages; the dispatcher alone admits jobs,
//! writes the journal and decides about retries. A job's start is in the
//! journal before the job acts, its result on disk before its end is. It does not
//! know what jobs do: a job is a ticket, and somebody who does the work. Which jobs wait
//! for others, whoever gives them knows; verbs that need one another are run one after
//! another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use swegym_core::event::Event;
use swegym_core::format::results::JobOutput;
use swegym_core::{Digest, Fault, Retry};
use tokio::sync::{mpsc, watch};

use crate::clock::now_ms;
use crate::result::JobResult;
use crate::run_dir::{RunDir, RunDirError};

/// Attempts that a job gets when the machinery breaks.
const ATTEMPTS: u32 = 3;

/// What must be known of a job to admit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Unique in the run, the same when the run is resumed; names a file.
    pub name: String,
    /// Memory to set aside while it runs, in bytes.
    pub memory: u64,
    /// How many jobs like this one may run at once, memory allowing.
    pub at_once: usize,
}

/// Gives jobs, by the outcomes of those that it gave before.
type Next<'a, J> = dyn FnMut(&[Option<Outcome>]) -> Vec<J> + Send + 'a;

/// Jobs, some of which may come only when others have ended.
pub struct Jobs<'a, J> {
    /// How many there will be.
    pub whole: usize,
    /// Gives those that may begin now, by the outcomes of all that it gave before, in their
    /// order. It is asked at the beginning and after each job.
    pub next: Box<Next<'a, J>>,
}

impl<'a, J: Send + 'a> Jobs<'a, J> {
    /// Jobs that may all begin.
    #[must_use]
    pub fn all(jobs: Vec<J>) -> Self {
        let (whole, mut jobs) = (jobs.len(), Some(jobs));
        Self { whole, next: Box::new(move |_| jobs.take().unwrap_or_default()) }
    }
}

/// What became of one job.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has a result.
    Finished(Box<JobOutput>),
    /// It broke, after retries where they could help.
    Failed(Fault),
    /// The run was interrupted before it ended.
    Unfinished,
}

/// Progress, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Jobs with a final event, kept ones included.
    pub done: usize,
    /// Jobs running now.
    pub running: usize,
    /// All jobs.
    pub total: usize,
}

/// What an executor says when it is through.
struct Report {
    at: usize,
    attempt: u32,
    result: Result<JobResult, Fault>,
    wall_time: Duration,
}

/// Runs jobs to their end and gives their names and outcomes in the order of their tickets.
/// `work` does the job of a ticket's number; all that run have `memory` bytes.
/// `stop` turning true ends admission; running jobs are dropped with their
/// boxes and left to a resume.
///
/// # Errors
/// Only when the run directory cannot be written to.
pub async fn run<W, F>(
    run: &mut RunDir,
    (verb, inputs): (&str, Digest),
    mut given: Jobs<'_, Ticket>,
    total_memory: u64,
    work: W,
    mut stop: watch::Receiver<bool>,
    mut show: impl FnMut(&Event, Progress),
) -> Result<Vec<(String, Outcome)>, RunDirError>
where
    W: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<JobResult, Fault>> + Send + 'static,
{
    let work = Arc::new(work);
    let (mut jobs, mut outcomes) = (Vec::new(), Vec::new());
    let mut waiting: VecDeque<(usize, u32)> = VecDeque::new();
    let (sender, mut reports) = mpsc::unbounded_channel::<Report>();
    let mut running = tokio::task::JoinSet::new();
    let mut memory = total_memory;
    // Something that every other job would meet, too: a wrong key, a spent budget.
    let mut halted = false;
    let mut note = |run: &mut RunDir, event: Event, progress: Progress| {
        run.append(event.clone(), now_ms())?;
        show(&event, progress);
        Ok::<_, RunDirError>(())
    };
    let whole = given.whole;
    let progress = |outcomes: &[Option<Outcome>], running: usize| Progress {
        done: outcomes.iter().flatten().count(),
        running,
        total: whole,
    };
    while take_in(run, &mut given, &mut jobs, &mut outcomes, &mut waiting) {}
    let started = Event::RunStarted { verb: verb.to_owned(), inputs, jobs: whole };
    note(run, started, progress(&outcomes, 0))?;
    loop {
        while let Some((at, attempt)) = waiting.front().copied() {
            let wanted = jobs[at].memory;
            // A job that wants more than there is runs alone rather than never.
            let fits = running.is_empty() || (running.len() < jobs[at].at_once && wanted <= memory);
            if !fits || halted || *stop.borrow() {
                break;
            }
            waiting.pop_front();
            memory = memory.saturating_sub(wanted);
            let event = Event::JobStarted { job: jobs[at].name.clone(), attempt };
            note(run, event, progress(&outcomes, running.len() + 1))?;
            running.spawn(execute(Arc::clone(&work), at, attempt, sender.clone()));
        }
        if running.is_empty() && (waiting.is_empty() || halted || *stop.borrow()) {
            break;
        }
        let report = tokio::select! {
            Some(report) = reports.recv() => report,
            Ok(()) = stop.changed() => {
                if *stop.borrow() {
                    // Dropped jobs drop their boxes; the journal has no end for them.
                    running.shutdown().await;
                    break;
                }
                continue;
            }
        };
        running.join_next().await;
        memory = (memory + jobs[report.at].memory).min(total_memory);
        let job = jobs[report.at].name.clone();
        match report.result {
            Ok(JobResult { output, files }) => {
                let result = run.write_result(&job, &output)?;
                let wall_time_ms = report.wall_time.as_millis() as u64;
                let outcome = output.outcome().to_owned();
                outcomes[report.at] = Some(Outcome::Finished(Box::new(output)));
                let event = Event::JobFinished { job, outcome, result, files, wall_time_ms };
                note(run, event, progress(&outcomes, running.len()))?;
            }
            Err(fault) => {
                halted |= fault.retry() == Retry::Halt;
                let retry = fault.retry() == Retry::Again && report.attempt < ATTEMPTS;
                if retry {
                    waiting.push_back((report.at, report.attempt + 1));
                } else {
                    outcomes[report.at] = Some(Outcome::Failed(fault.clone()));
                }
                let event = Event::JobFailed { job, attempt: report.attempt, fault, retry };
                note(run, event, progress(&outcomes, running.len()))?;
            }
        }
        while take_in(run, &mut given, &mut jobs, &mut outcomes, &mut waiting) {}
    }
    let complete = outcomes.len() == whole && outcomes.iter().all(Option::is_some);
    let event = if complete { Event::RunFinished } else { Event::RunInterrupted };
    note(run, event, progress(&outcomes, 0))?;
    let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::Unfinished));
    Ok(jobs.into_iter().map(|job| job.name).zip(outcomes).collect())
}

/// Takes in the jobs that may begin now; of those, some may have ended in an earlier run, and
/// others may begin because of them. Says whether that may be.
fn take_in(
    run: &RunDir,
    given: &mut Jobs<'_, Ticket>,
    jobs: &mut Vec<Ticket>,
    outcomes: &mut Vec<Option<Outcome>>,
    waiting: &mut VecDeque<(usize, u32)>,
) -> bool {
    let mut has_kept = false;
    for job in (given.next)(outcomes) {
        let kept = run.finished(&job.name).map(|output| Outcome::Finished(Box::new(output.clone())));
        match &kept {
            Some(_) => has_kept = true,
            None => waiting.push_back((jobs.len(), 1)),
        }
        jobs.push(job);
        outcomes.push(kept);
    }
    has_kept
}

async fn execute<W, F>(work: Arc<W>, at: usize, attempt: u32, reports: mpsc::UnboundedSender<Report>)
where
    W: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<JobResult, Fault>> + Send + 'static,
{
    let started = Instant::now();
    if attempt > 1 {
        tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
    }
    // A panic in a job is a bug of ours, and still one job's trouble only.
    let work = tokio::spawn(async move { work(at).await });
    let abort = AbortOnDrop(work.abort_handle());
    let result = work.await.unwrap_or_else(|error| {
        Err(Fault::new(swegym_core::Boundary::Internal, "panic", error.to_string())
            .with_hint("this is a bug in swegym; please report it with the run directory"))
    });
    drop(abort);
    // The dispatcher is gone only when the run was interrupted.
    let _ = reports.send(Report { at, attempt, result, wall_time: started.elapsed() });
}

/// Ends the inner task when the outer one is dropped.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
