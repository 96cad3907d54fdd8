//! Whether a problem statement may be given out: rules, each with a code.
//!
//! Some hold for every statement (it must not give the answer away, or the names
//! of hidden tests), some only for those that swegym writes itself, whose blocks
//! are known to be scripts and what comes of them.

mod code;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};
use swegym_core::Patch;

/// Who wrote a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// swegym: blocks marked `python` are scripts, the others what came of them.
    Swegym,
    /// Somebody else, in whatever form.
    Person,
}

/// What a statement must not give away.
#[derive(Debug, Clone, Copy)]
pub struct Secrets<'a> {
    /// Ids of the hidden tests.
    pub tests: &'a [&'a str],
    /// The change that is asked for.
    pub gold_patch: &'a str,
}

/// What can be wrong with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Nothing to go by: a few words, or an address alone.
    SaysNothing,
    /// The name of a hidden test or of its file.
    NamesTest,
    /// A line that the gold patch adds.
    ShowsFix,
    /// A changed file, with or without a line.
    NamesPlace,
    /// No script, or nothing that comes of it.
    ShowsNothing,
    /// A script that does not parse.
    NoPython,
    /// A name that nothing in its script binds.
    UndefinedName,
    /// `None()`, `'x'()`, `3 .real`: a value in the place of what had it.
    CalledLiteral,
    /// A script that shows nothing but what is written in it.
    ShownLiteral,
    /// What comes out and what should are the same as they are shown.
    SameShown,
    /// Text that was cut where it cannot be.
    CutText,
    /// A folder of one run.
    TemporaryPath,
    /// An address in memory.
    Address,
    /// A version that says nothing.
    NoVersion,
}

impl Rule {
    /// Its name in results.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::SaysNothing => "says_nothing",
            Self::NamesTest => "names_test",
            Self::ShowsFix => "shows_fix",
            Self::NamesPlace => "names_place",
            Self::ShowsNothing => "shows_nothing",
            Self::NoPython => "no_python",
            Self::UndefinedName => "undefined_name",
            Self::CalledLiteral => "called_literal",
            Self::ShownLiteral => "shown_literal",
            Self::SameShown => "same_shown",
            Self::CutText => "cut_text",
            Self::TemporaryPath => "temporary_path",
            Self::Address => "address",
            Self::NoVersion => "no_version",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// By which rule.
    pub rule: Rule,
    /// What of the statement breaks it.
    pub evidence: String,
}

impl Problem {
    /// As it stands in results and rows.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"rule": self.rule.code(), "evidence": self.evidence})
    }
}

/// Everything that is wrong with a statement, sorted; nothing if it may be given out.
#[must_use]
pub fn problems(statement: &str, author: Author, secrets: Secrets<'_>) -> Vec<Problem> {
    let mut found = BTreeSet::new();
    let mut add = |rule, evidence: &str| {
        found.insert(Problem { rule, evidence: evidence.to_owned() });
    };
    given_away(statement, secrets, &mut add);
    match author {
        Author::Person if words_in(statement) < FEWEST_WORDS => add(Rule::SaysNothing, statement.trim()),
        Author::Person => {}
        Author::Swegym => written(statement, secrets, &mut add),
    }
    found.into_iter().collect()
}

/// Fewer words than any report needs that somebody can act on.
const FEWEST_WORDS: usize = 4;

fn words_in(statement: &str) -> usize {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"https?://\S+"));
    let text = ADDRESS.replace_all(statement, "");
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().any(char::is_alphabetic)).count()
}

/// Rules for every statement.
fn given_away(statement: &str, secrets: Secrets<'_>, add: &mut impl FnMut(Rule, &str)) {
    for name in secrets.tests.iter().flat_map(|id| telling_parts(id)) {
        if has_word(statement, &name) {
            add(Rule::NamesTest, &name);
        }
    }
    for line in added_lines(secrets.gold_patch) {
        if statement.lines().any(|said| squeezed(said).contains(&line)) {
            add(Rule::ShowsFix, &line);
        }
    }
}

