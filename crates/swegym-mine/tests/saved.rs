//! Issues, pull requests and comments that were saved, in every shape they come in.

mod common;

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::{Printer, Shown};
use swegym_mine::{ApiSettings, MineSettings, Source, Split, run};

use common::Forge;
use common::host::discussed;

struct Mine {
    forge: Forge,
}

impl Mine {
    fn new() -> Self {
        Self { forge: Forge::make() }
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.forge.folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    fn mine(&self, repositories: &[&str], saved: &[PathBuf]) -> Result<Vec<Value>, CommandError> {
        let settings = MineSettings {
            repositories: repositories
                .iter()
                .map(|one| one.replace('@', &self.forge.path().to_string_lossy()))
                .collect(),
            branch: None,
            split: Split::Kinds,
            statements: Source::ALL.to_vec(),
            against: Vec::new(),
            api: ApiSettings::default(),
            saved: saved.to_vec(),
        };
        let out = self.forge.folder.path().join("raw");
        run(Printer::new(false, true, Shown::Nothing).inner(), &settings, &out)?;
        let text = std::fs::read_to_string(out.join("instances.jsonl")).unwrap();
        Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// What each instance is told, and by which issues.
    fn told(&self, saved: &[PathBuf]) -> Vec<String> {
        let rows = self.mine(&["@"], saved).unwrap();
        let line = |row: &Value| {
            let text = row["problem_statement"].as_str().unwrap();
            format!(
                "{} {} {} {:?} {}",
                row["instance_id"].as_str().unwrap(),
                row["statement_source"].as_str().unwrap(),
                row["issue_numbers"],
                text.chars().take(60).collect::<String>(),
                row["hints_text"]
            )
        };
        rows.iter().map(line).collect()
    }

    fn fails(&self, repositories: &[&str], contents: impl AsRef<[u8]>) -> String {
        let path = self.file("bad.json", contents);
        let error = self.mine(repositories, &[path]).map(|rows| rows.len()).unwrap_err();
        assert!(error.exit == 2 && error.hint.is_some(), "{error}");
        error.to_string()
    }
}

fn items() -> Vec<Value> {
    discussed().items.into_values().collect()
}

fn comments() -> Vec<Value> {
    discussed().comments.into_values().flatten().collect()
}

fn lines(values: &[Value]) -> String {
    values.iter().map(|value| format!("{value}\n")).collect()
}

fn gz(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// In camel case, as `gh` prints it.
fn printed(item: &Value, comments: &[Value]) -> Value {
    let say = |comment: &Value| {
        json!({"id": format!("IC_{}", comment["id"]), "body": comment["body"], "createdAt": comment["created_at"],
            "includesCreatedEdit": comment["created_at"] != comment["updated_at"], "author": {"login": "somebody"}})
    };
    let own = comments
        .iter()
        .filter(|one| one["issue_url"].as_str().unwrap().ends_with(&format!("/{}", item["number"])));
    json!({"number": item["number"], "title": item["title"], "body": item["body"], "createdAt": item["created_at"],
        "url": item["html_url"], "comments": own.map(say).collect::<Vec<_>>()})
}

#[test]
fn every_shape_tells_the_same() {
    let mine = Mine::new();
    let (items, comments) = (items(), comments());
    let api = mine.file("issues.json", json!(items).to_string());
    let said = mine.file("comments.json", format!("{:#}", json!(comments)));
    let expected = mine.told(&[api, said.clone()]);
    insta::assert_snapshot!(expected.join("\n"));

    let (some, others) = items.split_at(5);
    let search = json!({"total_count": 3, "incomplete_results": false, "items": others});
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let all = [items.clone(), comments.clone()].concat();
    let files = [
        mine.file("lines.jsonl", lines(&all)),
        mine.file("indented.json", all.iter().map(|one| format!("{one:#}\n")).collect::<String>()),
        mine.file("pages.json", format!("{}{}\n{}", json!(some), json!(others), json!(comments))),
        mine.file("slurped.json", format!("{:#}", json!([some, others, comments]))),
        mine.file("searched.json", format!("{}{}{}", json!(some), search, json!(comments))),
        mine.file("powershell.json", utf16(&format!("\u{feff}{}", json!(all)))),
        mine.file("packed.json.gz", gz(&lines(&all))),
        mine.file(
            "gh.json",
            json!(items.iter().map(|one| printed(one, &comments)).collect::<Vec<_>>()).to_string(),
        ),
    ];
    for file in files {
        assert_eq!(mine.told(std::slice::from_ref(&file)), expected, "{}", file.display());
    }
    // Without an address it is of the only repository; what a number is stays open.
    let bare = |one: &Value| {
        let mut one = printed(one, &comments);
        one.as_object_mut().unwrap().shift_remove("url");
        one
    };
    let (pulls, issues): (Vec<&Value>, Vec<&Value>) =
        items.iter().partition(|one| one["pull_request"].is_object());
    let merged = |one: &Value| {
        let mut one = bare(one);
        one["mergedAt"] = json!("2020-09-13T15:26:40Z");
        one
    };
    let issues =
        mine.file("issues.json", json!(issues.iter().map(|one| bare(one)).collect::<Vec<_>>()).to_string());
    let pulls =
        mine.file("pulls.json", json!(pulls.iter().map(|one| merged(one)).collect::<Vec<_>>()).to_string());
    assert_eq!(mine.told(&[issues, pulls]), expected);
}

#[test]
fn graphql_tells_recorded_links() {
    let mine = Mine::new();
    let issue = json!({"number": 30, "title": "Lost lines", "body": "All of them.", "createdAt": "2020-09-13T00:00:00Z",
        "comments": {"nodes": [{"body": "Yes.", "createdAt": "2020-09-13T01:00:00Z"}]}});
    let closes = json!({"nodes": [null, {"number": 30, "repository": {"nameWithOwner": "owner/name"}}]});
    let pull = json!({"number": 1, "title": "Mend", "body": "", "closingIssuesReferences": closes});
    let answer =
        json!({"data": {"repository": {"pullRequests": {"nodes": [pull]}, "issues": {"nodes": [issue]}}}});
    let file = mine.file("graphql.json", format!("{answer}{answer}"));
    let told = mine.told(&[file]);
    let first = r#"owner__name-1 issue ["30"] "Lost lines\nAll of them.\n" "Yes.""#;
    assert_eq!(told[0], first);
}

#[test]
fn events_of_an_archive_are_read() {
    let mine = Mine::new();
    let (items, comments) = (items(), comments());
    let event = |kind: &str, repo: &str, payload: Value| json!({"id": "1", "type": kind, "repo": {"id": 1, "name": repo}, "payload": payload, "public": true});
    let find = |number: u32| items.iter().find(|one| one["number"] == number).unwrap().clone();
    let mut opened = find(30);
    opened["body"] = json!("As it was first written.");
    opened["updated_at"] = json!("2020-09-13T00:00:00Z");
    let mut elsewhere = find(30);
    elsewhere["title"] = json!("Not of us");
    let mut events = vec![
        event("PushEvent", "owner/name", json!({"size": 1})),
        event("IssuesEvent", "Owner/Name", json!({"action": "closed", "issue": find(30)})),
        event("IssuesEvent", "owner/name", json!({"action": "opened", "issue": opened})),
        event("IssuesEvent", "other/name", json!({"action": "opened", "issue": elsewhere})),
        event("PullRequestEvent", "owner/name", json!({"action": "opened", "pull_request": find(1)})),
        // As they are since October 2025, and as they were before 2015.
        event(
            "PullRequestEvent",
            "owner/name",
            json!({"action": "opened", "pull_request": {"number": 2, "id": 7}}),
        ),
        json!({"type": "IssuesEvent", "repository": {"owner": "owner", "name": "name"}, "payload": {"issue": 12345}}),
    ];
    let say = |comment: &Value| {
        event("IssueCommentEvent", "owner/name", json!({"issue": find(30), "comment": comment}))
    };
    events.extend(comments.iter().map(say));
    events.extend(comments.iter().map(say));
    let told = mine.told(&[mine.file("2020-09-13-12.json.gz", gz(&lines(&events)))]);
    let hints = r#""I have seen it, too.\nIt is the reader.""#;
    let text = r#""Empty lines end the file\nWhatever stands below\r\nis lost.\n""#;
    assert_eq!(told[0], format!("owner__name-1 issue [\"30\"] {text} {hints}"));
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let mine = Mine::new();
    let good = r#"{"number": 1, "title": "T", "url": "https://host.example/owner/name/issues/1"}"#;
    for (contents, words) in [
        (format!("{good}\n{{\"sha\": \"a\", \"commit\": {{}}}}\n"), "bad.json:2: neither an issue"),
        (format!("[\n{good},\n{{\"a\": 1}}\n]"), "bad.json:3: neither an issue"),
        (format!("[\n{good},\n{{\n\"number\": -3,\n\"title\": \"T\"}}]"), "bad.json:3: the field `number`"),
        (format!("{good}\n{{\"number\": 2, \"title\": [1]}}\n"), "bad.json:2: the field `title`"),
        (
            format!("{good}\n{{\"number\": 2, \"title\": \"T\", \"created_at\": \"2020\"}}\n"),
            "bad.json:2: the field `created_at`",
        ),
        (format!("{good}\n7\n"), "bad.json:2: a row must be a JSON object"),
        (format!("{good}\n{{\"number\": 2, \"title\": "), "bad.json:2: not valid JSON"),
        (format!("[{good}\n{good}]"), "bad.json:2: not valid JSON"),
        ("number,title\n1,T\n".to_owned(), "bad.json:1: not valid JSON"),
        (
            r#"{"message": "Not Found", "documentation_url": "x"}"#.to_owned(),
            "`message`, `documentation_url`",
        ),
        ("{}".to_owned(), "no fields"),
    ] {
        let said = mine.fails(&["@"], &contents);
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = mine.fails(&["@"], &gz(&good.repeat(1000))[..40]);
    assert!(said.contains("bad.json"), "{said}");
    let said = mine.fails(&["@", "other/name=@"], r#"{"number": 1, "title": "T"}"#);
    assert!(said.contains("bad.json:1: this does not say of which repository"), "{said}");
    for gone in ["nowhere.json", "work"] {
        let path = mine.forge.folder.path().join(gone);
        let error = mine.mine(&["@"], &[path]).map(|rows| rows.len()).unwrap_err();
        assert!(error.exit == 2 && error.hint.is_some() && error.to_string().contains(gone), "{error}");
    }
    assert!(!mine.forge.folder.path().join("raw").exists());
}

#[test]
fn half_characters_and_bombs_are_no_trouble() {
    let mine = Mine::new();
    let half =
        r#"{"number": 30, "title": "Half \ud83d", "body": "b", "url": "https://h/owner/name/issues/30"}"#;
    let pull = r#"{"number": 1, "title": "Mend", "body": "fixes #30", "url": "https://h/owner/name/pull/1"}"#;
    let told = mine.told(&[mine.file("half.jsonl", format!("{half}\n{pull}\n"))]);
    assert!(told[0].contains("Half \u{fffd}"), "{}", told[0]);
    let bomb = gz(&format!("[\"{}", "x".repeat(65 << 20)));
    assert!(mine.fails(&["@"], bomb).contains("one value has more than 64 MiB"));
}
