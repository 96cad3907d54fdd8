//! Regular expressions as the reference's language means them.

use regex::Regex;

/// Compiles a constant pattern in which `\s`, `\S`, `\w` and `\d` mean what
/// they mean in Python: white space with the four separators U+001C to U+001F,
/// words without combining marks (reference/grading.md, section 4.0). They
/// must stand outside of brackets.
pub(crate) fn pattern(text: &str) -> Regex {
    let text = text
        .replace(r"\s", r"[\s\x1c-\x1f]")
        .replace(r"\S", r"[^\s\x1c-\x1f]")
        .replace(r"\w", r"[\p{L}\p{N}_]");
    #[expect(clippy::expect_used, reason = "every pattern is a constant that a test compiles")]
    Regex::new(&text).expect("a valid pattern")
}
