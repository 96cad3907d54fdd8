//! What training leaves out, exports leave out, and say so; and what a run that was cut
//! says of itself.

use serde_json::{Value, json};

use crate::common::toy::{bash, finish, gym, play};
use crate::common::{Gym, contents, rows};

/// Attempts at one instance of which one ended by itself, one at a limit, one cheated.
fn mixed() -> Gym {
    let gym = gym();
    let looks = [bash("git log --all --oneline"), finish()];
    let plays = [
        ("honest", vec![bash("ls"), finish()], &["--evaluate"][..]),
        ("cut", vec![bash("ls"), bash("ls"), finish()], &["--evaluate", "--max-steps", "1"]),
        ("cheat", looks.to_vec(), &["--evaluate"]),
        ("untested", vec![bash("ls"), finish()], &[]),
    ];
    for (name, replies, flags) in &plays {
        play(&gym, name, replies, flags);
    }
    gym
}

#[test]
fn exports_leave_out_what_training_does_and_say_so() {
    let gym = mixed();
    let export = |run: &str, more: &[&str]| {
        let output = gym.run(&[&["export", run, "--out", "rows.jsonl", "--json"][..], more].concat());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), told, String::from_utf8(output.stderr).unwrap())
    };
    let (code, told, _) = export("run-honest", &[]);
    assert_eq!((code, &told["written"], &told["masked"]), (0, &json!(1), &json!({})));
    for (run, class, why) in [("run-cut", "budget", "a limit ended"), ("run-cheat", "cheating", "cheated")] {
        let (code, told, said) = export(run, &[]);
        let message = told["error"]["message"].as_str().unwrap();
        assert!(code == 12 && message.contains(why) && said.contains("--masked"), "{run}: {said}");
        let (code, told, _) = export(run, &["--masked"]);
        assert_eq!((code, &told["written"]), (0, &json!(1)), "{told}");
        let row = &rows(&gym.read("rows.jsonl"))[0];
        assert_eq!((&row["class"], &row["mask"]), (&json!(class), &json!(true)));
        gym.write(&format!("{class}.jsonl"), &gym.read("rows.jsonl"));
    }
    // Where nothing was tested, that says nothing about an attempt.
    let (code, told, _) = export("run-untested", &[]);
    assert_eq!((code, &told["written"], &told["masked"]), (0, &json!(1), &json!({})));

    // A file of conversations for another trainer.
    export("run-honest", &[]);
    let all = gym.read("rows.jsonl") + &gym.read("budget.jsonl") + &gym.read("cheating.jsonl");
    gym.write("all.jsonl", &all);
    let text = |row: &Value| row["messages"].as_array().unwrap().clone();
    let lines = rows(&all)
        .iter()
        .flat_map(text)
        .map(|m| json!({"text": m["content"]}).to_string() + "\n")
        .collect::<String>();
    gym.write("text.jsonl", &lines);
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "500", "--out", "tokenizer"]);
    let source = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer", "--out", "base"];
    gym.must(&[&source[..], &["--width", "32", "--layers", "1", "--context", "64", "--steps", "1"]].concat());
    let trl = ["export", "all.jsonl", "--to", "trl", "--model", "base", "--json"];
    let output = gym.run(&[&trl[..], &["--out", "trl"]].concat());
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told} {said}"));
    assert_eq!((&told["rows"], &told["masked"]), (&json!(1), &json!({"budget": 1, "cheating": 1})), "{told}");
    assert!(said.contains("left out 1 that a limit ended"), "{said}");
    let told = gym.must(&[&trl[..], &["--out", "whole", "--masked"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["rows"], 3);
}

/// A run that was killed, and one that was stopped in good order.
#[test]
fn a_report_marks_a_run_that_was_cut() {
    let gym = Gym::new().founded();
    gym.must(&["micro", "--count", "3", "--levels", "1", "--out", "drawn"]);
    let from = ["--instances", "drawn/candidates.jsonl", "--scaffold", "gold", "--evaluate"];
    gym.must(&[&["rollout", "--attempts", "2", "--out", "run"][..], &from].concat());
    let report = |run: &str| {
        let value: Value = serde_json::from_str(&gym.must(&["report", run, "--json"])).unwrap();
        (value["summary"][0].clone(), gym.must(&["report", run]), gym.read(&format!("{run}/report.html")))
    };
    let (whole, table, page) = report("run");
    assert_eq!((&whole["cut"], &whole["not_done"]), (&json!(false), &json!(0)));
    assert!(!table.contains("(cut)") && !page.contains("(cut)"), "{table}");
    // The journal up to the end of the second job is what a killed run leaves.
    let journal = gym.read("run/events.jsonl");
    let lines: Vec<&str> = journal.lines().collect();
    let ends: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains("\"job_finished\"")).collect();
    let kept = lines[..=ends[1]].join("\n") + "\n";
    let stopped = lines.iter().rfind(|line| line.contains("\"run_finished\"")).unwrap();
    let stopped = stopped.replace("run_finished", "run_interrupted");
    let seq = format!("\"seq\":{}", ends[1] + 1);
    let stopped = regex::Regex::new("\"seq\":[0-9]+").unwrap().replace(&stopped, &*seq).into_owned();
    for (name, journal) in [("killed", kept.clone()), ("stopped", format!("{kept}{stopped}\n"))] {
        let done: Vec<String> = rows(&kept)
            .iter()
            .filter(|row| row.to_string().contains("job_finished"))
            .filter_map(|row| Some(row.get("job").or(row["event"].get("job"))?.as_str()?.to_owned()))
            .collect();
        assert_eq!(done.len(), 2, "{kept}");
        copy_of(&gym, name, &done);
        gym.write(&format!("{name}/events.jsonl"), &journal);
        let (row, table, page) = report(name);
        assert_eq!((&row["cut"], &row["not_done"]), (&json!(true), &json!(4)), "{name}: {row}");
        assert!(table.contains("(cut)") && table.contains("4 not done"), "{name}: {table}");
        assert!(page.contains("(cut)") && page.contains("4 not done"), "{name}");
    }
}

/// A copy of the run that has the files of some of its jobs.
fn copy_of(gym: &Gym, name: &str, jobs: &[String]) {
    for (path, bytes) in contents(&gym.path("run"), &|_| false) {
        let is_of_job =
            ["results/", "trajectories/", "evaluations/"].iter().any(|part| path.starts_with(part));
        let is_kept = jobs.iter().any(|job| {
            let (id, attempt) = job.rsplit_once('.').unwrap();
            path.contains(&format!("results/{job}.json"))
                || path.contains(&format!("{id}/{attempt}.jsonl"))
                || path.contains(&format!("{id}/{attempt}/"))
        });
        if is_of_job && !is_kept || path.starts_with("reports") || path == "report.json" {
            continue;
        }
        let place = gym.path(&format!("{name}/{path}"));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, bytes).unwrap();
    }
}
