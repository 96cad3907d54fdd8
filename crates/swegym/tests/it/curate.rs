//! Rejection sampling over the command line: evaluated attempts become token
//! files and conversations, with a card that accounts for each.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Value, json};
use swegym_train::token_file::{self, TokenFileError};
use swegym_train::tokens::TokenRow;

use crate::common::base::lasting;
use crate::common::{Gym, rows};

/// Attempts of a noisy teacher, and a tokenizer of what it says.
static TAUGHT: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting().founded();
    gym.must(&["micro", "--count", "9", "--levels", "1", "--out", "drawn"]);
    let flags = ["--instances", "drawn/candidates.jsonl", "--scaffold", "noisy-expert", "--attempts", "4"];
    gym.must(&[&["rollout", "--evaluate", "--out", "teacher"][..], &flags].concat());
    gym.must(&["export", "teacher", "--calls", "text", "--out", "teacher.jsonl"]);
    let text = |row: &Value| row["messages"].as_array().unwrap().clone();
    let lines = rows(&gym.read("teacher.jsonl"));
    let said = lines.iter().take(6).flat_map(text).map(|m| json!({"text": m["content"]}).to_string() + "\n");
    gym.write("text.jsonl", &said.collect::<String>());
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "600", "--out", "tokenizer"]);
    gym
});

fn taught() -> Gym {
    Gym::new().like(&TAUGHT)
}

fn tokens(gym: &Gym, file: &str) -> Vec<TokenRow> {
    let mut found = Vec::new();
    token_file::read(&gym.path(file), |row| {
        found.push(row);
        Ok::<(), TokenFileError>(())
    })
    .unwrap();
    found
}

