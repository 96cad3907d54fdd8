//! The scheduled pieces.

use std::sync::{Arc, Mutex, PoisonError};

use swegym_core::event::Event;
use swegym_core::{Digest, Fault, Instance, Prediction};
use swegym_tasks::micro::World;
use swegym_tasks::package::PackageSpec;
use swegym_tasks::synth::Synthesis;

use tokio::sync::watch;

use crate::build::{Built, Raw};
use crate::context::{Context, RunSettings};
use crate::dispatcher::{self, Jobs, Outcome, Progress, Ticket};
use crate::result::JobResult;
use crate::rollout::{IDLE_MEMORY, RolloutPlan};
use crate::run_dir::{RunDir, RunDirError};
use crate::validate::Checks;
use crate::{build, evaluate, micro, rollout, synth, validate};

/// One piece of work with a stable name.
#[derive(Debug, Clone)]
pub struct Job {
    /// Unique in the run, the same when the run is resumed; names a file.
    pub name: String,
    /// What to do.
    pub kind: JobKind,
}

/// The kinds of work.
#[derive(Debug, Clone)]
pub enum JobKind {
    /// Make an image of a package.
    Build(PackageSpec),
    /// Make an image of a raw instance, and the lists of its tests.
    Prepare(Arc<Raw>),
    /// Plant one bug and see what it breaks.
    Synth {
        /// The package.
        built: Arc<Built>,
        /// Its sites and seed.
        synthesis: Arc<Synthesis>,
        /// Which mutant.
        number: u32,
    },
    /// Make one repository of the micro gym.
    Micro {
        /// The image that all of them stand on.
        ground: Arc<str>,
        /// Which world.
        world: Arc<World>,
        /// Which of its tasks.
        number: u32,
    },
    /// Run an instance's tests without and with its gold patch.
    Validate {
        /// The instance.
        instance: Arc<Instance>,
        /// How, and what else is looked at.
        checks: Checks,
    },
    /// Test one answer.
    Evaluate {
        /// The instance.
        instance: Arc<Instance>,
        /// The answer.
        prediction: Arc<Prediction>,
        /// Which of several answers to the same instance.
        attempt: u32,
    },
    /// Let an agent work on an instance.
    Rollout {
        /// The instance.
        instance: Arc<Instance>,
        /// Which attempt.
        attempt: u32,
        /// How.
        plan: Arc<RolloutPlan>,
    },
}

/// Runs jobs to their end, as [`dispatcher::run`] does.
///
/// # Errors
/// Only when the run directory cannot be written to.
pub async fn run(
    run: &mut RunDir,
    (verb, inputs): (&str, Digest),
    jobs: Jobs<'_, Job>,
    context: &Context,
    stop: watch::Receiver<bool>,
    show: impl FnMut(&Event, Progress),
) -> Result<Vec<(String, Outcome)>, RunDirError> {
    let memory = context.settings.memory_bytes;
    let given: Arc<Mutex<Vec<Arc<Job>>>> = Arc::default();
    let Jobs { whole, mut next } = jobs;
    let (noted, settings) = (Arc::clone(&given), &context.settings);
    let tickets = move |outcomes: &[Option<Outcome>]| {
        let jobs: Vec<Arc<Job>> = next(outcomes).into_iter().map(Arc::new).collect();
        let tickets = jobs.iter().map(|job| job.ticket(settings)).collect();
        noted.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
        tickets
    };
    let doing = context.clone();
    let work = move |at: usize| {
        let (job, context) =
            (given.lock().unwrap_or_else(PoisonError::into_inner)[at].clone(), doing.clone());
        async move { job.execute(&context).await }
    };
    let tickets = Jobs { whole, next: Box::new(tickets) };
    dispatcher::run(run, (verb, inputs), tickets, memory, work, stop, show).await
}

impl Job {
    /// What the dispatcher must know of it. An agent mostly waits for its model, and
    /// its commands take turns.
    fn ticket(&self, settings: &RunSettings) -> Ticket {
        let (memory, at_once) = match &self.kind {
            JobKind::Build(_) | JobKind::Prepare(_) => (settings.build_limits.memory_bytes, settings.cores),
            JobKind::Rollout { plan, .. } => (IDLE_MEMORY, plan.concurrent),
            JobKind::Synth { .. }
            | JobKind::Micro { .. }
            | JobKind::Validate { .. }
            | JobKind::Evaluate { .. } => (settings.limits.memory_bytes, settings.cores),
        };
        Ticket { name: self.name.clone(), memory, at_once }
    }

    /// Does the work.
    async fn execute(&self, context: &Context) -> Result<JobResult, Fault> {
        match &self.kind {
            JobKind::Build(spec) => build::build(context, spec).await,
            JobKind::Prepare(raw) => build::prepare(context, raw).await,
            JobKind::Synth { built, synthesis, number } => {
                synth::synth(context, built, synthesis, *number).await
            }
            JobKind::Micro { ground, world, number } => micro::micro(context, ground, world, *number).await,
            JobKind::Validate { instance, checks } => validate::validate(context, instance, *checks).await,
            JobKind::Evaluate { instance, prediction, attempt } => {
                evaluate::evaluate(context, instance, prediction, *attempt).await
            }
            JobKind::Rollout { instance, attempt, plan } => {
                rollout::rollout(context, plan, instance, *attempt).await
            }
        }
    }
}
