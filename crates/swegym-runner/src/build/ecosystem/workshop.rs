//! A box that installs what a project of another language depends on: with its toolchain,
//! and with the registry of its language at its only port.

use std::sync::Arc;

use swegym_core::{Boundary, Fault};
use swegym_sandbox::limits::LimitHit;
use swegym_sandbox::output::Keep;
use swegym_sandbox::{BoxSettings, Command, EmbeddedSandbox, Execution, Extent, Image, Sandbox as _};
use swegym_tasks::index::IndexError;
use swegym_tasks::project::{Age, Language, Project, REPORTERS};

use super::super::installer::failed;
use super::super::nothing_installs;
use super::super::prepare::keep_commit;
use crate::context::Context;
use crate::mirror::{self, Mirror, Shop, ShopKind, Source};
use crate::plan::WORKDIR;
use crate::shell::{must_run, write};

/// What tells results to us, for a language's runners.
fn reporters(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::JavaScript => &OF_JAVASCRIPT,
        Language::Go => &[("tell.go", include_str!("reporters/tell.go"))],
        Language::Rust => &[("nextest.toml", include_str!("reporters/nextest.toml"))],
        Language::Python => &[],
    }
}

const OF_JAVASCRIPT: [(&str, &str); 4] = [
    ("results.cjs", include_str!("reporters/results.cjs")),
    ("mocha.cjs", include_str!("reporters/mocha.cjs")),
    ("jest.cjs", include_str!("reporters/jest.cjs")),
    ("node.mjs", include_str!("reporters/node.mjs")),
];

/// How it is said that a project depends on nothing.
pub(super) const NOTHING: &str = "no dependencies";

/// An installed project.
pub(super) struct Installed {
    pub(super) image: Image,
    /// The one commit.
    pub(super) commit: String,
    /// What the way to install goes by that worked.
    pub(super) from: String,
    /// The time after which nothing of it was published, where that is known.
    pub(super) until: Option<String>,
    /// Ways that did not.
    pub(super) refused: Vec<(String, Fault)>,
}

/// Installs what a project depends on, by the first way that works, and builds ahead what
/// tests take long to build.
///
/// # Errors
/// No way works, or the machinery fails.
pub(super) async fn install(
    context: &Context,
    mut image: Image,
    language: Language,
    project: &Project,
    until: Option<&str>,
) -> Result<Installed, Fault> {
    for (name, value) in variables(language, &image) {
        image.set_env(name, &value);
    }
    image.workdir = WORKDIR.to_owned();
    let mut refused = Vec::new();
    let ways = project.installs.iter().map(|way| (way.from.as_str(), way.line.as_str(), way.age));
    let nothing = project.installs.is_empty().then_some((NOTHING, "true", Age::Locked));
    let is_day_named = context.install.exclude_newer.is_some();
    // Whether the registry has nothing as old as that, or does not know how old it is.
    let mut is_too_old = false;
    for (from, line, age) in ways.chain(nothing) {
        let is_dated = age == Age::OfItsDay;
        if is_dated && is_too_old || age == Age::Now && is_day_named {
            continue;
        }
        // A way that does not work leaves things half done: each begins anew.
        let until = until.filter(|_| is_dated);
        let workshop = Workshop::start(context, &image, language, until).await?;
        match workshop.run(line, "installing").await {
            Ok(()) => {
                let (layer, commit) = workshop.finish(&project.builds).await?;
                let mut image = image.with_layer(layer);
                image.labels =
                    [("swegym.package".to_owned(), format!("{} {}", project.name, project.version))].into();
                let until = until.map(str::to_owned);
                return Ok(Installed { image, commit, from: from.to_owned(), until, refused });
            }
            Err(fault) if fault.boundary.is_infrastructure() => return Err(fault),
            Err(fault) => {
                is_too_old |=
                    fault.message.contains("with a date before") || fault.message.contains("ENOVERSIONS");
                refused.push((from.to_owned(), fault));
            }
        }
    }
    Err(match refused.iter().position(|(_, fault)| fault.code == "no_toolchain") {
        Some(at) => refused.swap_remove(at).1,
        None => nothing_installs(&project.name, &refused),
    })
}

