//! The two witnesses of a test run, side by side: the log and the structured
//! results. What only one of them says is not believed.

mod places;

use std::cell::OnceCell;
use std::collections::HashMap;

use swegym_core::TestStatus;

use crate::junit::{Case, severity};
use crate::status_map::{Said, StatusMap};

use places::Places;

/// Structured results by test, for lookup by the ids that logs use.
#[derive(Debug, Clone, Default)]
pub struct Structured {
    by_name: HashMap<(String, String), Told>,
    /// By the words of class and name, joined with blanks, and by the bare name.
    by_words: HashMap<String, Told>,
}

/// What structured results say of one test.
#[derive(Debug, Clone, Copy)]
struct Told {
    status: TestStatus,
    may_have_subtests: bool,
    cost: Cost,
}

/// What a test took, as far as structured results say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Time.
    pub milliseconds: Option<u64>,
    /// Memory of its process at most.
    pub mebibytes: Option<u64>,
}

impl Cost {
    /// The larger of both, each for itself.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            milliseconds: self.milliseconds.max(other.milliseconds),
            mebibytes: self.mebibytes.max(other.mebibytes),
        }
    }
}

impl Told {
    fn of(case: &Case) -> Self {
        let Case { status, may_have_subtests, milliseconds, mebibytes, .. } = *case;
        Self { status, may_have_subtests, cost: Cost { milliseconds, mebibytes } }
    }

    /// Of what is said of one test the worse counts, and what costs more.
    fn worse(self, other: Self) -> Self {
        let worse = if severity(other.status) > severity(self.status) { other } else { self };
        Self { cost: self.cost.most(other.cost), ..worse }
    }
}

impl Structured {
    /// Collects cases; of a test reported twice the worse status counts.
    #[must_use]
    pub fn new(cases: &[Case]) -> Self {
        let mut found = Self::default();
        for case in cases {
            let told = Told::of(case);
            let key = (case.classname.clone(), case.name.clone());
            found.by_name.entry(key).and_modify(|old| *old = old.worse(told)).or_insert(told);
            let mut keys = vec![words(&format!("{}.{}", case.classname, case.name)), case.name.clone()];
            keys.dedup();
            for key in keys {
                found.by_words.entry(key).and_modify(|old| *old = old.worse(told)).or_insert(told);
            }
        }
        found
    }

    /// The status of an id: pytest's, which the log may have cut at a blank
    /// (several candidates must agree then), or another runner's, whose parts
    /// are compared without regard to what stands between them.
    #[must_use]
    pub fn status_of(&self, id: &str) -> Option<TestStatus> {
        self.find(id).map(|told| told.status)
    }

    /// What a test took; nothing of one that is not there.
    #[must_use]
    pub fn cost_of(&self, id: &str) -> Cost {
        self.find(id).map(|told| told.cost).unwrap_or_default()
    }

    fn find(&self, id: &str) -> Option<Told> {
        let Some((classname, name)) = split_id(id) else { return self.find_foreign(id) };
        let key = (classname, name);
        if let Some(told) = self.by_name.get(&key) {
            return Some(*told);
        }
        let (classname, name) = key;
        let candidates = self.by_name.iter().filter(|((c, n), _)| *c == classname && is_cut(n, &name));
        agreed(candidates.map(|(_, told)| *told)).or_else(|| self.find_foreign(id))
    }

    /// `Class#test`, `suite > test`, `module.Class.test`, or a bare name.
    fn find_foreign(&self, id: &str) -> Option<Told> {
        let found = [self.by_words.get(id), self.by_words.get(&words(id))];
        found.into_iter().flatten().copied().reduce(Told::worse)
    }

    /// Whether there is any result.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Whether `start` is what is left of a name that was cut at a blank of its parameters,
/// or, where a bracket is still open, anywhere.
fn is_cut(name: &str, start: &str) -> bool {
    if !start.contains('[') {
        return false;
    }
    let is_open = start.matches('[').count() > start.matches(']').count();
    name.strip_prefix(start).is_some_and(|rest| is_open || rest.starts_with(char::is_whitespace))
}

/// What several tests say that an id may mean, if they agree whether it passed.
fn agreed(mut told: impl Iterator<Item = Told>) -> Option<Told> {
    let first = told.next()?;
    told.all(|other| other.status.is_pass() == first.status.is_pass()).then_some(first)
}

/// Log and structured results of somebody else's run.
pub struct Witnesses<'a> {
    log: &'a StatusMap,
    cases: &'a [Case],
    direct: Structured,
    /// What it takes to find tests whose names differ.
    places: OnceCell<Places<'a>>,
    /// Whether no test of the log is found, so that only numbers can be compared.
    are_strangers: OnceCell<bool>,
}

