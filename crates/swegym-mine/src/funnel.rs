//! From commits to instances: how many are left after each step, and why the others are not.

use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::discussion::Discussion;
use crate::link::Rule;
use crate::statement::Source;

/// Why a commit or a pull request is no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A commit of the main line that no pull request brought.
    NoPull,
    /// The number that a landing names is an issue's.
    IsIssue,
    /// A pull request that came into no branch.
    NotLanded,
    /// A pull request that came in with another one.
    PartOfAnother,
    /// Where it left the branch is not known.
    NoMergeBase,
    /// git cannot make its diff.
    UnreadableDiff,
    /// Its diff is larger than any task.
    TooLarge,
    /// Its diff is no UTF-8.
    NotText,
    /// It changes nothing.
    Empty,
    /// It changes no test.
    NoTests,
    /// It changes nothing but tests and documents.
    NoSource,
    /// It takes back another one.
    Revert,
    /// It does what another one did before.
    Duplicate,
    /// It brings another one to another branch.
    Port,
    /// Its patch cannot be applied by name: a path leads elsewhere, for one.
    RefusedPatch,
    /// Nothing that may be used says what was wrong.
    NoStatement,
    /// Another dataset has an instance of the same commit.
    KnownCommit,
    /// Another dataset has an instance with nearly the same patch.
    KnownPatch,
}

impl Reason {
    /// Every reason, in the order in which it is looked at.
    pub const ALL: [Self; 18] = [
        Self::NoPull,
        Self::IsIssue,
        Self::NotLanded,
        Self::PartOfAnother,
        Self::NoMergeBase,
        Self::UnreadableDiff,
        Self::TooLarge,
        Self::NotText,
        Self::Empty,
        Self::NoTests,
        Self::NoSource,
        Self::Revert,
        Self::Duplicate,
        Self::Port,
        Self::RefusedPatch,
        Self::NoStatement,
        Self::KnownCommit,
        Self::KnownPatch,
    ];

    /// The code in files.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoPull => "no_pull",
            Self::IsIssue => "is_issue",
            Self::NotLanded => "not_landed",
            Self::PartOfAnother => "part_of_another",
            Self::NoMergeBase => "no_merge_base",
            Self::UnreadableDiff => "unreadable_diff",
            Self::TooLarge => "too_large",
            Self::NotText => "not_text",
            Self::Empty => "empty",
            Self::NoTests => "no_tests",
            Self::NoSource => "no_source",
            Self::Revert => "revert",
            Self::Duplicate => "duplicate",
            Self::Port => "port",
            Self::RefusedPatch => "refused_patch",
            Self::NoStatement => "no_statement",
            Self::KnownCommit => "known_commit",
            Self::KnownPatch => "known_patch",
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoPull => "a commit of the main branch that no pull request brought",
            Self::IsIssue => "the number that the landing names is an issue's",
            Self::NotLanded => "the pull request came into no branch",
            Self::PartOfAnother => "the pull request came in with another one",
            Self::NoMergeBase => "where the pull request left the branch is not known",
            Self::UnreadableDiff => "git cannot make the diff (objects may be missing)",
            Self::TooLarge => "the diff is larger than 8 MiB",
            Self::NotText => "the diff is not UTF-8",
            Self::Empty => "nothing is changed",
            Self::NoTests => "no test is changed",
            Self::NoSource => "nothing but tests and documents is changed",
            Self::Revert => "another change is taken back",
            Self::Duplicate => "another pull request did the same before",
            Self::Port => "another change is brought to another branch",
            Self::RefusedPatch => "the patch cannot be used as it is",
            Self::NoStatement => "nothing that may be used says what was wrong",
            Self::KnownCommit => "another dataset has the same commit",
            Self::KnownPatch => "another dataset has nearly the same patch",
        }
    }

    /// The step at which it leaves, from 0: see [`Funnel::steps`].
    fn step(self) -> usize {
        match self {
            Self::NoPull | Self::IsIssue | Self::NotLanded | Self::PartOfAnother => 0,
            Self::NoMergeBase
            | Self::UnreadableDiff
            | Self::TooLarge
            | Self::NotText
            | Self::Empty
            | Self::NoTests
            | Self::NoSource => 1,
            Self::NoStatement => 2,
            Self::Revert
            | Self::Duplicate
            | Self::Port
            | Self::RefusedPatch
            | Self::KnownCommit
            | Self::KnownPatch => 3,
        }
    }
}

