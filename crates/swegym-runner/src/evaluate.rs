//! Testing one answer in a fresh box: patch on as far as it counts, tests run,
//! evidence saved, verdict graded from the evidence alone.

use std::fs;
use std::path::Path;

use swegym_core::format::evidence::{self, EvidenceFile, Results};
use swegym_core::format::reports;
use swegym_core::format::results::JobOutput;
use swegym_core::{Boundary, Digest, Fault, ImageRef, Instance, Prediction, Report, TestPlan};
use swegym_files::write_whole;
use swegym_grade::Semantics;
use swegym_grade::evidence::{Evidence, PatchOutcome, Structured};
use swegym_sandbox::{Image, SandboxError};

use crate::answer::{self, Laid, Notes};
use crate::conduct;
use crate::context::Context;
use crate::counter::{self, Counter};
use crate::plan::Tests;
use crate::result::JobResult;
use crate::testing::{TestRun, run_launched, start, stop};

/// The rules of our own verdicts.
const SEMANTICS: Semantics = Semantics::V5;

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
    let tests = Tests::of(instance, &image)?;
    let Tested { report, evidence, notes, run, counter } =
        test(context, instance, prediction, &image, &tests).await?;
    let document = EvidenceFile {
        patch: evidence.patch,
        answer: notes.to_json(),
        end: run.as_ref().map(|run| run.end),
        results: match evidence.structured {
            Structured::NotOffered => Results::NotOffered,
            Structured::Missing(why) => Results::Missing(why),
            Structured::Cases(cases) => Results::Cases(cases.len() as u64),
        },
        limit_hit: evidence.limit_hit,
        counter_tests: counter.as_ref().map(Counter::to_json),
        parser: Some(tests.parser.name().to_owned()),
        semantics: Some(SEMANTICS.name().to_owned()),
        usage: run.as_ref().map(|run| run.usage.clone()),
    };
    let name = evidence::folder(instance.instance_id.as_str(), attempt);
    let folder = context.run_folder.join(&name);
    let files = save(&folder, prediction, run.as_ref(), &document, &report).map_err(|e| {
        Fault::new(
            Boundary::Sandbox,
            "store",
            format!("cannot save the evidence in `{}`: {e}", folder.display()),
        )
    })?;
    let mut row = reports::row(&report);
    row.extend(notes.to_json().map(|notes| ("answer".to_owned(), notes)));
    let files = files.into_iter().map(|(file, digest)| (format!("{name}/{file}"), digest)).collect();
    Ok(JobResult { output: JobOutput::Evaluated(row), files })
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
    tests: &Tests,
) -> Result<Tested, Fault> {
    let Tried { patch, notes, run } = collect(context, instance, prediction, image, tests).await?;
    let evidence = evidence_of(tests, patch, run.as_ref());
    let mut report = SEMANTICS.grade(instance, prediction.model_patch.is_none(), &evidence);
    report.conduct = conduct::marks(context, instance, image, prediction);
    // Only a runner that swegym starts can be made to ask for other values.
    let can_ask = matches!(tests.plan, TestPlan::Command(_));
    let is_unmarked = report.resolved() && report.conduct.is_empty();
    let counter = match can_ask && is_unmarked && counter::is_called_for(context, instance, image, prediction)
    {
        true => counter::test(context, instance, prediction, image, tests).await?,
        false => None,
    };
    report.conduct.extend(counter.iter().flat_map(Counter::marks));
    Ok(Tested { report, evidence, notes, run, counter })
}

/// What the verdict on a run rests on.
pub(crate) fn evidence_of(tests: &Tests, patch: PatchOutcome, run: Option<&TestRun>) -> Evidence {
    Evidence {
        patch,
        reading: run.map(|r| r.reading(tests)),
        end: run.and_then(|r| r.tests_end(tests)),
        structured: run.map_or(Structured::NotOffered, |r| r.structured.clone()),
        limit_hit: run.and_then(|r| r.limit_hit.clone()),
    }
}

/// The image that an instance names.
///
/// # Errors
/// A fault of the task, with what to do.
pub fn image_of(context: &Context, instance: &Instance) -> Result<Image, Fault> {
    let id = &instance.instance_id;
    let missing = |message: String| {
        Fault::new(Boundary::Task, "image_missing", message).with_hint("build its image with `swegym build`")
    };
    match instance.image_ref() {
        Some(ImageRef::Store(digest)) => {
            context.host.store().load_image(&digest).map_err(|e| SandboxError::from(e).to_fault())
        }
        Some(ImageRef::Container(name)) => {
            Err(missing(format!("`{id}` names the image `{name}`, which is none of swegym's")))
        }
        None => Err(missing(format!("`{id}` names no image"))),
    }
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
    tests: &Tests,
) -> Result<Tried, Fault> {
    let text = prediction.model_patch.as_deref().filter(|_| !prediction.is_empty());
    let answer = match text.map(answer::read).transpose() {
        Ok(answer) => answer,
        Err(refused) => return Ok(Tried::without_run(refused)),
    };
    let sandbox = start(context, image).await?;
    let (notes, launch) =
        match answer::lay_out(context, &sandbox, instance, &tests.plan, answer.as_ref(), None).await? {
            Laid::Out(notes, launch) => (notes, launch),
            Laid::Failed(outcome) => return Ok(Tried::without_run(outcome)),
            Laid::TestsFailed(words) => {
                let message = format!("the test patch does not apply: {words}");
                return Err(Fault::new(Boundary::Task, "test_patch_does_not_apply", message));
            }
        };
    let run = run_launched(context, &sandbox, tests, notes.not_collected(), &launch, None).await?;
    stop(sandbox).await?;
    let patch = if answer.is_some() { PatchOutcome::Applied } else { PatchOutcome::Absent };
    Ok(Tried { patch, notes, run: Some(run) })
}

/// Saves what was found; gives the digest of each file.
fn save(
    folder: &Path,
    prediction: &Prediction,
    run: Option<&TestRun>,
    document: &EvidenceFile,
    report: &Report,
) -> std::io::Result<Vec<(&'static str, Digest)>> {
    // What a killed run left here goes with what it was writing.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let (text, verdict) = (evidence::write(document), format!("{:#}\n", reports::write_report(report)));
    let patch = prediction.model_patch.as_deref().unwrap_or_default();
    let mut files = vec![(evidence::FILE, text.as_bytes()), ("patch.diff", patch.as_bytes())];
    files.extend(run.map(|run| (evidence::LOG, run.log.as_bytes())));
    files.extend(run.and_then(|run| run.junit.as_deref()).map(|junit| (evidence::RESULTS, junit)));
    files.push(("report.json", verdict.as_bytes()));
    let save = |(name, bytes): (&'static str, &[u8])| {
        write_whole(&folder.join(name), bytes)?;
        Ok((name, Digest::of(bytes)))
    };
    files.into_iter().map(save).collect()
}
