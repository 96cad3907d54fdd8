//! From a package to an image: source, dependencies by uv, one commit, bytecode.
//!
//! uv, and the build code of packages that it starts, run inside a box that
//! reaches the index (`mirror.rs`) and nothing else. All that they write is the
//! box's: counted by its limit, and gone with it but for what is frozen.

mod adviser;
mod baseline;
mod checkout;
mod ecosystem;
mod environment;
mod gaps;
mod install;
mod installer;
mod lock;
mod prepare;
mod search;
mod statement;
mod wheels;

use std::time::Duration;

use serde_json::{Map, Value, json};
use swegym_core::format::results::{Fields, JobOutput};
use swegym_core::{Boundary, Digest, Fault, Instance};
use swegym_sandbox::store::LayerId;
use swegym_sandbox::{Image, SandboxError};
use swegym_tasks::package::{self, Package, PackageSpec};
use swegym_tasks::recipe::{self, Recipe, RequirementSet};

use crate::context::Context;
use crate::foundation::{self, Foundation, Wanted};
use crate::plan::WORKDIR;
use crate::result::JobResult;
use crate::shell::last_lines;
use crate::testing::TestRun;
pub use adviser::Adviser;
use baseline::Baseline;
pub use prepare::{Known, Raw, prepare};
pub use search::Lesson;
use search::{Found, search};

/// How many requirement sets are tried before the best one is taken.
const SETS_TRIED: usize = 4;

/// uv's variable for a date after which nothing is installed.
pub const CUT_OFF: &str = "UV_EXCLUDE_NEWER";

/// A package with its image, as the build's result says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Normalised name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Digest of the image.
    pub image: String,
    /// The layer that holds the untouched source, at the working folder.
    pub source: String,
    /// The one commit.
    pub commit: String,
    /// Tests that pass in every run of the untouched package, by both witnesses.
    pub passing: Vec<String>,
}

/// Files of tests, whose bytecode images do not have: what they expect could be read from
/// there, whatever the tests are when they run. An expression of `compileall`.
const TESTS_WITHOUT_BYTECODE: &str = "/tests/|/test_[^/]*[.]py$|_test[.]py$|/tests?[.]py$|/conftest[.]py$";

/// The variables of every git command that makes a commit: no clock, no user.
pub(crate) const GIT_IDENTITY: &str = "GIT_AUTHOR_NAME=swegym GIT_AUTHOR_EMAIL=swegym@localhost \
GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_NAME=swegym GIT_COMMITTER_EMAIL=swegym@localhost \
GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'";

/// Makes the working folder a repository with one commit, nothing to look
/// back at, an index without times, and a pack that does not depend on which of
/// several threads was faster, so that equal trees are equal bytes.
pub(crate) fn commit_script() -> String {
    format!(
        "set -e; rm -rf .git; git -c init.defaultBranch=main init -q --template= .; mkdir -p .git/info; \
         git config core.logAllRefUpdates false; git config gc.auto 0; git config core.fileMode true; \
         printf '%s\\n' '*.egg-info/' '__pycache__/' '*.pyc' '.pytest_cache/' '.eggs/' 'build/' '.coverage' > .git/info/exclude; \
         git add -A .; {GIT_IDENTITY} git commit -q --allow-empty --no-verify --no-gpg-sign -m 'Initial state'; \
         git -c pack.threads=1 repack -adq; git prune-packed -q; rm -f .git/COMMIT_EDITMSG .git/index; git read-tree HEAD; git rev-parse HEAD"
    )
}

/// What is built, and on what.
struct Project<'a> {
    context: &'a Context,
    foundation: &'a Foundation,
    source: LayerId,
    package: &'a Package,
    recipe: &'a Recipe,
    trial: Trial<'a>,
}

impl Project<'_> {
    /// Whether another interpreter may be tried: a commit is of a day, and there are several
    /// that were in use; a package gets the one that was chosen.
    fn may_change_python(&self) -> bool {
        matches!(self.trial, Trial::Gold(_)) && self.context.install.python.is_none()
    }

    /// Whether it is one of many commits, and need not be waited for; a package that somebody
    /// names is.
    fn is_of_many(&self) -> bool {
        matches!(self.trial, Trial::Gold(_))
    }

    /// How long sets are tried.
    fn patience(&self) -> Duration {
        if self.is_of_many() {
            2 * self.context.settings.install_timeout
        } else {
            Duration::from_secs(24 * 3600)
        }
    }

    /// Whether what the project itself asks for may be left out: gold decides whether that did
    /// any harm, and a package has none.
    fn may_override(&self) -> bool {
        matches!(self.trial, Trial::Gold(_))
    }

    /// An image with the source on top.
    fn with_source(&self, image: &Image) -> Image {
        image.with_layer(self.source)
    }
}

