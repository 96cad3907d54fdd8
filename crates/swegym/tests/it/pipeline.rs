//! The whole job on a small real project, killed and taken up again.

use std::time::Duration;

use crate::common::{Gym, contents, rows};

const MODULE: &str = r#"
"""Small numbers."""


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


def total(values, start=0):
    result = start
    for value in values:
        result += value
    return result


def describe(value, unit):
    if value == 1:
        text = "one"
    else:
        text = str(value)
    return text + " " + unit


def is_even(value):
    return not value % 2
"#;

const TESTS: &str = r#"
import demo
import pytest


def test_clamp():
    assert demo.clamp(5, 0, 3) == 3
    assert demo.clamp(-5, 0, 3) == 0
    assert demo.clamp(2, 0, 3) == 2


@pytest.mark.parametrize("values, expected", [([1, 2], 3), ([], 0), ([-1, 1], 0)])
def test_total(values, expected):
    assert demo.total(values) == expected


def test_describe():
    assert demo.describe(1, "apple") == "one apple"
    assert demo.describe(2, "apples") == "2 apples"


def test_is_even():
    assert demo.is_even(2)
    assert not demo.is_even(3)
"#;

/// Built, planted and written to `candidates.jsonl`.
fn candidates(gym: &Gym) {
    let project = gym.project("demo", MODULE, TESTS);
    gym.must(&["build", &project, "--out", "build"]);
    // A build that is killed and taken up again makes the same image.
    kill_until_done(gym, &["build", &project], "build-killed", 5);
    assert_eq!(outputs(gym, "build"), outputs(gym, "build-killed"));
    gym.must(&[
        "synth",
        "--images",
        "build/images.jsonl",
        "--candidates",
        "10",
        "--seed",
        "3",
        "--out",
        "synth",
    ]);
}

fn outputs(gym: &Gym, run: &str) -> Vec<(String, Vec<u8>)> {
    // The journal has times, run.json the folder's name, command.json limits that decide
    // nothing, evidence what a run used.
    let skip = |name: &str| {
        let of_files = ["events.jsonl", "run.json", "command.json"];
        let of_tests = ["evidence.json", "junit.xml", "test_output.txt"];
        of_files.contains(&name) || of_tests.contains(&name)
    };
    contents(&gym.path(run), &skip)
}

#[test]
fn a_project_becomes_tasks_and_every_kill_is_survived() {
    let gym = Gym::new().founded();
    candidates(&gym);
    let found = rows(&gym.read("synth/candidates.jsonl"));
    assert!(found.len() >= 4, "{found:#?}");

    // The same seed gives the same candidates; another one others.
    gym.must(&[
        "synth",
        "--images",
        "build/images.jsonl",
        "--candidates",
        "10",
        "--seed",
        "3",
        "--out",
        "synth-again",
    ]);
    assert_eq!(outputs(&gym, "synth"), outputs(&gym, "synth-again"));
    gym.must(&[
        "synth",
        "--images",
        "build/images.jsonl",
        "--candidates",
        "10",
        "--seed",
        "4",
        "--out",
        "synth-other",
    ]);
    assert_ne!(gym.read("synth/candidates.jsonl"), gym.read("synth-other/candidates.jsonl"));

    let validate = ["validate", "--instances", "synth/candidates.jsonl", "--repeats", "2"];
    let whole = gym.run(&[&validate[..], &["--out", "valid"]].concat());
    assert!(matches!(whole.status.code(), Some(0 | 11)), "{whole:?}");
    let instances = rows(&gym.read("valid/instances.jsonl"));
    assert!(instances.len() >= 4);
    for instance in &instances {
        check_statement(instance, &rows(&gym.read("synth/bugs.jsonl")));
    }
    kill_until_done(&gym, &validate, "valid-killed", 7);
    assert_eq!(outputs(&gym, "valid"), outputs(&gym, "valid-killed"));
    the_keeper_may_die(&gym, &validate);
    assert_eq!(outputs(&gym, "valid"), outputs(&gym, "valid-orphaned"));
    memory_admits(&gym, &validate);
    assert_eq!(outputs(&gym, "valid"), outputs(&gym, "valid-narrow"));

    for (set, resolved) in [("gold", instances.len()), ("empty", 0), ("wrong", 0)] {
        let out = format!("eval-{set}");
        let evaluate = ["evaluate", "--instances", "valid/instances.jsonl", "--predictions", set];
        gym.must(&[&evaluate[..], &["--out", &out]].concat());
        same_verdicts_from_the_evidence(&gym, &out);
        let report: serde_json::Value =
            serde_json::from_str(&gym.read(&format!("{out}/report.json"))).unwrap();
        assert_eq!(report["resolved_instances"], resolved, "{set}: {report:#}");
        assert_eq!(report["infra_failure_instances"], 0);
        if set == "gold" {
            kill_until_done(&gym, &evaluate, "eval-killed", 11);
            assert_eq!(outputs(&gym, &out), outputs(&gym, "eval-killed"));
        }
    }
    gym.must(&["report", "valid", "eval-gold", "eval-wrong"]);
    let page = gym.read("valid/report.html");
    assert!(page.contains("evaluate gold") && !page.contains("http"), "the page needs no network");
    no_box_is_left(&gym);
}

