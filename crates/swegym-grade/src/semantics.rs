//! The rules that turn evidence into a report, by name and version.
//!
//! `v5` follows swebench 5.0.2 (reference/grading.md, section 4.5) and departs
//! from it where evidence is better than a log: the exit status is the
//! supervisor's, the log has no markers that could be forged, and structured
//! results must agree with it.

use swegym_core::report::Sides;
use swegym_core::{Boundary, Fault, Instance, Report, Resolution, TestStatus, TestsStatus};

use crate::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use crate::parser::{LogParser, StatusMap};
use crate::witness;

/// A named rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantics {
    /// swebench 5.
    #[default]
    V5,
}

impl Semantics {
    /// Its name on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
        }
    }

    /// Judges one evaluation.
    #[must_use]
    pub fn grade(
        self,
        instance: &Instance,
        parser: LogParser,
        patch_is_none: bool,
        evidence: &Evidence,
    ) -> Report {
        match self {
            Self::V5 => grade_v5(instance, parser, patch_is_none, evidence),
        }
    }
}

fn grade_v5(instance: &Instance, parser: LogParser, patch_is_none: bool, evidence: &Evidence) -> Report {
    let mut report = Report {
        instance_id: instance.instance_id.clone(),
        patch_is_none,
        patch_exists: evidence.patch != PatchOutcome::Absent,
        patch_successfully_applied: false,
        resolution: Resolution::No,
        infra_failure: None,
        reason: None,
        tests_status: None,
    };
    let unusable = match &evidence.patch {
        PatchOutcome::Refused(code, message, hint) => {
            Some(Fault::new(Boundary::Agent, code, message).with_hint(hint))
        }
        PatchOutcome::Failed(words) => Some(
            Fault::new(Boundary::Agent, "patch_does_not_apply", words)
                .with_hint("make the patch against the instance's base commit"),
        ),
        PatchOutcome::Absent | PatchOutcome::Applied => None,
    };
    let log = match (unusable, &evidence.log) {
        (None, Some(log)) => log,
        (fault, _) => {
            report.reason = fault;
            return report;
        }
    };
    let map = parser.parse(log);
    if let Some(fault) = doubt(&map, evidence) {
        report.reason = Some(fault);
        return report;
    }
    report.patch_successfully_applied = report.patch_exists;
    let status = judge(instance, &map);
    report.resolution = resolve(&status);
    if report.resolved() {
        let disagreement = disagreement(&status, evidence);
        if disagreement.is_some() {
            report.resolution = Resolution::No;
            report.reason = disagreement;
        }
    }
    report.tests_status = Some(status);
    report
}

/// A run whose log is not to be believed: nothing in it, stopped from outside,
/// or a failing exit without a failing test (rule 3, the guard against forged lines).
fn doubt(map: &StatusMap, evidence: &Evidence) -> Option<Fault> {
    let fault = |code: &str, message: &str| Some(Fault::new(Boundary::Agent, code, message));
    if evidence.end == Some(RunEnd::TimedOut) {
        return fault("timeout", "the tests did not finish in time");
    }
    if let Some(limit) = &evidence.limit_hit {
        return fault(&format!("{limit}_limit"), &format!("the tests ran into the box's {limit} limit"));
    }
    if map.is_empty() {
        return fault("no_test_results", "the log names no test");
    }
    let failing = map.values().any(|s| matches!(s.status(), Some(TestStatus::Failed | TestStatus::Error)));
    let clean_exit = matches!(evidence.end, None | Some(RunEnd::Exited(0)));
    if !clean_exit && !failing {
        return fault("exit_without_failure", "the test command failed although every listed test passed");
    }
    None
}

/// Rules 5 to 8: names looked up, statuses sorted into the two lists.
fn judge(instance: &Instance, map: &StatusMap) -> TestsStatus {
    let fail_only = instance.eval_type.as_deref() == Some("fail_only");
    let sort = |tests: &[String], also_skipped: bool| {
        let mut sides = Sides::default();
        for test in tests {
            let status = lookup(map, test);
            let holds = match status {
                _ if fail_only => status != Some(TestStatus::Failed),
                Some(TestStatus::Skipped) => also_skipped,
                Some(status) => status.is_pass(),
                None => false,
            };
            let side = if holds { &mut sides.success } else { &mut sides.failure };
            side.push(test.clone());
        }
        sides
    };
    TestsStatus {
        fail_to_pass: sort(&instance.fail_to_pass, false),
        pass_to_pass: sort(&instance.pass_to_pass, true),
        ..TestsStatus::default()
    }
}

