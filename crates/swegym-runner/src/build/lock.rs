//! Which versions an environment gets: a list that is chosen once, and installed as it is.

use swegym_core::Fault;
use swegym_tasks::recipe::{RequirementSet, Step, Way};

use super::Project;
use super::installer::{FREED_TO_BUILD, Installer, Refused};
use super::wheels::{self, Moment};
use crate::plan::WORKDIR;

/// What is asked for, and the list, as files in the box.
const ASKED: &str = "/tmp/requirements.txt";
const LIST: &str = "/tmp/locked.txt";

/// How often projects may turn up whose files are all newer than the day.
const ROUNDS: usize = 8;

/// Exact versions, sorted: `attrs==19.1.0`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) packages: Vec<String>,
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
    let ground = project.with_source(project.foundation.image.clone());
    let (context, version) = (project.context, &project.package.version);
    // What was chosen before something heavy was to come as a wheel.
    let mut fallback: Option<(Lock, Way)> = None;
    for _ in 0..ROUNDS {
        let (known, until) = (way.clone(), set.until.as_deref());
        let started = Installer::start(context, &ground, Step::Lock, version, until, &known);
        let installer = started.await.map_err(Refused::at(Step::Lock))?;
        let chosen = resolve(&installer, project, set, preferred).await;
        let is_other = look_again(&installer, project, &chosen, way, &mut fallback);
        let stopped = swegym_sandbox::Sandbox::stop(&installer.sandbox).await;
        stopped.map_err(|e| Refused::at(Step::Lock)(e.to_fault()))?;
        match (chosen, fallback.take()) {
            (chosen, before) if is_other => {
                drop(chosen);
                fallback = before;
            }
            (Err(_), Some((lock, before))) => {
                *way = before;
                return Ok(lock);
            }
            (chosen, _) => return chosen,
        }
    }
    Err(Refused::at(Step::Lock)(Fault::new(
        swegym_core::Boundary::Task,
        "does_not_install",
        "choosing versions came to no end: each list asks for other projects that are newer than the day",
    )))
}

/// Whether versions are to be chosen again, with what turned out meanwhile: projects whose
/// files are all newer than the day, wheels that came later, and what would be compiled for
/// long.
fn look_again(
    installer: &Installer<'_>,
    project: &Project<'_>,
    chosen: &Result<Lock, Refused>,
    way: &mut Way,
    fallback: &mut Option<(Lock, Way)>,
) -> bool {
    let Some(day) = installer.day() else { return false };
    let before = way.clone();
    for (name, first) in installer.mirror.latecomers(day) {
        way.freed.entry(name).or_insert(first);
    }
    let Some(moment) = Moment::of(&project.foundation.version, Some(day)) else { return *way != before };
    wheels::free_for_wheels(&installer.mirror, way, moment);
    if let Ok(lock) = chosen
        && *way == before
    {
        let heavy = wheels::heavy(&installer.mirror, lock, moment);
        if !heavy.is_subset(&way.wheels_only) {
            *fallback = Some((lock.clone(), before.clone()));
            way.wheels_only.extend(heavy);
            wheels::free_for_wheels(&installer.mirror, way, moment);
        }
    }
    *way != before
}

async fn resolve(
    installer: &Installer<'_>,
    project: &Project<'_>,
    set: &RequirementSet,
    preferred: &[String],
) -> Result<Lock, Refused> {
    let to_refused = |fault| installer.refused(fault);
    let extras = if set.extras.is_empty() { String::new() } else { format!("[{}]", set.extras.join(",")) };
    let requirements = installer.way().requirements(set);
    let ask_for = async |own: String| {
        let asked = lines(requirements.iter().chain([&own]));
        installer.write(ASKED, &asked).await.map_err(|fault| installer.refused(fault))
    };
    // uv keeps to what stands in the file that it is to write.
    installer.write(LIST, &lines(preferred)).await.map_err(to_refused)?;
    let line = |only_wheels: &str, is_editable: bool| {
        format!(
            "pip compile -q --no-header --no-annotate --no-strip-extras --python {} {} {only_wheels} {ASKED} -o {LIST} && cat {LIST}",
            project.foundation.python,
            installer.options(is_editable)
        )
    };
    // What was newest on that day is what people had, wheel or not.
    ask_for(format!("{WORKDIR}{extras}")).await?;
    let said = match installer.uv(&line("", true), "choosing versions").await {
        Ok(said) => said,
        Err(refused) if refused.fault.boundary.is_infrastructure() => return Err(refused),
        // Something may have to be built for its metadata and not build. The project itself is
        // read all the same where it is asked for in its folder.
        Err(refused) => {
            ask_for(format!("-e {WORKDIR}{extras}")).await?;
            let wheels = installer.uv(&line("--only-binary :all:", true), "choosing versions").await;
            wheels.map_err(|_| refused)?
        }
    };
    let mut lock = Lock::read(&said);
    if installer.frees_builders(true) {
        lock = dated(installer, lock, preferred, &line("--only-binary :all:", false)).await?;
    }
    Ok(lock)
}

/// What builds may be newer than the day, but where it is in the environment itself it may
/// not: tests see it.
async fn dated(
    installer: &Installer<'_>,
    lock: Lock,
    preferred: &[String],
    line: &str,
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
    let said = installer.uv(line, "choosing what builds").await?;
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

    /// As a file.
    pub(super) fn to_text(&self) -> String {
        lines(&self.packages)
    }
}

fn lines<'a>(all: impl IntoIterator<Item = &'a String>) -> String {
    all.into_iter().map(|one| format!("{one}\n")).collect()
}