/// What is run to see whether an installation is any good.
#[derive(Clone, Copy)]
enum Trial<'a> {
    /// All tests, on the source as it is.
    Whole,
    /// The tests of an instance, on its commit with the gold patch.
    Gold(&'a Instance),
}

impl Trial<'_> {
    /// The arguments of the runner. Before version 4, pytest lists tests that pass only where
    /// it is asked for them by the older letters, which newer ones know as well.
    fn arguments(self, recipe: &Recipe) -> Vec<String> {
        let older = |word: String| if word == "-rA" { "-rapP".to_owned() } else { word };
        match self {
            Self::Whole => recipe.test_arguments(),
            Self::Gold(_) => recipe.test_arguments().into_iter().map(older).collect(),
        }
    }
}

/// Builds a package's image and learns which of its tests can be relied on.
///
/// # Errors
/// A fault of the task (no such package, no tests, nothing resolves, nothing
/// passes) or of the machinery.
pub async fn build(context: &Context, spec: &PackageSpec) -> Result<JobResult, Fault> {
    let (package, recipe, source) = unpack(context, spec).await?;
    let wanted = Wanted { requires: recipe.requires_python.clone(), ..Wanted::default() };
    let foundation = foundation::lay(context, &wanted).await?;
    let trial = Trial::Whole;
    let project =
        Project { context, foundation: &foundation, source, package: &package, recipe: &recipe, trial };
    let now = &recipe.requirement_sets[..recipe.requirement_sets.len().min(SETS_TRIED)];
    let then = in_its_days(context, &package, now);
    let Found { best, refused, .. } = search(&project, &then, now, &Lesson::default()).await?;
    match best {
        None => Err(nothing_installs(&package.name, &refused)),
        Some(baseline) if baseline.passing().is_empty() => {
            Err(nothing_passes(&package.name, &baseline.runs, &refused))
        }
        Some(baseline) => result(context, &package, &recipe, source, &baseline, &refused),
    }
}

/// The sets with what there was when the package came out; none where the user has
/// named a date, or nobody knows one.
fn in_its_days(context: &Context, package: &Package, sets: &[RequirementSet]) -> Vec<RequirementSet> {
    let is_named = context.install.exclude_newer.is_some();
    let Some(date) = package.released.as_ref().filter(|_| !is_named) else { return Vec::new() };
    let day = date.split('T').next().unwrap_or_default();
    let dated = |set: &RequirementSet| RequirementSet {
        from: format!("{}, as of {day}", set.from).trim_start_matches(", ").to_owned(),
        until: Some(date.clone()),
        ..set.clone()
    };
    sets.iter().map(dated).collect()
}

/// Sets of requirements that do not install, and why.
fn reasons(refused: &[(String, Fault)]) -> String {
    let reason = |(from, fault): &(String, Fault)| {
        let from = if from.is_empty() { "no requirements" } else { from };
        format!("{from}: {}", fault.message)
    };
    refused.iter().map(reason).collect::<Vec<_>>().join("\n")
}

/// Reasons that say more than that something does not install.
const CLEARER: [&str; 2] = ["no_interpreter", "needs_system_package"];

/// Why no set of requirements installs.
fn nothing_installs(name: &str, refused: &[(String, Fault)]) -> Fault {
    let message = format!("no requirement set of `{name}` installs:\n{}", reasons(refused));
    let hint = refused.iter().find_map(|(_, fault)| fault.hint.clone()).unwrap_or_else(|| {
        "see which requirement does not resolve; an older Python (--python) or a cut-off date (--exclude-newer) often helps".into()
    });
    let clearer = refused.iter().map(|(_, fault)| fault.code.as_str()).find(|code| CLEARER.contains(code));
    Fault::new(Boundary::Task, clearer.unwrap_or("does_not_install"), message).with_hint(hint)
}

/// Why no test can be relied on: a limit, the clock, or the tests themselves.
fn nothing_passes(name: &str, runs: &[TestRun], refused: &[(String, Fault)]) -> Fault {
    let task =
        |code: &str, message: String, hint: &str| Fault::new(Boundary::Task, code, message).with_hint(hint);
    if let Some(limit) = runs.iter().find_map(|r| r.limit_hit.as_deref()) {
        let message = format!("the tests of `{name}` ran into the box's {limit} limit");
        return task(
            "limit",
            message,
            "if they are honest tests, give boxes more: --box-memory, --box-disk, --box-processes",
        );
    }
    if runs.iter().any(|r| r.end == swegym_grade::evidence::RunEnd::TimedOut) {
        let message = format!("the tests of `{name}` did not finish in time");
        return task("timeout", message, "give them longer with --test-timeout");
    }
    let log = runs.first().map(|r| last_lines(&r.log, 12)).unwrap_or_default();
    // Of many failures the first mostly tells why there are the others.
    let first =
        runs.first().and_then(baseline::first_failure).map(|text| format!("\nthe first failure:\n{text}"));
    let first = first.unwrap_or_default();
    let others = match refused {
        [] => String::new(),
        refused => format!("\nother sets of requirements do not install:\n{}", reasons(refused)),
    };
    task(
        "nothing_passes",
        format!("no test of `{name}` passes:\n{log}{first}{others}"),
        "run them by hand to see why; another version or Python (--python) may work",
    )
}

