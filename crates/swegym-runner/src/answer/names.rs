//! The names that an image's interpreter finds modules by.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use swegym_core::{Boundary, Fault};
use swegym_sandbox::{Command, Sandbox};

use super::profile::Known;
use crate::plan::WORKDIR;
use crate::shell::last_lines;

/// Images whose names are kept. Answers to one instance come one after the other.
const KEPT: usize = 64;

/// Prints the top-level names of the standard library and of what is installed,
/// and which folders below this one are on the path.
const NAMES: &str = "import os, sys\n\
names = set(sys.builtin_module_names) | set(getattr(sys, 'stdlib_module_names', ()))\n\
root = os.path.realpath('.')\n\
for folder in sys.path + os.environ.get('PYTHONPATH', '').split(os.pathsep):\n\
\x20   folder = os.path.realpath(folder)\n\
\x20   if folder.startswith(root + os.sep):\n\
\x20       print('path ' + os.path.relpath(folder, root))\n\
\x20   elif folder != root and os.path.isdir(folder):\n\
\x20       for name in os.listdir(folder):\n\
\x20           if os.path.isdir(os.path.join(folder, name)) or name.endswith(('.py', '.pyc', '.so')):\n\
\x20               names.add(name.split('.')[0])\n\
for name in names:\n\
\x20   print('name ' + name)\n";

/// What the interpreters of images said, kept for the next answers.
#[derive(Debug, Default)]
pub struct Names(Mutex<VecDeque<(String, Arc<Known>)>>);

impl Names {
    /// The names of an image, asked in a box in which nothing ran yet.
    pub(super) async fn of(&self, fresh: &dyn Sandbox, image: &str) -> Result<Arc<Known>, Fault> {
        let found = |kept: &VecDeque<(String, Arc<Known>)>| {
            kept.iter().find(|(of, _)| of == image).map(|(_, known)| Arc::clone(known))
        };
        if let Some(known) = found(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(known);
        }
        let known = Arc::new(ask(fresh).await?);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.push_front((image.to_owned(), Arc::clone(&known)));
        Ok(known)
    }
}

/// Asks a box's interpreter.
pub(super) async fn ask(sandbox: &dyn Sandbox) -> Result<Known, Fault> {
    let command = Command::new(["python", "-I", "-"], Duration::from_secs(120));
    let command = command.in_folder(WORKDIR).with_stdin(NAMES);
    let done = sandbox.exec(command).await.map_err(|e| e.to_fault())?;
    if !done.succeeded() {
        let said = last_lines(&done.output.combined_text(), 5);
        let code = if done.limit_hit.is_some() { "limit" } else { "step_failed" };
        let message = format!("asking the interpreter for its modules failed: {said}");
        return Err(Fault::new(Boundary::Task, code, message));
    }
    let said = done.output.stdout_text();
    let after = |word: &'static str| said.lines().filter_map(move |line| line.strip_prefix(word));
    Ok(Known {
        names: after("name ").map(str::to_owned).collect(),
        path: after("path ").map(|path| path.as_bytes().to_vec()).collect(),
    })
}
