//! What a dataset is made of: the paper's Table 2 (reference/swe-gym.md,
//! section 1.4), for the whole and for each repository.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;
use swegym_core::patch::{FilePatch, Hunk};
use swegym_core::{Instance, Patch};

/// What is counted of each instance, in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Words of the problem statement, split at white space.
    IssueWords,
    /// Lines that the gold patch adds and removes.
    GoldLines,
    /// Files that it changes.
    GoldFiles,
    /// Functions that it changes; see [`edited_functions`].
    GoldFunctions,
    /// Tests that must flip.
    FailToPass,
    /// Tests that have an expectation.
    Tests,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 6] = [
        Self::IssueWords,
        Self::GoldLines,
        Self::GoldFiles,
        Self::GoldFunctions,
        Self::FailToPass,
        Self::Tests,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IssueWords => "issue_words",
            Self::GoldLines => "gold_lines",
            Self::GoldFiles => "gold_files",
            Self::GoldFunctions => "gold_functions",
            Self::FailToPass => "fail_to_pass",
            Self::Tests => "tests",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::IssueWords => "issue words",
            Self::GoldLines => "lines",
            Self::GoldFiles => "files",
            Self::GoldFunctions => "functions",
            Self::FailToPass => "F2P tests",
            Self::Tests => "tests",
        }
    }
}

/// The numbers of one instance.
#[derive(Debug, Clone)]
pub struct Counts {
    repo: String,
    /// By measure. Those of a patch that cannot be read are not there.
    values: [Option<u32>; Measure::ALL.len()],
}

impl Counts {
    /// Counts what there is to count of an instance.
    #[must_use]
    pub fn of(instance: &Instance) -> Self {
        let mut values = [None; Measure::ALL.len()];
        let mut note = |measure: Measure, value: usize| {
            values[measure as usize] = Some(u32::try_from(value).unwrap_or(u32::MAX));
        };
        note(Measure::IssueWords, words(&instance.problem_statement));
        note(Measure::FailToPass, instance.fail_to_pass.len());
        let (fails, holds) = (&instance.fail_to_pass, &instance.pass_to_pass);
        let mut tests = HashSet::with_capacity(fails.len() + holds.len());
        tests.extend(fails.iter().chain(holds));
        note(Measure::Tests, tests.len());
        if let Ok(patch) = Patch::survey(&instance.gold_patch) {
            note(Measure::GoldLines, patch.changed_lines());
            note(Measure::GoldFiles, patch.files.len());
            note(Measure::GoldFunctions, edited_functions(&patch));
        }
        Self { repo: instance.repo.clone(), values }
    }
}

/// The numbers of some instances.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// How many there are.
    pub instances: usize,
    /// How many of them have a gold patch that cannot be read, and count in no
    /// mean of one.
    pub unreadable_patches: usize,
    values: [Vec<u32>; Measure::ALL.len()],
}

impl Sample {
    fn add(&mut self, counts: &Counts) {
        self.instances += 1;
        self.unreadable_patches += usize::from(counts.values[Measure::GoldFiles as usize].is_none());
        for (values, value) in self.values.iter_mut().zip(counts.values) {
            values.extend(value);
        }
    }

    /// The mean of a measure; `None` where nothing has it.
    #[must_use]
    pub fn mean(&self, measure: Measure) -> Option<f64> {
        let values = &self.values[measure as usize];
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        (!values.is_empty()).then(|| sum / values.len() as f64)
    }

    /// The middle value: of an even number, the mean of the two middle ones.
    #[must_use]
    pub fn median(&self, measure: Measure) -> Option<f64> {
        let mut values = self.values[measure as usize].clone();
        values.sort_unstable();
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            even if even % 2 == 0 => Some((f64::from(values[middle - 1]) + f64::from(values[middle])) / 2.0),
            _ => Some(f64::from(values[middle])),
        }
    }

    /// The largest value.
    #[must_use]
    pub fn largest(&self, measure: Measure) -> Option<u32> {
        self.values[measure as usize].iter().copied().max()
    }
}

