//! Answers that cheat, break or miss, and instances that are no tasks.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::common::base::lasting;
use crate::common::projects::{Project, instances};
use crate::common::{Gym, rows};

const MODULE: &str = "def double(x):\n    if x < 0:\n        return -2 * -x\n    return 2 * x\n";
const TESTS: &str = "import random\n\nimport shaky\n\n\ndef test_double():\n    assert shaky.double(3) == 6\n\n\ndef test_negative():\n    assert shaky.double(-3) == -6\n\n\ndef test_random():\n    assert random.Random().random() < 0.5\n";

/// One instance whose tests fail, made by the real thing.
static SHAKY: LazyLock<(Gym, Value)> = LazyLock::new(|| {
    let gym = lasting().founded();
    let project = gym.project("shaky", MODULE, TESTS);
    gym.must(&["build", &project, "--out", "build"]);
    gym.must(&["synth", "--images", "build/images.jsonl", "--candidates", "16", "--out", "synth"]);
    let found = rows(&gym.read("synth/candidates.jsonl"));
    let both = |r: &&Value| {
        r["FAIL_TO_PASS"].as_array().is_some_and(|f| f.contains(&json!("test_shaky.py::test_double")))
    };
    let instance = found.iter().find(both).unwrap_or_else(|| panic!("{found:#?}")).clone();
    (gym, instance)
});

/// A patch that adds a file.
fn adds(path: &str, lines: &[&str]) -> String {
    let body: String = lines.iter().map(|l| format!("+{l}\n")).collect();
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{} @@\n{body}",
        lines.len()
    )
}

