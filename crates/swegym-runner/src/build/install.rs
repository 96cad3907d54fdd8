//! One set of requirements, installed: versions are chosen, the environment is made or
//! taken, the project comes on top, and all of it is one image.

use std::collections::BTreeMap;

use pep440_rs::Version;
use serde_json::Value;
use swegym_core::shell::quote;
use swegym_core::{TestCommand, TestRunner};
use swegym_grade::LogParser;
use swegym_sandbox::{Extent, Image, Sandbox as _};
use swegym_tasks::package::Package;
use swegym_tasks::recipe::{RequirementSet, Step, Way};

use super::baseline::Installed;
use super::environment::{self, PLACE};
use super::installer::{self, Installer, Refused};
use super::lock::{self, Lock};
use super::{Project, TESTS_WITHOUT_BYTECODE, Trial, checkout, commit_script, prepare};
use crate::plan::{Suite, WORKDIR};
use crate::shell::must_run;

/// Installs a set in a way; of versions that serve as well, the `preferred` ones are taken.
///
/// # Errors
/// Nothing serves, or something does not install.
pub(super) async fn install(
    project: &Project<'_>,
    set: &RequirementSet,
    mut way: Way,
    preferred: &[String],
) -> Result<Installed, (Refused, Way)> {
    let lock = match lock::choose(project, set, &mut way, preferred).await {
        Ok(lock) => lock,
        Err(refused) => return Err((refused, way)),
    };
    match install_locked(project, set, &way, lock).await {
        Ok(installed) => Ok(installed),
        Err(refused) => Err((refused, way)),
    }
}

/// Installs what was chosen before.
///
/// # Errors
/// Something does not install.
pub(super) async fn install_locked(
    project: &Project<'_>,
    set: &RequirementSet,
    way: &Way,
    lock: Lock,
) -> Result<Installed, Refused> {
    let until = set.until.as_deref();
    // Versions are chosen: here the cut-off is for what builds them alone.
    let year = until.and_then(|time| checkout::end_of_year(time, 0));
    let environment = environment::make(project, &lock, year.as_deref(), way).await?;
    let ground = project.with_source(&project.foundation.image.with_layer(environment));
    let version = &project.package.version;
    let to_refused = Refused::at(Step::Project);
    let started = Installer::start(project.context, &ground, Step::Project, version, until, way);
    let installer = started.await.map_err(&to_refused)?;
    let sandbox = &installer.sandbox;
    must_run(sandbox, &format!("{FILES} > /tmp/before"), "beginning").await.map_err(&to_refused)?;
    install_project(project, &installer).await?;
    let list = format!("pip list -q --python {PLACE}/bin/python --editable --format json");
    let version = installed_version(&installer.uv(&list, "listing").await?, project.package);
    must_run(sandbox, &tidy_script(), "compiling").await.map_err(&to_refused)?;
    let commit = match project.trial {
        Trial::Whole => commit_script(),
        Trial::Gold(_) => prepare::keep_commit(),
    };
    let commit = must_run(sandbox, &commit, "committing").await.map_err(&to_refused)?.trim().to_owned();
    let layer = sandbox.snapshot(Extent::Image).await.map_err(|e| to_refused(e.to_fault()))?;
    sandbox.stop().await.map_err(|e| to_refused(e.to_fault()))?;
    let recipe = project.recipe;
    let suite = Suite {
        command: TestCommand { runner: recipe.runner, arguments: project.trial.arguments(recipe) },
        parser: LogParser::named(recipe.log_parser()).unwrap_or(LogParser::Pytest),
    };
    let mut suite = match (project.trial, recipe.runner) {
        (Trial::Gold(_), TestRunner::Pytest) => told_line_by_line(suite, &lock),
        _ => suite,
    };
    suite.command.arguments = way.arguments(suite.command.arguments);
    Ok(Installed {
        image: finished_image(ground.with_layer(layer), project.package, &suite),
        version,
        suite,
        commit,
        set: set.clone(),
        way: way.clone(),
        lock,
        left_out: Vec::new(),
    })
}

