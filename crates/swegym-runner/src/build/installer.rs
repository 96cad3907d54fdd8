//! uv in a build box: what it is told, and why it failed.

use swegym_core::{Boundary, Fault};
use swegym_sandbox::output::Keep;
use swegym_sandbox::{BoxSettings, Command, EmbeddedSandbox, Execution, Image, Sandbox as _};
use swegym_tasks::index::IndexError;

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

/// What packages of older days ask of setuptools, as a file.
const CONSTRAINTS: &str = "/tmp/build-constraints.txt";

/// The setuptools that a package is built with. uv's cut-off date holds for it as
/// well, and older ones cannot install a folder as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuildTools {
    /// What the date allows.
    Dated,
    /// The first that installs folders, whatever the date.
    Editing,
    /// The last with `pkg_resources`.
    Older,
    /// The last that makes Python 3 of Python 2.
    Converting,
}

impl BuildTools {
    /// Days on which setuptools learned to install a folder, and to be what uv asks
    /// for where a project names no build system.
    const EDITING: &str = "2022-08-12";
    const ANY: &str = "2019-02-06";

    fn of_the_day(until: Option<&str>, is_editable: bool) -> Self {
        let first = if is_editable { Self::EDITING } else { Self::ANY };
        if until.is_some_and(|until| until < first) { Self::Editing } else { Self::Dated }
    }

    fn options(self) -> String {
        match self {
            Self::Dated => String::new(),
            // It builds wheels with a wheel of its time.
            Self::Editing => ["setuptools", "wheel"]
                .map(|name| format!("--exclude-newer-package {name}=2022-09-01T00:00:00Z"))
                .join(" "),
            Self::Older | Self::Converting => format!("--build-constraints {CONSTRAINTS}"),
        }
    }

    /// What else may work after this has failed.
    fn instead(self, fault: &Fault) -> Option<Self> {
        match self {
            Self::Dated | Self::Editing if fault.message.contains("use_2to3") => Some(Self::Converting),
            Self::Dated if fault.message.contains("pkg_resources") => Some(Self::Older),
            _ => None,
        }
    }

    /// What is asked of setuptools.
    fn constraint(self) -> &'static str {
        match self {
            Self::Converting => "setuptools<58\n",
            Self::Dated | Self::Editing | Self::Older => "setuptools<82\n",
        }
    }
}

/// A box that installs, with the index at its only port.
pub(super) struct Installer<'a> {
    context: &'a Context,
    pub(super) sandbox: EmbeddedSandbox,
    mirror: Mirror,
    version: &'a str,
    until: Option<&'a str>,
}

impl<'a> Installer<'a> {
    /// Starts the box. `version` is what the package says it is, `until` a time
    /// after which nothing is installed.
    pub(super) async fn start(
        context: &'a Context,
        image: &Image,
        version: &'a str,
        until: Option<&'a str>,
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
        Ok(Self { context, sandbox, mirror, version, until })
    }

    /// Runs uv and gives what it prints.
    pub(super) async fn uv(&self, arguments: &str, what: &str) -> Result<String, Fault> {
        let line = format!("{} --no-progress --no-config {arguments}", foundation::UV);
        let mut command = Command::shell(&line, self.context.settings.install_timeout)
            .in_folder(WORKDIR)
            .keeping(Keep { head: 1 << 20, tail: 64 << 10, kill_after: 64 << 20 })
            // Links instead of copies: the cache and the environment are on one file system.
            .with_env("UV_CACHE_DIR", CACHE)
            .with_env("UV_LINK_MODE", "hardlink")
            .with_env("UV_PYTHON_DOWNLOADS", "never")
            .with_env("UV_HTTP_TIMEOUT", PATIENCE)
            .with_env("PIP_DEFAULT_TIMEOUT", PATIENCE)
            // Whatever may pass, the mirror has tried more than once.
            .with_env("UV_HTTP_RETRIES", "0")
            .with_env("PIP_RETRIES", "0")
            // There is no history to read a version from.
            .with_env("SETUPTOOLS_SCM_PRETEND_VERSION", self.version)
            .with_env("PBR_VERSION", self.version)
            .with_env("PDM_BUILD_SCM_VERSION", self.version)
            .with_env("POETRY_DYNAMIC_VERSIONING_BYPASS", self.version);
        let index = Mirror::address();
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
            command = command.with_env(name, &index);
        }
        if let Some(time) = self.until.or(self.context.install.exclude_newer.as_deref()) {
            command = command.with_env(CUT_OFF, time);
        }
        let done = self.sandbox.exec(command).await.map_err(|e| e.to_fault())?;
        let refusals = self.mirror.take_refusals();
        if done.succeeded() {
            return Ok(done.output.stdout_text());
        }
        Err(self.fault(&done, what, &refusals))
    }

    /// Installs something that has to be built first: with what its day had to build
    /// with, or, where that cannot, with what can.
    pub(super) async fn install(&self, what: &str, target: &str, is_editable: bool) -> Result<(), Fault> {
        let tools =
            BuildTools::of_the_day(self.until.or(self.context.install.exclude_newer.as_deref()), is_editable);
        let mut tried = tools;
        loop {
            let line = format!("pip install -q --python /opt/venv/bin/python {} {target}", tried.options());
            let Err(fault) = self.uv(&line, what).await else { return Ok(()) };
            match tried.instead(&fault) {
                Some(other) if !fault.boundary.is_infrastructure() => tried = other,
                _ => return Err(fault),
            }
            let written = self.sandbox.write(CONSTRAINTS, tried.constraint().as_bytes(), Some(0o644));
            written.await.map_err(|e| e.to_fault())?;
        }
    }

    fn fault(&self, done: &Execution, what: &str, refusals: &[IndexError]) -> Fault {
        let said = done.output.combined_text();
        if done.limit_hit == Some(swegym_sandbox::limits::LimitHit::Disk) {
            return Fault::new(Boundary::Task, "disk_limit", format!("{what} filled the box's disk"))
                .with_hint("give builds more with --build-disk");
        }
        // What the mirror refused is why, if anything; a broken network is everybody's.
        let broken = refusals.iter().find(|refusal| refusal.is_infrastructure());
        if let Some(refusal) = broken.or(refusals.last()) {
            let (boundary, code) = match refusal {
                IndexError::Fetch { .. } => (Boundary::Sandbox, "network"),
                IndexError::Keep { .. } => (Boundary::Sandbox, "cache"),
                _ => (Boundary::Task, "not_fetched"),
            };
            let why = std::error::Error::source(refusal).map(|s| format!(": {s}")).unwrap_or_default();
            let said = last_lines(&said, 4);
            return Fault::new(boundary, code, format!("{what} failed: {refusal}{why}\n{said}"))
                .hinted_by(refusal);
        }
        let fault = Fault::new(
            Boundary::Task,
            "does_not_install",
            format!("{what} failed: {}", last_lines(&said, 8)),
        );
        if self.context.index.is_only_kept() {
            return fault.with_hint("only what was fetched before was there: try --network index");
        }
        fault
    }
}
