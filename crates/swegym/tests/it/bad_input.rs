//! What users get wrong and what hostile packages do: a clear message, a hint,
//! an exit code, and nothing else harmed.

use crate::common::{Gym, rows};

const PATCH: &str = "diff --git a/a.py b/a.py\\n--- a/a.py\\n+++ b/a.py\\n@@ -1 +1 @@\\n-a\\n+b\\n";

fn row(id: &str) -> String {
    format!(
        "{{\"repo\":\"a/b\",\"instance_id\":\"{id}\",\"base_commit\":\"0\",\"patch\":\"{PATCH}\",\"problem_statement\":\"x\",\"FAIL_TO_PASS\":[\"t\"],\"PASS_TO_PASS\":[],\"image\":\"swegym:{}\"}}",
        "0".repeat(64)
    )
}

#[test]
fn instance_files_are_refused_by_line_and_field() {
    let gym = Gym::new();
    let good = row("a__b-1");
    let binary = good.replace(PATCH, "diff --git a/x b/x\\nBinary files a/x and b/x differ\\n");
    let link = good.replace(
        PATCH,
        "diff --git a/l b/l\\nnew file mode 120000\\n--- /dev/null\\n+++ b/l\\n@@ -0,0 +1 @@\\n+/etc\\n",
    );
    let cases = [
        ("corrupt", "{\"repo\": ".to_owned()),
        ("unknown field", good.replace("\"repo\"", "\"version\":\"1\",\"diffculty\":\"x\",\"repo\"")),
        ("duplicate", good.clone()),
        ("absolute path", good.replace("a/a.py b/a.py", "/etc/x /etc/x")),
        ("parent path", good.replace("a/a.py b/a.py", "a/../x b/../x")),
        ("symlink", link),
        ("binary", binary),
    ];
    let mut shown = String::new();
    for (name, bad) in cases {
        gym.write("instances.jsonl", &format!("{good}\n{bad}\n"));
        let text = gym.show(&["validate", "--instances", "instances.jsonl"]);
        shown.push_str(&format!("## {name}\n{text}\n"));
    }
    gym.write("instances.jsonl", "");
    shown.push_str(&format!("## empty\n{}\n", gym.show(&["validate", "--instances", "instances.jsonl"])));
    shown.push_str(&format!("## missing\n{}\n", gym.show(&["validate", "--instances", "nowhere.jsonl"])));
    gym.write("instances.jsonl", &good);
    shown.push_str(&format!(
        "## image\n{}\n",
        gym.show(&["validate", "--instances", "instances.jsonl", "--out", "run"])
    ));
    shown.push_str(&format!(
        "## again\n{}\n",
        gym.show(&["validate", "--instances", "instances.jsonl", "--out", "run"])
    ));
    let other = ["validate", "--instances", "instances.jsonl", "--repeats", "5", "--out", "run", "--resume"];
    shown.push_str(&format!("## other settings\n{}\n", gym.show(&other)));
    let nothing = ["validate", "--instances", "instances.jsonl", "--out", "run2", "--resume"];
    shown.push_str(&format!("## nothing to resume\n{}\n", gym.show(&nothing)));
    gym.write("answers.jsonl", "{\"instance_id\":\"other-1\",\"model_patch\":\"\"}\n");
    let strangers = ["evaluate", "--instances", "instances.jsonl", "--predictions", "answers.jsonl"];
    shown.push_str(&format!("## strangers\n{}\n", gym.show(&strangers)));
    insta::assert_snapshot!(shown);
}