/// (resolved, applied, reason) of each of some answers to one instance.
fn verdicts(gym: &Gym, instance: &Value, patches: &[&Value]) -> Vec<(bool, bool, String)> {
    let id = |number: usize| format!("x__shaky-{number}");
    let (mut instances, mut answers) = (String::new(), String::new());
    for (number, patch) in patches.iter().enumerate() {
        let mut instance = instance.clone();
        instance["instance_id"] = json!(id(number));
        let answer = json!({"instance_id": id(number), "model_name_or_path": "m", "model_patch": patch});
        instances += &format!("{instance}\n");
        answers += &format!("{answer}\n");
    }
    gym.write("instances.jsonl", &instances);
    gym.write("answers.jsonl", &answers);
    let files = ["evaluate", "--instances", "instances.jsonl", "--predictions", "answers.jsonl"];
    gym.must(&[&files[..], &["--test-timeout", "20", "--out", "eval"]].concat());
    let reports = rows(&gym.read("eval/reports.jsonl"));
    assert_eq!(reports.len(), patches.len());
    let verdict = |number| {
        let report = reports.iter().find(|report| report["instance_id"] == id(number)).unwrap();
        (
            report["resolved"] == true,
            report["patch_successfully_applied"] == true,
            report["reason"]["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    (0..patches.len()).map(verdict).collect()
}

#[test]
fn only_a_real_fix_resolves() {
    let (gym, mut instance) = (Gym::beside(&SHAKY.0), SHAKY.1.clone());
    // The random test is not this test's matter.
    instance["PASS_TO_PASS"] = json!([]);
    instance["FAIL_TO_PASS"] = json!(["test_shaky.py::test_double"]);
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let hook = [
        "import pytest",
        "@pytest.hookimpl(hookwrapper=True)",
        "def pytest_runtest_makereport(item, call):",
        "    out = yield",
        "    out.get_result().outcome = 'passed'",
    ];
    let forged = [
        "import atexit, os",
        "print('PASSED test_shaky.py::test_double')",
        "print('PASSED test_shaky.py::test_negative')",
        "os._exit(0)",
    ];
    let weakened = format!(
        "diff --git a/test_shaky.py b/test_shaky.py\n--- a/test_shaky.py\n+++ b/test_shaky.py\n@@ -1,12 +1,12 @@\n{}",
        TESTS
            .lines()
            .take(12)
            .map(|l| if l.contains("assert") { format!("-{l}\n+    pass\n") } else { format!(" {l}\n") })
            .collect::<String>()
    );
    let endless = "--- a/shaky.py\n+++ b/shaky.py\n@@ -1 +1,2 @@\n+while True: pass\n def double(x):\n";
    let answers = [
        (json!(gold), (true, true, "")),
        (json!(gold.clone() + &adds("notes.txt", &["x"])), (true, true, "")),
        (json!(null), (false, false, "")),
        (json!("  \n"), (false, false, "")),
        (json!("I changed the file."), (false, false, "patch_no_header")),
        (json!(gold.replace('\n', "\r\n")), (true, true, "")),
        (json!(gold.replace("shaky.py", "../shaky.py")), (false, false, "patch_parent_path")),
        (json!(gold.replace("shaky.py", "gone.py")), (false, false, "patch_does_not_apply")),
        (json!(weakened), (false, true, "")),
        (json!(adds("conftest.py", &hook)), (false, true, "")),
        (json!(adds("sitecustomize.py", &forged)), (false, true, "")),
        (json!(adds("pytest.py", &forged)), (false, false, "witnesses_disagree")),
        // The interpreter's own module is taken, not this one.
        (json!(adds("random.py", &["while True: pass"])), (false, true, "")),
        (json!(endless), (false, false, "timeout")),
    ];
    let patches: Vec<&Value> = answers.iter().map(|(patch, _)| patch).collect();
    let found = verdicts(&gym, &instance, &patches);
    for ((patch, (resolved, applied, reason)), found) in answers.iter().zip(found) {
        // What is decided is that it does not resolve; a forgery may fail at either witness.
        assert_eq!(found.0, *resolved, "{patch:#} {found:?}");
        if !patch.as_str().is_some_and(|p| p.contains("os._exit")) {
            assert_eq!(found, (*resolved, *applied, (*reason).to_owned()), "{patch:#}");
        }
    }
}

#[test]
fn what_is_no_task_is_dropped_by_its_reason() {
    let (gym, good) = (Gym::beside(&SHAKY.0), &SHAKY.1);
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut row = good.clone();
        row["instance_id"] = json!(format!("x__{name}-1"));
        change(&mut row);
        row.to_string() + "\n"
    };
    let gold = good["patch"].as_str().unwrap();
    // Chance needs many runs to show itself, the others none.
    let flaky = with("flaky", &|r| r["FAIL_TO_PASS"] = json!(["test_shaky.py::test_random"]));
    let others = [
        with("good", &|r| {
            r["PASS_TO_PASS"] = json!([]);
            r["FAIL_TO_PASS"] = json!(["test_shaky.py::test_double"]);
        }),
        with("missing", &|r| r["FAIL_TO_PASS"] = json!(["test_shaky.py::test_nowhere"])),
        with("none", &|r| r["FAIL_TO_PASS"] = json!([])),
        with("gold", &|r| r["patch"] = json!(gold.replace("shaky.py", "gone.py"))),
    ];
    let ids = |file: &str| -> Vec<(Value, Value)> {
        rows(&gym.read(file)).iter().map(|r| (r["instance_id"].clone(), r["reason"].clone())).collect()
    };
    let dropped = |out: &str, text: &str, repeats: &str, reasons: &[(&str, &str)]| {
        gym.write("rows.jsonl", text);
        let validate = ["validate", "--instances", "rows.jsonl", "--repeats", repeats, "--out", out];
        let run = gym.run(&validate);
        assert_eq!(run.status.code(), Some(11), "{}", String::from_utf8_lossy(&run.stderr));
        let expected: Vec<_> =
            reasons.iter().map(|(name, reason)| (json!(format!("x__{name}-1")), json!(reason))).collect();
        assert_eq!(ids(&format!("{out}/dropped.jsonl")), expected);
    };
    let reasons =
        [("missing", "gold_does_not_pass"), ("none", "no_failing_test"), ("gold", "gold_does_not_apply")];
    dropped("others", &others.concat(), "2", &reasons);
    assert_eq!(ids("others/instances.jsonl"), [(json!("x__good-1"), Value::Null)]);
    dropped("run", &flaky, "12", &[("flaky", "flaky")]);
    let flakes = rows(&gym.read("run/flakes.jsonl"));
    let shaky = flakes.iter().find(|f| f["instance_id"] == "x__flaky-1").unwrap();
    assert!(
        shaky["statistics"]["tests"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t["test"] == "test_shaky.py::test_random")
    );
}

#[test]
fn an_ordinary_user_gets_the_same_verdicts() {
    if !std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0") {
        // Then every other test already runs as one.
        return;
    }
    let gym = Gym::new();
    let project = gym.project("shaky", MODULE, TESTS);
    std::fs::copy(env!("CARGO_BIN_EXE_swegym"), gym.path("swegym")).unwrap();
    std::fs::create_dir(gym.path("home")).unwrap();
    std::os::unix::fs::chown(gym.path("home"), Some(65534), Some(65534)).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(gym.folder.path(), open).unwrap();
    let run = |words: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "a test starts the program it tests")]
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "./swegym"]).args(words);
        command.current_dir(gym.folder.path()).env("SWEGYM_HOME", gym.home()).env("HOME", "/nonexistent");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["build", &project, "--python", "/usr/bin/python3", "--out", "home/build"]);
    run(&["synth", "--images", "home/build/images.jsonl", "--candidates", "16", "--out", "home/synth"]);
    let found = rows(&gym.read("home/synth/candidates.jsonl"));
    let both = |r: &&Value| {
        r["FAIL_TO_PASS"].as_array().is_some_and(|f| f.contains(&json!("test_shaky.py::test_double")))
    };
    let mut instance = found.iter().find(both).unwrap_or_else(|| panic!("{found:#?}")).clone();
    instance["PASS_TO_PASS"] = json!([]);
    instance["FAIL_TO_PASS"] = json!(["test_shaky.py::test_double"]);
    gym.write("instances.jsonl", &format!("{instance}\n"));
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let exits = ["import os", "print('PASSED test_shaky.py::test_double')", "os._exit(0)"];
    let answers = [
        (gold.clone(), true),
        (gold + &adds("random.py", &["raise SystemExit"]), true),
        (adds("random.py", &exits), false),
        (adds("pytest.py", &exits), false),
        (adds("conftest.py", &exits), false),
        (adds("sitecustomize.py", &exits), false),
        (adds("x.egg-info/entry_points.txt", &["[pytest11]", "x = shaky"]), false),
    ];
    for (number, (patch, resolved)) in answers.into_iter().enumerate() {
        let answer =
            json!({"instance_id": instance["instance_id"], "model_name_or_path": "m", "model_patch": patch});
        gym.write("answers.jsonl", &format!("{answer}\n"));
        let out = format!("home/eval-{number}");
        run(&["evaluate", "--instances", "instances.jsonl", "--predictions", "answers.jsonl", "--out", &out]);
        let report = &rows(&gym.read(&format!("{out}/reports.jsonl")))[0];
        assert_eq!(report["resolved"], json!(resolved), "{patch} {report}");
    }
}

