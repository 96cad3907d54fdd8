//! Testing one answer in a fresh box: patch on as far as it counts, tests run,
//! evidence saved, verdict graded from the evidence alone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use swegym_core::format::reports;
use swegym_core::{Boundary, Fault, Instance, Prediction, Report};
use swegym_grade::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use swegym_grade::{LogParser, Reading, Semantics};
use swegym_sandbox::store::write_whole;
use swegym_sandbox::{Image, SandboxError};

use crate::answer::{self, Laid, Notes};
use crate::conduct;
use crate::context::Context;
use crate::counter::{self, Counter};
use crate::job::JobResult;
use crate::testing::{TestPlan, TestRun, run_launched, start, stop};

/// Evaluates a prediction and writes its evidence into the run's folder, under
/// the number of the attempt.
///
/// # Errors
/// Only faults of the task or the machinery; whatever the answer does is a report.
pub async fn evaluate(
    context: &Context,
    instance: &Instance,
    prediction: &Prediction,
    attempt: u32,
) -> Result<JobResult, Fault> {
    let image = image_of(context, instance)?;
    let plan = TestPlan::of_image(&image)?;
    let Tested { report, evidence, notes, run, counter } =
        test(context, instance, prediction, &image, &plan).await?;
    let folder = context.run_folder.join("evaluations").join(instance.instance_id.as_str());
    let folder = folder.join(attempt.to_string());
    save(&folder, prediction, run.as_ref(), &evidence, &notes, counter.as_ref(), &report).map_err(|e| {
        Fault::new(
            Boundary::Sandbox,
            "store",
            format!("cannot save the evidence in `{}`: {e}", folder.display()),
        )
    })?;
    let mut value: Value = serde_json::from_str(&reports::write_row(&report)).unwrap_or_default();
    if let Some(notes) = notes.to_json() {
        value["answer"] = notes;
    }
    Ok(JobResult { outcome: outcome_word(&report), value })
}

/// An answer, tested.
pub(crate) struct Tested {
    /// The verdict.
    pub(crate) report: Report,
    evidence: Evidence,
    notes: Notes,
    run: Option<TestRun>,
    counter: Option<Counter>,
}

/// Tests an answer in a fresh box: the verdict, and what it rests on.
///
/// # Errors
/// As [`evaluate`].
pub(crate) async fn test(
    context: &Context,
    instance: &Instance,
    prediction: &Prediction,
    image: &Image,
    plan: &TestPlan,
) -> Result<Tested, Fault> {
    let Tried { patch, notes, run } = collect(context, instance, prediction, image, plan).await?;
    let evidence = evidence(instance, plan, patch, run.as_ref());
    let mut report = Semantics::V5.grade(instance, prediction.model_patch.is_none(), &evidence);
    report.conduct = conduct::marks(context, instance, image, prediction);
    let is_unmarked = report.resolved() && report.conduct.is_empty();
    let counter = match is_unmarked && counter::is_called_for(context, instance, image, prediction) {
        true => counter::test(context, instance, prediction, image, plan).await?,
        false => None,
    };
    report.conduct.extend(counter.iter().flat_map(Counter::marks));
    Ok(Tested { report, evidence, notes, run, counter })
}

/// What the verdict on a run rests on.
pub(crate) fn evidence(
    instance: &Instance,
    plan: &TestPlan,
    patch: PatchOutcome,
    run: Option<&TestRun>,
) -> Evidence {
    let parser = LogParser::of(instance).ok().flatten().unwrap_or(plan.parser);
    Evidence {
        patch,
        reading: run.map(|r| Reading::bare(&r.log, parser)),
        end: run.map(|r| r.end),
        structured: run.map_or(Structured::NotOffered, |r| r.structured.clone()),
        limit_hit: run.and_then(|r| r.limit_hit.clone()),
    }
}

/// One word for counts and tables.
fn outcome_word(report: &Report) -> String {
    match (&report.reason, report.resolved(), report.patch_exists) {
        (_, true, _) => "resolved".into(),
        (Some(fault), ..) => fault.code.clone(),
        (None, false, false) => "empty_patch".into(),
        (None, false, true) => "unresolved".into(),
    }
}

