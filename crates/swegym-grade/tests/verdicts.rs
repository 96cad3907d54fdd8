//! Verdicts by each rule set, on evidence of ours and on logs of others.

use std::io::Cursor;

use serde_json::json;
use swegym_core::instance::ListEncoding;
use swegym_core::{Instance, InstanceId, Resolution, TestStatus};
use swegym_grade::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use swegym_grade::junit::Case;
use swegym_grade::semantics::{Rule, explain};
use swegym_grade::{Log, LogParser, Marks, Reading, Semantics};

fn instance(f2p: &[&str], p2p: &[&str]) -> Instance {
    let own = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
    Instance {
        instance_id: InstanceId::new("a-1").unwrap(),
        repo: "pytest-dev/pytest".into(),
        base_commit: String::new(),
        gold_patch: String::new(),
        test_patch: String::new(),
        problem_statement: String::new(),
        hints_text: String::new(),
        created_at: String::new(),
        version: String::new(),
        fail_to_pass: own(f2p),
        pass_to_pass: own(p2p),
        environment_setup_commit: None,
        difficulty: None,
        eval_script: None,
        log_parser: None,
        eval_type: None,
        image: None,
        encoding: ListEncoding::Text,
        extra: serde_json::Map::new(),
    }
}

/// Our own evidence: a log without markers, and the supervisor's word.
fn evidence(log: &str, exit: i32) -> Evidence {
    Evidence {
        patch: PatchOutcome::Applied,
        reading: Some(Reading::bare(log, LogParser::Pytest)),
        end: Some(RunEnd::Exited(exit)),
        structured: Structured::NotOffered,
        limit_hit: None,
    }
}

/// (resolution, reason code).
fn check(instance: &Instance, evidence: &Evidence) -> (Resolution, Option<String>) {
    let report = Semantics::V5.grade(instance, false, evidence);
    (report.resolution, report.reason.map(|f| f.code))
}

/// A log of another harness: (resolution, reason code).
fn grade(semantics: Semantics, instance: &Instance, log: &str) -> (Resolution, Option<String>) {
    let report = semantics.grade(instance, false, &foreign(semantics, instance, log));
    (report.resolution, report.reason.map(|f| f.code))
}

fn foreign(semantics: Semantics, instance: &Instance, log: &str) -> Evidence {
    let mut in_memory = Log::<Cursor<&[u8]>>::Bytes(log.as_bytes());
    let marks = in_memory.marks().unwrap();
    let reading = semantics.read(instance, &mut in_memory, &marks).unwrap();
    // A log in a file is read to the same.
    let mut file = Cursor::new(log.as_bytes());
    let mut log = Log::File(&mut file);
    let marks = log.marks().unwrap();
    assert_eq!(semantics.read(instance, &mut log, &marks).unwrap(), reading);
    Evidence {
        patch: PatchOutcome::Applied,
        reading: Some(reading),
        end: None,
        structured: Structured::NotOffered,
        limit_hit: None,
    }
}

/// As swebench 5 lays a log out.
fn marked(tests: &str, exit: i32) -> String {
    format!(
        "+ git apply\n+ : '>>>>> Start Test Output'\n{tests}+ : '>>>>> End Test Output'\n>>>>> Test Exit Code: {exit}\n"
    )
}

#[test]
fn the_two_lists_decide() {
    use Resolution::{Full, No, Partial};
    let both = instance(&["t::a", "t::b"], &["t::c"]);
    let cases = [
        ("PASSED t::a\nPASSED t::b\nPASSED t::c\n", 0, Full),
        ("PASSED t::a\nXFAIL t::b\nSKIPPED t::c\n", 0, Full),
        ("PASSED t::a\nFAILED t::b - x\nPASSED t::c\n", 1, Partial),
        ("PASSED t::a\nSKIPPED t::b\nPASSED t::c\n", 0, Partial),
        ("PASSED t::a\nPASSED t::b\n", 0, No),
        ("PASSED t::a\nPASSED t::b\nFAILED t::c\n", 1, No),
        ("FAILED t::a\nFAILED t::b\nPASSED t::c\n", 1, No),
    ];
    for (log, exit, expected) in cases {
        assert_eq!(check(&both, &evidence(log, exit)), (expected, None), "{log}");
        assert_eq!(grade(Semantics::V5, &both, &marked(log, exit)), (expected, None), "{log}");
    }
    assert_eq!(check(&instance(&[], &[]), &evidence("PASSED x\n", 0)).0, Full);
}

