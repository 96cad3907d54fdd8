//! `kill -9` at any moment, then `--resume`: at most the step in flight is lost.
//!
//! Five verbs work on the micro gym, are killed at random moments and taken up
//! again, and must end with what a run holds that nobody killed.
//! `SWEGYM_KILLS=200 cargo test -p swegym --test it kills::` is the long form, spread
//! over the verbs; `SWEGYM_SEED=7` draws other moments, `SWEGYM_KILLED=train,improve`
//! kills some of the verbs alone, at the same moments.

mod held;
mod left;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::common::base::lasting;
use crate::common::toy::{bash, call, finish};
use crate::common::{Gym, rows};
use held::{check_journals, held, void_answers, without_times};
use left::{alive, below, keepers_of, torn, wait_until};

/// Where every run works, so that what names its folder is the same in all.
const OUT: &str = "run";

/// A teacher's attempts.
const TAUGHT: [&str; 12] = [
    "rollout",
    "--instances",
    "train/candidates.jsonl",
    "--scaffold",
    "noisy-expert",
    "--prompts",
    "terse",
    "--attempts",
    "2",
    "--evaluate",
    "--out",
    "taught",
];

/// Learning from them.
const LESSON: &str = "train sft --model policy --data taught.jsonl --context 1024 --batch 1 --rate 1e-3";

/// A verb at some work.
struct Work {
    name: &'static str,
    words: Vec<String>,
    /// The file from which on there is something to resume.
    begun: &'static str,
    /// Share of the kills, of twelve.
    share: usize,
}

#[test]
fn a_run_that_is_killed_at_any_moment_ends_as_one_that_was_not() {
    let number = |name: &str, usual: &str| knob(name, usual).parse::<u64>().unwrap();
    let (kills, seed) = (number("SWEGYM_KILLS", "10"), number("SWEGYM_SEED", "1"));
    say(&format!("SWEGYM_KILLS={kills} SWEGYM_SEED={seed}"));
    let gym = school();
    let chosen = knob("SWEGYM_KILLED", "");
    let is_chosen = |work: &Work| chosen.is_empty() || chosen.split(',').any(|name| name == work.name);
    for (number, work) in works(&gym).iter().enumerate().filter(|(_, work)| is_chosen(work)) {
        let mut moments = ChaCha8Rng::seed_from_u64(seed);
        moments.set_stream(number as u64);
        be_killed(&gym, work, (kills as usize * work.share).div_ceil(12), &mut moments);
    }
}

/// What random moments seldom meet: every step of an attempt, so that what
/// watches it and what limits it goes on as if it had not been cut; and files
/// that were being written.
#[test]
fn what_was_cut_goes_on_and_what_was_torn_is_gone() {
    let gym = school();
    let attempts = LOOP.to_string();
    let words = rollout_words(&gym, &["--attempts", &attempts]);
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["--out", OUT]).collect();
    gym.must(&words);
    let whole = held(&gym.path(OUT));
    for word in ["submitted", "stuck_in_loop", "context_overflow"] {
        let ended = format!("\"exit_status\": \"{word}\"");
        let is_so = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains(&ended);
        assert!(whole.values().any(is_so), "no attempt ended with {word}");
    }
    for instance in fs::read_dir(gym.path("run/trajectories")).unwrap().flatten() {
        for attempt in 0..LOOP {
            cut_after_step(&instance.path().join(format!("{attempt}.jsonl")), attempt);
        }
    }
    forget_results(&gym, OUT);
    gym.must(&[&words[..], &["--resume"]].concat());
    same("rollout", &whole, &held(&gym.path(OUT)));

    forget_results(&gym, "taught");
    for attempt in fs::read_dir(gym.path("taught/evaluations")).unwrap().flatten() {
        fs::write(attempt.path().join("0/.junit.xml.1-2"), "<test").unwrap();
    }
    gym.must(&[&TAUGHT[..], &["--resume"]].concat());
    assert_eq!(torn(&gym.path("taught")), Vec::<String>::new());
    let lesson: Vec<&str> = LESSON.split_whitespace().chain(["--steps", "2", "--save-every", "1"]).collect();
    gym.must(&[&lesson[..], &["--out", "trained"]].concat());
    for draft in ["trained/.draft-a", "trained/checkpoints/.draft-b"] {
        gym.write(&format!("{draft}/config.json"), "{");
    }
    gym.must(&[&lesson[..], &["--out", "trained", "--resume"]].concat());
    assert_eq!(torn(&gym.path("trained")), Vec::<String>::new());
}

