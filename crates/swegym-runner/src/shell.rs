//! What we ourselves do in a box: run a line, write a file, quote an output.

use std::io;

use swegym_core::{Boundary, Fault, visible};
use swegym_sandbox::{Command, Sandbox, SandboxError};

use crate::plan::WORKDIR;

/// Runs a line of shell that is ours and must succeed.
pub(crate) async fn must_run(sandbox: &dyn Sandbox, line: &str, what: &str) -> Result<String, Fault> {
    must_run_in(WORKDIR, sandbox, line, what).await
}

/// The same in another folder.
pub(crate) async fn must_run_in(
    folder: &str,
    sandbox: &dyn Sandbox,
    line: &str,
    what: &str,
) -> Result<String, Fault> {
    let command = Command::shell(line, std::time::Duration::from_secs(120)).in_folder(folder);
    let done = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    if done.succeeded() {
        return Ok(done.output.stdout_text());
    }
    let said = done.output.combined_text();
    let code = if done.limit_hit.is_some() { "limit" } else { "step_failed" };
    Err(Fault::new(Boundary::Task, code, format!("{what} failed: {}", last_lines(&said, 5))))
}

/// Writes a file of ours. Where the box has no room for it, that is a fault of the
/// boundary task.
pub(crate) async fn write(sandbox: &dyn Sandbox, path: &str, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    let no_room = [StorageFull, QuotaExceeded, FileTooLarge, OutOfMemory];
    sandbox.write(path, bytes, Some(mode)).await.map_err(|error| match &error {
        SandboxError::File { source, .. } if no_room.contains(&source.kind()) => {
            Fault { boundary: Boundary::Task, code: "limit".into(), ..error.to_fault() }
        }
        _ => error.to_fault(),
    })
}

/// The end of an output, for messages. Long lines are cut, and what is not seen
/// is spelt.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = |line: &&str| visible(line).chars().take(300).collect::<String>();
    lines[lines.len().saturating_sub(count)..].iter().map(shown).collect::<Vec<_>>().join("\n")
}