/// Before version 4.2, pytest's summary has another word for tests that fail than all parsers
/// know. One of these reads the lines of the tests themselves as well, if nothing follows the
/// word there.
fn told_line_by_line(mut suite: Suite, lock: &Lock) -> Suite {
    if lock.version_of("pytest").is_none_or(|version| version >= Version::new([4, 2])) {
        return suite;
    }
    let words = ["-v", "-o", "console_output_style=classic"].map(str::to_owned);
    suite.command.arguments.splice(0..0, words);
    Suite { parser: LogParser::PytestV2, ..suite }
}

/// The project itself, in its folder and without what it asks for.
async fn install_project(project: &Project<'_>, installer: &Installer<'_>) -> Result<(), Refused> {
    if !project.package.is_installable || installer.way().on_path {
        let Package { name, version, .. } = project.package;
        // What is no version would keep installers from listing what there is.
        let version =
            version.parse::<Version>().map_or_else(|_| "0".to_owned(), |version| version.to_string());
        let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let name = if is_name { name.as_str() } else { "" };
        let line =
            format!("{PLACE}/bin/python -c {} {} {}", quote(PUT_ON_PATH), quote(name), quote(&version));
        installer.run(&line, "putting the folder on the path").await?;
        return Ok(());
    }
    let options = installer.options(true);
    let is_setuptools = project.recipe.is_built_by_setuptools();
    // No setuptools for Python 3.6 installs a folder when it is asked by a tool; its own
    // command does.
    if project.foundation.version.starts_with("3.6.") && is_setuptools {
        let builders = format!(
            "pip install -q --python {PLACE}/bin/python {options} --target /tmp/builders setuptools wheel pip"
        );
        installer.uv(&builders, "fetching what builds").await?;
        let develop = format!(
            "[ -f setup.py ] || printf 'import setuptools\nsetuptools.setup()\n' > /tmp/setup.py; \
             script=setup.py; [ -f setup.py ] || script=/tmp/setup.py; \
             PYTHONPATH=/tmp/builders {PLACE}/bin/python -c \"{RUN_SETUP}\" $script -q develop --no-deps"
        );
        installer.run(&develop, "installing the package").await?;
        return Ok(());
    }
    // In the way of the time: the folder on the path, rather than a module that finds it, which
    // older pytests take for one of their plug-ins.
    let is_of_its_time = matches!(project.trial, Trial::Gold(_)) && is_setuptools;
    let manner = if is_of_its_time { "-C editable_mode=compat" } else { "" };
    let line =
        format!("pip install -q --no-deps --python {PLACE}/bin/python {options} {manner} -e {WORKDIR}");
    installer.uv(&line, "installing the package").await?;
    Ok(())
}

/// Puts the folder on the path, with what tells that it is installed.
const PUT_ON_PATH: &str = include_str!("put_on_path.py");

/// Runs a setup.py that need not know setuptools, as installers do.
const RUN_SETUP: &str = "import setuptools, sys, tokenize; del sys.argv[0]; __file__ = sys.argv[0]; \
sys.path.insert(0, '.'); exec(compile(tokenize.open(__file__).read(), __file__, 'exec'))";

/// Files of the environment. What is new among them is known by its name: times of files
/// change wherever a store links them once more.
const FILES: &str = "find /opt/venv/lib '(' -name '*.py' -o -path '*.dist-info/RECORD' ')' | LC_ALL=C sort";

