//! The API of a host such as GitHub: issues, pull requests and comments of one repository.
//!
//! REST gives the texts; GraphQL, for which a token is needed, the issues that the host has
//! recorded as closed. Everything fetched is kept on disk, and asked for again only by a
//! later mining, with its mark (ETag), so that what has not changed costs nothing.

mod client;
mod error;
mod limit;
mod recorded;
mod shelf;

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};
use swegym_console::printer::Printer;
use swegym_core::format::Problem;

use crate::item::{self, Comment, IssueId, Item, PullCommit, Read, What};
use client::Client;
pub use error::ApiError;
use recorded::Recorded;
use shelf::Shelf;

/// The public host's API.
pub const PUBLIC_API: &str = "https://api.github.com";

/// More pages of a list are not asked for.
const MOST_PAGES: usize = 50_000;

/// Items of a page.
const PAGE: usize = 100;

/// Which repositories are asked for, and how.
#[derive(Clone, Default)]
pub struct ApiSettings {
    /// `owner/name` of each.
    pub repositories: Vec<String>,
    /// The address of the REST API; the public one's where there is none.
    pub url: Option<String>,
    /// Who asks. It is never written anywhere.
    pub token: Option<String>,
}

impl std::fmt::Debug for ApiSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let token = self.token.as_ref().map(|_| "…");
        let Self { repositories, url, token: _ } = self;
        f.debug_struct("ApiSettings")
            .field("repositories", repositories)
            .field("url", url)
            .field("token", &token)
            .finish()
    }
}

/// One repository of a host.
pub(crate) struct Api {
    client: Client,
    shelf: Shelf,
    folder: std::path::PathBuf,
    /// The address of the REST API, without a slash at its end.
    base: String,
    /// `owner/name`, as given.
    name: String,
}

impl Api {
    /// Opens it. What is fetched is kept in `folder`, below a folder of the repository.
    pub(crate) fn open(
        settings: &ApiSettings,
        name: &str,
        folder: &Path,
        printer: Printer,
    ) -> Result<Self, ApiError> {
        let base = checked_address(settings)?;
        let is_name = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        if !name.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name)) {
            return Err(ApiError::Name { name: name.to_owned() });
        }
        let folder = folder.join(name.to_lowercase().replace('/', "__"));
        let shelf = Shelf::open(&folder).map_err(|source| ApiError::Keep { path: folder.clone(), source })?;
        let client = Client::new(printer, name, settings.token.clone());
        Ok(Self { client, shelf, folder, base, name: name.to_owned() })
    }

    /// `owner/name`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the repository can be cloned from.
    pub(crate) fn clone_address(&mut self) -> Result<String, ApiError> {
        let url = self.address("");
        let body = self.page(&url)?.ok_or_else(|| ApiError::NoRepository { name: self.name.clone() })?.body;
        let address = body["clone_url"].as_str().unwrap_or_default();
        let is_plain = address.starts_with("https://") || address.starts_with("http://");
        if !is_plain || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let why = "`clone_url` is no address of a repository".to_owned();
            return Err(ApiError::Odd { url, why });
        }
        Ok(address.to_owned())
    }

    /// All issues and pull requests, oldest first.
    pub(crate) fn items(&mut self, mut each: impl FnMut(Item)) -> Result<(), ApiError> {
        // Issues, among which pull requests are listed; pull requests alone where a
        // repository has its issues elsewhere.
        for list in ["issues", "pulls"] {
            let path = format!("/{list}?state=all&sort=created&direction=asc&per_page={PAGE}");
            let found = self.list(&path, |object| {
                if let Read { what: What::Item(item, _), .. } = item::item(object)? {
                    each(item);
                }
                Ok(())
            })?;
            if found {
                return Ok(());
            }
        }
        Err(ApiError::NoRepository { name: self.name.clone() })
    }

    /// The issues that the host has recorded as closed, by pull request. Without a token
    /// nobody is told.
    pub(crate) fn recorded(&mut self) -> Result<Recorded, ApiError> {
        if !self.client.has_token() {
            self.client.say(
                "without a token (GITHUB_TOKEN) the API allows 60 requests an hour, and does not tell which issues \
                 it has recorded as closed",
            );
            return Ok(Recorded::new());
        }
        // A host of one's own has both below `/api`.
        let url = format!("{}/graphql", self.base.strip_suffix("/v3").unwrap_or(&self.base));
        recorded::fetch(&mut self.client, &self.shelf, &url, &self.name)
    }

    /// An issue, of whatever repository.
    pub(crate) fn issue(&mut self, id: &IssueId) -> Result<Option<Item>, ApiError> {
        let url = format!("{}/repos/{}/issues/{}", self.base, id.repo, id.number);
        let Some(page) = self.page(&url)? else { return Ok(None) };
        let odd = |problem: Problem| ApiError::Odd { url: url.clone(), why: problem.to_string() };
        let object = page.body.as_object().ok_or_else(|| odd(Problem::NotAnObject("something else")))?;
        match item::item(object).map_err(odd)?.what {
            What::Item(item, _) => Ok(Some(item)),
            What::Comment(..) => Ok(None),
        }
    }

    /// The comments on an issue, oldest first.
    pub(crate) fn comments(&mut self, id: &IssueId) -> Result<Vec<Comment>, ApiError> {
        let mut comments = Vec::new();
        let path = format!("{}/repos/{}/issues/{}/comments?per_page={PAGE}", self.base, id.repo, id.number);
        self.list_at(&path, |object| {
            comments.push(item::comment(object)?);
            Ok(())
        })?;
        Ok(comments)
    }

    /// The commits of a pull request, oldest first; nothing where the number is no pull request's.
    pub(crate) fn commits(&mut self, number: u32) -> Result<Option<Vec<PullCommit>>, ApiError> {
        let mut commits = Vec::new();
        let found = self.list(&format!("/pulls/{number}/commits?per_page={PAGE}"), |object| {
            commits.push(item::commit(object)?);
            Ok(())
        })?;
        Ok(found.then_some(commits))
    }

    /// Says that all that was wanted is there: a later mining asks for what has changed.
    pub(crate) fn complete(&self) -> Result<(), ApiError> {
        self.shelf.complete().map_err(|source| ApiError::Keep { path: self.folder.clone(), source })
    }

    fn address(&self, path: &str) -> String {
        format!("{}/repos/{}{path}", self.base, self.name)
    }

    fn list(
        &mut self,
        path: &str,
        each: impl FnMut(&Map<String, Value>) -> Result<(), Problem>,
    ) -> Result<bool, ApiError> {
        let url = self.address(path);
        self.list_at(&url, each)
    }

    /// All pages of a list; whether there is such a list.
    fn list_at(
        &mut self,
        url: &str,
        mut each: impl FnMut(&Map<String, Value>) -> Result<(), Problem>,
    ) -> Result<bool, ApiError> {
        let mut url = url.to_owned();
        let mut seen = HashSet::new();
        while seen.len() < MOST_PAGES && seen.insert(url.clone()) {
            let Some(page) = self.page(&url)? else { return Ok(false) };
            let odd = |problem: Problem| ApiError::Odd { url: url.clone(), why: problem.to_string() };
            let list = page.body.as_array().ok_or_else(|| odd(Problem::Missing("list")))?;
            for value in list {
                let object = value.as_object().ok_or_else(|| odd(Problem::NotAnObject("something else")))?;
                each(object).map_err(odd)?;
            }
            match page.next {
                Some(next) => url = next,
                None => return Ok(true),
            }
        }
        Err(ApiError::Odd { url, why: "its list does not end".to_owned() })
    }

    /// One document: as it was kept in this mining, or as the host has it now. Nothing where
    /// the host has nothing.
    fn page(&mut self, url: &str) -> Result<Option<Page>, ApiError> {
        let request = format!("GET {url}");
        let kept = self.shelf.get(&request);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_current) {
            return Ok(Page::of(kept.body.clone(), kept.next.clone()));
        }
        // To the last page, if it is full, another one may have come, though it is as it was.
        let goes_on = |kept: &shelf::Kept| {
            kept.next.is_some() || kept.body.as_array().is_none_or(|list| list.len() < PAGE)
        };
        let kept = kept.filter(goes_on);
        let etag = kept.as_ref().and_then(|kept| kept.etag.as_deref());
        let answer = self.client.get(url, etag)?;
        let (body, next, etag) = match (answer.status, kept) {
            (304, Some(kept)) => (kept.body, answer.next.or(kept.next), kept.etag),
            (404 | 410 | 451, _) => (Value::Null, None, None),
            _ => {
                let body = swegym_core::json::from_slice(&answer.body).map_err(|e| {
                    let why = format!("it is no JSON: {e}");
                    ApiError::Odd { url: url.to_owned(), why }
                })?;
                (body, answer.next, answer.etag)
            }
        };
        let keep = |source| ApiError::Keep { path: self.shelf.path(&request), source };
        self.shelf.put(&request, etag.as_deref(), next.as_deref(), &body).map_err(keep)?;
        Ok(Page::of(body, next))
    }
}