/// The image that an instance names.
///
/// # Errors
/// A fault of the task, with what to do.
pub fn image_of(context: &Context, instance: &Instance) -> Result<Image, Fault> {
    let name = instance.image.as_deref().unwrap_or_default();
    let Some(digest) = name.strip_prefix("swegym:") else {
        let message =
            format!("`{}` names the image `{name}`, which is none of swegym's", instance.instance_id);
        return Err(Fault::new(Boundary::Task, "image_missing", message)
            .with_hint("build its image with `swegym build`"));
    };
    context.host.store().load_image(digest).map_err(|e| SandboxError::from(e).to_fault())
}

/// What is left of an answer: whether it went on, what of it counted, and the tests' run.
struct Tried {
    patch: PatchOutcome,
    notes: Notes,
    run: Option<TestRun>,
}

impl Tried {
    fn without_run(patch: PatchOutcome) -> Self {
        Self { patch, notes: Notes::default(), run: None }
    }
}

async fn collect(
    context: &Context,
    instance: &Instance,
    prediction: &Prediction,
    image: &Image,
    plan: &TestPlan,
) -> Result<Tried, Fault> {
    let text = prediction.model_patch.as_deref().filter(|_| !prediction.is_empty());
    let answer = match text.map(answer::read).transpose() {
        Ok(answer) => answer,
        Err(refused) => return Ok(Tried::without_run(refused)),
    };
    let sandbox = start(context, image).await?;
    let (notes, launch) =
        match answer::lay_out(context, &sandbox, instance, plan, answer.as_ref(), None).await? {
            Laid::Out(notes, launch) => (notes, launch),
            Laid::Failed(outcome) => return Ok(Tried::without_run(outcome)),
            Laid::TestsFailed(words) => {
                let message = format!("the test patch does not apply: {words}");
                return Err(Fault::new(Boundary::Task, "test_patch_does_not_apply", message));
            }
        };
    let run = run_launched(context, &sandbox, &notes.plan(plan), &launch, None).await?;
    stop(sandbox).await?;
    let patch = if answer.is_some() { PatchOutcome::Applied } else { PatchOutcome::Absent };
    Ok(Tried { patch, notes, run: Some(run) })
}

fn save(
    folder: &Path,
    prediction: &Prediction,
    run: Option<&TestRun>,
    evidence: &Evidence,
    notes: &Notes,
    counter: Option<&Counter>,
    report: &Report,
) -> std::io::Result<()> {
    // What a killed run left here goes with what it was writing.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let patch = match &evidence.patch {
        PatchOutcome::Absent => json!({"outcome": "absent"}),
        PatchOutcome::Applied => json!({"outcome": "applied"}),
        PatchOutcome::Refused(code, message, _) => {
            json!({"outcome": "refused", "code": code, "message": message})
        }
        PatchOutcome::Failed(words) => json!({"outcome": "failed", "message": words}),
    };
    let end = evidence.end.map(|end| match end {
        RunEnd::Exited(code) => json!({"exited": code}),
        RunEnd::Signalled(signal) => json!({"signalled": signal}),
        RunEnd::TimedOut => json!("timed_out"),
    });
    let structured = match &evidence.structured {
        Structured::NotOffered => json!("not_offered"),
        Structured::Missing(why) => json!({"missing": why}),
        Structured::Cases(cases) => json!({"cases": cases.len()}),
    };
    let document = json!({
        "format_version": 1,
        "patch": patch,
        "answer": notes.to_json(),
        "end": end,
        "structured": structured,
        "limit_hit": evidence.limit_hit,
        "counter_tests": counter.map(Counter::to_json),
        "semantics": Semantics::V5.name(),
        "usage": run.map(|r| r.usage.clone()),
    });
    write_whole(&folder.join("evidence.json"), format!("{document:#}\n").as_bytes())?;
    write_whole(
        &folder.join("patch.diff"),
        prediction.model_patch.as_deref().unwrap_or_default().as_bytes(),
    )?;
    if let Some(run) = run {
        write_whole(&folder.join("test_output.txt"), run.log.as_bytes())?;
        if let Some(junit) = &run.junit {
            write_whole(&folder.join("junit.xml"), junit)?;
        }
    }
    write_whole(&folder.join("report.json"), format!("{:#}\n", reports::write_report(report)).as_bytes())
}
