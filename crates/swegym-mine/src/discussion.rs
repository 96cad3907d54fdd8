//! What was written about one pull request: its own text, and the issues that it closes.

use std::rc::Rc;

use jiff::Timestamp;

use crate::api::ApiError;
use crate::item::{Item, ItemKind};
use crate::link::{self, Link};
use crate::texts::Texts;

/// The words around one pull request.
#[derive(Debug, Default)]
pub(crate) struct Discussion {
    /// The pull request itself.
    pub(crate) pull: Option<Rc<Item>>,
    /// The issues that it closes, also those of which nobody has the text.
    pub(crate) links: Vec<Link>,
    /// Those of which somebody has, in the same order.
    pub(crate) issues: Vec<Rc<Item>>,
    /// When the first of its commits was written that only the host has.
    pub(crate) began: Option<Timestamp>,
}

/// A pull request as the repository has it.
pub(crate) struct Landing<'a> {
    /// The repository, `owner/name`.
    pub(crate) repo: &'a str,
    pub(crate) number: u32,
    /// Whether the repository has its own commits.
    pub(crate) has_head: bool,
    /// The message of the commit that landed it.
    pub(crate) message: &'a str,
    /// Messages of its own commits, oldest first.
    pub(crate) commits: &'a [String],
}

impl Discussion {
    /// Collects it; asks the API for what is not there.
    pub(crate) fn of(texts: &mut Texts, landing: &Landing<'_>) -> Result<Self, ApiError> {
        let Landing { repo, number, has_head, message, commits } = *landing;
        if texts.is_empty() {
            return Ok(Self::default());
        }
        let pull = texts.item(repo, number);
        let fetched = if has_head { Vec::new() } else { texts.commits(repo, number)? };
        let words = pull.iter().flat_map(|pull| [pull.title.as_str(), pull.body.as_str()]);
        let messages = fetched.iter().map(|commit| commit.message.as_str());
        let own = match fetched.is_empty() {
            true => words.chain(commits.iter().map(String::as_str)).collect(),
            false => words.chain(messages).collect(),
        };
        let recorded = pull.as_ref().map(|pull| pull.closes.as_slice()).unwrap_or_default();
        let mut links = link::find(&link::Texts { repo, own, landing: message, recorded });
        let mut issues = Vec::new();
        let mut is_pull = Vec::new();
        for link in &links {
            let is_local = link.issue.repo == repo.to_lowercase();
            let known = texts.item(&link.issue.repo, link.issue.number);
            let of_pull = known.is_some_and(|item| item.kind == Some(ItemKind::Pull));
            is_pull.push(of_pull || (is_local && link.issue.number == number));
            if is_pull.last() == Some(&false) {
                issues.extend(texts.issue(repo, &link.issue)?);
            }
        }
        let mut is_pull = is_pull.into_iter();
        links.retain(|_| !is_pull.next().unwrap_or_default());
        let began = fetched.iter().filter_map(|commit| commit.authored).min();
        Ok(Self { pull, links, issues, began })
    }

    /// Comments on the issues that were there before anything of the change was, as
    /// SWE-bench puts them together. `began` is when its first commit was written.
    pub(crate) fn hints(
        &self,
        texts: &mut Texts,
        repo: &str,
        began: Option<Timestamp>,
    ) -> Result<String, ApiError> {
        let opened = self.pull.as_ref().and_then(|pull| pull.created);
        let Some(began) = [began, self.began, opened].into_iter().flatten().min() else {
            return Ok(String::new());
        };
        let mut hints = Vec::new();
        for link in &self.links {
            // Only what has a text is asked for its comments.
            if texts.item(&link.issue.repo, link.issue.number).is_none() {
                continue;
            }
            let comments = texts.comments(repo, &link.issue)?;
            let early = comments.into_iter().filter(|comment| comment.updated < began);
            hints.extend(early.map(|comment| comment.body));
        }
        Ok(hints.join("\n"))
    }

    /// The issues as SWE-bench numbers them; those of other repositories with their names.
    pub(crate) fn issue_numbers(&self, repo: &str) -> Vec<String> {
        let repo = repo.to_lowercase();
        let name = |link: &Link| match link.issue.repo == repo {
            true => link.issue.number.to_string(),
            false => format!("{}#{}", link.issue.repo, link.issue.number),
        };
        self.links.iter().map(name).collect()
    }

    /// How each of them is known: `swe-bench,keyword,recorded`.
    pub(crate) fn issue_rules(&self) -> Vec<String> {
        let rules = |link: &Link| link.rules.iter().map(|rule| rule.code()).collect::<Vec<_>>().join(",");
        self.links.iter().map(rules).collect()
    }
}
