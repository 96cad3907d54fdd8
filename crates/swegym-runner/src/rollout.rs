//! One attempt of an agent at an instance: a box, a model, a record.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use swegym_agent::model::scripted::Scripted;
use swegym_agent::patch::Grounds;
use swegym_agent::recorder::Recorder;
use swegym_agent::scaffold::Prompts;
use swegym_agent::{Attempt, Limits, Model, Scaffold, teacher};
use swegym_core::chat::{CallForm, Sampling, Usage};
use swegym_core::conduct::commands::{Conduct, Sighting};
use swegym_core::conduct::patch::Mark;
use swegym_core::format::attempts::AttemptResult;
use swegym_core::format::reports;
use swegym_core::format::results::JobOutput;
use swegym_core::record::{AttemptHead, RecordEvent};
use swegym_core::shell::quote;
use swegym_core::trajectory::stuck::Stuck;
use swegym_core::trajectory::{FoldError, Step, beginning};
use swegym_core::wire::Wire;
use swegym_core::{Boundary, Fault, Instance, Prediction, StopReason, Trajectory, Verdict};
use swegym_sandbox::store::LayerId;
use swegym_sandbox::{EmbeddedSandbox, Image, Sandbox};
use tokio::sync::Semaphore;

use crate::clock::now_ms;
use crate::conduct;
use crate::context::Context;
use crate::evaluate::{evaluate, image_of};
use crate::plan::WORKDIR;
use crate::result::JobResult;
use crate::testing::{start, stop};

/// Memory that an attempt is expected to hold while its model thinks: a box
/// with an idle shell, and the conversation. Commands are limited by turns.
pub const IDLE_MEMORY: u64 = 32 << 20;

/// How all attempts of a run are made.
pub struct RolloutPlan {
    /// The way of working.
    pub scaffold: Scaffold,
    /// Its texts.
    pub prompts: Prompts,
    /// Who answers; teachers bring their own script.
    pub model: Option<Arc<dyn Model>>,
    /// The name in predictions.
    pub model_name: String,
    /// How calls travel.
    pub calls: CallForm,
    /// How tokens are drawn; attempt `k` adds `k` to the seed.
    pub sampling: Sampling,
    /// Attempt 0 is greedy, whatever the temperature of the others.
    pub first_greedy: bool,
    /// What an attempt may use.
    pub limits: Limits,
    /// Whether the task says what was discussed about it.
    pub hints: bool,
    /// Seed of teachers.
    pub seed: u64,
    /// Share of a noisy expert's attempts that go wrong.
    pub noise: f64,
    /// Whether teachers say nothing, and edit by line.
    pub terse: bool,
    /// Test each answer at once, in a fresh box.
    pub evaluates: bool,
    /// Attempts at once.
    pub concurrent: usize,
    /// Commands at once.
    pub turns: Semaphore,
    /// What attempts at an instance share of its repository.
    pub grounds: Grounds,
    /// The beginning that attempts share, of another attempt.
    pub fork: Option<Fork>,
}

/// Another attempt, up to a step.
#[derive(Debug, Clone)]
pub struct Fork {
    /// All its events.
    pub events: Vec<RecordEvent>,
    /// The last step that is shared.
    pub step: u32,
}

impl RolloutPlan {
    /// How tokens of one attempt are drawn.
    fn sampling_of(&self, number: u32) -> Sampling {
        let mut sampling = self.sampling.clone();
        sampling.seed = sampling.seed.map(|seed| seed + u64::from(number));
        if self.first_greedy && number == 0 {
            sampling.temperature = Some(0.0);
        }
        sampling
    }
}

impl std::fmt::Debug for RolloutPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RolloutPlan").field("scaffold", &self.scaffold).finish_non_exhaustive()
    }
}

/// Where an attempt's record is, in a run's folder.
#[must_use]
pub fn record_path(run_folder: &Path, instance: &Instance, attempt: u32) -> PathBuf {
    run_folder.join("trajectories").join(instance.instance_id.as_str()).join(format!("{attempt}.jsonl"))
}

