//! What commits of a repository teach each other: the oldest is tried alone, then the
//! oldest of each version, then all others. Each wave is taught by the ones before, so
//! that the same commits teach the same whatever is faster.

use std::collections::{BTreeMap, BTreeSet};

use swegym_core::Instance;
use swegym_core::format::results::{JobOutput, Prepared};
use swegym_runner::Outcome;
use swegym_runner::build::Lesson;

/// A commit, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pupil {
    name: String,
    repo: String,
    version: String,
}

/// Who is still to be tried, and what was learnt.
pub(super) struct Lessons {
    waves: std::vec::IntoIter<Vec<Pupil>>,
    /// Of those that were tried, in their order.
    tried: Vec<Pupil>,
}

impl Lessons {
    /// Puts instances into waves, oldest first.
    pub(super) fn new(raw: &[Instance]) -> Self {
        let mut order: Vec<&Instance> = raw.iter().collect();
        order.sort_by_key(|one| (&one.created_at, one.instance_id.as_str()));
        let (mut repos, mut versions) = (BTreeSet::new(), BTreeSet::new());
        let mut waves = vec![Vec::new(), Vec::new(), Vec::new()];
        for one in order {
            let (repo, version) = (one.repo.clone(), one.version.clone());
            let is_first = repos.insert(repo.clone());
            let is_first_of_version = versions.insert((repo.clone(), version.clone()));
            let wave = if is_first { 0 } else { usize::from(!is_first_of_version) + 1 };
            waves[wave].push(Pupil { name: one.instance_id.to_string(), repo, version });
        }
        Self { waves: waves.into_iter(), tried: Vec::new() }
    }

    /// The next wave, each with its lesson; nothing after the last one.
    pub(super) fn next(&mut self, outcomes: &[(String, Outcome)]) -> Vec<(String, Lesson)> {
        let learnt: BTreeMap<&str, Lesson> =
            outcomes.iter().filter_map(|(name, outcome)| Some((name.as_str(), lesson(outcome)?))).collect();
        let Some(wave) = self.waves.find(|wave| !wave.is_empty()) else { return Vec::new() };
        let taught = wave.iter().map(|pupil| (pupil.name.clone(), self.lesson_for(pupil, &learnt)));
        let taught = taught.collect();
        self.tried.extend(wave);
        taught
    }

    /// That of the same version, with its versions of packages; else the last one's of the
    /// repository, without them.
    fn lesson_for(&self, pupil: &Pupil, learnt: &BTreeMap<&str, Lesson>) -> Lesson {
        let of_repo = self.tried.iter().filter(|other| other.repo == pupil.repo);
        let teachers: Vec<(&Pupil, &Lesson)> =
            of_repo.filter_map(|other| Some((other, learnt.get(other.name.as_str())?))).collect();
        let same = teachers.iter().find(|(other, _)| other.version == pupil.version);
        match (same, teachers.last()) {
            (Some((_, lesson)), _) => (*lesson).clone(),
            (None, Some((_, lesson))) => Lesson { packages: Vec::new(), ..(*lesson).clone() },
            (None, None) => Lesson::default(),
        }
    }
}

/// What one that is ready teaches.
fn lesson(outcome: &Outcome) -> Option<Lesson> {
    let Outcome::Finished(output) = outcome else { return None };
    let JobOutput::Prepared(Prepared::Ready { recipe, .. }) = &**output else { return None };
    Lesson::of_recipe(recipe)
}
