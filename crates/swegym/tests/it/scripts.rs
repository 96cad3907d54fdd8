//! Rows that say by a script of their own how they are tested.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::common::base::lasting;
use crate::common::{Gym, rows};

const MODULE: &str = "def double(x):\n    return 2 * x\n";
const TESTS: &str = "import pair\n\n\ndef test_double():\n    assert pair.double(3) == 6\n";
/// Wrong for every number but the one that the visible test asks for.
const WRONG: &str = "def double(x):\n    return 6\n";

/// One instance, made by the real thing.
static PAIR: LazyLock<(Gym, Value)> = LazyLock::new(|| {
    let gym = lasting().founded();
    let project = gym.project("pair", MODULE, TESTS);
    gym.must(&["build", &project, "--out", "build"]);
    gym.must(&["synth", "--images", "build/images.jsonl", "--candidates", "8", "--out", "synth"]);
    let instance = rows(&gym.read("synth/candidates.jsonl")).remove(0);
    (gym, instance)
});

/// A script in SWE-bench's form that runs a line.
fn marked(line: &str) -> String {
    format!(
        "#!/bin/bash\nset -uxo pipefail\ncd /testbed\n: '>>>>> Start Test Output'\n{line}\nSTATUS=$?\n\
         : '>>>>> End Test Output'\necho \">>>>> Test Exit Code: $STATUS\"\ngit checkout HEAD -- nothing-of-this-name\n"
    )
}

/// A line that checks the module by itself and names what it found as pytest does.
fn checks(argument: i32) -> String {
    format!(
        "python -c 'import pair, sys; ok = pair.double({argument}) == 2 * {argument}; \
         print(\"PASSED\" if ok else \"FAILED\", \"by-hand::double\"); sys.exit(not ok)'"
    )
}

/// The instance, tested by a script that tells of one test.
fn with_script(script: &str, test: &str) -> Value {
    let mut instance = PAIR.1.clone();
    instance["eval_script"] = json!(script);
    instance["FAIL_TO_PASS"] = json!([test]);
    instance["PASS_TO_PASS"] = json!([]);
    instance
}

/// A patch that replaces the module by another text.
fn rewritten(text: &str) -> String {
    let gold = PAIR.1["patch"].as_str().unwrap();
    // The gold patch's lines with `-` and without sign are the broken module.
    let body = gold.split_once("@@\n").unwrap().1;
    let old: Vec<&str> = body.lines().filter(|l| !l.starts_with('+')).map(|l| &l[1..]).collect();
    let new: Vec<&str> = text.lines().collect();
    let (minus, plus): (String, String) =
        (old.iter().map(|l| format!("-{l}\n")).collect(), new.iter().map(|l| format!("+{l}\n")).collect());
    format!(
        "diff --git a/pair.py b/pair.py\n--- a/pair.py\n+++ b/pair.py\n@@ -1,{} +1,{} @@\n{minus}{plus}",
        old.len(),
        new.len()
    )
}

/// Reports of a gold, an empty and a wrong answer.
fn verdicts(gym: &Gym, instance: &Value, wrong: &str) -> Vec<(bool, String)> {
    let answers = [json!(instance["patch"]), json!(""), json!(wrong)];
    let names = ["gold", "empty", "wrong"];
    let (mut lines, mut instances) = (String::new(), String::new());
    for (name, patch) in names.iter().zip(&answers) {
        let mut row = instance.clone();
        row["instance_id"] = json!(format!("x__{name}"));
        instances += &format!("{row}\n");
        let id = &row["instance_id"];
        lines +=
            &format!("{}\n", json!({"instance_id": id, "model_name_or_path": "m", "model_patch": patch}));
    }
    gym.write("instances.jsonl", &instances);
    gym.write("answers.jsonl", &lines);
    let files = ["evaluate", "--instances", "instances.jsonl", "--predictions", "answers.jsonl"];
    gym.must(&[&files[..], &["--out", "eval"]].concat());
    let reports = rows(&gym.read("eval/reports.jsonl"));
    let verdict = |name: &str| {
        let report = reports.iter().find(|r| r["instance_id"] == format!("x__{name}")).unwrap();
        (report["resolved"] == true, report["reason"]["code"].as_str().unwrap_or_default().to_owned())
    };
    names.map(verdict).to_vec()
}

const RIGHT: [(bool, &str); 3] = [(true, ""), (false, ""), (false, "")];

