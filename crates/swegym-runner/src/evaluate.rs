//! Testing one answer in a fresh box: patch on, tests restored, tests run,
//! evidence saved, verdict graded from the evidence alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use swegym_core::format::reports;
use swegym_core::{Boundary, Fault, Instance, Patch, Prediction, Report};
use swegym_grade::evidence::{Evidence, PatchOutcome, RunEnd, Structured};
use swegym_grade::{LogParser, Reading, Semantics};
use swegym_sandbox::store::write_whole;
use swegym_sandbox::{Command, Execution, Image, Sandbox, SandboxError};
use swegym_tasks::recipe::belongs_to_tests;

use crate::conduct;
use crate::context::Context;
use crate::job::JobResult;
use crate::synth::shell_quote;
use crate::testing::{TestPlan, TestRun, WORKDIR, last_lines, must_run, run_tests, start, stop};

/// The ways of applying an answer, in the reference's order (reference/grading.md, 1.1).
const APPLY: [&str; 4] = [
    "git apply --verbose",
    "git apply --verbose --3way",
    "git apply --verbose --reject",
    "patch --batch --forward --fuzz=5 -p1 -i",
];

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
    let (report, evidence, run) = test(context, instance, prediction, &image, &plan).await?;
    let folder = context.run_folder.join("evaluations").join(instance.instance_id.as_str());
    let folder = folder.join(attempt.to_string());
    save(&folder, prediction, run.as_ref(), &evidence, &report).map_err(|e| {
        Fault::new(
            Boundary::Sandbox,
            "store",
            format!("cannot save the evidence in `{}`: {e}", folder.display()),
        )
    })?;
    let value: Value = serde_json::from_str(&reports::write_row(&report)).unwrap_or_default();
    Ok(JobResult { outcome: outcome_word(&report), value })
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
) -> Result<(Report, Evidence, Option<TestRun>), Fault> {
    let (patch, run) = collect(context, instance, prediction, image, plan).await?;
    let parser = LogParser::of(instance).ok().flatten().unwrap_or(plan.parser);
    let evidence = Evidence {
        patch,
        reading: run.as_ref().map(|r| Reading::bare(&r.log, parser)),
        end: run.as_ref().map(|r| r.end),
        structured: run.as_ref().map_or(Structured::NotOffered, |r| r.structured.clone()),
        limit_hit: run.as_ref().and_then(|r| r.limit_hit.clone()),
    };
    let mut report = Semantics::V5.grade(instance, prediction.model_patch.is_none(), &evidence);
    report.conduct = conduct::marks(context, instance, image, prediction);
    Ok((report, evidence, run))
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

async fn collect(
    context: &Context,
    instance: &Instance,
    prediction: &Prediction,
    image: &Image,
    plan: &TestPlan,
) -> Result<(PatchOutcome, Option<TestRun>), Fault> {
    let answer = prediction.model_patch.as_deref().unwrap_or_default();
    if !prediction.is_empty()
        && let Err(refused) = Patch::parse(answer)
    {
        let outcome =
            PatchOutcome::Refused(refused.code().into(), refused.to_string(), refused.hint().into());
        return Ok((outcome, None));
    }
    let sandbox = start(context, image).await?;
    must_run(&sandbox, "git update-index -q --refresh; true", "reading the index").await?;
    let mut outcome = PatchOutcome::Absent;
    if !prediction.is_empty() {
        match apply_patch(&sandbox, answer).await? {
            Ok(()) => outcome = PatchOutcome::Applied,
            Err(words) => return Ok((PatchOutcome::Failed(words), None)),
        }
        restore_tests(&sandbox, &instance.base_commit).await?;
    }
    if !instance.test_patch.trim().is_empty()
        && let Err(words) = apply_patch(&sandbox, &instance.test_patch).await?
    {
        let message = format!("the test patch does not apply: {words}");
        return Err(Fault::new(Boundary::Task, "test_patch_does_not_apply", message));
    }
    let run = run_tests(context, &sandbox, plan).await?;
    stop(sandbox).await?;
    Ok((outcome, Some(run)))
}

/// The reference's chain: each way on a clean tree, and at the end the question
/// whether the patch is in already. `Err` holds the words of the first way.
pub(crate) async fn apply_patch(sandbox: &dyn Sandbox, patch: &str) -> Result<Result<(), String>, Fault> {
    const FILE: &str = "/tmp/swegym-answer.patch";
    sandbox.write(FILE, patch.as_bytes(), Some(0o644)).await.map_err(|e| e.to_fault())?;
    let mut first = None;
    for way in APPLY {
        let done = shell(sandbox, &format!("{way} {FILE}")).await?;
        if done.succeeded() {
            return Ok(Ok(()));
        }
        first.get_or_insert_with(|| last_lines(&done.output.combined_text(), 4));
        shell(sandbox, "git checkout -q -- . ; git clean -fdq").await?;
    }
    if shell(sandbox, &format!("git apply --check --reverse {FILE}")).await?.succeeded() {
        return Ok(Ok(()));
    }
    Ok(Err(first.unwrap_or_default()))
}

async fn shell(sandbox: &dyn Sandbox, line: &str) -> Result<Execution, Fault> {
    let command = Command::shell(line, Duration::from_secs(120)).in_folder(WORKDIR);
    sandbox.exec(command).await.map_err(|e| e.to_fault())
}

/// Paths that a git command prints, of those that belong to the tests, quoted.
async fn test_paths(sandbox: &dyn Sandbox, line: &str) -> Result<Vec<String>, Fault> {
    let out = must_run(sandbox, line, "listing what the answer changed").await?;
    Ok(out.split('\0').filter(|p| !p.is_empty() && belongs_to_tests(Path::new(p))).map(shell_quote).collect())
}

/// Whatever the answer did to tests, their helpers and their configuration by
/// `conftest.py` is undone: changed ones come back, new ones go.
async fn restore_tests(sandbox: &dyn Sandbox, base: &str) -> Result<(), Fault> {
    let base = shell_quote(base);
    let changed =
        test_paths(sandbox, &format!("git diff -z --name-only --no-renames --diff-filter=MDT {base}"))
            .await?;
    if !changed.is_empty() {
        must_run(sandbox, &format!("git checkout -q {base} -- {}", changed.join(" ")), "restoring tests")
            .await?;
    }
    let mut new = test_paths(sandbox, "git ls-files -z --others").await?;
    new.extend(
        test_paths(sandbox, &format!("git diff -z --name-only --no-renames --diff-filter=A {base}")).await?,
    );
    // Data files cannot run; bytecode is checked against its source.
    new.retain(|quoted| quoted.ends_with(".py'"));
    if !new.is_empty() {
        must_run(sandbox, &format!("rm -f -- {}", new.join(" ")), "removing new tests").await?;
    }
    Ok(())
}

fn save(
    folder: &Path,
    prediction: &Prediction,
    run: Option<&TestRun>,
    evidence: &Evidence,
    report: &Report,
) -> std::io::Result<()> {
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
        "end": end,
        "structured": structured,
        "limit_hit": evidence.limit_hit,
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
