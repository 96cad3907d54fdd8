//! A log, line by line, from any reader and in bounded memory.
//!
//! Lines are Python's: `\r\n` and a lone `\r` end one too, bytes that are no
//! UTF-8 become U+FFFD, and a text that ends in a newline has an empty last
//! line, as in `text.split("\n")` (reference/grading.md, section 4.0).

use std::borrow::Cow;
use std::io::{self, Read};

use memchr::{memchr, memchr2, memrchr};

use crate::needles::Needles;

/// How much is read at once.
const BLOCK: usize = 256 << 10;

/// A line longer than this is cut here. The longest of a real log known is a
/// thousandth of it.
pub const LONGEST_LINE: usize = 64 << 20;

/// Parsers that need the whole log at once refuse longer ones.
pub const LONGEST_TEXT: usize = 256 << 20;

/// The lines of a log.
pub struct Lines<'a> {
    /// What is still to be read; nothing for a log in memory.
    source: Option<&'a mut dyn Read>,
    /// Whole lines, normalised, and `at` where the next one starts.
    block: Cow<'a, str>,
    at: usize,
    /// Bytes that are read and belong to the next block.
    rest: Vec<u8>,
    /// Nothing more can be read; then `over`: the last line was given too.
    last: bool,
    over: bool,
    failure: Option<io::Error>,
    too_long: bool,
}

impl<'a> Lines<'a> {
    /// Lines of what the reader gives.
    pub fn new(source: &'a mut dyn Read) -> Self {
        Self { source: Some(source), block: Cow::Borrowed(""), last: false, ..Self::of(b"") }
    }

    /// Lines of a log in memory, which is not copied unless it must be changed.
    #[must_use]
    pub fn of(log: &'a [u8]) -> Self {
        Self {
            source: None,
            block: normalise(Cow::Borrowed(log)),
            at: 0,
            rest: Vec::new(),
            last: true,
            over: false,
            failure: None,
            too_long: false,
        }
    }

    /// The next line, without its end.
    #[expect(clippy::should_implement_trait, reason = "the line lives in the block, so no Iterator")]
    pub fn next(&mut self) -> Option<&str> {
        loop {
            if let Some(length) = memchr(b'\n', &self.block.as_bytes()[self.at..]) {
                let start = self.at;
                self.at += length + 1;
                return Some(&self.block[start..start + length]);
            }
            if self.last {
                let start = self.at;
                self.at = self.block.len();
                return (!std::mem::replace(&mut self.over, true)).then(|| &self.block[start..]);
            }
            self.fill();
        }
    }

    /// The next line that holds one of these words, without its end.
    pub(crate) fn next_with(&mut self, needles: &Needles) -> Option<&str> {
        loop {
            let rest = &self.block.as_bytes()[self.at..];
            if let Some((start, end)) = needles.find_line(rest) {
                let (start, end) = (self.at + start, self.at + end);
                // Only the last line of all has no end.
                self.over = end == self.block.len();
                self.at = (end + 1).min(self.block.len());
                return Some(&self.block[start..end]);
            }
            self.at = self.block.len();
            if self.last {
                self.over = true;
                return None;
            }
            self.fill();
        }
    }

    /// What is left of the lines at hand, or the next ones: whole lines of an
    /// arbitrary number.
    pub fn block(&mut self) -> Option<&str> {
        if self.at == self.block.len() {
            if self.last {
                self.over = true;
                return None;
            }
            self.fill();
        }
        let start = self.at;
        self.at = self.block.len();
        Some(&self.block[start..])
    }

