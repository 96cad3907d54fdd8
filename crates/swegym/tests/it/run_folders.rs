//! Run folders as they come back from copying, moving and crashing: what cannot
//! be relied on is an error that names the file, and never a smaller number.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use swegym_core::event::Event;
use swegym_core::format::{journal, record};
use swegym_core::record::RecordEvent;

use crate::common::base::lasting;
use crate::common::{Gym, contents, rows};

/// A verb, its exit code, and what it said.
type Said = (&'static str, i32, String);

/// Instances, a tested rollout of them, and evaluations of its answers.
struct Runs {
    gym: Gym,
}

static RUNS: LazyLock<Runs> = LazyLock::new(Runs::make);

impl Runs {
    fn make() -> Self {
        let gym = lasting().founded();
        gym.must(&["micro", "--count", "3", "--levels", "1", "--out", "drawn"]);
        let teacher = ["--scaffold", "noisy-expert", "--attempts", "2"];
        let from = ["rollout", "--instances", "drawn/candidates.jsonl"];
        gym.must(&[&from[..], &teacher, &["--evaluate", "--out", "run"]].concat());
        gym.must(&[&from[..], &teacher, &["--out", "untested"]].concat());
        gym.must(&[&from[..], &teacher, &["--seed", "7", "--evaluate", "--out", "other"]].concat());
        let test = ["evaluate", "--instances", "drawn/candidates.jsonl", "--predictions"];
        gym.must(&[&test[..], &["gold", "--out", "gold"]].concat());
        gym.must(&["export", "run", "--calls", "text", "--out", "text.jsonl"]);
        let text: String = rows(&gym.read("text.jsonl"))
            .iter()
            .flat_map(|row| row["messages"].as_array().unwrap().clone())
            .map(|m| serde_json::json!({"text": m["content"]}).to_string() + "\n")
            .collect();
        gym.write("text.jsonl", &text);
        gym.must(&[
            "train",
            "tokenizer",
            "--text",
            "text.jsonl",
            "--vocabulary",
            "400",
            "--out",
            "tokenizer",
        ]);
        Self { gym }
    }

    /// A copy of a run under another name.
    fn copy(&self, run: &str, name: &str) -> String {
        copy(&self.gym.path(run), &self.gym.path(name));
        name.to_owned()
    }

    /// What each verb says of a run: its standard output and its code.
    fn ask(&self, run: &str) -> Vec<Said> {
        let out = format!("{run}-out");
        let asked: [(&str, Vec<&str>); 6] = [
            ("metrics", vec!["metrics", run, "--json"]),
            ("report", vec!["report", run, "--json"]),
            ("grade", vec!["grade", "--run", run, "--out", &out, "--json"]),
            ("export", vec!["export", run, "--out", &out, "--json"]),
            ("select", vec!["select", run, "--by", "shortest", "--out", &out, "--json"]),
            (
                "curate",
                vec!["curate", run, "--model", "tokenizer", "--calls", "text", "--out", &out, "--json"],
            ),
        ];
        let ask = |(verb, words): (&'static str, Vec<&str>)| {
            let output = self.gym.run(&words);
            let said = match output.status.success() {
                true => String::from_utf8_lossy(&output.stdout).replace(run, "RUN"),
                false => String::from_utf8_lossy(&output.stderr).into_owned(),
            };
            for left in ["", ".run_report.json", ".partial", ".early"] {
                let path = self.gym.path(&format!("{out}{left}"));
                if !output.status.success() {
                    assert!(!path.exists(), "{verb} wrote {}: {said}", path.display());
                }
                _ = fs::remove_file(&path);
                _ = fs::remove_dir_all(&path);
            }
            _ = fs::remove_file(self.gym.path(run).join("report.html"));
            (verb, output.status.code().unwrap(), said)
        };
        asked.into_iter().map(ask).collect()
    }
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in contents(from, &|_| false) {
        let place = to.join(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
    }
}

/// What damages a file.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 4] = [
    ("is cut in half", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("has lost its last line", |path| {
        let text = fs::read_to_string(path).unwrap();
        let end = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        fs::write(path, &text[..end]).unwrap();
    }),
    ("is gone", |path| fs::remove_file(path).unwrap()),
    ("has another letter", |path| {
        let mut bytes = fs::read(path).unwrap();
        let at = bytes.iter().rposition(u8::is_ascii_alphanumeric).unwrap();
        bytes[at] = if bytes[at] == b'1' { b'0' } else { b'1' };
        fs::write(path, bytes).unwrap();
    }),
];

/// Every file of a run is damaged in every way; each verb says what it said of the
/// whole run, or which file it is.
#[test]
fn a_damaged_file_is_named_and_no_number_is_smaller_for_it() {
    let runs = &*RUNS;
    let whole = &runs.ask(&runs.copy("run", "whole"));
    assert!(whole.iter().all(|(_, code, _)| *code == 0), "{whole:?}");
    let files: Vec<String> =
        contents(&runs.gym.path("run"), &|_| false).into_iter().map(|(name, _)| name).collect();
    let of_kind = |start: &str, end: &str| {
        files.iter().find(|name| name.starts_with(start) && name.ends_with(end)).unwrap().as_str()
    };
    let files = [
        "run.json",
        "events.jsonl",
        "reports.jsonl",
        "instances.jsonl",
        of_kind("results/", ".json"),
        of_kind("trajectories/", ".jsonl"),
        of_kind("evaluations/", "evidence.json"),
        of_kind("evaluations/", "test_output.txt"),
        of_kind("evaluations/", "junit.xml"),
    ];
    let caught: usize = std::thread::scope(|scope| {
        let damaged = |(n, file)| scope.spawn(move || damaged(runs, &format!("damaged-{n}"), file, whole));
        let threads: Vec<_> = files.into_iter().enumerate().map(damaged).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(caught > 80, "{caught}");
}

/// Damages a file in every way; gives how often a verb refused the run for it.
fn damaged(runs: &Runs, name: &str, file: &str, whole: &[Said]) -> usize {
    let mut caught = 0;
    for (how, damage) in DAMAGES {
        let run = runs.copy("run", name);
        damage(&runs.gym.path(&run).join(file));
        for ((verb, code, said), (_, _, right)) in runs.ask(&run).into_iter().zip(whole) {
            let what = format!("{verb}, where {file} {how}: {code}, {said}");
            if code == 0 {
                assert!(&said == right, "{what}");
                continue;
            }
            caught += 1;
            assert!(code == 2 && said.contains("hint: "), "{what}");
            // What the journal cannot tell any more is told of the file that it should
            // tell of; a folder without a head is no run.
            let place = match file {
                "events.jsonl" => format!("{name}/"),
                "run.json" => name.to_owned(),
                file => format!("{name}/{file}"),
            };
            assert!(said.contains(&place), "{what}");
        }
        fs::remove_dir_all(runs.gym.path(&run)).unwrap();
    }
    caught
}

/// The file, the line where there is one, and what to do.
#[test]
fn a_result_that_was_cut_is_named_with_its_line() {
    let runs = &*RUNS;
    let run = runs.copy("run", "cut-result");
    let result = fs::read_dir(runs.gym.path(&run).join("results")).unwrap().flatten().next().unwrap().path();
    DAMAGES[0].1(&result);
    let name = format!("{run}/results/{}:", result.file_name().unwrap().to_string_lossy());
    for (verb, code, said) in runs.ask(&run) {
        let line =
            said.split_once(&name).map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
        assert!(code == 2 && line > Some(0) && said.contains("events.jsonl:"), "{verb}: {said}");
    }
}

/// Records are read one by one, too: in a run, the run says whether they are whole.
#[test]
fn a_record_that_was_cut_is_not_shown_as_an_attempt_that_did_not_end() {
    let runs = &*RUNS;
    let run = runs.copy("run", "cut-record");
    let (name, bytes) = contents(&runs.gym.path(&run).join("trajectories"), &|_| false).remove(0);
    let record = format!("{run}/trajectories/{name}");
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    runs.gym.must(&["show", "trajectory", &record]);
    // At the end of a line, which no checksum sees, and within one.
    let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [end, end + 20] {
        fs::write(runs.gym.path(&record), &bytes[..cut]).unwrap();
        let output = runs.gym.run(&["show", "trajectory", &record]);
        let said = String::from_utf8_lossy(&output.stderr);
        let place = format!("{name}:{lines}: the record stops here");
        assert!(
            output.status.code() == Some(2) && said.contains(&place) && said.contains("hint: "),
            "{said}"
        );
    }
    // Elsewhere nobody knows more than the record says.
    fs::copy(runs.gym.path(&record), runs.gym.path("alone.jsonl")).unwrap();
    assert!(runs.gym.must(&["show", "trajectory", "alone.jsonl"]).contains("unfinished"));
}

#[test]
fn a_newer_run_is_refused_by_every_verb() {
    let runs = &*RUNS;
    let run = runs.copy("run", "newer");
    let path = runs.gym.path(&run).join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"format_version\": 1", "\"format_version\": 9")).unwrap();
    for (verb, code, said) in runs.ask(&run) {
        assert!(code == 2 && said.contains("newer/run.json:1: format version 9 is newer"), "{verb}: {said}");
    }
}

/// A name, and the files that are of the other run.
type Mix = (&'static str, fn(&str) -> bool);

/// One run's files on another's, either way round; a copy whose journal is from an
/// earlier moment than its results.
#[test]
fn two_runs_in_one_folder_are_told_apart() {
    let runs = &*RUNS;
    let mixes: [Mix; 5] = [
        ("mixed-results", |name| name.starts_with("results/")),
        ("mixed-records", |name| name.starts_with("trajectories/")),
        ("mixed-head", |name| name == "run.json"),
        ("mixed-journal", |name| name == "events.jsonl"),
        ("mixed-verdicts", |name| name == "reports.jsonl"),
    ];
    let whole = runs.ask(&runs.copy("run", "unmixed"));
    for (name, of_the_other) in mixes {
        let run = runs.copy("run", name);
        for (file, bytes) in contents(&runs.gym.path("other"), &|_| false) {
            if of_the_other(&file) {
                fs::write(runs.gym.path(&run).join(file), bytes).unwrap();
            }
        }
        let said = runs.ask(&run);
        assert!(said.iter().any(|(_, code, _)| *code == 2), "{name}: {said:?}");
        for ((verb, code, said), (_, _, right)) in said.iter().zip(&whole) {
            assert!(*code == 2 && said.contains(name) || said == right, "{name}: {verb}: {code}: {said}");
        }
    }
    let early = runs.copy("run", "early-journal");
    let journal = runs.gym.path(&early).join("events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let first = text.find("\"kind\":\"job_started\"").unwrap();
    let end = first + text[first..].find('\n').unwrap() + 1;
    fs::write(&journal, &text[..end]).unwrap();
    for (verb, code, said) in runs.ask(&early) {
        assert!(code == 2 && said.contains("copied while the run went on"), "{verb}: {code}: {said}");
    }
}

/// As runs were before they kept their instances, digests of evidence, the parser
/// that read it, and the repository of each attempt.
fn make_old(folder: &Path) {
    let rewrite = |name: &str, write: &dyn Fn(&str) -> String| {
        let path = folder.join(name);
        fs::write(&path, write(&fs::read_to_string(&path).unwrap())).unwrap();
    };
    fs::remove_file(folder.join("instances.jsonl")).unwrap();
    rewrite("run.json", &|text| {
        let mut value: Value = serde_json::from_str(text).unwrap();
        value.as_object_mut().unwrap().remove("instances").unwrap();
        value.to_string()
    });
    rewrite("events.jsonl", &|text| {
        let mut entries = journal::read("events.jsonl", text).unwrap().entries;
        for entry in &mut entries {
            if let Event::JobFinished { files, .. } = &mut entry.event {
                files.clear();
            }
        }
        entries.iter().map(journal::write_entry).collect()
    });
    for (name, _) in contents(folder, &|name| name != "evidence.json") {
        rewrite(&name, &|text| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            value.as_object_mut().unwrap().remove("parser").unwrap();
            value["format_version"] = 1.into();
            value.to_string()
        });
    }
    for (name, _) in contents(&folder.join("trajectories"), &|_| false) {
        rewrite(&format!("trajectories/{name}"), &|text| {
            let mut entries = record::read("0.jsonl", text).unwrap().entries;
            for entry in &mut entries {
                if let RecordEvent::Started(head) = &mut entry.event {
                    assert!(head.repo.take().is_some());
                }
            }
            entries.iter().map(|entry| record::write_entry(entry.seq, entry.at_ms, &entry.event)).collect()
        });
    }
}

#[test]
fn a_run_from_before_is_read_as_it_was() {
    let runs = &*RUNS;
    let whole = runs.ask(&runs.copy("run", "of-today"));
    let run = runs.copy("run", "of-before");
    make_old(&runs.gym.path(&run));
    for ((verb, code, said), (_, _, right)) in runs.ask(&run).iter().zip(&whole) {
        assert!(
            *code == 0 && said.replace("of-before", "RUN") == right.replace("of-today", "RUN"),
            "{verb}: {said}"
        );
    }
    // What it lacks is not what was lost.
    let evidence = contents(&runs.gym.path(&run), &|name| name != "junit.xml").remove(0).0;
    fs::remove_file(runs.gym.path(&run).join(&evidence)).unwrap();
    let output = runs.gym.run(&["grade", "--run", &run, "--out", "no.jsonl"]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains(&evidence));
}

/// Answers are those of the results, whatever became of the files of predictions.
#[test]
fn a_rollout_is_evaluated_as_it_is_or_not_at_all() {
    let runs = &*RUNS;
    let run = runs.copy("untested", "cut-answers");
    let result = fs::read_dir(runs.gym.path(&run).join("results")).unwrap().flatten().next().unwrap().path();
    DAMAGES[0].1(&result);
    let output = runs.gym.run(&[
        "evaluate",
        "--instances",
        "drawn/candidates.jsonl",
        "--predictions",
        &run,
        "--out",
        "no",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    let name = result.file_name().unwrap().to_string_lossy();
    assert!(output.status.code() == Some(2) && said.contains(&*name), "{said}");
    assert!(!runs.gym.path("no").exists());
}

/// A run that was killed is read as far as it came.
#[test]
fn a_run_that_did_not_end_is_read_as_far_as_it_came() {
    let runs = &*RUNS;
    let run = runs.copy("run", "killed");
    let folder = runs.gym.path(&run);
    let journal = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let last = journal.rfind("\"kind\":\"job_finished\"").unwrap();
    let at = journal[..last].rfind('\n').unwrap() + 1;
    fs::write(folder.join("events.jsonl"), &journal[..at + 40]).unwrap();
    // The result of the job in flight may stand already; its line does not.
    for (verb, code, said) in runs.ask(&run) {
        assert!(code == 2 && said.contains("killed/results/") && said.contains("--resume"), "{verb}: {said}");
    }
    let job = journal[last..].split('"').nth(7).unwrap();
    fs::remove_file(folder.join(format!("results/{job}.json"))).unwrap();
    for file in
        ["reports.jsonl", "report.json", "failures.jsonl", "predictions.0.jsonl", "predictions.1.jsonl"]
    {
        fs::remove_file(folder.join(file)).unwrap();
    }
    let said: Value = serde_json::from_str(&runs.gym.must(&["metrics", &run, "--json"])).unwrap();
    assert_eq!(said["attempts"], 5, "{said}");
    assert_eq!(said["resolve_rate"]["attempts"], 5, "what was tested is known: {said}");
    runs.gym.must(&["grade", "--run", &run, "--out", "killed.jsonl"]);
    assert_eq!(rows(&runs.gym.read("killed.jsonl")).len(), 5);
}

#[test]
fn evidence_is_judged_again_wherever_the_run_lies() {
    let runs = &*RUNS;
    let verdicts = |file: &str| {
        let mut found: Vec<String> = rows(&runs.gym.read(file))
            .iter()
            .map(|row| format!("{} {}", row["instance_id"], row["resolved"]))
            .collect();
        found.sort();
        found
    };
    let right = verdicts("gold/reports.jsonl");
    assert_eq!(right.iter().filter(|row| row.ends_with("true")).count(), 3, "{right:?}");
    // From another folder, by its whole path.
    let (run, out) = (runs.gym.path("gold"), runs.gym.path("again.jsonl"));
    let words = ["grade", "--run", run.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let elsewhere = runs.gym.command(&words).current_dir("/").output().unwrap();
    assert!(elsewhere.status.success(), "{}", String::from_utf8_lossy(&elsewhere.stderr));
    assert_eq!(verdicts("again.jsonl"), right);
    // Moved to where nothing else of the first place is.
    let far = tempfile::tempdir().unwrap();
    copy(&run, &far.path().join("moved"));
    let words = ["grade", "--run", "moved", "--out", "again.jsonl"];
    let moved = runs.gym.command(&words).current_dir(far.path()).output().unwrap();
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    // A run from before runs kept their instances.
    let old = runs.copy("gold", "deep/old");
    fs::remove_file(runs.gym.path(&old).join("instances.jsonl")).unwrap();
    let head = runs.gym.path(&old).join("run.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&head).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("instances");
    fs::write(&head, value.to_string()).unwrap();
    let old = runs.gym.path(&old);
    let words = ["grade", "--run", old.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let elsewhere = runs.gym.command(&words).current_dir("/").output().unwrap();
    assert!(elsewhere.status.success(), "{}", String::from_utf8_lossy(&elsewhere.stderr));
    assert_eq!(verdicts("again.jsonl"), right);
}

#[test]
fn evidence_names_its_parser() {
    let runs = &*RUNS;
    let gym = &runs.gym;
    // Rows of others name no parser, and their repository none either: the image does.
    let bare: String = rows(&gym.read("drawn/candidates.jsonl"))
        .into_iter()
        .map(|mut row| {
            row.as_object_mut().unwrap().remove("log_parser");
            row["repo"] = "nobody/nothing".into();
            format!("{row}\n")
        })
        .collect();
    gym.write("bare.jsonl", &bare);
    gym.must(&["evaluate", "--instances", "bare.jsonl", "--predictions", "gold", "--out", "bare"]);
    gym.must(&["grade", "--run", "bare", "--out", "bare-again.jsonl"]);
    let resolved = |file: &str| rows(&gym.read(file)).iter().filter(|row| row["resolved"] == true).count();
    assert_eq!((resolved("bare/reports.jsonl"), resolved("bare-again.jsonl")), (3, 3));
    let files = contents(&gym.path("bare/evaluations"), &|name| name != "evidence.json");
    for (name, bytes) in files {
        let evidence: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(evidence["format_version"], 2, "{name}");
        assert!(evidence["parser"].is_string() && evidence["semantics"] == "v5", "{name}: {evidence}");
    }
}

#[test]
fn the_repository_of_an_attempt_is_in_its_files() {
    let runs = &*RUNS;
    let gym = &runs.gym;
    // Ids that tell nothing of the repository: all are of one.
    let one: String = rows(&gym.read("drawn/candidates.jsonl"))
        .into_iter()
        .enumerate()
        .map(|(n, mut row)| {
            row["instance_id"] = format!("task{n}__v-{n}").into();
            row["repo"] = "one/repository".into();
            format!("{row}\n")
        })
        .collect();
    gym.write("one.jsonl", &one);
    let from = ["rollout", "--instances", "one.jsonl", "--scaffold", "gold", "--evaluate", "--out", "one"];
    gym.must(&from);
    let record = contents(&gym.path("one/trajectories"), &|_| false).remove(0).1;
    assert!(String::from_utf8_lossy(&record).contains("\"repo\":\"one/repository\""));
    let curate = ["curate", "one", "--model", "tokenizer", "--calls", "text", "--held-out", "0.5"];
    let refused = gym.run(&[&curate[..], &["--split-by", "repo", "--out", "split"]].concat());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("all rows are of one repo"), "{said}");
    gym.must(&["export", "one", "--calls", "text", "--out", "one-rows.jsonl"]);
    assert!(rows(&gym.read("one-rows.jsonl")).iter().all(|row| row["repo"] == "one/repository"));
}
