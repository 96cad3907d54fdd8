//! Which versions an environment gets: a list that is chosen once, and installed as it is.

use pep440_rs::Version;
use swegym_core::Fault;
use swegym_tasks::recipe::{RequirementSet, Step, Way, test_tools};

use super::installer::{FREED_TO_BUILD, Installer, Refused};
use super::wheels::{self, Moment};
use super::{Project, Trial};
use crate::plan::WORKDIR;

/// What is asked for, the list, and what stands over it, as files in the box.
const ASKED: &str = "/tmp/requirements.txt";
const LIST: &str = "/tmp/locked.txt";
const OVERRIDES: &str = "/tmp/overrides.txt";

/// How often projects may turn up whose files are all newer than the day.
const ROUNDS: usize = 8;

/// Exact versions, sorted: `attrs==19.1.0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) packages: Vec<String>,
}

impl Lock {
    /// The version that was chosen of a package, if it is one of the index.
    pub(super) fn version_of(&self, name: &str) -> Option<Version> {
        self.packages.iter().find_map(|one| {
            let (of, version) = one.split_once("==")?;
            (of == name).then(|| version.parse().ok())?
        })
    }
}

/// Chooses versions for a set and for what the project itself asks for, as of the set's
/// day; of versions that serve as well, the `preferred` ones. What had to be freed of the
/// day is noted in the way.
///
/// # Errors
/// Nothing serves all requirements, or something has to be built for its metadata and
/// does not.
pub(super) async fn choose(
    project: &Project<'_>,
    set: &RequirementSet,
    way: &mut Way,
    preferred: &[String],
) -> Result<Lock, Refused> {
    let ground = project.with_source(&project.foundation.image);
    let (context, version) = (project.context, &project.package.version);
    let until = set.until.as_deref();
    let started = Installer::start(context, &ground, Step::Lock, version, until, way);
    let mut installer = started.await.map_err(Refused::at(Step::Lock))?;
    forget_past(&mut installer, project);
    free_test_tools(&mut installer, project);
    let chosen = choose_in(&mut installer, project, set, preferred).await;
    way.clone_from(installer.way());
    let stopped = swegym_sandbox::Sandbox::stop(&installer.sandbox).await;
    stopped.map_err(|e| Refused::at(Step::Lock)(e.to_fault()))?;
    chosen
}

async fn choose_in(
    installer: &mut Installer<'_>,
    project: &Project<'_>,
    set: &RequirementSet,
    preferred: &[String],
) -> Result<Lock, Refused> {
    let before = installer.way().clone();
    let mut waits_for_wheels = installer.day().is_some();
    if waits_for_wheels {
        // Nothing is built yet: what this asks the index for tells what must not be.
        let asked = resolve_wheels(installer, project, set, preferred).await;
        asked.map_or_else(|refused| infrastructure(refused).map(drop), |_| Ok(()))?;
        look_again(installer, project, true);
    }
    for _ in 0..ROUNDS {
        let chosen = resolve(installer, project, set, preferred).await;
        if look_again(installer, project, waits_for_wheels) {
            continue;
        }
        let has_waited = installer.way().wheels_only != before.wheels_only;
        match chosen {
            Err(refused) if waits_for_wheels && has_waited => {
                infrastructure(refused)?;
                // Something asks for the versions of the day: they are built after all.
                waits_for_wheels = false;
                installer.way_mut().clone_from(&before);
            }
            chosen => return chosen,
        }
    }
    Err(installer.refused(Fault::new(
        swegym_core::Boundary::Task,
        "does_not_install",
        "choosing versions came to no end: each list asks for other projects that are newer than the day",
    )))
}

/// What an older commit freed of its day would hold this one back; so would the time of its
/// wheels. A day that the user names is the only one.
fn forget_past(installer: &mut Installer<'_>, project: &Project<'_>) {
    let is_named = project.context.install.exclude_newer.is_some();
    if let Some(day) = installer.day().map(str::to_owned) {
        installer.way_mut().freed.retain(|_, freed| *freed > day);
        installer.way_mut().wheels_until = wheels::come_until(&day).filter(|_| !is_named);
    }
}

/// Lets what runs the tests of a commit be as new as its interpreter.
fn free_test_tools(installer: &mut Installer<'_>, project: &Project<'_>) {
    let settled = project.foundation.settled().filter(|_| matches!(project.trial, Trial::Gold(_)));
    let Some(settled) = settled.filter(|since| installer.day().is_some_and(|day| day < *since)) else {
        return;
    };
    for name in test_tools() {
        installer.way_mut().freed.entry(name.clone()).or_insert_with(|| settled.to_owned());
    }
}

/// A refusal that is the machinery's is one; the others are looked into.
fn infrastructure(refused: Refused) -> Result<Refused, Refused> {
    if refused.fault.boundary.is_infrastructure() { Err(refused) } else { Ok(refused) }
}

/// Whether versions are to be chosen again, with what turned out meanwhile: projects whose
/// files are all newer than the day, and what would be compiled for long where a wheel came
/// later.
fn look_again(installer: &mut Installer<'_>, project: &Project<'_>, waits_for_wheels: bool) -> bool {
    let Some(day) = installer.day().map(str::to_owned) else { return false };
    let mut way = installer.way().clone();
    for (name, first) in installer.mirror.latecomers(&day) {
        way.freed.entry(name).or_insert(first);
    }
    if let Some(moment) = Moment::of(&project.foundation.version, Some(&day)) {
        if waits_for_wheels {
            way.wheels_only.extend(wheels::heavy(&installer.mirror, moment));
        }
        wheels::free_for_wheels(&installer.mirror, &mut way, moment);
    }
    let is_other = way != *installer.way();
    *installer.way_mut() = way;
    is_other
}