/// What a build leaves in the source goes, and only what came with the project is compiled:
/// the rest is the environment's.
fn tidy_script() -> String {
    format!(
        "[ ! -f Cargo.toml ] || rm -rf target; rm -rf {cache} /root/.cache /root/.local build; \
         find {PLACE} -name uv_cache.json -delete; \
         {FILES} > /tmp/after; LC_ALL=C comm -13 /tmp/before /tmp/after > /tmp/new; \
         grep 'RECORD$' /tmp/new | tr '\\n' '\\0' | xargs -0 -r sed -i '/uv_cache.json,/d'; \
         grep '[.]py$' /tmp/new | tr '\\n' '\\0' | xargs -0 -r {compile} >/dev/null; \
         {compile} -x '{TESTS_WITHOUT_BYTECODE}' . >/dev/null; true",
        cache = installer::CACHE,
        compile =
            format_args!("{PLACE}/bin/python -B -m compileall -q -j 2 --invalidation-mode checked-hash"),
    )
}

/// What the installed package says that it is, where its files did not.
fn installed_version(listing: &str, package: &Package) -> String {
    let listed: Vec<Value> = serde_json::from_str(listing).unwrap_or_default();
    match listed.as_slice() {
        [only] if package.version == "0" => only["version"].as_str().unwrap_or("0").to_owned(),
        _ => package.version.clone(),
    }
}

fn finished_image(mut image: Image, package: &Package, suite: &Suite) -> Image {
    let path = image.env.iter().find(|(n, _)| n == "PATH").map(|(_, v)| v.clone()).unwrap_or_default();
    image.set_env("PATH", &format!("{PLACE}/bin:{path}"));
    image.set_env("VIRTUAL_ENV", PLACE);
    // Runs must not differ by hash seed, nor leave bytecode behind.
    image.set_env("PYTHONHASHSEED", "0");
    image.set_env("PYTHONDONTWRITEBYTECODE", "1");
    image.workdir = WORKDIR.to_owned();
    image.labels = BTreeMap::from([
        ("swegym.package".to_owned(), format!("{} {}", package.name, package.version)),
        (Suite::LABEL.to_owned(), suite.to_label()),
    ]);
    image
}

#[cfg(test)]
mod tests {
    use swegym_core::TestStatus;

    use super::*;

    fn suite_with(pytest: &str) -> Suite {
        let packages = vec!["attrs==19.1.0".to_owned(), format!("pytest=={pytest}")];
        let arguments = vec!["-rapP".to_owned(), "tests".to_owned()];
        let command = TestCommand { runner: TestRunner::Pytest, arguments };
        told_line_by_line(Suite { command, parser: LogParser::Pytest }, &Lock { packages })
    }

    #[test]
    fn what_fails_is_told_by_old_pytests_too() {
        assert_eq!(suite_with("4.2.0").command.arguments, ["-rapP", "tests"]);
        let old = suite_with("4.1.1");
        assert_eq!(old.command.arguments, ["-v", "-o", "console_output_style=classic", "-rapP", "tests"]);
        // The oldest know no settings on the command line.
        let way = Way { without_options: ["-o".to_owned()].into(), ..Way::default() };
        assert_eq!(way.arguments(old.command.arguments.clone()), ["-v", "-rapP", "tests"]);
        let log = "t/test_a.py::test_one FAILED\nt/test_a.py::test_two PASSED\nt/test_a.py::test_three[a b] PASSED\n\
                   ======= short test summary info =======\nFAIL t/test_a.py::test_one\n\
                   PASSED t/test_a.py::test_two\nPASSED t/test_a.py::test_three[a b]\n";
        let statuses = swegym_grade::Reading::bare(log, old.parser).statuses;
        let status =
            |name: &str| statuses.get(&format!("t/test_a.py::{name}")).and_then(|said| said.status());
        assert_eq!(status("test_one"), Some(TestStatus::Failed));
        assert_eq!(status("test_two"), Some(TestStatus::Passed));
        assert_eq!(status("test_three[a b]"), Some(TestStatus::Passed));
        let before = swegym_grade::Reading::bare(log, LogParser::Pytest).statuses;
        assert_eq!(before.get("t/test_a.py::test_one"), None);
    }
}
