//! The runner is ours: no file of an answer stands for it, speaks in its place
//! or ends it early; and right answers of every layout pass by it.

use serde_json::{Value, json};

use crate::common::Gym;
use crate::common::projects::{Project, becomes, evaluate, instances};

const WRONG: &str = "def double(x):\n    return x * x\n";
const RIGHT: &str = "def double(x):\n    return x + x\n";

const FLAT: Project = Project {
    name: "doubles",
    files: &[
        ("doubles.py", WRONG),
        (
            "test_doubles.py",
            "import json\nimport random\n\nimport doubles\n\n\ndef test_double():\n    assert doubles.double(3) == 6\n    assert json.loads('1') == 1 and random.random() < 1\n\n\ndef test_two():\n    assert doubles.double(2) == 4\n",
        ),
    ],
    gold: ("doubles.py", RIGHT),
    fails: &["test_doubles.py::test_double"],
    holds: &["test_doubles.py::test_two"],
};

/// A `src` folder, tests in the package and beside it, helpers beside tests, and
/// pytest's settings below the root.
const LAYERED: Project = Project {
    name: "layered",
    files: &[
        ("src/layered/__init__.py", WRONG),
        ("src/layered/tests/__init__.py", ""),
        (
            "src/layered/tests/test_in.py",
            "from .. import double\n\n\ndef test_in():\n    assert double(3) == 6\n\n\ndef test_two():\n    assert double(2) == 4\n",
        ),
        ("tests/pytest.ini", "[pytest]\nmarkers = slow\n"),
        (
            "tests/conftest.py",
            "import pytest\n\nimport helper\n\n\n@pytest.fixture\ndef three():\n    return helper.THREE\n",
        ),
        ("tests/helper.py", "THREE = 3\n"),
        (
            "tests/test_out.py",
            "import helper\nfrom layered import double\n\n\ndef test_out(three):\n    assert double(three) == 2 * helper.THREE\n\n\ndef test_two():\n    assert double(2) == 4\n",
        ),
    ],
    gold: ("src/layered/__init__.py", RIGHT),
    fails: &["src/layered/tests/test_in.py::test_in", "tests/test_out.py::test_out"],
    holds: &["src/layered/tests/test_in.py::test_two", "tests/test_out.py::test_two"],
};

/// Its module has the name of one that the interpreter has as well.
const BACKPORT: Project = Project {
    name: "graphlib",
    files: &[
        ("graphlib.py", WRONG),
        ("six.py", "IS_OURS = True\n"),
        (
            "test_graphlib.py",
            "import graphlib\nimport six\n\n\ndef test_double():\n    assert graphlib.double(3) == 6\n\n\ndef test_two():\n    assert graphlib.double(2) == 4 and six.IS_OURS\n",
        ),
    ],
    gold: ("graphlib.py", RIGHT),
    fails: &["test_graphlib.py::test_double"],
    holds: &["test_graphlib.py::test_two"],
};

const COUNTED: Project = Project {
    name: "counted",
    files: &[
        ("counted.py", WRONG),
        ("tox.ini", "[testenv]\ncommands = python -m unittest discover\n"),
        ("tests/__init__.py", ""),
        ("tests/helper.py", "THREE = 3\n"),
        (
            "tests/test_counted.py",
            "import random\nimport unittest\n\nimport counted\nfrom tests.helper import THREE\n\n\nclass TestCounted(unittest.TestCase):\n    def test_double(self):\n        self.assertEqual(counted.double(THREE), 6)\n        self.assertLess(random.random(), 1)\n\n    def test_parts(self):\n        for part in (3, 4):\n            with self.subTest(part=part):\n                self.assertEqual(counted.double(part), 2 * part)\n\n    def test_two(self):\n        self.assertEqual(counted.double(2), 4)\n\n    @unittest.expectedFailure\n    def test_never(self):\n        self.assertEqual(counted.double(2), 5)\n",
        ),
    ],
    gold: ("counted.py", RIGHT),
    fails: &["tests.test_counted.TestCounted.test_double", "tests.test_counted.TestCounted.test_parts"],
    holds: &["tests.test_counted.TestCounted.test_two", "tests.test_counted.TestCounted.test_never"],
};

/// Says that everything passes, in the words of both runners, and writes the
/// structured results to wherever they might be read from.
const FORGED: &str = r#"import os
print("PASSED test_doubles.py::test_double\nPASSED test_doubles.py::test_two", flush=True)
for name in ("test_double", "test_parts", "test_two", "test_never"):
    os.write(2, ("%s (tests.test_counted.TestCounted.%s) ... ok\n" % (name, name)).encode())
cases = "".join('<testcase classname="%s" name="%s"/>' % case for case in [
    ("test_doubles", "test_double"), ("test_doubles", "test_two"),
    ("tests.test_counted.TestCounted", "test_double"), ("tests.test_counted.TestCounted", "test_parts"),
    ("tests.test_counted.TestCounted", "test_two"), ("tests.test_counted.TestCounted", "test_never")])
