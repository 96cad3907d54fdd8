//! One attempt of an agent at an instance: a box, a model, a record.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use swegym_agent::model::ModelError;
use swegym_agent::model::scripted::Scripted;
use swegym_agent::recorder::Recorder;
use swegym_agent::scaffold::Prompts;
use swegym_agent::{Attempt, Limits, Model, Scaffold, teacher};
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::record::RecordEvent;
use swegym_core::trajectory::stuck::Stuck;
use swegym_core::{Boundary, Fault, Instance, Prediction, StopReason, Trajectory};
use swegym_sandbox::{Image, Sandbox};
use tokio::sync::Semaphore;

use crate::context::Context;
use crate::dispatcher::now_ms;
use crate::evaluate::{evaluate, image_of};
use crate::job::{JobResult, sandbox_fault};
use crate::testing::{WORKDIR, start, stop};

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
    /// Test each answer at once, in a fresh box.
    pub evaluates: bool,
    /// Attempts at once.
    pub concurrent: usize,
    /// Commands at once.
    pub turns: Semaphore,
}

impl std::fmt::Debug for RolloutPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RolloutPlan").field("scaffold", &self.scaffold).finish_non_exhaustive()
    }
}

/// Where an attempt's record is, in a run's folder.
#[must_use]
pub fn record_path(run_folder: &std::path::Path, instance: &Instance, attempt: u32) -> PathBuf {
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
    let (mut recorder, mut events) = Recorder::open(&path, now_ms).map_err(Fault::from)?;
    let mut past = past_of(&events)?;
    if !past.as_ref().is_some_and(Trajectory::is_over) {
        work(context, plan, instance, attempt, &mut recorder, &mut past, &mut events).await?;
        drop(recorder);
        (_, events) = Recorder::open(&path, now_ms).map_err(Fault::from)?;
        past = past_of(&events)?;
    }
    let done = past.filter(Trajectory::is_over);
    let done = done.ok_or_else(|| Fault::new(Boundary::Internal, "record", "the record has no end"))?;
    let prediction = Prediction {
        instance_id: instance.instance_id.clone(),
        model_name_or_path: plan.model_name.clone(),
        model_patch: Some(done.patch.clone()),
    };
    let mut value = summary(&done);
    let mut outcome = value["exit_status"].as_str().unwrap_or_default().to_owned();
    if plan.evaluates {
        let graded = evaluate(context, instance, &prediction, attempt).await?;
        outcome = graded.outcome;
        value["report"] = graded.value;
    }
    Ok(JobResult { outcome, value })
}

/// The attempt so far; a record without a whole beginning counts as none.
fn past_of(events: &[RecordEvent]) -> Result<Option<Trajectory>, Fault> {
    if !events.iter().any(|e| matches!(e, RecordEvent::Stepped { .. })) {
        return Ok(None);
    }
    let folded = Trajectory::fold(events);
    folded.map(Some).map_err(|e| Fault::new(Boundary::Internal, "record", e.to_string()))
}

async fn work(
    context: &Context,
    plan: &RolloutPlan,
    instance: &Instance,
    number: u32,
    recorder: &mut Recorder,
    past: &mut Option<Trajectory>,
    events: &mut Vec<RecordEvent>,
) -> Result<(), Fault> {
    let image = image_of(context, instance)?;
    let sandbox = match &*past {
        Some(there) if !there.steps.is_empty() => match start(context, &grown(&image, there)).await {
            Ok(sandbox) => sandbox,
            Err(fault) if fault.code == "image_missing" => {
                // Its snapshots are gone from the store: the attempt begins again.
                let again = RecordEvent::Resumed { step: 0 };
                recorder.append(&again).map_err(Fault::from)?;
                events.push(again);
                *past = past_of(events)?;
                start(context, &image).await?
            }
            Err(fault) => return Err(fault),
        },
        _ => start(context, &image).await?,
    };
    let script;
    let model: &dyn Model = match &plan.model {
        Some(model) => &**model,
        None => {
            script = teach(plan, instance, number, &sandbox).await?;
            &script
        }
    };
    let mut sampling = plan.sampling.clone();
    sampling.seed = sampling.seed.map(|seed| seed + u64::from(number));
    if plan.first_greedy && number == 0 {
        sampling.temperature = Some(0.0);
    }
    let attempt = Attempt {
        instance,
        number,
        scaffold: plan.scaffold,
        prompts: &plan.prompts,
        model,
        calls: plan.calls,
        sampling,
        limits: &plan.limits,
        hints: plan.hints,
        workspace: WORKDIR,
        sandbox: &sandbox,
        turns: &plan.turns,
    };
    attempt.run(recorder, past.as_ref()).await?;
    stop(sandbox).await
}

/// The image with what an attempt has written on top of it.
fn grown(image: &Image, past: &Trajectory) -> Image {
    let layers = past.layers.iter().map(|d| swegym_sandbox::store::LayerId(*d));
    layers.fold(image.clone(), |image, layer| image.with_layer(layer))
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
        let quoted = crate::synth::shell_quote(&path);
        let line = format!("git show {}:{quoted}", crate::synth::shell_quote(&instance.base_commit));
        let command =
            swegym_sandbox::Command::shell(&line, std::time::Duration::from_secs(60)).in_folder(WORKDIR);
        let shown = sandbox.exec(command).await.map_err(|e| sandbox_fault(&e))?;
        if shown.succeeded() {
            files.insert(path, shown.output.stdout_text());
        }
    }
    let lesson = teacher::Lesson { instance, workspace: WORKDIR, files };
    let script = match plan.scaffold {
        Scaffold::NoisyExpert => teacher::noisy_expert(&lesson, plan.seed, number, plan.noise),
        _ => teacher::gold(&lesson),
    };
    Ok(Scripted::new(&plan.model_name, script))
}

/// What the run keeps of an attempt besides its record. It holds no times.
fn summary(done: &Trajectory) -> Value {
    let reason = done.stop.unwrap_or(StopReason::Interrupted);
    let stuck: Vec<_> = Stuck::ALL.into_iter().filter(|s| s.holds(&done.steps)).map(Stuck::name).collect();
    let turns = done.steps.iter().filter(|s| !s.actions.is_empty()).count();
    json!({
        "instance_id": done.head.instance_id.as_str(),
        "attempt": done.head.attempt,
        "exit_status": reason.as_str(),
        "class": if reason.is_budget() { "budget" } else { "policy" },
        "scaffold": done.head.scaffold,
        "model": done.head.model,
        "temperature": done.head.sampling.temperature,
        "steps": done.steps.len(),
        "turns": turns,
        "malformed": done.steps.iter().filter(|s| s.problem.is_some()).count(),
        "stuck": stuck,
        "answers": done.answers,
        "prompt_tokens": done.usage.prompt_tokens,
        "completion_tokens": done.usage.completion_tokens,
        "cached_tokens": done.usage.cached_tokens,
        "cost_usd": done.usage.cost_usd,
        "empty_patch": done.patch.trim().is_empty(),
        "patch": done.patch,
    })
}

/// Whether every other attempt would meet this fault, too.
#[must_use]
pub fn is_everybodys(fault: &Fault) -> bool {
    let of = |error: ModelError| error.to_fault().code == fault.code;
    fault.boundary == Boundary::Model
        && (of(ModelError::NotFound(String::new()))
            || of(ModelError::BudgetSpent(String::new()))
            || of(ModelError::Unauthorized { status: 401, words: String::new() }))
}
