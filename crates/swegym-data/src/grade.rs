//! `grade`: logs to verdicts, without running anything.
//!
//! The dataset is streamed: each row is graded with all its logs and then forgotten,
//! so memory does not grow with the dataset. Reports that are ready before their
//! turn wait in a file.

mod case;
mod explanation;
mod in_order;
mod queue;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_console::{exit, text};
use swegym_core::format::reports;
use swegym_core::{Fault, Instance, InstanceId, Report, Resolution};
use swegym_grade::Semantics;
use swegym_grade::semantics::Explanation;
use swegym_tasks::dataset;

use in_order::InOrder;
use queue::{Pair, Queue, lock};

pub use case::{Case, of_manifest};

/// What `grade` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradeSettings {
    /// A dataset; with `run`, the run's own where nothing is said.
    pub instances: Option<PathBuf>,
    /// A manifest of logs.
    pub logs: Option<PathBuf>,
    /// Instead: an evaluation of ours, graded again from its evidence.
    pub run: Option<PathBuf>,
    /// The reports, JSON Lines.
    pub out: PathBuf,
    /// SWE-bench's run report; beside the reports where nothing is said.
    pub report: Option<PathBuf>,
    /// Grading rules, by name; by row and log where nothing is said.
    pub semantics: Option<String>,
    /// Each test's witnesses are told, and the rule that decided.
    pub explain: bool,
}

/// Grades and shows what came of it.
pub fn run(printer: Printer, cores: usize, settings: &GradeSettings) -> Result<u8, CommandError> {
    let done = grade(printer, cores, settings)?;
    let summary = json!({
        "graded": done.graded, "resolved": done.resolved, "broken": done.broken,
        "reports": settings.out, "run_report": done.run_report,
    });
    if settings.explain {
        explanation::show(printer, &done.explained, &summary);
    } else {
        let row = |name: &str, count: usize| vec![name.to_owned(), count.to_string()];
        let table = [
            vec!["outcome".to_owned(), "logs".to_owned()],
            row("resolved", done.resolved),
            row("unresolved", done.graded - done.resolved),
            row("not gradable", done.broken),
        ];
        printer.result(&summary, &table);
    }
    if done.broken > 0 {
        let (count, out) = (done.broken, settings.out.display());
        printer.say(&format!("{count} rows could not be graded; each has its reason in {out}"));
        return Ok(exit::INVALID_TASKS);
    }
    Ok(exit::DONE)
}

/// A finished grading, in numbers.
pub struct Done {
    /// Logs with a verdict.
    pub graded: usize,
    /// Of these, resolved ones.
    pub resolved: usize,
    /// Rows that could not be graded.
    pub broken: usize,
    run_report: PathBuf,
    explained: Vec<(usize, InstanceId, Vec<Explanation>)>,
}

/// Grades every case and writes reports and run report.
pub fn grade(printer: Printer, cores: usize, settings: &GradeSettings) -> Result<Done, CommandError> {
    let named = settings.semantics.as_deref().map(case::semantics_named).transpose();
    let semantics = named.map_err(|(what, hint)| CommandError::usage(what, hint))?;
    let (instances, cases) = match (&settings.run, &settings.logs) {
        (Some(folder), _) => case::of_run(folder, settings.instances.clone())?,
        (None, Some(manifest)) => {
            let file = settings.instances.clone();
            let file =
                file.ok_or_else(|| CommandError::usage("no instances are given", "add --instances FILE"))?;
            (file, of_manifest(manifest)?)
        }
        (None, None) => {
            let hint = "give --logs MANIFEST with one log a line, or --run DIR of an evaluation";
            return Err(CommandError::usage("no logs are given", hint));
        }
    };
    if cases.is_empty() {
        return Err(CommandError::nothing(
            "there is no log to grade",
            "check that this is the file you meant",
        ));
    }
    let run_report =
        settings.report.clone().unwrap_or_else(|| settings.out.with_extension("run_report.json"));
    for input in settings.logs.iter().chain([&instances]) {
        text::refuse_overwriting(input, &settings.out)?;
        text::refuse_overwriting(input, &run_report)?;
    }
    let grader = Grader { semantics, explain: settings.explain, cases: &cases };
    let rows = dataset::Rows::open(&instances)?;
    let bar = Bar::of(printer, "grade", cases.len() as u64);
    let (queue, mut books) = grade_all(&grader, rows, InOrder::create(&settings.out)?, cores, &bar)?;
    bar.finish();
    queue.unreadable.tell(printer, &instances);
    books.out.finish()?;
    books.explained.sort_by_key(|(at, ..)| *at);
    let mut reports: Vec<&(usize, Report)> = books.reports.iter().collect();
    reports.sort_unstable_by_key(|(at, _)| *at);
    let resolved = reports.iter().filter(|(_, report)| report.resolved()).count();
    let first = reports.into_iter().filter(|(at, _)| cases[*at].is_first()).map(|(_, report)| report);
    let report = reports::write_run_report(&queue.ids, first);
    text::write(&run_report, &report)?;
    let (broken, explained) = (books.broken, books.explained);
    Ok(Done { graded: cases.len() - broken, resolved, broken, run_report, explained })
}

