//! Instances of other datasets: what is mined should be none of them.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;

/// One instance of another dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: String,
    /// `owner/name`.
    pub repo: String,
    /// Where it begins.
    pub base_commit: String,
    /// Its gold patch.
    pub patch: String,
}

/// What a mined instance shares with a known one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shared {
    /// It is the same, or begins at the same commit of the same repository.
    Commit(String),
    /// Its patch is nearly the same.
    Patch(String),
}

/// Patches are nearly the same if they share this much of the lines of both.
const NEARLY: f64 = 0.6;

/// Fewer lines may be alike by chance.
const FEWEST_LINES: usize = 3;

/// Lines that more patches than this have tell nothing: `}`, `return None`.
const COMMON: usize = 50;

/// Instances of other datasets, to be asked for quickly.
#[derive(Debug, Default)]
pub struct Against {
    ids: HashSet<String, FixedState>,
    repositories: HashSet<String, FixedState>,
    commits: HashMap<(String, String), String, FixedState>,
    patches: Vec<(String, HashSet<u64, FixedState>)>,
    /// Which patches have a line.
    lines: HashMap<u64, Vec<u32>, FixedState>,
}

impl Against {
    /// Adds an instance.
    pub fn add(&mut self, known: Known) {
        let Known { id, repo, base_commit, patch } = known;
        let repo = repo.to_lowercase();
        self.repositories.insert(repo.clone());
        self.commits.insert((repo, base_commit), id.clone());
        self.ids.insert(id.to_lowercase());
        let lines = lines_of(&patch);
        if lines.len() >= FEWEST_LINES {
            let at = self.patches.len() as u32;
            lines.iter().for_each(|line| self.lines.entry(*line).or_default().push(at));
            self.patches.push((id, lines));
        }
    }

    /// Whether a dataset has instances of this repository.
    pub(crate) fn has_repository(&self, repo: &str) -> bool {
        self.repositories.contains(&repo.to_lowercase())
    }

    /// What is shared with a known one.
    pub(crate) fn look(&self, id: &str, repo: &str, base: &str, patch: &str) -> Option<Shared> {
        if self.ids.contains(&id.to_lowercase()) {
            return Some(Shared::Commit(id.to_owned()));
        }
        if let Some(known) = self.commits.get(&(repo.to_lowercase(), base.to_owned())) {
            return Some(Shared::Commit(known.clone()));
        }
        if self.patches.is_empty() {
            return None;
        }
        let lines = lines_of(patch);
        if lines.len() < FEWEST_LINES {
            return None;
        }
        let holders = lines.iter().filter_map(|line| self.lines.get(line)).filter(|of| of.len() <= COMMON);
        let near: HashSet<u32> = holders.flatten().copied().collect();
        let alike = near.into_iter().find(|at| {
            let other = &self.patches[*at as usize].1;
            let shared = lines.intersection(other).count() as f64;
            shared / (lines.len() + other.len()) as f64 * 2.0 >= NEARLY
        });
        alike.map(|at| Shared::Patch(self.patches[at as usize].0.clone()))
    }
}

/// Hashes of what a patch adds and removes, without blanks.
fn lines_of(patch: &str) -> HashSet<u64, FixedState> {
    let is_change =
        |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- ");
    let hasher = FixedState::default();
    let lines = patch.lines().filter(is_change).filter_map(|line| {
        let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        // A brace alone is no line of anybody's.
        (plain.len() > 3).then(|| hasher.hash_one(&plain))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "--- a/a.py\n+++ b/a.py\n@@ -1,4 +1,4 @@\n-first = 1\n+first = 2\n-second = 1\n+second = 2\n context\n";

    #[test]
    fn the_same_commit_and_nearly_the_same_patch_are_found() {
        let mut against = Against::default();
        against.add(Known {
            id: "o__n-1".into(),
            repo: "O/n".into(),
            base_commit: "aa".into(),
            patch: PATCH.into(),
        });
        assert!(against.has_repository("o/N") && !against.has_repository("o/m"));
        let commit = |id: &str| Some(Shared::Commit(id.to_owned()));
        assert_eq!(against.look("O__N-1", "x/y", "bb", ""), commit("O__N-1"));
        assert_eq!(against.look("o__n-2", "o/n", "aa", ""), commit("o__n-1"));
        let moved =
            PATCH.replace("@@ -1,4 +1,4 @@", "@@ -90,4 +90,4 @@").replace("second = 2", "second  = 2");
        assert_eq!(against.look("f__n-7", "f/n", "cc", &moved), Some(Shared::Patch("o__n-1".into())));
        let other = PATCH.replace("first", "third").replace("second", "fourth");
        assert_eq!(against.look("f__n-7", "f/n", "cc", &other), None);
    }
}