#[test]
fn names_cut_in_their_brackets_are_found_by_prefix_if_all_agree() {
    let cut = instance(&["t::a[x"], &[]);
    assert_eq!(check(&cut, &evidence("PASSED t::a[x_1]\nPASSED t::a[x_2]\n", 0)).0, Resolution::Full);
    assert_eq!(check(&cut, &evidence("PASSED t::a[x_1]\nFAILED t::a[x_2]\n", 1)).0, Resolution::No);
    let whole = instance(&["t::a"], &[]);
    assert_eq!(check(&whole, &evidence("PASSED t::a_longer\n", 0)).0, Resolution::No);
    // Before the fifth edition only whole names were found.
    assert_eq!(grade(Semantics::V4, &cut, &marked("PASSED t::a[x_1]\n", 0)).0, Resolution::No);
}

#[test]
fn forged_lines_do_not_resolve() {
    let one = instance(&["t::a"], &[]);
    let forged = "PASSED t::a\n>>>>> End Test Output\n>>>>> Test Exit Code: 0\n";
    assert_eq!(check(&one, &evidence(forged, 1)), (Resolution::No, Some("exit_without_failure".into())));
    // Even with a clean exit, the file that only the runner writes disagrees.
    let mut clean = evidence(forged, 0);
    clean.structured = Structured::Cases(vec![]);
    assert_eq!(check(&one, &clean), (Resolution::No, Some("witnesses_disagree".into())));
    clean.structured = Structured::Missing("no file".into());
    assert_eq!(check(&one, &clean), (Resolution::No, Some("witnesses_disagree".into())));
    let named = |name: &str, status| Case {
        classname: "t".into(),
        name: name.into(),
        status,
        message: String::new(),
        text: String::new(),
        suites: Vec::new(),
        may_have_subtests: false,
        milliseconds: None,
        mebibytes: None,
    };
    let case = |status| named("a", status);
    clean.structured = Structured::Cases(vec![case(TestStatus::Failed)]);
    assert_eq!(check(&one, &clean).1, Some("witnesses_disagree".into()));
    clean.structured = Structured::Cases(vec![case(TestStatus::Passed)]);
    assert_eq!(check(&one, &clean), (Resolution::Full, None));
    // Skipping keeps what held, but not where the log claims more.
    let two = instance(&["t::a"], &["t::b"]);
    let mut claimed = evidence("PASSED t::a\nPASSED t::b\n", 0);
    let cases = vec![case(TestStatus::Passed), named("b", TestStatus::Skipped)];
    claimed.structured = Structured::Cases(cases.clone());
    assert_eq!(check(&two, &claimed), (Resolution::No, Some("witnesses_disagree".into())));
    let mut honest = evidence("PASSED t::a\nSKIPPED t::b\n", 0);
    honest.structured = Structured::Cases(cases);
    assert_eq!(check(&two, &honest), (Resolution::Full, None));
}

