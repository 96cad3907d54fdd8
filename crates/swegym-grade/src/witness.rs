//! The two witnesses of a test run, side by side: the log and the structured
//! results. What only one of them says is not believed.

use std::collections::HashMap;

use swegym_core::TestStatus;

use crate::junit::Case;

/// Structured results by test, for lookup by the ids that logs use.
#[derive(Debug, Clone, Default)]
pub struct Structured {
    by_name: HashMap<(String, String), TestStatus>,
    /// By the words of class and name, joined with blanks, and by the bare name.
    by_words: HashMap<String, TestStatus>,
}

impl Structured {
    /// Collects cases; of a test reported twice the worse status counts.
    #[must_use]
    pub fn new(cases: &[Case]) -> Self {
        let mut by_name: HashMap<(String, String), TestStatus> = HashMap::new();
        let mut by_words: HashMap<String, TestStatus> = HashMap::new();
        for case in cases {
            let worse = |old: &mut TestStatus| {
                if severity(case.status) > severity(*old) {
                    *old = case.status;
                }
            };
            let key = (case.classname.clone(), case.name.clone());
            by_name.entry(key).and_modify(worse).or_insert(case.status);
            let mut keys = vec![words(&format!("{}.{}", case.classname, case.name)), case.name.clone()];
            keys.dedup();
            for key in keys {
                by_words.entry(key).and_modify(worse).or_insert(case.status);
            }
        }
        Self { by_name, by_words }
    }

    /// The status of an id: pytest's, which the log may have cut at a blank
    /// (several candidates must agree then), or another runner's, whose parts
    /// are compared without regard to what stands between them.
    #[must_use]
    pub fn status_of(&self, id: &str) -> Option<TestStatus> {
        let Some((classname, name)) = split_id(id) else { return self.status_of_foreign(id) };
        if let Some(status) = self.by_name.get(&(classname.clone(), name.clone())) {
            return Some(*status);
        }
        // An id cut inside its parameters has an opening bracket too many.
        if id.matches('[').count() <= id.matches(']').count() {
            return None;
        }
        let candidates = self.by_name.iter().filter(|((c, n), _)| *c == classname && n.starts_with(&name));
        let mut statuses = candidates.map(|(_, s)| *s);
        let first = statuses.next()?;
        statuses.all(|s| s.is_pass() == first.is_pass()).then_some(first)
    }

    /// `Class#test`, `suite > test`, `module.Class.test`, or a bare name.
    fn status_of_foreign(&self, id: &str) -> Option<TestStatus> {
        let found = [self.by_words.get(id), self.by_words.get(&words(id))];
        found.into_iter().flatten().copied().max_by_key(|s| severity(*s))
    }

    /// Whether there is any result.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// The words of a name, whatever stands between them.
fn words(name: &str) -> String {
    let words: Vec<&str> =
        name.split(['.', '#', '>', '/', ':', ' ']).filter(|part| !part.is_empty()).collect();
    words.join(" ")
}

fn severity(status: TestStatus) -> u8 {
    match status {
        TestStatus::Passed => 0,
        TestStatus::XFail => 1,
        TestStatus::Skipped => 2,
        TestStatus::Failed => 3,
        TestStatus::Error => 4,
    }
}

/// `tests/test_a.py::TestB::test_c[p]` as pytest writes it to JUnit XML:
/// (`tests.test_a.TestB`, `test_c[p]`). Parameters may hold `::`.
#[must_use]
pub fn split_id(id: &str) -> Option<(String, String)> {
    let (plain, parameters) = match id.find('[') {
        Some(at) => id.split_at(at),
        None => (id, ""),
    };
    let mut parts = plain.split("::");
    let path = parts.next()?;
    let module = path.strip_suffix(".py").unwrap_or(path).replace('/', ".");
    let mut places: Vec<&str> = parts.collect();
    let name = places.pop()?;
    let mut classname = module;
    for place in places {
        classname.push('.');
        classname.push_str(place);
    }
    Some((classname, format!("{name}{parameters}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(classname: &str, name: &str, status: TestStatus) -> Case {
        Case {
            classname: classname.into(),
            name: name.into(),
            status,
            message: String::new(),
            text: String::new(),
        }
    }

    #[test]
    fn ids_are_found_whole_or_cut_and_the_worse_report_counts() {
        use TestStatus::{Error, Failed, Passed};
        let structured = Structured::new(&[
            case("tests.test_a.TestB", "test_c[x::y]", Passed),
            case("tests.test_a", "test_d[a b]", Passed),
            case("tests.test_a", "test_d[a c]", Passed),
            case("tests.test_a", "test_e[a b]", Passed),
            case("tests.test_a", "test_e[a c]", Failed),
            case("tests.test_a", "test_f", Passed),
            case("tests.test_a", "test_f", Error),
            case("com.x.ATest", "adds", Passed),
            case("m.test_n.TestO", "test_p", Passed),
        ]);
        // unittest's, as every Python from 3.11 on prints them.
        assert_eq!(structured.status_of("m.test_n.TestO.test_p"), Some(Passed));
        assert_eq!(structured.status_of("m.test_n.TestO.test_q"), None);
        assert_eq!(structured.status_of("com.x.ATest#adds"), Some(Passed));
        assert_eq!(structured.status_of("com.x.ATest > adds"), Some(Passed));
        assert_eq!(structured.status_of("tests/test_a.py::TestB::test_c[x::y]"), Some(Passed));
        assert_eq!(structured.status_of("tests/test_a.py::test_d[a"), Some(Passed));
        assert_eq!(structured.status_of("tests/test_a.py::test_e[a"), None);
        assert_eq!(structured.status_of("tests/test_a.py::test_f"), Some(Error));
        assert_eq!(structured.status_of("tests/test_a.py::test_nope"), None);
    }
}
