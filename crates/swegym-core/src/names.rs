//! Names of tests. Instances, logs and reports hold hundreds of them, and are
//! graded by the thousand: one allocation for each name would be most of that
//! work, so that many stand in one text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// A list of names. Equal names may stand in it more than once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// All of them, one after the other.
    text: String,
    /// Where each ends in it.
    ends: Vec<usize>,
}

impl Names {
    /// As many as most suites have, and more: a list that grows beyond its room
    /// is copied (reference/swe-gym.md, section 1.4, has 132 in the mean).
    pub const OF_A_SUITE: usize = 224;

    /// An empty list with room for the names of most suites.
    #[must_use]
    pub fn of_a_suite() -> Self {
        Self::with_capacity(Self::OF_A_SUITE, Self::OF_A_SUITE * 48)
    }

    /// An empty list with room for some names of some length.
    #[must_use]
    pub fn with_capacity(names: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(names) }
    }

    /// Reads a JSON list of strings.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        // No longer than what is written, and few names are shorter than these.
        let names = json.deserialize_seq(List(Self::with_capacity(text.len() / 16, text.len())))?;
        json.end()?;
        Ok(names)
    }

    /// This list and the strings of a sequence.
    ///
    /// # Errors
    /// When one of its elements is something else.
    #[inline]
    pub fn and_sequence<'de, A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element_seed(Next(&mut self))?.is_some() {}
        Ok(self)
    }

    /// Writes a JSON list of strings, as `serde_json` does, but not character
    /// by character where no character needs it.
    pub fn write_json(&self, to: &mut String) {
        let needs_escape = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
        // Without a way out of the loop, so that it takes many bytes at once.
        if self.text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
            to.push_str(&serde_json::to_string(self).unwrap_or_default());
            return;
        }
        to.reserve(self.json_len());
        to.push('[');
        for (at, name) in self.iter().enumerate() {
            to.push_str(if at == 0 { "\"" } else { ",\"" });
            to.push_str(name);
            to.push('"');
        }
        to.push(']');
    }

    /// Bytes that [`Self::write_json`] writes, or more, where no character is escaped.
    #[must_use]
    pub fn json_len(&self) -> usize {
        self.text.len() + 3 * self.len() + 2
    }

    /// Adds a name at the end.
    #[inline]
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// How many there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names together.
    #[inline]
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The name at a place.
    #[inline]
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        Some(&self.text[start..end])
    }

    /// Whether a name is among them; looks at each.
    #[inline]
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|own| own == name)
    }

    /// Keeps the names that a rule wants.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        *self = self.iter().filter(|name| wanted(name)).collect();
    }

    /// The names, in order.
    #[inline]
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter { text: &self.text, start: 0, ends: self.ends.iter() }
    }
}

/// The names of a list, in order.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    text: &'a str,
    start: usize,
    ends: std::slice::Iter<'a, usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let end = *self.ends.next()?;
        let name = &self.text[self.start..end];
        self.start = end;
        Some(name)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ends.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Names {
    type Item = &'a str;
    type IntoIter = Iter<'a>;

    #[inline]
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Names {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut list = Self::default();
        list.extend(names);
        list
    }
}

impl<S: AsRef<str>> Extend<S> for Names {
    fn extend<I: IntoIterator<Item = S>>(&mut self, names: I) {
        names.into_iter().for_each(|name| self.push(name.as_ref()));
    }
}

impl<S: AsRef<str>> PartialEq<[S]> for Names {
    fn eq(&self, names: &[S]) -> bool {
        self.iter().eq(names.iter().map(AsRef::as_ref))
    }
}

impl<S: AsRef<str>, const N: usize> PartialEq<[S; N]> for Names {
    fn eq(&self, names: &[S; N]) -> bool {
        self == names.as_slice()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

/// A list of names, which go to this one.
struct List(Names);

impl<'de> Visitor<'de> for List {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
        self.0.and_sequence(list)
    }
}

/// Adds the name that comes next, without a text of its own in between.
struct Next<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for Next<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Next<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.push(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_list_of_names_is_the_list(names in proptest::collection::vec("(\\PC|[a-z\"\\\\\n]){0,4}", 0..6)) {
            let list: Names = names.iter().collect();
            proptest::prop_assert_eq!(list.iter().collect::<Vec<_>>(), names.clone());
            proptest::prop_assert_eq!(list.len(), names.len());
            for (at, name) in names.iter().enumerate() {
                proptest::prop_assert_eq!(list.get(at), Some(name.as_str()));
                proptest::prop_assert!(list.contains(name));
            }
            proptest::prop_assert_eq!(list.get(names.len()), None);
            let text = serde_json::to_string(&list).unwrap();
            proptest::prop_assert_eq!(&text, &serde_json::to_string(&names).unwrap());
            let mut written = "x".to_owned();
            list.write_json(&mut written);
            proptest::prop_assert_eq!(&written[1..], &text);
            proptest::prop_assert_eq!(Names::from_json(&text).unwrap(), list);
        }
    }

    #[test]
    fn other_lists_are_no_names() {
        for other in ["[\"a\", 1]", "{}", "[\"a\"] x", "[\"a\"", ""] {
            assert!(Names::from_json(other).is_err(), "{other}");
        }
    }

    #[test]
    fn names_that_read_the_same_together_differ() {
        assert_ne!(["ab", "c"].iter().collect::<Names>(), ["a", "bc"].iter().collect::<Names>());
    }
}
