//! Python's idea of lines and white space, which the reference parsers inherit
//! (reference/grading.md, section 4.0).

use std::borrow::Cow;

/// Reads a log as Python's text mode does: `\r\n` and lone `\r` are newlines.
#[must_use]
pub fn python_newlines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// `str.isspace`, for one character: Rust's idea plus the four separators.
#[must_use]
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// `str.split()`.
pub fn python_split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_python_space).filter(|word| !word.is_empty())
}

/// `str.strip()`.
#[must_use]
pub fn python_strip(text: &str) -> &str {
    text.trim_matches(is_python_space)
}
