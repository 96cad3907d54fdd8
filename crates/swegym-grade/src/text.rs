//! Python's idea of lines and white space, which the reference parsers inherit
//! (reference/grading.md, section 4.0).

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// `str.isspace`, for one character: Rust's idea plus the four separators.
#[must_use]
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The same, for a byte below U+0080.
fn is_ascii_python_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

/// `str.split()`.
pub fn python_split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_python_space).filter(|word| !word.is_empty())
}

/// The first word of a text and what follows it; `str.split()` in steps, for
/// lines of which only the first words matter.
#[must_use]
pub fn python_word(text: &str) -> Option<(&str, &str)> {
    let text = python_lstrip(text);
    let bytes = text.as_bytes();
    let graphic = graphic_start(bytes);
    let end = bytes[graphic..].iter().position(|b| !b.is_ascii() || is_ascii_python_space(*b));
    let end = end.map(|end| graphic + end);
    match end {
        _ if text.is_empty() => None,
        None => Some((text, "")),
        Some(end) if bytes[end].is_ascii() => Some(text.split_at(end)),
        Some(_) => Some(text.split_at(text.find(is_python_space).unwrap_or(text.len()))),
    }
}

/// A length for which a text has no white space and nothing beyond ASCII: not
/// the greatest, but found many bytes at once.
fn graphic_start(bytes: &[u8]) -> usize {
    const STEP: usize = 16;
    let is_graphic = |step: &&[u8; STEP]| step.iter().fold(true, |all, byte| all & byte.is_ascii_graphic());
    STEP * bytes.as_chunks().0.iter().take_while(is_graphic).count()
}

/// `str.strip()`.
#[must_use]
pub fn python_strip(text: &str) -> &str {
    let text = python_lstrip(text);
    match text.as_bytes() {
        [.., last] if last.is_ascii_graphic() => text,
        _ => text.trim_end_matches(is_python_space),
    }
}

/// `str.lstrip()`.
#[must_use]
pub fn python_lstrip(text: &str) -> &str {
    match text.as_bytes().iter().position(|b| !is_ascii_python_space(*b)) {
        None => "",
        Some(start) if text.as_bytes()[start].is_ascii() => &text[start..],
        Some(_) => text.trim_start_matches(is_python_space),
    }
}

/// How far a line is indented: characters of white space before the first other one.
#[must_use]
pub fn indent(line: &str) -> usize {
    line.chars().take_while(|c| is_python_space(*c)).count()
}

/// Removes terminal escapes: `\x1b` with one of `@` to `_`, or with `[`,
/// parameters and a final letter (the reference's `ansi_escape`).
#[must_use]
pub fn without_escapes(text: &str) -> Cow<'_, str> {
    static ESCAPE: LazyLock<Regex> =
        LazyLock::new(|| crate::parser::pattern(r"\x1B(?:[@-Z\\-_]|\[[0-?]*[ -/]*[@-~])"));
    ESCAPE.replace_all(text, "")
}

/// `\d`, for one character.
#[must_use]
pub fn is_python_digit(c: char) -> bool {
    static DIGIT: LazyLock<Regex> = LazyLock::new(|| crate::parser::pattern(r"^\d$"));
    c.is_ascii_digit() || (!c.is_ascii() && DIGIT.is_match(c.encode_utf8(&mut [0; 4])))
}

/// `\w`, for one character.
#[must_use]
pub fn is_python_word(c: char) -> bool {
    static WORD: LazyLock<Regex> = LazyLock::new(|| crate::parser::pattern(r"^\w$"));
    c == '_' || c.is_ascii_alphanumeric() || (!c.is_ascii() && WORD.is_match(c.encode_utf8(&mut [0; 4])))
}

/// What follows one character of white space.
#[must_use]
pub fn after_space(text: &str) -> Option<&str> {
    text.strip_prefix(is_python_space)
}

/// A name without the duration that may stand at its end: `\s\(\d+\s*m?s\)`.
#[must_use]
pub fn without_duration(name: &str) -> &str {
    let bare = || {
        let inner = name.strip_suffix("s)")?;
        let inner = inner.strip_suffix('m').unwrap_or(inner).trim_end_matches(is_python_space);
        let open = inner.trim_end_matches(is_python_digit);
        let bare = open.strip_suffix('(')?.strip_suffix(is_python_space)?;
        (open.len() < inner.len() && !bare.is_empty()).then_some(bare)
    };
    bare().unwrap_or(name)
}

/// `(.+) \((.+)\)$`: what stands before the last bracketed words, of which
/// there is at least one character.
#[must_use]
pub fn before_brackets(text: &str) -> Option<&str> {
    let inner = text.strip_suffix(')')?;
    // A search for one byte needs no preparation, which one for two does.
    let opens = memchr::memrchr_iter(b'(', inner.as_bytes());
    let mut opens = opens.filter_map(|at| at.checked_sub(1).filter(|at| inner.as_bytes()[*at] == b' '));
    let mut at = opens.next()?;
    if at + 2 == inner.len() {
        at = opens.find(|before| before + 2 <= at)?;
    }
    (at > 0).then(|| &text[..at])
}
