//! Errors for programs: with `--json`, whatever fails is a document on stdout.

use serde_json::Value;

use crate::common::Gym;

/// The document that a failing command prints, and what people read beside it.
fn error(gym: &Gym, arguments: &[&str]) -> (Value, String) {
    let output = gym.run(arguments);
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let value: Value = serde_json::from_str(&told).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {told}"));
    let error = value["error"].clone();
    assert_eq!(error["exit_code"], output.status.code().unwrap(), "{arguments:?}");
    assert!(error["causes"].is_array(), "{arguments:?}: {error}");
    (error, said)
}

#[test]
fn with_json_errors_are_documents_and_people_read_them_as_before() {
    let gym = Gym::new();
    gym.write("rows.jsonl", "{\"repo\": \n");
    let cases: [(&[&str], u8, &str, &str); 8] = [
        // What a verb finds wrong.
        (&["report", "nowhere", "--json"], 2, "nowhere", "No such file"),
        (&["--json", "validate", "--instances", "rows.jsonl"], 2, "rows.jsonl:1", ""),
        (&["show", "trajectory", "nowhere.jsonl", "--json", "--quiet"], 2, "nowhere.jsonl", ""),
        // Flags that do not fit.
        (&["rollout", "--json"], 2, "--instances", ""),
        (&["--json", "curate", "run", "--out", "x", "--modell", "y"], 2, "--modell", ""),
        (&["nonsense", "--json"], 2, "nonsense", ""),
        (&["validate", "--instances", "x", "--repeats", "many", "--json"], 2, "many", ""),
        (&["--json"], 2, "", ""),
    ];
    for (arguments, code, named, cause) in cases {
        let (error, said) = error(&gym, arguments);
        assert_eq!(error["exit_code"], code, "{arguments:?}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(named), "{arguments:?}: {message}");
        assert!(!message.starts_with("error:") && !message.contains("Usage:"), "{message}");
        assert!(error["causes"].to_string().contains(cause), "{arguments:?}: {error}");
        // Without anything, the help is shown instead.
        if arguments == ["--json"] {
            continue;
        }
        let plain: Vec<&str> = arguments.iter().filter(|word| **word != "--json").copied().collect();
        let output = gym.run(&plain);
        // A usage repeats what was typed.
        let said = said.replace(" --json", "");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said, "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    // What only looks like the flag, and what is no error.
    let output = gym.run(&["report", "--", "--json"]);
    assert!(output.stdout.is_empty() && output.status.code() == Some(2));
    let help = gym.run(&["rollout", "--help", "--json"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("Usage:"));
}
