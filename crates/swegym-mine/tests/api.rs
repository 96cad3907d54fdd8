//! Mining with the API of a host, which has its limits and its bad days.

mod common;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::{Printer, Shown};
use swegym_mine::{ApiSettings, MineSettings, Source, Split, run};

use common::Forge;
use common::host::{Fault, Host, TOKEN, discussed};

/// A repository, its host, and where the mined set goes.
struct Mine {
    forge: Forge,
    host: Host,
}

impl Mine {
    fn new() -> Self {
        Self { forge: Forge::make(), host: Host::serve(discussed()) }
    }

    fn settings(&self) -> MineSettings {
        MineSettings {
            repositories: vec![self.forge.path().to_string_lossy().into_owned()],
            branch: None,
            split: Split::Kinds,
            statements: Source::ALL.to_vec(),
            against: Vec::new(),
            api: ApiSettings {
                repositories: vec!["owner/name".to_owned()],
                url: Some(self.host.url()),
                token: Some(TOKEN.to_owned()),
            },
            saved: Vec::new(),
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.forge.folder.path().join(name)
    }

    fn mine(&self, settings: &MineSettings, out: &str) -> Result<Vec<Value>, CommandError> {
        run(printer(), settings, &self.out(out))?;
        Ok(rows(&self.out(out).join("instances.jsonl")))
    }

    fn must(&self, out: &str) -> Vec<Value> {
        self.mine(&self.settings(), out).unwrap()
    }

    fn fails(&self, out: &str) -> CommandError {
        self.mine(&self.settings(), out).map(|rows| rows.len()).unwrap_err()
    }
}

fn printer() -> Printer {
    Printer::new(false, true, Shown::Nothing).inner()
}

fn rows(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was written about each instance.
fn shown(rows: &[Value]) -> String {
    let line = |row: &Value| {
        let text = row["problem_statement"].as_str().unwrap();
        let mut cut: String = text.chars().take(120).collect();
        if cut.len() < text.len() {
            cut.push('…');
        }
        format!(
            "{} {} {} issues {} by {}\n    {:?}\n    hints {}",
            row["instance_id"].as_str().unwrap(),
            row["created_at"].as_str().unwrap(),
            row["statement_source"].as_str().unwrap(),
            row["issue_numbers"],
            row["issue_found_by"],
            cut,
            row["hints_text"]
        )
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn refusal(headers: Vec<(&'static str, &'static str)>, message: &str) -> Fault {
    Fault::Answer("403 Forbidden", headers, json!({"message": message}).to_string())
}

fn broken(status: &'static str) -> Fault {
    Fault::Answer(status, Vec::new(), "<html>".to_owned())
}

/// No file of a folder holds the token.
fn assert_no_token(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            assert_no_token(&entry.path());
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(TOKEN), "{}", entry.path().display());
        }
    }
}

#[test]
fn what_people_wrote_becomes_statements_and_hints() {
    let mine = Mine::new();
    let rows = mine.must("raw");
    let funnel: Value =
        serde_json::from_str(&std::fs::read_to_string(mine.out("raw/funnel.json")).unwrap()).unwrap();
    let all = &funnel["all"];
    let counts = format!(
        "with_issue {} with_pull_text {} issue_links {} statement_sources {}",
        all["with_issue"], all["with_pull_text"], all["issue_links"], all["statement_sources"]
    );
    insta::assert_snapshot!(format!("{}\n\n{counts}\n\n{}", shown(&rows), mine.host.asked().join("\n")));
    assert!(
        std::fs::read_to_string(mine.out("raw/report.html")).unwrap().contains("Issues of kept instances")
    );
    assert_no_token(&mine.out("raw"));
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let mine = Mine::new();
    let first = mine.must("raw");
    mine.host.asked();
    mine.host.state.lock().unwrap().items.get_mut(&41).unwrap()["title"] = json!("Another title");
    let second = mine.must("raw");
    let asked = mine.host.asked();
    let sent = |status: &str| asked.iter().filter(|line| line.ends_with(status)).count();
    // One page of the list, and what has no mark.
    assert_eq!(sent("200"), 1 + 3, "{asked:?}");
    assert!(sent("304") >= 4, "{asked:?}");
    let differ: Vec<_> = first.iter().zip(&second).filter(|(one, other)| one != other).collect();
    assert_eq!(differ.len(), 1);
    assert!(differ[0].1["problem_statement"].as_str().unwrap().starts_with("Another title\n"));
}

#[test]
fn limits_are_waited_out() {
    let mine = Mine::new();
    let rows = mine.must("calm");
    let used_up = vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "RESET")];
    mine.host.fault(0, refusal(used_up.clone(), "API rate limit exceeded for user ID 1."));
    mine.host.fault(3, refusal(vec![("retry-after", "1")], "You have exceeded a secondary rate limit."));
    let too_many = Fault::Answer("429 Too Many Requests", used_up.clone(), String::new());
    mine.host.fault(5, too_many);
    let limited = json!({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]});
    mine.host.fault(8, Fault::Answer("200 OK", used_up, limited.to_string()));
    assert_eq!(mine.must("raw"), rows);
    let asked = mine.host.asked();
    assert_eq!(
        asked.iter().filter(|line| line.ends_with("403") || line.ends_with("429")).count(),
        3,
        "{asked:?}"
    );
    assert!(asked[8].starts_with("POST") && asked[9] == asked[8], "{asked:?}");
}

