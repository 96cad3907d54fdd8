//! Words without which a line says nothing to a parser. Most lines of a log
//! are no results, and looking for words in all of them at once is many times
//! quicker than looking at each.

use aho_corasick::packed::Searcher;
use aho_corasick::{AhoCorasick, Span};
use indexmap::IndexMap;
use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

/// A few words; none holds a line end.
pub(crate) struct Needles(Kind);

enum Kind {
    One(Finder<'static>),
    Several(Searcher, Vec<Piece>),
    Many(AhoCorasick),
}

/// Two bytes of one word or more, with their place in each: a search for two
/// is quicker than one for whole words.
struct Piece(Vec<(usize, &'static [u8])>);

impl Piece {
    /// Whether one of the words stands about this place.
    fn is_whole(&self, text: &[u8], at: usize) -> bool {
        let is_at = |start: usize, word: &[u8]| text.get(start..).is_some_and(|rest| rest.starts_with(word));
        self.0.iter().any(|(before, word)| at.checked_sub(*before).is_some_and(|start| is_at(start, word)))
    }
}

/// The place of the two bytes of a word that are rarest in logs, by what kind
/// of characters they are.
fn rarest_pair(word: &[u8]) -> usize {
    let common = |byte: &u8| match byte {
        b'a'..=b'z' | b' ' | b'.' => 3,
        b'0'..=b'9' | b'_' | b'-' | b'/' | b':' => 2,
        byte if byte.is_ascii_alphabetic() => 1,
        _ => 0,
    };
    let rank = |at: &usize| word[*at..*at + 2].iter().map(common).sum::<u32>();
    (0..word.len() - 1).min_by_key(rank).unwrap_or_default()
}

impl Needles {
    pub(crate) fn new(words: &[&'static str]) -> Self {
        if let [word] = words {
            return Self(Kind::One(Finder::new(*word)));
        }
        let mut pieces: IndexMap<&[u8], Piece> = IndexMap::new();
        for word in words.iter().map(|word| word.as_bytes()).filter(|word| word.len() > 1) {
            // One that is looked for anyway costs nothing more.
            let known = word.windows(2).position(|pair| pieces.contains_key(pair));
            let at = known.unwrap_or_else(|| rarest_pair(word));
            pieces.entry(&word[at..at + 2]).or_insert(Piece(Vec::new())).0.push((at, word));
        }
        let long = words.iter().all(|word| word.len() > 1);
        if let Some(search) = long.then(|| Searcher::new(pieces.keys())).flatten() {
            return Self(Kind::Several(search, pieces.into_values().collect()));
        }
        // On machines without wide registers.
        #[expect(clippy::expect_used, reason = "a handful of constants")]
        Self(Kind::Many(AhoCorasick::new(words).expect("few short words")))
    }

    /// Where one of them is, or a part of one: in the first line that holds any.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        match &self.0 {
            Kind::One(word) => word.find(text),
            Kind::Several(search, pieces) => {
                let mut at = 0;
                loop {
                    let found = search.find_in(text, Span::from(at..text.len()))?;
                    if pieces[found.pattern().as_usize()].is_whole(text, found.start()) {
                        return Some(found.start());
                    }
                    at = found.start() + 1;
                }
            }
            Kind::Many(words) => words.find(text).map(|found| found.start()),
        }
    }
}

impl Needles {
    /// The lines of a text that hold one of them.
    pub(crate) fn lines<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = text.as_bytes().get(at..)?;
            let (start, end) = self.find_line(rest)?;
            let line = &text[at + start..at + end];
            at += end + 1;
            Some(line)
        })
    }

    /// Where the first line that holds one of them starts and ends.
    pub(crate) fn find_line(&self, text: &[u8]) -> Option<(usize, usize)> {
        let hit = self.find(text)?;
        let start = memrchr(b'\n', &text[..hit]).map_or(0, |end| end + 1);
        Some((start, memchr(b'\n', &text[hit..]).map_or(text.len(), |length| hit + length)))
    }
}

/// Pieces of a few kilobytes, whole lines each, with their ends.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    const PIECE: usize = 4096;
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = PIECE.min(rest.len());
        let end = memchr(b'\n', &rest.as_bytes()[from..]).map_or(rest.len(), |at| from + at + 1);
        let piece;
        (piece, rest) = rest.split_at(end);
        (!piece.is_empty()).then_some(piece)
    })
}

/// Words that are compiled once.
macro_rules! needles {
    ($($word:expr),+ $(,)?) => {{
        static NEEDLES: std::sync::LazyLock<$crate::needles::Needles> =
            std::sync::LazyLock::new(|| $crate::needles::Needles::new(&[$($word),+]));
        &*NEEDLES
    }};
}

pub(crate) use needles;

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn lines_with_a_word_are_found(text in "(PASSED|FAILED|XFAIL|ED|FA|SS|\\[ok|[a-z]|\n){0,40}") {
            for words in [&["PASSED", "FAILED", "XFAIL"][..], &["ok", "SS", "FAILED"], &["ED", "ED\\"], &["k"]] {
                let found: Vec<_> = Needles::new(words).lines(&text).collect();
                let holds = |line: &&str| words.iter().any(|word| line.contains(word));
                proptest::prop_assert_eq!(found, text.split('\n').filter(holds).collect::<Vec<_>>());
            }
        }
    }
}
