//! The store gives its space back, and nothing that is still wanted.

use serde_json::Value;

use crate::common::toy::{bash, finish, gym_alone, id, play, result};

#[test]
fn snapshots_go_with_their_runs_and_not_before() {
    let gym = gym_alone();
    let replies = |word: &str| {
        [bash(&format!("echo '# {word}' >> toy.py")), bash(&format!("echo {word} > new.py")), finish()]
    };
    let (_, kept) = play(&gym, "kept", &replies("kept"), &[]);
    play(&gym, "gone", &replies("gone"), &[]);
    let gc = |flags: &[&str]| -> Value {
        serde_json::from_str(&gym.must(&[&["store", "gc", "--json"][..], flags].concat())).unwrap()
    };
    // What building and testing left over.
    gc(&[]);
    assert_eq!(gc(&["--dry-run"])["freed"]["layers"], 0);
    std::fs::remove_dir_all(gym.path("run-gone")).unwrap();
    let planned = gc(&["--dry-run"]);
    assert!(planned["freed"]["layers"].as_u64() == Some(2) && planned["freed"]["files"].as_u64() >= Some(2));
    let done = gc(&[]);
    assert_eq!((&done["freed"], done["gone"].as_array().unwrap().len()), (&planned["freed"], 1));
    assert_eq!(gc(&[])["gone"], serde_json::json!([]));
    let record = format!("run-kept/trajectories/{}/0.jsonl", id(&gym));
    let fork = |out: &str| {
        let flags = ["--model", "scripted:kept.script", "--fork", &record, "--at", "2", "--out", out];
        gym.run(&[&["rollout", "--instances", "one.jsonl"][..], &flags].concat())
    };
    assert!(fork("fork").status.success());
    assert_eq!(result(&gym, "fork", 0)["patch"], kept["patch"]);
    // A run that is elsewhere now is one that is gone, unless it is named.
    std::fs::rename(gym.path("run-kept"), gym.path("moved")).unwrap();
    std::fs::remove_dir_all(gym.path("fork")).unwrap();
    assert_eq!(gc(&["--run", "moved"])["freed"]["layers"], 0);
    assert!(gc(&["--keep-unfinished-only"])["freed"]["layers"].as_u64() >= Some(2));
    std::fs::rename(gym.path("moved"), gym.path("run-kept")).unwrap();
    let refused = fork("again");
    let words = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && words.contains("gone from the store"), "{words}");
    let wrong = gym.run(&["store", "gc", "--run", "nowhere"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("holds no run"), "{wrong:?}");
}