/// Starts or resumes the verb and kills it with SIGKILL: first while a job is at
/// work, which always hits, then at moments that `seed` decides; the last attempt
/// runs to its end.
fn kill_until_done(gym: &Gym, verb: &[&str], out: &str, seed: u64) {
    let start = || {
        let resume: &[&str] = if gym.path(out).join("run.json").is_file() { &["--resume"] } else { &[] };
        gym.spawn(&[verb, &["--out", out], resume].concat())
    };
    // A process that a signal ended has no code.
    let hits = |mut child: std::process::Child| {
        child.kill().unwrap();
        usize::from(child.wait().unwrap().code().is_none())
    };
    let child = start();
    let journal = gym.path(out).join("events.jsonl");
    wait_until("a job", || std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("job_started")));
    let mut hit = hits(child);
    assert_eq!(hit, 1, "{out}: a run that had just begun was through before the kill");
    let mut state = seed;
    for attempt in 0..5 {
        let child = start();
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(150 + (state >> 33) % 1500 + 200 * attempt));
        // It may be through already.
        hit += hits(child);
    }
    let last = start().wait().unwrap();
    assert!(matches!(last.code(), Some(0 | 11)), "{out}, after {hit} kills: {last}");
}

/// The process that keeps the boxes is killed under a run: its jobs are tried
/// again with another one, and the results are the same.
fn the_keeper_may_die(gym: &Gym, verb: &[&str]) {
    let mut child = gym.spawn(&[verb, &["--out", "valid-orphaned"]].concat());
    let retries = || {
        let journal = std::fs::read_to_string(gym.path("valid-orphaned/events.jsonl")).unwrap_or_default();
        let lines = journal.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let failed =
            |e: &serde_json::Value| e["event"]["kind"] == "job_failed" && e["event"]["retry"] == true;
        lines.filter(failed).count()
    };
    // A kill may come when a box has just ended, and costs no job a second try then.
    let mut code = None;
    while code.is_none() && retries() == 0 {
        let keepers = keepers_of(gym);
        if keepers.iter().any(|keeper| has_children(*keeper)) {
            // What is listed may be children of the keeper, which die with it.
            for keeper in keepers {
                let _ =
                    swegym_sandbox::tool::run("kill", ["-9", &keeper.to_string()], Duration::from_secs(5));
            }
            // The job that was hit says so before another keeper is killed.
            for _ in 0..30 {
                if retries() == 0 {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
        code = child.try_wait().unwrap();
    }
    let code = code.unwrap_or_else(|| child.wait().unwrap()).code();
    assert!(matches!(code, Some(0 | 11)), "{code:?} {}", gym.read("valid-orphaned/events.jsonl"));
    assert!(retries() >= 1, "{}", gym.read("valid-orphaned/events.jsonl"));
}

/// With memory for one box, jobs run one after another.
fn memory_admits(gym: &Gym, verb: &[&str]) {
    let narrow = ["--cores", "2", "--box-memory", "700", "--memory", "1000", "--out", "valid-narrow"];
    let output = gym.run(&[verb, &narrow].concat());
    assert!(matches!(output.status.code(), Some(0 | 11)), "{output:?}");
    let mut running = 0;
    for event in rows(&gym.read("valid-narrow/events.jsonl")) {
        match event["event"]["kind"].as_str() {
            Some("job_started") => running += 1,
            Some("job_finished" | "job_failed") => running -= 1,
            _ => {}
        }
        assert!(running <= 1, "two jobs at once: {event}");
    }
}

/// Keepers of this home folder, in which they work, and what they just forked.
fn keepers_of(gym: &Gym) -> Vec<u32> {
    let home = std::fs::canonicalize(gym.path("home")).unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_one = |p: &std::fs::DirEntry| {
        let line = std::fs::read(p.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("__keeper")
            && std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == home)
    };
    processes.filter(is_one).filter_map(|p| p.file_name().to_str()?.parse().ok()).collect()
}

fn has_children(process: u32) -> bool {
    let children = format!("/proc/{process}/task/{process}/children");
    std::fs::read_to_string(children).is_ok_and(|children| !children.trim().is_empty())
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("waited a minute for {what}");
}

/// The statement shows a symptom and leads to no file, line or kind of bug.
fn check_statement(instance: &serde_json::Value, bugs: &[serde_json::Value]) {
    let statement = instance["problem_statement"].as_str().unwrap();
    let row = bugs.iter().find(|b| b["instance_id"] == instance["instance_id"]).unwrap();
    for bug in row["bugs"].as_array().unwrap() {
        for secret in [bug["path"].as_str().unwrap(), bug["operator"].as_str().unwrap()] {
            assert!(!statement.contains(secret), "{secret} in {statement}");
        }
    }
    assert!(!statement.contains("line ") && statement.contains("demo."), "{statement}");
}

/// Keepers of killed runs clean up by themselves, shortly after.
fn no_box_is_left(gym: &Gym) {
    wait_until("keepers to go", || keepers_of(gym).is_empty());
}

/// `grade` judges a run's evidence as `evaluate` did.
fn same_verdicts_from_the_evidence(gym: &Gym, run: &str) {
    gym.must(&["grade", "--run", run, "--out", "again.jsonl"]);
    let verdicts = |file: &str| {
        let mut verdicts: Vec<String> = rows(&gym.read(file))
            .iter()
            .map(|row| {
                format!(
                    "{} {} {} {}",
                    row["instance_id"], row["resolved"], row["tests_status"], row["reason"]["code"]
                )
            })
            .collect();
        verdicts.sort();
        verdicts
    };
    assert_eq!(verdicts("again.jsonl"), verdicts(&format!("{run}/reports.jsonl")));
}
