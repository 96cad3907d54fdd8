//! One run of a package's tests in a box, and the evidence it leaves.

use serde_json::{Value, json};
use swegym_core::{Fault, TestPlan};
use swegym_grade::evidence::{RunEnd, Structured};
use swegym_grade::{Reading, StatusMap, witness};
use swegym_sandbox::output::Keep;
use swegym_sandbox::{EmbeddedSandbox, End, Execution, Image, Sandbox};

use crate::context::Context;
use crate::launcher::{Launch, Watcher};
use crate::plan::Tests;
use crate::results::{self, Read, Site};

/// What one run left.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRun {
    /// Both streams in order.
    pub log: String,
    /// How it ended.
    pub end: RunEnd,
    /// The second witness.
    pub structured: Structured,
    /// The bytes of the second witness, for the run directory.
    pub junit: Option<Vec<u8>>,
    /// What tests asked for, where somebody looked on who changed it.
    pub(crate) sites: Vec<Site>,
    /// The files in which it was changed.
    pub(crate) changed: Vec<String>,
    /// A limit of the box that was hit.
    pub limit_hit: Option<String>,
    /// Milliseconds of processor and wall time, and bytes: for evidence files only.
    pub usage: Value,
}

/// Runs the tests in a box that is already prepared.
///
/// # Errors
/// Only when the box breaks; whatever the tests do is evidence.
pub async fn run_tests(context: &Context, sandbox: &dyn Sandbox, tests: &Tests) -> Result<TestRun, Fault> {
    run_watched(context, sandbox, tests, None).await
}

/// The same with somebody looking on.
pub(crate) async fn run_watched(
    context: &Context,
    sandbox: &dyn Sandbox,
    tests: &Tests,
    watcher: Option<&Watcher>,
) -> Result<TestRun, Fault> {
    let launch = Launch::prepare(sandbox, &tests.plan, watcher, None).await?;
    run_launched(context, sandbox, tests, &[], &launch, watcher).await
}

/// The same where what runs the tests is in the box already, but for files that are `ignored`.
pub(crate) async fn run_launched(
    context: &Context,
    sandbox: &dyn Sandbox,
    tests: &Tests,
    ignored: &[String],
    launch: &Launch,
    watcher: Option<&Watcher>,
) -> Result<TestRun, Fault> {
    let keep = Keep { head: 24 << 20, tail: 8 << 20, kill_after: 256 << 20 };
    let command = launch.command(&tests.plan, ignored, watcher, context.settings.test_timeout).keeping(keep);
    let Execution { end, limit_hit, output, results, cpu_time, max_rss_bytes, wall_time, .. } =
        sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    let end = match end {
        End::Exited(code) => RunEnd::Exited(code),
        End::Signalled(signal) => RunEnd::Signalled(signal),
        End::TimedOut(_) => RunEnd::TimedOut,
    };
    let Read { junit, structured, sites, changed } = match &tests.plan {
        TestPlan::Command(_) => results::read(&results, launch.secret(), end),
        plan if plan.writes_results() => results::read_file(sandbox).await?,
        TestPlan::Script(_) => Read::nothing_offered(),
    };
    Ok(TestRun {
        log: output.combined_text(),
        end,
        structured,
        junit,
        sites,
        changed,
        limit_hit: limit_hit.map(|l| l.as_str().to_owned()),
        usage: json!({
            "cpu_time_ms": cpu_time.as_millis() as u64,
            "wall_time_ms": wall_time.as_millis() as u64,
            "max_rss_bytes": max_rss_bytes,
        }),
    })
}

impl TestRun {
    /// Its log, read as the plan lays it out.
    #[must_use]
    pub fn reading(&self, tests: &Tests) -> Reading {
        match tests.plan.marks_its_log() {
            true => Reading::marked(&self.log, tests.parser),
            false => Reading::bare(&self.log, tests.parser),
        }
    }

    /// How the tests ended, where the end of the run says it: a script that marks its
    /// log writes their status there, and goes on to something else.
    #[must_use]
    pub fn tests_end(&self, tests: &Tests) -> Option<RunEnd> {
        let is_scripts = matches!(self.end, RunEnd::Exited(_)) && tests.plan.marks_its_log();
        (!is_scripts).then_some(self.end)
    }

    /// Statuses by the log; none by one that is no result.
    #[must_use]
    pub fn statuses(&self, tests: &Tests) -> StatusMap {
        let Reading { statuses, refusal, .. } = self.reading(tests);
        if refusal.is_some() { StatusMap::default() } else { statuses }
    }

    /// Tests that pass by every witness that there is. A run that was stopped from
    /// outside vouches for none.
    #[must_use]
    pub fn passed(&self, tests: &Tests) -> Vec<String> {
        if !matches!(self.end, RunEnd::Exited(_)) || self.limit_hit.is_some() {
            return Vec::new();
        }
        let second = match &self.structured {
            Structured::Cases(cases) => Some(witness::Structured::new(cases)),
            Structured::Missing(_) => return Vec::new(),
            Structured::NotOffered => None,
        };
        let agreed =
            |id: &str| second.as_ref().is_none_or(|second| second.status_of(id).is_some_and(|s| s.is_pass()));
        let statuses = self.statuses(tests);
        let passed = statuses.iter().filter(|(_, s)| s.status().is_some_and(|s| s.is_pass()));
        passed.map(|(id, _)| id).filter(|id| agreed(id)).map(str::to_owned).collect()
    }

    /// Files that could not be collected: pytest reports them as errors without a test.
    #[must_use]
    pub fn collection_errors(&self, tests: &Tests) -> Vec<String> {
        let statuses = self.statuses(tests);
        let errors = statuses.iter().filter(|(_, s)| s.status() == Some(swegym_core::TestStatus::Error));
        errors.map(|(id, _)| id.to_owned()).filter(|id| !id.contains("::") && id.ends_with(".py")).collect()
    }
}

/// Starts a box without network from an image. Dropping it ends it; an orderly
/// end is [`stop`].
pub(crate) async fn start(context: &Context, image: &Image) -> Result<EmbeddedSandbox, Fault> {
    context.host.start_box(image, &context.test_box()).await.map_err(|e| e.to_fault())
}

/// Ends a box and waits until it is gone, so that its memory is free again.
pub(crate) async fn stop(sandbox: EmbeddedSandbox) -> Result<(), Fault> {
    sandbox.stop().await.map_err(|e| e.to_fault())
}
