//! Logs to verdicts, without running anything.

mod case;
mod explanation;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use swegym_core::format::instances::Need;
use swegym_core::format::reports;
use swegym_core::{Boundary, Fault, Instance, InstanceId, Report, Resolution};
use swegym_grade::Semantics;
use swegym_grade::semantics::Explanation;
use swegym_tasks::dataset;

use crate::args::GradeArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;

pub(crate) use case::Case;

/// Rows that are graded before they are written.
const BATCH: usize = 256;

/// What became of a case: its verdict, or why there is none.
pub(crate) struct Graded {
    pub(crate) id: Option<String>,
    pub(crate) log: String,
    pub(crate) verdict: Result<Verdict, Fault>,
}

/// A verdict and what it takes to explain it.
pub(crate) struct Verdict {
    pub(crate) report: Report,
    pub(crate) semantics: Semantics,
    pub(crate) explanations: Vec<Explanation>,
}

/// Grades every case and writes reports, run report and summary.
pub(crate) fn run(printer: Printer, cores: usize, args: &GradeArgs) -> Result<u8, CommandError> {
    let semantics = args.semantics.as_deref().map(semantics_named).transpose()?;
    let (instances_file, cases) = match (&args.run, &args.logs) {
        (Some(folder), _) => case::of_run(folder, args.instances.as_deref())?,
        (None, Some(manifest)) => {
            let file = args
                .instances
                .clone()
                .ok_or_else(|| CommandError::usage("no instances are given", "add --instances FILE"))?;
            (file, case::of_manifest(manifest)?)
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
    let instances = Instances::load(printer, &instances_file, &cases)?;
    let mut out = create(&args.out)?;
    let (mut all, mut explained, mut broken) = (Vec::new(), Vec::new(), 0);
    for batch in cases.chunks(BATCH) {
        let graded = grade_batch(batch, &instances, semantics, args.explain, cores);
        for (case, graded) in batch.iter().zip(graded) {
            writeln!(out, "{}", line(&graded)).map_err(|e| CommandError::file("write", &args.out, &e))?;
            match graded.verdict {
                Ok(Verdict { report, explanations, .. }) => {
                    explained.push((report.instance_id.clone(), explanations));
                    let patch_exists = report.patch_exists && !case.patch_is_empty();
                    all.push(Report { tests_status: None, patch_exists, ..report });
                }
                Err(fault) => {
                    broken += 1;
                    let id = graded.id.and_then(|id| InstanceId::new(id).ok());
                    all.extend(id.map(|id| without_verdict(id, fault)));
                }
            }
        }
    }
    out.flush().map_err(|e| CommandError::file("write", &args.out, &e))?;
    let run_report = reports::write_run_report(&instances.ids, &all);
    let report_file = args.report.clone().unwrap_or_else(|| args.out.with_extension("run_report.json"));
    std::fs::write(&report_file, format!("{run_report:#}\n"))
        .map_err(|e| CommandError::file("write", &report_file, &e))?;
    let resolved = all.iter().filter(|r| r.resolved()).count();
    let summary = json!({
        "graded": cases.len() - broken, "resolved": resolved, "broken": broken,
        "reports": args.out, "run_report": report_file,
    });
    if args.explain {
        explanation::show(printer, &explained, &summary);
    } else {
        let row = |name: &str, count: usize| vec![name.to_owned(), count.to_string()];
        let unresolved = cases.len() - broken - resolved;
        let table = [
            vec!["outcome".to_owned(), "logs".to_owned()],
            row("resolved", resolved),
            row("unresolved", unresolved),
            row("not gradable", broken),
        ];
        printer.result(&summary, &table);
    }
    if broken > 0 {
        printer.say(&format!(
            "{broken} rows could not be graded; each has its reason in {}",
            args.out.display()
        ));
    }
    Ok(if broken > 0 { exit::INVALID_TASKS } else { exit::DONE })
}

fn semantics_named(name: &str) -> Result<Semantics, CommandError> {
    Semantics::named(name).ok_or_else(|| {
        let known: Vec<&str> = Semantics::ALL.iter().map(|s| s.name()).collect();
        CommandError::usage(
            format!("no semantics is called `{name}`"),
            format!("one of: {}", known.join(", ")),
        )
    })
}

fn create(path: &Path) -> Result<BufWriter<File>, CommandError> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| CommandError::file("create", folder, &e))?;
    }
    Ok(BufWriter::new(File::create(path).map_err(|e| CommandError::file("create", path, &e))?))
}

/// What the dataset says about the instances that the cases name.
pub(crate) struct Instances {
    by_id: HashMap<String, Result<Instance, String>>,
    /// All readable ids of the dataset, in order.
    ids: Vec<InstanceId>,
}