/// Works on an instance to the end of the attempt, from where its record
/// stands; then, if the plan wants it, tests the answer.
///
/// # Errors
/// Faults of the endpoint, the box or the task; the record keeps what was done.
pub async fn rollout(
    context: &Context,
    plan: &RolloutPlan,
    instance: &Instance,
    attempt: u32,
) -> Result<JobResult, Fault> {
    let path = record_path(&context.run_folder, instance, attempt);
    let mut record = Record::open(&path)?;
    if !record.past.as_ref().is_some_and(Trajectory::is_over) {
        work(context, plan, instance, attempt, &mut record).await?;
        record = Record::open(&path)?;
    }
    let done = record.past.filter(Trajectory::is_over);
    let done = done.ok_or_else(|| Fault::new(Boundary::Internal, "record", "the record has no end"))?;
    let prediction = Prediction {
        instance_id: instance.instance_id.clone(),
        model_name_or_path: plan.model_name.clone(),
        model_patch: Some(done.patch.clone()),
    };
    let marks = conduct::marks(context, instance, &image_of(context, instance)?, &prediction);
    let mut result = summary(&done, instance, &marks);
    let (mut files, mut verdict) = (BTreeMap::new(), None);
    if plan.evaluates {
        let tested = evaluate(context, instance, &prediction, attempt).await?;
        files = tested.files;
        if let JobOutput::Evaluated(report) = tested.output {
            result.report = Some(report);
        }
        let judged = reports::read_one_judged("report", result.report.clone().unwrap_or_default());
        verdict = judged.ok().map(|row| Verdict { resolved: row.resolved, marked: row.marked });
    }
    result.class = done.class(&instance.repo, verdict);
    Ok(JobResult { output: JobOutput::Attempted(Box::new(result)), files })
}

/// An attempt's record and what it says so far.
struct Record {
    recorder: Recorder,
    events: Vec<RecordEvent>,
    /// `None` where there is no whole beginning.
    past: Option<Trajectory>,
}

impl Record {
    fn open(path: &Path) -> Result<Self, Fault> {
        let (recorder, events) = Recorder::open(path, now_ms)?;
        let mut record = Self { recorder, events, past: None };
        record.read()?;
        Ok(record)
    }

    fn read(&mut self) -> Result<(), Fault> {
        if self.events.iter().any(|e| matches!(e, RecordEvent::Stepped { .. })) {
            let folded = Trajectory::fold(&self.events);
            self.past = Some(folded.map_err(|e| Fault::new(Boundary::Internal, "record", e.to_string()))?);
        }
        Ok(())
    }

    fn append(&mut self, event: RecordEvent) -> Result<(), Fault> {
        self.recorder.append(&event)?;
        self.events.push(event);
        Ok(())
    }

    /// Lets the attempt go on from an earlier step.
    fn go_back_to(&mut self, step: u32) -> Result<(), Fault> {
        self.append(RecordEvent::Resumed { step })?;
        self.read()
    }

    /// Begins as another attempt did.
    fn begin_as(
        &mut self,
        plan: &RolloutPlan,
        instance: &Instance,
        number: u32,
        fork: &Fork,
    ) -> Result<(), Fault> {
        let wrong = |e: FoldError| {
            Fault::new(Boundary::Task, "no_such_step", e.to_string())
                .with_hint("see `swegym show trajectory` for its steps")
        };
        let of = Trajectory::fold(&fork.events).map_err(wrong)?.head;
        let head = AttemptHead {
            repo: Some(instance.repo.clone()),
            attempt: number,
            scaffold: plan.scaffold.version(),
            model: plan.model_name.clone(),
            wire: plan.model.as_ref().map_or(Wire::OpenAi, |m| m.wire()),
            calls: plan.calls,
            sampling: plan.sampling_of(number),
            tools: plan.scaffold.tools(),
            limits: plan.limits.to_map(),
            forked_from: Some((of.attempt, fork.step)),
            ..of
        };
        for event in beginning(&fork.events, fork.step, head).map_err(wrong)? {
            self.append(event)?;
        }
        self.read()?;
        match self.past.as_ref().map(|p| p.restorable) {
            Some(step) if step == fork.step => Ok(()),
            _ => {
                let message = format!("no snapshot holds the box as it stood after step {}", fork.step);
                Err(Fault::new(Boundary::Task, "no_snapshot", message)
                    .with_hint("fork at an earlier step, or roll out again without --no-snapshots"))
            }
        }
    }