async fn resolve(
    installer: &Installer<'_>,
    project: &Project<'_>,
    set: &RequirementSet,
    preferred: &[String],
) -> Result<Lock, Refused> {
    // What was newest on that day is what people had, wheel or not.
    let own = own(project, installer, set, "");
    let line = ask(installer, project, (set, own), preferred, "").await?;
    let said = match installer.uv(&line, "choosing versions").await {
        Ok(said) => said,
        // Something may have to be built for its metadata and not build: the project itself,
        // where it need not be built.
        Err(refused) if installer.way().on_path => {
            infrastructure(refused)?;
            let line = ask(installer, project, (set, None), preferred, "").await?;
            installer.uv(&line, "choosing versions").await?
        }
        Err(refused) => {
            let refused = infrastructure(refused)?;
            resolve_wheels(installer, project, set, preferred).await.map_err(|_| refused)?
        }
    };
    let mut lock = Lock::read(&said);
    if installer.frees_builders(true) {
        lock = dated(installer, project, lock, preferred).await?;
    }
    Ok(lock)
}

/// Chooses among wheels alone. The project itself is read all the same, where it is asked for
/// in its folder.
async fn resolve_wheels(
    installer: &Installer<'_>,
    project: &Project<'_>,
    set: &RequirementSet,
    preferred: &[String],
) -> Result<String, Refused> {
    let own = own(project, installer, set, "-e ");
    let line = ask(installer, project, (set, own), preferred, "--only-binary :all:").await?;
    installer.uv(&line, "choosing versions").await
}

/// How the project itself is asked for, in its folder; not at all where nothing builds it.
fn own(
    project: &Project<'_>,
    installer: &Installer<'_>,
    set: &RequirementSet,
    manner: &str,
) -> Option<String> {
    project.package.is_installable.then(|| format!("{manner}{WORKDIR}{}", extras(installer, set)))
}

fn extras(installer: &Installer<'_>, set: &RequirementSet) -> String {
    let more = installer.way().extras.iter().filter(|extra| !set.extras.contains(extra));
    let all: Vec<&str> = set.extras.iter().chain(more).map(String::as_str).collect();
    if all.is_empty() { String::new() } else { format!("[{}]", all.join(",")) }
}

/// Writes what is asked for, and gives uv's command line.
async fn ask(
    installer: &Installer<'_>,
    project: &Project<'_>,
    (set, own): (&RequirementSet, Option<String>),
    preferred: &[String],
    more: &str,
) -> Result<String, Refused> {
    let requirements = installer.way().requirements(set);
    let asked = lines(requirements.iter().chain(&own));
    installer.write(ASKED, &asked).await.map_err(|fault| installer.refused(fault))?;
    // uv keeps to what stands in the file that it is to write.
    installer.write(LIST, &lines(preferred)).await.map_err(|fault| installer.refused(fault))?;
    let overrides = if project.may_override() { installer.way().overrides() } else { Vec::new() };
    let overrides = lines(&overrides);
    installer.write(OVERRIDES, &overrides).await.map_err(|fault| installer.refused(fault))?;
    Ok(compile(project, &format!("--overrides {OVERRIDES} {} {more}", installer.options(true))))
}

/// uv's command line for what is asked for.
fn compile(project: &Project<'_>, options: &str) -> String {
    let python = &project.foundation.python;
    format!(
        "pip compile -q --no-header --no-annotate --no-strip-extras --python {python} {options} {ASKED} -o {LIST} && cat {LIST}"
    )
}

/// What builds may be newer than the day, but where it is in the environment itself it may
/// not: tests see it.
async fn dated(
    installer: &Installer<'_>,
    project: &Project<'_>,
    lock: Lock,
    preferred: &[String],
) -> Result<Lock, Refused> {
    let is_builder =
        |package: &&String| FREED_TO_BUILD.iter().any(|name| package.split("==").next() == Some(name));
    let (builders, others): (Vec<&String>, Vec<&String>) = lock.packages.iter().partition(is_builder);
    if builders.is_empty() {
        return Ok(lock);
    }
    let names: Vec<String> =
        builders.iter().filter_map(|one| one.split("==").next()).map(str::to_owned).collect();
    installer.write(ASKED, &lines(&names)).await.map_err(|fault| installer.refused(fault))?;
    installer.write(LIST, &lines(preferred)).await.map_err(|fault| installer.refused(fault))?;
    let line = compile(project, &format!("{} --only-binary :all:", installer.options(false)));
    let said = installer.uv(&line, "choosing what builds").await?;
    let mut packages: Vec<String> = others.into_iter().cloned().collect();
    packages.extend(Lock::read(&said).packages);
    packages.sort();
    packages.dedup();
    Ok(Lock { packages })
}

impl Lock {
    /// Of what uv printed.
    fn read(said: &str) -> Self {
        // The project itself stands there by its folder, asked for in one way or another.
        let is_own =
            |line: &str| line.starts_with(['-', '/']) || line.ends_with(&format!("file://{WORKDIR}"));
        let named = said.lines().map(str::trim);
        let named = named.filter(|line| !line.is_empty() && !line.starts_with('#') && !is_own(line));
        let mut packages: Vec<String> = named.map(str::to_owned).collect();
        packages.sort();
        packages.dedup();
        Self { packages }
    }
}

fn lines<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    all.into_iter().map(|one| format!("{one}\n")).collect()
}
