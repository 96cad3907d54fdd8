//! Packages that do not quite fit: old ones, and ones with tests that cannot run here.

use serde_json::json;

use crate::common::{Gym, contents, rows};

const MODULE: &str = "def double(x):\n    return 2 * x\n";
const TESTS: &str = "import odd\n\n\ndef test_double():\n    assert odd.double(2) == 4\n";

#[test]
fn a_test_file_that_cannot_be_collected_does_not_take_the_others_along() {
    let gym = Gym::new().founded();
    let project = gym.project("odd", MODULE, TESTS);
    gym.write("odd/test_gone.py", "from collections import Iterable\n\n\ndef test_it():\n    pass\n");
    gym.must(&["build", &project, "--out", "build"]);
    let row = &rows(&gym.read("build/images.jsonl"))[0];
    assert_eq!(row["passing_tests"], serde_json::json!(["test_odd.py::test_double"]));
    assert_eq!(row["left_out"], serde_json::json!(["test_gone.py"]));
    // What tests expect could be read from their bytecode: of the product alone there is some.
    let layers = contents(&gym.home().join("store"), &|name| !name.ends_with(".pyc"));
    let bytecode = |module: &str| {
        let file = format!("/__pycache__/{module}.cpython-");
        layers.iter().any(|(name, _)| name.contains(&file))
    };
    assert!(bytecode("odd") && !bytecode("test_odd") && !bytecode("conftest"));
    // Later runs do not ask for it either: a planted bug is judged by the rest.
    gym.must(&["synth", "--images", "build/images.jsonl", "--candidates", "3", "--out", "synth"]);
    gym.must(&["validate", "--instances", "synth/candidates.jsonl", "--repeats", "1", "--out", "validate"]);
    assert!(!rows(&gym.read("validate/instances.jsonl")).is_empty());
}

#[test]
fn where_no_other_test_passes_the_broken_ones_are_shown() {
    let gym = Gym::new().founded();
    let project = gym.project("odd", MODULE, "");
    gym.write("odd/test_gone.py", "from collections import Iterable\n\n\ndef test_it():\n    pass\n");
    let output = gym.run(&["build", &project, "--out", "build"]);
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("no test of `odd` passes") && words.contains("ERROR test_gone.py"), "{words}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes a checkout")]
fn a_checkout_is_as_old_as_its_last_commit() {
    let gym = Gym::new().founded();
    let project = gym.project("odd", MODULE, TESTS);
    // An argument that pytest 9 no longer gives.
    gym.write("odd/conftest.py", "def pytest_ignore_collect(path, config):\n    return None\n");
    for words in [
        "init -q",
        "add -A",
        "-c user.name=a -c user.email=a@b commit -qm old",
        "config log.showSignature true",
        "config gpg.program ./evil",
    ] {
        let mut git = std::process::Command::new("git");
        git.args(words.split(' ')).current_dir(gym.path("odd"));
        git.env("GIT_COMMITTER_DATE", "2024-03-31T10:00:00Z");
        assert!(git.status().unwrap().success(), "{words}");
    }
    gym.must(&["build", &project, "--out", "build"]);
    let row = &rows(&gym.read("build/images.jsonl"))[0];
    assert_eq!(row["requirements_from"], "as of 2024-03-31", "{row}");
}

/// Its `conftest.py` has a hook whose argument pytest 9 no longer gives.
#[test]
fn an_old_package_is_built_with_what_there_was_in_its_days() {
    let gym = Gym::new().founded();
    gym.must(&["build", "boltons==24.0.0", "--out", "build"]);
    let row = &rows(&gym.read("build/images.jsonl"))[0];
    assert!(row["passing_tests"].as_array().unwrap().len() > 300, "{row}");
    assert_eq!(row["requirements_from"], "imports of the tests, as of 2024-03-31");
    // A date of the user's own is the only one.
    let today = ["build", "boltons==24.0.0", "--exclude-newer", "2026-06-01T00:00:00Z", "--out", "again"];
    let output = gym.run(&today);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("no test of"));
}

/// Each gets what there was on its own day, and is tested with that.
#[test]
fn packages_at_two_dates_each_are_built_as_of_these() {
    let gym = Gym::new().founded();
    let wanted = [
        ("more-itertools", "8.0.0", "as of 2019-11-29", 400),
        ("more-itertools", "10.5.0", "as of 2024-09-05", 700),
        ("pluggy", "1.3.0", "as of 2023-08-26", 90),
        ("pluggy", "1.5.0", "as of 2024-04-20", 90),
    ];
    let names: Vec<String> = wanted.iter().map(|(name, version, ..)| format!("{name}=={version}")).collect();
    let words: Vec<&str> =
        ["build", "--out", "build"].into_iter().chain(names.iter().map(String::as_str)).collect();
    gym.must(&words);
    let built = rows(&gym.read("build/images.jsonl"));
    for ((name, version, day, fewest), row) in wanted.into_iter().zip(&built) {
        assert_eq!((&row["package"], &row["version"]), (&json!(name), &json!(version)));
        assert!(row["requirements_from"].as_str().unwrap().ends_with(day), "{row}");
        assert!(row["passing_tests"].as_array().unwrap().len() > fewest, "{row}");
    }
    let pytest = |at: usize| {
        let frozen = built[at]["frozen"].as_array().unwrap();
        frozen.iter().find_map(|one| one.as_str()?.strip_prefix("pytest==")).unwrap().to_owned()
    };
    assert!(pytest(2).starts_with("7.") && pytest(3).starts_with("8."), "{built:#?}");
}
