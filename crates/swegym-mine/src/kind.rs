//! What a file of a change is: source, test, or neither.

use std::sync::LazyLock;

use regex::Regex;

/// What a file is to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What a fix changes.
    Source,
    /// Tests, and what only they use.
    Test,
    /// Documents, examples, news, settings of services: neither.
    Aside,
}

/// The rule that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// By folders, names and contents.
    Kinds,
    /// SWE-Gym's: a test is what has `test`, `e2e` or `testing` anywhere in its path.
    SweGym,
}

impl Split {
    /// What a path says. `None` where its contents have to (see [`holds_tests`]).
    #[must_use]
    pub fn of_path(self, path: &str) -> Option<Kind> {
        match self {
            Self::SweGym if path.contains("test") || path.contains("e2e") => Some(Kind::Test),
            Self::SweGym => Some(Kind::Source),
            Self::Kinds => of_path(path),
        }
    }
}

/// Folders whose files are tests, or what tests use.
const TEST_FOLDERS: &str = r"(?i)^(?:
      tests? | __tests?__ | __mocks__ | __snapshots__ | __fixtures__
    | (?:unit|integration|functional|system|acceptance|regression|smoke|e2e|api|ui|perf)[-_]?tests?
    | tests?[-_](?:unit|integration|functional|system|acceptance|data|files|fixtures|assets|resources|cases|suite|utils|helpers|support|apps?|projects?|plugins?|config)s?
    | testdata | testfiles | testcases | testsuite | e2e | cassettes
    )$";

/// Folders that are such at the top of a repository. Further down a package may be called so,
/// which is there for its users.
const TOP_TEST_FOLDERS: &str = r"(?i)^(?:testing|specs?|fixtures|goldens?)$";

/// Names of test files: `test_x.py`, `x_test.go`, `x.spec.ts`, `XTest.java`, `x.test`.
const TEST_NAMES: &str = r"(?x)^(?:
      tests?\.\w+ | [Tt]ests?[-_].*\.\w+ | .*[-_.](?:[Tt]ests?|[Ss]pecs?|e2e|cy)\.\w+ | conftest\.py
    | (?:[A-Z]\w*)?Tests?\.(?:java|kt|cs|swift|scala|php|m|mm) | [A-Z]\w*(?:Spec|IT)\.(?:java|kt|scala|groovy)
    | .*\.(?:test|snap|t|bats|feature)
    )$";

/// Folders of documents, examples and services.
const ASIDE_FOLDERS: &str = r"(?i)^(?:
      docs? | documentation | doc[-_]?src | website | sphinx | examples? | samples? | demos? | tutorials? | notebooks?
    | news | changes | changelog(?:\.d|s)? | newsfragments | news\.d | releasenotes | release[-_]?notes | whatsnew
    | \.(?:github|gitlab|circleci|azure-pipelines|ci|travis|husky|vscode|idea|devcontainer|changeset|buildkite|dependabot)
    | licen[cs]es? | benchmarks? | asv_bench
    )$";

/// Names of such files, at whatever place.
const ASIDE_NAMES: &str = r"(?ix)^(?:
      .*\.(?:md|rst|adoc|markdown|ipynb|png|jpe?g|gif|svg|ico|pdf|webp|mp4|po|pot|mo)
    | (?:readme|changelog|changes|history|news|authors|contributors?|contributing|licen[cs]e|copying|notice|credits|thanks
        |whats_?new|releases?|security|code_of_conduct|maintainers|codeowners|citation)(?:\.\w+)?
    | \.\w[\w.-]* | codecov\.ya?ml | appveyor\.ya?ml | azure-pipelines\.ya?ml | mkdocs\.ya?ml | readthedocs\.ya?ml
    | (?:poetry|pdm|uv|cargo|yarn|composer|gemfile|pipfile)\.lock | package-lock\.json | pnpm-lock\.yaml | go\.sum
    | (?:tox|noxfile|pytest|mypy|flake8|pylint)\.(?:ini|py|cfg|toml) | requirements[\w.-]*\.(?:txt|in) | environment[\w.-]*\.ya?ml
    | dockerfile[\w.-]*
    )$";

fn pattern(text: &'static str) -> Option<Regex> {
    let verbose = if text.starts_with("(?i)") { text.replacen("(?i)", "(?ix)", 1) } else { text.to_owned() };
    Regex::new(&verbose).ok()
}

