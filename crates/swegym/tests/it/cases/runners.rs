//! Logs of test runners, most with the JUnit file of the same run.

use serde_json::{Value, json};

use crate::common::{Gym, rows};

/// One run: what is expected of it, and the verdict.
struct Run {
    name: &'static str,
    parser: &'static str,
    fail_to_pass: &'static [&'static str],
    pass_to_pass: &'static [&'static str],
    log: &'static str,
    junit: Option<&'static str>,
    resolved: bool,
    /// The code of the reason, where there is one.
    reason: Option<&'static str>,
    /// Whether the JUnit file says that what the log claims is not so.
    is_contradicted: bool,
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("runners/", $name))
    };
}

/// By the log alone, and by both where there is a JUnit file.
fn check(runs: &[Run]) {
    let gym = Gym::new();
    let (mut instances, mut logs) = (String::new(), String::new());
    for run in runs {
        gym.write(&format!("{}.log", run.name), run.log);
        let row = json!({
            "instance_id": run.name, "repo": "x/y", "version": "1", "log_parser": run.parser, "base_commit": "0".repeat(40),
            "problem_statement": "p", "patch": "", "test_patch": "",
            "FAIL_TO_PASS": run.fail_to_pass, "PASS_TO_PASS": run.pass_to_pass,
        });
        instances += &format!("{row}\n");
        let mut log = json!({"instance_id": run.name, "log": format!("{}.log", run.name), "semantics": "v5"});
        logs += &format!("{log}\n");
        if let Some(junit) = run.junit {
            gym.write(&format!("{}.xml", run.name), junit);
            log["junit"] = json!(format!("{}.xml", run.name));
            logs += &format!("{log}\n");
        }
    }
    gym.write("instances.jsonl", &instances);
    gym.write("logs.jsonl", &logs);
    gym.must(&["grade", "--instances", "instances.jsonl", "--logs", "logs.jsonl", "--out", "reports.jsonl"]);
    let found: Vec<(Value, Value, Value)> = rows(&gym.read("reports.jsonl"))
        .into_iter()
        .map(|row| (row["instance_id"].clone(), row["resolved"].clone(), row["reason"]["code"].clone()))
        .collect();
    let expected = runs.iter().flat_map(|run| {
        let name = json!(run.name);
        let by_log = (name.clone(), json!(run.resolved), json!(run.reason));
        let by_both = match run.is_contradicted {
            true => (name, json!(false), json!("witnesses_disagree")),
            false => by_log.clone(),
        };
        [Some(by_log), run.junit.map(|_| by_both)].into_iter().flatten()
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
}

/// A log as a harness keeps it.
macro_rules! marked {
    ($log:literal, $status:literal) => {
        concat!(
            ">>>>> Start Test Output\n",
            $log,
            ">>>>> End Test Output\n>>>>> Test Exit Code: ",
            $status,
            "\n"
        )
    };
}

const PYTEST: Run = Run {
    name: "",
    parser: "pytest",
    fail_to_pass: &[],
    pass_to_pass: &[],
    log: "",
    junit: None,
    resolved: false,
    reason: None,
    is_contradicted: false,
};

#[test]
fn a_test_is_what_the_worst_of_its_parts_is() {
    check(&[
        Run {
            name: "knownbad-subtest-fails",
            fail_to_pass: &["t/test_a.py::T::test_m"],
            pass_to_pass: &["t/test_a.py::T::test_n"],
            log: file!("knownbad-subtest-fails.log"),
            junit: Some(file!("knownbad-subtest-fails.xml")),
            ..PYTEST
        },
        Run {
            name: "knownbad-subtest-fails-then-skips-p2p",
            fail_to_pass: &["t/test_a.py::T::test_n"],
            pass_to_pass: &["t/test_a.py::T::test_m"],
            log: file!("knownbad-subtest-fails-then-skips-p2p.log"),
            junit: Some(file!("knownbad-subtest-fails-then-skips-p2p.xml")),
            ..PYTEST
        },
        Run {
            name: "subtest-skips",
            fail_to_pass: &["t/test_a.py::T::test_m"],
            pass_to_pass: &["t/test_a.py::T::test_n"],
            log: file!("subtest-skips.log"),
            junit: Some(file!("subtest-skips.xml")),
            resolved: true,
            ..PYTEST
        },
        // A test that was skipped, not a part of one: its suite counts no more tests than it has.
        Run {
            name: "printed-pass",
            fail_to_pass: &["a.py::t"],
            log: marked!("PASSED a.py::t\n", "0"),
            junit: Some(
                "<testsuites><testsuite tests=\"1\"><testcase classname=\"a\" name=\"t\"><skipped/></testcase></testsuite></testsuites>",
            ),
            resolved: true,
            is_contradicted: true,
            ..PYTEST
        },
    ]);
}

#[test]
fn one_test_has_one_name_for_log_and_results() {
    check(&[
        Run {
            name: "rootdir-below",
            fail_to_pass: &["t/test_a.py::test_n"],
            log: file!("rootdir-below.log"),
            junit: Some(file!("rootdir-below.xml")),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "rootdir-above",
            fail_to_pass: &["t/test_a.py::C::test_n"],
            pass_to_pass: &["t/test_b.py::test_n"],
            log: marked!("PASSED t/test_a.py::C::test_n\nPASSED t/test_b.py::test_n\n", "0"),
            junit: Some(
                "<testsuite><testcase classname='sub.t.test_a.C' name='test_n'/><testcase classname='sub.t.test_b' name='test_n'/></testsuite>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "id-bracket-space",
            fail_to_pass: &["t/test_a.py::test_n"],
            pass_to_pass: &["t/test_a.py::test_p[a]"],
            log: file!("id-bracket-space.log"),
            junit: Some(file!("id-bracket-space.xml")),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "jest-pass",
            parser: "jest",
            fail_to_pass: &["adds two"],
            log: file!("jest-pass.log"),
            junit: Some(file!("jest-pass.xml")),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "node-test",
            parser: "tap",
            fail_to_pass: &["- outer"],
            pass_to_pass: &["- at the top"],
            log: marked!(
                "TAP version 13\n# Subtest: outer\n    # Subtest: adds\n    ok 1 - adds\n    1..1\nok 1 - outer\nok 2 - at the top\n1..2\n",
                "0"
            ),
            junit: Some(
                "<testsuites><testsuite name='outer'><testcase name='adds' classname='test'/></testsuite><testcase name='at the top' classname='test'/></testsuites>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "mocha-xunit",
            parser: "jest",
            fail_to_pass: &["adds two"],
            log: marked!("  outer\n    inner\n      ✓ adds two\n", "0"),
            junit: Some(
                "<testsuite name='Mocha Tests' tests='1'><testcase classname='outer inner' name='adds two'/></testsuite>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "mocha-junit-reporter",
            parser: "jest",
            fail_to_pass: &["adds two"],
            log: marked!("  outer\n    inner\n      ✓ adds two\n", "0"),
            junit: Some(
                "<testsuites><testsuite name='inner' tests='1'><testcase classname='adds two' name='outer inner adds two'/></testsuite></testsuites>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "phpunit-testdox",
            parser: "phpunit",
            fail_to_pass: &["Num > It adds two"],
            pass_to_pass: &["Num > Data with data set \"a b\""],
            log: marked!("Num (App\\Tests\\Num)\n ✔ It adds two\n ✔ Data with data set \"a b\"\n", "0"),
            junit: Some(
                "<testsuites><testsuite name='s'><testcase name='testItAddsTwo' class='App\\Tests\\NumTest' classname='App.Tests.NumTest'/><testcase name='testData with data set &quot;a b&quot;' classname='App.Tests.NumTest'/></testsuite></testsuites>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "phpunit-debug",
            parser: "phpunit",
            fail_to_pass: &["Acme\\Tests\\NumTest::testItAddsTwo"],
            pass_to_pass: &[
                "Acme\\Tests\\NumTest::testData with data set \"a b\"",
                "Acme\\Tests\\NumTest::testData with data set #0",
            ],
            log: file!("phpunit-debug.log"),
            junit: Some(file!("phpunit-debug.xml")),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "phpunit-debug-fails",
            parser: "phpunit",
            fail_to_pass: &["Acme\\Tests\\NumTest::testFails"],
            log: file!("phpunit-debug.log"),
            junit: Some(file!("phpunit-debug.xml")),
            ..PYTEST
        },
        Run {
            name: "phpunit-teamcity",
            parser: "phpunit",
            fail_to_pass: &["Acme\\Tests\\NumTest::testItAddsTwo"],
            pass_to_pass: &["Acme\\Tests\\NumTest::testData with data set \"a b\""],
            log: file!("phpunit-teamcity.log"),
            junit: Some(file!("phpunit-teamcity.xml")),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "phpunit-dots-fails",
            parser: "phpunit",
            fail_to_pass: &["Acme\\Tests\\NumTest::testErrors"],
            log: file!("phpunit-dots.log"),
            ..PYTEST
        },
        Run {
            name: "minitest",
            parser: "minitest",
            fail_to_pass: &["TestA#test_x"],
            pass_to_pass: &["Outer thing::inner > x#test_0001_adds two"],
            log: marked!(
                "TestA#test_x = 0.00 s = .\nOuter thing::inner > x#test_0001_adds two = 0.00 s = .\n",
                "0"
            ),
            junit: Some(
                "<testsuites><testsuite><testcase classname='TestA' name='test_x'/></testsuite><testsuite><testcase classname='Outer thing::inner &gt; x' name='test_0001_adds two'/></testsuite></testsuites>",
            ),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "cargo-nextest",
            parser: "cargo",
            fail_to_pass: &["tests::adds"],
            pass_to_pass: &["same"],
            log: marked!(
                "running 1 test\ntest tests::adds ... ok\n\ntest result: ok. 1 passed\nrunning 1 test\ntest same ... ok\n\ntest result: ok. 1 passed\n",
                "0"
            ),
            junit: Some(
                "<testsuites><testsuite name='pkg'><testcase name='tests::adds' classname='pkg'/></testsuite><testsuite name='pkg::t'><testcase name='same' classname='pkg::t'/></testsuite></testsuites>",
            ),
            resolved: true,
            ..PYTEST
        },
        // The test itself failed, whatever its names are.
        Run {
            name: "leaf-failed",
            parser: "jest",
            fail_to_pass: &["adds two"],
            log: marked!("  ✓ adds two\n", "0"),
            junit: Some(
                "<testsuite><testcase classname='outer adds two' name='outer adds two'><failure/></testcase></testsuite>",
            ),
            resolved: true,
            is_contradicted: true,
            ..PYTEST
        },
    ]);
}

#[test]
fn what_a_runner_calls_a_failure_is_one() {
    check(&[
        Run {
            name: "unittest-unexpected-success",
            parser: "unittest",
            fail_to_pass: &["test_u.T.test_xp"],
            log: file!("unittest-unexpected-success.log"),
            ..PYTEST
        },
        Run {
            name: "unittest-part-skipped",
            parser: "unittest",
            fail_to_pass: &["test_u.T.test_sub_skip"],
            pass_to_pass: &["test_u.T.test_sub_ok"],
            log: file!("unittest-unexpected-success.log"),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "vitest-hook-p2p",
            parser: "vitest",
            fail_to_pass: &["t/a.test.js > outer > inner > x > adds two"],
            pass_to_pass: &["t/a.test.js > outer > with bad hook > never ran"],
            log: file!("vitest-hook-p2p.log"),
            junit: Some(file!("vitest-hook-p2p.xml")),
            ..PYTEST
        },
        Run {
            name: "xpass",
            fail_to_pass: &["a.py::t"],
            log: marked!("XPASS a.py::t - known\n==== 1 xpassed in 0.01s ====\n", "0"),
            junit: Some("<testsuite tests='1'><testcase classname='a' name='t'/></testsuite>"),
            resolved: true,
            ..PYTEST
        },
        Run {
            name: "xpass-strict",
            fail_to_pass: &["a.py::t"],
            log: marked!("FAILED a.py::t - [XPASS(strict)] known\n", "1"),
            junit: Some(
                "<testsuite tests='1'><testcase classname='a' name='t'><failure message='[XPASS(strict)] known'/></testcase></testsuite>",
            ),
            ..PYTEST
        },
        Run {
            name: "teardown-error",
            fail_to_pass: &["a.py::t"],
            log: marked!("PASSED a.py::t\nERROR a.py::t - boom\n", "1"),
            junit: Some(
                "<testsuite tests='1'><testcase classname='a' name='t'><error message='failed on teardown'/></testcase></testsuite>",
            ),
            ..PYTEST
        },
    ]);
}

#[test]
fn a_run_that_ends_early_is_no_result() {
    const EARLY: Run = Run { reason: Some("fewer_results"), ..PYTEST };
    check(&[
        Run {
            name: "os-exit",
            fail_to_pass: &["a.py::t"],
            log: marked!("===== test session starts =====\ncollected 3 items\n\na.py .", "0"),
            ..EARLY
        },
        Run {
            name: "os-exit-after-verbose",
            parser: "swe_smith",
            fail_to_pass: &["a.py::t"],
            log: marked!(
                "===== test session starts =====\ncollected 3 items\n\na.py::t PASSED  [ 33%]\n",
                "0"
            ),
            ..EARLY
        },
        Run {
            name: "process-exit",
            parser: "cargo",
            fail_to_pass: &["a"],
            log: marked!("running 3 tests\ntest a ... ok\n", "0"),
            ..EARLY
        },
        Run {
            name: "unittest-exit",
            parser: "unittest",
            fail_to_pass: &["t.T.test_a"],
            log: marked!("test_a (t.T.test_a) ... ok\ntest_b (t.T.test_b) ... ", "0"),
            ..EARLY
        },
        Run {
            name: "go-exit",
            parser: "gotest",
            fail_to_pass: &["TestA"],
            log: marked!(
                "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\nok  \tacme/a\t0.002s\n",
                "0"
            ),
            ..EARLY
        },
        Run {
            name: "tap-exit",
            parser: "tap",
            fail_to_pass: &["adds"],
            log: marked!("TAP version 13\n1..3\nok 1 adds\nok 2 takes\n", "0"),
            ..EARLY
        },
        Run {
            name: "stopped-after-a-failure",
            fail_to_pass: &["a.py::t"],
            log: marked!(
                "collected 3 items\nFAILED a.py::t - no\n!!!! stopping after 1 failures !!!!\n==== 1 failed in 0.01s ====\n",
                "1"
            ),
            ..PYTEST
        },
    ]);
}

/// The rule of that data set since 2026.
#[test]
fn an_expected_failure_holds_for_live_as_for_the_others() {
    let gym = Gym::new();
    let row = json!({
        "instance_id": "acme__live-4", "repo": "acme/live", "version": "1.0", "log_parser": "pytest",
        "test_cmds": ["pytest -rA"], "FAIL_TO_PASS": ["a.py::t"], "PASS_TO_PASS": ["a.py::x"],
    });
    gym.write("rows.jsonl", &format!("{row}\n"));
    gym.write("a.log", "PASSED a.py::t\nXFAIL a.py::x - known\n");
    for semantics in [json!(null), json!("swe-bench-live")] {
        let log = json!({"instance_id": "acme__live-4", "log": "a.log", "semantics": semantics});
        gym.write("logs.jsonl", &format!("{log}\n"));
        gym.must(&["grade", "--instances", "rows.jsonl", "--logs", "logs.jsonl", "--out", "reports.jsonl"]);
        let report = &rows(&gym.read("reports.jsonl"))[0];
        assert_eq!((&report["resolved"], &report["semantics"]), (&json!(true), &json!("swe-bench-live")));
    }
}
