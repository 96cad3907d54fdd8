//! The editors of `codeact-2.1` and `codeact-2.2` against the reference's own, on
//! random sessions: what is refused, what lines are shown, every byte of every file.

mod session;

use serde_json::{Map, Value, json};

use crate::common::Gym;
use crate::common::toy::{bash, call, finish, gym, play, shown};
use crate::common::wheel::{ask_script, fetch_wheel};
use session::Session;

/// What SWE-Gym's data was made with, and what its fork of OpenHands used.
const REFERENCES: [(&str, &str, &str); 2] =
    [("codeact-2.1", "openhands-ai", "0.12.3"), ("codeact-2.2", "openhands-aci", "0.1.1")];
/// The folder in a box.
const ROOT: &str = "/tmp/edited";
/// A line for each file, after each command.
const LOOK: &str = "cd /tmp/edited; find . -type f | sort | while read -r f; do echo \"$f $(od -An -v -tx1 \"$f\" | tr -d ' \\n')\"; done; cd - > /dev/null";

#[test]
fn the_editor_does_what_the_references_does() {
    let gym = gym();
    let sessions: Vec<Session> = (0..6).map(|seed| Session::draw(seed, 80)).collect();
    let cases: Vec<Value> = sessions.iter().map(Session::to_json).collect();
    for (scaffold, package, release) in REFERENCES {
        let wheel = fetch_wheel(gym.folder.path(), package, release);
        let answers = ask_script(&wheel, include_str!("editor/edit.py"), &cases);
        assert_eq!(answers.len(), sessions.len());
        let mut edited = 0;
        for (number, (session, answers)) in sessions.iter().zip(&answers).enumerate() {
            let answers = answers.as_array().unwrap();
            let ours = edit(&gym, scaffold, number, session);
            assert_eq!((answers.len(), ours.len()), (session.commands.len(), session.commands.len()));
            for ((command, theirs), ours) in session.commands.iter().zip(answers).zip(&ours) {
                assert_eq!(ours, theirs, "{scaffold}, session {number}: {command}");
                edited += usize::from(ours["done"] == true && command["command"] != "view");
            }
        }
        assert!(edited > 50, "{scaffold}: only {edited} edits were made");
    }
}

/// What our editor makes of a session, command by command.
fn edit(gym: &Gym, scaffold: &str, number: usize, session: &Session) -> Vec<Value> {
    let make: String = session
        .files
        .iter()
        .map(|(name, text)| {
            let path = format!("{ROOT}/{name}");
            let bytes: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
            format!("mkdir -p $(dirname {path}); printf '{bytes}' > {path}\n")
        })
        .collect();
    let mut replies = vec![bash(&make)];
    for command in session.at(ROOT) {
        let path = command["path"].as_str().unwrap();
        replies.push(match command["command"].as_str() {
            Some("rm") => bash(&format!("rm -f {path} 2> /dev/null")),
            _ => call("str_replace_editor", &command),
        });
        replies.push(bash(LOOK));
    }
    replies.push(finish());
    let flags = ["--scaffold", scaffold, "--max-steps", "999", "--no-snapshots"];
    let (run, _) = play(gym, &format!("{scaffold}-{number}"), &replies, &flags);
    let shown = shown(gym, &run);
    let steps: Vec<&str> = shown["steps"].as_array().unwrap()[1..]
        .iter()
        .filter_map(|step| step["actions"][0]["observation"].as_str())
        .collect();
    steps.chunks_exact(2).map(|pair| seen(pair[0], pair[1])).collect()
}

/// In the form of the reference's answers.
fn seen(observation: &str, look: &str) -> Value {
    let done = !observation.contains("ERROR:") && !observation.contains("exit code");
    let numbered = |line: &&str| {
        line.split_once('\t').is_some_and(|(number, _)| number.trim_start().parse::<u32>().is_ok())
    };
    let lines: Vec<&str> = observation.split('\n').filter(numbered).filter(|_| done).collect();
    let files: Map<String, Value> = look
        .lines()
        .filter_map(|line| line.strip_prefix("./")?.split_once(' '))
        .map(|(name, bytes)| (name.to_owned(), json!(bytes)))
        .collect();
    json!({"done": done, "lines": lines, "files": files})
}