/// Rules for scripts and what comes of them.
fn written(statement: &str, secrets: Secrets<'_>, add: &mut impl FnMut(Rule, &str)) {
    static TEMPORARY: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"(?:/tmp|/var/tmp|/var/folders|/private/var|/dev/shm|\bpytest-of-\w+)/[^\s'"]*|(?i)[a-z]:\\+(?:users\\+\w+\\+appdata|windows)\\+[^\s'"]*temp\b[^\s'"]*"#,
        )
    });
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b0x[0-9a-fA-F]{8,16}\b"));
    static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"[\w.-]+\.py", line \d+|[\w/.-]+\.py:\d+"#));
    for path in changed_paths(secrets.gold_patch) {
        if has_word(statement, &path) {
            add(Rule::NamesPlace, &path);
        }
    }
    for (rule, pattern) in
        [(Rule::TemporaryPath, &TEMPORARY), (Rule::Address, &ADDRESS), (Rule::NamesPlace, &PLACE)]
    {
        for at in pattern.find_iter(statement) {
            add(rule, at.as_str());
        }
    }
    let title = statement.lines().next().unwrap_or_default();
    if let Some(version) = title.split_whitespace().nth(1).filter(|v| is_no_version(v)) {
        add(Rule::NoVersion, version);
    }
    let reports = reports(statement);
    if reports.is_empty() {
        add(Rule::ShowsNothing, title);
    }
    for report in &reports {
        script(&report.script, add);
        check_shown(report, add);
    }
}

fn script(text: &str, add: &mut impl FnMut(Rule, &str)) {
    let Some(code) = code::Code::parse(text) else {
        add(Rule::NoPython, text.trim());
        return;
    };
    for name in code.undefined() {
        add(Rule::UndefinedName, &name);
    }
    for call in code.called_literals() {
        add(Rule::CalledLiteral, &call);
    }
    if let Some(literal) = code.shown_literal() {
        add(Rule::ShownLiteral, &literal);
    }
    // Three dots of Python's own have no quotation or word before them.
    static CUT: LazyLock<Regex> = LazyLock::new(|| pattern(r"…|[\w'\x22]\.\.\.(?:\s|$)"));
    if let Some(cut) = CUT.find(text) {
        add(Rule::CutText, cut.as_str());
    }
}

fn check_shown(report: &Report, add: &mut impl FnMut(Rule, &str)) {
    let (before, after) = (squeezed(&report.before), squeezed(&report.after));
    if before.is_empty() || after.is_empty() {
        add(Rule::ShowsNothing, report.script.trim());
    } else if without_lead(&before) == without_lead(&after) {
        add(Rule::SameShown, &before);
    }
}

/// One script with what is said to come of it, and what should.
struct Report {
    script: String,
    before: String,
    after: String,
}

/// Splits a statement of ours: a script, then paragraphs; those from `It should` on
/// are what should come.
fn reports(statement: &str) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    let (mut fence, mut is_script, mut is_after) = (None::<String>, false, false);
    for line in statement.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match &fence {
            None if ticks >= 3 => {
                fence = Some(line[..ticks].to_owned());
                is_script = line[ticks..].trim() == "python";
                if is_script {
                    let new = Report { script: String::new(), before: String::new(), after: String::new() };
                    reports.push(new);
                    is_after = false;
                }
                continue;
            }
            Some(open) if line.trim_end() == open => {
                fence = None;
                is_script = false;
                continue;
            }
            _ => {}
        }
        let is_prose = fence.is_none();
        if is_prose && (line.starts_with("Also") || line.starts_with("This is how")) {
            is_after = false;
            continue;
        }
        is_after |= is_prose && line.starts_with("It should");
        let Some(report) = reports.last_mut() else { continue };
        let to = match (is_script, is_after) {
            (true, _) => &mut report.script,
            (_, false) => &mut report.before,
            (_, true) => &mut report.after,
        };
        to.push_str(line);
        to.push('\n');
    }
    reports
}

