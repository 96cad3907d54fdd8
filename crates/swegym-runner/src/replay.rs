//! An attempt done again with the recorded answers, to see whether the box
//! gives the recorded observations.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use swegym_agent::model::replayed::Replayed;
use swegym_agent::recorder::Recorder;
use swegym_agent::scaffold::Prompts;
use swegym_agent::{Attempt, Limits, Scaffold};
use swegym_core::record::RecordEvent;
use swegym_core::trajectory::{Step, beginning};
use swegym_core::{Boundary, Fault, Instance, Trajectory};
use tokio::sync::Semaphore;

use crate::clock::now_ms;
use crate::context::Context;
use crate::evaluate::image_of;
use crate::plan::WORKDIR;
use crate::testing::{start, stop};

/// Replays the events of a record into a new record, and compares the two.
///
/// # Errors
/// Faults of the box or the task, and a record that is none.
pub async fn replay(
    context: &Context,
    instance: &Instance,
    events: &[RecordEvent],
    into: &Path,
) -> Result<Value, Fault> {
    let broken = |e: swegym_core::trajectory::FoldError| Fault::new(Boundary::Task, "record", e.to_string());
    let recorded = Trajectory::fold(events).map_err(broken)?;
    let head = recorded.head.clone();
    let name = head.scaffold.split('@').next().unwrap_or_default();
    let scaffold = Scaffold::parse(name).ok_or_else(|| {
        Fault::new(Boundary::Task, "record", format!("this swegym has no scaffold `{}`", head.scaffold))
    })?;
    let start_events = beginning(events, 0, head.clone()).map_err(broken)?;
    let (mut recorder, there) = Recorder::open(into, now_ms)?;
    if !there.is_empty() {
        let message = format!("`{}` is there already", into.display());
        return Err(Fault::new(Boundary::Task, "record", message).with_hint("choose another --out"));
    }
    for event in &start_events {
        recorder.append(event)?;
    }
    let model = Replayed::of(events).map_err(broken)?;
    let prompts = Prompts::load(scaffold, None).map_err(|e| Fault::new(Boundary::Internal, "prompt", e))?;
    let turns = Semaphore::new(context.settings.cores);
    let limits = Limits { snapshots: false, ..Limits::from_map(&head.limits) };
    let sandbox = start(context, &image_of(context, instance)?).await?;
    let attempt = Attempt {
        instance,
        number: head.attempt,
        scaffold,
        prompts: &prompts,
        model: &model,
        calls: head.calls,
        sampling: head.sampling.clone(),
        limits: &limits,
        hints: false,
        workspace: WORKDIR,
        sandbox: &sandbox,
        ground: Arc::default(),
        turns: &turns,
    };
    let past = Trajectory::fold(&start_events).map_err(broken)?;
    match attempt.run(&mut recorder, Some(&past)).await {
        Ok(_) => {}
        // The record of an attempt that was cut off ends somewhere.
        Err(fault) if fault.code == "script" => {}
        Err(fault) => return Err(fault),
    }
    stop(sandbox).await?;
    drop(recorder);
    let (_, again) = Recorder::open(into, now_ms)?;
    let replayed = Trajectory::fold(&again).map_err(broken)?;
    Ok(compare(&recorded, &replayed))
}

fn compare(recorded: &Trajectory, replayed: &Trajectory) -> Value {
    let mut differences = Vec::new();
    for (old, new) in recorded.steps.iter().zip(&replayed.steps) {
        differences.extend(difference(old, new));
    }
    let (steps, again) = (recorded.steps.len(), replayed.steps.len());
    json!({
        "instance_id": recorded.head.instance_id.as_str(),
        "attempt": recorded.head.attempt,
        "steps": steps,
        "replayed_steps": again,
        "same_patch": recorded.patch == replayed.patch,
        "same_exit_status": recorded.stop == replayed.stop,
        "same": differences.is_empty() && steps == again && recorded.patch == replayed.patch,
        "differences": differences,
    })
}

fn difference(old: &Step, new: &Step) -> Option<Value> {
    let seen = |step: &Step| step.actions.iter().map(|a| a.observation.clone()).collect::<Vec<_>>();
    let (old_seen, new_seen) = (seen(old), seen(new));
    let what = match (old_seen == new_seen, effects(&old.patch) == effects(&new.patch)) {
        (true, true) => return None,
        (false, _) => "observation",
        (true, false) => "patch",
    };
    Some(json!({"step": old.number, "what": what, "recorded": old_seen, "replayed": new_seen}))
}

/// What a patch makes of files, without saying how: a draft may choose other
/// lines than git to come to the same.
fn effects(patch: &Option<String>) -> Option<Vec<&str>> {
    const HEADS: [&str; 6] =
        ["diff --git ", "index ", "old mode ", "new mode ", "new file mode ", "deleted file mode "];
    let is_head = |line: &&str| HEADS.iter().any(|head| line.starts_with(head));
    Some(patch.as_ref()?.lines().filter(is_head).collect())
}
