//! From sets of requirements to the one that is taken: sets in their order, and for what
//! fails the next remedy of the table, until nothing is left that is new.

use std::time::Instant;

use swegym_core::format::results::Fields;
use swegym_core::{Boundary, Fault};
use swegym_tasks::index::normalise;
use swegym_tasks::recipe::{Act, RequirementSet, Step, Way, remedies};

use super::Project;
use super::baseline::{self, Baseline};
use super::installer::Refused;
use crate::plan::WORKDIR;

/// Remedies that one image may take.
const MOST_REMEDIES: usize = 12;

/// What earlier commits of a repository taught: what is tried first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lesson {
    /// What remedies had decided.
    pub way: Way,
    /// Where the requirements were found that were taken.
    pub from: Option<String>,
    /// The versions that were taken, where the commit is of the same version.
    pub packages: Vec<String>,
    /// The interpreter for which they were taken: `3.9.18`.
    pub python: Option<String>,
}

impl Lesson {
    /// What the recipe of an image teaches.
    #[must_use]
    pub fn of_recipe(recipe: &Fields) -> Option<Self> {
        let way = serde_json::from_value::<Way>(recipe.get("way")?.clone()).ok()?.to_teach();
        let from = recipe.get("requirements_from")?.as_str().map(|from| place(from).to_owned());
        let packages = recipe.get("frozen")?.as_array()?.iter();
        let packages = packages.map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        let python = recipe.get("python")?.as_str().map(str::to_owned);
        Some(Self { way, from, packages, python })
    }
}

/// What came of a search.
#[derive(Default)]
pub(super) struct Found {
    /// The best of what was tried.
    pub(super) best: Option<Baseline>,
    /// Sets that do not install, and why.
    pub(super) refused: Vec<(String, Fault)>,
    /// What the failures decided; with another interpreter, all of it is tried again.
    pub(super) way: Way,
}

/// Why a set was given up.
pub(super) enum Stop {
    /// Nothing helps.
    Refused(Refused),
    /// An older interpreter may help.
    OlderPython,
}

/// Tries sets of requirements in order. `now` is only tried where of `then` less than half
/// passes.
///
/// # Errors
/// Faults of the machinery, and of the task where no set can help.
pub(super) async fn search(
    project: &Project<'_>,
    then: &[RequirementSet],
    now: &[RequirementSet],
    lesson: &Lesson,
) -> Result<Found, Fault> {
    let ends = Instant::now() + project.patience();
    // Whether it was with what there was then, or now, that the project's own build failed:
    // what builds it is of another time there, and of the same for every other set.
    let mut hopeless: Option<bool> = None;
    let asked_below = lesson.way.python_below.clone();
    let mut found = Found { way: lesson.way.clone(), ..Found::default() };
    for (at, set) in taught_first(then, lesson).chain(now).enumerate() {
        // What is of its days is enough where most of it passes.
        let is_enough = at == then.len() && found.best.as_ref().is_some_and(Baseline::is_mostly_passing);
        if is_enough || Instant::now() > ends {
            break;
        }
        let is_of_then = at < then.len();
        if hopeless == Some(is_of_then) {
            continue;
        }
        // Versions that the commit itself names are the best there are.
        let locked = &project.recipe.locked;
        let preferred = if locked.is_empty() { &lesson.packages } else { locked };
        let mut tried = baseline::install_and_test(project, set, &mut found.way, preferred, ends).await;
        if let Err(Stop::Refused(refused)) = &tried
            && may_go_on_path(project, &found.way, refused)
        {
            found.refused.push((set.from.clone(), refused.fault.clone()));
            found.way.go_on_path();
            tried = baseline::install_and_test(project, set, &mut found.way, preferred, ends).await;
        }
        // What served an older commit may be what this one no longer runs with.
        if let Ok(baseline) = &tried
            && locked.is_empty()
            && !lesson.packages.is_empty()
            && baseline.passing().is_empty()
            && !baseline.is_cut()
        {
            tried = baseline::install_and_test(project, set, &mut found.way, &[], ends).await;
        }
        match tried {
            Ok(baseline) => {
                let is_enough = baseline.is_whole() || project.is_of_many() && baseline.is_cut();
                if found.best.as_ref().is_none_or(|best| best.passing().len() < baseline.passing().len()) {
                    found.best = Some(baseline);
                }
                if is_enough {
                    break;
                }
            }
            Err(Stop::OlderPython) if found.way.python_below != asked_below => return Ok(found),
            Err(Stop::OlderPython) => {}
            Err(Stop::Refused(refused)) if refused.fault.boundary.is_infrastructure() => {
                return Err(refused.fault);
            }
            Err(Stop::Refused(refused)) => {
                found.refused.push((set.from.clone(), explained(refused.fault, &found.way)));
                // No other versions make up for another language.
                if found.way.needs_python.is_some() {
                    break;
                }
                if refused.step == Step::Project {
                    hopeless = Some(is_of_then);
                }
            }
        }
    }
    Ok(found)
}