/// What an image's commands find in their environment: tests have no network, and print no
/// colours.
fn variables(language: Language, image: &Image) -> Vec<(&'static str, String)> {
    let path = image.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
    let path = path.unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let fixed = |(name, value): (&'static str, &str)| (name, value.to_owned());
    let mut all: Vec<(&'static str, String)> = match language {
        Language::Python => Vec::new(),
        Language::JavaScript => vec![
            ("PATH", format!("{WORKDIR}/node_modules/.bin:{path}")),
            fixed(("CI", "true")),
            fixed(("npm_config_offline", "true")),
            fixed(("npm_config_update_notifier", "false")),
        ],
        Language::Rust => [
            ("CARGO_HOME", "/opt/cargo"),
            ("CARGO_TARGET_DIR", "/opt/target"),
            ("CARGO_NET_OFFLINE", "true"),
            ("CARGO_INCREMENTAL", "0"),
            ("CARGO_TERM_COLOR", "never"),
            // What a newer compiler warns of does not stop a build of its day.
            ("RUSTFLAGS", "--cap-lints=warn"),
            ("CARGO_PROFILE_DEV_DEBUG", "0"),
            ("CARGO_PROFILE_TEST_DEBUG", "0"),
        ]
        .map(fixed)
        .into(),
        Language::Go => [
            ("GOPATH", "/opt/go-path"),
            ("GOMODCACHE", "/opt/go-path/pkg/mod"),
            ("GOCACHE", "/opt/go-cache"),
            ("GOPROXY", "off"),
            ("GOSUMDB", "off"),
            ("GOTOOLCHAIN", "local"),
            ("GOTELEMETRY", "off"),
        ]
        .map(fixed)
        .into(),
    };
    all.push(fixed(("NO_COLOR", "1")));
    all
}

/// What is said to installers alone, before a line.
fn opening(language: Language) -> String {
    let here = format!("http://127.0.0.1:{}", mirror::PORT);
    match language {
        Language::Python => String::new(),
        Language::JavaScript => format!(
            "export npm_config_offline=false npm_config_registry={here}/ npm_config_replace_registry_host=always \
             npm_config_audit=false npm_config_fund=false npm_config_cache=/opt/npm-cache npm_config_loglevel=error \
             npm_config_fetch_timeout=600000 npm_config_fetch_retries=1"
        ),
        Language::Rust => format!(
            "mkdir -p /opt/cargo; printf '[source.crates-io]\\nreplace-with = \"mirror\"\\n\
             [source.mirror]\\nregistry = \"sparse+{here}/\"\\n' > /opt/cargo/config.toml; \
             export CARGO_NET_OFFLINE=false CARGO_HTTP_TIMEOUT=600 CARGO_NET_RETRY=1"
        ),
        Language::Go => format!("export GOPROXY={here}"),
    }
}

/// Takes away what differs from one build to the next, or is of use to installers alone.
fn tidying(language: Language) -> &'static str {
    match language {
        Language::Python => "true",
        Language::JavaScript => {
            "git ls-files --error-unmatch package-lock.json >/dev/null 2>&1 || rm -f package-lock.json; \
             rm -rf /opt/npm-cache /root/.npm /root/.cache /root/.config; printf 'node_modules/\\n' >> .git/info/exclude"
        }
        // cargo notes the files of packages in the folder in no order; they are built anew.
        Language::Rust => {
            "members=$(cargo metadata --no-deps --offline --format-version 1 2>/dev/null | \
             grep -o '\"name\":\"[^\"]*\",\"version\"' | cut -d'\"' -f4); \
             for member in $members; do cargo clean -q --offline -p \"$member\" 2>/dev/null; done; \
             rm -rf /opt/cargo/.global-cache /opt/cargo/.package-cache* /opt/target/.rustc_info.json; \
             printf '/target/\\n' >> .git/info/exclude"
        }
        // Every entry of the cache names the time when it was made.
        Language::Go => {
            "chmod -R u+w /opt/go-path 2>/dev/null; rm -rf /opt/go-path/pkg/mod/cache/download/sumdb /root/.config /root/.cache; \
             rm -f /opt/go-cache/trim.txt /opt/go-cache/testexpire.txt; \
             find /opt/go-cache -name '*-a' -exec sed -i -E 's/ [ 0-9]{20}$/  1577836800000000000/' {} + 2>/dev/null; true"
        }
    }
}

