//! One repository, from its history to instances.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use jiff::Timestamp;
use serde_json::{Map, json};
use swegym_core::{Instance, InstanceId, Names, Patch};

use crate::against::{Against, Shared};
use crate::change::{Change, Outcome, Pair, Section, names, read};
use crate::discussion::{Discussion, Landing};
use crate::funnel::{Funnel, Reason};
use crate::history::{History, Index, Walker};
use crate::item::ItemKind;
use crate::kind::{Kind, Split, holds_tests};
use crate::landing::{self, Landed, Landings, Way};
use crate::number;
use crate::objects::Objects;
use crate::repository::{MineError, Repository};
use crate::statement::{self, Said, Source};
use crate::texts::Texts;
use crate::version::Versions;

/// What is mined, and how.
#[derive(Debug)]
pub struct Rules {
    /// The main branch; what `HEAD` names where there is none.
    pub branch: Option<String>,
    /// What counts as a test.
    pub split: Split,
    /// Where statements may stem from.
    pub statements: Vec<Source>,
    /// Instances of other datasets.
    pub against: Against,
}

/// What became of one candidate.
#[derive(Debug)]
pub enum Found {
    /// An instance.
    Kept(Box<Instance>),
    /// None, and why.
    Dropped(Dropped),
}

/// A candidate that is no instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The pull request, if it is one.
    pub pull: Option<u32>,
    /// The commit: of the landing, or of the main line.
    pub commit: Option<String>,
    /// Why.
    pub reason: Reason,
    /// More about it: which other one.
    pub detail: Option<String>,
}

/// How far the survey of a repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Landings that were looked at.
    pub done: usize,
    /// Of so many.
    pub total: usize,
}

/// More commits of one pull request are not read.
const MOST_COMMITS: usize = 250;

/// Counts the commits that change both source and tests, as far as names tell: the first
/// part of [`survey`].
///
/// # Errors
/// The repository cannot be read.
pub fn count_both(repository: &Repository, split: Split, branch: Option<&str>) -> Result<usize, MineError> {
    let history = History::read(repository, branch)?;
    let before = |at: &Index| history.parents_of(*at).first().copied();
    let id = |at: Index| history.commit(at).id;
    let pairs = history.main.iter().filter_map(|at| Some(Pair { base: id(before(at)?), head: id(*at) }));
    let pairs: Vec<Pair> = pairs.collect();
    let mut both = 0;
    names(repository, &pairs, |_, paths| {
        both += usize::from(lacks(split, paths).is_none());
        Ok(())
    })?;
    Ok(both)
}

/// Mines one repository. Statements may stem from `texts`. Everything found is given to
/// `each`, in an order that depends on the repository alone.
///
/// # Errors
/// The repository cannot be read, the API gives no answer, or `each` fails.
pub fn survey<E: From<MineError>>(
    repository: &Repository,
    rules: &Rules,
    texts: &mut Texts,
    mut tell: impl FnMut(Progress),
    mut each: impl FnMut(Found) -> Result<(), E>,
) -> Result<Funnel, E> {
    let history = History::read(repository, rules.branch.as_deref())?;
    let landings = landing::find(&history);
    let mut survey = Survey {
        repository,
        rules,
        texts,
        history: &history,
        walker: Walker::new(&history),
        objects: Objects::open(repository)?,
        versions: Versions::of(&history),
        funnel: Funnel { commits: history.main.len(), pulls: history.pulls.len(), ..Funnel::default() },
        seen: HashMap::default(),
        kept: HashMap::default(),
        found: Vec::new(),
    };
    survey.note_others(&landings);
    let candidates = survey.choose(landings.landed)?;
    let total = candidates.len();
    survey.hand_over(&mut each)?;
    // What a number alone connects may be two things: an issue, and a pull request of later.
    let mut unlike = Vec::new();
    let pairs: Vec<Pair> =
        candidates.iter().map(|one| survey.pair(one.landed.base, one.landed.head)).collect();
    let mut failed = None;
    read(repository, &pairs, |at, outcome| {
        let candidate = &candidates[at];
        match survey.compare(candidate, &outcome) {
            Some(landed) => unlike.push(landed),
            None => survey.judge(&candidate.landed, outcome)?,
        }
        tell(Progress { done: at + 1, total: total + unlike.len() });
        hand_over_until(&mut failed, &mut survey, &mut each)
    })?;
    failed.take().map_or(Ok(()), Err)?;
    let pairs: Vec<Pair> = unlike.iter().map(|one| survey.pair(one.base, one.head)).collect();
    read(repository, &pairs, |at, outcome| {
        survey.judge(&unlike[at], outcome)?;
        tell(Progress { done: total + at + 1, total: total + unlike.len() });
        hand_over_until(&mut failed, &mut survey, &mut each)
    })?;
    failed.take().map_or(Ok(()), Err)?;
    survey.funnel.known_repository = match rules.against.has_repository(repository.name()) {
        true => survey.funnel.kept(),
        false => 0,
    };
    Ok(survey.funnel)
}

