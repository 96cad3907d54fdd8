//! What commits of a repository teach each other: the oldest is tried alone, then the
//! oldest of each version, then all others. Each wave of a repository is taught by the ones
//! before, so that the same commits teach the same whatever is faster.

use std::collections::BTreeSet;

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

/// Who is still to be tried, and who was.
pub(super) struct Lessons {
    /// By repository, in the order of their oldest.
    repositories: Vec<Waves>,
    /// All that were given out, in their order.
    tried: Vec<Pupil>,
}

/// The waves of a repository that are still to come.
struct Waves {
    waves: std::vec::IntoIter<Vec<Pupil>>,
    /// Those of the wave before, by their places among the tried.
    last: Vec<usize>,
}

impl Lessons {
    /// Puts instances into waves, oldest first.
    pub(super) fn new(raw: &[Instance]) -> Self {
        let mut order: Vec<&Instance> = raw.iter().collect();
        order.sort_by_key(|one| (&one.created_at, one.instance_id.as_str()));
        let mut versions = BTreeSet::new();
        let mut repos: Vec<(&str, [Vec<Pupil>; 3])> = Vec::new();
        for one in order {
            let (repo, version) = (one.repo.clone(), one.version.clone());
            let is_first_of_version = versions.insert((repo.clone(), version.clone()));
            let pupil = Pupil { name: one.instance_id.to_string(), repo, version };
            match repos.iter_mut().find(|(repo, _)| *repo == one.repo) {
                Some((_, [_, firsts, _])) if is_first_of_version => firsts.push(pupil),
                Some((_, [_, _, others])) => others.push(pupil),
                None => repos.push((&one.repo, [vec![pupil], Vec::new(), Vec::new()])),
            }
        }
        let waves = repos.into_iter().map(|(_, waves)| {
            let waves: Vec<_> = waves.into_iter().filter(|wave| !wave.is_empty()).collect();
            Waves { waves: waves.into_iter(), last: Vec::new() }
        });
        Self { repositories: waves.collect(), tried: Vec::new() }
    }

    /// Those whose teachers are through, each with its lesson. `outcomes` are of all that were
    /// given out before, in their order.
    pub(super) fn next(&mut self, outcomes: &[Option<Outcome>]) -> Vec<(String, Lesson)> {
        let is_through = |at: &usize| outcomes.get(*at).is_some_and(Option::is_some);
        let mut next: Vec<Pupil> = Vec::new();
        for repository in &mut self.repositories {
            if repository.last.iter().all(is_through)
                && let Some(wave) = repository.waves.next()
            {
                let first = self.tried.len() + next.len();
                repository.last = (first..first + wave.len()).collect();
                next.extend(wave);
            }
        }
        if next.is_empty() {
            return Vec::new();
        }
        let learnt: Vec<Option<Lesson>> = outcomes.iter().map(|outcome| lesson(outcome.as_ref()?)).collect();
        let taught = next.iter().map(|pupil| (pupil.name.clone(), self.lesson_for(pupil, &learnt)));
        let taught = taught.collect();
        self.tried.extend(next);
        taught
    }

    /// That of the same version, with its versions of packages; else the last one's of the
    /// repository, without them.
    fn lesson_for(&self, pupil: &Pupil, learnt: &[Option<Lesson>]) -> Lesson {
        let tried = self.tried.iter().zip(learnt).filter(|(other, _)| other.repo == pupil.repo);
        let teachers: Vec<(&Pupil, &Lesson)> =
            tried.filter_map(|(other, lesson)| Some((other, lesson.as_ref()?))).collect();
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
