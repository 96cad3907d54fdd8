//! What helps at the terminal: help of verbs by two ways, and completions that a
//! real shell uses.

use std::process::Command;

use crate::common::Gym;

#[test]
fn help_verb_shows_what_verb_help_shows() {
    let gym = Gym::new();
    for verb in ["rollout", "dataset convert", "train sft", "completions"] {
        let words: Vec<&str> = verb.split(' ').collect();
        let asked = gym.must(&[&["help"], words.as_slice()].concat());
        let shown = gym.must(&[words.as_slice(), &["--help"]].concat());
        assert_eq!(asked, shown);
        assert!(shown.contains(&format!("Example:\n\n    swegym {verb}")), "{shown}");
    }
}

#[test]
fn every_shell_gets_a_script_with_all_verbs_and_flags() {
    let gym = Gym::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = gym.must(&["completions", shell]);
        assert!(script.contains("rollout") && script.contains("first-greedy"), "{shell}: {script}");
        let value: serde_json::Value =
            serde_json::from_str(&gym.must(&["completions", shell, "--json"])).unwrap();
        assert_eq!(
            (value["shell"].as_str(), value["script"].as_str()),
            (Some(shell), Some(script.trim_end()))
        );
    }
    let refused = gym.run(&["completions", "dos"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test starts the shell that it asks")]
fn bash_completes_a_verb_and_a_flag() {
    let gym = Gym::new();
    gym.write("completions", &gym.must(&["completions", "bash"]));
    let completed = |line: &str| {
        let script = format!(
            "source ./completions; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _swegym swegym \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output =
            Command::new("bash").args(["-c", &script]).current_dir(gym.folder.path()).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed("swegym roll"), "rollout");
    assert_eq!(completed("swegym train sft --held"), "--held-out");
}