/// Hands over what was found; keeps the first error, which ends the reading.
fn hand_over_until<E>(
    failed: &mut Option<E>,
    survey: &mut Survey<'_>,
    each: &mut impl FnMut(Found) -> Result<(), E>,
) -> Result<(), MineError> {
    if failed.is_none() {
        *failed = survey.hand_over(each).err();
    }
    Ok(())
}

/// A landing whose diff is to be read.
struct Candidate {
    landed: Landed,
    /// Hashes of the paths that the landing changes; nothing where it is one of several commits.
    paths: Option<HashSet<u64, FixedState>>,
}

struct Survey<'a> {
    repository: &'a Repository,
    rules: &'a Rules,
    texts: &'a mut Texts,
    history: &'a History,
    walker: Walker<'a>,
    objects: Objects<'a>,
    versions: Versions<'a>,
    funnel: Funnel,
    /// Changes that were seen, with the pull request of each.
    seen: HashMap<u64, u32, FixedState>,
    /// Pull requests of kept instances, by their landing.
    kept: HashMap<Index, u32, FixedState>,
    /// What was found and is not handed over yet.
    found: Vec<Found>,
}

impl Survey<'_> {
    fn hand_over<E>(&mut self, each: &mut impl FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        self.found.drain(..).try_for_each(each)
    }

    fn drop_one(&mut self, pull: Option<u32>, commit: Option<Index>, reason: Reason, detail: Option<String>) {
        self.funnel.drop_one(reason);
        let commit = commit.map(|at| self.history.commit(at).id.to_string());
        self.found.push(Found::Dropped(Dropped { pull, commit, reason, detail }));
    }

    /// What landed nowhere, and what nobody asked to pull.
    fn note_others(&mut self, landings: &Landings) {
        for at in &landings.direct {
            self.drop_one(None, Some(*at), Reason::NoPull, None);
        }
        for number in &landings.open {
            self.drop_one(Some(*number), None, Reason::NotLanded, None);
        }
        for (number, other) in &landings.parts {
            self.drop_one(Some(*number), None, Reason::PartOfAnother, Some(format!("#{other}")));
        }
        for number in &landings.baseless {
            let shallow = self.repository.is_shallow().then(|| "the clone is shallow".to_owned());
            self.drop_one(Some(*number), None, Reason::NoMergeBase, shallow);
        }
    }

    fn pair(&self, base: Index, head: Index) -> Pair {
        Pair { base: self.history.commit(base).id, head: self.history.commit(head).id }
    }

    /// Those whose landing changes both kinds of files, as far as names tell.
    fn choose(&mut self, landed: Vec<Landed>) -> Result<Vec<Candidate>, MineError> {
        // A landing of several commits says less than all of them.
        let is_whole = |one: &Landed| one.way == Way::Number;
        let (whole, rest): (Vec<Landed>, Vec<Landed>) = landed.into_iter().partition(is_whole);
        let before = |one: &Landed| self.history.parents_of(one.landing).first().copied();
        let pairs: Vec<Pair> =
            whole.iter().filter_map(|one| Some(self.pair(before(one)?, one.landing))).collect();
        let mut candidates = Vec::new();
        let mut lacking = Vec::new();
        let split = self.rules.split;
        names(self.repository, &pairs, |at, paths| {
            let one = &whole[at];
            match lacks(split, paths) {
                // Whatever names do not say stands in the diff.
                Some(reason) if !paths.is_empty() => lacking.push((one.number, one.landing, reason)),
                _ => {
                    let paths = Some(paths.iter().map(|path| hash(path)).collect());
                    candidates.push(Candidate { landed: one.clone(), paths });
                }
            }
            Ok(())
        })?;
        for (number, landing, reason) in lacking {
            self.drop_one(Some(number), Some(landing), reason, None);
        }
        candidates.extend(rest.into_iter().map(|landed| Candidate { landed, paths: None }));
        let age = |one: &Candidate| {
            (!one.landed.on_main, self.history.commit(one.landed.landing).committed, one.landed.number)
        };
        candidates.sort_by_key(age);
        Ok(candidates)
    }

    /// The landing alone, where what it changes and what the pull request changes have no
    /// file in common: they only share a number.
    fn compare(&self, candidate: &Candidate, outcome: &Outcome) -> Option<Landed> {
        let (Some(paths), Outcome::Diff(sections)) = (&candidate.paths, outcome) else { return None };
        let landed = &candidate.landed;
        let shares = sections.iter().any(|section| paths.contains(&hash(&section.path)));
        let before = self.history.parents_of(landed.landing).first().copied()?;
        let is_landing = (before, landed.landing) == (landed.base, landed.head);
        (!shares && !paths.is_empty() && !is_landing).then(|| Landed {
            base: before,
            head: landed.landing,
            has_head: false,
            ..landed.clone()
        })
    }

    fn judge(&mut self, landed: &Landed, outcome: Outcome) -> Result<(), MineError> {
        match self.instance(landed, outcome)? {
            Ok((instance, source)) => {
                let year = year_of(self.history.commit(landed.landing).committed);
                self.funnel.keep_one(source, year);
                self.kept.insert(landed.landing, landed.number);
                self.found.push(Found::Kept(Box::new(instance)));
            }
            Err((reason, detail)) => {
                self.drop_one(Some(landed.number), Some(landed.landing), reason, detail);
            }
        }
        Ok(())
    }

    /// The instance of a landing, or why there is none.
    #[expect(
        clippy::type_complexity,
        reason = "two kinds of failure: of the repository, and of the candidate"
    )]
    fn instance(
        &mut self,
        landed: &Landed,
        outcome: Outcome,
    ) -> Result<Result<(Instance, Source), (Reason, Option<String>)>, MineError> {
        if !landed.has_head && self.is_issue(landed.number) {
            return Ok(Err((Reason::IsIssue, None)));
        }
        let sections = match outcome {
            Outcome::Diff(sections) if sections.is_empty() => return Ok(Err((Reason::Empty, None))),
            Outcome::Diff(sections) => sections,
            Outcome::TooLarge => return Ok(Err((Reason::TooLarge, None))),
            Outcome::NoText => return Ok(Err((Reason::NotText, None))),
            Outcome::Unreadable(why) => return Ok(Err((Reason::UnreadableDiff, Some(why)))),
        };
        let mut change = self.sorted(landed, sections)?;
        let left_out = match self.rules.split {
            Split::Kinds => change.leave_out_contentless(),
            Split::SweGym => Vec::new(),
        };
        if !change.has(Kind::Test) {
            return Ok(Err((Reason::NoTests, None)));
        }
        if !change.has(Kind::Source) {
            return Ok(Err((Reason::NoSource, None)));
        }
        let history = self.history;
        let message = self.objects.message(history.commit(landed.landing).id)?;
        let own = self.walker.between(landed.base, landed.head, MOST_COMMITS);
        let mut messages = Vec::new();
        for at in own.iter().rev().filter(|at| history.parents_of(**at).len() < 2) {
            messages.push(self.objects.message(history.commit(*at).id)?);
        }
        let repo = self.repository.name();
        let discussion = Discussion::of(
            self.texts,
            &Landing {
                repo,
                number: landed.number,
                has_head: landed.has_head,
                message: &message,
                commits: &messages,
            },
        )?;
        let said = Said { landing: &message, commits: &messages, discussion: &discussion, change: &change };
        let Some(statement) = statement::choose(&said, &self.rules.statements) else {
            return Ok(Err((Reason::NoStatement, None)));
        };
        if let Some(copy) = self.copied(landed, &message, &messages, change.mark()) {
            return Ok(Err(copy));
        }
        let (patch, test_patch) = (change.patch(), change.test_patch());
        let refused = |text: &String| match self.rules.split {
            Split::Kinds => Patch::parse(text).err(),
            // Published rows hold sections that cannot be applied.
            Split::SweGym => Patch::survey(text).err(),
        };
        if let Some(error) = [&patch, &test_patch].into_iter().find_map(refused) {
            return Ok(Err((Reason::RefusedPatch, Some(error.to_string()))));
        }
        let base_commit = history.commit(landed.base).id.to_string();
        let name = format!("{}-{}", repo.replace('/', "__"), landed.number);
        match self.rules.against.look(&name, repo, &base_commit, &patch) {
            Some(Shared::Commit(of)) => return Ok(Err((Reason::KnownCommit, Some(of)))),
            Some(Shared::Patch(of)) => return Ok(Err((Reason::KnownPatch, Some(of)))),
            None => {}
        }
        let Ok(instance_id) = InstanceId::new(name) else {
            return Ok(Err((Reason::RefusedPatch, Some("its id cannot be a file's name".to_owned()))));
        };
        let began = own.iter().map(|at| history.commit(*at).authored).filter(|time| *time > 0).min();
        let began = began.unwrap_or_else(|| history.commit(landed.head).authored);
        let began = Timestamp::from_second(began).ok();
        let hints_text = discussion.hints(self.texts, repo, began)?;
        let opened = discussion.pull.as_ref().and_then(|pull| pull.created);
        let mut extra = Map::new();
        extra.insert("head_commit".to_owned(), json!(history.commit(landed.head).id.to_string()));
        extra.insert("landing_commit".to_owned(), json!(history.commit(landed.landing).id.to_string()));
        extra.insert("landing_found_by".to_owned(), json!(landed.way.code()));
        extra.insert("statement_source".to_owned(), json!(statement.source.code()));
        let tells: Vec<_> = statement.tells.iter().map(|tell| tell.code()).collect();
        extra.insert("statement_tells".to_owned(), json!(tells));
        self.funnel.note_discussion(&discussion);
        if !self.texts.is_empty() {
            extra.insert("issue_numbers".to_owned(), json!(discussion.issue_numbers(repo)));
            extra.insert("issue_found_by".to_owned(), json!(discussion.issue_rules()));
        }
        if !left_out.is_empty() {
            extra.insert("left_out".to_owned(), json!(left_out));
        }
        let instance = Instance {
            instance_id,
            repo: repo.to_owned(),
            base_commit,
            gold_patch: patch,
            test_patch,
            problem_statement: statement.text,
            hints_text,
            created_at: opened.or(began).map(|time| time.to_string()).unwrap_or_default(),
            version: self.versions.at(landed.base, &mut self.objects)?.unwrap_or_default(),
            fail_to_pass: Names::default(),
            pass_to_pass: Names::default(),
            environment_setup_commit: None,
            difficulty: None,
            eval_script: None,
            log_parser: None,
            eval_type: None,
            image: None,
            encoding: swegym_core::instance::ListEncoding::default(),
            extra,
        };
        Ok(Ok((instance, statement.source)))
    }

    /// Whether people say that the number is no pull request's.
    fn is_issue(&self, number: u32) -> bool {
        let item = self.texts.item(self.repository.name(), number);
        item.is_some_and(|item| item.kind == Some(ItemKind::Issue))
    }

    /// Each section with what its file is.
    fn sorted(&mut self, landed: &Landed, sections: Vec<Section>) -> Result<Change, MineError> {
        let head = self.history.commit(landed.head).id;
        let mut sorted = Vec::with_capacity(sections.len());
        for section in sections {
            let kind = match self.rules.split.of_path(&section.path) {
                Some(kind) => kind,
                // Only a file in whose diff a test is seen is read whole.
                None if section.text.contains("def test") || section.text.contains("class Test") => {
                    let contents = self.objects.get(&format!("{head}:{}", section.path))?.unwrap_or_default();
                    if holds_tests(&String::from_utf8_lossy(&contents)) { Kind::Test } else { Kind::Source }
                }
                None => Kind::Source,
            };
            sorted.push((section, kind));
        }
        Ok(Change { sections: sorted })
    }

    /// Whether the change is one that was there before, in whatever way.
    fn copied(
        &mut self,
        landed: &Landed,
        message: &str,
        messages: &[String],
        mark: u64,
    ) -> Option<(Reason, Option<String>)> {
        let subject = message.lines().next().unwrap_or_default();
        if statement::is_revert(message) {
            return Some((Reason::Revert, None));
        }
        let says_port = statement::says_port(subject) || !landed.on_main;
        if let Some(other) = self.seen.get(&mark) {
            let reason = if says_port { Reason::Port } else { Reason::Duplicate };
            return Some((reason, Some(format!("#{other}"))));
        }
        let picked = messages.iter().map(String::as_str).chain([message]).flat_map(statement::picked_from);
        let picked = picked.filter_map(|id| self.history.find(crate::oid::Oid::parse(id.as_bytes())?));
        let of_picked = picked.filter_map(|at| self.kept.get(&at)).next().copied();
        let named = number::all_of_subject(subject).into_iter().find(|number| {
            says_port && *number != landed.number && self.seen.values().any(|seen| seen == number)
        });
        if let Some(other) = of_picked.or(named) {
            return Some((Reason::Port, Some(format!("#{other}"))));
        }
        self.seen.insert(mark, landed.number);
        None
    }
}

/// What is missing among the files that a landing names; nothing where only contents tell.
fn lacks(split: Split, paths: &[String]) -> Option<Reason> {
    let kinds: Vec<_> = paths.iter().map(|path| (split.of_path(path), path)).collect();
    let has = |kind: Kind| kinds.iter().any(|(own, _)| *own == Some(kind));
    // Any Python file may hold tests; one that is not called so hardly ever does.
    let open = kinds.iter().filter(|(own, _)| own.is_none());
    let may_test = open.clone().any(|(_, path)| path.to_lowercase().contains("test"));
    if !has(Kind::Test) && !may_test {
        return Some(Reason::NoTests);
    }
    (!has(Kind::Source) && open.count() == 0).then_some(Reason::NoSource)
}

fn hash(path: &str) -> u64 {
    FixedState::default().hash_one(path)
}

fn year_of(seconds: i64) -> i16 {
    Timestamp::from_second(seconds).map_or(1970, |time| time.to_zoned(jiff::tz::TimeZone::UTC).year())
}
