//! What people wrote about changes: issues, pull requests and comments, saved or from the API.

use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::FixedState;

use crate::api::{Api, ApiError};
use crate::item::{Comment, IssueId, Item, ItemKind, PullCommit};

/// More comments on one issue are not kept: the host takes fewer.
const MOST_COMMENTS: usize = 5_000;

/// Issues, pull requests and comments of several repositories.
#[derive(Default)]
pub struct Texts {
    /// By repository and number, which issues and pull requests share.
    items: HashMap<IssueId, Rc<Item>, FixedState>,
    comments: HashMap<IssueId, Vec<Comment>, FixedState>,
    /// Repositories of which all items are there; the rest is asked for when it is needed.
    apis: HashMap<String, Api, FixedState>,
}

impl Texts {
    /// Whether nobody wrote anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.apis.is_empty()
    }

    /// Adds an issue or a pull request. Of several states of one, the newest counts.
    pub(crate) fn add_item(&mut self, repo: &str, item: Item) {
        let id = IssueId::new(repo, item.number);
        let known = self.items.get(&id);
        if known.is_none_or(|known| known.updated <= item.updated) {
            let item = match known {
                Some(known) => completed(item, known),
                None => item,
            };
            self.items.insert(id, Rc::new(item));
        } else if let Some(known) = known {
            let whole = completed(Item::clone(known), &item);
            self.items.insert(id, Rc::new(whole));
        }
    }

    /// Adds a comment on an issue. Of several states of one, the newest counts.
    pub(crate) fn add_comment(&mut self, repo: &str, number: u32, comment: Comment) {
        let comments = self.comments.entry(IssueId::new(repo, number)).or_default();
        let same = |known: &Comment| {
            (known.id.is_some() && known.id == comment.id)
                || (known.created == comment.created && known.body == comment.body)
        };
        match comments.iter().position(same) {
            Some(at) if comments[at].updated <= comment.updated => comments[at] = comment,
            Some(_) => {}
            None if comments.len() < MOST_COMMENTS => comments.push(comment),
            None => {}
        }
    }

    /// Adds the issues that the host has recorded as closed by a pull request.
    pub(crate) fn add_recorded(&mut self, repo: &str, pull: u32, closes: Vec<IssueId>) {
        if let Some(item) = self.items.get_mut(&IssueId::new(repo, pull)) {
            Rc::make_mut(item).closes = closes;
        }
    }

    /// Fetches the issues and pull requests of a repository, and keeps whom to ask for more.
    ///
    /// # Errors
    /// The API gives no answer.
    pub(crate) fn fetch(&mut self, mut api: Api) -> Result<(), ApiError> {
        let name = api.name().to_owned();
        api.items(|item| self.add_item(&name, item))?;
        for (pull, closes) in api.recorded()? {
            self.add_recorded(&name, pull, closes);
        }
        self.apis.insert(name.to_lowercase(), api);
        Ok(())
    }

    /// Says that all that was wanted is there.
    ///
    /// # Errors
    /// The folder of what was fetched cannot be written to.
    pub(crate) fn complete(&self) -> Result<(), ApiError> {
        self.apis.values().try_for_each(Api::complete)
    }

    /// What a number of a repository stands for.
    pub(crate) fn item(&self, repo: &str, number: u32) -> Option<Rc<Item>> {
        self.items.get(&IssueId::new(repo, number)).map(Rc::clone)
    }

    /// An issue that a pull request of `repo` closes; nothing where nobody has it, or it is a
    /// pull request itself.
    pub(crate) fn issue(&mut self, repo: &str, id: &IssueId) -> Result<Option<Rc<Item>>, ApiError> {
        if !self.items.contains_key(id)
            && id.repo != repo.to_lowercase()
            && let Some(api) = self.apis.get_mut(&repo.to_lowercase())
            && let Some(item) = api.issue(id)?
        {
            self.items.insert(id.clone(), Rc::new(item));
        }
        let found = self.items.get(id).filter(|item| item.kind != Some(ItemKind::Pull));
        Ok(found.map(Rc::clone))
    }

    /// The comments on such an issue, oldest first.
    pub(crate) fn comments(&mut self, repo: &str, id: &IssueId) -> Result<Vec<Comment>, ApiError> {
        let is_silent = self.items.get(id).is_some_and(|item| item.comment_count == Some(0));
        if let Some(api) = self.apis.get_mut(&repo.to_lowercase()).filter(|_| !is_silent) {
            for comment in api.comments(id)? {
                self.add_comment(&id.repo, id.number, comment);
            }
        }
        let mut comments = self.comments.get(id).cloned().unwrap_or_default();
        comments.sort_by_key(|comment| comment.created);
        Ok(comments)
    }

    /// The commits of a pull request whose last one the clone does not have.
    pub(crate) fn commits(&mut self, repo: &str, number: u32) -> Result<Vec<PullCommit>, ApiError> {
        let saved = self.item(repo, number).map(|item| item.commits.clone()).unwrap_or_default();
        match self.apis.get_mut(&repo.to_lowercase()) {
            Some(api) if saved.is_empty() => Ok(api.commits(number)?.unwrap_or_default()),
            _ => Ok(saved),
        }
    }
}

/// An item with what another state of it tells besides.
fn completed(mut item: Item, other: &Item) -> Item {
    item.kind = item.kind.or(other.kind);
    item.created = item.created.or(other.created);
    item.comment_count = item.comment_count.max(other.comment_count);
    if item.closes.is_empty() {
        item.closes.clone_from(&other.closes);
    }
    if item.commits.is_empty() {
        item.commits.clone_from(&other.commits);
    }
    item
}
