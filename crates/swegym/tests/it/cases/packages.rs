//! Small packages, built and tested as a user would.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::index::{Index, Offered};
use crate::common::{Gym, rows};

/// A package of this folder, copied to where it is built.
fn copy(gym: &Gym, name: &str) -> PathBuf {
    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_folder(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases/packages").join(name);
    copy_folder(&from, &gym.path(name));
    gym.path(name)
}

/// Commits a package's folder on a day, with a tag or none.
#[expect(clippy::disallowed_methods, reason = "a test makes a checkout")]
fn commit(folder: &Path, day: &str, tag: Option<&str>) {
    let mut lines =
        vec!["init -q -b main .", "add -A", "-c user.name=u -c user.email=u@example.org commit -qm first"];
    let tag = tag.map(|tag| format!("tag {tag}"));
    lines.extend(tag.as_deref());
    for line in lines {
        let mut git = std::process::Command::new("git");
        git.args(line.split(' ')).current_dir(folder);
        git.env("GIT_AUTHOR_DATE", day).env("GIT_COMMITTER_DATE", day);
        assert!(git.status().unwrap().success(), "{line}");
    }
}

fn build(gym: &Gym, name: &str) -> Value {
    gym.must(&["build", &format!("./{name}"), "--out", &format!("{name}-build")]);
    rows(&gym.read(&format!("{name}-build/images.jsonl"))).remove(0)
}

/// Plants bugs, keeps what is a task, and has gold solve it.
fn solve(gym: &Gym, name: &str) {
    let [images, synth, tasks, run] =
        ["build/images.jsonl", "synth", "tasks", "run"].map(|part| format!("{name}-{part}"));
    gym.must(&["synth", "--images", &images, "--candidates", "4", "--out", &synth]);
    gym.must(&[
        "validate",
        "--instances",
        &format!("{synth}/candidates.jsonl"),
        "--repeats",
        "1",
        "--out",
        &tasks,
    ]);
    let kept = rows(&gym.read(&format!("{tasks}/instances.jsonl")));
    assert!(!kept.is_empty(), "{name}: nothing is kept");
    let gold = |row: &Value| json!({"instance_id": row["instance_id"], "model_name_or_path": "gold", "model_patch": row["patch"]});
    let answers: String = kept.iter().map(|row| format!("{}\n", gold(row))).collect();
    let answers = gym.write(&format!("{name}-gold.jsonl"), &answers);
    let instances = format!("{tasks}/instances.jsonl");
    gym.must(&["evaluate", "--instances", &instances, "--predictions", &answers, "--out", &run]);
    let report: Value = serde_json::from_str(&gym.read(&format!("{run}/report.json"))).unwrap();
    assert_eq!(report["resolved_instances"], json!(kept.len()), "{report:#}");
}

#[test]
fn a_module_that_a_passing_test_misses_is_no_requirement() {
    let gym = Gym::new().founded();
    copy(&gym, "nomod");
    let row = build(&gym, "nomod");
    assert_eq!(row["passing_tests"].as_array().unwrap().len(), 4, "{row:#}");
    assert_eq!(row["left_out"], json!([]));
}

#[test]
fn settings_beside_the_tests_change_no_names() {
    let gym = Gym::new().founded();
    copy(&gym, "rootini");
    let row = build(&gym, "rootini");
    let expected =
        ["test_clamp", "test_total", "test_words"].map(|test| format!("tests/test_base.py::{test}"));
    assert_eq!(row["passing_tests"], json!(expected));
    solve(&gym, "rootini");
}

#[test]
fn what_is_kept_is_what_gold_resolves() {
    let gym = Gym::new().founded();
    copy(&gym, "utxs");
    build(&gym, "utxs");
    solve(&gym, "utxs");
}

#[test]
fn names_of_tests_are_whole() {
    let gym = Gym::new().founded();
    copy(&gym, "col");
    let row = build(&gym, "col");
    let expected = [
        "test_order2[up down]",
        "test_order2[up plain]",
        "test_order[order by name reversed]",
        "test_order[order by name]",
        "test_size",
    ];
    let mut found: Vec<&str> =
        row["passing_tests"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected.map(|test| format!("tests/test_books.py::{test}")));
    solve(&gym, "col");
}

#[test]
fn a_checkout_keeps_the_version_of_its_tags() {
    let gym = Gym::new().founded();
    let folder = copy(&gym, "shelf");
    commit(&folder, "2026-03-20T00:00:00Z", Some("v2.1.0"));
    let row = build(&gym, "shelf");
    assert_eq!(
        (&row["version"], row["passing_tests"].as_array().unwrap().len()),
        (&json!("2.1.0"), 8),
        "{row:#}"
    );
    assert_eq!(row["left_out"], json!([]));
}

#[test]
fn a_test_that_is_lost_on_the_way_is_named() {
    let gym = Gym::new().founded();
    copy(&gym, "shelf");
    let row = build(&gym, "shelf");
    assert_eq!(row["left_out"], json!(["tests/test_books.py::test_version"]), "{row:#}");
}

#[test]
fn a_checkout_of_older_days_is_built_as_of_its_day() {
    let gym = Gym::new().founded();
    let folder = copy(&gym, "xclick");
    commit(&folder, "2022-03-20T00:00:00Z", None);
    let row = build(&gym, "xclick");
    let from = row["requirements_from"].as_str().unwrap();
    assert!(from.ends_with("as of 2022-03-20"), "{row:#}");
    assert_eq!(
        (&row["version"], &row["passing_tests"]),
        (&json!("1.0"), &json!(["tests/test_x.py::test_f"]))
    );
}

/// Whoever asks for exactly that version gets it, and is told.
#[test]
fn a_version_that_was_yanked_is_named() {
    let files = [
        (
            "setup.py",
            "from setuptools import setup\nsetup(name='taken', version='1.0', py_modules=['taken'])\n",
        ),
        ("taken.py", "def f():\n    return 1\n"),
        ("test_taken.py", "import taken\n\n\ndef test_f():\n    assert taken.f() == 1\n"),
    ];
    let mut taken = Offered::source("taken", "1.0", &files);
    taken.fragment += "\" data-yanked=\"it eats files";
    let index = Index::serve(vec![taken]);
    let gym = Gym::new().founded();
    let mut newest = gym.command(&["build", "taken", "--out", "newest"]);
    let output = newest.env("UV_INDEX", index.url()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && words.contains("no source archive that was not yanked"), "{words}");
    let mut exact = gym.command(&["build", "taken==1.0", "--out", "exact"]);
    assert!(exact.env("UV_INDEX", index.url()).output().unwrap().status.success());
    assert_eq!(rows(&gym.read("exact/images.jsonl"))[0]["yanked"], "it eats files");
}