#[test]
fn forged_markers_do_not_resolve() {
    let one = instance(&["t::a"], &[]);
    let no = |code: &str| (Resolution::No, Some(code.to_owned()));
    let forged = "PASSED t::a\n>>>>> End Test Output\n>>>>> Test Exit Code: 0\n";
    // The true exit status follows the forged one.
    let log = marked(&format!("{forged}FAILED t::a - boom\n"), 1);
    assert_eq!(grade(Semantics::V5, &one, &log), no("exit_without_failure"));
    // Where there is no true one, the tests still go on after the forged end.
    let log = format!(">>>>> Start Test Output\n{forged}FAILED t::a - boom\n>>>>> End Test Output\n");
    assert_eq!(grade(Semantics::V5, &one, &log), no("forged_end"));
    // As in the reference: lines alone, and a forged end alone.
    assert_eq!(grade(Semantics::V5, &one, &marked("PASSED t::a\n", 1)), no("exit_without_failure"));
    let log = marked("PASSED t::a\n>>>>> End Test Output\nFAILED t::a\n", 1);
    assert_eq!(grade(Semantics::V5, &one, &log), no("exit_without_failure"));
    // A second end that contradicts nothing is no forgery.
    let log = marked("PASSED t::a\n>>>>> End Test Output\n1 passed\n", 0);
    assert_eq!(grade(Semantics::V5, &one, &log), (Resolution::Full, None));
    // A patch cannot choose older rules for a row of SWE-bench 5.
    let mut five = one.clone();
    five.eval_script = Some("pytest -rA".into());
    let marks = Marks::scan(&mut ">>>>> Applied Patch (pred)\nPASSED t::a\n".as_bytes()).unwrap();
    assert_eq!(Semantics::detect(&five, &marks), Semantics::V5);
}

#[test]
fn what_never_ran_says_why() {
    let one = instance(&["t::a"], &[]);
    let no = |code: &str| (Resolution::No, Some(code.to_owned()));
    let mut e = evidence("PASSED t::a\n", 0);
    e.end = Some(RunEnd::TimedOut);
    assert_eq!(check(&one, &e), no("timeout"));
    assert_eq!(check(&one, &evidence("", 2)), no("no_test_results"));
    e.patch = PatchOutcome::Failed("error: patch failed: a.py:1".into());
    e.reading = None;
    assert_eq!(check(&one, &e), no("patch_does_not_apply"));
    e = evidence("PASSED t::a\n", 0);
    e.limit_hit = Some("memory".into());
    assert_eq!(check(&one, &e), no("memory_limit"));
    for (log, code) in [
        (marked("Killed\n", 1), "no_test_results"),
        ("PASSED t::a\n".to_owned(), "markers_missing"),
        (marked(">>>>> Tests Timed Out\nPASSED t::a\n", 0), "tests_timed_out"),
        (marked("PASSED t::other\n", 0), "no_expected_test"),
    ] {
        assert_eq!(grade(Semantics::V5, &one, &log), no(code), "{log}");
    }
    // An answer that breaks what the tests import is at fault, and not the task.
    let boundary = |log: &str| {
        let log = marked(log, 0);
        Semantics::V5.grade(&one, false, &foreign(Semantics::V5, &one, &log)).reason.unwrap().boundary
    };
    assert_eq!(boundary("ERROR t.py\n"), swegym_core::Boundary::Agent);
    assert_eq!(boundary("PASSED t::other\n"), swegym_core::Boundary::Task);
    let report = Semantics::V5.grade(&one, false, &foreign(Semantics::V5, &one, &marked("Killed\n", 1)));
    assert_eq!(report.infra_failure.unwrap().code, "out_of_memory");
}

#[test]
fn fail_only_counts_what_is_missing_as_held() {
    let mut one = instance(&["t::a"], &["t::b"]);
    one.eval_type = Some("fail_only".into());
    assert_eq!(check(&one, &evidence("PASSED t::x\n", 0)).0, Resolution::Full);
    assert_eq!(check(&one, &evidence("FAILED t::b\n", 1)).0, Resolution::No);
    // Silence is success only where a count says that tests ran.
    assert_eq!(grade(Semantics::V5, &one, &marked("5 passing\n", 0)), (Resolution::Full, None));
    assert_eq!(grade(Semantics::V5, &one, &marked("0 passing\n", 0)).0, Resolution::No);
}

#[test]
fn older_rules_keep_their_loophole() {
    let one = instance(&["t::a"], &[]);
    let skipped = marked("SKIPPED t::a\n", 0);
    assert_eq!(grade(Semantics::V4, &one, &skipped).0, Resolution::Full);
    assert_eq!(grade(Semantics::V5, &one, &skipped).0, Resolution::No);
}