/// The numbers of a dataset.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// Of all instances.
    pub all: Sample,
    /// Of each repository's, in the order in which the dataset names them.
    pub repositories: IndexMap<String, Sample>,
}

impl Statistics {
    /// Takes one more instance's numbers.
    pub fn add(&mut self, counts: &Counts) {
        self.all.add(counts);
        self.repositories.entry(counts.repo.clone()).or_default().add(counts);
    }
}

/// `len(text.split())`, as in the paper's scripts.
pub(super) fn words(text: &str) -> usize {
    let space = |c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}');
    if text.is_ascii() {
        let words = text.as_bytes().split(|byte| space(char::from(*byte)));
        return words.filter(|word| !word.is_empty()).count();
    }
    text.split(space).filter(|word| !word.is_empty()).count()
}

/// Endings of files that have functions.
const SOURCE: [&str; 26] = [
    "py", "pyi", "pyx", "js", "jsx", "mjs", "cjs", "ts", "tsx", "go", "rs", "java", "kt", "scala", "php",
    "rb", "c", "h", "cc", "cpp", "cxx", "hpp", "hh", "cs", "swift", "m",
];

/// How many functions a patch changes, as far as the patch shows: each changed
/// line belongs to the nearest definition above it that is indented less, or
/// to the one that git names in the hunk's heading. Lines outside of any
/// function count for none. Where neither shows the method, its class stands
/// for it.
#[must_use]
pub fn edited_functions(patch: &Patch) -> usize {
    patch.files.iter().map(functions_of_file).sum()
}

fn functions_of_file(file: &FilePatch) -> usize {
    let ending = file.path().rsplit('.').next().unwrap_or_default();
    if !SOURCE.contains(&ending) {
        return 0;
    }
    let mut edited = BTreeSet::new();
    for hunk in &file.hunks {
        note_functions(hunk, &mut edited);
    }
    edited.len()
}

fn note_functions(hunk: &Hunk, edited: &mut BTreeSet<String>) {
    // Open definitions, outermost first: their indentation and names. That of
    // the heading is above the hunk, so nothing but the left margin ends it.
    let mut open: Vec<(usize, String)> = Vec::new();
    if let Some(name) = definition(&hunk.heading).or_else(|| class(&hunk.heading)) {
        open.push((0, name));
    }
    for line in &hunk.lines {
        let (mark, text) = line.split_at(1.min(line.len()));
        let bare = text.trim_start();
        if bare.is_empty() || mark == "\\" {
            continue;
        }
        let indent = text.len() - bare.len();
        // A closing bracket is the last line of what it closes.
        if !bare.starts_with(['}', ')', ']', '#']) && !bare.starts_with("//") {
            open.retain(|(outer, _)| *outer < indent);
        }
        if let Some(name) = definition(text) {
            open.push((indent, name));
        }
        if mark != " "
            && let Some((_, name)) = open.last()
        {
            edited.insert(name.clone());
        }
    }
}

/// The name of the function that a line defines, in most languages.
fn definition(line: &str) -> Option<String> {
    static WORD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"^(?:[\w()<>*\s,.]*\s)?(?:def|fn|func|function|fun|sub)\s*\*?\s+(?:\([^)]*\)\s*)?([\w.$]+)",
        )
        .expect("valid")
    });
    static BRACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\s*(?:[\w<>\[\],*&:~\s]+[\s*&])?([\w~$]+)\s*\([^;{}]*\)?[^;{}]*\{\s*$").expect("valid")
    });
    static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\s*(?:export\s+)?(?:const\s|let\s|var\s)?\s*([\w$.]+)\s*[=:]\s*(?:async\s*)?(?:function\b|(?:\([^)]*\)|[\w$]+)\s*=>)").expect("valid")
    });
    const KEYWORDS: [&str; 11] =
        ["if", "for", "while", "switch", "catch", "else", "return", "match", "do", "with", "synchronized"];
    // Most lines define nothing, and lack what each rule asks for.
    let may_be = [
        (&WORD, ["def", "fn", "fun", "sub"].iter().any(|word| line.contains(word))),
        (&ASSIGNED, line.contains("function") || line.contains("=>")),
        (&BRACE, line.trim_end().ends_with('{')),
    ];
    let rules = may_be.into_iter().filter_map(|(rule, may_be)| may_be.then_some(rule));
    let name = rules.into_iter().find_map(|rule| rule.captures(line))?.get(1)?.as_str();
    (!KEYWORDS.contains(&name)).then(|| name.to_owned())
}

