//! Text as it is shown: cut, numbered, with tabs.

/// Both ends of a long text with a word on what is left out; `None` where it
/// is short enough.
pub(super) fn both_ends(text: &str, limit: usize, word: impl Fn(usize) -> String) -> Option<String> {
    if text.len() <= limit {
        return None;
    }
    let length = text.chars().count();
    if length <= limit {
        return None;
    }
    let half = limit / 2;
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(i, _)| i);
    Some([&text[..at(half)], &word(length - 2 * half), &text[at(length - half)..]].concat())
}

/// The first characters.
pub(super) fn start(text: &str, limit: usize) -> Option<&str> {
    text.char_indices().nth(limit).map(|(i, _)| &text[..i])
}

/// Lines as `cat -n` shows them.
pub(crate) fn numbered<'a>(lines: impl IntoIterator<Item = &'a str>, first: usize) -> String {
    let lines = lines.into_iter().enumerate().map(|(i, line)| format!("{:>6}\t{line}", first + i));
    lines.collect::<Vec<_>>().join("\n")
}

/// Tabs as blanks up to the next column of eight, as Python's `expandtabs`.
pub(super) fn without_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let blanks = 8 - column % 8;
                out.extend(std::iter::repeat_n(' ', blanks));
                column += blanks;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            other => {
                out.push(other);
                column += 1;
            }
        }
    }
    out
}

/// Line (from 1) of a place in a text.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_both_ends() {
        let word = |n: usize| format!("[{n}]");
        assert_eq!(both_ends("abcdef", 6, word), None);
        assert_eq!(both_ends("abcdefgé", 6, word).unwrap(), "abc[2]fgé");
        assert_eq!(both_ends("ééé", 3, word), None);
        assert_eq!(start("éab", 2), Some("éa"));
    }

    #[test]
    fn tabs_are_those_of_python() {
        assert_eq!(without_tabs("a\tb\n\tc\té"), "a       b\n        c       é");
    }
}
