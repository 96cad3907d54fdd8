//! uv in a build box: what it is told, and why it failed.

use std::time::Duration;

use swegym_core::shell::quote;
use swegym_core::{Boundary, Fault};
use swegym_sandbox::limits::LimitHit;
use swegym_sandbox::output::Keep;

use swegym_sandbox::{BoxSettings, Command, EmbeddedSandbox, End, Execution, Image, Sandbox as _};
use swegym_tasks::index::IndexError;
use swegym_tasks::recipe::{Step, Way};

use super::CUT_OFF;
use crate::context::Context;
use crate::foundation;
use crate::mirror::{self, Mirror, Source};
use crate::plan::WORKDIR;
use crate::shell::last_lines;

/// uv's cache: this box's own, and not in the image.
pub(super) const CACHE: &str = "/opt/uv-cache";

/// How long uv and pip wait for the mirror, in seconds: it answers when it has
/// a file whole and checked.
const PATIENCE: &str = "600";

/// How long choosing versions may take: only metadata is wanted, and what has to be compiled
/// for it can be done without.
const CHOOSING: Duration = Duration::from_secs(180);

/// What tools that read a version from the history take instead.
const VERSION_NAMES: [&str; 4] = [
    "SETUPTOOLS_SCM_PRETEND_VERSION",
    "PBR_VERSION",
    "PDM_BUILD_SCM_VERSION",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
];

/// What is asked of the tools that build, as a file.
const CONSTRAINTS: &str = "/tmp/build-constraints.txt";

/// Days on which setuptools learned to install a folder, and to be what uv asks for where
/// a project names no build system. uv's cut-off holds for what builds as well; before
/// that day, the tools of 2022 build.
const EDITING: &str = "2022-08-12";
const ANY: &str = "2019-02-06";
pub(super) const FREED_TO_BUILD: [&str; 2] = ["setuptools", "wheel"];

/// A step that failed.
#[derive(Debug)]
pub(super) struct Refused {
    /// Which.
    pub(super) step: Step,
    /// Why, for people.
    pub(super) fault: Fault,
    /// All that the tool said.
    pub(super) said: String,
}

impl Refused {
    /// One without words of a tool.
    pub(super) fn at(step: Step) -> impl Fn(Fault) -> Self {
        move |fault| Self { step, said: fault.message.clone(), fault }
    }
}

/// A box that installs, with the index at its only port.
pub(super) struct Installer<'a> {
    context: &'a Context,
    pub(super) sandbox: EmbeddedSandbox,
    pub(super) mirror: Mirror,
    step: Step,
    version: &'a str,
    until: Option<&'a str>,
    way: Way,
}

impl<'a> Installer<'a> {
    /// Starts the box for a step. `version` is what the package says it is, `until` a time
    /// after which nothing is installed.
    pub(super) async fn start(
        context: &'a Context,
        image: &Image,
        step: Step,
        version: &'a str,
        until: Option<&'a str>,
        way: &Way,
    ) -> Result<Self, Fault> {
        let limits = context.settings.build_limits.clone();
        // What is fetched for a box lies outside it, and is no more than the box could hold.
        let room = limits.disk_bytes;
        let settings = BoxSettings { limits, port: Some(mirror::PORT) };
        let image = foundation::with_uv(context, image).await?;
        let sandbox = context.host.start_box(&image, &settings).await.map_err(|e| e.to_fault())?;
        let no_port = |why: String| Fault::new(Boundary::Sandbox, "no_index", why);
        let listener = sandbox.take_listener().ok_or_else(|| no_port("the box has no port".into()))?;
        let mirror = Mirror::open(listener, Source::Index(context.index.clone()), room)
            .map_err(|e| no_port(format!("cannot serve the index: {e}")))?;
        let until = until.or(context.install.exclude_newer.as_deref());
        let installer = Self { context, sandbox, mirror, step, version, until, way: way.clone() };
        if let Some(asked) = way.build_with.get(&step) {
            let text: String = asked.iter().map(|one| format!("{one}\n")).collect();
            installer.write(CONSTRAINTS, &text).await?;
        }
        Ok(installer)
    }

    /// How things are installed in it.
    pub(super) fn way(&self) -> &Way {
        &self.way
    }

    /// The same, to decide otherwise. What builds was written into the box when it started.
    pub(super) fn way_mut(&mut self) -> &mut Way {
        &mut self.way
    }

    /// Writes a file into the box.
    pub(super) async fn write(&self, path: &str, text: &str) -> Result<(), Fault> {
        let written = self.sandbox.write(path, text.as_bytes(), Some(0o644));
        written.await.map_err(|e| e.to_fault())
    }

    /// The day of the cut-off, where there is one.
    pub(super) fn day(&self) -> Option<&str> {
        self.until?.get(..10)
    }

    /// Whether the tools that build are newer than the cut-off allows.
    pub(super) fn frees_builders(&self, is_editable: bool) -> bool {
        let first = if is_editable { EDITING } else { ANY };
        self.day().is_some_and(|day| day < first)
    }