/// Whether tests may do without what building the project makes: its own build failed, and
/// gold decides whether that did any harm.
fn may_go_on_path(project: &Project<'_>, way: &Way, refused: &Refused) -> bool {
    // uv names whatever else does not build.
    let is_named = refused.said.contains(&format!("file://{WORKDIR}"));
    let is_nameless = refused.said.trim_start().starts_with("error: The build backend returned an error");
    let is_own = refused.step == Step::Project || refused.step == Step::Lock && (is_named || is_nameless);
    let is_tasks = !refused.fault.boundary.is_infrastructure();
    is_own && is_tasks && project.is_of_many() && !way.on_path && way.needs_python.is_none()
}

/// The sets, that of the lesson before the others.
fn taught_first<'a>(
    sets: &'a [RequirementSet],
    lesson: &'a Lesson,
) -> impl Iterator<Item = &'a RequirementSet> {
    let is_taught = |set: &&RequirementSet| lesson.from.as_deref() == Some(place(&set.from));
    sets.iter().filter(is_taught).chain(sets.iter().filter(move |set| !is_taught(set)))
}

/// Where a set was found, without what was made of it since.
pub(super) fn place(from: &str) -> &str {
    let from = from.strip_suffix(baseline::REPAIRED).unwrap_or(from);
    from.rsplit_once("as of ").map_or(from, |(place, _)| place.trim_end_matches(", "))
}

/// Takes the first remedy for a failure that is new, and notes what the machine lacks. Says
/// whether another try is worth it.
pub(super) fn mend(project: &Project<'_>, way: &mut Way, refused: &Refused) -> bool {
    if refused.fault.boundary.is_infrastructure() || way.remedies.len() >= MOST_REMEDIES {
        return false;
    }
    take(project, way, refused.step, &refused.said)
}

/// The same for what a step has said.
pub(super) fn take(project: &Project<'_>, way: &mut Way, step: Step, said: &str) -> bool {
    for remedy in remedies(step, said) {
        let is_taken = match &remedy.act {
            Act::System(what) => {
                way.lacking.insert(what.clone());
                false
            }
            Act::NeedsPython(version) => {
                way.needs_python = Some(version.clone());
                false
            }
            Act::PythonBelow(_) if !project.may_change_python() => false,
            // The project is what is installed; without itself it would ask for nothing.
            Act::Drop(name) | Act::Relax(name) | Act::WheelsOnly(name)
                if normalise(name) == normalise(&project.package.name) =>
            {
                false
            }
            _ => way.take(step, &remedy),
        };
        if is_taken {
            return true;
        }
    }
    false
}

/// What of a way failing tests say is beyond all remedies.
pub(super) fn beyond(mut way: Way, said: &str) -> Way {
    for remedy in remedies(Step::Tests, said) {
        match remedy.act {
            Act::System(what) => drop(way.lacking.insert(what)),
            Act::NeedsPython(version) => way.needs_python = Some(version),
            _ => {}
        }
    }
    way
}

/// A failure in the end, with the remedies that did not help.
pub(super) fn told(mut fault: Fault, way: &Way) -> Fault {
    if !way.remedies.is_empty() {
        fault.message.push_str(&format!("\nremedies that did not help: {}", way.remedies.join(", ")));
    }
    fault
}

/// A failure in the end, with what the machine lacks if that is why.
pub(super) fn explained(fault: Fault, way: &Way) -> Fault {
    if let Some(version) = &way.needs_python {
        let message = format!("it is for Python {version}, which no image has\n{}", fault.message);
        return Fault::new(Boundary::Task, "no_interpreter", message)
            .with_hint("images have Python 3.6 or newer; its later commits may run on one");
    }
    if way.lacking.is_empty() || !["does_not_install", "nothing_passes"].contains(&fault.code.as_str()) {
        return fault;
    }
    let lacking: Vec<&str> = way.lacking.iter().map(String::as_str).collect();
    let message = format!("{}\nit lacks {}", fault.message, lacking.join(", "));
    Fault::new(Boundary::Task, "needs_system_package", message).with_hint(format!(
        "boxes see this machine's /usr: install there what is missing (Debian: {})",
        lacking.join(" ")
    ))
}