    /// Everything from here on as one text; `None`, and [`Self::too_long`],
    /// when it is longer than [`LONGEST_TEXT`].
    pub fn text(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            text.push_str(&self.block[self.at..]);
            self.at = self.block.len();
            if text.len() > LONGEST_TEXT {
                self.too_long = true;
                return None;
            }
            if self.last {
                self.over = true;
                return Some(text);
            }
            self.fill();
        }
    }

    /// Why reading ended early, if it did.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Whether a parser asked for more text at once than is given.
    #[must_use]
    pub fn too_long(&self) -> bool {
        self.too_long
    }

    /// The next block: everything up to the last line end that is read.
    fn fill(&mut self) {
        let mut whole = std::mem::take(&mut self.rest);
        let mut seen = 0;
        let end = loop {
            self.last = match self.read(&mut whole) {
                Ok(count) => count < BLOCK,
                Err(error) => {
                    self.failure = Some(error);
                    true
                }
            };
            if self.last {
                break whole.len();
            }
            // A `\r` at the very end may be half of a `\r\n`.
            let old = seen;
            seen = whole.len() - 1;
            if let Some(at) = memrchr(b'\n', &whole[old..]).or_else(|| memrchr(b'\r', &whole[old..seen])) {
                break old + at + 1;
            }
            if whole.len() > LONGEST_LINE {
                self.skip_line(&mut whole);
                break if self.last { whole.len() } else { memrchr(b'\n', &whole).map_or(0, |at| at + 1) };
            }
        };
        self.rest = whole.split_off(end);
        self.block = normalise(Cow::Owned(whole));
        self.at = 0;
    }

    /// Reads the next bytes: fewer than [`BLOCK`] at the end only.
    fn read(&mut self, to: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.source {
            Some(source) => Read::take(&mut **source, BLOCK as u64).read_to_end(to),
            None => Ok(0),
        }
    }

    /// Cuts an endless line: what follows is read and forgotten up to its end.
    fn skip_line(&mut self, whole: &mut Vec<u8>) {
        whole.truncate(LONGEST_LINE);
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.clear();
            match self.read(&mut block) {
                Ok(count) if count > 0 => {}
                done => {
                    self.failure = done.err();
                    self.last = true;
                    return;
                }
            }
            if let Some(at) = memchr2(b'\n', b'\r', &block) {
                whole.push(b'\n');
                let next = at + 1 + usize::from(block[at] == b'\r' && block.get(at + 1) == Some(&b'\n'));
                whole.extend_from_slice(&block[next..]);
                return;
            }
        }
    }
}

/// Text with Python's newlines; what is no UTF-8 becomes U+FFFD.
fn normalise(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    let bytes = match bytes {
        Cow::Borrowed(bytes) if memchr(b'\r', bytes).is_none() => {
            // Quicker than the lossy way, which looks at every character.
            return simdutf8::basic::from_utf8(bytes)
                .map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        }
        bytes => {
            let mut bytes = bytes.into_owned();
            python_newlines(&mut bytes);
            bytes
        }
    };
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// `\r\n` and a lone `\r` become `\n`.
fn python_newlines(text: &mut Vec<u8>) {
    let Some(first) = memchr(b'\r', text) else { return };
    let mut to = first;
    let mut from = first;
    while from < text.len() {
        let byte = text[from];
        if byte == b'\r' {
            from += usize::from(text.get(from + 1) == Some(&b'\n'));
        }
        text[to] = if byte == b'\r' { b'\n' } else { byte };
        (from, to) = (from + 1, to + 1);
    }
    text.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the reader's bytes in pieces of one length.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn lines(bytes: &[u8], piece: usize) -> Vec<String> {
        let mut source = Pieces(bytes, piece);
        let mut lines = Lines::new(&mut source);
        let mut all = Vec::new();
        while let Some(line) = lines.next() {
            all.push(line.to_owned());
        }
        all
    }

    #[test]
    fn lines_are_those_of_python() {
        assert_eq!(lines(b"", 1), [""]);
        assert_eq!(lines(b"a\r\nb\rc\n\r\n\xff\n", 7), ["a", "b", "c", "", "\u{fffd}", ""]);
    }

    #[test]
    fn blocks_do_not_show() {
        // Line ends and characters of several bytes at every distance from the end of a block.
        for shift in 0..6 {
            let mut text = "x".repeat(BLOCK - 8 + shift);
            text += "é\r\n\r\nüü\rend\n";
            text += &"y".repeat(2 * BLOCK);
            text += "\r";
            let expected: Vec<_> =
                text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(String::from).collect();
            assert_eq!(lines(text.as_bytes(), 100_000), expected, "{shift}");
            let mut source = text.as_bytes();
            assert_eq!(Lines::new(&mut source).text().unwrap(), expected.join("\n"));
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_is_whole() {
        let mut text = vec![b'x'; LONGEST_LINE + 3 * BLOCK];
        text.extend_from_slice(b"\r\nPASSED a\nlast");
        let found = lines(&text, usize::MAX);
        assert_eq!(found[0].len(), LONGEST_LINE);
        assert_eq!(found[1..], ["PASSED a", "last"]);
    }

    proptest::proptest! {
        #[test]
        fn newlines_become_pythons(text in "(\r|\n|a){0,20}") {
            let mut bytes = text.clone().into_bytes();
            python_newlines(&mut bytes);
            proptest::prop_assert_eq!(String::from_utf8(bytes).unwrap(), text.replace("\r\n", "\n").replace('\r', "\n"));
        }
    }
}