    /// Options of uv for what is resolved or built in this step.
    pub(super) fn options(&self, is_editable: bool) -> String {
        let mut words = Vec::new();
        let free = |name: &str, day: &str| {
            format!("--exclude-newer-package {}", quote(&format!("{name}={day}T00:00:00Z")))
        };
        if self.frees_builders(is_editable) {
            words.extend(FREED_TO_BUILD.map(|name| free(name, "2022-09-01")));
        }
        words.extend(self.way.freed.iter().map(|(name, day)| free(name, day)));
        words.extend(self.way.wheels_only.iter().map(|name| format!("--only-binary {}", quote(name))));
        if self.way.build_with.contains_key(&self.step) {
            words.push(format!("--build-constraints {CONSTRAINTS}"));
        }
        words.join(" ")
    }

    /// Runs uv and gives what it prints.
    pub(super) async fn uv(&self, arguments: &str, what: &str) -> Result<String, Refused> {
        self.uv_with("", arguments, what).await
    }

    /// The same where nothing is built, and files may be as new as `time`.
    pub(super) async fn uv_as_of(&self, time: &str, arguments: &str, what: &str) -> Result<String, Refused> {
        self.uv_with(&format!("{CUT_OFF}={time}"), &format!("{arguments} --only-binary :all:"), what).await
    }

    /// The same where nothing can be compiled: many packages do without, where they must.
    pub(super) async fn uv_without_compiler(&self, arguments: &str, what: &str) -> Result<String, Refused> {
        self.uv_with("CC=/bin/false CXX=/bin/false", arguments, what).await
    }

    async fn uv_with(&self, variables: &str, arguments: &str, what: &str) -> Result<String, Refused> {
        let line = format!("{variables} {} --no-progress --no-config {arguments}", foundation::UV);
        self.run(&line, what).await
    }

    /// Runs a line of shell as uv is run: with the index, and without a history.
    pub(super) async fn run(&self, line: &str, what: &str) -> Result<String, Refused> {
        let folder = if self.step == Step::Environment { "/" } else { WORKDIR };
        let most = self.context.settings.install_timeout;
        let time = if self.step == Step::Lock { most.min(CHOOSING) } else { most };
        let mut command = Command::shell(line, time)
            .in_folder(folder)
            .keeping(Keep { head: 1 << 20, tail: 64 << 10, kill_after: 64 << 20 })
            // Links instead of copies: the cache and the environment are on one file system.
            .with_env("UV_CACHE_DIR", CACHE)
            .with_env("UV_LINK_MODE", "hardlink")
            .with_env("UV_PYTHON_DOWNLOADS", "never")
            .with_env("UV_HTTP_TIMEOUT", PATIENCE)
            .with_env("PIP_DEFAULT_TIMEOUT", PATIENCE)
            // Whatever may pass, the mirror has tried more than once.
            .with_env("UV_HTTP_RETRIES", "0")
            .with_env("PIP_RETRIES", "0");
        // There is no history to read a version from.
        for name in VERSION_NAMES.iter().filter(|_| self.step != Step::Environment) {
            command = command.with_env(*name, self.version);
        }
        let index = Mirror::address();
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
            command = command.with_env(name, &index);
        }
        if let Some(time) = self.until {
            command = command.with_env(CUT_OFF, time);
        }
        let done = self.sandbox.exec(command).await.map_err(|e| self.refused(e.to_fault()))?;
        let refusals = self.mirror.take_refusals();
        if done.succeeded() {
            return Ok(done.output.stdout_text());
        }
        let said = done.output.combined_text();
        Err(Refused { step: self.step, fault: self.fault(&done, what, &refusals), said })
    }

    /// A fault of this step without words of a tool.
    pub(super) fn refused(&self, fault: Fault) -> Refused {
        Refused::at(self.step)(fault)
    }

    fn fault(&self, done: &Execution, what: &str, refusals: &[IndexError]) -> Fault {
        let fault = failed(done, what, refusals);
        if fault.code == "does_not_install" && self.context.index.is_only_kept() {
            return fault.with_hint("only what was fetched before was there: try --network index");
        }
        fault
    }
}

/// Why a step that installs failed: the disk, what the mirror refused, or what the tool says.
pub(super) fn failed(done: &Execution, what: &str, refusals: &[IndexError]) -> Fault {
    let said = done.output.combined_text();
    if done.limit_hit == Some(LimitHit::Disk) {
        return Fault::new(Boundary::Task, "disk_limit", format!("{what} filled the box's disk"))
            .with_hint("give builds more with --build-disk");
    }
    // What the mirror refused is why, if anything; a broken network is everybody's.
    let broken = refusals.iter().find(|refusal| refusal.is_infrastructure());
    let Some(refusal) = broken.or(refusals.last()) else {
        let how = match done.end {
            End::TimedOut(_) => format!("was not through after {} s", done.wall_time.as_secs()),
            _ => "failed".to_owned(),
        };
        let message = format!("{what} {how}: {}", last_lines(&said, 8));
        return Fault::new(Boundary::Task, "does_not_install", message);
    };
    let (boundary, code) = match refusal {
        IndexError::Fetch { .. } => (Boundary::Sandbox, "network"),
        IndexError::Keep { .. } => (Boundary::Sandbox, "cache"),
        _ => (Boundary::Task, "not_fetched"),
    };
    let why = std::error::Error::source(refusal).map(|s| format!(": {s}")).unwrap_or_default();
    let said = last_lines(&said, 4);
    Fault::new(boundary, code, format!("{what} failed: {refusal}{why}\n{said}")).hinted_by(refusal)
}