impl Instances {
    /// Streams the dataset and keeps what grading needs of the rows that are named.
    pub(crate) fn load(printer: Printer, file: &Path, cases: &[Case]) -> Result<Self, CommandError> {
        let wanted: std::collections::HashSet<&str> = cases.iter().filter_map(Case::instance_id).collect();
        let mut loaded = Self { by_id: HashMap::new(), ids: Vec::new() };
        let mut bad = Vec::new();
        for row in dataset::Rows::open(file)? {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    bad.push(error.to_string());
                    continue;
                }
            };
            let shape = dataset::Shape::of(&row.fields);
            let named = row.fields.get("instance_id").and_then(Value::as_str).map(str::to_owned);
            match shape.instance(row, Need::Grading) {
                Ok(instance) => {
                    loaded.ids.push(instance.instance_id.clone());
                    let id = instance.instance_id.to_string();
                    if wanted.contains(id.as_str()) {
                        loaded.by_id.entry(id).or_insert_with(|| Ok(without_prose(instance)));
                    }
                }
                Err(error) => {
                    bad.push(error.to_string());
                    if let Some(id) = named {
                        loaded.by_id.entry(id).or_insert_with(|| Err(error.to_string()));
                    }
                }
            }
        }
        if let Some(first) = bad.first() {
            let file = file.display();
            printer.say(&format!(
                "{file}: {} rows cannot be read and are left out; the first: {first}",
                bad.len()
            ));
        }
        Ok(loaded)
    }

    fn find(&self, id: &str) -> Result<&Instance, Fault> {
        let missing = |message: String, hint: &str| {
            Fault::new(Boundary::Task, "instance_unknown", message).with_hint(hint)
        };
        match self.by_id.get(id) {
            Some(Ok(instance)) => Ok(instance),
            Some(Err(why)) => Err(missing(why.clone(), "mend the row")),
            None => Err(missing(
                format!("`{id}` is not among the instances"),
                "check that the two files belong together",
            )),
        }
    }
}

/// Of many instances only what decides is kept in memory.
fn without_prose(instance: Instance) -> Instance {
    let has_script = instance.eval_script.as_ref().map(|_| String::new());
    let mut extra = instance.extra;
    for (name, value) in &mut extra {
        if name != "expected_output_json" {
            *value = Value::Null;
        }
    }
    Instance {
        gold_patch: String::new(),
        test_patch: String::new(),
        problem_statement: String::new(),
        hints_text: String::new(),
        eval_script: has_script,
        extra,
        ..instance
    }
}

/// Grades cases on all cores; the results are in the order of the cases.
fn grade_batch(
    cases: &[Case],
    instances: &Instances,
    semantics: Option<Semantics>,
    explain: bool,
    cores: usize,
) -> Vec<Graded> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(cases.len()));
    std::thread::scope(|scope| {
        for _ in 0..cores.min(cases.len()).max(1) {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|case| (at, case))
                } {
                    let graded = grade_case(case, instances, semantics, explain);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, graded));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, graded)| graded).collect()
}

/// Grades one case.
pub(crate) fn grade_case(
    case: &Case,
    instances: &Instances,
    semantics: Option<Semantics>,
    explain: bool,
) -> Graded {
    let verdict = case.check().and_then(|id| instances.find(id)).and_then(|instance| {
        let (evidence, semantics) = case.evidence(instance, semantics)?;
        let report = semantics.grade(instance, case.patch_is_none(), &evidence);
        let explanations = if explain {
            swegym_grade::semantics::explain(semantics, instance, &evidence)
        } else {
            Vec::new()
        };
        Ok(Verdict { report, semantics, explanations })
    });
    Graded { id: case.instance_id().map(str::to_owned), log: case.log_name(), verdict }
}

/// The row of the reports.
fn line(graded: &Graded) -> String {
    match &graded.verdict {
        Ok(verdict) => reports::write_graded(&verdict.report, &graded.log, verdict.semantics.name()),
        Err(fault) => reports::write_ungraded(graded.id.as_deref(), &graded.log, fault),
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
    }
}

/// The default place of a run's instances.
fn instances_of_run(folder: &Path) -> Result<PathBuf, CommandError> {
    let path = folder.join("run.json");
    let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
    let head = swegym_core::format::run::read(&path.to_string_lossy(), &text)?;
    let named = head.settings.get("instances").and_then(Value::as_str).map(PathBuf::from);
    named.ok_or_else(|| {
        let message = format!("`{}` is not a run of `evaluate`", folder.display());
        CommandError::usage(message, "give the folder of an evaluation, or --logs MANIFEST")
    })
}