#[test]
fn failures_that_pass_are_tried_again() {
    let mine = Mine::new();
    let rows = mine.must("calm");
    mine.host.fault(0, broken("502 Bad Gateway"));
    mine.host.fault(2, Fault::Cut);
    let cut = Fault::Answer("200 OK", vec![("content-encoding", "gzip")], "no gzip".to_owned());
    mine.host.fault(3, cut);
    let passing =
        json!({"data": null, "errors": [{"message": "Something went wrong while executing your query."}]});
    mine.host.fault(7, Fault::Answer("200 OK", Vec::new(), passing.to_string()));
    assert_eq!(mine.must("raw"), rows);
}

#[test]
fn an_outage_costs_nothing_that_was_fetched() {
    let mine = Mine::new();
    let rows = mine.must("calm");
    let calm = mine.host.asked();
    for request in 3..8 {
        mine.host.fault(request, broken("503 Service Unavailable"));
    }
    let error = mine.fails("raw");
    assert_eq!(error.exit, 10, "{error}");
    assert!(error.to_string().contains("(503)") && error.hint.as_ref().unwrap().contains("the same command"));
    assert!(!mine.out("raw/instances.jsonl").exists());
    let before = mine.host.asked();
    assert_eq!(mine.must("raw"), rows);
    let after = mine.host.asked();
    let fetched =
        |lines: &[String]| lines.iter().filter(|line| !line.ends_with("503")).cloned().collect::<Vec<_>>();
    assert_eq!([fetched(&before), fetched(&after)].concat(), calm);
    // Nobody there.
    let settings = mine.settings();
    let nobody = ApiSettings { url: Some("http://127.0.0.1:1".to_owned()), ..settings.api.clone() };
    let error = mine.mine(&MineSettings { api: nobody, ..settings }, "nobody").unwrap_err();
    assert!(error.exit == 10 && error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn refusals_say_what_to_do() {
    let mine = Mine::new();
    mine.host.state.lock().unwrap().is_revoked = true;
    let error = mine.fails("raw");
    assert!(error.exit == 2 && error.to_string().contains("refuses the token (401)"), "{error}");
    assert!(error.hint.as_ref().unwrap().contains("revoked") && !error.to_string().contains(TOKEN));
    mine.host.state.lock().unwrap().is_revoked = false;

    let page = |body: String| Fault::Answer("200 OK", Vec::new(), body);
    let elsewhere = vec![("link", "<http://evil.example/x>; rel=\"next\"")];
    let moved =
        Fault::Answer("301 Moved Permanently", vec![("location", "http://evil.example/")], String::new());
    let endless = json!({"data": {"repository": {"pullRequests": {"nodes": [],
        "pageInfo": {"hasNextPage": true, "endCursor": "1"}}}}});
    for (request, fault, words) in [
        (0, refusal(Vec::new(), "Resource protected by organization SAML enforcement."), "SAML"),
        (
            0,
            Fault::Answer("422 Unprocessable Entity", Vec::new(), r#"{"message": "page"}"#.into()),
            "(422): page",
        ),
        (0, page("<html>Log in</html>".into()), "it is no JSON"),
        (0, page("{\"a\": 1}".into()), "cannot be used"),
        (0, page("[[]]".into()), "cannot be used"),
        (0, page(r#"[{"number": -1}]"#.into()), "`number` must be a number from 1"),
        (0, page(r#"[{"number": 1, "title": {}}]"#.into()), "`title` must be a text"),
        (0, page(format!("\"{}\"", "x".repeat(33 << 20))), "larger than 32 MiB"),
        (0, Fault::Answer("200 OK", elsewhere, "[]".into()), "another host"),
        (0, moved, "another host"),
        (
            4,
            page(json!({"errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}]}).to_string()),
            "resolve",
        ),
        (5, page(endless.to_string()), "does not go on"),
    ] {
        let out = mine.out("raw");
        if out.exists() {
            std::fs::remove_dir_all(&out).unwrap();
        }
        mine.host.fault(request, fault);
        let error = mine.fails("raw");
        let said = error.to_string();
        assert!(said.contains(words) && error.hint.is_some(), "{words}: {said}");
        mine.host.state.lock().unwrap().faults.clear();
    }
    mine.forge.git(&["remote", "set-url", "origin", "https://example.org/other/name.git"]);
    let mut settings = mine.settings();
    settings.api.repositories = vec!["other/name".to_owned()];
    let error = mine.mine(&settings, "gone").unwrap_err();
    assert!(error.to_string().contains("no repository `other/name`") && error.exit == 2, "{error}");
    mine.forge.git(&["remote", "set-url", "origin", "https://example.org/owner/name.git"]);
    // Names and addresses that nobody is asked about.
    for (name, url) in
        [("owner", None), ("../x", None), ("a/b/c", None), ("o/n", Some("http://u:p@h.example"))]
    {
        let mut settings = mine.settings();
        settings.repositories.clear();
        settings.api.repositories = vec![name.to_owned()];
        settings.api.url = url.map(str::to_owned).or(settings.api.url);
        let error = mine.mine(&settings, "odd").unwrap_err();
        assert!(error.exit == 2 && error.hint.is_some(), "{error}");
    }
    let mut settings = mine.settings();
    settings.api.repositories = vec!["other/name".to_owned()];
    let error = mine.mine(&settings, "odd").unwrap_err();
    assert!(error.to_string().contains("none of the repositories is `other/name`"), "{error}");
    let mut settings = mine.settings();
    settings.api.repositories.clear();
    settings.statements = vec![Source::Issue, Source::Pull];
    let error = mine.mine(&settings, "odd").unwrap_err();
    assert!(error.hint.as_ref().unwrap().contains("--issues"), "{error}");
}

#[test]
fn a_repository_may_have_its_issues_elsewhere() {
    let mine = Mine::new();
    mine.host.state.lock().unwrap().has_no_issues = true;
    let rows = mine.must("raw");
    let sources: Vec<_> = rows.iter().take(3).map(|row| row["statement_source"].as_str().unwrap()).collect();
    // The first one's own text is too short, and its issue is nowhere.
    assert_eq!((sources, &rows[0]["issue_numbers"]), (vec!["landing", "pull", "branch"], &json!(["30"])));
    assert!(mine.host.asked()[1].starts_with("GET /repos/owner/name/pulls?"));
}

#[test]
fn without_a_token_there_are_no_recorded_links() {
    let mine = Mine::new();
    let mut settings = mine.settings();
    settings.api.token = None;
    let rows = mine.mine(&settings, "raw").unwrap();
    let third = rows.iter().find(|row| row["instance_id"] == "owner__name-3").unwrap();
    assert_eq!(third["issue_numbers"], json!([]));
    assert!(!mine.host.asked().iter().any(|line| line.starts_with("POST")));
}

#[test]
fn what_is_not_here_is_cloned_and_numbers_of_issues_are_told_apart() {
    let mine = Mine::new();
    let bare = mine.out("bare.git");
    mine.forge.git(&["clone", "-q", "--bare", ".", &bare.to_string_lossy()]);
    mine.forge.git(&["--git-dir", &bare.to_string_lossy(), "update-server-info"]);
    let repository = json!({"clone_url": format!("{}/git/owner/name.git", mine.host.url())});
    let commits = json!([{"sha": "a", "commit": {"message": "Mend\n\nresolves #31",
        "author": {"date": "2020-09-13T12:00:00Z"}}}]);
    {
        let mut state = mine.host.state.lock().unwrap();
        state.mirror = Some(bare);
        state.documents.insert("/repos/owner/name".to_owned(), repository);
        state.documents.insert("/repos/owner/name/pulls/1/commits".to_owned(), commits);
    }
    let mut settings = mine.settings();
    settings.repositories.clear();
    let rows = mine.mine(&settings, "raw").unwrap();
    let first = rows.iter().find(|row| row["instance_id"] == "owner__name-1").unwrap();
    // Its commits are on the host only, and older than every comment.
    assert_eq!((&first["issue_numbers"], &first["hints_text"]), (&json!(["30", "31"]), &json!("")));
    let dropped = std::fs::read_to_string(mine.out("raw/dropped.jsonl")).unwrap();
    let forty = dropped.lines().find(|line| line.contains("\"pull_request\":40")).unwrap();
    assert!(forty.contains("is_issue"), "{forty}");
    let places = std::fs::read_to_string(mine.out("raw/repositories.json")).unwrap();
    assert!(places.contains("raw/mirrors/owner__name.git"), "{places}");
    // What was cloned is there the next time, and what cannot be cloned is told.
    mine.host.state.lock().unwrap().mirror = None;
    assert_eq!(mine.mine(&settings, "raw").unwrap(), rows);
    let error = mine.mine(&settings, "none").unwrap_err();
    assert!(error.hint.as_ref().unwrap().contains("git clone --mirror http://127.0.0.1"), "{error}");
    let file = json!({"clone_url": "file:///etc"});
    mine.host.state.lock().unwrap().documents.insert("/repos/owner/name".to_owned(), file);
    let error = mine.mine(&settings, "file").unwrap_err();
    assert!(error.to_string().contains("clone_url"), "{error}");
}
