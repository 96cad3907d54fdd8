//! Text of others, made fit to be shown.
//!
//! Characters that nobody sees can steer a terminal, turn the order of what is
//! read around (Boucher and Anderson, arXiv 2111.00169), or hide words. Where a
//! model's or a repository's text is shown to people, they stand there as their
//! numbers: `<U+202E>`. Records and exports keep them as they are.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What a person reads: `<U+202E>` for each character that would not be seen.
/// Line feeds and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    spell(text, |out, c| _ = write!(out, "<U+{:04X}>", u32::from(c)))
}

/// The same within a page, whose text is escaped already.
pub fn visible_in_html(page: &str) -> Cow<'_, str> {
    spell(page, |out, c| _ = write!(out, "&lt;U+{:04X}&gt;", u32::from(c)))
}

/// The same within a JSON document, by JSON's own escape: its meaning stays.
pub fn visible_in_json(document: &str) -> Cow<'_, str> {
    spell(document, |out, c| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
    })
}

fn spell(text: &str, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    // Most texts have nothing of the kind, and most of those are ASCII.
    if !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut spelt = String::with_capacity(text.len() + 64);
    let mut chars = text.chars().peekable();
    let mut last = None;
    while let Some(c) = chars.next() {
        let ends_line = c == '\r' && chars.peek() == Some(&'\n');
        let is_seen = ends_line || !is_unseen(c) || (is_presentation(c) && last.is_some_and(is_symbol));
        if is_seen {
            spelt.push(c);
        } else {
            write(&mut spelt, c);
        }
        last = Some(c);
    }
    Cow::Owned(spelt)
}

/// Whether a character has no shape of its own: controls, and what Unicode has
/// for format, for joining, for direction and as filling.
fn is_unseen(c: char) -> bool {
    if c.is_ascii() {
        return c.is_control() && c != '\n' && c != '\t';
    }
    matches!(u32::from(c),
        0x80..=0x9F
        | 0xAD | 0x034F | 0x061C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
        | 0x1_3430..=0x1_3440 | 0x1_BCA0..=0x1_BCA3 | 0x1_D173..=0x1_D17A
        | 0xE_0000..=0xE_0FFF)
}

/// The two that say whether a symbol is drawn in colours.
fn is_presentation(c: char) -> bool {
    matches!(c, '\u{FE0E}' | '\u{FE0F}')
}

/// What they may follow. After anything else, or after one another, they only hide.
fn is_symbol(c: char) -> bool {
    !c.is_ascii() && !c.is_alphanumeric() && !is_unseen(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_spelt() {
        for (text, shown) in [
            ("plain\ttext\nand ünïcödé 漢字 🐈 ✔️ café", "plain\ttext\nand ünïcödé 漢字 🐈 ✔️ café"),
            ("if \u{202E}admin\u{2066} {", "if <U+202E>admin<U+2066> {"),
            ("\u{1b}[2Jx\u{7}\u{9b}31m\u{7f}\0", "<U+001B>[2Jx<U+0007><U+009B>31m<U+007F><U+0000>"),
            ("a\r\nb\rc\r", "a\r\nb<U+000D>c<U+000D>"),
            ("a\u{200B}b\u{200D}c\u{FEFF}d\u{AD}e\u{2060}", "a<U+200B>b<U+200D>c<U+FEFF>d<U+00AD>e<U+2060>"),
            ("\u{E0041}\u{E0100}\u{FFF9}\u{2028}\u{3164}", "<U+E0041><U+E0100><U+FFF9><U+2028><U+3164>"),
            ("a\u{FE0F}✔\u{FE0F}\u{FE0F}\u{FE0E}", "a<U+FE0F>✔\u{FE0F}<U+FE0F><U+FE0E>"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "twice is as once");
        }
        for mark in ['\u{61C}', '\u{200E}', '\u{200F}'].into_iter().chain('\u{202A}'..='\u{202E}') {
            assert!(!visible(&format!("a{mark}b")).contains(mark));
        }
        assert!(('\u{2066}'..='\u{2069}').all(is_unseen));
    }

    #[test]
    fn pages_and_documents_have_escapes_of_their_own() {
        assert_eq!(visible_in_html("<b>a\u{202E}</b>\n"), "<b>a&lt;U+202E&gt;</b>\n");
        let value = serde_json::json!({"a\u{202E}": ["\u{E0041}\u{7f}\u{1b}", "\u{9b}\n"]});
        let text = format!("{value:#}");
        let shown = visible_in_json(&text);
        assert!(!shown.chars().any(is_unseen), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