/// What is shown without the words that lead to it.
fn without_lead(shown: &str) -> &str {
    let leads = ["It should print ", "It should end in ", "prints ", "ends in "];
    leads.iter().find_map(|lead| shown.strip_prefix(lead)).unwrap_or(shown)
}

/// Whether a version says nothing of what is there: `0`, `0.0.0`, `0+unknown`.
#[must_use]
pub fn is_no_version(version: &str) -> bool {
    let public = version.trim().trim_start_matches('v').split(['+', '-']).next().unwrap_or_default();
    let numbers = public.split('.').filter(|part| !part.starts_with("dev"));
    numbers.flat_map(str::chars).all(|c| c == '0') && version.trim() != "v"
        || public.eq_ignore_ascii_case("unknown")
}

/// Parts of a test's id that tell which one it is: its file, and its function where
/// that has a name of its own.
fn telling_parts(id: &str) -> Vec<String> {
    let id = id.split('[').next().unwrap_or_default();
    let (place, test) = id.rsplit_once("::").or_else(|| id.rsplit_once('.')).unwrap_or(("", id));
    let file = place.split("::").next().unwrap_or_default();
    let names = [test, file, file.rsplit('/').next().unwrap_or_default()];
    let telling = |name: &&str| {
        name.starts_with("test_") || name.starts_with("test") && name.len() > 5 || name.ends_with(".py")
    };
    names.iter().copied().filter(telling).map(str::to_owned).collect()
}

/// Lines that only the fix has, without blanks; short ones stand anywhere.
fn added_lines(patch: &str) -> Vec<String> {
    const SHORTEST: usize = 12;
    let lines = |sign: char| {
        let header = if sign == '+' { "+++ " } else { "--- " };
        let of_sign = move |line: &&str| line.starts_with(sign) && !line.starts_with(header);
        patch.lines().filter(of_sign).map(|line| squeezed(&line[1..])).collect::<Vec<_>>()
    };
    let gone = lines('-');
    lines('+').into_iter().filter(|line| line.len() >= SHORTEST && !gone.contains(line)).collect()
}