/// A box that installs.
struct Workshop<'a> {
    context: &'a Context,
    sandbox: EmbeddedSandbox,
    mirror: Mirror,
    language: Language,
}

impl<'a> Workshop<'a> {
    async fn start(
        context: &'a Context,
        image: &Image,
        language: Language,
        until: Option<&str>,
    ) -> Result<Self, Fault> {
        let limits = context.settings.build_limits.clone();
        let room = limits.disk_bytes;
        let settings = BoxSettings { limits, port: Some(mirror::PORT) };
        let sandbox = context.host.start_box(image, &settings).await.map_err(|e| e.to_fault())?;
        let no_port = |why: String| Fault::new(Boundary::Sandbox, "no_index", why);
        let listener = sandbox.take_listener().ok_or_else(|| no_port("the box has no port".into()))?;
        let source = source(context, language, until);
        let mirror = Mirror::open(listener, source, room)
            .map_err(|e| no_port(format!("cannot serve the registry: {e}")))?;
        for (name, text) in reporters(language) {
            write(&sandbox, &format!("{REPORTERS}/{name}"), text.as_bytes(), 0o444).await?;
        }
        Ok(Self { context, sandbox, mirror, language })
    }

    async fn run(&self, line: &str, what: &str) -> Result<(), Fault> {
        let line = format!("{}\n{line}", opening(self.language));
        let keep = Keep { head: 16 << 10, tail: 64 << 10, kill_after: 256 << 20 };
        let command = Command::shell(&line, self.context.settings.install_timeout).in_folder(WORKDIR);
        let done = self.sandbox.exec(command.keeping(keep)).await.map_err(|e| e.to_fault())?;
        let refusals = self.mirror.take_refusals();
        if done.succeeded() { Ok(()) } else { Err(self.fault(&done, what, &refusals)) }
    }

    /// Builds ahead, keeps the one commit, and freezes what there is.
    async fn finish(self, builds: &[String]) -> Result<(swegym_sandbox::store::LayerId, String), Fault> {
        for line in builds {
            // Tests may not even build before they are mended; what can be built is.
            match self.run(line, "building").await {
                Err(fault) if fault.boundary.is_infrastructure() => return Err(fault),
                Ok(()) | Err(_) => {}
            }
        }
        must_run(&self.sandbox, tidying(self.language), "tidying").await?;
        let commit = must_run(&self.sandbox, &keep_commit(), "committing").await?.trim().to_owned();
        let layer = self.sandbox.snapshot(Extent::Image).await.map_err(|e| e.to_fault())?;
        self.sandbox.stop().await.map_err(|e| e.to_fault())?;
        Ok((layer, commit))
    }

    fn fault(&self, done: &Execution, what: &str, refusals: &[IndexError]) -> Fault {
        let said = done.output.combined_text();
        let too_old = said.lines().find(|line| asks_for_newer_tools(line));
        match too_old.filter(|_| done.limit_hit != Some(LimitHit::Disk)) {
            Some(line) => {
                let message = format!("{what} failed: {}", line.trim());
                Fault::new(Boundary::Task, "no_toolchain", message).with_hint(format!(
                    "install a newer toolchain of {} on this machine",
                    self.language.name()
                ))
            }
            None => failed(done, what, refusals),
        }
    }
}

/// Whether a compiler says that it is too old for a project.
fn asks_for_newer_tools(line: &str) -> bool {
    line.contains("requires rustc ") || line.contains("requires go >=")
}

fn source(context: &Context, language: Language, until: Option<&str>) -> Source {
    let registries = &context.registries;
    let (kind, registry) = match language {
        Language::Python => return Source::Index(Arc::clone(&context.index)),
        Language::JavaScript => (ShopKind::Npm, &registries.npm),
        Language::Rust => (ShopKind::Crates, &registries.crates),
        Language::Go => (ShopKind::Go, &registries.go),
    };
    Source::Registry(Shop { kind, registry: Arc::clone(registry), until: until.map(str::to_owned) })
}
