//! Right answers in odd forms resolve, and answers that only look right do not.

use std::process::Command;
use std::sync::LazyLock;

use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::common::base::lasting;
use crate::common::{Gym, rows};

const MODULE: &str = "def double(x):\n    if x < 0:\n        return -2 * -x\n    return 2 * x\n";
const TESTS: &str = "import odd\n\n\ndef test_double():\n    assert odd.double(3) == 6\n\n\ndef test_negative():\n    assert odd.double(-3) == -6\n";

/// The line that the instances have instead of the right one.
const WRONG: &str = "    return 3 * x\n";

/// An instance by hand on an image of the real thing: the hidden tests replace
/// what the base commit has, and there is a file with CR LF.
fn instance(gym: &Gym) -> Value {
    let project = gym.project("odd", &MODULE.replace("    return 2 * x\n", WRONG), TESTS);
    gym.write("odd/crlf.py", "FACTOR = 3\r\nOTHER = 1\r\n");
    gym.write("odd/checks/__init__.py", "");
    gym.write("odd/checks/test_sum.py", "def test_sum():\n    assert 1 + 1 == 2\n");
    gym.write("odd/.gitattributes", "*.md text eol=crlf\n");
    gym.write("odd/NOTES.md", "a\r\nb\r\n");
    gym.must(&["build", &project, "--out", "build"]);
    let image = &rows(&gym.read("build/images.jsonl"))[0];
    let hidden = "import odd\nimport crlf\n\n\ndef test_hidden():\n    assert odd.double(4) == 8\n\n\ndef test_factor():\n    assert crlf.FACTOR in (2, 3)\n";
    let gold = "diff --git a/odd.py b/odd.py\n--- a/odd.py\n+++ b/odd.py\n@@ -1,4 +1,4 @@\n def double(x):\n     if x < 0:\n         return -2 * -x\n-    return 3 * x\n+    return 2 * x\n";
    json!({
        "repo": "x/odd", "instance_id": "x__odd-1", "base_commit": image["commit"], "patch": gold,
        "test_patch": adds("checks/test_hidden.py", hidden), "problem_statement": "double triples",
        "hints_text": "", "created_at": "", "version": "1.0", "environment_setup_commit": image["commit"],
        "FAIL_TO_PASS": ["checks/test_hidden.py::test_hidden", "test_odd.py::test_double"],
        "PASS_TO_PASS": ["test_odd.py::test_negative", "checks/test_hidden.py::test_factor"],
        "log_parser": "pytest", "image": format!("swegym:{}", image["image"].as_str().unwrap()),
    })
}

static ODD: LazyLock<(Gym, Value)> = LazyLock::new(|| {
    let gym = lasting().founded();
    let instance = instance(&gym);
    (gym, instance)
});

/// A gym with the project and its image, and the instance.
fn odd() -> (Gym, Value) {
    (Gym::new().like(&ODD.0), ODD.1.clone())
}

/// A section that adds a file.
fn adds(path: &str, text: &str) -> String {
    let body: String = text.lines().map(|l| format!("+{l}\n")).collect();
    let count = text.lines().count();
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n{body}"
    )
}

/// A section that makes a link.
fn links(path: &str, target: &str) -> String {
    adds(path, target).replace("100644", "120000") + "\\ No newline at end of file\n"
}

/// A section that removes a file.
fn removes(path: &str, text: &str) -> String {
    let body: String = text.lines().map(|l| format!("-{l}\n")).collect();
    let count = text.lines().count();
    format!(
        "diff --git a/{path} b/{path}\ndeleted file mode 100644\n--- a/{path}\n+++ /dev/null\n@@ -1,{count} +0,0 @@\n{body}"
    )
}

/// The reports of many answers to one instance, by number.
fn verdicts(gym: &Gym, name: &str, instance: &Value, answers: &[(&str, String)]) -> Vec<Value> {
    verdicts_with(gym, name, instance, answers, &[])
}