async fn unpack(context: &Context, spec: &PackageSpec) -> Result<(Package, Recipe, LayerId), Fault> {
    let (spec, index, store) = (spec.clone(), context.index.clone(), context.host.store().clone());
    let work = tokio::task::spawn_blocking(move || {
        let folder = store.work_folder().map_err(|e| SandboxError::from(e).to_fault())?;
        let mut package = package::obtain(&spec, &index, folder.path()).map_err(|e| {
            // The network is machinery; a name that does not exist is not.
            let machinery = matches!(&e, package::PackageError::Index(error) if error.is_infrastructure());
            let boundary = if machinery { Boundary::Sandbox } else { Boundary::Task };
            let why = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
            Fault::new(boundary, "no_package", format!("{e}{why}")).hinted_by(&e)
        })?;
        if let PackageSpec::Path(path) = &spec {
            package.released = package.released.or_else(|| checkout::committed(path));
            // A version without a number but zeros is one that a tool fills in.
            if package.version.chars().all(|c| matches!(c, '0' | '.')) {
                package.version = checkout::tagged(path).unwrap_or(package.version);
            }
        }
        let recipe = recipe::infer(&package.name, &package.root)
            .map_err(|e| Fault::new(Boundary::Task, "no_tests", e.to_string()).hinted_by(&e))?;
        let layer = store.import_folder_at(&package.root, WORKDIR, |_| true);
        Ok((package, recipe, layer.map_err(|e| SandboxError::from(e).to_fault())?))
    });
    work.await.map_err(|e| Fault::new(Boundary::Internal, "panic", e.to_string()))?
}

fn result(
    context: &Context,
    package: &Package,
    recipe: &Recipe,
    source: LayerId,
    baseline: &Baseline,
    refused: &[(String, Fault)],
) -> Result<JobResult, Fault> {
    let installed = &baseline.installed;
    let digest =
        context.host.store().save_image(&installed.image).map_err(|e| SandboxError::from(e).to_fault())?;
    let built = Built {
        name: package.name.clone(),
        version: installed.version.clone(),
        image: digest.hex(),
        source: source.0.hex(),
        commit: installed.commit.clone(),
        passing: baseline.passing(),
    };
    let mut row = built.to_row();
    row.insert("recipe".into(), recipe.to_json());
    row.insert("requirements_from".into(), json!(installed.set.from));
    row.insert("frozen".into(), json!(installed.lock.packages));
    row.insert("left_out".into(), json!(baseline.left_out()));
    if !refused.is_empty() {
        let refused = refused.iter().map(|(from, fault)| json!({"from": from, "message": fault.message}));
        row.insert("does_not_install".into(), refused.collect());
    }
    if let Some(why) = &package.yanked {
        row.insert("yanked".into(), json!(why));
    }
    Ok(JobResult::of(JobOutput::Built(row)))
}

impl Built {
    /// The row of `images.jsonl`, less what is only for people.
    #[must_use]
    pub fn to_row(&self) -> Fields {
        Map::from_iter([
            ("package".to_owned(), json!(self.name)),
            ("version".to_owned(), json!(self.version)),
            ("image".to_owned(), json!(self.image)),
            ("source_layer".to_owned(), json!(self.source)),
            ("commit".to_owned(), json!(self.commit)),
            ("passing_tests".to_owned(), json!(self.passing)),
        ])
    }

    /// Reads a row of `images.jsonl`.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key)?.as_str().map(str::to_owned);
        let passing = value.get("passing_tests")?.as_array()?;
        Some(Self {
            name: text("package")?,
            version: text("version")?,
            image: text("image")?,
            source: text("source_layer")?,
            commit: text("commit")?,
            passing: passing.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        })
    }

    /// The untouched source on this machine.
    ///
    /// # Errors
    /// When the store does not have it.
    pub fn source_folder(&self, context: &Context) -> Result<std::path::PathBuf, Fault> {
        let store = context.host.store();
        let layer = Digest::parse(&self.source)
            .map_err(|e| Fault::new(Boundary::Task, "bad_digest", e.to_string()))?;
        let relative = store.layer_folder(LayerId(layer)).map_err(|e| SandboxError::from(e).to_fault())?;
        Ok(store.home().join(relative).join(WORKDIR.trim_start_matches('/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_row_is_read_back() {
        let built = Built {
            name: "a".into(),
            version: "1".into(),
            image: "i".into(),
            source: "s".into(),
            commit: "c".into(),
            passing: vec!["t".into()],
        };
        assert_eq!(Built::from_json(&Value::Object(built.to_row())), Some(built));
    }
}