/// Takes off a record what came after a step, or after its last whole one.
fn cut_after_step(record: &Path, step: usize) {
    let text = fs::read_to_string(record).unwrap();
    let marks: Vec<usize> = text.match_indices("\"kind\":\"stepped\"").map(|(at, _)| at).collect();
    let mark = marks[step.min(marks.len() - 1)];
    let end = mark + text[mark..].find('\n').unwrap() + 1;
    fs::write(record, &text[..end]).unwrap();
}

/// As if no job of a run had come to its end.
fn forget_results(gym: &Gym, run: &str) {
    fs::remove_file(gym.path(run).join("events.jsonl")).unwrap();
    fs::remove_dir_all(gym.path(run).join("results")).unwrap();
}

#[expect(clippy::print_stdout, reason = "what it takes to do it again, and how it goes")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::disallowed_methods, reason = "the knobs of this test")]
fn knob(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// Tasks to work on and to be measured with, a teacher's attempts, and a policy.
static SCHOOL: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting().founded();
    for (split, count) in [("train", "4"), ("test", "2")] {
        let draw = ["--count", count, "--levels", "1", "--seed", "3", "--out", split];
        gym.must(&[&["micro", "--split", split][..], &draw].concat());
    }
    gym.must(&TAUGHT);
    let form = ["--calls", "text", "--prompts", "terse", "--out", "taught.jsonl"];
    gym.must(&[&["export", "taught"][..], &form].concat());
    gym.must(&["micro", "--policy", "policy", "--size", "small"]);
    gym
});

fn school() -> Gym {
    Gym::new().like(&SCHOOL)
}

fn works(gym: &Gym) -> Vec<Work> {
    let work = |name, begun, share, words: &str| {
        let words = words.split_whitespace().map(str::to_owned).collect();
        Work { name, words, begun, share }
    };
    let tasks = "--instances train/candidates.jsonl";
    vec![
        work("validate", "run.json", 2, &format!("validate {tasks} --repeats 2")),
        work("evaluate", "run.json", 2, &format!("evaluate {tasks} --predictions taught")),
        Work {
            name: "rollout",
            words: rollout_words(gym, &["--attempts", "2", "--evaluate"]),
            begun: "run.json",
            share: 3,
        },
        work(
            "train",
            "training.json",
            2,
            &format!("{LESSON} --held-out 0.4 --epochs 24 --measure-every 2 --save-every 3 --patience 4"),
        ),
        work("adapter", "training.json", 1, &format!("{LESSON} --lora 4 --epochs 24 --save-every 4")),
        Work { name: "improve", words: improve_words(), begun: "steps.jsonl", share: 2 },
    ]
}

/// Steps that a loop takes until it is stopped.
const LOOP: usize = 6;

/// Each instance has a conversation of its own: one that changes files and what
/// the shell remembers, one that goes round in circles, one that reads too much.
fn rollout_words(gym: &Gym, more: &[&str]) -> Vec<String> {
    let edits = [
        bash("export MODE=deep; mkdir -p notes; echo one > notes/a.txt; cd notes"),
        bash("echo $MODE in $PWD >> a.txt; echo two > b.txt"),
        bash("rm a.txt; git -C /testbed status --short"),
        call("open_file", &json!({})),
        finish(),
    ];
    let circles = vec![bash("ls /testbed"); LOOP + 3];
    let floods = [bash("seq 200"), bash("seq 6000"), bash("echo too late"), finish()];
    let ids = rows(&gym.read("train/candidates.jsonl"));
    let scripts = [&edits[..], &circles, &floods];
    let lines = ids.iter().zip(scripts.iter().cycle()).map(|(row, replies)| {
        json!({"instance_id": row["instance_id"], "replies": replies}).to_string() + "\n"
    });
    gym.write("all.script", &lines.collect::<String>());
    let words = ["rollout", "--instances", "train/candidates.jsonl", "--model", "scripted:all.script"];
    let limits = ["--prompts", "terse", "--max-context", "6000"];
    [&words[..], &limits, more].concat().into_iter().map(str::to_owned).collect()
}

fn improve_words() -> Vec<String> {
    let agent =
        "--scaffold codeact --prompts terse --tool-calls text --max-steps 3 --max-tokens 40 --concurrent 4";
    let lesson = "--context 1024 --batch 2 --rate 1e-3 --steps 3 --save-every 1";
    let set = ["improve", "--model", "policy", "--instances", "train/candidates.jsonl", "--measure"];
    let more = ["test/candidates.jsonl", "--mix", "taught", "--measure-attempts", "1", "--attempts", "1"];
    let ways = ["--curate", "--calls text --prompts terse", "--rounds", "1", "--rollout", agent];
    [&set[..], &more, &ways, &["--train", lesson]].concat().into_iter().map(str::to_owned).collect()
}

