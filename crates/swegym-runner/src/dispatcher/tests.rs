//! The dispatcher without boxes: work is what a test makes it.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, json};
use swegym_core::format::results;
use swegym_core::format::run::RunHead;
use swegym_core::{Boundary, RunId};

use super::*;
use crate::run_dir::Open;

fn open(folder: &Path, how: Open) -> RunDir {
    let head = RunHead {
        run_id: RunId::new("run").unwrap(),
        verb: "build".to_owned(),
        swegym: "0".to_owned(),
        inputs: Digest::of(b"inputs"),
        settings: Map::new(),
        instances: None,
    };
    RunDir::open(&folder.join("run"), &head, how).unwrap()
}

fn tickets(count: usize, memory: u64, at_once: usize) -> Vec<Ticket> {
    (0..count).map(|n| Ticket { name: format!("job-{n}"), memory, at_once }).collect()
}

fn done(at: usize) -> JobResult {
    JobResult::of(JobOutput::Built(Map::from_iter([("at".to_owned(), json!(at))])))
}

/// Runs to the end; nobody wants to stop.
async fn to_the_end<W, F>(run: &mut RunDir, jobs: &[Ticket], memory: u64, work: W) -> Vec<Outcome>
where
    W: Fn(usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<JobResult, Fault>> + Send + 'static,
{
    let (_sender, stop) = watch::channel(false);
    let head = ("build", Digest::of(b"inputs"));
    let outcomes =
        super::run(run, head, Jobs::all(jobs.to_vec()), memory, work, stop, |_, _| {}).await.unwrap();
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[tokio::test]
async fn what_broke_around_a_job_is_tried_again_and_what_is_wrong_with_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let tries: Arc<[AtomicUsize; 4]> = Arc::default();
    let seen = Arc::clone(&tries);
    let work = move |at: usize| {
        let attempt = seen[at].fetch_add(1, Ordering::SeqCst);
        async move {
            match at {
                0 if attempt == 0 => Err(Fault::new(Boundary::Sandbox, "no_space", "full for a moment")),
                1 => Err(Fault::new(Boundary::Sandbox, "no_space", "full for good")),
                2 => Err(Fault::new(Boundary::Task, "broken", "the task's own")),
                3 => panic!("a bug"),
                _ => Ok(done(at)),
            }
        }
    };
    let outcomes = to_the_end(&mut open(folder.path(), Open::New), &tickets(4, 0, 2), 0, work).await;
    let codes: Vec<&str> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Finished(output) => output.outcome(),
            Outcome::Failed(fault) => &fault.code,
            Outcome::Unfinished => "unfinished",
        })
        .collect();
    assert_eq!(codes, ["built", "no_space", "broken", "panic"]);
    let tries: Vec<usize> = tries.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    assert_eq!(tries, [2, ATTEMPTS as usize, 1, 1]);
}

#[tokio::test]
async fn what_every_job_would_meet_begins_no_further_one_and_a_resume_does_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let work = |at: usize| async move {
        match at {
            0 => Ok(done(at)),
            _ => Err(Fault::new(Boundary::Model, "unauthorized", "the key is wrong")),
        }
    };
    let jobs = tickets(5, 0, 1);
    let outcomes = to_the_end(&mut open(folder.path(), Open::New), &jobs, 0, work).await;
    assert!(matches!(&outcomes[0], Outcome::Finished(_)) && matches!(&outcomes[1], Outcome::Failed(_)));
    assert!(outcomes[2..].iter().all(|outcome| *outcome == Outcome::Unfinished), "{outcomes:?}");
    // What is finished is not done again, whatever would come of it now.
    let work = |at: usize| async move {
        assert_ne!(at, 0);
        Ok(done(at))
    };
    let outcomes = to_the_end(&mut open(folder.path(), Open::Resume), &jobs, 0, work).await;
    let values: Vec<serde_json::Value> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Finished(output) => results::write(&output)["at"].clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values, [json!(0), json!(1), json!(2), json!(3), json!(4)]);
}

#[tokio::test]
async fn jobs_run_side_by_side_as_far_as_memory_and_their_number_allow() {
    for (memory, at_once, total, expected) in [(10, 8, 35, 3), (10, 2, 1000, 2), (50, 8, 20, 1)] {
        let folder = tempfile::tempdir().unwrap();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let highest = Arc::clone(&most);
        let work = move |at: usize| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(30)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(done(at))
            }
        };
        let jobs = tickets(6, memory, at_once);
        let outcomes = to_the_end(&mut open(folder.path(), Open::New), &jobs, total, work).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Finished(_))));
        assert_eq!(highest.load(Ordering::SeqCst), expected, "{memory} of {total}, {at_once} at once");
    }
}

#[tokio::test]
async fn a_wish_to_stop_drops_what_runs_and_leaves_it_to_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, stop) = watch::channel(false);
    let sender = Arc::new(Mutex::new(sender));
    let work = move |at: usize| {
        let sender = Arc::clone(&sender);
        async move {
            if at == 1 {
                sender.lock().unwrap().send_replace(true);
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            Ok(done(at))
        }
    };
    let mut events = Vec::new();
    let outcomes = run(
        &mut open(folder.path(), Open::New),
        ("build", Digest::of(b"inputs")),
        Jobs::all(tickets(3, 0, 1)),
        0,
        work,
        stop,
        |event, progress| events.push((event.clone(), progress.done)),
    )
    .await
    .unwrap();
    let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    assert!(matches!(outcomes[0], Outcome::Finished(_)));
    assert_eq!(outcomes[1..], [Outcome::Unfinished, Outcome::Unfinished]);
    assert_eq!(events.last(), Some(&(Event::RunInterrupted, 1)));
}

#[tokio::test]
async fn what_waits_for_others_begins_when_they_have_ended_and_in_a_resumed_run_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let begun: Arc<Mutex<Vec<usize>>> = Arc::default();
    for how in [Open::New, Open::Resume] {
        let seen = Arc::clone(&begun);
        let work = move |at: usize| {
            seen.lock().unwrap().push(at);
            async move {
                // The first is the slowest.
                tokio::time::sleep(Duration::from_millis(if at == 0 { 80 } else { 1 })).await;
                Ok(done(at))
            }
        };
        let mut rest = tickets(4, 0, 8);
        rest.reverse();
        // The third waits for the first; the last one, for all.
        let next = |outcomes: &[Option<Outcome>]| {
            let is_through = |at: usize| outcomes.get(at).is_some_and(Option::is_some);
            let count = match outcomes.len() {
                0 => 2,
                2 if is_through(0) => 1,
                3 if outcomes.iter().all(Option::is_some) => 1,
                _ => 0,
            };
            (0..count).filter_map(|_| rest.pop()).collect()
        };
        let (_sender, stop) = watch::channel(false);
        let jobs = Jobs { whole: 4, next: Box::new(next) };
        let mut run = open(folder.path(), how);
        let head = ("build", Digest::of(b"inputs"));
        let outcomes = super::run(&mut run, head, jobs, 0, work, stop, |_, _| {}).await.unwrap();
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["job-0", "job-1", "job-2", "job-3"]);
        assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Finished(_))));
    }
    assert_eq!(*begun.lock().unwrap(), [0, 1, 2, 3]);
}
