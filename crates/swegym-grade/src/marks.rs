//! What harnesses write between the lines of a log: markers, and where they
//! stand (reference/grading.md, sections 4.4 and 4.5).

use std::io::{self, Read};
use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::bytes::Regex;

const START: &str = "Start Test Output";
const END: &str = "End Test Output";
const EXIT_CODE: &str = "Test Exit Code:";
const APPLIED: &str = "Applied Patch (pred)";

/// Words that say that the tests gave no result, with a code for each.
const TROUBLES: [(&str, &str); 4] = [
    ("Patch Apply Failed", "patch_apply_failed"),
    ("Reset Failed", "reset_failed"),
    ("Tests Errored", "tests_errored"),
    ("Tests Timed Out", "tests_timed_out"),
];

const ARROWS: &[u8] = b">>>>> ";
/// Signs of arrows, in a block, that may each be looked at.
const FEW_SIGNS: usize = 200;
const BLOCK: usize = 256 << 10;
/// More than any marker with its number takes.
const LONGEST: usize = 256;

/// The markers of one log. Places are offsets in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Length of the log.
    pub length: u64,
    /// The trouble that the log names, as a code.
    pub trouble: Option<&'static str>,
    /// Ranges of the start markers: the first two.
    pub starts: Vec<(u64, u64)>,
    /// Where the end marker that closes the tests begins: the first after the
    /// first start and before the second.
    pub end: Option<u64>,
    /// Where the last end marker begins.
    pub last_end: Option<u64>,
    /// Recorded exit statuses of the test command, in order; whether each is zero.
    pub exits_clean: Vec<bool>,
    /// End of the last "Applied Patch (pred)".
    pub answer_applied: Option<u64>,
    /// Words without a marker, in logs without a start marker; see [`Words`].
    pub words: Option<Words>,
}

/// What the second edition looks for, besides markers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Words {
    /// Git or the harness said that it applied a patch, in any case.
    pub applied: bool,
    /// "Failed to reset task environment".
    pub reset_failed: bool,
}

impl Words {
    /// Looks through a part of a log.
    fn note(&mut self, text: &[u8]) {
        static RESET: LazyLock<Finder<'static>> =
            LazyLock::new(|| Finder::new("Failed to reset task environment"));
        self.applied |= says_applied(text);
        self.reset_failed |= RESET.find(text).is_some();
    }

    /// Looks through a log.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn scan(log: &mut impl Read) -> io::Result<Self> {
        let mut words = Self::default();
        blocks(log, |block, _, _| words.note(block))?;
        Ok(words)
    }
}

impl Marks {
    /// Looks through a log.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn scan(log: &mut impl Read) -> io::Result<Self> {
        let (mut marks, mut words) = (Self::default(), Words::default());
        marks.length = blocks(log, |block, whole, start| {
            marks.note_all(block, whole, start);
            words.note(block);
        })?;
        marks.words = Some(words);
        Ok(marks)
    }

    /// Looks through a log in memory; for [`Words`] only where there is no
    /// start marker, since nothing else asks for them.
    #[must_use]
    pub fn of(log: &[u8]) -> Self {
        let mut marks = Self { length: log.len() as u64, ..Self::default() };
        marks.note_all(log, log.len(), 0);
        if marks.starts.is_empty() {
            marks.words.get_or_insert_default().note(log);
        }
        marks
    }

    fn note_all(&mut self, block: &[u8], whole: usize, start: u64) {
        static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(ARROWS));
        // A search for one sign is twice as quick as one for six, as long as it
        // finds little else.
        let mut signs = memchr::memchr_iter(ARROWS[0], block).take_while(|at| *at < whole);
        for at in signs.by_ref().take(FEW_SIGNS).filter(|at| block[*at..].starts_with(ARROWS)) {
            self.note(&block[at + ARROWS.len()..], start + at as u64);
        }
        let Some(rest) = signs.next() else { return };
        for at in FINDER.find_iter(&block[rest..]).map(|at| rest + at).take_while(|at| *at < whole) {
            self.note(&block[at + ARROWS.len()..], start + at as u64);
        }
    }

    /// Notes the marker whose words follow the arrows that stand at `at`.
    fn note(&mut self, words: &[u8], at: u64) {
        let end = |text: &str| at + (ARROWS.len() + text.len()) as u64;
        if words.starts_with(START.as_bytes()) {
            if self.starts.len() < 2 {
                self.starts.push((at, end(START)));
            }
        } else if words.starts_with(END.as_bytes()) {
            self.last_end = Some(at);
            if self.starts.len() == 1 && self.end.is_none() {
                self.end = Some(at);
            }
        } else if let Some(status) = words.strip_prefix(EXIT_CODE.as_bytes()) {
            self.exits_clean.extend(is_zero(status));
        } else if words.starts_with(APPLIED.as_bytes()) {
            self.answer_applied = Some(end(APPLIED));
        } else if let Some((_, code)) = TROUBLES.iter().find(|(text, _)| words.starts_with(text.as_bytes())) {
            self.trouble.get_or_insert(code);
        }
    }

    /// The tests' part of a log with both markers.
    #[must_use]
    pub fn tests(&self) -> Option<(u64, u64)> {
        let (_, from) = *self.starts.first()?;
        self.last_end?;
        let next = self.starts.get(1).map_or(self.length, |(at, _)| *at);
        Some((from, self.end.unwrap_or(next)))
    }
}

