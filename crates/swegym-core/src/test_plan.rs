//! How the tests of an instance are run: by a command that an image keeps, or by
//! the row's own script.

use std::collections::HashSet;

use crate::shell::quote;

/// What a log has before and after the tests' own output.
const START: &str = ">>>>> Start Test Output";
const END: &str = ">>>>> End Test Output";

/// Where a script may have results written, as JUnit XML: one that names this file offers
/// them as a second witness.
pub const RESULTS: &str = "/tmp/swegym-results.xml";

/// How tests are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestPlan {
    /// By a runner that swegym starts itself, and that has two witnesses.
    Command(TestCommand),
    /// By a script in bash, whose log is the only witness.
    Script(String),
}

/// A test runner that swegym knows, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestCommand {
    /// What runs the tests.
    pub runner: TestRunner,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// What runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestRunner {
    /// pytest, which also runs unittest's tests.
    Pytest,
    /// `python -m unittest`.
    Unittest,
}

impl TestRunner {
    const ALL: [Self; 2] = [Self::Pytest, Self::Unittest];

    /// Its module.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::Unittest => "unittest",
        }
    }
}

impl TestPlan {
    /// The plan of a row's script and of its image's command; none where there is
    /// neither. The command counts where the script runs the same: a runner that
    /// swegym starts has two witnesses, a script has one. A script that runs
    /// something else is the row's own word, and counts before the image's.
    #[must_use]
    pub fn of(script: Option<&str>, command: Option<TestCommand>) -> Option<Self> {
        let script = script.filter(|script| !script.trim().is_empty());
        match (script, command) {
            (Some(script), Some(command)) if command.is_run_by(script) => Some(Self::Command(command)),
            (Some(script), _) => Some(Self::Script(script.to_owned())),
            (None, Some(command)) => Some(Self::Command(command)),
            (None, None) => None,
        }
    }

    /// Whether it puts the hidden tests on itself, as SWE-bench's scripts do: every file
    /// of the patch has its head there.
    #[must_use]
    pub fn lays_out(&self, test_patch: &str) -> bool {
        let Self::Script(script) = self else { return false };
        let lines: HashSet<&str> = script.lines().collect();
        let mut heads = heads(test_patch).peekable();
        heads.peek().is_some() && heads.all(|head| lines.contains(head))
    }

    /// Whether it has results written to [`RESULTS`].
    #[must_use]
    pub fn writes_results(&self) -> bool {
        matches!(self, Self::Script(script) if script.contains(RESULTS))
    }

    /// Whether its log says which part is the tests', and with what status they ended.
    #[must_use]
    pub fn marks_its_log(&self) -> bool {
        matches!(self, Self::Script(script) if script.contains(START))
    }
}

impl TestCommand {
    /// Reads the words by which a person starts it.
    #[must_use]
    pub fn of_words(words: &[&str]) -> Option<Self> {
        let ["python", "-m", module, arguments @ ..] = words else { return None };
        let runner = TestRunner::ALL.into_iter().find(|runner| runner.name() == *module)?;
        // Results go nowhere but through the launcher's descriptor.
        let arguments = arguments.iter().filter(|word| !word.starts_with("--junitxml="));
        Some(Self { runner, arguments: arguments.map(|word| (*word).to_owned()).collect() })
    }

    /// The words by which a person, or another harness, runs the tests.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let words = ["python", "-m", self.runner.name()].map(str::to_owned);
        words.into_iter().chain(self.arguments.iter().cloned()).collect()
    }

    /// The script by which other harnesses run the tests in a folder, with the
    /// reference's markers (reference/grading.md, section 4.4).
    #[must_use]
    pub fn to_script(&self, folder: &str) -> String {
        marked_script(folder, &[], &self.line())
    }

    fn line(&self) -> String {
        self.words().iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
    }

    /// Whether a script says what [`Self::to_script`] does, in any folder.
    fn is_run_by(&self, script: &str) -> bool {
        let folder = script.lines().find_map(|line| line.strip_prefix("cd ")).unwrap_or_default();
        without_results(script).trim_end() == self.to_script(folder).trim_end()
    }
}

/// The script that runs a line in a folder, with the reference's markers around what it
/// prints and its status behind them; `before` are lines whose output is not the tests'.
#[must_use]
pub fn marked_script(folder: &str, before: &[String], line: &str) -> String {
    let before: String = before.iter().map(|line| format!("{line}\n")).collect();
    format!(
        "#!/bin/bash\nset -uxo pipefail\ncd {folder}\n{before}: '{START}'\n{line}\nSWEBENCH_TEST_EXIT_CODE=$?\n\
         : '{END}'\necho \">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE\"\n"
    )
}

/// A script without the word that older rows have for a file of results.
fn without_results(script: &str) -> String {
    const WORD: &str = " '--junitxml=";
    let Some((before, rest)) = script.split_once(WORD) else { return script.to_owned() };
    let after = rest.split_once('\'').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

/// The lines of a patch that say which files it is of.
fn heads(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().filter(|line| line.starts_with("diff --git ") || line.starts_with("+++ "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> TestCommand {
        TestCommand::of_words(&["python", "-m", "pytest", "-rA", "it's.py"]).unwrap()
    }

    #[test]
    fn what_decides_how_tests_are_run() {
        let ours = command().to_script("/testbed");
        let older = ours.replace(" '-rA'", " '--junitxml=/tmp/x.xml' '-rA'");
        assert_ne!(older, ours);
        let theirs = ours.replace("'-rA'", "'-x'");
        let by_command = TestPlan::Command(command());
        let by = |script: &str| Some(TestPlan::Script(script.to_owned()));
        for (script, image, expected) in [
            (None, Some(command()), Some(by_command.clone())),
            (Some(" \n"), Some(command()), Some(by_command.clone())),
            (Some(ours.as_str()), Some(command()), Some(by_command.clone())),
            (Some(older.as_str()), Some(command()), Some(by_command)),
            (Some(ours.as_str()), None, by(&ours)),
            (Some(theirs.as_str()), Some(command()), by(&theirs)),
            (Some("make check"), Some(command()), by("make check")),
            (Some(""), None, None),
            (None, None, None),
        ] {
            assert_eq!(TestPlan::of(script, image), expected, "{script:?}");
        }
    }

    #[test]
    fn words_are_read_back() {
        let words = command().words();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(TestCommand::of_words(&words), Some(command()));
        assert_eq!(TestCommand::of_words(&["make", "check"]), None);
        assert_eq!(TestCommand::of_words(&["python", "-m", "nose"]), None);
    }

    #[test]
    fn a_script_that_holds_the_hidden_tests_puts_them_on() {
        let patch = "diff --git a/t.py b/t.py\n--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-a\n+b\n";
        let more = format!("{patch}diff --git a/u.py b/u.py\n--- a/u.py\n+++ b/u.py\n@@ -1 +1 @@\n-a\n+b\n");
        let with = TestPlan::Script(format!("git apply - <<'EOF'\n{patch}EOF\npytest\n"));
        assert!(with.lays_out(patch));
        assert!(!with.lays_out(&more));
        assert!(!with.lays_out(""));
        assert!(!TestPlan::Script("pytest t.py".into()).lays_out(patch));
        assert!(!TestPlan::Command(command()).lays_out(patch));
    }
}
