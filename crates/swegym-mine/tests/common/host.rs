//! A host on loopback whose API behaves as GitHub documents its own: pages by `Link`, ETags,
//! limits in headers, GraphQL errors with status 200. Faults are put before answers.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test binary uses a part of this"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use swegym_core::Digest;

/// Whom the host knows.
pub const TOKEN: &str = "ghp_topsecret";

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This is answered instead: status, headers, body. `RESET` in a header is a second from now.
    Answer(&'static str, Vec<(&'static str, &'static str)>, String),
    /// The connection ends without an answer.
    Cut,
    /// Nothing is answered, and the connection stays.
    Silence,
}

/// What the host has.
#[derive(Debug, Default)]
pub struct State {
    /// Items of the repository, by number.
    pub items: BTreeMap<u32, Value>,
    /// Comments by issue.
    pub comments: BTreeMap<u32, Vec<Value>>,
    /// Other documents by path.
    pub documents: BTreeMap<String, Value>,
    /// Recorded links: pull request and issue.
    pub recorded: Vec<(u32, u32)>,
    /// By the number of the request, from 0.
    pub faults: BTreeMap<usize, Fault>,
    /// What was asked, with what it was answered.
    pub log: Vec<String>,
    /// A bare repository, served as plain files.
    pub mirror: Option<PathBuf>,
    /// Whether the repository has its issues elsewhere.
    pub has_no_issues: bool,
    /// Whether the token is revoked.
    pub is_revoked: bool,
}

/// The host, until the test ends.
pub struct Host {
    pub port: u16,
    pub state: Arc<Mutex<State>>,
}

/// Items of a page.
const PAGE: usize = 4;

impl Host {
    pub fn serve(state: State) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                // A client that goes away is no concern of the others.
                kept.extend(answer(stream, port, &shared).unwrap_or_default());
            }
        });
        Self { port, state }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    pub fn fault(&self, request: usize, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        state.log.clear();
        state.faults.insert(request, fault);
    }
}

/// Gives the connection where it is to stay.
fn answer(mut stream: TcpStream, port: u16, state: &Mutex<State>) -> std::io::Result<Option<TcpStream>> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let start = format!("{name}:");
        let found = head.iter().find(|line| line.to_ascii_lowercase().starts_with(&start));
        found.map(|line| line[start.len()..].trim().to_owned())
    };
    let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent)?;
    let words: Vec<&str> = head.first().map(|line| line.split(' ').collect()).unwrap_or_default();
    let (method, path) =
        (words.first().copied().unwrap_or_default(), words.get(1).copied().unwrap_or_default());

    let mut state = state.lock().unwrap();
    let number = state.log.len();
    let authorization = header("authorization");
    let (mut status, mut headers, body): (&str, Vec<(String, String)>, Vec<u8>) =
        match state.faults.remove(&number) {
            Some(Fault::Cut) => {
                state.log.push(format!("{method} {path} cut"));
                return Ok(None);
            }
            Some(Fault::Silence) => {
                state.log.push(format!("{method} {path} silence"));
                return Ok(Some(stream));
            }
            Some(Fault::Answer(status, headers, body)) => {
                let reset = (now() + 1).to_string();
                let own =
                    headers.iter().map(|(name, text)| ((*name).to_owned(), text.replace("RESET", &reset)));
                (status, own.collect(), body.into_bytes())
            }
            None if path.starts_with("/git/") => match state.file(path) {
                Some(bytes) => ("200 OK", Vec::new(), bytes),
                None => ("404 Not Found", Vec::new(), Vec::new()),
            },
            None if authorization.is_some()
                && (state.is_revoked || authorization != Some(format!("Bearer {TOKEN}"))) =>
            {
                ("401 Unauthorized", Vec::new(), br#"{"message": "Bad credentials"}"#.to_vec())
            }
            None if method == "POST" => state.graphql(&sent, authorization.is_some()),
            None => match state.document(path, port) {
                Some((value, next)) => {
                    let link = next.map(|next| ("link".to_owned(), format!("<{next}>; rel=\"next\"")));
                    ("200 OK", link.into_iter().collect(), value.to_string().into_bytes())
                }
                None => ("404 Not Found", Vec::new(), br#"{"message": "Not Found"}"#.to_vec()),
            },
        };
    let mut body = body;
    if status == "200 OK" && method == "GET" {
        let etag = format!("\"{}\"", &Digest::of(&body).hex()[..8]);
        if header("if-none-match").as_deref() == Some(&etag) {
            (status, body) = ("304 Not Modified", Vec::new());
        }
        headers.push(("etag".to_owned(), etag));
    }
    if !path.starts_with("/git/") {
        state.log.push(format!("{method} {path} {}", &status[..3]));
    }
    drop(state);
    headers.push(("date".to_owned(), date()));
    let headers: String = headers.iter().map(|(name, text)| format!("{name}: {text}\r\n")).collect();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)?;
    Ok(None)
}

