//! Issues, pull requests and comments, as the API of GitHub writes them: by REST, by
//! GraphQL, and as its program `gh` prints them.

mod fields;

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};
use swegym_core::format::Problem;

use fields::Fields;

/// An issue, of whatever repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct IssueId {
    /// `owner/name`, in lower case: hosts do not tell cases apart.
    pub(crate) repo: String,
    pub(crate) number: u32,
}

impl IssueId {
    pub(crate) fn new(repo: &str, number: u32) -> Self {
        Self { repo: repo.to_lowercase(), number }
    }
}

/// What a number of a repository stands for: issues and pull requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemKind {
    Issue,
    Pull,
}

/// An issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) number: u32,
    /// Nothing where what was saved does not tell.
    pub(crate) kind: Option<ItemKind>,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) updated: Option<Timestamp>,
    /// How many comments there are, where that is told.
    pub(crate) comment_count: Option<u64>,
    /// The issues that the host has recorded as closed by it.
    pub(crate) closes: Vec<IssueId>,
    /// Its commits, where they are told.
    pub(crate) commits: Vec<PullCommit>,
}

/// A commit of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullCommit {
    pub(crate) message: String,
    pub(crate) authored: Option<Timestamp>,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    /// The same comment may be saved several times.
    pub(crate) id: Option<String>,
    pub(crate) body: String,
    pub(crate) created: Timestamp,
    /// When it was last changed; the end of time where that is not known.
    pub(crate) updated: Timestamp,
}

/// What one object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// The repository, where the object tells it.
    pub(crate) repo: Option<String>,
    pub(crate) what: What,
}

/// What an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// With the comments that stand in it.
    Item(Item, Vec<Comment>),
    /// On the issue or pull request of this number.
    Comment(u32, Comment),
}

/// Reads an issue, a pull request or a comment; nothing where it is none of them.
pub(crate) fn read(object: &Map<String, Value>) -> Result<Option<Read>, Problem> {
    let fields = Fields::of(object);
    if object.contains_key("issue_url") && !object.contains_key("number") {
        let url = fields.required_text("issue_url")?;
        let Some(place) = Place::of(&url) else {
            return Err(fields::wrong("issue_url", "the address of an issue", &Value::String(url)));
        };
        let what = What::Comment(place.number, comment(object)?);
        return Ok(Some(Read { repo: Some(place.repo), what }));
    }
    if !object.contains_key("number") || !(object.contains_key("title") || object.contains_key("body")) {
        return Ok(None);
    }
    item(object).map(Some)
}

/// Reads an issue or a pull request.
pub(crate) fn item(object: &Map<String, Value>) -> Result<Read, Problem> {
    let fields = Fields::of(object);
    let place = place_of(object);
    let comments = match object.get("comments").map(list_of) {
        Some(Some(list)) => list.iter().map(|one| comment(fields::object("comments", one)?)).collect(),
        _ => Ok(Vec::new()),
    };
    let count = match object.get("comments") {
        Some(Value::Number(count)) => count.as_u64(),
        Some(Value::Object(nodes)) => nodes.get("totalCount").and_then(Value::as_u64),
        _ => None,
    };
    let item = Item {
        number: fields.number("number")?,
        kind: kind_of(object, place.as_ref()),
        title: fields.text("title")?,
        body: fields.text("body")?,
        created: fields.time(&["created_at", "createdAt"])?,
        updated: fields.time(&["updated_at", "updatedAt"])?,
        comment_count: count,
        closes: closing_references(object)?,
        commits: commits(object)?,
    };
    let repo = place.map(|place| place.repo).or_else(|| repo_of(object));
    Ok(Read { repo, what: What::Item(item, comments?) })
}

/// Reads a comment.
pub(crate) fn comment(object: &Map<String, Value>) -> Result<Comment, Problem> {
    let fields = Fields::of(object);
    let created = fields.time(&["created_at", "createdAt"])?;
    let created = created.ok_or(Problem::Missing("created_at"))?;
    // `gh` says that a comment was changed, and not when.
    let is_changed = object.get("includesCreatedEdit") == Some(&Value::Bool(true));
    let updated = match fields.time(&["updated_at", "updatedAt"])? {
        Some(updated) => updated,
        None if is_changed => Timestamp::MAX,
        None => created,
    };
    let id = object.get("id").or(object.get("url")).filter(|id| !id.is_null()).map(Value::to_string);
    Ok(Comment { id, body: fields.text("body")?, created, updated })
}