fn changed_paths(patch: &str) -> Vec<String> {
    Patch::parse(patch).map(|patch| patch.paths().map(str::to_owned).collect()).unwrap_or_default()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has a name that is no part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
    Regex::new(text).expect("a valid pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: Secrets<'_> = Secrets {
        tests: &["tests/test_core.py::TestAdd::test_adds_up[1 2]", "tests/test_core.py::test_x"],
        gold_patch: "diff --git a/src/demo/core.py b/src/demo/core.py\n--- a/src/demo/core.py\n+++ b/src/demo/core.py\n@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b + carry\n",
    };

    /// A statement of ours about one script.
    fn statement(script: &str, before: &str, after: &str) -> String {
        format!(
            "demo 1.2 does not behave as it should.\n\nRun in the repository's folder, this script\n\n```python\n{script}\n```\n\nprints\n\n```\n{before}\n```\n\nIt should print\n\n```\n{after}\n```\n"
        )
    }

    fn codes(statement: &str, author: Author) -> Vec<&'static str> {
        let mut codes: Vec<_> = problems(statement, author, SECRETS).iter().map(|p| p.rule.code()).collect();
        codes.dedup();
        codes
    }

    #[track_caller]
    fn check_script(script: &str, expected: &[&str]) {
        assert_eq!(codes(&statement(script, "1", "2"), Author::Swegym), expected, "{script}");
    }

    #[test]
    fn scripts_that_stand_alone_pass() {
        check_script("from demo import add\n\nprint(add(1, 1))", &[]);
        check_script(
            "import demo.core as c\nfor i, (a, b) in enumerate([(1, 2)]):\n    print(c.add(a, b), i)",
            &[],
        );
        check_script(
            "import demo\n\nclass Case(demo.Base):\n    limit = 3\n\n    def go(self, *args, key=None, **rest):\n        total = [x + self.limit for x in args if x]\n        return total, rest, key\nprint(Case().go(1))",
            &[],
        );
        check_script(
            "import demo\nwith open('x') as f, demo.lock():\n    data = f.read()\ntry:\n    demo.run(data)\nexcept ValueError as error:\n    print(error, (lambda y, z=1: y + z)(2), {k: v for k, v in {}.items()})",
            &[],
        );
        check_script("import demo\nif (n := demo.add(1, 2)) > 2:\n    print(f'{n!r:>{n}}', ...)", &[]);
        check_script(
            "from demo import run\n\ndef go():\n    global state\n    state = 1\n\ngo()\nprint(run(state), __name__)",
            &[],
        );
        check_script(
            "import demo\nimport os.path\nmatch demo.parse('a'):\n    case [first, *rest]:\n        print(first, rest, os.path.sep)",
            &[],
        );
    }

    #[test]
    fn names_must_be_bound() {
        check_script("print(c() == 'dotenv')", &["undefined_name"]);
        check_script("print(self.temp_dir)", &["undefined_name"]);
        check_script("import demo\nprint(demo.walk(obj))", &["undefined_name"]);
        check_script("print([x for x in values])", &["undefined_name"]);
        check_script("def f():\n    return helper()\nprint(f())", &["undefined_name"]);
    }

    #[test]
    fn values_stand_for_nothing_else() {
        check_script("print(None())", &["called_literal"]);
        check_script("import demo\nprint(demo.run('a'(3)))", &["called_literal"]);
        check_script("import demo\nprint(3)", &["shown_literal"]);
        check_script("'abc'", &["shown_literal"]);
        check_script("import demo\nprint(repr([1, -2, ('a', None)]))", &["shown_literal"]);
        check_script("import demo\nprint('a b'.split() == demo.words('a b'))", &[]);
        check_script("print(", &["no_python"]);
        check_script("import demo\nprint(demo.add('aaaa… ', 3))", &["cut_text"]);
    }

    #[test]
    fn what_is_shown_must_differ_and_hold_for_everybody() {
        let good = "import demo\nprint(demo.add(1, 1))";
        for (before, after, expected) in [
            ("a  b", "a b ", "same_shown"),
            ("PosixPath('/tmp/tmpabc1')", "x", "temporary_path"),
            ("/var/folders/zz/T/x", "x", "temporary_path"),
            (r"C:\Users\me\AppData\Local\Temp\x", "x", "temporary_path"),
            ("/x/pytest-of-me/pytest-0/t0", "x", "temporary_path"),
            ("<A object at 0x7f3a5c1e2d90>", "x", "address"),
            ("File \"core.py\", line 3", "x", "names_place"),
            ("src/demo/core.py", "x", "names_place"),
        ] {
            assert_eq!(codes(&statement(good, before, after), Author::Swegym), [expected], "{before}");
        }
        assert_eq!(codes("demo 1.2 is broken.\n", Author::Swegym), ["shows_nothing"]);
        let text = statement(good, "1", "2").replace("demo 1.2", "demo 0");
        assert_eq!(codes(&text, Author::Swegym), ["no_version"]);
    }

    #[test]
    fn nobody_may_give_the_answer_or_the_tests_away() {
        for author in [Author::Swegym, Author::Person] {
            let check = |words: &str, expected: &[&str]| {
                let text = statement("import demo\nprint(demo.add(1, 1))", "1", "2") + words;
                assert_eq!(codes(&text, author), expected, "{words}");
            };
            check("", &[]);
            check("See test_adds_up.", &["names_test"]);
            check("In tests/test_core.py it says so.", &["names_test"]);
            check("test_adds_up_again is another one.", &[]);
            check("It lacks `return a + b  + carry`.", &["shows_fix"]);
        }
        assert_eq!(codes("https://example.org/issue/3", Author::Person), ["says_nothing"]);
        assert_eq!(codes("add(1, 1) gives 3 since yesterday", Author::Person), [] as [&str; 0]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_judged(text in "(```python|```|It should|import a|print\\(|\\)|'|\n|\\PC){0,40}") {
            for author in [Author::Swegym, Author::Person] { let _ = problems(&text, author, SECRETS); }
        }
    }
}