impl State {
    /// A file of the repository, as servers without git's own program give it.
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let inner = path.strip_prefix("/git/owner/name.git/")?.split('?').next()?;
        std::fs::read(self.mirror.as_ref()?.join(inner)).ok()
    }

    fn document(&self, path: &str, port: u16) -> Option<(Value, Option<String>)> {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some(document) = self.documents.get(place) {
            return Some((document.clone(), None));
        }
        let list: Vec<Value> = match place.strip_prefix("/repos/owner/name/")? {
            "issues" if self.has_no_issues => return None,
            "issues" => self.items.values().cloned().collect(),
            "pulls" => {
                let is_pull = |item: &&Value| item["pull_request"].is_object();
                self.items.values().filter(is_pull).cloned().collect()
            }
            rest => {
                let number = rest.strip_prefix("issues/")?.strip_suffix("/comments")?.parse().ok()?;
                self.items.get(&number)?;
                self.comments.get(&number).cloned().unwrap_or_default()
            }
        };
        let page = query.split('&').find_map(|word| word.strip_prefix("page=")?.parse::<usize>().ok());
        let page = page.unwrap_or(1);
        let shown: Vec<Value> = list.iter().skip((page - 1) * PAGE).take(PAGE).cloned().collect();
        let base = query.split("&page=").next().unwrap_or_default();
        let next = format!("http://127.0.0.1:{port}{place}?{base}&page={}", page + 1);
        Some((json!(shown), (page * PAGE < list.len()).then_some(next)))
    }

    fn graphql(&self, sent: &[u8], is_known: bool) -> (&'static str, Vec<(String, String)>, Vec<u8>) {
        if !is_known {
            return ("401 Unauthorized", Vec::new(), Vec::new());
        }
        let sent: Value = serde_json::from_slice(sent).unwrap();
        let from = sent["variables"]["after"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let is_right = sent["query"].as_str().unwrap().contains("closingIssuesReferences")
            && sent["variables"]["owner"] == "owner"
            && sent["variables"]["name"] == "name";
        assert!(is_right, "{sent}");
        let node = |(pull, issue): &(u32, u32)| {
            let issue = json!({"number": issue, "repository": {"nameWithOwner": "owner/name"}});
            json!({"number": pull, "closingIssuesReferences": {"nodes": [issue]}})
        };
        let nodes: Vec<Value> = self.recorded.iter().skip(from).take(1).map(node).collect();
        let page =
            json!({"hasNextPage": from + 1 < self.recorded.len(), "endCursor": (from + 1).to_string()});
        let data = json!({"repository": {"pullRequests": {"pageInfo": page, "nodes": nodes}}});
        ("200 OK", Vec::new(), json!({"data": data}).to_string().into_bytes())
    }
}

#[expect(clippy::disallowed_methods, reason = "the host's own clock")]
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

fn date() -> String {
    let now = jiff::Timestamp::from_second(now()).unwrap();
    now.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The repository that `forge.sh` makes, as people wrote about it.
pub fn discussed() -> State {
    let mut state = State::default();
    let time = |hour: i64| jiff::Timestamp::from_second(1_600_000_000 + hour * 3600).unwrap().to_string();
    let mut put = |number: u32, is_pull: bool, hour: i64, title: &str, body: Value, comments: usize| {
        let page = if is_pull { "pull" } else { "issues" };
        let mut item = json!({
            "url": format!("https://host.example/repos/owner/name/issues/{number}"),
            "html_url": format!("https://host.example/owner/name/{page}/{number}"),
            "number": number, "title": title, "body": body, "comments": comments, "state": "closed",
            "labels": [{"name": "bug"}], "created_at": time(hour), "updated_at": time(hour + 100),
        });
        if is_pull {
            item["pull_request"] = json!({"merged_at": time(hour + 1)});
        }
        state.items.insert(number, item);
    };
    put(30, false, 0, "Empty lines end the file", json!("Whatever stands below\r\nis lost."), 5);
    put(31, false, 0, "Names are not in order", Value::Null, 0);
    put(40, false, 0, "Forty is wrong", json!("It should be forty-one."), 0);
    put(
        41,
        false,
        0,
        "Hostile \u{1b}[2J\u{202e}\u{0}",
        json!("<script>alert(1)</script>\n".repeat(20_000)),
        0,
    );
    let long = "Names that hold a blank were cut at it, which nobody expects of a reader of names, as I have seen today.";
    put(1, true, 3, "Read empty lines", json!("Fixes #30.\n<!-- fixes #31 -->"), 0);
    put(2, true, 6, "Read names whole", json!(format!("{long}\n\n- [ ] I have read the rules")), 0);
    put(3, true, 9, "Sort names", json!("See #30"), 0);
    put(4, true, 12, "Count lines", json!("Closes other/place#5, closes other/gone#6"), 0);
    put(
        5,
        true,
        15,
        "Mend the stable reader",
        json!("Resolves: https://host.example/owner/name/issues/39"),
        0,
    );
    put(15, true, 18, "Fifteen", json!("fixes #14, fixes #15"), 0);
    put(14, true, 18, "Fourteen", json!(null), 0);
    put(17, true, 21, "Seventeen", json!("fixes: #41"), 0);
    put(19, true, 24, "Nineteen", json!("Fixes #30 and #31"), 0);
    put(20, true, 27, "Twenty", json!("As we spoke of."), 0);
    let comment = |id: u32, created: i64, updated: i64, body: &str| {
        json!({"id": id, "body": body, "created_at": time(created), "updated_at": time(updated),
            "issue_url": "https://host.example/repos/owner/name/issues/30"})
    };
    state.comments.insert(
        30,
        vec![
            comment(1, 0, 0, "I have seen it, too."),
            comment(2, 1, 50, "Edited when all was over."),
            comment(3, 1, 1, "It is the reader."),
            comment(4, 30, 30, "Thanks!"),
            comment(5, 90, 90, "Released."),
        ],
    );
    state.recorded = vec![(20, 40), (3, 31), (1, 30)];
    let other = json!({"url": "https://host.example/repos/other/place/issues/5", "number": 5,
        "title": "Counts are wrong", "body": "One line is missing.", "comments": 0,
        "html_url": "https://host.example/other/place/issues/5", "created_at": time(0), "updated_at": time(0)});
    state.documents.insert("/repos/other/place/issues/5".to_owned(), other);
    state
}
