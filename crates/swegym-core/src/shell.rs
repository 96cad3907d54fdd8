//! Words as a shell takes them.

/// A word as bash takes it, whatever is in it.
#[must_use]
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