fn of_path(path: &str) -> Option<Kind> {
    static TESTS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(TEST_FOLDERS));
    static TOP_TESTS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(TOP_TEST_FOLDERS));
    static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(TEST_NAMES));
    static ASIDE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(ASIDE_FOLDERS));
    static ASIDE_FILES: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(ASIDE_NAMES));
    let says = |rule: &Option<Regex>, text: &str| rule.as_ref().is_some_and(|rule| rule.is_match(text));
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folders = folders.split('/').filter(|part| !part.is_empty());
    // The outermost folder that says something decides: `docs/tests.md`, `tests/docs/x.md`.
    for (depth, folder) in folders.enumerate() {
        if says(&TESTS, folder) || depth == 0 && says(&TOP_TESTS, folder) {
            return Some(Kind::Test);
        }
        if says(&ASIDE, folder) {
            return Some(Kind::Aside);
        }
    }
    if says(&ASIDE_FILES, name) {
        return Some(Kind::Aside);
    }
    if says(&NAMES, name) {
        return Some(Kind::Test);
    }
    // A Python file may hold tests under any name.
    if name.ends_with(".py") { None } else { Some(Kind::Source) }
}

/// Whether a Python file is one of tests, whatever it is called: it defines some, and
/// takes a framework for them. A class of the product may well have a method `test_x`.
#[must_use]
pub fn holds_tests(text: &str) -> bool {
    static DEFINES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:(?:async )?def test_\w*\(|class Test\w*|class \w+\((?:\w+\.)*TestCase\))").ok()
    });
    static TAKES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?m)^(?:import (?:pytest|unittest)\b|from (?:pytest|unittest)[\w.]* import)").ok()
    });
    let says = |rule: &Option<Regex>| rule.as_ref().is_some_and(|rule| rule.is_match(text));
    says(&DEFINES) && (says(&TAKES) || !defines_more_than_tests(text))
}

fn defines_more_than_tests(text: &str) -> bool {
    let top = text.lines().filter(|line| line.starts_with("def ") || line.starts_with("class "));
    top.into_iter().any(|line| {
        let name = line.split_whitespace().nth(1).unwrap_or_default();
        !name.starts_with("test") && !name.starts_with("Test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_files_are() {
        for (path, kind) in [
            ("tests/test_core.py", Some(Kind::Test)),
            ("pkg/tests/data/input.json", Some(Kind::Test)),
            ("pkg/test_core.py", Some(Kind::Test)),
            ("test-data/unit/check-classes.test", Some(Kind::Test)),
            ("conftest.py", Some(Kind::Test)),
            ("src/app.spec.ts", Some(Kind::Test)),
            ("src/__tests__/app.ts", Some(Kind::Test)),
            ("pkg/walk_test.go", Some(Kind::Test)),
            ("src/test/java/org/WalkTest.java", Some(Kind::Test)),
            ("testdata/x.golden", Some(Kind::Test)),
            ("tests/README.md", Some(Kind::Test)),
            ("pkg/latest.py", None),
            ("pkg/core.py", None),
            ("pkg/attestation.rs", Some(Kind::Source)),
            ("src/contest/main.go", Some(Kind::Source)),
            ("pkg/data.json", Some(Kind::Source)),
            ("docs/testing.md", Some(Kind::Aside)),
            ("docs/tests/x.py", Some(Kind::Aside)),
            ("news/123.bugfix", Some(Kind::Aside)),
            ("README.md", Some(Kind::Aside)),
            ("CHANGES.rst", Some(Kind::Aside)),
            (".github/workflows/test.yml", Some(Kind::Aside)),
            (".pre-commit-config.yaml", Some(Kind::Aside)),
            ("examples/plot.py", Some(Kind::Aside)),
            ("setup.py", None),
            ("requirements-test.txt", Some(Kind::Aside)),
            ("pkg/_testing.py", None),
            ("testing/test.cfg", Some(Kind::Test)),
            ("pkg/testing/plugin.toml", Some(Kind::Source)),
        ] {
            assert_eq!(Split::Kinds.of_path(path), kind, "{path}");
        }
        assert_eq!(Split::SweGym.of_path("pkg/latest.py"), Some(Kind::Test));
        assert_eq!(Split::SweGym.of_path("docs/x.md"), Some(Kind::Source));
    }

    #[test]
    fn contents_say_it_of_python_files() {
        assert!(holds_tests("import pytest\n\ndef helper():\n    pass\n\ndef test_one():\n    pass\n"));
        assert!(holds_tests("from x import y\n\ndef test_one():\n    pass\n"));
        assert!(!holds_tests("class Hook:\n    def test_connection(self):\n        pass\n"));
        assert!(!holds_tests("def test_function():\n    pass\n\ndef run():\n    pass\n"));
    }
}
