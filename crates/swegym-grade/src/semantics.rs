//! The rules that turn evidence into a report, by name and version.
//!
//! `v5` follows swebench 5.0.2 (reference/grading.md, section 4.5) and departs
//! from it where evidence is better than a log: the exit status is the
//! supervisor's, our logs have no markers that could be forged, structured
//! results must agree, in logs of others every recorded exit status and
//! everything up to the last end marker counts, and of what a log says of a
//! test nothing is passed over ([`Edition::Own`]). The others follow the
//! programs that they are named for, faults included.

mod explain;
mod judge;

use std::borrow::Cow;
use std::io::{self, Read, Seek};

use swegym_core::{Boundary, Fault, Hint, Instance, Report, Resolution, TestStatus};
use thiserror::Error;

use crate::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use crate::junit::Case;
use crate::marks::Marks;
use crate::parser::{Edition, Lacking, LogParser, StatusMap, UnknownInstance};
use crate::reading::{Dialect, Guards, Log, Reading, has_failures, no_results, not_named};
use crate::witness;

pub use explain::{Explanation, explain};
pub use judge::{Lookup, Rule};

use judge::Statuses;

/// A named rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Semantics {
    /// swebench 5.
    #[default]
    V5,
    /// swebench 4.1: ids are looked up whole, a skipped test is on neither list.
    V4,
    /// swebench 1: no markers.
    V1,
    /// SWE-Gym's fork of swebench 2 (reference/swe-gym.md, section 3.5).
    SweGym,
    /// Multi-SWE-bench: every listed test must pass.
    MultiSweBench,
    /// SWE-bench-Live: a test that should hold may be missing.
    SweBenchLive,
    /// R2E-Gym: exactly the expected statuses, nothing more.
    R2e,
    /// SWE-bench Pro: every listed test must pass.
    Pro,
}

/// Why a log cannot be graded at all.
#[derive(Debug, Error)]
pub enum GradeError {
    /// The instance names a parser that does not exist.
    #[error("unknown log parser `{0}`")]
    UnknownParser(String),
    /// Neither the instance nor its repository says which parser.
    #[error("no log parser is known for the repository `{0}`")]
    NoParser(String),
    /// The parser does not know the instance.
    #[error(transparent)]
    UnknownInstance(#[from] UnknownInstance),
    /// The log cannot be read.
    #[error("cannot read the log")]
    Log(#[from] io::Error),
}

impl GradeError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownParser(_) => "unknown_parser",
            Self::NoParser(_) => "no_parser",
            Self::UnknownInstance(_) => "unknown_instance",
            Self::Log(_) => "log_unreadable",
        }
    }
}

impl Hint for GradeError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: &'static str = match self {
            Self::UnknownParser(_) => "use one of the names in docs/conformance.md as `log_parser`",
            Self::NoParser(_) => "set `log_parser` in the instance's row",
            Self::UnknownInstance(_) => "name the runner's own parser as `log_parser` in the instance's row",
            Self::Log(_) => "check the path and the permissions",
        };
        Some(hint.into())
    }
}

impl Semantics {
    /// Every rule set.
    pub const ALL: [Self; 8] = [
        Self::V5,
        Self::V4,
        Self::V1,
        Self::SweGym,
        Self::MultiSweBench,
        Self::SweBenchLive,
        Self::R2e,
        Self::Pro,
    ];