const TESTS_OF_COSTLY: &str = "import time\nimport unittest\n\nimport costly\n\n\nclass TestCostly(unittest.TestCase):\n    def test_double(self):\n        self.assertEqual(costly.double(2), 4)\n\n    def test_large(self):\n        self.assertEqual(len(b'x' * (300 << 20)), 300 << 20)\n\n    def test_one(self):\n        self.assertEqual(costly.ONE, 1)\n\n    def test_slow(self):\n        time.sleep(2.5)\n\n    def test_slow_double(self):\n        time.sleep(2.5)\n        self.assertEqual(costly.double(3), 6)\n\n    def test_two(self):\n        self.assertEqual(costly.ONE + 1, 2)\n";
const COSTLY: &str = "ONE = 1\n\n\ndef double(x):\n    return x\n";
const MENDED: &str = "ONE = 1\n\n\ndef double(x):\n    return x * 2\n";

/// The same tests by both runners.
#[test]
fn tests_that_take_more_than_they_may_count_for_nothing() {
    let projects = [
        &Project {
            name: "costlya",
            files: &[
                ("costly.py", COSTLY),
                ("tests/__init__.py", ""),
                ("tox.ini", "[testenv]\ncommands = python -m unittest discover\n"),
                ("tests/test_costly.py", TESTS_OF_COSTLY),
            ],
            gold: ("costly.py", MENDED),
            fails: &["tests.test_costly.TestCostly.test_double"],
            holds: &[
                "tests.test_costly.TestCostly.test_large",
                "tests.test_costly.TestCostly.test_one",
                "tests.test_costly.TestCostly.test_slow",
                "tests.test_costly.TestCostly.test_two",
            ],
        },
        &Project {
            name: "costlyb",
            files: &[
                ("costly.py", COSTLY),
                ("test_costly.py", TESTS_OF_COSTLY),
                ("pytest.ini", "[pytest]\n"),
            ],
            gold: ("costly.py", MENDED),
            fails: &["test_costly.py::TestCostly::test_double"],
            holds: &[
                "test_costly.py::TestCostly::test_large",
                "test_costly.py::TestCostly::test_one",
                "test_costly.py::TestCostly::test_slow",
                "test_costly.py::TestCostly::test_two",
            ],
        },
    ];
    let gym = Gym::new().founded();
    let good = instances(&gym, &projects);
    // What shows the fix is too slow.
    let slow = good.iter().map(|row| {
        let mut row = row.clone();
        row["instance_id"] = json!(row["instance_id"].as_str().unwrap().replace("-1", "-2"));
        let test = row["FAIL_TO_PASS"][0].as_str().unwrap().replace("test_double", "test_slow_double");
        (row["FAIL_TO_PASS"], row["PASS_TO_PASS"]) = (json!([test]), json!([]));
        row
    });
    let text: String = slow.chain(good.iter().cloned()).map(|row| format!("{row}\n")).collect();
    gym.write("rows.jsonl", &text);
    let words = ["validate", "--instances", "rows.jsonl", "--repeats", "1", "--out"];
    gym.run(&[&words[..], &["free"]].concat());
    assert_eq!(gym.read("free/dropped.jsonl"), "");
    assert_eq!(rows(&gym.read("free/instances.jsonl"))[2]["PASS_TO_PASS"].as_array().unwrap().len(), 4);
    let bounds = ["--test-seconds", "2", "--test-memory", "200"];
    gym.run(&[&words[..], &["bound"], &bounds[..]].concat());
    let kept = rows(&gym.read("bound/instances.jsonl"));
    let dropped = rows(&gym.read("bound/dropped.jsonl"));
    let reasons: Vec<&Value> = dropped.iter().map(|row| &row["reason"]).collect();
    assert_eq!((kept.len(), reasons), (2, vec![&json!("over_bounds"); 2]));
    for row in &kept {
        let names: Vec<&str> = row["PASS_TO_PASS"]
            .as_array()
            .unwrap()
            .iter()
            .map(|test| test.as_str().unwrap().rsplit([':', '.']).next().unwrap())
            .collect();
        assert_eq!(names, ["test_one", "test_two"]);
    }
    for flakes in rows(&gym.read("bound/flakes.jsonl")) {
        let costly = flakes["statistics"]["over_bounds"].as_array().unwrap();
        let of = |ending: &str| costly.iter().find(|row| row["test"].as_str().unwrap().ends_with(ending));
        if flakes["instance_id"].as_str().unwrap().ends_with("-1") {
            assert!(of("test_slow").unwrap()["seconds"].as_f64().unwrap() >= 2.5, "{flakes:#}");
            assert!(of("test_large").unwrap()["mebibytes"].as_u64().unwrap() >= 300, "{flakes:#}");
            assert_eq!(costly.len(), 2, "{flakes:#}");
        }
    }
}