/// Graded cases that may wait to be entered while threads go on.
const WAITING: usize = 1024;

/// Streams the dataset by and grades each row's logs as it comes; what has no
/// row comes last.
fn grade_all<'a>(
    grader: &'a Grader<'a>,
    rows: dataset::Rows,
    out: InOrder,
    cores: usize,
    bar: &Bar,
) -> Result<(Queue<'a>, Books<'a>), CommandError> {
    let (done, books) = (Mutex::new(Vec::new()), Mutex::new(Books::new(grader.cases, out)));
    let grade = |pairs: Vec<Pair>| {
        let graded: Vec<_> = pairs.into_iter().map(|pair| grader.grade(pair)).collect();
        bar.add(graded.len() as u64);
        let waiting = {
            let mut done = lock(&done);
            done.extend(graded);
            done.len()
        };
        // Whoever finds the books free enters what all have done. Where a slow
        // disk lets much of it wait, all wait, so that memory does not grow.
        let books = if waiting < WAITING { books.try_lock().ok() } else { Some(lock(&books)) };
        books.map_or(Ok(()), |mut books| books.enter(std::mem::take(&mut lock(&done))))
    };
    let mut queue = queue::work(rows, Queue::of(grader.cases), cores, &grade)?;
    // Alone by now, so that the books are free.
    grade(queue.without_instance())?;
    Ok((queue, books.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// A verdict and what it takes to explain it.
struct Verdict {
    report: Report,
    semantics: Semantics,
    explanations: Vec<Explanation>,
}

/// A graded case: its place, its verdict without the tests, its line.
type Graded = (usize, Result<Verdict, Fault>, String);

/// What grading a case takes.
struct Grader<'a> {
    semantics: Option<Semantics>,
    explain: bool,
    cases: &'a [Case],
}

impl Grader<'_> {
    /// Grades a case; the tests of its verdict are in its line alone.
    fn grade(&self, (at, instance): Pair) -> Graded {
        let verdict = self.grade_case(&self.cases[at], instance);
        let line = line(&self.cases[at], &verdict);
        (at, verdict.map(|v| Verdict { report: Report { tests_status: None, ..v.report }, ..v }), line)
    }

    fn grade_case(&self, case: &Case, instance: Result<Arc<Instance>, Fault>) -> Result<Verdict, Fault> {
        let instance = &instance?;
        let (evidence, semantics) = case.evidence(instance, self.semantics)?;
        let report = semantics.grade(instance, case.patch_is_none(), &evidence);
        let explanations = match self.explain {
            true => swegym_grade::semantics::explain(semantics, instance, &evidence),
            false => Vec::new(),
        };
        Ok(Verdict { report, semantics, explanations })
    }
}

/// What came of it all.
struct Books<'a> {
    cases: &'a [Case],
    out: InOrder,
    /// What the run report needs of each verdict, by the place of its case.
    reports: Vec<(usize, Report)>,
    explained: Vec<(usize, InstanceId, Vec<Explanation>)>,
    broken: usize,
}

impl<'a> Books<'a> {
    fn new(cases: &'a [Case], out: InOrder) -> Self {
        Self { cases, out, reports: Vec::new(), explained: Vec::new(), broken: 0 }
    }

    /// Writes graded cases.
    fn enter(&mut self, graded: Vec<Graded>) -> Result<(), CommandError> {
        for (at, verdict, line) in graded {
            self.out.push(at, line)?;
            match verdict {
                Ok(Verdict { report, explanations, .. }) => {
                    if !explanations.is_empty() {
                        self.explained.push((at, report.instance_id.clone(), explanations));
                    }
                    let patch_exists = report.patch_exists && !self.cases[at].patch_is_empty();
                    self.reports.push((at, Report { patch_exists, ..report }));
                }
                Err(fault) => {
                    self.broken += 1;
                    let id = self.cases[at].instance_id().and_then(|id| InstanceId::new(id).ok());
                    self.reports.extend(id.map(|id| (at, without_verdict(id, fault))));
                }
            }
        }
        Ok(())
    }
}

/// The row of the reports.
fn line(case: &Case, verdict: &Result<Verdict, Fault>) -> String {
    let log = case.log_name();
    match verdict {
        Ok(verdict) => reports::write_graded(&verdict.report, &log, verdict.semantics.name()),
        Err(fault) => reports::write_ungraded(case.instance_id(), &log, fault),
    }
}

/// For the run report, which counts such an answer as an error.
fn without_verdict(instance_id: InstanceId, fault: Fault) -> Report {
    Report {
        instance_id,
        patch_is_none: false,
        patch_exists: true,
        patch_successfully_applied: false,
        log_graded: false,
        resolution: Resolution::No,
        infra_failure: None,
        ambiguous_failure: None,
        reason: Some(fault),
        tests_status: None,
        conduct: Vec::new(),
    }
}