    /// A box as the attempt left it.
    async fn box_to_go_on(
        &mut self,
        context: &Context,
        plan: &RolloutPlan,
        image: &Image,
    ) -> Result<EmbeddedSandbox, Fault> {
        let unsaved =
            self.past.as_ref().filter(|p| (p.restorable as usize) < p.steps.len()).map(|p| p.restorable);
        if let Some(step) = unsaved {
            self.go_back_to(step)?;
        }
        let layers = self.past.as_ref().map_or(Vec::new(), |p| p.layers.clone());
        let grown = layers.iter().fold(image.clone(), |image, layer| image.with_layer(LayerId(*layer)));
        match start(context, &grown).await {
            Err(fault) if fault.code == "image_missing" && !layers.is_empty() && plan.fork.is_some() => {
                let message = "the snapshot that the fork begins in is gone from the store".to_owned();
                Err(Fault::new(Boundary::Task, "no_snapshot", message)
                    .with_hint("fork at step 0, or roll out again"))
            }
            Err(fault) if fault.code == "image_missing" && !layers.is_empty() => {
                // Its snapshots are gone from the store: the attempt begins again.
                self.go_back_to(0)?;
                start(context, image).await
            }
            started => started,
        }
    }
}

async fn work(
    context: &Context,
    plan: &RolloutPlan,
    instance: &Instance,
    number: u32,
    record: &mut Record,
) -> Result<(), Fault> {
    let image = image_of(context, instance)?;
    if let (None, Some(fork)) = (&record.past, &plan.fork) {
        record.begin_as(plan, instance, number, fork)?;
    }
    let sandbox = record.box_to_go_on(context, plan, &image).await?;
    let script;
    let model: &dyn Model = match &plan.model {
        Some(model) => &**model,
        None => {
            script = teach(plan, instance, number, &sandbox).await?;
            &script
        }
    };
    let attempt = Attempt {
        instance,
        number,
        scaffold: plan.scaffold,
        prompts: &plan.prompts,
        model,
        calls: plan.calls,
        sampling: plan.sampling_of(number),
        limits: &plan.limits,
        hints: plan.hints,
        workspace: WORKDIR,
        sandbox: &sandbox,
        ground: plan.grounds.of(instance.instance_id.as_str()),
        turns: &plan.turns,
    };
    attempt.run(&mut record.recorder, record.past.as_ref()).await?;
    stop(sandbox).await
}

/// A teacher's script for this attempt, made from the files of the base commit:
/// in a box that is taken up those in the tree may be changed already.
async fn teach(
    plan: &RolloutPlan,
    instance: &Instance,
    number: u32,
    sandbox: &dyn Sandbox,
) -> Result<Scripted, Fault> {
    let mut files = BTreeMap::new();
    for path in teacher::wanted_files(instance) {
        let quoted = quote(&path);
        let line = format!("git show {}:{quoted}", quote(&instance.base_commit));
        let command =
            swegym_sandbox::Command::shell(&line, std::time::Duration::from_secs(60)).in_folder(WORKDIR);
        let shown = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
        if shown.succeeded() {
            files.insert(path, shown.output.stdout_text());
        }
    }
    let lesson = teacher::Lesson { instance, workspace: WORKDIR, files, terse: plan.terse };
    let script = match plan.scaffold {
        Scaffold::NoisyExpert => teacher::noisy_expert(&lesson, plan.seed, number, plan.noise),
        _ => teacher::gold(&lesson),
    };
    Ok(Scripted::new(&plan.model_name, script))
}

/// What the run keeps of an attempt besides its record.
fn summary(done: &Trajectory, instance: &Instance, marks: &[Mark]) -> AttemptResult {
    let sighting =
        |s: &Sighting| json!({"conduct": s.conduct.name(), "step": s.step, "evidence": s.evidence});
    let mut conduct: Vec<_> = Conduct::sightings(&done.steps, &instance.repo).iter().map(sighting).collect();
    conduct.extend(reports::write_marks(marks).as_array().cloned().unwrap_or_default());
    // Of steps that count. What a kill made void was paid for and limits count it,
    // but a run that was killed says what one says that was not.
    let mut usage = Usage::default();
    done.steps.iter().for_each(|step| usage.add(&step.usage));
    let count = |counts: &dyn Fn(&&Step) -> bool| done.steps.iter().filter(counts).count() as u64;
    let stuck = Stuck::ALL.into_iter().filter(|s| s.holds(&done.steps)).map(Stuck::name);
    AttemptResult {
        instance_id: done.head.instance_id.clone(),
        attempt: done.head.attempt,
        repo: Some(instance.repo.clone()),
        exit_status: done.stop.unwrap_or(StopReason::Interrupted),
        scaffold: done.head.scaffold.clone(),
        model: done.head.model.clone(),
        temperature: done.head.sampling.temperature,
        steps: done.steps.len() as u64,
        turns: count(&|step| !step.actions.is_empty()),
        malformed: count(&|step| step.problem.is_some()),
        stuck: stuck.map(str::to_owned).collect(),
        conduct,
        usage,
        patch: done.patch.clone(),
        report: None,
        class: None,
    }
}
