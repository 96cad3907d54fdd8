//! `mine`, as it is typed.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use swegym_sandbox::tool;

use crate::common::{Gym, rows};

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
