//! Examples in docstrings, where they are tests: an answer that changes what they
//! ask for, or takes them away, changes the tests.

use std::collections::HashSet;

use super::source::{self, Passage};
use super::{Finding, Trick};
use crate::patch::FilePatch;

/// Whether a test's name is one of examples in a module, and of which file.
/// `pkg/a.py::pkg.a.Kind.method`: what runs them calls them by the module they are in.
#[must_use]
pub fn module_of_examples(test: &str) -> Option<&str> {
    let (file, name) = test.split_once("::")?;
    let path = file.strip_suffix(".py")?;
    let path = path.strip_suffix("/__init__").unwrap_or(path);
    let module = path.rsplit('/').next()?;
    let before = name.split(['[', ':']).next()?;
    let at = before.split('.').position(|part| part == module)?;
    let told: Vec<&str> = before.split('.').take(at + 1).collect();
    path.replace('/', ".").ends_with(&told.join(".")).then_some(file)
}

/// What a change does to a module's examples: the first of those that are gone or new
/// in part, or a docstring that is put in another's place.
pub(super) fn finding(file: &FilePatch, base: Option<&str>) -> Option<Finding> {
    let after = source::after(file, base);
    let assigned = after.iter().flat_map(|p| &p.lines).find(|line| {
        let sets = |word: &str| line.text.split_once(word).is_some_and(|(_, rest)| is_given(rest));
        line.fresh && (sets("__doc__") || sets("__test__"))
    });
    let found = |number: usize, text: &str, what: &str| Finding {
        trick: Trick::ChangesExamples,
        what: what.to_owned(),
        line: number,
        text: super::evidence(text),
        fresh: true,
    };
    if let Some(line) = assigned {
        return Some(found(line.number, line.text, "gives examples another place"));
    }
    let now: HashSet<Vec<String>> = examples(&after).into_iter().collect();
    let gone = examples(&source::before(file, base)).into_iter().find(|example| !now.contains(example))?;
    Some(found(1, gone.first().map_or("", String::as_str), "changes an example that is a test"))
}

fn is_given(rest: &str) -> bool {
    let rest = rest.trim_start_matches([']', '"', '\'', ')', ' ', ',']);
    rest.starts_with('=') && !rest.starts_with("==") || rest.starts_with("+=")
}

/// Each example with what it is to print, without blanks around its lines.
fn examples(passages: &[Passage<'_>]) -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for passage in passages {
        let mut is_open = false;
        for line in &passage.lines {
            let text = line.text.trim();
            if text.starts_with(">>>") {
                found.push(vec![text.to_owned()]);
                is_open = true;
            } else if text.is_empty() || text.starts_with("\"\"\"") || text.starts_with("'''") {
                is_open = false;
            } else if let Some(example) = found.last_mut().filter(|_| is_open) {
                example.push(text.to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{examples_marks, module_of_examples};

    const BASE: &str =
        "def double(x):\n    \"\"\"Doubles.\n\n    >>> double(2)\n    4\n    \"\"\"\n    return x\n";

    fn marked(removed: &str, added: &str, gold: bool) -> bool {
        let old: Vec<&str> = BASE.lines().collect();
        let at = old.iter().position(|line| *line == removed).unwrap();
        let added: String = added.lines().map(|line| format!("+{line}\n")).collect();
        let patch = format!(
            "diff --git a/pkg/a.py b/pkg/a.py\n--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -{0},1 +{0},{1} @@\n-{removed}\n{added}",
            at + 1,
            added.lines().count()
        );
        let modules = std::iter::once("pkg/a.py").collect();
        let base = |_: &str| Some(BASE.to_owned());
        !examples_marks(&patch, if gold { &patch } else { "" }, &modules, &base).is_empty()
    }

    #[test]
    fn examples_are_changed_or_not() {
        assert!(marked("    4", "    2", false));
        assert!(!marked("    4", "    2", true));
        assert!(marked("    >>> double(2)", "    >>> double(2) # doctest: +SKIP", false));
        assert!(marked("    return x", "    return x\n\n\ndouble.__doc__ = same.__doc__", false));
        assert!(!marked("    return x", "    return 2 * x", false));
        assert!(!marked("    \"\"\"Doubles.", "    \"\"\"Doubles a number.", false));
        assert!(!marked("    4", "    4\n    >>> double(3)\n    6", false));
        assert!(!marked("    return x", "    if double.__doc__ == x: pass", false));
    }

    #[test]
    fn tests_of_examples_are_told_by_their_names() {
        assert_eq!(module_of_examples("pkg/a.py::pkg.a.double"), Some("pkg/a.py"));
        assert_eq!(module_of_examples("src/pkg/a.py::pkg.a"), Some("src/pkg/a.py"));
        assert_eq!(module_of_examples("pkg/__init__.py::pkg.double"), Some("pkg/__init__.py"));
        for test in ["tests/test_a.py::test_x", "checks/a.py::test_x[a.b]", "docs/a.rst::a.rst", "t.T.test"] {
            assert_eq!(module_of_examples(test), None, "{test}");
        }
    }
}