    /// Its name on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V5 => "v5",
            Self::V4 => "v4",
            Self::V1 => "v1",
            Self::SweGym => "swe-gym",
            Self::MultiSweBench => "multi-swe-bench",
            Self::SweBenchLive => "swe-bench-live",
            Self::R2e => "r2e",
            Self::Pro => "pro",
        }
    }

    /// The rule set of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }

    /// The rule set for a log whose own is not known. Rows that only one data
    /// set has decide, and rows of SWE-bench 5 are graded by its rules
    /// whatever their log looks like: a test that ends the run early must not
    /// choose weaker ones. For the rest the log's layout decides.
    #[must_use]
    pub fn detect(instance: &Instance, marks: &Marks) -> Self {
        let has = |field: &str| instance.extra.contains_key(field);
        if has("expected_output_json") {
            Self::R2e
        } else if has("fixed_tests") {
            Self::MultiSweBench
        } else if has("test_cmds") || has("rebuild_cmds") {
            Self::SweBenchLive
        } else if has("selected_test_files_to_run") || has("before_repo_set_cmd") {
            Self::Pro
        } else if instance.eval_script.is_some() || instance.eval_type.is_some() || !marks.starts.is_empty() {
            Self::V5
        } else if marks.answer_applied.is_some() {
            Self::V1
        } else if marks.words.is_some_and(|words| words.applied) {
            Self::SweGym
        } else {
            Self::V5
        }
    }

    /// The edition of the parsers that its gold lists were made with.
    #[must_use]
    pub fn edition(self) -> Edition {
        match self {
            Self::V5 => Edition::Own,
            Self::MultiSweBench | Self::Pro => Edition::V5,
            Self::V4 | Self::SweBenchLive | Self::R2e => Edition::V4,
            Self::SweGym => Edition::V2,
            Self::V1 => Edition::V1,
        }
    }

    /// How logs of its harness are laid out.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::V5 | Self::V4 => Dialect::Marked,
            Self::V1 => Dialect::AfterAnswer,
            Self::SweGym => Dialect::Applied,
            Self::MultiSweBench | Self::SweBenchLive | Self::R2e | Self::Pro => Dialect::Bare,
        }
    }

    /// The parser of an instance's logs.
    ///
    /// # Errors
    /// When none is known.
    pub fn parser(self, instance: &Instance) -> Result<LogParser, GradeError> {
        match self {
            Self::R2e => return Ok(LogParser::R2e),
            Self::Pro => return Ok(LogParser::Pro),
            _ => {}
        }
        // Live's rows hold a program there; its default reads pytest.
        let named = instance.log_parser.as_deref().filter(|name| !name.is_empty());
        if let (Some(name), false) = (named, self == Self::SweBenchLive) {
            let parser = LogParser::named(name).ok_or_else(|| GradeError::UnknownParser(name.to_owned()))?;
            return Ok(parser.for_instance(instance.instance_id.as_str(), &instance.version)?);
        }
        match (LogParser::of(instance)?, self) {
            (Some(parser), _) => Ok(parser),
            (None, Self::SweBenchLive) => Ok(LogParser::Pytest),
            (None, _) => Err(GradeError::NoParser(instance.repo.clone())),
        }
    }

    /// Reads a log of another harness by these rules.
    ///
    /// # Errors
    /// When no parser is known, or the log cannot be read.
    pub fn read<F: Read + Seek>(
        self,
        instance: &Instance,
        log: &mut Log<'_, F>,
        marks: &Marks,
    ) -> Result<Reading, GradeError> {
        let guards = if self == Self::V5 { Guards::V5 } else { Guards::None };
        let parser = self.parser(instance)?;
        Ok(Reading::of(log, marks, self.dialect(), guards, (parser, self.edition()))?)
    }

    /// Judges one evaluation.
    #[must_use]
    pub fn grade(self, instance: &Instance, patch_is_none: bool, evidence: &Evidence) -> Report {
        let mut report = Report {
            instance_id: instance.instance_id.clone(),
            patch_is_none,
            patch_exists: evidence.patch != PatchOutcome::Absent,
            patch_successfully_applied: false,
            log_graded: false,
            resolution: Resolution::No,
            infra_failure: None,
            ambiguous_failure: None,
            reason: None,
            tests_status: None,
            conduct: Vec::new(),
        };
        let reading = match (unusable(&evidence.patch), &evidence.reading) {
            (None, Some(reading)) => reading,
            (fault, _) => {
                report.reason = fault;
                return report;
            }
        };
        if let Some(fault) = stopped(evidence) {
            report.reason = Some(fault);
            return report;
        }
        report.log_graded = true;
        let is_silent = reading.statuses.is_empty();
        let early = early_end(self, &reading.statuses).filter(|_| is_silent);
        if let Some(fault) = early.or_else(|| reading.refusal.clone()).or_else(|| doubt(reading, evidence)) {
            report.note_sign(
                reading.sign.map(|sign| (sign.reason, sign.tier == crate::infra::Tier::Environment)),
            );
            report.reason = Some(fault);
            return report;
        }
        report.patch_successfully_applied = report.patch_exists;
        let statuses = Statuses::new(self, instance, &reading.statuses);
        let (status, resolution) = statuses.judge();
        report.resolution = resolution;
        if report.resolved() {
            report.reason =
                forgery(instance, self, reading).or_else(|| disagreement(instance, &statuses, evidence));
            report.reason = report.reason.or_else(|| early_end(self, &reading.statuses));
            if report.reason.is_some() {
                report.resolution = Resolution::No;
            }
        } else if let Some(fault) = early_end(self, &reading.statuses) {
            report.reason = Some(fault);
        } else if is_silent && statuses.needs_names() {
            report.reason = Some(not_named(reading.summary.as_ref()));
        } else if statuses.knows_none() {
            let message = "the log names tests, but none of the expected ones";
            // What breaks while tests are collected, an answer has broken.
            let is_broken = reading.statuses.values().any(|s| s.status() == Some(TestStatus::Error));
            let boundary = if is_broken && report.patch_exists { Boundary::Agent } else { Boundary::Task };
            report.reason = Some(Fault::new(boundary, "no_expected_test", message));
        }
        report.tests_status = Some(status.into());
        report
    }
}