/// Reads a commit of a pull request, as the API lists them.
pub(crate) fn commit(object: &Map<String, Value>) -> Result<PullCommit, Problem> {
    let inner = object.get("commit").ok_or(Problem::Missing("commit"))?;
    let inner = fields::object("commit", inner)?;
    let author = inner.get("author").and_then(Value::as_object);
    let authored = author.map(|author| Fields::of(author).time(&["date"])).transpose()?.flatten();
    Ok(PullCommit { message: Fields::of(inner).text("message")?, authored })
}

/// The issues that the host has recorded as closed by a pull request.
pub(crate) fn closing_references(pull: &Map<String, Value>) -> Result<Vec<IssueId>, Problem> {
    const FIELD: &str = "closingIssuesReferences";
    let Some(list) = pull.get(FIELD).and_then(list_of) else { return Ok(Vec::new()) };
    // What the token may not see is null.
    let seen = list.iter().filter(|one| !one.is_null());
    let read = |one: &Value| {
        let object = fields::object(FIELD, one)?;
        let number = Fields::of(object).number("number")?;
        let repo = repo_of(object).or_else(|| Some(place_of(object)?.repo));
        Ok(repo.map(|repo| IssueId::new(&repo, number)))
    };
    seen.filter_map(|one| read(one).transpose()).collect()
}

/// Commits, as `gh` prints them.
fn commits(object: &Map<String, Value>) -> Result<Vec<PullCommit>, Problem> {
    let Some(Value::Array(list)) = object.get("commits") else { return Ok(Vec::new()) };
    let read = |one: &Value| {
        let object = fields::object("commits", one)?;
        let fields = Fields::of(object);
        let message = format!("{}\n\n{}", fields.text("messageHeadline")?, fields.text("messageBody")?);
        Ok(PullCommit { message, authored: fields.time(&["authoredDate"])? })
    };
    list.iter().map(read).collect()
}

/// A list, or the nodes of a GraphQL connection.
fn list_of(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().or_else(|| value.get("nodes")?.as_array())
}

fn kind_of(object: &Map<String, Value>, place: Option<&Place>) -> Option<ItemKind> {
    const OF_PULLS: [&str; 10] = [
        "merged_at",
        "mergedAt",
        "diff_url",
        "headRefName",
        "headRefOid",
        "baseRefName",
        "isDraft",
        "mergeCommit",
        "mergeStateStatus",
        "closingIssuesReferences",
    ];
    const OF_ISSUES: [&str; 4] =
        ["stateReason", "isPinned", "state_reason", "closedByPullRequestsReferences"];
    let has = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    if object.get("pull_request").is_some_and(|pull| !pull.is_null()) || has(&OF_PULLS) {
        return Some(ItemKind::Pull);
    }
    place.map(|place| place.kind).or_else(|| has(&OF_ISSUES).then_some(ItemKind::Issue))
}

/// What the address of an issue or a pull request says.
struct Place {
    repo: String,
    kind: ItemKind,
    number: u32,
}

impl Place {
    fn of(url: &str) -> Option<Self> {
        static FORM: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(r"^https?://[^/]+/(?:api/v3/)?(?:repos/)?([\w.-]+/[\w.-]+)/(issues|pulls?)/(\d+)").ok()
        });
        let found = FORM.as_ref()?.captures(url)?;
        let kind = if &found[2] == "issues" { ItemKind::Issue } else { ItemKind::Pull };
        Some(Self { repo: found[1].to_owned(), kind, number: found[3].parse().ok()? })
    }
}

/// The page for people says best what it is: the API lists pull requests among issues.
fn place_of(object: &Map<String, Value>) -> Option<Place> {
    let texts = ["html_url", "url"].iter().filter_map(|name| object.get(*name)?.as_str());
    texts.filter_map(Place::of).next()
}

