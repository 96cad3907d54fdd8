//! All commits of a repository, as a graph in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::hash::BuildHasher as _;
use std::io::BufRead as _;

use foldhash::fast::FixedState;

use crate::number;
use crate::oid::Oid;
use crate::repository::{MineError, Repository};

/// A commit's place in [`History::commits`].
pub(crate) type Index = u32;

/// What is kept of a commit.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) id: Oid,
    /// When it was committed, in seconds since 1970.
    pub(crate) committed: i64,
    /// When it was written.
    pub(crate) authored: i64,
    /// Stays the same when it is rebased: a hash of who wrote it, when, and its subject.
    pub(crate) mark: u64,
    /// A hash of who wrote it, and its subject.
    pub(crate) subject: u64,
    /// The number of the pull request that its subject names.
    pub(crate) number: Option<u32>,
    /// Larger than that of every ancestor, whatever clocks said.
    reach: i64,
    /// Where its parents stand in [`History::parents`].
    parents: (u32, u32),
}

/// The commits, and what leads to them.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) commits: Vec<Commit>,
    parents: Vec<Index>,
    index: HashMap<Oid, Index, FixedState>,
    /// The main line: what the main branch pointed to one after another, oldest first.
    pub(crate) main: Vec<Index>,
    /// Other branches and tags, by name.
    pub(crate) branches: Vec<(String, Index)>,
    /// Tags, by name.
    pub(crate) tags: Vec<(String, Index)>,
    /// Last commits of pull requests, by number.
    pub(crate) pulls: BTreeMap<u32, Index>,
}

/// One commit a record; fields on lines of their own.
const FORMAT: &str = "--format=%H%n%P%n%ct%n%at%n%ae%n%s";

impl History {
    /// Reads everything that any reference leads to. `branch` is the main one; what the
    /// repository's `HEAD` names where there is none.
    ///
    /// # Errors
    /// git fails, or there is no such branch.
    pub(crate) fn read(repository: &Repository, branch: Option<&str>) -> Result<Self, MineError> {
        let name = branch.unwrap_or("HEAD");
        let no_branch =
            |_| MineError::NoBranch { path: repository.path().to_owned(), branch: name.to_owned() };
        let asked = ["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")];
        let tip = repository.ask(&asked).map_err(no_branch)?;
        let mut history = Self::default();
        history.read_commits(repository, tip.trim())?;
        history.measure();
        history.read_references(repository)?;
        let mut at = Oid::parse(tip.trim().as_bytes()).and_then(|id| history.find(id));
        while let Some(commit) = at {
            history.main.push(commit);
            at = history.parents_of(commit).first().copied();
        }
        history.main.reverse();
        Ok(history)
    }

    fn read_commits(&mut self, repository: &Repository, tip: &str) -> Result<(), MineError> {
        let log = ["log", "--all", "--topo-order", "--no-show-signature", "--no-mailmap", "-z", FORMAT, tip];
        let mut stream = repository.start(&log)?;
        let (mut record, mut waiting) = (Vec::new(), Vec::new());
        let hasher = FixedState::default();
        loop {
            record.clear();
            let read = stream.read_until(0, &mut record).map_err(|e| repository.answer_error(e))?;
            if read == 0 {
                break;
            }
            let mut lines = record.strip_suffix(b"\0").unwrap_or(&record).splitn(6, |byte| *byte == b'\n');
            let mut next = || lines.next().unwrap_or_default();
            let (id, parents, committed, authored, mail, subject) =
                (next(), next(), next(), next(), next(), next());
            let Some(id) = Oid::parse(id) else { continue };
            let from = waiting.len() as u32;
            waiting.extend(parents.split(|byte| *byte == b' ').filter_map(Oid::parse));
            let authored = seconds(authored);
            let commit = Commit {
                id,
                committed: seconds(committed),
                authored,
                mark: hasher.hash_one((authored, mail, subject)),
                subject: hasher.hash_one((mail, subject)),
                number: number::of_subject(&String::from_utf8_lossy(subject)),
                reach: 0,
                parents: (from, waiting.len() as u32),
            };
            self.index.insert(id, self.commits.len() as Index);
            self.commits.push(commit);
        }
        stream.finish().map_err(|source| repository.git_error(source))?;
        // What a shallow clone lacks has no place.
        for commit in &mut self.commits {
            let (from, to) = (commit.parents.0 as usize, commit.parents.1 as usize);
            let start = self.parents.len() as u32;
            self.parents.extend(waiting[from..to].iter().filter_map(|id| self.index.get(id)));
            commit.parents = (start, self.parents.len() as u32);
        }
        Ok(())
    }

    /// Commits come after all their descendants: from behind, parents come first.
    fn measure(&mut self) {
        for at in (0..self.commits.len()).rev() {
            let above =
                self.parents_of(at as Index).iter().map(|p| self.commits[*p as usize].reach + 1).max();
            let own = self.commits[at].committed;
            self.commits[at].reach = above.map_or(own, |above| above.max(own));
        }
    }

    fn read_references(&mut self, repository: &Repository) -> Result<(), MineError> {
        let mut stream =
            repository.start(&["for-each-ref", "--format=%(objectname) %(*objectname) %(refname)"])?;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = stream.read_until(b'\n', &mut line).map_err(|e| repository.answer_error(e))?;
            if read == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let mut words = text.trim_end().splitn(3, ' ');
            let (own, peeled, name) = (words.next(), words.next(), words.next().unwrap_or_default());
            let commit = |id: Option<&str>| self.find(Oid::parse(id?.as_bytes())?);
            let Some(tip) = commit(peeled).or_else(|| commit(own)) else { continue };
            if let Some(pull) = number::of_reference(name) {
                self.pulls.insert(pull, tip);
            } else if let Some(tag) = name.strip_prefix("refs/tags/") {
                self.tags.push((tag.to_owned(), tip));
                self.branches.push((tag.to_owned(), tip));
            } else if let Some(branch) =
                name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/remotes/"))
            {
                self.branches.push((branch.to_owned(), tip));
            }
        }
        stream.finish().map_err(|source| repository.git_error(source))
    }

    /// The place of a commit.
    pub(crate) fn find(&self, id: Oid) -> Option<Index> {
        self.index.get(&id).copied()
    }

    pub(crate) fn commit(&self, at: Index) -> &Commit {
        &self.commits[at as usize]
    }

    /// Its parents that are there, in order.
    pub(crate) fn parents_of(&self, at: Index) -> &[Index] {
        let (from, to) = self.commit(at).parents;
        &self.parents[from as usize..to as usize]
    }

    /// The chain of first parents, newest first.
    pub(crate) fn line_from(&self, tip: Index) -> impl Iterator<Item = Index> {
        std::iter::successors(Some(tip), |at| self.parents_of(*at).first().copied())
    }
}