/// An answer that never got as far as the tests.
fn unusable(patch: &PatchOutcome) -> Option<Fault> {
    match patch {
        PatchOutcome::Refused(code, message, hint) => {
            Some(Fault::new(Boundary::Agent, code, message).with_hint(hint))
        }
        PatchOutcome::Failed(words) => Some(
            Fault::new(Boundary::Agent, "patch_does_not_apply", words)
                .with_hint("make the patch against the instance's base commit"),
        ),
        PatchOutcome::Absent | PatchOutcome::Applied => None,
    }
}

/// Tests that were stopped from outside.
fn stopped(evidence: &Evidence) -> Option<Fault> {
    if evidence.end == Some(RunEnd::TimedOut) {
        return Some(Fault::new(Boundary::Agent, "timeout", "the tests did not finish in time"));
    }
    let limit = evidence.limit_hit.as_ref()?;
    let message = format!("the tests ran into the box's {limit} limit");
    Some(Fault::new(Boundary::Agent, format!("{limit}_limit"), message))
}

/// A run whose runner announced more tests than it told of: something made it exit.
/// The reference grades what there is.
fn early_end(semantics: Semantics, statuses: &StatusMap) -> Option<Fault> {
    let Lacking { announced, told } = statuses.lacking().filter(|_| semantics == Semantics::V5)?;
    let message = format!("the run ended early: of {announced} tests that were to run, {told} have a result");
    Some(Fault::new(Boundary::Agent, "fewer_results", message))
}

/// A run of ours whose log is not to be believed: nothing in it, or a failing
/// exit without a failing test (rule 3, the guard against forged lines).
fn doubt(reading: &Reading, evidence: &Evidence) -> Option<Fault> {
    let end = evidence.end?;
    let fault = |code: &str, message: &str| Some(Fault::new(Boundary::Agent, code, message));
    if reading.statuses.is_empty() {
        return Some(no_results(reading.summary.as_ref()));
    }
    if end != RunEnd::Exited(0) && !has_failures(&reading.statuses) {
        return fault("exit_without_failure", "the test command failed although every listed test passed");
    }
    None
}

/// A resolved report is void when the log goes on after the end marker that
/// counted, and says there that an expected test failed.
fn forgery(instance: &Instance, semantics: Semantics, reading: &Reading) -> Option<Fault> {
    if reading.after_end.is_empty() {
        return None;
    }
    let after = Statuses::new(semantics, instance, &reading.after_end);
    let test = after.failing()?;
    let message = format!("the log goes on after its end marker, and says there that `{test}` failed");
    Some(Fault::new(Boundary::Agent, "forged_end", message))
}

/// The structured results beside the log.
enum Second<'a> {
    /// Of a run of ours, whose launcher names tests as the log does.
    Ours(witness::Structured),
    /// Of somebody else's, whose names may be others.
    Theirs(Box<witness::Witnesses<'a>>),
}

impl<'a> Second<'a> {
    fn of(evidence: &'a Evidence, cases: &'a [Case]) -> Option<Self> {
        let statuses = &evidence.reading.as_ref()?.statuses;
        Some(match evidence.end {
            Some(_) => Self::Ours(witness::Structured::new(cases)),
            None => Self::Theirs(Box::new(witness::Witnesses::new(statuses, cases))),
        })
    }

    fn status_of(&self, test: &str) -> Option<TestStatus> {
        match self {
            Self::Ours(second) => second.status_of(test),
            Self::Theirs(second) => second.status_of(test),
        }
    }
}

/// A resolved report needs both witnesses, where there are two.
fn disagreement(instance: &Instance, log: &Statuses<'_>, evidence: &Evidence) -> Option<Fault> {
    let fault = |message| Some(Fault::new(Boundary::Agent, "witnesses_disagree", message));
    let cases = match &evidence.structured {
        Structured::NotOffered => return None,
        Structured::Missing(why) => {
            return fault(format!("the log says resolved, but there are no structured results: {why}"));
        }
        Structured::Cases(cases) => cases,
    };
    let second = Second::of(evidence, cases);
    let test = log.unproven(instance, |test| second.as_ref().and_then(|second| second.status_of(test)))?;
    let word = second.and_then(|second| second.status_of(test)).map_or("nothing", TestStatus::as_str);
    fault(format!("the log says that `{test}` holds, the structured results say {word}"))
}
