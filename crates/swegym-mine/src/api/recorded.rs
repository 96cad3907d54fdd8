//! Which issues the host has recorded as closed by which pull request: only GraphQL tells.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::client::{Answer, Client, LONGEST_WORDS, rest, tries};
use super::error::ApiError;
use super::shelf::Shelf;
use crate::cut::cut;
use crate::item::{self, IssueId};

/// What is asked, a page a time.
const QUERY: &str = "query($owner: String!, $name: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequests(first: 50, after: $after, states: [CLOSED, MERGED], orderBy: {field: CREATED_AT, direction: ASC}) {
      pageInfo { hasNextPage endCursor }
      nodes { number closingIssuesReferences(first: 20) { nodes { number repository { nameWithOwner } } } }
    }
  }
}";

/// More pages are not asked for.
const MOST_PAGES: usize = 20_000;

/// By pull request, the issues that it closes.
pub(super) type Recorded = HashMap<u32, Vec<IssueId>>;

/// Asks for all pull requests of a repository that are closed.
pub(super) fn fetch(client: &mut Client, shelf: &Shelf, url: &str, repo: &str) -> Result<Recorded, ApiError> {
    let odd = |why: String| ApiError::Odd { url: url.to_owned(), why };
    let mut recorded = Recorded::new();
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let request = format!("POST {url} {repo} after {}", after.as_deref().unwrap_or("the beginning"));
        let pulls = match shelf.get(&request).filter(|kept| kept.is_current) {
            Some(kept) => kept.body,
            None => {
                let Some(pulls) = ask(client, url, repo, after.as_deref())? else { return Ok(recorded) };
                let keep = |source| ApiError::Keep { path: shelf.path(&request), source };
                shelf.put(&request, None, None, &pulls).map_err(keep)?;
                pulls
            }
        };
        let nodes = pulls["nodes"].as_array().ok_or_else(|| odd("it lists no pull requests".to_owned()))?;
        for pull in nodes.iter().filter_map(Value::as_object) {
            let number = pull.get("number").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
            let number = number.ok_or_else(|| odd("a pull request has no number".to_owned()))?;
            let closes = item::closing_references(pull).map_err(|problem| odd(problem.to_string()))?;
            if !closes.is_empty() {
                recorded.insert(number, closes);
            }
        }
        let page = &pulls["pageInfo"];
        let next = page["endCursor"].as_str().filter(|_| page["hasNextPage"] == true).map(str::to_owned);
        if next.is_none() {
            return Ok(recorded);
        }
        if next == after {
            return Err(odd("its list does not go on".to_owned()));
        }
        after = next;
    }
    Err(odd("its list does not end".to_owned()))
}

/// One page. Errors come with status 200. Nothing where the host does not know the question.
fn ask(client: &mut Client, url: &str, repo: &str, after: Option<&str>) -> Result<Option<Value>, ApiError> {
    let (owner, name) = repo.split_once('/').unwrap_or_default();
    let variables = json!({"owner": owner, "name": name, "after": after});
    let document = json!({"query": QUERY, "variables": variables}).to_string();
    let (mut failures, mut refusals) = (0, 0);
    loop {
        let answer = client.post(url, &document)?;
        let mut value: Value = swegym_core::json::from_slice(&answer.body)
            .map_err(|e| ApiError::Odd { url: url.to_owned(), why: format!("it is no JSON: {e}") })?;
        if let Some(pulls) = value.pointer_mut("/data/repository/pullRequests").filter(|it| it.is_object()) {
            let pulls = pulls.take();
            // A part may be missing: what the token may not see, for one.
            if let Some(said) = errors(&value).first() {
                client.say(&format!("some links to issues are not told: {}", said.message));
            }
            return Ok(Some(pulls));
        }
        match classify(&value, &answer, refusals) {
            Trouble::Limit(pause) => client.wait_again(url, pause, &mut refusals)?,
            Trouble::Unknown => {
                client.say("this host does not tell which issues it has recorded as closed");
                return Ok(None);
            }
            Trouble::Passing(_) if failures + 1 < tries() => rest(&mut failures),
            Trouble::Passing(said) | Trouble::Lasting(said) => return Err(ApiError::Query { said }),
        }
    }
}

/// What is wrong with an answer without data.
enum Trouble {
    Limit(super::limit::Pause),
    /// An older host that does not have these fields.
    Unknown,
    /// Another try may do.
    Passing(String),
    Lasting(String),
}

fn classify(value: &Value, answer: &Answer, refusals: u32) -> Trouble {
    let errors = errors(value);
    let Some(first) = errors.first() else {
        return Trouble::Passing("it gives neither data nor errors".to_owned());
    };
    let is = |kinds: &[&str]| errors.iter().any(|one| kinds.contains(&one.kind.as_str()));
    let limited = is(&["RATE_LIMITED", "RATE_LIMIT"])
        || errors.iter().any(|one| one.message.to_lowercase().contains("rate limit"));
    if limited {
        // The words may be others than those of REST.
        let words = format!("{} (rate limit)", first.message);
        if let Some(pause) = answer.told.after_refusal(403, &words, refusals) {
            return Trouble::Limit(pause);
        }
    }
    if is(&["undefinedField"]) {
        return Trouble::Unknown;
    }
    match is(&["NOT_FOUND", "FORBIDDEN", "INSUFFICIENT_SCOPES", "SAML_FAILURE"]) {
        true => Trouble::Lasting(first.message.clone()),
        false => Trouble::Passing(first.message.clone()),
    }
}

/// One error of an answer.
struct Said {
    kind: String,
    message: String,
}

fn errors(value: &Value) -> Vec<Said> {
    let list = value["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let read = |error: &Value| {
        let kind = Some(text(&error["type"])).filter(|kind| !kind.is_empty());
        let message = text(&error["message"]);
        let message = cut(&message, LONGEST_WORDS).to_owned();
        Said { kind: kind.unwrap_or_else(|| text(&error["extensions"]["code"])), message }
    };
    list.iter().map(read).collect()
}
