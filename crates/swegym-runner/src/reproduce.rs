//! Scripts of what tests show, run with and without a fix.

use std::time::Duration;

use swegym_core::Fault;
use swegym_sandbox::{Command, Image, Sandbox as _};
use swegym_tasks::synth::snippet::{self, Reproduced, Snippet};
use swegym_tasks::synth::statement;

use crate::context::Context;
use crate::plan::WORKDIR;
use crate::shell::write;
use crate::testing::{start, stop};

/// The ways to show what the tests that must flip show.
pub(crate) fn of_tests<'o>(
    observed: &'o [(String, Vec<Snippet>)],
    fail_to_pass: &[&str],
) -> Vec<(&'o str, &'o [Snippet])> {
    // Logs cut ids at blanks, so an expected id may be the start of the observed one.
    let wanted = |id: &str| fail_to_pass.iter().any(|t| id.starts_with(*t));
    observed.iter().filter(|(id, _)| wanted(id)).map(|(id, snippets)| (id.as_str(), &**snippets)).collect()
}

/// Where the program that runs snippets stands in a box.
const REPRODUCE_PATH: &str = "/tmp/swegym/reproduce.py";
/// For all snippets of a candidate together; what was found until then counts.
const REPRODUCE_TIME: Duration = Duration::from_secs(90);

/// Runs snippets on both trees, in a box where no test has been, and gives those
/// that tell the trees apart.
/// Files are (path, mended, broken).
pub(crate) async fn reproduce(
    context: &Context,
    image: &Image,
    files: &[(&str, &str, &str)],
    failures: &[(&str, &[Snippet])],
) -> Result<Vec<Reproduced>, Fault> {
    let sandbox = start(context, image).await?;
    write(&sandbox, REPRODUCE_PATH, snippet::REPRODUCE.as_bytes(), 0o444).await?;
    let command = Command::new(["python", REPRODUCE_PATH], REPRODUCE_TIME)
        .in_folder(WORKDIR)
        .with_stdin(snippet::question(files, failures, statement::SHOWN));
    let done = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    stop(sandbox).await?;
    Ok(snippet::read_reproduced(&done.output.stdout_text()))
}