/// One document of the host.
struct Page {
    body: Value,
    /// Where a list goes on.
    next: Option<String>,
}

impl Page {
    /// That there is nothing is kept as `null`.
    fn of(body: Value, next: Option<String>) -> Option<Self> {
        (!body.is_null()).then_some(Self { body, next })
    }
}

/// The API's address without a slash at its end. Whoever has a token sends it to nobody in
/// the clear, but to this machine.
fn checked_address(settings: &ApiSettings) -> Result<String, ApiError> {
    let url = settings.url.as_deref().unwrap_or(PUBLIC_API).trim_end_matches('/');
    let bad = |why: &'static str| Err(ApiError::Address { url: url.to_owned(), why });
    let Some((scheme, rest)) = url.split_once("://") else { return bad("it has no https://") };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(ApiError::Address {
            url: format!("{scheme}://…"),
            why: "a user or a token in it would be written down",
        });
    }
    if host.is_empty() || rest.contains(['?', '#', '\\']) || rest.chars().any(|c| c.is_control() || c == ' ')
    {
        return bad("it is no plain address");
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_here = ["127.0.0.1", "localhost", "[::1]"].contains(&name);
    match scheme {
        "https" => Ok(url.to_owned()),
        "http" if is_here || settings.token.is_none() => Ok(url.to_owned()),
        "http" => bad("the token would be sent in the clear"),
        _ => bad("it is neither https nor http"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_asked() {
        let check = |url: &str, token: Option<&str>| {
            let (url, token) = (Some(url.to_owned()), token.map(str::to_owned));
            checked_address(&ApiSettings { url, token, ..ApiSettings::default() })
        };
        let token = Some("secret");
        assert_eq!(check("https://api.github.com/", token).unwrap(), PUBLIC_API);
        assert_eq!(check("http://127.0.0.1:80", token).unwrap(), "http://127.0.0.1:80");
        assert!(check("http://ghe.example/api/v3", None).is_ok());
        for url in [
            "http://ghe.example/api/v3",
            "api.github.com",
            "file:///etc",
            "https://",
            "https://a/b?c",
            "https://a b",
        ] {
            assert!(check(url, token).is_err(), "{url}");
        }
        let with_token = check("https://secret@ghe.example/api/v3", None).unwrap_err();
        assert!(!with_token.to_string().contains("secret"));
        let settings = ApiSettings { token: token.map(str::to_owned), ..ApiSettings::default() };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