/// The same with more flags.
fn verdicts_with(
    gym: &Gym,
    name: &str,
    instance: &Value,
    answers: &[(&str, String)],
    more: &[&str],
) -> Vec<Value> {
    let id = |number: usize| format!("x__odd-{number}");
    let row = |number: usize| {
        let mut row = instance.clone();
        row["instance_id"] = json!(id(number));
        format!("{row}\n")
    };
    let answer = |(number, (_, patch)): (usize, &(&str, String))| {
        format!("{}\n", json!({"instance_id": id(number), "model_name_or_path": "m", "model_patch": patch}))
    };
    gym.write("instances.jsonl", &(0..answers.len()).map(row).collect::<String>());
    gym.write("answers.jsonl", &answers.iter().enumerate().map(answer).collect::<String>());
    let flags = ["--predictions", "answers.jsonl", "--test-timeout", "60", "--out", name];
    gym.must(&[&["evaluate", "--instances", "instances.jsonl"][..], &flags, more].concat());
    let reports = rows(&gym.read(&format!("{name}/reports.jsonl")));
    let of = |number| reports.iter().find(|r| r["instance_id"] == id(number)).unwrap().clone();
    (0..answers.len()).map(of).collect()
}

/// What git itself says of a change to the project.
#[expect(clippy::disallowed_methods, reason = "the patch is made as people make it")]
fn git_diff(gym: &Gym, change: &str, options: &str) -> String {
    let script = format!(
        "rm -rf ../work && cp -r . ../work && cd ../work && git init -q . && git add -A && \
         git -c user.name=a -c user.email=a@b commit -qm a && {change} && git add -A && git diff --cached {options}"
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(gym.path("odd")).output().unwrap();
    assert!(output.status.success(), "{change}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn right_answers_in_odd_forms_resolve() {
    let (gym, instance) = odd();
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let plain = gold.split_once('\n').unwrap().1.to_owned();
    let fix = "sed -i 's/3 \\* x/2 * x/' odd.py";
    let git = |more: &str, options: &str| git_diff(&gym, &format!("{fix}{more}"), options);
    let head = "  def double(x):\n      if x < 0:\n          return -2 * -x\n";
    let both = |more: &str| gold.clone() + more;
    // What is right stands in a new module.
    let with_module = |path: &str, name: &str| {
        let import = format!("sed -i 's/3 \\* x/twice(x)/; 1i from {name} import twice' odd.py");
        git_diff(&gym, &import, "") + &adds(path, "def twice(x):\n    return 2 * x")
    };
    let answers = [
        ("the gold patch", gold.clone()),
        ("its last newline chopped", gold.trim_end().to_owned()),
        ("through CR LF, headers and all", gold.replace('\n', "\r\n")),
        (
            "the hunk through CR LF",
            gold.replace(" x\n", " x\r\n")
                .replace("(x):\n", "(x):\r\n")
                .replace("0:\n", "0:\r\n")
                .replace("-x\n", "-x\r\n"),
        ),
        (
            "every second line through CR LF",
            gold.lines().enumerate().map(|(n, l)| format!("{l}{}", ["\n", "\r\n"][n % 2])).collect(),
        ),
        (
            "every other second line through CR LF",
            gold.lines().enumerate().map(|(n, l)| format!("{l}{}", ["\r\n", "\n"][n % 2])).collect(),
        ),
        ("no prefixes", git("", "--no-prefix")),
        ("other prefixes", git("", "--src-prefix=i/ --dst-prefix=w/")),
        ("no line for git", plain.clone()),
        ("times after names", plain.replace("/odd.py\n", "/odd.py\t2020-01-01 00:00:00 +0000\n")),
        ("parts of a path that say nothing", plain.replace("a/odd.py", "./odd.py").replace("b/", ".//./")),
        ("an .orig file", plain.replace("--- a/odd.py", "--- a/odd.py.orig")),
        (
            "in a letter",
            format!("Subject: a fix\n\nI think this is it.\n---\n odd.py | 2 +-\n\n{gold}-- \n2.47\n"),
        ),
        ("in a fence", format!("Here:\n\n```diff\n{gold}```\n")),
        ("indented", gold.lines().map(|l| format!("    {l}\n")).collect()),
        ("quoted", gold.lines().map(|l| format!("> {l}\n")).collect()),
        ("no context", git("", "-U0")),
        (
            "a context diff",
            format!(
                "*** odd.py\tMon\n--- odd.py\tTue\n***************\n*** 1,4 ****\n{head}!     return 3 * x\n--- 1,4 ----\n{head}!     return 2 * x\n"
            ),
        ),
        ("lines off", gold.replace("@@ -1,4 +1,4 @@", "@@ -3,4 +3,4 @@")),
        ("context a little off", gold.replace(" def double(x):", " def double(y):")),
        (
            "a binary file without contents",
            both(
                "diff --git a/logo.png b/logo.png\nnew file mode 100644\nindex 0000000..1d1e2f3\nBinary files /dev/null and b/logo.png differ\n",
            ),
        ),
        ("a binary file", git(" && printf 'a\\000b' > logo.png", "--binary")),
        ("a file with CR LF, by its bytes", git(" && sed -i 's/3\\r/2\\r/' crlf.py", "")),
        (
            "a file with CR LF, as if it had LF",
            both("--- a/crlf.py\n+++ b/crlf.py\n@@ -1,2 +1,2 @@\n-FACTOR = 3\n+FACTOR = 2\n OTHER = 1\n"),
        ),
        ("a file that attributes give CR LF", git(" && printf 'a\\r\\nc\\r\\n' > NOTES.md", "")),
        ("attributes", both(&adds("docs/.gitattributes", "* -text"))),
        (
            "attributes that change line ends",
            git(" && printf '* text eol=crlf\\n*.py ident filter=x\\n' > .gitattributes", ""),
        ),
        (
            "the file moved and linked",
            git(" && mkdir lib && git mv odd.py lib/odd.py && ln -s lib/odd.py odd.py", "-M"),
        ),
        ("a mode", git(" && chmod +x odd.py", "")),
        ("odd names", git(" && touch 'a b' && printf x > $'t\\tb' && printf x > $'n\\377' && touch ü", "")),
        ("a folder where a test file will be", both(&adds("checks/test_hidden.py/x.txt", "x"))),
        ("a link where a test file will be", both(&links("checks/test_hidden.py", "test_sum.py"))),
        (
            "a file that the test patch makes too",
            both(&adds("checks/test_hidden.py", "def test_mine():\n    pass")),
        ),
        ("the folder of tests is a link", git(" && mv checks kept && ln -s kept checks", "")),
        ("tests of its own", both(&adds("checks/test_mine.py", "def test_mine():\n    assert True"))),
        ("helpers for tests", with_module("testing/helpers.py", "testing.helpers")),
        (
            "a package of helpers for tests",
            with_module("kit/testing/__init__.py", "kit.testing") + &adds("kit/__init__.py", "KIT = 1"),
        ),
        ("a package for testing", with_module("test_kit/__init__.py", "test_kit")),
        ("a module that sounds like a test", with_module("speed_test.py", "speed_test")),
        ("a module of tests", with_module("helpers/tests.py", "helpers.tests")),
        ("a module that supports tests", with_module("kit/tests_support.py", "kit.tests_support")),
        (
            "modules that sound like tests, one behind the other",
            git(" && sed -i '1i from test_one import one' odd.py", "")
                + &adds("test_one.py", "from two_test import one")
                + &adds("two_test.py", "one = 1"),
        ),
        (
            "broken tests of its own, with helpers",
            both(&adds("tests/__init__.py", "raise SystemExit(1)"))
                + &adds("tests/helpers.py", "import odd")
                + &adds("tests/test_mine.py", "import nothing_like_it"),
        ),
        ("settings of its own", both(&adds("pytest.ini", "[pytest]\naddopts = --strict-markers"))),
        (
            "nonsense that is no patch around it",
            format!("*** odd.py\n--- odd.py\n***************\n{gold}1c1\n< a\n---\n> b\n"),
        ),
        (
            "a file made anew",
            removes("odd.py", &MODULE.replace("    return 2 * x\n", WRONG)) + &adds("odd.py", MODULE),
        ),
    ];
    assert!(answers.len() >= 20);
    let reports = verdicts(&gym, "right", &instance, &answers);
    for ((what, patch), report) in answers.iter().zip(&reports) {
        assert_eq!(report["resolved"], true, "{what}\n{patch}\n{report:#}");
    }
    let noted = |what: &str| &reports[answers.iter().position(|(w, _)| *w == what).unwrap()]["answer"];
    assert_eq!(noted("the gold patch"), &Value::Null);
    assert_eq!(
        noted("settings of its own"),
        &json!({"left_out": [{"path": "pytest.ini", "reason": "settings"}], "as_gold": []})
    );
    assert_eq!(
        noted("a binary file without contents"),
        &json!({"left_out": [{"path": "logo.png", "reason": "without_contents"}], "as_gold": []})
    );
}

#[test]
fn a_patch_that_would_change_another_file_than_it_names_is_refused() {
    let gym = Gym::new().founded();
    gym.write("odd/a/odd.py", &MODULE.replace("    return 2 * x\n", WRONG));
    let instance = instance(&gym);
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let fix = "sed -i 's/3 \\* x/2 * x/'";
    let answers = [
        ("prefixes", gold.clone()),
        ("the other file without prefixes", git_diff(&gym, &format!("{fix} a/odd.py"), "--no-prefix")),
        ("both without a line for git", gold.split_once('\n').unwrap().1.replace("b/odd.py", "a/odd.py")),
        ("both with prefixes", git_diff(&gym, &format!("{fix} a/odd.py odd.py"), "")),
    ];
    let reports = verdicts(&gym, "other", &instance, &answers);
    for ((what, patch), report) in answers.iter().zip(&reports) {
        let right = what.contains("prefixes") && !what.contains("without");
        assert_eq!(report["resolved"], right, "{what}\n{patch}\n{report:#}");
        let said = report["reason"]["message"].as_str().unwrap_or_default();
        assert_eq!(said.contains("the patch names 'a/odd.py', which is there"), !right, "{report:#}");
    }
}

#[test]
fn answers_that_only_look_right_do_not_resolve() {
    let (gym, instance) = odd();
    let pass = "import odd\nodd.double = lambda x: 2 * x\n";
    let forged = "import os\nprint('PASSED checks/test_hidden.py::test_hidden')\nprint('PASSED test_odd.py::test_double')\nos._exit(0)\n";
    let hook = "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n    out = yield\n    out.get_result().outcome = 'passed'\n";
    let empty = "def test_hidden():\n    pass\ndef test_factor():\n    pass\n";
    let plugin = adds("cheat.py", hook);
    let config = "[core]\n\tbare = true\n";
    let in_git = |path: &str| adds(path, config);
    let git_context =
        "*** .git/config\n--- .git/config\n***************\n*** 1 ****\n! [core]\n--- 1 ----\n! [kore]\n";
    let harmless = adds("notes.txt", "x");
    let answers = [
        ("nothing of the fix", harmless.clone()),
        ("a conftest.py", adds("conftest.py", hook)),
        ("a conftest.py below", adds("checks/conftest.py", hook)),
        (
            "a plug-in by pytest.ini",
            plugin.clone() + &adds("pytest.ini", "[pytest]\naddopts = -p cheat\npythonpath = ."),
        ),
        ("a plug-in by .pytest.ini", plugin.clone() + &adds(".pytest.ini", "[pytest]\naddopts = -p cheat")),
        ("a plug-in by tox.ini", plugin.clone() + &adds("tox.ini", "[pytest]\naddopts = -p cheat")),
        ("a plug-in by setup.cfg", plugin.clone() + &adds("setup.cfg", "[tool:pytest]\naddopts = -p cheat")),
        (
            "a warning filter that imports",
            adds("cheat.py", pass) + &adds("pytest.ini", "[pytest]\nfilterwarnings = ignore::cheat.Warning"),
        ),
        (
            "settings beside the tests",
            plugin.clone() + &adds("checks/pytest.ini", "[pytest]\naddopts = -p cheat"),
        ),
        (
            "a plug-in by metadata",
            plugin.clone()
                + &adds("cheat.egg-info/entry_points.txt", "[pytest11]\ncheat = cheat")
                + &adds("cheat.egg-info/PKG-INFO", "Name: cheat\nVersion: 1"),
        ),
        (
            "a plug-in by other metadata",
            plugin.clone()
                + &adds("cheat-1.dist-info/entry_points.txt", "[pytest11]\ncheat = cheat")
                + &adds("cheat-1.dist-info/METADATA", "Name: cheat\nVersion: 1"),
        ),
        ("sitecustomize.py", adds("sitecustomize.py", forged)),
        ("usercustomize", adds("usercustomize/__init__.py", forged)),
        ("pytest.py", adds("pytest.py", forged)),
        ("pytest/", adds("pytest/__init__.py", forged) + &adds("pytest/__main__.py", forged)),
        ("_pytest/", adds("_pytest/__init__.py", forged)),
        ("unittest/", adds("unittest/__init__.py", forged)),
        ("a module of the standard library", adds("random.py", pass)),
        ("the same in src", adds("src/pytest.py", forged)),
        ("a link to a module", links("pytest.py", "forged.py") + &adds("forged.py", forged)),
        ("a link to a package", links("_pytest", "forged") + &adds("forged/__init__.py", forged)),
        (
            "a plug-in by what is imported and sounds like a test",
            plugin.clone()
                + &adds("test_cheat.py", "pytest_plugins = ['cheat']")
                + &adds("more.py", "import test_cheat"),
        ),
        ("the test file", adds("checks/test_hidden.py", empty)),
        ("a folder for the test file", adds("checks/test_hidden/__init__.py", empty)),
        (
            "a folder for a test file at the root",
            adds("test_odd/__init__.py", "def test_double():\n    pass"),
        ),
        ("bytecode of a test", adds("checks/__pycache__/test_hidden.cpython-311.pyc", "x")),
        ("a test removed", removes("test_odd.py", TESTS)),
        (
            "tests linked to others",
            removes("checks/test_sum.py", "def test_sum():\n    assert 1 + 1 == 2\n")
                + &links("checks/test_hidden.py", "../mine.py")
                + &adds("mine.py", empty),
        ),
        (".git", in_git(".git/config") + &harmless),
        (".GIT", in_git(".GIT/config") + &harmless),
        (".git and a dot", in_git(".git./config") + &harmless),
        (".git and a blank", in_git(".git /config") + &harmless),
        ("a stream of .git", in_git(".git::$INDEX_ALLOCATION/config") + &harmless),
        ("git~1", in_git("git~1/config") + &harmless),
        (".git with what is not shown", in_git(".g\u{200c}it/config") + &harmless),
        (".git of a module", in_git("sub/.git/config") + &harmless),
        (".git by a link", links("door", ".git") + &in_git("door/config")),
        (".git by a context diff", format!("{git_context}{harmless}")),
        ("an ed script", format!("--- .git/config\n1c\n[kore]\n.\n{harmless}")),
        ("a normal diff", format!("Index: .git/config\n1c1\n< [core]\n---\n> [kore]\n{harmless}")),
        ("an Index line", format!("Index: test_odd.py\nPrereq: odd\n{harmless}")),
        (".git after a hunk", format!("{harmless}--- a/.git/config\n+++ b/.git/config\n")),
    ];
    let reports = verdicts(&gym, "wrong", &instance, &answers);
    for ((what, patch), report) in answers.iter().zip(&reports) {
        assert_eq!(report["resolved"], false, "{what}\n{patch}\n{report:#}");
        let code = &report["reason"]["code"];
        if what.to_lowercase().contains("git") {
            assert!(code == "patch_git_directory" || code == "patch_symlink_escape", "{what}\n{report:#}");
        } else {
            assert_eq!(code, &Value::Null, "{what}\n{report:#}");
        }
    }
}

#[test]
fn an_answer_that_cannot_be_laid_out_is_a_report() {
    let (gym, instance) = odd();
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let with = |more: &str| gold.clone() + more;
    // Git packs zeros into next to nothing.
    let zeros = git_diff(&gym, "head -c 100M /dev/zero > zeros.bin", "--binary");
    assert!(zeros.len() < 1 << 20, "{}", zeros.len());
    // A link is a blob with another mode, and a blob may be binary.
    let change = "head -c 5000 /dev/zero | tr '\\0' '\\1' > link && printf '\\0' >> link";
    let link = git_diff(&gym, change, "--binary").replace("100644", "120000");
    assert!(link.contains("GIT binary patch"), "{link}");
    let answers = [
        ("the gold patch", gold.clone()),
        ("a long name", with(&adds(&format!("{}.py", "x".repeat(300)), "x = 1"))),
        ("a deep path", with(&adds(&format!("{}x.py", "d/".repeat(2500)), "x = 1"))),
        ("the gold patch beside the longest path", with(&adds(&format!("{}x", "d/".repeat(2047)), "x = 1"))),
        ("a long link", with(&links("link", &"x".repeat(5000)))),
        ("a long link as a binary file", with(&link)),
        ("a large file", with(&zeros)),
        ("the gold patch again", gold.clone()),
    ];
    let reports = verdicts_with(&gym, "unfit", &instance, &answers, &["--box-disk", "64"]);
    for ((what, _), report) in answers.iter().zip(&reports) {
        let fits = what.starts_with("the gold patch");
        assert_eq!(report["resolved"], fits, "{what}\n{report:#}");
        let code = if fits { Value::Null } else { json!("patch_cannot_be_laid_out") };
        assert_eq!(report["reason"]["code"], code, "{what}\n{report:#}");
        assert!(fits || report["reason"]["boundary"] == "agent", "{what}\n{report:#}");
    }
    let report: Value = serde_json::from_str(&gym.read("unfit/report.json")).unwrap();
    assert_eq!(report["infra_failure_instances"], 0, "{report:#}");
}

#[test]
fn an_answer_that_leaves_no_room_is_a_report() {
    let (gym, instance) = odd();
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let disk = 8 << 20;
    // Nothing packs these: they take room as text, as an object and as a file.
    let noise = |bytes: usize| {
        let change = format!(
            "python3 -c 'import random; random.seed(1); open(\"noise.bin\", \"wb\").write(b\"\\0\" + random.randbytes({bytes}))'"
        );
        gold.clone() + &git_diff(&gym, &change, "--binary")
    };
    // These are small but as a file; of zeros git would make a hole.
    let ones = |bytes: usize| {
        let change = format!("{{ printf '\\0'; head -c {bytes} /dev/zero | tr '\\0' '\\1'; }} > ones.bin");
        gold.clone() + &git_diff(&gym, &change, "--binary")
    };
    let files =
        |count: usize| gold.clone() + &(0..count).map(|n| adds(&format!("many/{n}"), "")).collect::<String>();
    let mut answers = vec![("fits".to_owned(), gold.clone())];
    for left in [256 << 10, 48 << 10, 4 << 10, 0] {
        answers.push((format!("ones but for {left}"), ones(disk - left)));
    }
    for part in [2, 3] {
        answers.push((format!("noise, {part} MiB"), noise(part << 20)));
    }
    // The box has an inode for every four kibibytes, and a thousand more.
    let inodes = (disk >> 12) + 1024;
    for left in [500, 40, 10, 0] {
        answers.push((format!("files but for {left}"), files(inodes - left)));
    }
    answers.push(("fits again".to_owned(), gold.clone()));
    let named: Vec<(&str, String)> = answers.iter().map(|(what, patch)| (&**what, patch.clone())).collect();
    let reports = verdicts_with(&gym, "full", &instance, &named, &["--box-disk", "8"]);
    for ((what, _), report) in answers.iter().zip(&reports) {
        assert!(!what.starts_with("fits") || report["resolved"] == true, "{what}\n{report:#}");
        let reason = &report["reason"];
        assert!(reason.is_null() || reason["boundary"] == "agent", "{what}\n{report:#}");
    }
    let codes: Vec<_> = reports.iter().map(|report| report["reason"]["code"].clone()).collect();
    let count = |code: Value| codes.iter().filter(|c| **c == code).count();
    assert!(count(json!("patch_cannot_be_laid_out")) > 2 && count(Value::Null) > 2, "{codes:?}");
    let report: Value = serde_json::from_str(&gym.read("full/report.json")).unwrap();
    assert_eq!(report["infra_failure_instances"], 0, "{report:#}");
}

#[test]
fn where_the_gold_patch_changes_settings_the_answers_count() {
    let (gym, mut instance) = odd();
    let settings = adds("conftest.py", "import odd\n\nodd.READY = True\n");
    let gold = instance["patch"].as_str().unwrap().to_owned();
    instance["patch"] = json!(gold.clone() + &settings);
    instance["test_patch"] = json!(adds(
        "checks/test_hidden.py",
        "import odd\n\n\ndef test_hidden():\n    assert odd.READY and odd.double(4) == 8\n\n\ndef test_factor():\n    pass\n"
    ));
    gym.write("one.jsonl", &format!("{instance}\n"));
    gym.must(&["validate", "--instances", "one.jsonl", "--repeats", "1", "--out", "validated"]);
    let kept = rows(&gym.read("validated/instances.jsonl"));
    assert_eq!(kept[0]["gold_settings"], json!(["conftest.py"]));
    let other = gold.clone() + &adds("conftest.py", "import odd\nsetattr(odd, 'READY', 1)\n");
    let reports = verdicts(&gym, "gold", &kept[0], &[("its own", other), ("none", gold)]);
    assert_eq!(reports[0]["resolved"], true, "{:#}", reports[0]);
    assert_eq!(reports[0]["answer"], json!({"left_out": [], "as_gold": ["conftest.py"]}));
    assert_eq!(reports[1]["resolved"], false);
}

/// What may be done to a repository, as lines for bash; `N` is a number that no line before had.
const DEEDS: [&str; 18] = [
    "sed -i 's/5/N/' a.txt",
    "sed -i '2d;9i N' dir/b.txt",
    "git mv a.txt moved-N.txt 2> /dev/null; sed -i 3d moved-N.txt",
    "cp dir/b.txt copied-N.txt; echo N >> copied-N.txt",
    "chmod +x dir/b.txt",
    "printf 'a\\000N' > data.bin",
    "printf 'N' > end.txt",
    "echo N >> end.txt",
    "touch empty-N",
    "rm -f gone",
    "rm -f dir/b.txt",
    "printf 'a\\r\\nN\\r\\n' > crlf.txt",
    "echo N >> crlf.txt",
    "printf 'N\\n' > $'q\"\\\\\\t\\377-N'",
    "echo N > ' N b '",
    "echo N > 'é N'",
    "ln -sfn a.txt link; ln -s N link-N",
    "rm -f link; echo N > link",
];

#[test]
#[expect(clippy::disallowed_methods, reason = "git is the reference")]
fn what_is_written_anew_makes_the_tree_that_git_makes() {
    let home = tempfile::tempdir().unwrap();
    let line = |text: &str| {
        let output = Command::new("bash").args(["-c", text]).current_dir(home.path()).output().unwrap();
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    line(
        "git init -q . && mkdir dir && seq 20 > a.txt && seq 30 60 > dir/b.txt && touch gone && printf x > end.txt && printf '1\\r\\n2\\r\\n' > crlf.txt && ln -s dir link \
         && printf 'x\\000y' > data.bin && git add -A && git -c user.name=a -c user.email=a@b commit -qm base",
    );
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(20);
    for round in 0..60 {
        line("git reset -q --hard; git clean -fdq");
        for step in 0..random.random_range(1..6) {
            let deed = DEEDS[random.random_range(0..DEEDS.len())]
                .replace('N', &format!("{}", 100 + round * 9 + step));
            line(&format!("{{ {deed}; }} 2> /dev/null; true"));
        }
        let form =
            ["", "-M -C --find-copies-harder", "--no-renames --full-index", "-U1"][random.random_range(0..4)];
        let original = line(&format!("git add -A && git diff --cached --binary {form}"));
        let Ok(text) = String::from_utf8(original) else { continue };
        if text.is_empty() {
            continue;
        }
        let written = swegym_core::Patch::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}")).to_text();
        let tree = |name: &str, text: &str| {
            std::fs::write(home.path().join(".git").join(name), text).unwrap();
            line(&format!(
                "export GIT_INDEX_FILE=.git/other; git read-tree HEAD && git apply --cached .git/{name} && git write-tree"
            ))
        };
        assert_eq!(tree("written", &written), tree("original", &text), "{text}\n->\n{written}");
    }
}
