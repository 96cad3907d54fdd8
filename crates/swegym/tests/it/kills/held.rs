//! What a run's folder holds, but for what depends on time.

use std::collections::BTreeMap;
use std::path::Path;

use regex::Regex;
use serde_json::Value;
use swegym_core::format::record;
use swegym_core::record::ActionReport;
use swegym_core::trajectory::Trajectory;

use crate::common::{contents, rows};

/// Files that depend on time and are not compared: the journal (see
/// [`check_journals`]), and of a training run the page and TensorBoard's copy of
/// its curves, one of which is tokens a second.
fn is_timed(path: &str, is_training: bool) -> bool {
    path.ends_with("events.jsonl")
        || is_training && (path.ends_with("report.html") || path.contains("tensorboard/"))
}

/// Fields that depend on time, wherever they stand: how long something took,
/// what a box used, what of a prompt a server still had at hand, and the address
/// at which a policy was served while it was asked.
const TIMED_FIELDS: [&str; 5] = ["seconds", "tokens_per_second", "usage", "cached_tokens", "endpoint"];

/// Every file of a run, without what depends on time. Of a record, what counts.
pub(crate) fn held(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = contents(run, &|_| false);
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let trained: Vec<String> = files
        .iter()
        .filter(|(path, _)| path.ends_with("training.json"))
        .map(|(path, _)| folder(path))
        .collect();
    let kept =
        files.iter().filter(|(path, _)| !is_timed(path, trained.iter().any(|of| path.starts_with(of))));
    kept.map(|(path, bytes)| (path.clone(), untimed(path, bytes))).collect()
}

fn untimed(path: &str, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    if path.contains("trajectories/") {
        return format!("{:#?}", attempt(path, &text)).into_bytes();
    }
    if path.ends_with("test_output.txt") {
        let took = Regex::new(r" in \d+\.\d+s").unwrap();
        return took.replace_all(&text, " in [time]").into_owned().into_bytes();
    }
    if path.ends_with(".jsonl") {
        return rows(&text)
            .into_iter()
            .map(|row| without_times(row).to_string() + "\n")
            .collect::<String>()
            .into();
    }
    // Tokenizers and the like are compared as they are: they hold no times.
    match serde_json::from_str::<Value>(&text) {
        Ok(value) if path.ends_with(".json") => format!("{:#}\n", without_times(value)).into(),
        _ => bytes.to_vec(),
    }
}

pub(crate) fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !TIMED_FIELDS.contains(&name.as_str()));
            fields.values_mut().for_each(|value| *value = without_times(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| *value = without_times(value.take())),
        _ => {}
    }
    value
}

/// An attempt as its record tells it, but for what a kill made void (which was
/// paid for), times, and digests of snapshots (git's index holds times).
fn attempt(path: &str, text: &str) -> Trajectory {
    let events = record::read(path, text).unwrap().into_events();
    let mut whole = Trajectory::fold(&events).unwrap();
    assert!(whole.is_over(), "{path} has no end");
    (whole.usage, whole.answers) = Default::default();
    whole.layers.clear();
    for step in &mut whole.steps {
        step.latency_ms = 0;
        step.usage.cached_tokens = 0;
        for report in step.actions.iter_mut().filter_map(|action| action.report.as_mut()) {
            *report = ActionReport { wall_time_ms: 0, cpu_time_ms: 0, max_rss_bytes: 0, ..report.clone() };
        }
    }
    whole
}

/// Answers that each record of a run holds and that do not count.
pub(crate) fn void_answers(run: &Path) -> Vec<u32> {
    let of = |(path, bytes): &(String, Vec<u8>)| {
        let events = record::read(path, &String::from_utf8_lossy(bytes)).unwrap().into_events();
        let whole = Trajectory::fold(&events).unwrap();
        whole.answers - whole.steps.len() as u32
    };
    contents(&run.join("trajectories"), &|_| false).iter().map(of).collect()
}

/// Every job ended once and for good, and was begun again at most as often as
/// there were kills.
pub(crate) fn check_journals(run: &Path, kills: usize) {
    for (path, bytes) in contents(run, &|name| name != "events.jsonl") {
        let mut jobs: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for row in rows(&String::from_utf8_lossy(&bytes)) {
            let event = &row["event"];
            let job = event["job"].as_str().unwrap_or_default().to_owned();
            match event["kind"].as_str() {
                Some("job_started") => {
                    let (begun, ended) = jobs.entry(job).or_default();
                    assert_eq!(*ended, 0, "{path}: a finished job is begun again: {event}");
                    *begun += 1;
                }
                Some("job_finished") => jobs.entry(job).or_default().1 += 1,
                Some("job_failed") => panic!("{path}: {event}"),
                _ => {}
            }
        }
        assert!(jobs.values().all(|(begun, ended)| *ended == 1 && *begun <= kills + 1), "{path}: {jobs:?}");
    }
}
