//! What runs tests in a box: a program of ours, not the repository's. It comes
//! with a guard that is there before anything of the repository can run, so that
//! no file of an answer stands for the runner, its plug-ins or the interpreter's
//! own modules, and tells results through a descriptor whose other end only the
//! supervisor holds.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use swegym_core::shell::quote;
use swegym_core::{Fault, TestCommand, TestPlan, TestRunner};
use swegym_grade::junit;
use swegym_sandbox::{Command, Sandbox};

use crate::plan::WORKDIR;
use crate::shell::{must_run, write};

/// Python takes it for its `sitecustomize`.
const GUARD: &str = include_str!("launcher/guard.py");
/// Started in the place of `python -m`.
const LAUNCHER: &str = include_str!("launcher/launcher.py");

/// The modules of the base commit stay what they are, whatever their names are.
const LIST_BASE: &str = "git ls-tree -r -z --name-only --full-tree HEAD";

/// A module that looks on while tests run.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    /// Its name and text, and those of what it imports.
    pub modules: &'static [(&'static str, &'static str)],
    /// What it reads from a file beside it, of its name and `.json`.
    pub data: Option<String>,
}

impl Watcher {
    fn name(&self) -> &'static str {
        self.modules.first().map_or("", |(name, _)| name)
    }
}

/// One start of the tests: made for one run, and never used again.
pub(crate) struct Launch {
    folder: String,
    secret: String,
}

impl Launch {
    /// Puts the launcher, or the row's script, into a box, outside the repository;
    /// `listing` are the paths of the base commit, where they are known.
    ///
    /// # Errors
    /// When the box breaks, or its repository has no commit.
    pub(crate) async fn prepare(
        sandbox: &dyn Sandbox,
        plan: &TestPlan,
        watcher: Option<&Watcher>,
        listing: Option<String>,
    ) -> Result<Self, Fault> {
        let launch = Self { folder: format!("/tmp/swegym-run-{}", random()), secret: random() + &random() };
        if let TestPlan::Script(script) = plan {
            write(sandbox, &launch.script(), script.as_bytes(), 0o444).await?;
            return Ok(launch);
        }
        let listing = match listing {
            Some(listing) => listing,
            None => must_run(sandbox, LIST_BASE, "listing the base commit").await?,
        };
        let base = [WORKDIR.to_owned()].into_iter().chain(modules(&listing)).collect::<Vec<_>>().join("\0");
        let mut files = vec![
            ("base".to_owned(), base.as_str()),
            ("sitecustomize.py".to_owned(), GUARD),
            ("launcher.py".to_owned(), LAUNCHER),
        ];
        if let Some(watcher) = watcher {
            files.extend(watcher.modules.iter().map(|(name, text)| (format!("{name}.py"), *text)));
            files.extend(watcher.data.as_deref().map(|data| (format!("{}.json", watcher.name()), data)));
        }
        for (name, text) in files {
            let path = format!("{}/{name}", launch.folder);
            write(sandbox, &path, text.as_bytes(), 0o444).await?;
        }
        Ok(launch)
    }

    /// The command that runs a plan's tests, but for files that are `ignored`.
    pub(crate) fn command(
        &self,
        plan: &TestPlan,
        ignored: &[String],
        watcher: Option<&Watcher>,
        timeout: Duration,
    ) -> Command {
        match plan {
            TestPlan::Command(command) => self.runner(command, ignored, watcher, timeout),
            TestPlan::Script(_) => self.shell(ignored, timeout),
        }
    }

    fn runner(
        &self,
        command: &TestCommand,
        ignored: &[String],
        watcher: Option<&Watcher>,
        timeout: Duration,
    ) -> Command {
        let runner = command.runner.name().to_owned();
        let words = ["python".to_owned(), format!("{}/launcher.py", self.folder), runner];
        // unittest only runs what it finds, and can be told of no file to leave out.
        let ignored =
            ignored.iter().filter(|_| command.runner == TestRunner::Pytest).map(|path| ignore(path));
        let argv = words.into_iter().chain(ignored).chain(command.arguments.iter().cloned());
        // Not among the arguments, where the tests could tell one run from another.
        let input = [self.secret.as_str()].into_iter().chain(watcher.map(Watcher::name));
        Command::new(argv, timeout)
            .in_folder(WORKDIR)
            .with_env("PYTHONPATH", &*self.folder)
            .with_stdin(input.collect::<Vec<_>>().join(" "))
            .with_results(junit::LARGEST)
    }

    /// The script's run. Both of its streams are one pipe: bash tells the marks on one of
    /// them, the tests print on the other.
    fn shell(&self, ignored: &[String], timeout: Duration) -> Command {
        let command = Command::new(["bash", "-c", "exec bash \"$0\" 2>&1", &self.script()], timeout);
        let ignored: Vec<String> = ignored.iter().map(|path| quote(&ignore(path))).collect();
        let command = command.in_folder(WORKDIR);
        if ignored.is_empty() { command } else { command.with_env("PYTEST_ADDOPTS", ignored.join(" ")) }
    }

    fn script(&self) -> String {
        format!("{}/tests.sh", self.folder)
    }

    /// What every line of the results begins with.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }
}

/// How pytest is told not to collect a file.
fn ignore(path: &str) -> String {
    format!("--ignore={path}")
}

/// 64 bits that nobody can guess: a hash under a key of the system's randomness.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(0u8))
}

/// The modules among files, as paths without an ending: `src/a.py`,
/// `src/a/__init__.py` and `src/a.cpython-312-x86_64-linux-gnu.so` are `src/a`.
fn modules(listing: &str) -> BTreeSet<String> {
    let module = |path: &str| {
        if let Some(stem) = path.strip_suffix(".py") {
            return Some(stem.strip_suffix("/__init__").unwrap_or(stem).to_owned());
        }
        let stem = path.strip_suffix(".so")?;
        let name = stem.rfind('/').map_or(0, |at| at + 1);
        let end = stem[name..].find('.').map_or(stem.len(), |at| name + at);
        Some(stem[..end].to_owned())
    };
    listing.split('\0').filter_map(module).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_paths_without_endings() {
        let listing = "a.py\0src/b/__init__.py\0src/b/c.py\0d.e/f.cpython-311.so\0data/x.txt\0";
        let expected = ["a", "d.e/f", "src/b", "src/b/c"].map(str::to_owned);
        assert_eq!(modules(listing), BTreeSet::from(expected));
    }

    #[test]
    fn secrets_differ() {
        let many: BTreeSet<String> = (0..1000).map(|_| random()).collect();
        assert_eq!(many.len(), 1000);
    }
}
