//! What became of a run's jobs, by its journal.

use std::collections::BTreeMap;

use crate::event::Event;
use crate::format::journal::Entry;
use crate::{Digest, Fault};

/// A run's jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// By name.
    pub jobs: BTreeMap<String, JobHistory>,
    /// How many jobs there were to do when it was last taken up; fewer than there
    /// are where it was then to do less.
    pub wanted: usize,
    /// Nothing works on it since the journal's last line: it came to its end, or
    /// was stopped in good order. A run that was killed, or goes on, is not over.
    pub is_over: bool,
}

/// A job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobHistory {
    /// The line of the journal, from 1, that says when it first began.
    pub begun: usize,
    /// How it ended at last; `None` while it does not.
    pub end: Option<JobEnd>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEnd {
    /// It has a result.
    Finished(Finished),
    /// It broke for good.
    Failed(Fault),
}

/// A job's result, as the journal vouches for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The line that says so, from 1.
    pub line: usize,
    /// One word.
    pub outcome: String,
    /// Digest of the result file.
    pub result: Digest,
    /// How long its last try took, in milliseconds.
    pub wall_time_ms: u64,
    /// Digests of what else it left; none in journals from before they were noted.
    pub files: BTreeMap<String, Digest>,
}

impl History {
    /// Reads a journal.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        let mut history = Self::default();
        for (index, entry) in entries.iter().enumerate() {
            history.is_over = matches!(entry.event, Event::RunFinished | Event::RunInterrupted);
            history.take(index + 1, &entry.event);
        }
        history
    }

    fn take(&mut self, line: usize, event: &Event) {
        let mut end = |job: &String, end: Option<JobEnd>| {
            let job = self.jobs.entry(job.clone()).or_insert(JobHistory { begun: line, end: None });
            job.end = end;
        };
        match event {
            Event::JobStarted { job, .. } | Event::JobFailed { job, retry: true, .. } => end(job, None),
            Event::JobFinished { job, outcome, result, files, wall_time_ms } => {
                let (outcome, files, wall_time_ms) = (outcome.clone(), files.clone(), *wall_time_ms);
                let finished = Finished { line, outcome, result: *result, wall_time_ms, files };
                end(job, Some(JobEnd::Finished(finished)));
            }
            Event::JobFailed { job, fault, retry: false, .. } => {
                end(job, Some(JobEnd::Failed(fault.clone())));
            }
            Event::RunStarted { jobs, .. } => self.wanted = *jobs,
            Event::RunInterrupted | Event::RunFinished => {}
        }
    }

    /// Jobs with a result, in the order in which they first began.
    #[must_use]
    pub fn finished(&self) -> Vec<(&str, &Finished)> {
        let mut finished = Vec::new();
        for (name, job) in &self.jobs {
            if let Some(JobEnd::Finished(end)) = &job.end {
                finished.push((job.begun, name.as_str(), end));
            }
        }
        finished.sort_by_key(|(begun, ..)| *begun);
        finished.into_iter().map(|(_, name, end)| (name, end)).collect()
    }

    /// Jobs that broke for good, by name.
    pub fn failed(&self) -> impl Iterator<Item = (&str, &Fault)> {
        self.jobs.iter().filter_map(|(name, job)| match &job.end {
            Some(JobEnd::Failed(fault)) => Some((name.as_str(), fault)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Boundary;

    #[test]
    fn the_last_word_on_a_job_counts() {
        let start = |job: &str| Event::JobStarted { job: job.into(), attempt: 1 };
        let finish = |job: &str, n: u8| Event::JobFinished {
            job: job.into(),
            outcome: "kept".into(),
            result: Digest::of(&[n]),
            files: BTreeMap::new(),
            wall_time_ms: 1,
        };
        let fail = |job: &str, retry| Event::JobFailed {
            job: job.into(),
            attempt: 1,
            fault: Fault::new(Boundary::Sandbox, "no_space", "full"),
            retry,
        };
        let events = [
            start("c"),
            start("a"),
            finish("a", 1),
            start("b"),
            fail("b", true),
            start("b"),
            fail("b", false),
            finish("c", 2),
            Event::RunInterrupted,
            start("a"),
            start("d"),
            finish("a", 3),
        ];
        let entries: Vec<Entry> = events
            .into_iter()
            .enumerate()
            .map(|(i, event)| Entry { seq: i as u64, at_ms: 0, event })
            .collect();
        let history = History::of(&entries);
        let finished: Vec<_> =
            history.finished().into_iter().map(|(job, of)| (job, of.line, of.result)).collect();
        assert_eq!(finished, [("c", 8, Digest::of(&[2])), ("a", 12, Digest::of(&[3]))]);
        assert_eq!(
            history.failed().map(|(job, fault)| (job, fault.code.as_str())).collect::<Vec<_>>(),
            [("b", "no_space")]
        );
        assert!(history.jobs["d"].end.is_none() && !history.is_over);
        assert!(History::of(&entries[..9]).is_over);
    }
}
