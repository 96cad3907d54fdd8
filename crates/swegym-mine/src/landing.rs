//! From pull requests to the commits that brought them into a branch.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use foldhash::fast::FixedState;

use crate::history::{Commit, History, Index, Walker, landings};

/// How it is known where a pull request landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// The landing's subject names it.
    Number,
    /// The landing has its last commit among its ancestors.
    Reached,
    /// The landing is its last commit, rebased: of the same author, time and subject.
    Rebased,
    /// The landing has the author and the subject of its last commit.
    Subject,
}

impl Way {
    /// The word in files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Reached => "reached",
            Self::Rebased => "rebased",
            Self::Subject => "subject",
        }
    }
}

/// A change that landed: from `base` to `head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Landed {
    /// The pull request.
    pub(crate) number: u32,
    pub(crate) way: Way,
    pub(crate) base: Index,
    pub(crate) head: Index,
    /// The commit that brought it into a branch.
    pub(crate) landing: Index,
    /// Whether that is the main one.
    pub(crate) on_main: bool,
    /// Whether `head` is what the repository keeps as the pull request's last commit.
    pub(crate) has_head: bool,
}

/// What became of commits and pull requests.
#[derive(Debug, Default)]
pub(crate) struct Landings {
    /// Those that landed, those on the main line first, oldest first.
    pub(crate) landed: Vec<Landed>,
    /// Pull requests that landed as a part of another one, with its number.
    pub(crate) parts: Vec<(u32, u32)>,
    /// Pull requests that came into no branch.
    pub(crate) open: Vec<u32>,
    /// Pull requests without an ancestor in common with where they landed.
    pub(crate) baseless: Vec<u32>,
    /// Commits of the main line that stem from no pull request.
    pub(crate) direct: Vec<Index>,
}

/// Finds where each pull request landed.
pub(crate) fn find(history: &History) -> Landings {
    Finder::new(history).find()
}

struct Finder<'a> {
    history: &'a History,
    walker: Walker<'a>,
    /// For every commit, the one of the main line that brought it.
    brought: Vec<Option<Index>>,
    on_main: HashSet<Index, FixedState>,
    /// Commits whose subject names a number: those of the main line, oldest first; then
    /// those that it reaches; then those of other branches.
    by_number: HashMap<u32, Vec<Index>, FixedState>,
    /// Commits of branches by what stays the same when they are rebased.
    by_mark: HashMap<u64, Index, FixedState>,
    by_subject: HashMap<u64, Option<Index>, FixedState>,
    found: Landings,
}

impl<'a> Finder<'a> {
    fn new(history: &'a History) -> Self {
        let brought = landings(history);
        let on_main: HashSet<_, _> = history.main.iter().copied().collect();
        let mut finder = Self {
            history,
            walker: Walker::new(history),
            brought,
            on_main,
            by_number: HashMap::default(),
            by_mark: HashMap::default(),
            by_subject: HashMap::default(),
            found: Landings::default(),
        };
        history.main.iter().for_each(|at| finder.note(*at));
        for at in (0..history.commits.len() as Index).rev() {
            let is_inner = finder.brought[at as usize].is_some() && !finder.on_main.contains(&at);
            if is_inner && let Some(number) = history.commit(at).number {
                finder.by_number.entry(number).or_default().push(at);
            }
        }
        finder.note_other_branches();
        finder
    }

    /// Commits of other branches, the main line of each, oldest first.
    fn note_other_branches(&mut self) {
        let mut known: HashSet<Index, FixedState> = HashSet::default();
        for (_, tip) in &self.history.branches {
            let is_new = |at: &Index| self.brought[*at as usize].is_none() && !known.contains(at);
            let line: Vec<Index> = self.history.line_from(*tip).take_while(is_new).collect();
            for at in line.into_iter().rev() {
                known.insert(at);
                self.note(at);
            }
        }
    }

    fn note(&mut self, at: Index) {
        let Commit { mark, subject, number, .. } = self.history.commit(at);
        if let Some(number) = number {
            self.by_number.entry(*number).or_default().push(at);
        }
        self.by_mark.entry(*mark).or_insert(at);
        // A subject that several share tells nothing.
        self.by_subject.entry(*subject).and_modify(|one| *one = None).or_insert(Some(at));
    }

    fn find(mut self) -> Landings {
        for (number, head) in &self.history.pulls {
            self.find_pull(*number, *head);
        }
        self.find_without_heads();
        self.keep_one_of_each_landing();
        self.find_direct();
        let history = self.history;
        let age =
            |landed: &Landed| (!landed.on_main, history.commit(landed.landing).committed, landed.number);
        self.found.landed.sort_by_key(age);
        self.found
    }