#[test]
fn attempts_become_data_and_each_is_accounted_for() {
    let gym = taught();
    let reports = rows(&gym.read("teacher/reports.jsonl"));
    let attempts = reports.len() as u64;
    let resolved = |id: &str, attempt: u32| {
        reports.iter().any(|r| r["instance_id"] == id && r["attempt"] == attempt && r["resolved"] == true)
    };
    let curate = ["curate", "teacher", "--model", "tokenizer", "--calls", "text"];
    let flags =
        ["--cap", "2", "--held-out", "0.3", "--ladder", "0.5,1", "--skip-turns", "errors", "--out", "data"];
    gym.must(&[&curate[..], &flags].concat());
    let (train, held_out) = (tokens(&gym, "data/train.parquet"), tokens(&gym, "data/held_out.parquet"));
    let all: Vec<&TokenRow> = train.iter().chain(&held_out).collect();
    assert!(all.iter().all(|row| resolved(&row.instance_id, row.attempt) && row.learnt() > 0));
    assert!(all.iter().all(|row| row.repo.as_deref().unwrap().starts_with("micro/")));
    let ids =
        |rows: &[TokenRow]| -> HashSet<String> { rows.iter().map(|row| row.instance_id.clone()).collect() };
    assert!(!held_out.is_empty() && ids(&train).is_disjoint(&ids(&held_out)));
    for id in ids(&train) {
        assert!(train.iter().filter(|row| row.instance_id == id).count() <= 2);
    }
    let half = tokens(&gym, "data/train-50.parquet");
    assert!(half.len() == train.len().div_ceil(2) && half.iter().all(|row| train.contains(row)));
    assert_eq!(tokens(&gym, "data/train-100.parquet"), train);
    let card: Value = serde_json::from_str(&gym.read("data/card.json")).unwrap();
    let left_out: u64 = card["left_out"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!((card["attempts"].as_u64(), card["kept"].as_u64()), (Some(attempts), Some(all.len() as u64)));
    assert_eq!(left_out + all.len() as u64, attempts, "{card}");
    assert_eq!(rows(&gym.read("data/dropped.jsonl")).len() as u64, left_out);
    assert!(gym.read("data/card.md").contains("| unresolved |"));

    // Pairs for a verifier, within instances.
    gym.must(&[&curate[..], &["--verifier", "--pairs", "1", "--out", "judged"]].concat());
    let judged = rows(&gym.read("judged/train.jsonl"));
    let by = |id: &Value, outcome: bool| {
        judged.iter().filter(|row| row["instance_id"] == *id && row["resolved"] == outcome).count()
    };
    assert!(!judged.is_empty());
    for row in &judged {
        assert_eq!((by(&row["instance_id"], true), by(&row["instance_id"], false)), (1, 1), "{row}");
    }

    // The data trains.
    let source = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer", "--out", "base"];
    gym.must(&[&source[..], &["--width", "32", "--layers", "1", "--context", "64", "--steps", "1"]].concat());
    let sft = ["train", "sft", "--model", "base", "--data", "data/train.parquet", "--out", "policy"];
    gym.must(&[&sft[..], &["--context", "8192", "--steps", "1", "--batch", "1"]].concat());

    let refused = |arguments: &[&str], words: &str| {
        let output = gym.run(&[&curate[..], &["--out", "no"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains("hint: ") || text.contains("[possible values: ");
        assert!(!output.status.success() && text.contains(words) && told, "{text}");
    };
    refused(&["--band", "0.99,1"], "attempts is left: ");
    refused(&["--rank", "luck"], "invalid value 'luck' for '--rank");
    refused(&["--rank", "score"], "--rank score needs scores");
    refused(&["--keep", "everything"], "invalid value 'everything' for '--keep");
    refused(&["teacher"], "`teacher` is named twice");
    gym.must(&[
        "rollout",
        "--instances",
        "drawn/candidates.jsonl",
        "--scaffold",
        "gold",
        "--out",
        "untested",
    ]);
    let output = gym.run(&["curate", "untested", "--model", "tokenizer", "--calls", "text", "--out", "no"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("not_tested") && text.contains("hint: evaluate the runs first"), "{text}");
    // Two runs in the parts that are asked for, and what was left out for it.
    let mixed = [&curate[..], &["untested", "--outcome", "any", "--keep", "loops,empty,limits"]].concat();
    gym.must(&[&mixed[..], &["--shares", "1,1", "--out", "mixed"]].concat());
    let card: Value = serde_json::from_str(&gym.read("mixed/card.json")).unwrap();
    let sets = card["by"]["set"].as_object().unwrap();
    assert_eq!((sets.len(), &sets["teacher"]), (2, &sets["untested"]), "{card}");
    assert!(card["left_out"]["set_share"].as_u64().unwrap() > 0);
    refused(&["untested", "--shares", "1"], "1 shares do not fit 2 runs");
    // The same names in another world are other instances.
    gym.must(&["micro", "--count", "9", "--levels", "2", "--out", "other"]);
    let gold =
        ["rollout", "--scaffold", "gold", "--instances", "other/candidates.jsonl", "--out", "elsewhere"];
    gym.must(&gold);
    refused(&["elsewhere"], "the runs are of different datasets");
}

#[test]
fn attempts_are_scored_and_the_best_are_chosen() {
    let gym = taught();
    let source = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer", "--out", "base"];
    gym.must(&[&source[..], &["--width", "32", "--layers", "1", "--context", "64", "--steps", "1"]].concat());
    gym.must(&["export", "teacher", "--calls", "text", "--out", "attempts.jsonl"]);
    let learn = ["train", "verifier", "--model", "base", "--data", "attempts.jsonl", "--out", "judge"];
    let course =
        ["--shown", "patch", "--context", "600", "--overlong", "cut", "--epochs", "1", "--batch", "4"];
    let learnt = gym.run(&[&learn[..], &course].concat());
    let said = String::from_utf8(learnt.stderr).unwrap();
    assert!(learnt.status.success() && said.contains("warning: too few attempts to learn"), "{said}");
    assert!(said.contains("instances of 50 or more"), "{said}");
    gym.must(&["score", "teacher", "--verifier", "judge", "--out", "scores.jsonl"]);
    let reports = rows(&gym.read("teacher/reports.jsonl"));
    let scores = rows(&gym.read("scores.jsonl"));
    assert_eq!(scores.len(), reports.len());
    assert!(scores.iter().all(|row| (0.0..=1.0).contains(&row["score"].as_f64().unwrap())));

    // Scores that know the truth: Best@K is Pass@K, and what is handed in is resolved.
    let truth = reports.iter().map(|report| {
        let score = u8::from(report["resolved"] == true);
        json!({"instance_id": report["instance_id"], "attempt": report["attempt"], "score": score})
            .to_string()
            + "\n"
    });
    gym.write("truth.jsonl", &truth.collect::<String>());
    let told = gym.must(&["select", "teacher", "--scores", "truth.jsonl", "--out", "chosen", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    for at in told["ways"]["verifier"].as_array().unwrap() {
        assert!(
            (at["best"]["mean"].as_f64().unwrap() - at["pass"]["mean"].as_f64().unwrap()).abs() < 1e-9,
            "{at}"
        );
    }
    assert_eq!((&told["auc"], &told["auc_within"]), (&json!(1.0), &json!(1.0)));
    // So few tell little, however well it looks.
    let few = told["warnings"].as_array().unwrap();
    assert!(few.len() == 1 && few[0].as_str().unwrap().contains("instances of 30 or more"), "{few:?}");
    // Beside a verifier that is always wrong, each for itself: the mean of the two. Together they know nothing.
    let lies = reports.iter().map(|report| {
        let score = u8::from(report["resolved"] != true);
        json!({"instance_id": report["instance_id"], "attempt": report["attempt"], "score": score})
            .to_string()
            + "\n"
    });
    gym.write("lies.jsonl", &lies.collect::<String>());
    let both = ["select", "teacher", "--scores", "truth.jsonl", "--scores", "lies.jsonl", "--json", "--out"];
    let apart = gym.must(&[&both[..], &["apart", "--apart"]].concat());
    let apart: Value = serde_json::from_str(&apart).unwrap();
    let wrong = gym.must(&["select", "teacher", "--scores", "lies.jsonl", "--json", "--out", "wrong"]);
    let wrong: Value = serde_json::from_str(&wrong).unwrap();
    let doubts = wrong["warnings"].to_string();
    assert!(doubts.contains("AUC 0.00 is below chance"), "{doubts}");
    let said = gym.run(&["select", "teacher", "--scores", "lies.jsonl", "--out", "again"]).stderr;
    assert!(String::from_utf8(said).unwrap().contains("warning: AUC 0.00 is below chance"));
    let best = |of: &Value, k: usize| of["ways"]["verifier"][k]["best"]["mean"].as_f64().unwrap();
    for k in 0..4 {
        assert!((best(&apart, k) - (best(&told, k) + best(&wrong, k)) / 2.0).abs() < 1e-9, "{k}");
    }
    assert_eq!((&apart["judges"], &apart["auc"]), (&json!(2), &json!(0.5)));
    assert_eq!(gym.read("apart/predictions.jsonl"), gym.read("chosen/predictions.jsonl"));
    let mean: Value = serde_json::from_str(&gym.must(&[&both[..], &["mean"]].concat())).unwrap();
    assert_eq!((&mean["judges"], &mean["auc"]), (&json!(1), &json!(0.5)));
    let one = &told["ways"]["random"][0]["best"]["mean"];
    assert!(told["ways"]["random"].as_array().unwrap().iter().all(|at| at["best"]["mean"] == *one));
    gym.must(&[
        "evaluate",
        "--instances",
        "drawn/candidates.jsonl",
        "--predictions",
        "chosen/predictions.jsonl",
        "--out",
        "again",
    ]);
    let again = rows(&gym.read("again/reports.jsonl"));
    let resolved = again.iter().filter(|report| report["resolved"] == true).count() as f64;
    let last = told["ways"]["verifier"].as_array().unwrap().last().unwrap();
    assert!(
        (resolved / again.len() as f64 - last["best"]["mean"].as_f64().unwrap()).abs() < 1e-9,
        "{again:?}"
    );
    let page = gym.read("chosen/report.html");
    assert!(page.contains("any (Pass@K)") && page.contains("<polyline"), "{page}");
    let shown = gym.must(&["report", "chosen"]);
    assert!(shown.contains("Best@K verifier") && shown.contains("Reliability"), "{shown}");
    assert_eq!(gym.read("chosen/report.html"), page);
    gym.must(&["report", "chosen", "wrong", "teacher"]);
    assert!(gym.read("chosen/side-by-side.html").contains("wrong: Best@K"));

    let refused = |arguments: &[&str], words: &str| {
        let output = gym.run(&[&["select", "teacher", "--out", "no"][..], arguments].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = text.contains("hint: ") || text.contains("[possible values: ");
        assert!(!output.status.success() && text.contains(words) && told, "{text}");
    };
    refused(&[], "no attempt has a score");
    refused(&["--by", "majority", "--k", "9"], "no instance has 9 tested attempts; the most is 4");
    refused(&["--by", "luck"], "invalid value 'luck' for '--by");
    refused(&["--apart"], "0 files of scores, 0 to calibrate by");
    let output = gym.run(&["score", "teacher", "--verifier", "base", "--out", "no.jsonl"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("`base` is no verifier"), "{text}");
    // A score that is missing comes last, and is said.
    let partial: String = gym.read("truth.jsonl").lines().skip(1).map(|line| format!("{line}\n")).collect();
    let stranger = "{\"instance_id\": \"of-another-run\", \"attempt\": 7, \"score\": 0.5}\n";
    gym.write("partial.jsonl", &(partial + stranger));
    let output = gym.run(&["select", "teacher", "--scores", "partial.jsonl", "--out", "partly"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success()
            && text.contains("1 of 32 attempts have no score: they come after all others")
            && text
                .contains("1 scores are of attempts that the run does not have: `of-another-run`, attempt 7"),
        "{text}"
    );
}

#[test]
fn an_answer_of_every_instance_is_handed_in_whatever_the_figures_need() {
    let gym = taught();
    let reports = rows(&gym.read("teacher/reports.jsonl"));
    let ids: std::collections::BTreeSet<&str> =
        reports.iter().map(|report| report["instance_id"].as_str().unwrap()).collect();
    let (first, second) = (*ids.iter().next().unwrap(), *ids.iter().nth(1).unwrap());
    // Of one instance a single attempt is tested, of another none.
    let tested = |report: &&Value| {
        report["instance_id"] != second && (report["instance_id"] != first || report["attempt"] == 2)
    };
    let some: String = reports.iter().filter(tested).map(|report| format!("{report}\n")).collect();
    gym.write("partly/reports.jsonl", &some);
    let last = |report: &Value| {
        let score = report["attempt"].as_f64().unwrap() / 4.0;
        json!({"instance_id": report["instance_id"], "attempt": report["attempt"], "score": score})
    };
    gym.write("last.jsonl", &reports.iter().map(|report| format!("{}\n", last(report))).collect::<String>());
    let select = |out: &str, flags: &[&str]| -> (Value, String, Vec<Value>) {
        let from = ["select", "teacher", "--scores", "last.jsonl", "--json", "--out", out];
        let output = gym.run(&[&from[..], flags].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let told = serde_json::from_slice(&output.stdout).unwrap();
        (told, said, rows(&gym.read(&format!("{out}/predictions.jsonl"))))
    };
    let patch = |id: &str, attempt: u64| -> Value {
        let all = rows(&gym.read(&format!("teacher/predictions.{attempt}.jsonl")));
        all.into_iter().find(|row| row["instance_id"] == id).unwrap()["model_patch"].clone()
    };
    let ks = |told: &Value| told["ways"]["verifier"].as_array().unwrap().len();
    let (told, said, handed_in) = select("all", &["--evaluation", "partly"]);
    assert_eq!(handed_in.len(), ids.len(), "{said}");
    for row in &handed_in {
        let id = row["instance_id"].as_str().unwrap();
        assert_eq!(row["model_patch"], patch(id, 3), "{id}: the attempt of the highest score");
    }
    // K ends where the instance of the fewest attempts ends, and what has none is named.
    assert_eq!((ks(&told), &told["left_out"]), (1, &json!([second])), "{told}");
    assert!(
        told["instances"] == ids.len() - 1 && said.contains(second) && said.contains("K goes up to 1"),
        "{said}"
    );
    // Another K is of fewer instances, which are named; the answers are still all there.
    let (told, said, handed_in) = select("three", &["--evaluation", "partly", "--k", "3"]);
    assert_eq!((ks(&told), &told["left_out"]), (3, &json!([first, second])), "{told}");
    assert!(said.contains(first) && said.contains(second), "{said}");
    assert_eq!(handed_in.len(), ids.len());
    for row in &handed_in {
        let id = row["instance_id"].as_str().unwrap();
        assert_eq!(row["model_patch"], patch(id, 2), "{id}: the best of the first three");
    }
    // Where nobody tested anything, there is still something to hand in.
    let again =
        ["rollout", "--instances", "drawn/candidates.jsonl", "--scaffold", "noisy-expert", "--attempts", "4"];
    gym.must(&[&again[..], &["--out", "untested-run"]].concat());
    let words = ["select", "untested-run", "--scores", "last.jsonl", "--json", "--out", "untested"];
    let output = gym.run(&words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let handed_in = rows(&gym.read("untested/predictions.jsonl"));
    // An evaluation that lost its verdicts is no evaluation of nothing.
    std::fs::remove_file(gym.path("teacher/reports.jsonl")).unwrap();
    let output = gym.run(&["select", "teacher", "--scores", "last.jsonl", "--out", "no"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("teacher/reports.jsonl"), "{output:?}");
    assert_eq!((ks(&told), handed_in.len(), told["instances"].as_u64()), (0, ids.len(), Some(0)), "{told}");
    assert!(said.contains("no attempt is tested"), "{said}");
    let output = gym.run(&[
        "select",
        "untested-run",
        "--scores",
        "last.jsonl",
        "--evaluation",
        "drawn",
        "--out",
        "no",
    ]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("`drawn` has no verdict"), "{output:?}");
}
