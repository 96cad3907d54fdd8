//! Where structured results have a test whose name is another one there.
//!
//! Runners name a test by its place: a file, the blocks or classes around it, its
//! own title. Logs and structured results take different ends of that: pytest's
//! log begins at the working folder and its XML at the root of the settings;
//! jest's list has titles alone and its XML all blocks; node's has blocks as
//! suites; PHPUnit's writes `testItAddsTwo` as `It adds two`.

use std::collections::{BTreeMap, HashMap};

use swegym_core::TestStatus;

use super::{Structured, Told, agreed, is_cut, split_id, split_words};
use crate::junit::Case;
use crate::status_map::StatusMap;

/// Tests by which it is found out what a run's root is.
const VOTERS: usize = 200;

/// How the words of a place are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Spelling {
    /// As they are.
    Plain,
    /// `testItAddsTwo` and `It adds two` are alike.
    Loose,
}

/// All cases, by the ends of their places.
pub(super) struct Places<'a> {
    cases: &'a [Case],
    /// Cases by their names: pytest's.
    by_name: HashMap<&'a str, Vec<usize>>,
    /// What of a module's path the log has otherwise.
    moved: Option<Move>,
    /// Places of cases by their last word.
    by_last: HashMap<(Spelling, String), Vec<Place>>,
    /// Suites by their last word.
    suites: HashMap<String, Vec<Suite>>,
}

/// One way to name a case.
struct Place {
    words: Vec<String>,
    case: usize,
    /// Whether it says more than the title: only then may an id say more than it.
    has_blocks: bool,
}

struct Suite {
    words: Vec<String>,
    /// The words of its own name.
    own: usize,
    told: Told,
}

/// The first folders of an id in the log, and what stands for them in the XML.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    from: Vec<String>,
    to: Vec<String>,
}

impl<'a> Places<'a> {
    pub(super) fn new(log: &StatusMap, cases: &'a [Case], direct: &Structured) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, case) in cases.iter().enumerate() {
            by_name.entry(case.name.as_str()).or_default().push(at);
        }
        let mut places =
            Self { cases, by_name, moved: None, by_last: places_of(cases), suites: suites_of(cases) };
        let unknown = log.keys().filter(|id| direct.find(id).is_none()).take(VOTERS);
        places.moved = places.most_common_move(unknown);
        places
    }

    pub(super) fn find(&self, id: &str) -> Option<Told> {
        self.find_moved(id)
            .or_else(|| self.find_end(id, Spelling::Plain))
            .or_else(|| self.find_suite(id))
            .or_else(|| self.find_end(id, Spelling::Loose))
    }

    /// The move that finds most of the ids: a run has one root.
    fn most_common_move<'l>(&self, ids: impl Iterator<Item = &'l str>) -> Option<Move> {
        let mut votes: BTreeMap<Move, usize> = BTreeMap::new();
        for id in ids {
            let Some((modules, name)) = path_and_name(id) else { continue };
            let mut moves: Vec<Move> = self.named(&name).filter_map(|case| shift(&modules, case)).collect();
            moves.sort();
            moves.dedup();
            moves.into_iter().for_each(|m| *votes.entry(m).or_default() += 1);
        }
        // Of several that find as many the one that changes least.
        let least = |m: &Move| std::cmp::Reverse(m.from.len() + m.to.len());
        votes.into_iter().max_by_key(|(m, count)| (*count, least(m))).map(|(m, _)| m)
    }

    /// Cases of a name, or of names that begin with it where it is cut.
    fn named<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a Case> + 's {
        let whole = self.by_name.get(name).into_iter().flatten();
        let others = name.contains('[').then(|| self.by_name.iter()).into_iter().flatten();
        let cut = others.filter(move |(other, _)| **other != name && is_cut(other, name));
        let cut = cut.flat_map(|(_, places)| places);
        whole.chain(cut).map(|at| &self.cases[*at])
    }

    fn find_moved(&self, id: &str) -> Option<Told> {
        let Move { from, to } = self.moved.as_ref()?;
        let (modules, name) = path_and_name(id)?;
        let rest = modules.strip_prefix(from.as_slice())?;
        let classname = [to.as_slice(), rest].concat().join(".");
        let exact = self.by_name.get(name.as_str()).into_iter().flatten().map(|at| &self.cases[*at]);
        let exact = exact.filter(|case| case.classname == classname).map(Told::of).reduce(Told::worse);
        exact.or_else(|| agreed(self.named(&name).filter(|case| case.classname == classname).map(Told::of)))
    }

    /// The cases whose place ends as the id does, or the other way round. Of those
    /// that have most in common the worst counts.
    fn find_end(&self, id: &str, spelling: Spelling) -> Option<Told> {
        let wanted = spell(id, spelling);
        let candidates = self.by_last.get(&(spelling, wanted.last()?.clone()))?;
        let fits = |place: &&Place| {
            place.words.ends_with(&wanted) || place.has_blocks && wanted.ends_with(&place.words)
        };
        let common = |place: &Place| place.words.len().min(wanted.len());
        let most = candidates.iter().filter(fits).map(common).max()?;
        let best = candidates.iter().filter(fits).filter(|place| common(place) == most);
        best.map(|place| Told::of(&self.cases[place.case])).reduce(Told::worse)
    }

    /// A block of tests that the log tells as one.
    fn find_suite(&self, id: &str) -> Option<Told> {
        let wanted = spell(id, Spelling::Plain);
        let candidates = self.suites.get(wanted.last()?)?;
        let fits = |suite: &&Suite| wanted.len() >= suite.own && suite.words.ends_with(&wanted);
        candidates.iter().filter(fits).map(|suite| suite.told).reduce(Told::worse)
    }
}