/// The repository that an object names.
fn repo_of(object: &Map<String, Value>) -> Option<String> {
    static END: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"/repos/([\w.-]+/[\w.-]+)$").ok());
    let of_url = || {
        let url = object.get("repository_url")?.as_str()?;
        Some(END.as_ref()?.captures(url)?.get(1)?.as_str().to_owned())
    };
    let of_repository = || {
        let repository = object.get("repository")?.as_object()?;
        let text = |name: &str| repository.get(name).and_then(Value::as_str).map(str::to_owned);
        let owner = || Some(repository.get("owner")?.get("login")?.as_str()?.to_owned());
        text("nameWithOwner")
            .or_else(|| text("full_name"))
            .or_else(|| Some(format!("{}/{}", owner()?, text("name")?)))
    };
    of_url().or_else(of_repository)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(value: &Value) -> Result<Option<Read>, Problem> {
        read(value.as_object().unwrap())
    }

    fn item_of(value: &Value) -> (Option<String>, Item, Vec<Comment>) {
        match read_json(value).unwrap().unwrap() {
            Read { repo, what: What::Item(item, comments) } => (repo, item, comments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn items_are_known_in_every_spelling() {
        let pull = json!({"url": "https://api.github.com/repos/O/n/issues/7", "number": 7, "title": "T", "body": null,
            "html_url": "https://github.com/O/n/pull/7", "created_at": "2020-01-02T03:04:05Z", "comments": 3,
            "pull_request": {"merged_at": null}});
        let (repo, item, _) = item_of(&pull);
        assert_eq!(
            (repo.as_deref(), item.kind, item.comment_count),
            (Some("O/n"), Some(ItemKind::Pull), Some(3))
        );
        assert_eq!((item.title.as_str(), item.body.as_str()), ("T", ""));
        assert_eq!(item.created.unwrap().to_string(), "2020-01-02T03:04:05Z");

        let printed = json!({"number": 8, "title": "T", "mergedAt": null, "createdAt": "2020-01-02T03:04:05Z",
            "closingIssuesReferences": [{"number": 3, "repository": {"name": "n", "owner": {"login": "O"}}}, null],
            "commits": [{"messageHeadline": "Mend", "messageBody": "it", "authoredDate": "2020-01-01T00:00:00Z"}]});
        let (repo, item, _) = item_of(&printed);
        assert_eq!(
            (repo, item.kind, item.closes),
            (None, Some(ItemKind::Pull), vec![IssueId::new("o/n", 3)])
        );
        assert_eq!(item.commits[0].message, "Mend\n\nit");

        let issue = json!({"number": 9, "title": "T", "body": "B", "url": "https://github.com/O/n/issues/9",
            "comments": [{"id": "IC_1", "body": "a", "createdAt": "2020-01-02T03:04:05Z", "includesCreatedEdit": true}]});
        let (_, item, comments) = item_of(&issue);
        assert_eq!((item.kind, comments[0].updated), (Some(ItemKind::Issue), Timestamp::MAX));
        assert_eq!(item_of(&json!({"number": 9, "title": "T"})).1.kind, None);

        let comment = json!({"issue_url": "https://ghe.example/api/v3/repos/O/n/issues/9", "body": "b", "id": 1,
            "created_at": "2020-01-02T03:04:05Z", "updated_at": "2020-01-03T03:04:05Z"});
        let Some(Read { repo, what: What::Comment(9, comment) }) = read_json(&comment).unwrap() else {
            panic!()
        };
        assert_eq!((repo.as_deref(), comment.updated > comment.created), (Some("O/n"), true));
        assert_eq!(read_json(&json!({"sha": "a", "commit": {}})).unwrap(), None);
    }

    #[test]
    fn wrong_types_are_told() {
        for (value, word) in [
            (json!({"number": -3, "title": "T"}), "`number` must be a number from 1"),
            (json!({"number": 1.5, "title": "T"}), "`number`"),
            (json!({"number": 4294967296_u64, "title": "T"}), "`number`"),
            (json!({"number": "3", "title": "T"}), "`number`"),
            (json!({"number": 3, "title": 5}), "`title` must be a text"),
            (json!({"number": 3, "title": "T", "body": ["x"]}), "`body`"),
            (json!({"number": 3, "title": "T", "created_at": "yesterday"}), "`created_at` must be a time"),
            (json!({"number": 3, "title": "T", "comments": ["x"]}), "`comments`"),
            (json!({"number": 3, "title": "T", "closingIssuesReferences": [7]}), "`closingIssuesReferences`"),
            (json!({"issue_url": "https://x/o/n/7", "body": "b"}), "`issue_url`"),
            (json!({"issue_url": "https://x/o/n/issues/7", "body": "b"}), "`created_at` is missing"),
        ] {
            let said = read_json(&value).unwrap_err().to_string();
            assert!(said.contains(word), "{value}: {said}");
        }
    }

    #[test]
    fn texts_are_cut_where_the_host_would() {
        let long = "é".repeat(200_000);
        let (_, item, _) = item_of(&json!({"number": 3, "title": "T\u{0}\u{1b}[2J", "body": long}));
        assert_eq!(item.body.len(), 262_144);
        assert_eq!(item.title, "T\u{0}\u{1b}[2J");
    }
}