fn expect(found: &[(bool, String)], expected: [(bool, &str); 3]) {
    let found: Vec<(bool, &str)> =
        found.iter().map(|(resolved, reason)| (*resolved, reason.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_rows_script_decides_and_its_log_is_read_between_the_marks() {
    let gym = Gym::beside(&PAIR.0);
    let wrong = rewritten(WRONG);
    // What stands outside the marks is nothing that the tests said.
    let script = marked(&checks(5)).replace("cd /testbed\n", "cd /testbed\necho PASSED by-hand::double\n");
    expect(&verdicts(&gym, &with_script(&script, "by-hand::double"), &wrong), RIGHT);
    // A script that marks nothing is read whole, and its status is the tests'.
    let plain = format!("cd /testbed\n{}\n", checks(5));
    let gym = Gym::beside(&PAIR.0);
    expect(&verdicts(&gym, &with_script(&plain, "by-hand::double"), &wrong), RIGHT);
}

#[test]
fn a_log_that_is_no_result_resolves_nothing() {
    let gym = Gym::beside(&PAIR.0);
    let wrong = rewritten(WRONG);
    // The script stops before its end mark.
    let cut = marked(&format!("{}; exit 0", checks(5)));
    let found = verdicts(&gym, &with_script(&cut, "by-hand::double"), &wrong);
    expect(&found, [(false, "markers_missing"), (false, "markers_missing"), (false, "markers_missing")]);
    // Tests that say nothing.
    let gym = Gym::beside(&PAIR.0);
    let found = verdicts(&gym, &with_script(&marked("true"), "by-hand::double"), &wrong);
    expect(&found, [(false, "no_test_results"), (false, "no_test_results"), (false, "no_test_results")]);
}

/// A test file that only the test patch has.
fn hidden() -> String {
    let text = "import pair\n\n\ndef test_five():\n    assert pair.double(5) == 10\n";
    let body: String = text.lines().map(|line| format!("+{line}\n")).collect();
    let head =
        "diff --git a/test_more.py b/test_more.py\nnew file mode 100644\n--- /dev/null\n+++ b/test_more.py\n";
    format!("{head}@@ -0,0 +1,5 @@\n{body}")
}

#[test]
fn hidden_tests_are_there_once_whoever_puts_them_on() {
    let pytest = "python -m pytest -rA test_more.py";
    let of_script = marked(pytest).replace(
        "cd /testbed\n",
        &format!(
            "cd /testbed\ngit checkout HEAD -- test_more.py\ngit apply -v - <<'EOF_TESTS'\n{}EOF_TESTS\n",
            hidden()
        ),
    );
    for script in [marked(pytest), of_script] {
        let gym = Gym::beside(&PAIR.0);
        let mut instance = with_script(&script, "test_more.py::test_five");
        instance["test_patch"] = json!(hidden());
        // An answer's own file of that name is not what is run.
        let own = hidden().replace("assert pair.double(5) == 10", "pass");
        let wrong = rewritten(WRONG) + &own;
        expect(&verdicts(&gym, &instance, &wrong), RIGHT);
        gym.write("one.jsonl", &format!("{instance}\n"));
        gym.must(&["validate", "--instances", "one.jsonl", "--repeats", "2", "--out", "kept"]);
        let kept = rows(&gym.read("kept/instances.jsonl"));
        assert_eq!(kept[0]["FAIL_TO_PASS"], json!(["test_more.py::test_five"]));
        assert_eq!(kept[0]["eval_script"], json!(script));
    }
}

#[test]
fn validate_marks_statements_and_keeps_their_rows() {
    let gym = Gym::beside(&PAIR.0);
    let good = "Calling double(5) gives something else than 10.";
    let states = [
        ("x__good", good, json!(null)),
        ("x__short", "Fix it.", json!(["says_nothing"])),
        (
            "x__telling",
            "Make test_five in test_more.py pass, as it did before.",
            json!(["names_test", "names_test"]),
        ),
    ];
    let mut text = String::new();
    for (id, statement, _) in &states {
        let mut row = with_script(&marked("python -m pytest -rA test_more.py"), "test_more.py::test_five");
        row["instance_id"] = json!(id);
        row["test_patch"] = json!(hidden());
        row["problem_statement"] = json!(statement);
        // What an earlier run found is found again, or gone.
        row["statement_problems"] = json!([{"rule": "shows_fix", "evidence": "x"}]);
        text += &format!("{row}\n");
    }
    gym.write("rows.jsonl", &text);
    let out = gym.must(&["validate", "--instances", "rows.jsonl", "--repeats", "1", "--out", "kept"]);
    assert!(out.contains("statement_problems"), "{out}");
    let kept = rows(&gym.read("kept/instances.jsonl"));
    let found: Vec<(&str, &str, Value)> = kept
        .iter()
        .map(|row| {
            let rules = row["statement_problems"].as_array();
            let rules = rules.map(|all| all.iter().map(|p| p["rule"].clone()).collect::<Vec<_>>());
            let text = |key: &str| row[key].as_str().unwrap();
            (text("instance_id"), text("problem_statement"), json!(rules))
        })
        .collect();
    assert_eq!(found, states);
    // They can be read again.
    gym.must(&["validate", "--instances", "kept/instances.jsonl", "--repeats", "1", "--out", "again"]);
    assert_eq!(gym.read("again/instances.jsonl"), gym.read("kept/instances.jsonl"));
}

#[test]
fn a_script_of_an_unknown_parser_is_refused_by_name() {
    let gym = Gym::beside(&PAIR.0);
    let mut instance = with_script("true", "by-hand::double");
    instance["log_parser"] = json!("no-such-parser");
    gym.write("instances.jsonl", &format!("{instance}\n"));
    let answer =
        json!({"instance_id": instance["instance_id"], "model_name_or_path": "m", "model_patch": "x"});
    gym.write("answers.jsonl", &format!("{answer}\n"));
    let files = ["evaluate", "--instances", "instances.jsonl", "--predictions", "answers.jsonl"];
    let output = gym.run(&[&files[..], &["--out", "eval"]].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.contains("no-such-parser") && said.contains("log_parser"), "{said}");
}
