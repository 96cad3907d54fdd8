//! Statements of planted bugs, read by somebody who has the repository and no tests.

use std::path::Path;

use crate::common::{Gym, rows};

const STORE: &str = r#"
"""A store of texts, and what is counted of them."""

import os


class Store:
    def __init__(self, folder, limit=3):
        self.folder = str(folder)
        self.limit = limit
        self.keys = []

    def put(self, key, value):
        if not isinstance(value, str):
            raise TypeError("text wanted, not %r" % (value,))
        if len(self.keys) >= self.limit:
            raise ValueError("full")
        self.keys.append(key)
        with open(os.path.join(self.folder, key), "w") as file:
            file.write(value)

    def get(self, key):
        with open(os.path.join(self.folder, key)) as file:
            return file.read()

    def size(self):
        return len(self.keys) + 0


def limit_of_environment():
    return clamp(int(os.environ.get("SHAPES", "4")) + 1, 0, 9)


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return high
    return value


async def later(value):
    return clamp(value + 1, 0, 100)
"#;

/// Written with CR LF.
const WORDS: &str = r#"
def words(text, least=1):
    """Words of a text.

    >>> words("a bc", 2)
    ['bc']
    """
    found = []
    for word in text.split():
        if len(word) >= least:
            found.append(word)
    return found


def join(parts, mark="-"):
    result = ""
    for i, part in enumerate(parts):
        if i > 0:
            result = result + mark
        result = result + part
    return result
"#;

const SETTINGS: &str = r#"
import pytest
from shapes.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    made.put("first", "1")
    yield made
    made.keys.clear()


@pytest.fixture(params=[7, 8])
def number(request):
    return request.param
"#;

const HELPERS: &str = r#"
from shapes.store import clamp

HIGH = 3


def check_clamp(value, expected, low=0):
    got = clamp(value, low, HIGH)
    assert got == expected
"#;

const TESTS: &str = r#"
import asyncio
import os
import tempfile
import unittest

import pytest

from shapes import store as stores
from shapes.store import Store, clamp, limit_of_environment
from shapes.words import *
from tests import helpers
from tests.helpers import check_clamp

CASES = [("a bb ccc", 2, ["bb", "ccc"]), ("", 1, [])]


@pytest.mark.parametrize("text, least, expected", CASES)
def test_words(text, least, expected):
    assert words(text, least) == expected


@pytest.mark.parametrize("join_with", [lambda parts: join(parts, "+"), pytest.param(lambda p: join(p, "+"), id="other")])
def test_join(join_with):
    result = join_with(["a", "b"])
    assert result == "a+b", "not joined"


def test_loop():
    for value, expected in [(1, 1), (9, 3), (-1, 0)]:
        result = clamp(value, 0, helpers.HIGH)
        assert result == expected


def test_helper():
    check_clamp(1, 1)
    check_clamp(7, 3)


def test_store(store):
    store.put("second", "2")
    assert store.size() == 2
    assert store.get("second") == "2"


def test_full(store):
    for key in "ab":
        store.put(key, key)
    with pytest.raises(ValueError):
        store.put("c", "c")


def test_kinds(store):
    with pytest.raises(TypeError) as caught:
        store.put("x", 3)
    assert "text wanted" in str(caught.value)


def test_environment(monkeypatch):
    monkeypatch.setenv("SHAPES", "6")
    assert limit_of_environment() == 7


def test_number(number):
    assert clamp(number, 0, 5) == 5


def test_later():
    async def go():
        return await stores.later(1)

    assert asyncio.run(go()) == 2


class TestStore(unittest.TestCase):
    limit = 2

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.store = Store(self.folder, self.limit)

    def fill(self, count):
        for i in range(count):
            self.store.put(str(i), str(i))

    def test_fill(self):
        self.fill(2)
        self.assertEqual(self.store.size(), 2)
        self.assertEqual(self.store.get("1"), "1")

    def test_full(self):
        self.fill(2)
        with self.assertRaises(ValueError):
            self.store.put("more", "x")

    def test_join(self):
        self.assertIn("a-b", join(["a", "b"]))
"#;

const PROJECT: &str = "[build-system]\nrequires = [\"setuptools\"]\nbuild-backend = \"setuptools.build_meta\"\n[project]\nname = \"shapes\"\nversion = \"0.0.0\"\n[tool.setuptools]\npackages = [\"shapes\"]\n";

fn candidates() -> Gym {
    let gym = Gym::new().founded();
    for (path, text) in [
        ("pyproject.toml", PROJECT),
        ("ez_setup.py", "def use(a, b):\n    return a + b\n"),
        ("shapes/__init__.py", ""),
        ("shapes/store.py", STORE),
        ("shapes/words.py", &WORDS.replace('\n', "\r\n")),
        ("shapes/old.py", "def f(a):\r    return a + 1\r"),
        ("tests/__init__.py", ""),
        ("tests/conftest.py", SETTINGS),
        ("tests/helpers.py", HELPERS),
        ("tests/test_shapes.py", TESTS),
    ] {
        gym.write(&format!("shapes/{path}"), text);
    }
    gym.must(&["build", "./shapes", "--out", "build"]);
    gym.must(&[
        "synth",
        "--images",
        "build/images.jsonl",
        "--candidates",
        "40",
        "--seed",
        "5",
        "--out",
        "synth",
    ]);
    gym
}