#[test]
fn a_damaged_image_is_named_and_harms_nothing_else() {
    let gym = Gym::new();
    gym.write("instances.jsonl", &row("a-1"));
    let text = gym.read("instances.jsonl");
    let digest = text.split("swegym:").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut shown = String::new();
    for (name, content) in [
        ("cut short", "{\"format_version\":1,\"ba"),
        ("not an image", "{\"format_version\":1}"),
        ("of the future", "{\"format_version\":99}"),
    ] {
        gym.write(&format!("home/store/images/{}.json", &digest[..16]), content);
        let out = name.replace(' ', "-");
        let evaluate = ["evaluate", "--instances", "instances.jsonl", "--predictions", "gold", "--out", &out];
        shown.push_str(&format!("## {name}\n{}\n", gym.show(&evaluate)));
        assert_eq!(rows(&gym.read(&format!("{out}/reports.jsonl"))).len(), 1);
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn settings_are_checked() {
    let gym = Gym::new();
    gym.write("swegym.toml", "coers = 2\n");
    let mut shown = gym.show(&["doctor"]);
    gym.write("swegym.toml", "cores = \"two\"\n");
    shown.push_str(&gym.show(&["doctor"]));
    shown.push_str(&gym.show(&["doctor", "--config", "nowhere.toml"]));
    gym.write("swegym.toml", "");
    shown.push_str(&gym.show(&["build", "a b"]));
    shown.push_str(&gym.show(&["build", "./nowhere"]));
    gym.write("images.jsonl", "{}\n");
    shown.push_str(&gym.show(&["synth", "--images", "images.jsonl"]));
    shown.push_str(&gym.show(&["report", "."]));
    insta::assert_snapshot!(shown);
}

#[test]
fn what_is_not_seen_is_spelt_on_the_terminal() {
    let gym = Gym::new();
    let shown = gym.show(&["report", "runs/a\u{202e}b\u{200b}\u{1b}[2J"]);
    assert!(shown.contains("a<U+202E>b<U+200B><U+001B>[2J"), "{shown}");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown}");
}

#[test]
fn help_is_whole() {
    let gym = Gym::new();
    let verbs = [
        "",
        "quickstart",
        "build",
        "synth",
        "validate",
        "rollout",
        "evaluate",
        "grade",
        "dataset",
        "dataset convert",
        "dataset check",
        "dataset stats",
        "dataset lite",
        "dataset diff",
        "report",
        "show trajectory",
        "metrics",
        "export",
        "replay",
        "train tokenizer",
        "train pretrain",
        "train sft",
        "serve",
        "dev model",
        "doctor",
        "store",
    ];
    let mut shown = String::new();
    for verb in verbs {
        let arguments: Vec<&str> = verb.split_whitespace().chain(["--help"]).collect();
        shown.push_str(&gym.show(&arguments));
    }
    insta::assert_snapshot!(shown);
}

/// One build of many bad packages: each fails by its own code, the good one is built.
#[test]
fn bad_packages_fail_alone_and_by_name() {
    let gym = Gym::new().founded();
    let fine = "def f():\n    return 1\n";
    let test = |name: &str, body: &str| {
        gym.project(name, fine, &format!("import os, time\n\ndef test_it():\n    {body}\n"))
    };
    let packages = [
        "no-such-package-at-all-3141592653".to_owned(),
        "sortedcontainers==2.4.0".to_owned(),
        gym.project("untested", fine, ""),
        {
            let path = test("unresolvable", "pass");
            let file = "unresolvable/pyproject.toml";
            let text = gym.read(file).replace(
                "[tool.setuptools]",
                "dependencies = [\"no-such-package-at-all-3141592653\"]\n[tool.setuptools]",
            );
            gym.write(file, &text);
            path
        },
        test("hanging", "time.sleep(1000)"),
        test("forking", "[os.fork() for _ in range(1000)]"),
        test("filling", "open('/tmp/big', 'wb').write(b'x' * (200 << 20))"),
        test("printing", "import atexit; atexit.register(os.system, 'head -c 1000000000 /dev/zero')"),
        test("killing", "os.kill(os.getppid(), 9); os.kill(1, 9); os.kill(os.getpid(), 9)"),
        test("good", "os.kill(os.getppid(), 15)"),
    ];
    let mut arguments = vec!["build"];
    arguments.extend(packages.iter().map(String::as_str));
    arguments.extend(["--test-timeout", "6", "--box-disk", "64", "--box-processes", "100", "--out", "run"]);
    let output = gym.run(&arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(11), "{said}");
    let built: Vec<_> = rows(&gym.read("run/images.jsonl")).iter().map(|r| r["package"].clone()).collect();
    assert_eq!(built, ["good"], "{said}");
    let failures = rows(&gym.read("run/failures.jsonl"));
    let codes: Vec<(String, String)> = failures
        .iter()
        .map(|r| (r["job"].as_str().unwrap().to_owned(), r["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ("no-such-package-at-all-3141592653", "no_package"),
        ("sortedcontainers==2.4.0", "no_tests"),
        ("untested", "no_tests"),
        ("unresolvable", "does_not_install"),
        ("hanging", "timeout"),
        ("forking", "limit"),
        ("filling", "limit"),
        ("printing", "limit"),
        ("killing", "nothing_passes"),
    ];
    assert_eq!(codes, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{said}");
    for failure in &failures {
        assert!(failure["hint"].is_string() && failure["message"].is_string(), "{failure:#}");
    }
}

/// A name that is no text is refused before anything is written.
#[test]
fn a_name_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let gym = Gym::new();
    let name = std::ffi::OsStr::from_bytes(b"b\xff.jsonl");
    let mut command = gym.command(&["micro", "--count", "1", "--json", "--text"]);
    let output = command.arg(name).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("is not valid UTF-8") && said.contains("tip: rename"), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["error"]["exit_code"], 2);
    assert!(!gym.path("home").exists() && std::fs::read_dir(gym.folder.path()).unwrap().count() == 0);
}