/// Does the work once in peace, then is killed until there were enough kills:
/// once in a run or several times, and compared whenever a run came to its end.
fn be_killed(gym: &Gym, work: &Work, kills: usize, moments: &mut ChaCha8Rng) {
    let began = Instant::now();
    let said = finish_in_peace(gym, work);
    let took = began.elapsed();
    let whole = held(&gym.path(OUT));
    assert!(torn(&gym.path(OUT)).is_empty() && !whole.is_empty());
    fs::remove_dir_all(gym.path(OUT)).unwrap();
    let (mut done, mut runs) = (0, 0);
    while done < kills {
        let mut of_this = 0;
        let mut before = BTreeMap::new();
        while let Some(seen) = kill_at(gym, work, took.mul_f64(moments.random_range(0.0..1.0))) {
            before.extend(seen);
            (done, of_this) = (done + 1, of_this + 1);
            if done == kills || moments.random_bool(0.5) {
                assert_eq!(finish_in_peace(gym, work), said, "{}: what it says at last", work.name);
                break;
            }
        }
        runs += 1;
        same(work.name, &whole, &held(&gym.path(OUT)));
        check_journals(&gym.path(OUT), of_this);
        if work.name == "rollout" {
            let void = void_answers(&gym.path(OUT));
            assert!(void.iter().all(|void| *void as usize <= of_this), "{of_this} kills, and void: {void:?}");
        }
        assert_eq!(torn(&gym.path(OUT)), Vec::<String>::new(), "{}: half-written files", work.name);
        nothing_is_left(gym, &before);
        fs::remove_dir_all(gym.path(OUT)).unwrap();
    }
    say(&format!("{}: {done} kills in {runs} runs, {:.0?}", work.name, began.elapsed()));
}

fn resumed<'a>(gym: &Gym, work: &'a Work) -> Vec<&'a str> {
    let words = work.words.iter().map(String::as_str).chain(["--out", OUT]);
    let resume = gym.path(OUT).join(work.begun).exists().then_some("--resume");
    words.chain(resume).collect()
}

/// Lets the work come to its end; gives what it says of it.
fn finish_in_peace(gym: &Gym, work: &Work) -> Value {
    let said = gym.must(&[&resumed(gym, work)[..], &["--json"]].concat());
    without_times(serde_json::from_str(&said).unwrap())
}

/// Kills the work at a moment; gives the processes that were below it, or
/// nothing where it was through before.
fn kill_at(gym: &Gym, work: &Work, moment: Duration) -> Option<BTreeMap<u32, String>> {
    let mut child =
        gym.command(&resumed(gym, work)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + moment;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2).min(deadline.saturating_duration_since(Instant::now())));
    }
    let seen = below(child.id());
    // One that is over takes no signal, and says how it ended.
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(code) => {
            assert!(code == 0, "{}: {words}", work.name);
            None
        }
        None => Some(seen),
    }
}

/// Nothing that was lost, and nothing that is other than it was.
fn same(name: &str, whole: &BTreeMap<String, Vec<u8>>, cut: &BTreeMap<String, Vec<u8>>) {
    let mut differs: Vec<&String> =
        whole.keys().chain(cut.keys()).filter(|file| whole.get(*file) != cut.get(*file)).collect();
    differs.sort();
    differs.dedup();
    let Some(first) = differs.first() else { return };
    let show = |of: &BTreeMap<String, Vec<u8>>| {
        of.get(*first).map_or("absent".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    panic!("{name}: {differs:?}\n--- {first}, whole\n{}\n--- and cut\n{}", show(whole), show(cut));
}

/// No process of a killed run, no box, no mount, and no work in progress.
fn nothing_is_left(gym: &Gym, before: &BTreeMap<u32, String>) {
    wait_until("processes of killed runs to go", || !before.iter().any(|(pid, began)| alive(*pid, began)));
    wait_until("keepers to go", || keepers_of(gym).is_empty());
    let home = gym.home();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&*home.to_string_lossy()), "{mounts}");
    for folder in ["tmp", "mnt"] {
        let left: Vec<_> =
            fs::read_dir(home.join(folder)).unwrap().flatten().map(|e| e.file_name()).collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
    let groups = left::groups(before);
    assert!(groups.is_empty(), "{groups:?}");
}