    fn find_pull(&mut self, number: u32, head: Index) {
        let named = self.by_number.get(&number).cloned().unwrap_or_default();
        let named = self.other_than_own(&named, head);
        let inner = |at: &Index| self.brought[*at as usize].is_some();
        if let Some(landing) = named.filter(inner) {
            return self.land(number, head, landing, Way::Number);
        }
        if let Some(landing) = self.brought[head as usize] {
            return match self.history.commit(landing).number {
                // It came with another one, into which it had been merged.
                Some(other) if other != number && landing != head => self.found.parts.push((number, other)),
                _ => self.land(number, head, landing, Way::Reached),
            };
        }
        if let Some(landing) = named {
            return self.land(number, head, landing, Way::Number);
        }
        let last = self.last_own_commit(head);
        let Commit { mark, subject, authored, .. } = self.history.commit(last);
        let rebased = self.by_mark.get(mark).copied().filter(|at| *at != last);
        let later = |at: &Index| self.history.commit(*at).committed >= *authored && *at != last;
        let alike = || self.by_subject.get(subject).copied().flatten().filter(later);
        let found = rebased.map(|at| (at, Way::Rebased)).or_else(|| alike().map(|at| (at, Way::Subject)));
        match found.filter(|(at, _)| !self.walker.is_ancestor(*at, head)) {
            Some((landing, way)) => self.land(number, head, landing, way),
            None => self.found.open.push(number),
        }
    }

    /// The first that is not among the pull request's own commits.
    fn other_than_own(&mut self, named: &[Index], head: Index) -> Option<Index> {
        named.iter().copied().find(|at| *at == head || !self.walker.is_ancestor(*at, head))
    }

    /// The last commit that is no merge of something else into the pull request.
    fn last_own_commit(&self, head: Index) -> Index {
        self.history.line_from(head).find(|at| self.history.parents_of(*at).len() < 2).unwrap_or(head)
    }

    fn land(&mut self, number: u32, head: Index, landing: Index, way: Way) {
        let on_main = self.on_main.contains(&landing);
        // The commit itself, pushed to the branch as it was: it begins at its parent.
        let before = self.history.parents_of(landing).first().copied();
        let base = match before {
            Some(before) if landing == head => Some(before),
            Some(before) => self.walker.merge_base(head, before),
            None => None,
        };
        match base {
            Some(base) => {
                self.found.landed.push(Landed { number, way, base, head, landing, on_main, has_head: true });
            }
            None => self.found.baseless.push(number),
        }
    }

    /// In a clone without pull requests, what landed is all there is. Where they are kept, a
    /// number without one is an issue's: they are counted together.
    fn find_without_heads(&mut self) {
        if !self.history.pulls.is_empty() {
            return;
        }
        let mut numbers: BTreeMap<u32, Index> = BTreeMap::new();
        for (number, named) in &self.by_number {
            if let Some(landing) = named.first() {
                numbers.insert(*number, *landing);
            }
        }
        for (number, landing) in numbers {
            let (head, base) = match self.history.parents_of(landing) {
                [] => {
                    self.found.baseless.push(number);
                    continue;
                }
                [before] => (landing, Some(*before)),
                [before, merged, ..] => (*merged, self.walker.merge_base(*before, *merged)),
            };
            let on_main = self.on_main.contains(&landing);
            match base {
                Some(base) => {
                    let way = Way::Number;
                    self.found.landed.push(Landed {
                        number,
                        way,
                        base,
                        head,
                        landing,
                        on_main,
                        has_head: false,
                    });
                }
                None => self.found.baseless.push(number),
            }
        }
    }

    /// Several pull requests of the same commits: the one that the landing names, or the one
    /// that left the branch last (a port to an older branch left it long before), or the last.
    fn keep_one_of_each_landing(&mut self) {
        let history = self.history;
        let rank =
            |one: &Landed| (Reverse(one.way), history.commit(one.base).committed, one.has_head, one.number);
        let mut best: HashMap<Index, Landed, FixedState> = HashMap::default();
        for one in &self.found.landed {
            match best.get(&one.landing) {
                Some(known) if rank(known) >= rank(one) => {}
                _ => drop(best.insert(one.landing, one.clone())),
            }
        }
        let parts = &mut self.found.parts;
        self.found.landed.retain(|one| {
            // A merge may bring several, each with commits of its own.
            let best = best[&one.landing].number;
            let stays = one.number == best || one.way == Way::Reached;
            parts.extend((!stays).then_some((one.number, best)));
            stays
        });
    }

    fn find_direct(&mut self) {
        let landings: HashSet<Index, FixedState> = self.found.landed.iter().map(|one| one.landing).collect();
        let direct = self.history.main.iter().copied().filter(|at| !landings.contains(at));
        self.found.direct = direct.collect();
    }
}