/// The name of the class that a heading names.
fn class(line: &str) -> Option<String> {
    static CLASS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:\w+\s+)*(?:class|struct|impl|interface|trait|module|enum)\b.*?(\w+)").expect("valid")
    });
    Some(format!("class {}", CLASS.captures(line)?.get(1)?.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(path: &str, hunks: &str) -> usize {
        edited_functions(
            &Patch::parse(&format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{hunks}"))
                .unwrap(),
        )
    }

    #[test]
    fn changed_lines_belong_to_the_nearest_definition() {
        let two = "@@ -1,8 +1,8 @@ class A:\n     def f(self):\n-        return 1\n+        return 2\n \n     async def g(self):\n-        x = 1\n+        x = 2\n         return x\n \n";
        assert_eq!(functions("a.py", two), 2);
        let by_heading = "@@ -10,1 +10,1 @@ def h(x):\n-    return 1\n+    return 2\n@@ -20,1 +20,1 @@ def h(x):\n-    y = 1\n+    y = 2\n";
        assert_eq!(functions("a.py", by_heading), 1);
        let outside = "@@ -10,2 +10,2 @@ def h(x):\n-VERSION = 1\n+VERSION = 2\n import os\n";
        assert_eq!(functions("a.py", outside), 0);
        let new = "@@ -1,0 +1,5 @@\n+def new():\n+    return 1\n+\n+def other():\n+    pass\n";
        assert_eq!(functions("a.py", new), 2);
        assert_eq!(functions("notes.md", new), 0);
        let method = "@@ -1,1 +1,1 @@ class A(Base):\n-        self.x = 1\n+        self.x = 2\n";
        assert_eq!(functions("a.py", method), 1);
    }

    #[test]
    fn other_languages_have_functions_too() {
        let hunk = |head: &str| format!("@@ -1,3 +1,3 @@\n {head}\n-  a();\n+  b();\n }}\n");
        for (path, head) in [
            ("a.go", "func (s *Server) Run(x int) error {"),
            ("a.rs", "    pub(crate) fn run<T>(x: T) -> u8 {"),
            ("a.ts", "export const run = async (x) => {"),
            ("a.js", "  run(x) {"),
            ("b.js", "p5.prototype.run = function (x) {"),
            ("A.java", "    public static List<String> run(int x) throws E {"),
            ("a.c", "static int *run(int x) {"),
            ("a.php", "    public function run($x) {"),
        ] {
            let changed =
                hunk(head).replace("-  a", "-                a").replace("+  b", "+                b");
            assert_eq!(functions(path, &changed), 1, "{head}");
        }
        assert_eq!(functions("a.js", "@@ -1,3 +1,3 @@\n if (x) {\n-  a();\n+  b();\n }\n"), 0);
    }

    #[test]
    fn middles_and_means() {
        let mut sample = Sample::default();
        sample.values[0] = vec![1, 9, 2, 4];
        assert_eq!(
            (sample.mean(Measure::IssueWords), sample.median(Measure::IssueWords)),
            (Some(4.0), Some(3.0))
        );
        assert_eq!((sample.largest(Measure::IssueWords), sample.median(Measure::Tests)), (Some(9), None));
        assert_eq!(words(" a\u{1c}b\u{a0}c\n"), 3);
    }
}