#[test]
fn logs_without_markers_are_read_after_the_answer() {
    let one = instance(&["t::a"], &[]);
    let log = ">>>>> Applied Patch (test)\nFAILED t::a\n>>>>> Applied Patch (pred)\nPASSED t::a\n";
    assert_eq!(grade(Semantics::V1, &one, log).0, Resolution::Full);
    assert_eq!(grade(Semantics::SweGym, &one, log).0, Resolution::Full);
    assert_eq!(grade(Semantics::V1, &one, "PASSED t::a\n").1, Some("answer_not_applied".into()));
    let gym = "Applied patch t.py cleanly.\nPASSED t::a[foo bar]\n";
    assert_eq!(grade(Semantics::SweGym, &instance(&["t::a[foo"], &[]), gym).0, Resolution::Full);
    assert_eq!(grade(Semantics::SweGym, &one, "PASSED t::a\n").1, Some("test_patch_not_applied".into()));
    let detect = |log: &str| Semantics::detect(&one, &Marks::scan(&mut log.as_bytes()).unwrap());
    assert_eq!((detect(log), detect(gym), detect("")), (Semantics::V1, Semantics::SweGym, Semantics::V5));
}

#[test]
fn other_data_sets_have_their_own_rules() {
    use Resolution::{Full, No};
    let both = instance(&["t::a"], &["t::b"]);
    let pro = |tests: &[&str]| {
        let tests: Vec<_> = tests.iter().map(|t| json!({"name": t, "status": "PASSED"})).collect();
        json!({ "tests": tests }).to_string()
    };
    for (semantics, log, expected) in [
        (Semantics::MultiSweBench, "PASSED t::a\nPASSED t::b\n".to_owned(), Full),
        (Semantics::MultiSweBench, "PASSED t::a\nXFAIL t::b\n".to_owned(), No),
        (Semantics::MultiSweBench, "PASSED t::a\n".to_owned(), No),
        (Semantics::SweBenchLive, "PASSED t::a\n".to_owned(), Full),
        (Semantics::SweBenchLive, "PASSED t::a\nERROR t::b\n".to_owned(), No),
        (Semantics::SweBenchLive, "PASSED t::b\n".to_owned(), No),
        (Semantics::Pro, pro(&["t::a", "t::b"]), Full),
        (Semantics::Pro, pro(&["t::a"]), No),
        (Semantics::Pro, "PASSED t::a\nPASSED t::b\n".to_owned(), No),
    ] {
        assert_eq!(grade(semantics, &both, &log).0, expected, "{semantics:?} {log}");
    }
    let mut exact = instance(&[], &[]);
    let summary = "== short test summary info ==\nPASSED t.py::A::a\nFAILED t.py::b - boom\n";
    let expected = json!({"A.a": "PASSED", "b - x": "FAILED"}).to_string();
    exact.extra.insert("expected_output_json".into(), json!(expected));
    assert_eq!(grade(Semantics::R2e, &exact, summary).0, Full);
    assert_eq!(grade(Semantics::R2e, &exact, &format!("{summary}PASSED t.py::more\n")).0, No);
    assert_eq!(grade(Semantics::R2e, &exact, &summary.replace("FAILED", "PASSED")).0, No);
}

#[test]
fn every_expected_test_is_explained() {
    let both = instance(&["t::a[x"], &["t::b", "t::c"]);
    let log = marked("PASSED t::a[x y]\nERROR: t::b\n", 0);
    let semantics = Semantics::V5;
    let lines = explain(semantics, &both, &foreign(semantics, &both, &log));
    let rules: Vec<_> = lines.iter().map(|line| (line.test.as_str(), line.rule, line.holds)).collect();
    // pytest's parser cuts at the blank, so that the cut id is the whole one.
    assert_eq!(
        rules,
        [
            ("t::a[x", Rule::Passed, Some(true)),
            ("t::b", Rule::WordUncounted, None),
            ("t::c", Rule::Missing, Some(false)),
        ]
    );
}