document = "<testsuites><testsuite>%s</testsuite></testsuites>\n" % cases
os.makedirs("/tmp/swegym", exist_ok=True)
with open("/tmp/swegym/junit.xml", "w") as file:
    file.write(document)
"#;
const PIPES: &str = r#"
def pipes():
    for number in os.listdir("/proc/self/fd"):
        try:
            if number not in "012" and os.readlink("/proc/self/fd/" + number).startswith("pipe:"):
                yield int(number)
        except OSError:
            pass


def spill(data):
    for pipe in list(pipes()):
        try:
            os.write(pipe, data)
        except OSError:
            pass
"#;
const LEAVE: &str = "os._exit(0)\n";
/// Makes each of pytest's reports one of a pass.
const HOOK: &str = "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n    out = yield\n    out.get_result().outcome = 'passed'\n";

/// Harmless attempts: (name, files as (path, text)). What stands for the
/// product's own module is called `PRODUCT`.
fn attempts() -> Vec<(String, Vec<(String, String)>)> {
    let mut all = Vec::new();
    let mut add = |name: &str, files: &[(&str, &str)]| {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        all.push((name.to_owned(), files));
    };
    let leaving = format!("{FORGED}{LEAVE}");
    for path in [
        "pytest.py",
        "pytest/__init__.py",
        "_pytest/__init__.py",
        "pluggy.py",
        "unittest.py",
        "unittest/__init__.py",
        "random.py",
        "json.py",
        "traceback/__init__.py",
        "argparse.py",
        "sitecustomize.py",
        "usercustomize.py",
        "org/python/core.py",
        "pytest_evil.py",
    ] {
        add(path, &[(path, &leaving)]);
    }
    add("a conftest with a hook", &[("conftest.py", HOOK)]);
    for kind in ["dist-info", "egg-info"] {
        let folder = format!("evil-1.0.{kind}");
        let meta = if kind == "dist-info" { "METADATA" } else { "PKG-INFO" };
        let files = [
            (format!("{folder}/entry_points.txt"), "[pytest11]\nevil = evil_plugin\n"),
            (format!("{folder}/{meta}"), "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"),
            ("evil_plugin.py".to_owned(), HOOK),
        ];
        let files: Vec<_> = files.iter().map(|(p, t)| (p.as_str(), *t)).collect();
        add(&format!("a plug-in by {kind}"), &files);
    }
    let settings = [
        ("pytest.ini", "[pytest]\nfilterwarnings = error::evil.Module\n"),
        ("tox.ini", "[pytest]\naddopts = -p evil\n"),
        ("setup.cfg", "[tool:pytest]\npython_files = evil.py\n"),
        ("pytest.ini", "[pytest]\npythonpath = lib\naddopts = -p evil\nrequired_plugins = \n"),
    ];
    for (path, text) in settings {
        add(&format!("{path}: {text}"), &[(path, text), ("evil.py", &leaving), ("lib/evil.py", &leaving)]);
    }
    let mut product = |name: &str, text: String| add(name, &[("PRODUCT", &text)]);
    product("prints result lines", FORGED.to_owned());
    product("prints result lines and leaves", leaving.clone());
    product("leaves with sys.exit", format!("{FORGED}import sys\nsys.exit(0)\n"));
    product("is killed", format!("{FORGED}os.kill(os.getpid(), 9)\n"));
    product("leaves at exit", format!("{FORGED}import atexit\natexit.register(os._exit, 0)\n"));
    product(
        "prints and leaves at exit",
        format!("import atexit\n\n\n@atexit.register\ndef last():\n{}\n    os._exit(0)\n", indented(FORGED)),
    );
    product("writes to every pipe and leaves", format!("{FORGED}{PIPES}\nspill(document.encode())\n{LEAVE}"));
    product("writes to every pipe", format!("{FORGED}{PIPES}\nspill(document.encode())\n"));
    product(
        "closes every pipe",
        format!(
            "{FORGED}{PIPES}import atexit\nfor pipe in list(pipes()):\n    os.close(pipe)\natexit.register(os._exit, 0)\n"
        ),
    );
    product(
        "closes many descriptors",
        format!("{FORGED}os.closerange(3, 4096)\nimport atexit\natexit.register(os._exit, 0)\n"),
    );
    product(
        "leaves somebody behind who writes later",
        format!(
            "{FORGED}{PIPES}import time\nkept = [os.dup(pipe) for pipe in pipes()]\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1)\n    spill(document.encode())\n    os._exit(0)\n"
        ),
    );
    product(
        "lets a thread leave",
        format!(
            "{FORGED}import threading\nthreading.Timer(0.05, os._exit, [0]).start()\nimport time\n\n\ndef double(x):\n    time.sleep(5)\n"
        ),
    );
    product(
        "ends pytest with a status",
        format!("{FORGED}import _pytest.outcomes\n_pytest.outcomes.exit('done', 0)\n"),
    );
    product("becomes another program", format!("{FORGED}os.execv('/bin/true', ['true'])\n"));
    product("fills the results", format!("{FORGED}{PIPES}\nspill(b'x' * (40 << 20))\n"));
    all
}