/// pytest's id taken apart: the module's path and the classes, and the name.
fn path_and_name(id: &str) -> Option<(Vec<String>, String)> {
    let (path, _) = id.split_once("::")?;
    let (_, name) = split_id(id)?;
    let classes = id.split('[').next()?.split("::").skip(1);
    let mut modules: Vec<String> = path.strip_suffix(".py")?.split('/').map(str::to_owned).collect();
    modules.extend(classes.map(str::to_owned));
    modules.pop();
    Some((modules, name))
}

/// What it takes to make a case's class of an id's, if one ends as the other does:
/// folders are only taken away, or only added, but for those that lead upwards.
fn shift(modules: &[String], case: &Case) -> Option<Move> {
    let class: Vec<String> = case.classname.split('.').map(str::to_owned).collect();
    let same = modules.iter().rev().zip(class.iter().rev()).take_while(|(a, b)| a == b).count();
    let (from, to) = (&modules[..modules.len() - same], &class[..class.len() - same]);
    let is_upwards = from.iter().all(|folder| folder == "..");
    (same > 0 && (to.is_empty() || is_upwards)).then(|| Move { from: from.to_vec(), to: to.to_vec() })
}

fn places_of(cases: &[Case]) -> HashMap<(Spelling, String), Vec<Place>> {
    let mut found: HashMap<(Spelling, String), Vec<Place>> = HashMap::new();
    for (at, case) in cases.iter().enumerate() {
        let blocks = [case.classname.clone(), case.suites.join(" ")];
        for spelling in [Spelling::Plain, Spelling::Loose] {
            let title = spell(&case.name, spelling);
            let with_blocks =
                blocks.iter().map(|blocks| ([spell(blocks, spelling), title.clone()].concat(), true));
            for (words, has_blocks) in with_blocks.chain([(title.clone(), false)]) {
                if let Some(last) = words.last() {
                    let key = (spelling, last.clone());
                    found.entry(key).or_default().push(Place { words, case: at, has_blocks });
                }
            }
        }
    }
    found
}

/// A suite failed if one of its tests did, and passed if one of them did.
fn suites_of(cases: &[Case]) -> HashMap<String, Vec<Suite>> {
    let mut all: BTreeMap<&[String], Told> = BTreeMap::new();
    let better = |a: Told, b: Told| {
        let is_skip = |told: Told| told.status == TestStatus::Skipped;
        if is_skip(a) || is_skip(b) { if is_skip(a) { b } else { a } } else { a.worse(b) }
    };
    for case in cases {
        for depth in 1..=case.suites.len() {
            let told = Told::of(case);
            all.entry(&case.suites[..depth]).and_modify(|old| *old = better(*old, told)).or_insert(told);
        }
    }
    let mut found: HashMap<String, Vec<Suite>> = HashMap::new();
    for (path, told) in all {
        let words = spell(&path.join(" "), Spelling::Plain);
        let own = path.last().map_or(0, |name| spell(name, Spelling::Plain).len());
        if let Some(last) = words.last().filter(|_| own > 0) {
            found.entry(last.clone()).or_default().push(Suite { words, own, told });
        }
    }
    found
}

/// The words of a name.
fn spell(name: &str, spelling: Spelling) -> Vec<String> {
    match spelling {
        // What TAP puts before a name is none of it.
        Spelling::Plain => split_words(name.strip_prefix("- ").unwrap_or(name)).map(str::to_owned).collect(),
        Spelling::Loose => {
            let parts = name.split(|c: char| !c.is_alphanumeric());
            let words = parts.flat_map(humps).map(|word| word.to_lowercase());
            words.filter(|word| !matches!(word.as_str(), "test" | "tests")).collect()
        }
    }
}

/// `itAddsTwo2` as `it`, `Adds`, `Two`, `2`.
fn humps(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut before) = (0, None);
    for (at, c) in word.char_indices() {
        let is_new = before
            .is_some_and(|b: char| b.is_lowercase() && c.is_uppercase() || b.is_numeric() != c.is_numeric());
        if is_new {
            found.push(&word[start..at]);
            start = at;
        }
        before = Some(c);
    }
    found.push(&word[start..]);
    found.retain(|part| !part.is_empty());
    found
}
