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

/// `str.split()`.
pub fn python_split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_python_space).filter(|word| !word.is_empty())
}

/// The first word of a text and what follows it; `str.split()` in steps, for
/// lines of which only the first words matter.
#[must_use]
pub fn python_word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_python_space);
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|b| !b.is_ascii() || is_python_space(char::from(*b)));
    match end {
        _ if text.is_empty() => None,
        None => Some((text, "")),
        Some(end) if bytes[end].is_ascii() => Some(text.split_at(end)),
        Some(_) => Some(text.split_at(text.find(is_python_space).unwrap_or(text.len()))),
    }
}

/// `str.strip()`.
#[must_use]
pub fn python_strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}

/// `str.lstrip()`.
#[must_use]
pub fn python_lstrip(text: &str) -> &str {
    text.trim_start_matches(is_python_space)
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
