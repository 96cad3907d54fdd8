//! `mine`, as it is typed.

#[path = "../../../swegym-mine/tests/common/host.rs"]
mod host;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use swegym_sandbox::tool;

use crate::common::{Gym, rows};
use host::{Fault, Host, TOKEN, discussed};

/// A history with pull requests of every kind.
fn forge(gym: &Gym) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../swegym-mine/tests/forge.sh");
    let words = [script.as_os_str(), gym.path("work").as_os_str()].map(ToOwned::to_owned);
    tool::run("bash", words, Duration::from_secs(120)).unwrap();
}

#[test]
fn a_history_becomes_raw_instances() {
    let gym = Gym::new();
    forge(&gym);
    let said: Value = serde_json::from_str(&gym.must(&["mine", "work", "--out", "raw", "--json"])).unwrap();
    let funnel = &said["funnel"]["all"];
    let instances = rows(&gym.read("raw/instances.jsonl"));
    assert_eq!(funnel["kept"], instances.len());
    let dropped = rows(&gym.read("raw/dropped.jsonl"));
    let counted: u64 = funnel["dropped"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(counted, dropped.len() as u64);
    // It is a dataset as any other, and the same again.
    gym.must(&["dataset", "stats", "raw/instances.jsonl"]);
    gym.must(&["mine", "owner/name=work", "--out", "again"]);
    assert_eq!(gym.read("raw/instances.jsonl"), gym.read("again/instances.jsonl"));
    gym.must(&["report", "raw"]);
    assert!(gym.read("raw/report.html").contains("no_tests"));

    // What another dataset has is not mined again.
    let none = gym.run(&["mine", "work", "--out", "none", "--against", "raw/instances.jsonl"]);
    assert_eq!(none.status.code(), Some(12), "{none:?}");
    let known = rows(&gym.read("none/dropped.jsonl"));
    assert_eq!(known.iter().filter(|row| row["reason"] == "known_commit").count(), instances.len());
}

#[test]
fn what_cannot_be_mined_is_told() {
    let gym = Gym::new();
    gym.write("empty/file", "text");
    for (arguments, words) in [
        (vec!["mine", "empty", "--out", "raw"], "not a git repository"),
        (vec!["mine", "nowhere", "--out", "raw"], "not a git repository"),
        (vec!["mine", "a/b=nowhere", "--out", "raw"], "not a git repository"),
        (vec!["mine", "x", "--out", "raw", "--statement", "dreams"], "dreams"),
        (vec!["mine", "x", "--out", "raw", "--statement", "issue,pull"], "no texts of issues"),
    ] {
        let output = gym.run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains(words) && (said.contains("hint:") || said.contains("possible values")),
            "{said}"
        );
        assert!(!gym.path("raw").exists());
    }
}

/// `mine` with the API of a host.
fn asking(gym: &Gym, host: &Host, out: &str) -> Command {
    let url = host.url();
    let mut command = gym.command(&["mine", "work", "--api", "owner/name", "--api-url", &url, "--out", out]);
    command.env_remove("GH_TOKEN").env("GITHUB_TOKEN", TOKEN);
    command
}

#[test]
fn a_mining_that_is_killed_asks_for_nothing_twice() {
    let gym = Gym::new();
    forge(&gym);
    let host = Host::serve(discussed());
    let calm = asking(&gym, &host, "calm").output().unwrap();
    assert!(calm.status.success(), "{calm:?}");
    let calm = host.asked();
    let mut answered = Vec::new();
    // Each time one request is answered, and the mining is killed during the next.
    for _ in 1..calm.len() {
        host.fault(1, Fault::Silence);
        let mut child =
            asking(&gym, &host, "raw").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while host.state.lock().unwrap().log.len() < 2 {
            assert!(began.elapsed() < Duration::from_secs(120), "nothing is asked for");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        answered.extend(host.asked().into_iter().take(1));
        assert!(!gym.path("raw/instances.jsonl").exists());
    }
    let ended = asking(&gym, &host, "raw").output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    answered.extend(host.asked());
    assert_eq!(answered, calm);
    for name in ["instances.jsonl", "dropped.jsonl", "funnel.json", "report.html"] {
        assert_eq!(gym.read(&format!("raw/{name}")), gym.read(&format!("calm/{name}")), "{name}");
    }
}

#[test]
fn limits_and_refusals_of_a_host_are_told() {
    let gym = Gym::new();
    forge(&gym);
    let host = Host::serve(discussed());
    let message = r#"{"message": "You have exceeded a secondary rate limit."}"#.to_owned();
    host.fault(0, Fault::Answer("403 Forbidden", vec![("retry-after", "1")], message));
    let waited = asking(&gym, &host, "raw").env_remove("SWEGYM_NO_PROGRESS").output().unwrap();
    let said = String::from_utf8_lossy(&waited.stderr).into_owned();
    assert!(
        waited.status.success() && said.contains("owner/name: waiting 1s: the API's secondary limit"),
        "{said}"
    );
    assert!(String::from_utf8_lossy(&waited.stdout).contains("with issue"), "{waited:?}");

    host.state.lock().unwrap().is_revoked = true;
    let refused = asking(&gym, &host, "refused").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).replace(&host.port.to_string(), "[port]");
    insta::assert_snapshot!(format!("exit: {}\n{said}", refused.status.code().unwrap()));
    assert!(!said.contains(TOKEN));

    // Texts that were saved need no host; the repositories stand before them.
    gym.write("issues.json", &serde_json::json!(discussed().items.values().collect::<Vec<_>>()).to_string());
    gym.must(&["mine", "work", "--issues", "issues.json", "--out", "saved", "--statement", "issue,pull"]);
    let sources: Vec<Value> = rows(&gym.read("saved/instances.jsonl"))
        .into_iter()
        .map(|row| row["statement_source"].clone())
        .collect();
    assert_eq!(sources, ["issue", "pull", "issue", "issue"]);
}
