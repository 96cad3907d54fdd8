//! `mine` and `gym`: a history becomes tasks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use swegym_sandbox::tool;

use crate::common::{Gym, rows};

/// The repository that `gym.sh` makes, mined.
fn mined() -> Gym {
    mined_of("gym.sh")
}

/// The same of another script.
fn mined_of(script: &str) -> Gym {
    let gym = Gym::new().founded();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(script);
    let words = [script.as_os_str(), gym.path("walk").as_os_str()].map(ToOwned::to_owned);
    tool::run("bash", words, Duration::from_secs(120)).unwrap();
    gym.must(&["mine", "walk", "--out", "raw"]);
    gym
}

fn reason_of(gym: &Gym, folder: &str, id: &str) -> Value {
    let dropped = rows(&gym.read(&format!("{folder}/dropped.jsonl")));
    dropped
        .into_iter()
        .find(|row| row["instance_id"] == id)
        .map(|row| row["reason"].clone())
        .unwrap_or_default()
}

#[test]
fn pull_requests_become_tasks_that_can_be_solved() {
    let gym = mined();
    let raw = rows(&gym.read("raw/instances.jsonl"));
    assert_eq!(raw.len(), 4);
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--repeats", "1", "--out", "gym"]);
    // Two of four are tasks.
    assert_eq!(ran.status.code(), Some(11), "{}", String::from_utf8_lossy(&ran.stderr));
    let tasks = rows(&gym.read("gym/instances.jsonl"));
    let ids: Vec<&str> = tasks.iter().map(|task| task["instance_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["small__walk-1", "small__walk-4"]);
    assert_eq!(tasks[0]["FAIL_TO_PASS"], json!(["tests/test_walk.py::test_empty_steps_are_none"]));
    assert_eq!(
        tasks[0]["PASS_TO_PASS"],
        json!(["tests/test_walk.py::test_steps", "tests/test_walk.py::test_join"])
    );
    assert_eq!(tasks[1]["FAIL_TO_PASS"], json!(["tests/test_last.py::test_last"]));
    for task in &tasks {
        // As it was mined, but for what running it took.
        let before = raw.iter().find(|row| row["instance_id"] == task["instance_id"]).unwrap();
        for field in
            ["repo", "base_commit", "patch", "test_patch", "problem_statement", "created_at", "version"]
        {
            assert_eq!(task[field], before[field], "{field}");
        }
        assert_eq!(task["version"], "1.4");
    }
    assert_eq!(reason_of(&gym, "gym", "small__walk-2"), "no_failing_test");
    assert_eq!(reason_of(&gym, "gym", "small__walk-3"), "nothing_passes");
    let recipes = rows(&gym.read("gym/prepare/recipes.jsonl"));
    // The end of the week of the commits.
    assert!(recipes.iter().all(|recipe| recipe["until"] == "2024-06-02T23:59:59Z"), "{recipes:#?}");

    // They are tasks as any other: for answers, and for agents.
    assert_eq!(gym.resolved("gold"), 2);
    assert_eq!(gym.resolved("empty"), 0);
    let teacher =
        ["rollout", "--instances", "gym/instances.jsonl", "--scaffold", "gold", "--evaluate", "--out", "run"];
    gym.must(&teacher);
    let figures: Value = serde_json::from_str(&gym.must(&["metrics", "run", "--json"])).unwrap();
    assert!(figures.to_string().contains("\"resolve_rate\""), "{figures}");
    for prediction in rows(&gym.read("run/predictions.jsonl")) {
        let task = tasks.iter().find(|task| task["instance_id"] == prediction["instance_id"]).unwrap();
        let answer = prediction["model_patch"].as_str().unwrap();
        let plain: Vec<&str> = answer.lines().filter(|line| !line.starts_with("index ")).collect();
        assert_eq!(plain.join("\n"), task["patch"].as_str().unwrap().trim_end());
    }
    gym.must(&["report", "gym"]);
}

#[test]
fn a_gym_that_was_killed_goes_on() {
    let gym = mined();
    let words = ["gym", "raw/instances.jsonl", "--repeats", "1"];
    let whole = gym.run(&[&words[..], &["--out", "whole"]].concat());
    assert_eq!(whole.status.code(), Some(11), "{whole:?}");
    let mut hits = 0;
    for attempt in 0..10 {
        let resume: &[&str] = if attempt == 0 { &[] } else { &["--resume"] };
        let mut child = gym.spawn(&[&words[..], &["--out", "killed"], resume].concat());
        std::thread::sleep(Duration::from_millis(1200 + 700 * attempt));
        child.kill().unwrap();
        hits += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(hits > 0, "every run was through before it was killed");
    let last = gym.run(&["gym", "--resume", "--out", "killed"]);
    assert_eq!(last.status.code(), Some(11), "{last:?}");
    let files = ["prepare/recipes.jsonl", "instances.jsonl", "dropped.jsonl", "lite.jsonl"];
    for file in files.into_iter().chain(["recipes/small__walk/1.4.toml"]) {
        assert_eq!(gym.read(&format!("whole/{file}")), gym.read(&format!("killed/{file}")), "{file}");
    }
    // What was through once was not done again, be it a task or none.
    let journal = rows(&gym.read("killed/prepare/events.jsonl"));
    let mut through: Vec<&str> = journal
        .iter()
        .map(|row| &row["event"])
        .filter(|event| event["kind"] == "job_finished")
        .map(|event| event["job"].as_str().unwrap())
        .collect();
    through.sort_unstable();
    assert_eq!(through, ["small__walk-1", "small__walk-2", "small__walk-3", "small__walk-4"]);
}

#[test]
fn a_repository_that_is_not_there_is_told() {
    let gym = mined();
    fs::remove_file(gym.path("raw/repositories.json")).unwrap();
    let output = gym.run(&["gym", "raw/instances.jsonl", "--out", "gym"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("small/walk") && said.contains("hint: say it: --repository small/walk=FOLDER"),
        "{said}"
    );
    let output =
        gym.run(&["gym", "raw/instances.jsonl", "--repository", "small/walk=nowhere", "--out", "gym"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("not a git repository"), "{said}");
}

#[test]
fn images_are_made_again_of_recipes_that_can_be_edited() {
    let gym = mined();
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--repeats", "1", "--out", "gym"]);
    assert_eq!(ran.status.code(), Some(11), "{}", String::from_utf8_lossy(&ran.stderr));
    // Of one version, images share all but the source and the project.
    let made = rows(&gym.read("gym/prepare/recipes.jsonl"));
    let environment = |row: &Value| {
        let layers = row["layers"].as_array().unwrap();
        layers[layers.len() - 3].clone()
    };
    assert_eq!(made.len(), 2);
    assert_eq!(environment(&made[0]), environment(&made[1]));
    let recipe = gym.read("gym/recipes/small__walk/1.4.toml");
    assert!(recipe.contains("\"pytest==") && recipe.matches("[install]").count() == 1, "{recipe}");

    let again: Value =
        serde_json::from_str(&gym.must(&["recipe", "gym", "--json", "--out", "again"])).unwrap();
    assert_eq!((&again["images"], &again["same"]), (&json!(2), &json!(2)), "{again:#}");

    // What somebody writes into it holds for the commits that were not listed as well.
    let edited = recipe.replacen("packages = [\n", "packages = [\n    \"six==1.16.0\",\n", 1);
    assert_ne!(edited, recipe);
    gym.write("edited/small__walk/1.4.toml", &edited);
    let words = ["gym", "raw/instances.jsonl", "--recipes", "edited", "--repeats", "1", "--out", "second"];
    let ran = gym.run(&words);
    assert_eq!(ran.status.code(), Some(11), "{}", String::from_utf8_lossy(&ran.stderr));
    let second = rows(&gym.read("second/instances.jsonl"));
    let first = rows(&gym.read("gym/instances.jsonl"));
    assert_eq!(second.len(), first.len());
    for (one, other) in first.iter().zip(&second) {
        assert_eq!(one["FAIL_TO_PASS"], other["FAIL_TO_PASS"]);
        assert_ne!(one["image"], other["image"]);
    }
    assert!(gym.read("second/recipes/small__walk/1.4.toml").contains("six==1.16.0"));
    let other = gym.run(&["recipe", "second", "--json", "--out", "third"]);
    assert_eq!(other.status.code(), Some(0), "{}", String::from_utf8_lossy(&other.stderr));

    // A path in a recipe would be a program of somebody else's on this machine.
    let touched = gym.path("touched");
    gym.write("evil.sh", &format!("#!/bin/sh\ntouch {}\n", touched.display()));
    let python = recipe.lines().find(|line| line.starts_with("python = ")).unwrap();
    let path = format!("python = \"{}\"", gym.path("evil.sh").display());
    gym.write("evil/small__walk/1.4.toml", &recipe.replacen(python, &path, 1));
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--recipes", "evil", "--out", "evil-gym"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.contains("is no version of Python") && !touched.exists(), "{said}");

    gym.write("broken/small__walk/1.4.toml", "repository = \"small/walk\"\nversoin = \"1.4\"\n");
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--recipes", "broken", "--out", "none"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("broken/small__walk/1.4.toml") && said.contains("line 2"), "{said}");
}

#[test]
fn what_fails_has_its_remedy_and_the_next_commit_is_taught() {
    let gym = mined_of("remedies.sh");
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--repeats", "1", "--out", "gym"]);
    assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    let made = rows(&gym.read("gym/prepare/recipes.jsonl"));
    let first = &made[0]["way"];
    assert_eq!(first["dropped"], json!(["nobody-has-this-project-of-ours"]));
    assert_eq!(first["added"], json!(["pytest-mock"]));
    let remedies = ["gone-from-the-index (nobody-has-this-project-of-ours)", "fixture-mocker (pytest-mock)"];
    assert_eq!(first["remedies"], json!(remedies));
    // It had nothing to find out.
    assert_eq!(&made[1]["way"], first);
    assert_eq!(made[1]["frozen"], made[0]["frozen"]);

    // What is no more than a title is said by what its tests show.
    let tasks = rows(&gym.read("gym/instances.jsonl"));
    let raw = rows(&gym.read("raw/instances.jsonl"));
    assert_eq!(
        (&raw[2]["statement_source"], &tasks[2]["statement_source"]),
        (&json!("title"), &json!("tests"))
    );
    assert_eq!(raw[2]["problem_statement"], "Spell some hours");
    insta::assert_snapshot!(tasks[2]["problem_statement"].as_str().unwrap());
    assert_eq!(tasks[0]["problem_statement"], raw[0]["problem_statement"]);
}

#[test]
fn what_no_file_builds_and_what_lies_elsewhere_is_tested_all_the_same() {
    let gym = mined_of("parts.sh");
    let words = ["gym", "raw/instances.jsonl", "--repeats", "1"];
    let ran = gym.run(&[&words[..], &["--out", "empty"]].concat());
    assert_eq!(ran.status.code(), Some(12), "{}", String::from_utf8_lossy(&ran.stderr));
    let failures = gym.read("empty/prepare/failures.jsonl");
    assert!(failures.contains("submodules of the commit are empty: words (small/words)"), "{failures}");
    assert!(failures.contains("--repository OWNER/NAME=FOLDER"), "{failures}");

    let ran = gym.run(&[&words[..], &["--repository", "small/words=walk-words", "--out", "gym"]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let tasks = rows(&gym.read("gym/instances.jsonl"));
    let lists: Vec<&Value> = tasks.iter().map(|task| &task["FAIL_TO_PASS"]).collect();
    let (last, count) = ("tests/test_walk.py::test_last_word", "tests/test_walk.py::test_count");
    let first = "tests/test_walk.py::test_first_word";
    assert_eq!(lists, [&json!([last]), &json!([count]), &json!([first])]);
    let kept = json!(["tests/test_walk.py::test_words", "tests/test_walk.py::test_notes"]);
    assert_eq!(tasks[0]["PASS_TO_PASS"], kept);
    // A setup.py that asks the network builds nothing here.
    let recipes = rows(&gym.read("gym/prepare/recipes.jsonl"));
    let on_path: Vec<&Value> = recipes.iter().map(|recipe| &recipe["way"]["on_path"]).collect();
    assert_eq!(on_path, [&Value::Null, &Value::Null, &json!(true)]);
    assert_eq!(recipes[2]["way"]["remedies"], json!(["folder-on-the-path"]));
    assert!(recipes[2]["does_not_install"].to_string().contains("URLError"), "{:#}", recipes[2]);
    let recipe = &recipes[0];
    assert_eq!(recipe["left_out"], json!(["tests/test_walk.py::test_data"]));
    assert!(recipe["frozen"].to_string().contains("six=="), "{recipe:#}");

    assert_eq!(gym.resolved("gold"), 3);
    assert_eq!(gym.resolved("empty"), 0);
    // The other repository is no part of an answer.
    gym.must(&["rollout", "--instances", "gym/instances.jsonl", "--scaffold", "gold", "--out", "run"]);
    for prediction in rows(&gym.read("run/predictions.jsonl")) {
        let answer = prediction["model_patch"].as_str().unwrap();
        let mut files = answer.lines().filter(|line| line.starts_with("diff "));
        assert!(files.all(|line| line.contains("walk.py") || line.contains("setup.py")), "{answer}");
    }
}

#[test]
fn partial_clones_serve_where_nothing_asks_for_what_they_lack() {
    let gym = mined_of("parts.sh");
    let rows_of = |folder: &str, name: &str| rows(&gym.read(&format!("{folder}/{name}")));
    let forget = |file: &str| {
        let words = ["-C", &gym.path("walk").to_string_lossy(), "rev-parse", file].map(str::to_owned);
        let blob = String::from_utf8(tool::run("git", words, Duration::from_secs(10)).unwrap()).unwrap();
        let (folder, name) = blob.trim().split_at(2);
        fs::remove_file(gym.path("walk/.git/objects").join(folder).join(name)).unwrap();
    };
    forget("main:docs/a [big] picture");
    let words = ["gym", "raw/instances.jsonl", "--repeats", "1", "--repository", "small/words=walk-words"];
    let ran = gym.run(&[&words[..], &["--out", "gym"]].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(rows_of("gym", "instances.jsonl").len(), 3);
    for recipe in rows_of("gym", "prepare/recipes.jsonl") {
        assert_eq!(recipe["absent_files"], json!(["docs/a [big] picture"]));
    }
    assert_eq!(gym.resolved("gold"), 3);
    assert_eq!(gym.resolved("empty"), 0);
    gym.must(&["rollout", "--instances", "gym/instances.jsonl", "--scaffold", "gold", "--out", "run"]);
    for prediction in rows_of("run", "predictions.jsonl") {
        let answer = prediction["model_patch"].as_str().unwrap();
        assert!(!answer.contains("picture"), "{answer}");
    }
    // Images are made of the same bytes again.
    gym.must(&["recipe", "gym"]);

    // One that the first fix changes, and then too many.
    let first = &rows_of("raw", "instances.jsonl")[0];
    forget(&format!("{}:walk.py", first["base_commit"].as_str().unwrap()));
    gym.run(&[&words[..], &["--out", "second"]].concat());
    assert_eq!(rows_of("second", "instances.jsonl").len(), 2);
    assert_eq!(reason_of(&gym, "second", "small__walk-1"), "no_base_commit");
    assert!(gym.read("second/prepare/failures.jsonl").contains("does not have what walk.py holds"));
    for page in 1..=3 {
        forget(&format!("main:docs/{page}.txt"));
    }
    let ran = gym.run(&[&words[..], &["--out", "none"]].concat());
    assert_eq!(ran.status.code(), Some(12), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(reason_of(&gym, "none", "small__walk-2"), "no_base_commit");
    assert!(gym.read("none/prepare/failures.jsonl").contains("clone it again without --filter"));
}

#[test]
fn a_model_may_propose_what_no_search_finds() {
    let gym = mined_of("advice.sh");
    let words = ["gym", "raw/instances.jsonl", "--repeats", "1"];
    let alone = gym.run(&[&words[..], &["--out", "alone"]].concat());
    assert_eq!(alone.status.code(), Some(12), "{}", String::from_utf8_lossy(&alone.stderr));
    assert_eq!(reason_of(&gym, "alone", "small__walk-1"), "nothing_passes");

    let proposals = [
        "You need a package.",
        "```toml\nrequirements = [\"nobody-has-this-project-of-ours\"]\n```",
        "```toml\nrequirements = [\"six==1.16.0\", \"pytest\"]\n```",
    ];
    gym.write("model.jsonl", &format!("{}\n", json!({"replies": proposals})));
    let asked = [&words[..], &["--recipe-model", "scripted:model.jsonl", "--out", "gym"]].concat();
    gym.must(&asked);
    let task = &rows(&gym.read("gym/instances.jsonl"))[0];
    assert_eq!(task["FAIL_TO_PASS"], json!(["test_walk.py::test_empty_steps"]));
    let recipe = &rows(&gym.read("gym/prepare/recipes.jsonl"))[0];
    let outcomes: Vec<&Value> =
        recipe["proposals"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["no_proposal", "nothing_passes", "tests pass"]);
    assert!(gym.read("gym/recipes/small__walk/1.0.toml").contains("six==1.16.0"));

    // What is proposed and bears nothing out is no task, and why it was none before is told.
    gym.write("model.jsonl", &format!("{}\n", json!({"replies": ["no", "no", "no"]})));
    let ran = gym.run(&[&words[..], &["--recipe-model", "scripted:model.jsonl", "--out", "none"]].concat());
    assert_eq!(ran.status.code(), Some(12), "{}", String::from_utf8_lossy(&ran.stderr));
    let failures = gym.read("none/prepare/failures.jsonl");
    assert!(failures.contains("proposals of `model`: no_proposal, no_proposal, no_proposal"), "{failures}");
}