fn seconds(text: &[u8]) -> i64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Walks over a history; keeps the room that walks need.
pub(crate) struct Walker<'a> {
    history: &'a History,
    /// Which sides a commit was reached from.
    sides: Vec<u8>,
    touched: Vec<Index>,
    /// Commits to visit, those that have no descendant among them first.
    queue: BinaryHeap<(i64, Reverse<Index>)>,
    /// How many of them were reached from one side only.
    ones: usize,
}

const ONE: u8 = 1;
const OTHER: u8 = 2;

impl<'a> Walker<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let sides = vec![0; history.commits.len()];
        Self { history, sides, touched: Vec::new(), queue: BinaryHeap::new(), ones: 0 }
    }

    /// The newest commit that both descend from.
    pub(crate) fn merge_base(&mut self, one: Index, other: Index) -> Option<Index> {
        self.begin(one, Some(other));
        while let Some((at, side)) = self.step() {
            if side == ONE | OTHER {
                return Some(at);
            }
        }
        None
    }

    /// Whether `old` is `young`, or one of its ancestors.
    pub(crate) fn is_ancestor(&mut self, old: Index, young: Index) -> bool {
        let floor = self.history.commit(old).reach;
        self.begin(young, None);
        while let Some((at, _)) = self.step() {
            if at == old || self.history.commit(at).reach < floor {
                return at == old;
            }
        }
        false
    }

    /// What `tip` brings over `base`: its ancestors that are none of `base`'s, newest
    /// first, but no more than so many.
    pub(crate) fn between(&mut self, base: Index, tip: Index, most: usize) -> Vec<Index> {
        self.begin(tip, Some(base));
        let mut brought = Vec::new();
        while self.ones > 0 && brought.len() < most {
            let Some((at, side)) = self.step() else { break };
            if side == ONE {
                brought.push(at);
            }
        }
        brought
    }

    fn begin(&mut self, one: Index, other: Option<Index>) {
        for at in self.touched.drain(..) {
            self.sides[at as usize] = 0;
        }
        self.queue.clear();
        self.ones = 0;
        self.reach(one, ONE);
        if let Some(other) = other {
            self.reach(other, OTHER);
        }
    }

    /// A commit that all its descendants led to, and the sides that it was reached from.
    fn step(&mut self) -> Option<(Index, u8)> {
        let (_, Reverse(at)) = self.queue.pop()?;
        let side = self.sides[at as usize];
        self.ones -= usize::from(side == ONE);
        let history = self.history;
        history.parents_of(at).iter().for_each(|parent| self.reach(*parent, side));
        Some((at, side))
    }

    fn reach(&mut self, at: Index, side: u8) {
        let known = &mut self.sides[at as usize];
        let (before, after) = (*known, *known | side);
        *known = after;
        if before == 0 {
            self.touched.push(at);
            self.queue.push((self.history.commit(at).reach, Reverse(at)));
            self.ones += usize::from(after == ONE);
        } else if before == ONE && after != ONE {
            self.ones -= 1;
        }
    }
}

/// For every commit, the first one of the main line that has it among its ancestors.
pub(crate) fn landings(history: &History) -> Vec<Option<Index>> {
    let mut landed = vec![None; history.commits.len()];
    let mut waiting = Vec::new();
    for landing in &history.main {
        waiting.push(*landing);
        while let Some(at) = waiting.pop() {
            if landed[at as usize].is_none() {
                landed[at as usize] = Some(*landing);
                waiting.extend_from_slice(history.parents_of(at));
            }
        }
    }
    landed
}
