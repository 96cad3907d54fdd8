//! What a log says of every test that it names.

use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use swegym_core::{Names, TestStatus};

/// What a log says about one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A status.
    Status(TestStatus),
    /// A word that is no status. The reference stores such words ("ERROR:"),
    /// and a test that has one is neither passed nor failed there.
    Other(String),
}

impl Said {
    /// The status, if it is one.
    #[must_use]
    pub fn status(&self) -> Option<TestStatus> {
        match self {
            Self::Status(status) => Some(*status),
            Self::Other(_) => None,
        }
    }

    pub(crate) fn of(word: &str) -> Self {
        TestStatus::parse(word).map_or_else(|| Self::Other(word.to_owned()), Self::Status)
    }
}

/// A run that ended before all its tests were told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lacking {
    /// Tests that the runner said it would run.
    pub announced: u64,
    /// Results that it told.
    pub told: u64,
}

/// Tests in the order in which the log first names them; the last word wins.
#[derive(Clone, Default)]
pub struct StatusMap {
    lacking: Option<Lacking>,
    names: Names,
    said: Vec<Said>,
    /// Places in both lists, by the hash of the name.
    places: HashTable<usize>,
    hasher: foldhash::fast::RandomState,
}

impl StatusMap {
    /// A test's latest word; its place in the order is that of its first.
    pub fn say(&mut self, test: impl AsRef<str>, said: Said) {
        let test = test.as_ref();
        if self.said.is_empty() {
            self.names = Names::of_a_suite();
            self.said.reserve(Names::OF_A_SUITE);
            self.places.reserve(Names::OF_A_SUITE, |_| 0);
        }
        let Self { names, places, hasher, .. } = self;
        let hash = |name: &str| hasher.hash_one(name);
        let same = |at: &usize| names.get(*at) == Some(test);
        match places.entry(hash(test), same, |at| hash(names.get(*at).unwrap_or_default())) {
            Entry::Occupied(place) => self.said[*place.get()] = said,
            Entry::Vacant(place) => {
                place.insert(self.said.len());
                self.names.push(test);
                self.said.push(said);
            }
        }
    }

    /// Notes that results are missing.
    pub(crate) fn lack(&mut self, lacking: Lacking) {
        self.lacking = Some(lacking);
    }

    /// What is missing, where the log shows that the run ended early.
    #[must_use]
    pub fn lacking(&self) -> Option<Lacking> {
        self.lacking
    }

    /// Where a test stands in the order.
    #[must_use]
    pub fn place(&self, test: &str) -> Option<usize> {
        let same = |at: &usize| self.names.get(*at) == Some(test);
        self.places.find(self.hasher.hash_one(test), same).copied()
    }

    /// The place and the word of a test that is named at a place or elsewhere:
    /// most lists are in the order of the log, so that the place can be guessed.
    #[must_use]
    pub fn get_near(&self, test: &str, place: usize) -> Option<(usize, &Said)> {
        let place = if self.names.get(place) == Some(test) { place } else { self.place(test)? };
        Some((place, &self.said[place]))
    }

    /// What was said of a test.
    #[must_use]
    pub fn get(&self, test: &str) -> Option<&Said> {
        self.place(test).map(|at| &self.said[at])
    }

    /// How many tests are named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.said.len()
    }

    /// Whether no test is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// Whether a test is named.
    #[must_use]
    pub fn contains_key(&self, test: &str) -> bool {
        self.place(test).is_some()
    }

    /// The tests, in order.
    #[must_use]
    pub fn keys(&self) -> swegym_core::names::Iter<'_> {
        self.names.iter()
    }

    /// What was said, in the order of the tests.
    pub fn values(&self) -> impl Iterator<Item = &Said> {
        self.said.iter()
    }

    /// Tests and what was said of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Said)> {
        self.names.iter().zip(&self.said)
    }
}

impl PartialEq for StatusMap {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names && self.said == other.said
    }
}

impl std::fmt::Debug for StatusMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<S: AsRef<str>> FromIterator<(S, Said)> for StatusMap {
    fn from_iter<I: IntoIterator<Item = (S, Said)>>(tests: I) -> Self {
        let mut map = Self::default();
        tests.into_iter().for_each(|(test, said)| map.say(test, said));
        map
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    proptest::proptest! {
        #[test]
        fn it_is_a_map_in_order_of_first_words(
            said in proptest::collection::vec(("[a-f]{0,2}", proptest::sample::select(TestStatus::ALL.to_vec())), 0..300),
        ) {
            let told = said.iter().map(|(test, status)| (test.clone(), Said::Status(*status)));
            let expected: IndexMap<String, Said> = told.clone().collect();
            let map: StatusMap = told.collect();
            proptest::prop_assert!(map.iter().eq(expected.iter().map(|(test, said)| (test.as_str(), said))));
            for (at, (test, said)) in expected.iter().enumerate() {
                proptest::prop_assert_eq!((map.place(test), map.get(test)), (Some(at), Some(said)));
            }
            proptest::prop_assert_eq!((map.get("none"), map.len()), (None, expected.len()));
        }
    }
}