/// Gives a log block by block, to a function that sees the block, how much of it
/// is not seen again, and its place. What begins in the last bytes of a block
/// is left to the next one, which has it whole. Returns the log's length.
fn blocks(log: &mut impl Read, mut see: impl FnMut(&[u8], usize, u64)) -> io::Result<u64> {
    let (mut block, mut start) = (Vec::with_capacity(BLOCK + LONGEST), 0);
    loop {
        let read = Read::take(&mut *log, BLOCK as u64).read_to_end(&mut block)?;
        if read < BLOCK {
            see(&block, block.len(), start);
            return Ok(start + block.len() as u64);
        }
        let whole = block.len() - LONGEST;
        see(&block, whole, start);
        start += whole as u64;
        block.drain(..whole);
    }
}

/// Whether a recorded exit status, `: 0` and what follows, is zero; `None`
/// when it is no number.
fn is_zero(words: &[u8]) -> Option<bool> {
    let text = String::from_utf8_lossy(&words[..words.len().min(LONGEST)]);
    let text = crate::text::python_lstrip(&text);
    let digits = text.strip_prefix('-').unwrap_or(text);
    let digits = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
    (!digits.is_empty()).then(|| digits.bytes().all(|d| d == b'0'))
}

/// "applied patch" in any case.
fn says_applied(text: &[u8]) -> bool {
    #[expect(clippy::expect_used, reason = "a constant")]
    static APPLIED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("(?i-u)applied patch").expect("a valid pattern"));
    APPLIED.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Marks {
        let marks = Marks::scan(&mut text.as_bytes()).unwrap();
        let in_memory = Marks { words: marks.words, ..Marks::of(text.as_bytes()) };
        assert_eq!(marks, in_memory);
        marks
    }

    #[test]
    fn the_tests_stand_between_the_first_start_and_the_next_end() {
        let part = |text: &str| {
            let (from, to) = scan(text).tests()?;
            Some(text[from as usize..to as usize].to_owned())
        };
        let (start, end) = (">>>>> Start Test Output", ">>>>> End Test Output");
        assert_eq!(part(&format!("a{start}b{end}c{end}d")), Some("b".into()));
        assert_eq!(part(&format!("{start}b{start}c{end}")), Some("b".into()));
        assert_eq!(part(&format!("{end}{start}b")), Some("b".into()));
        assert_eq!(part(&format!("{start}b")), None);
        assert_eq!(part(&format!("b{end}")), None);
    }

    #[test]
    fn everything_else_is_noted() {
        let marks = scan(
            ">>>>> Test Exit Code:\n 00\n>>>>> Test Exit Code: -1\n>>>>> Test Exit Code: x\nAPPLIED patch\n\
             >>>>> Applied Patch (pred) >>>>> Tests Timed Out Failed to reset task environment",
        );
        assert_eq!(marks.exits_clean, [true, false]);
        assert_eq!(marks.words, Some(Words { applied: true, reset_failed: true }));
        assert!(marks.answer_applied.is_some());
        assert_eq!(marks.trouble, Some("tests_timed_out"));
    }

    #[test]
    fn markers_among_many_signs_are_found_once() {
        for before in FEW_SIGNS - 12..FEW_SIGNS + 3 {
            let text =
                format!("{}>>>>> Test Exit Code: 0\n{0}>>>>> Test Exit Code: 1\n", "<b>".repeat(before));
            assert_eq!(scan(&text).exits_clean, [true, false], "{before}");
        }
    }

    #[test]
    fn markers_at_the_ends_of_blocks_are_found_once() {
        for shift in 0..LONGEST * 2 {
            let text =
                format!("{}>>>>> Test Exit Code: 12\n{}", "x".repeat(BLOCK - shift), "y".repeat(BLOCK));
            assert_eq!(scan(&text).exits_clean, [false], "{shift}");
        }
    }
}