#[test]
fn statements_stand_alone_and_skipped_files_are_named() {
    let gym = candidates();
    a_statement_is_reproduced_by_somebody_who_has_no_tests(&gym);
    line_ends_are_kept_and_skipped_files_are_named(&gym);
}

fn a_statement_is_reproduced_by_somebody_who_has_no_tests(gym: &Gym) {
    let found = rows(&gym.read("synth/candidates.jsonl"));
    let without: Vec<_> = rows(&gym.read("synth/dropped.jsonl"))
        .into_iter()
        .filter(|d| d["reason"] == "no_statement")
        .collect();
    assert!(found.len() >= 8 && without.is_empty(), "{} kept, without: {without:#?}", found.len());
    let mut scripts = String::new();
    for (i, instance) in found.iter().enumerate() {
        let statement = instance["problem_statement"].as_str().unwrap();
        assert!(statement.starts_with("shapes does not"), "{statement}");
        assert!(!statement.contains("self.") && !statement.contains("test_"), "{statement}");
        let broken = reader(gym, &format!("reader-{i}"), instance["patch"].as_str().unwrap());
        for (script, before, after) in reports(statement) {
            assert_eq!(run(&broken, &script), before, "{statement}");
            assert_eq!(run(&gym.path("mended"), &script), after, "{statement}");
            scripts.push_str(&script);
        }
    }
    // Fixtures, set-up and helpers are in the scripts, without the tests' own ways.
    for part in ["tempfile.mkdtemp()", "asyncio.run", "clamp(7, 0, "] {
        assert!(scripts.contains(part), "{part} is in no script:\n{scripts}");
    }
}

fn line_ends_are_kept_and_skipped_files_are_named(gym: &Gym) {
    let skipped: Vec<_> = rows(&gym.read("synth/skipped.jsonl"))
        .iter()
        .map(|row| format!("{} {} {}", row["package"], row["path"], row["reason"]).replace('"', ""))
        .collect();
    assert_eq!(skipped, ["shapes==0.0.0 ez_setup.py set_up", "shapes==0.0.0 shapes/old.py lone_cr"]);
    let dos: String = gym
        .read("synth/candidates.jsonl")
        .lines()
        .filter(|row| row.contains("b/shapes/words.py"))
        .map(|row| format!("{row}\n"))
        .collect();
    assert!(dos.lines().count() >= 2, "{dos}");
    gym.write("dos.jsonl", &dos);
    gym.must(&["validate", "--instances", "dos.jsonl", "--repeats", "1", "--out", "valid"]);
    gym.must(&["evaluate", "--instances", "valid/instances.jsonl", "--predictions", "gold", "--out", "gold"]);
    let report: serde_json::Value = serde_json::from_str(&gym.read("gold/report.json")).unwrap();
    assert_eq!(report["resolved_instances"], dos.lines().count());
}

/// The package with its bug and without tests; beside it, once, the package as it was.
#[expect(clippy::disallowed_methods, reason = "a reader applies a patch")]
fn reader(gym: &Gym, name: &str, gold: &str) -> std::path::PathBuf {
    let words = WORDS.replace('\n', "\r\n");
    for folder in ["mended", name] {
        for (path, text) in [("__init__.py", ""), ("store.py", STORE), ("words.py", &words)] {
            gym.write(&format!("{folder}/shapes/{path}"), text);
        }
    }
    gym.write(&format!("{name}/gold.patch"), gold);
    let mut git = std::process::Command::new("git");
    git.args(["apply", "-R", "gold.patch"]).current_dir(gym.path(name));
    // The folder is in no repository.
    git.env("GIT_CEILING_DIRECTORIES", gym.path(""));
    assert!(git.status().unwrap().success(), "{gold}");
    gym.path(name)
}

/// What a script prints, and the exception that ends it.
#[expect(clippy::disallowed_methods, reason = "a reader runs a script")]
fn run(folder: &Path, script: &str) -> String {
    let mut python = std::process::Command::new("python3");
    python.args(["-B", "-c", script]).current_dir(folder);
    let output = python.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = said.lines().last().unwrap_or_default();
    // Statements name what differs from run to run by one name.
    let folder = regex::Regex::new(r"/tmp/tmp\w+").unwrap();
    folder.replace_all(&format!("{printed}{error}"), "<temporary>").trim().to_owned()
}

/// Scripts of a statement with what comes of them before and after the fix.
fn reports(statement: &str) -> Vec<(String, String, String)> {
    let blocks = regex::Regex::new(r"(?s)```(\w*)\n(.*?)\n```").unwrap();
    let mut found = Vec::new();
    for part in statement.split("```python\n").skip(1) {
        let part = format!("```python\n{part}");
        let (before, after) = part.split_once("\nIt should ").unwrap();
        let all = |text: &str| -> Vec<String> {
            blocks.captures_iter(text).map(|block| block[2].to_owned()).collect()
        };
        let said = all(before);
        found.push((
            said[0].clone(),
            said[1..].join("\n").trim().to_owned(),
            all(after).join("\n").trim().to_owned(),
        ));
    }
    assert!(!found.is_empty(), "{statement}");
    found
}