fn indented(text: &str) -> String {
    text.lines().map(|l| format!("    {l}\n")).collect()
}

#[test]
fn attempts_do_not_resolve_and_right_answers_do() {
    let gym = Gym::new().founded();
    let projects = [&FLAT, &COUNTED, &LAYERED, &BACKPORT];
    let instances = instances(&gym, &projects);
    let attempts = attempts();
    assert!(attempts.len() >= 35, "{}", attempts.len());

    let mut answers = Vec::new();
    for (project, instance) in projects[..2].iter().zip(&instances) {
        for (name, files) in &attempts {
            let patch = |(path, text): &(String, String)| match path.as_str() {
                // The mistake stays: what the module does beside it is the attempt.
                "PRODUCT" => becomes(project, project.gold.0, &format!("{WRONG}\n\n{text}")),
                path => becomes(project, path, text),
            };
            let patch: String = files.iter().map(patch).collect();
            answers.push((format!("{}: {name}", project.name), instance, patch));
        }
    }
    let resolved: Vec<String> = evaluate(&gym, "attempts", &answers)
        .into_iter()
        .filter(|(_, report)| report["resolved"] == true)
        .map(|(name, _)| name)
        .collect();
    assert!(resolved.is_empty(), "{resolved:#?}");

    let gold = |i: usize| instances[i]["patch"].as_str().unwrap().to_owned();
    let mut right = Vec::new();
    for (i, project) in projects.iter().enumerate() {
        right.push((project.name.to_owned(), &instances[i], gold(i)));
    }
    // A new module beside the old one, and names that nothing has use for.
    let moved = becomes(&FLAT, "doubles.py", "from twice import double\n")
        + &becomes(&FLAT, "twice.py", "def double(x):\n    return 2 * x\n");
    right.push(("a new module".to_owned(), &instances[0], moved));
    for path in ["random.py", "pytest.py", "sitecustomize.py"] {
        let patch = gold(0) + &becomes(&FLAT, path, "raise SystemExit(1)\n");
        right.push((format!("right, and {path}"), &instances[0], patch));
    }
    // What the product prints is its own matter.
    let loud = becomes(&FLAT, "doubles.py", &format!("{RIGHT}\n\nprint('FAILED test_other.py::test_x')\n"));
    right.push(("loud".to_owned(), &instances[0], loud));
    for (name, report) in evaluate(&gym, "right", &right) {
        assert_eq!(report["resolved"], true, "{name}: {report:#}");
    }

    // unittest's own last line, which people and programs look for.
    let folder = std::fs::read_dir(gym.path("right/evaluations")).unwrap().map(|entry| entry.unwrap().path());
    let counted = folder.filter(|path| path.display().to_string().contains("counted")).last().unwrap();
    let log = std::fs::read_to_string(counted.join("0/test_output.txt")).unwrap();
    assert!(log.contains("\nRan 4 tests\n"), "{log}");

    // Evidence is bounded, and tells what is missing.
    let number = answers.iter().position(|(name, ..)| name == "doubles: fills the results").unwrap();
    let folder = format!("attempts/evaluations/x__doubles-1{number:03}/0");
    let evidence: Value = serde_json::from_str(&gym.read(&format!("{folder}/evidence.json"))).unwrap();
    assert!(
        evidence["structured"]["missing"].as_str().is_some_and(|w| w.contains("larger than")),
        "{evidence}"
    );
    assert!(!gym.path(&format!("{folder}/junit.xml")).exists());
}

#[test]
fn hidden_tests_may_bring_a_folder_that_the_base_does_not_have() {
    let gym = Gym::new().founded();
    let instance = &mut instances(&gym, &[&FLAT])[0];
    let hidden = "import doubles\nfrom test.support import THREE\n\n\ndef test_double():\n    assert doubles.double(THREE) == 6\n\n\ndef test_two():\n    assert doubles.double(2) == 4\n";
    let files =
        [("test/__init__.py", "ONE = 1\n"), ("test/support.py", "THREE = 3\n"), ("test_doubles.py", hidden)];
    instance["test_patch"] = json!(files.map(|(path, text)| becomes(&FLAT, path, text)).concat());
    let gold = instance["patch"].as_str().unwrap().to_owned();
    let answers = [("right".to_owned(), &*instance, gold), ("none".to_owned(), &*instance, String::new())];
    let resolved: Vec<bool> =
        evaluate(&gym, "hidden", &answers).into_iter().map(|(_, r)| r["resolved"] == true).collect();
    assert_eq!(resolved, [true, false]);
}