/// The counts of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Funnel {
    /// Commits of the main branch.
    pub commits: usize,
    /// Pull requests whose last commit is there.
    pub pulls: usize,
    /// Why others are no instance.
    pub dropped: IndexMap<Reason, usize>,
    /// Where the statements of the kept ones stem from.
    pub sources: IndexMap<Source, usize>,
    /// Kept ones that close an issue whose text is there.
    pub with_issue: usize,
    /// Kept ones of which the text of the pull request is there.
    pub with_pull_text: usize,
    /// Issues that kept ones close, by how that is known.
    pub links: IndexMap<Rule, usize>,
    /// Kept ones by year of their landing.
    pub years: IndexMap<i16, usize>,
    /// Kept ones whose repository another dataset has, too.
    pub known_repository: usize,
}

impl Funnel {
    /// Counts one that is dropped.
    pub fn drop_one(&mut self, reason: Reason) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// Counts one that is kept.
    pub fn keep_one(&mut self, source: Source, year: i16) {
        *self.sources.entry(source).or_default() += 1;
        *self.years.entry(year).or_default() += 1;
    }

    /// Counts what was written about one that is kept.
    pub(crate) fn note_discussion(&mut self, discussion: &Discussion) {
        self.with_issue += usize::from(!discussion.issues.is_empty());
        self.with_pull_text += usize::from(discussion.pull.is_some());
        for rule in discussion.links.iter().flat_map(|link| &link.rules) {
            *self.links.entry(*rule).or_default() += 1;
        }
    }

    /// How many are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.sources.values().sum()
    }

    /// With a pull request that landed; with both kinds of files; with a statement; kept.
    #[must_use]
    pub fn steps(&self) -> [usize; 4] {
        let lost_from = |step: usize| -> usize {
            self.dropped.iter().filter(|(reason, _)| reason.step() >= step).map(|(_, count)| count).sum()
        };
        [1, 2, 3, 4].map(|step| self.kept() + lost_from(step))
    }

    /// Adds another repository's counts.
    pub fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.pulls += other.pulls;
        self.known_repository += other.known_repository;
        self.with_issue += other.with_issue;
        self.with_pull_text += other.with_pull_text;
        for (rule, count) in &other.links {
            *self.links.entry(*rule).or_default() += count;
        }
        for (reason, count) in &other.dropped {
            *self.dropped.entry(*reason).or_default() += count;
        }
        for (source, count) in &other.sources {
            *self.sources.entry(*source).or_default() += count;
        }
        for (year, count) in &other.years {
            *self.years.entry(*year).or_default() += count;
        }
    }

    /// The document of it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let [landed, both, stated, kept] = self.steps();
        let dropped: IndexMap<_, _> = Reason::ALL
            .iter()
            .filter_map(|reason| Some((reason.code(), self.dropped.get(reason)?)))
            .collect();
        let sources: IndexMap<_, _> = Source::ALL
            .iter()
            .filter_map(|source| Some((source.code(), self.sources.get(source)?)))
            .collect();
        let links: IndexMap<_, _> =
            Rule::ALL.iter().filter_map(|rule| Some((rule.code(), self.links.get(rule)?))).collect();
        let mut years: Vec<_> = self.years.iter().map(|(year, count)| (year.to_string(), *count)).collect();
        years.sort();
        json!({
            "commits": self.commits, "pull_requests": self.pulls, "landed": landed, "both_kinds": both,
            "with_statement": stated, "kept": kept, "with_issue": self.with_issue,
            "with_pull_text": self.with_pull_text, "issue_links": links, "dropped": dropped,
            "statement_sources": sources,
            "years": years.into_iter().collect::<IndexMap<_, _>>(),
            "known_repository": self.known_repository,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_only_become_narrower() {
        let mut funnel = Funnel { commits: 10, pulls: 8, ..Funnel::default() };
        for reason in Reason::ALL {
            funnel.drop_one(reason);
        }
        funnel.keep_one(Source::Branch, 2020);
        funnel.keep_one(Source::News, 2021);
        assert_eq!(funnel.steps(), [16, 9, 8, 2]);
        let mut both = funnel.clone();
        both.add(&funnel);
        assert_eq!(both.steps(), [32, 18, 16, 4]);
    }
}