/// Rule 5: exact; else, only for a name cut inside its brackets, by prefix if
/// all candidates agree on passing.
fn lookup(map: &StatusMap, test: &str) -> Option<TestStatus> {
    if let Some(said) = map.get(test) {
        return said.status();
    }
    if test.matches('[').count() <= test.matches(']').count() {
        return None;
    }
    let mut candidates = map.iter().filter(|(id, _)| id.starts_with(test)).map(|(_, said)| said.status());
    let first = candidates.next()??;
    candidates.all(|s| s.is_some_and(|s| s.is_pass() == first.is_pass())).then_some(first)
}

/// Rule 9.
fn resolve(status: &TestsStatus) -> Resolution {
    let rate = |sides: &Sides| {
        let total = sides.success.len() + sides.failure.len();
        if total == 0 { 1.0 } else { sides.success.len() as f64 / total as f64 }
    };
    match (rate(&status.fail_to_pass), rate(&status.pass_to_pass)) {
        (f2p, p2p) if f2p >= 1.0 && p2p >= 1.0 => Resolution::Full,
        (f2p, p2p) if f2p > 0.0 && p2p >= 1.0 => Resolution::Partial,
        _ => Resolution::No,
    }
}

/// A resolved report needs both witnesses, where there are two.
fn disagreement(status: &TestsStatus, evidence: &Evidence) -> Option<Fault> {
    let cases = match &evidence.structured {
        Structured::NotOffered => return None,
        Structured::Missing(why) => {
            let message = format!("the log says resolved, but there are no structured results: {why}");
            return Some(Fault::new(Boundary::Agent, "witnesses_disagree", message));
        }
        Structured::Cases(cases) => cases,
    };
    let structured = witness::Structured::new(cases);
    let holds = |test: &&String, also_skipped: bool| {
        let status = structured.status_of(test);
        status.is_some_and(|s| s.is_pass() || (also_skipped && s == TestStatus::Skipped))
    };
    let flipped = status.fail_to_pass.success.iter().find(|t| !holds(t, false));
    let test = flipped.or_else(|| status.pass_to_pass.success.iter().find(|t| !holds(t, true)))?;
    let word = structured.status_of(test).map_or("nothing", TestStatus::as_str);
    let message = format!("the log says that `{test}` holds, the structured results say {word}");
    Some(Fault::new(Boundary::Agent, "witnesses_disagree", message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::junit::Case;
    use swegym_core::InstanceId;
    use swegym_core::instance::ListEncoding;

    fn instance(f2p: &[&str], p2p: &[&str]) -> Instance {
        let own = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        Instance {
            instance_id: InstanceId::new("a-1").unwrap(),
            repo: String::new(),
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

    fn evidence(log: &str, exit: i32) -> Evidence {
        Evidence {
            patch: PatchOutcome::Applied,
            log: Some(log.to_owned()),
            end: Some(RunEnd::Exited(exit)),
            structured: Structured::NotOffered,
            limit_hit: None,
        }
    }

    /// (resolution, reason code).
    fn check(instance: &Instance, evidence: &Evidence) -> (Resolution, Option<String>) {
        let report = Semantics::V5.grade(instance, LogParser::Pytest, false, evidence);
        (report.resolution, report.reason.map(|f| f.code))
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
        let case = |status| Case {
            classname: "t".into(),
            name: "a".into(),
            status,
            message: String::new(),
            text: String::new(),
        };
        clean.structured = Structured::Cases(vec![case(TestStatus::Failed)]);
        assert_eq!(check(&one, &clean).1, Some("witnesses_disagree".into()));
        clean.structured = Structured::Cases(vec![case(TestStatus::Passed)]);
        assert_eq!(check(&one, &clean), (Resolution::Full, None));
    }

    #[test]
    fn what_never_ran_says_why() {
        let one = instance(&["t::a"], &[]);
        let mut e = evidence("PASSED t::a\n", 0);
        e.end = Some(RunEnd::TimedOut);
        assert_eq!(check(&one, &e), (Resolution::No, Some("timeout".into())));
        e = evidence("", 2);
        assert_eq!(check(&one, &e), (Resolution::No, Some("no_test_results".into())));
        e.patch = PatchOutcome::Failed("error: patch failed: a.py:1".into());
        e.log = None;
        assert_eq!(check(&one, &e), (Resolution::No, Some("patch_does_not_apply".into())));
        e = evidence("PASSED t::a\n", 0);
        e.limit_hit = Some("memory".into());
        assert_eq!(check(&one, &e), (Resolution::No, Some("memory_limit".into())));
    }

    #[test]
    fn fail_only_counts_what_is_missing_as_held() {
        let mut one = instance(&["t::a"], &["t::b"]);
        one.eval_type = Some("fail_only".into());
        assert_eq!(check(&one, &evidence("PASSED t::x\n", 0)).0, Resolution::Full);
        assert_eq!(check(&one, &evidence("FAILED t::b\n", 1)).0, Resolution::No);
    }
}