impl<'a> Witnesses<'a> {
    /// Both of one run.
    #[must_use]
    pub fn new(log: &'a StatusMap, cases: &'a [Case]) -> Self {
        let (places, are_strangers) = (OnceCell::new(), OnceCell::new());
        Self { log, cases, direct: Structured::new(cases), places, are_strangers }
    }

    /// What the structured results say of a test of the log. Where they have a name
    /// for it that cannot be told from the log's, and for all other tests as well,
    /// a pass is believed as long as there are as many passes and no more failures
    /// than in the log.
    #[must_use]
    pub fn status_of(&self, id: &str) -> Option<TestStatus> {
        let said = self.log.get(id).and_then(Said::status);
        match self.find(id) {
            // A subtest that is skipped leaves its test passed.
            Some(Told { status: TestStatus::Skipped, may_have_subtests: true, .. })
                if said == Some(TestStatus::Passed) =>
            {
                said
            }
            Some(told) => Some(told.status),
            None if said.is_some_and(TestStatus::is_pass) && self.are_strangers() => {
                self.numbers_agree().then_some(said).flatten()
            }
            None => None,
        }
    }

    fn find(&self, id: &str) -> Option<Told> {
        self.direct.find(id).or_else(|| {
            let places = self.places.get_or_init(|| Places::new(self.log, self.cases, &self.direct));
            places.find(id)
        })
    }

    fn are_strangers(&self) -> bool {
        *self.are_strangers.get_or_init(|| !self.log.keys().any(|id| self.find(id).is_some()))
    }

    fn numbers_agree(&self) -> bool {
        let is_failure = |status| matches!(status, TestStatus::Failed | TestStatus::Error);
        let said = || self.log.values().filter_map(Said::status);
        let told = || self.cases.iter().map(|case| case.status);
        told().filter(|s| s.is_pass()).count() >= said().filter(|s| s.is_pass()).count()
            && told().filter(|s| is_failure(*s)).count() <= said().filter(|s| is_failure(*s)).count()
    }
}

/// The words of a name, whatever stands between them.
fn words(name: &str) -> String {
    split_words(name).collect::<Vec<_>>().join(" ")
}

fn split_words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', '#', '>', '/', ':', ' ', '\\', '›']).filter(|part| !part.is_empty())
}

/// `tests/test_a.py::TestB::test_c[p]` as pytest writes it to JUnit XML:
/// (`tests.test_a.TestB`, `test_c[p]`). Parameters may hold `::`. Before version 4, an id names
/// the instance of a class as `()`, and XML does not.
#[must_use]
pub fn split_id(id: &str) -> Option<(String, String)> {
    let (plain, parameters) = match id.find('[') {
        Some(at) => id.split_at(at),
        None => (id, ""),
    };
    let mut parts = plain.split("::");
    let path = parts.next()?;
    let module = path.strip_suffix(".py").unwrap_or(path).replace('/', ".");
    let mut places: Vec<&str> = parts.filter(|part| *part != "()").collect();
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
            suites: Vec::new(),
            may_have_subtests: false,
            milliseconds: None,
            mebibytes: None,
        }
    }

    #[test]
    fn ids_of_old_versions_name_instances() {
        for id in ["tests/test_a.py::TestB::()::test_c[()::x]", "tests/test_a.py::TestB::test_c[()::x]"] {
            assert_eq!(split_id(id), Some(("tests.test_a.TestB".into(), "test_c[()::x]".into())), "{id}");
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

    proptest::proptest! {
        /// pytest's own names are found with any folders in front, all moved alike.
        #[test]
        fn moved_names_are_found_and_odd_ones_do_no_harm(
            tests in proptest::collection::btree_set("[a-c]{1,2}/test_[a-c]\\.py::(T::)?t[a-c](\\[[a-z ]{0,3}\\])?", 1..12),
            odd in "\\PC{0,20}",
            failed in 0usize..12,
        ) {
            let status = |at: usize| if at == failed { TestStatus::Failed } else { TestStatus::Passed };
            let moved = |id: &str| split_id(id).map(|(class, name)| (format!("root.{class}"), name));
            let mut cases: Vec<Case> = tests.iter().enumerate()
                .filter_map(|(at, id)| moved(id).map(|(class, name)| case(&class, &name, status(at)))).collect();
            cases.push(case(&odd, &odd, TestStatus::Passed));
            let log: StatusMap = tests.iter().map(|id| (id.clone(), Said::Status(TestStatus::Passed))).collect();
            let both = Witnesses::new(&log, &cases);
            for (at, id) in tests.iter().enumerate() {
                proptest::prop_assert_eq!(both.status_of(id), Some(status(at)), "{}", id);
            }
            let _ = both.status_of(&odd);
        }
    }
}
