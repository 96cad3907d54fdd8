//! JSON as programs write it. Python and Node write half a surrogate pair where
//! a text was cut inside a character, and read it back; Python writes `NaN`.
//! Neither is anything for serde, and neither may cost more than itself.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Result;

/// What is not JSON by the book and is read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leniency {
    /// Half a pair is one odd character (U+FFFD).
    HalfPairs,
    /// Besides, a number that is none (`NaN`, `Infinity`, `1e999`) is `null`.
    Numbers,
}

/// Reads a document, in which half a surrogate pair is one odd character.
///
/// # Errors
/// It is not JSON, or not what is asked for.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).or_else(|error| match mended(text, Leniency::HalfPairs) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// The same of bytes.
///
/// # Errors
/// Those of [`from_str`], and bytes that are no UTF-8.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    read(bytes, Leniency::HalfPairs)
}

/// Reads one row of a table: a number that is none costs its own field.
///
/// # Errors
/// Those of [`from_slice`].
pub fn row<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    read(bytes, Leniency::Numbers)
}

fn read<T: DeserializeOwned>(bytes: &[u8], leniency: Leniency) -> Result<T> {
    serde_json::from_slice(bytes).or_else(|error| {
        let Some(text) = text(bytes) else { return Err(error) };
        match (mended(&text, leniency), text) {
            (Some(mended), _) => serde_json::from_str(&mended),
            (None, Cow::Owned(text)) => serde_json::from_str(&text),
            (None, Cow::Borrowed(_)) => Err(error),
        }
    })
}

/// The bytes as text; half a pair may stand there as bytes, too, which Python
/// writes with `surrogatepass`.
fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(text.into());
    }
    let mut mended = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => {
                mended.extend("\u{fffd}".as_bytes());
                after
            }
            _ => {
                mended.push(*first);
                after
            }
        };
    }
    String::from_utf8(mended).ok().map(Cow::Owned)
}

/// The text with what is not JSON replaced; `None` where there is nothing of it.
#[must_use]
pub fn mended(text: &str, leniency: Leniency) -> Option<String> {
    let bytes = text.as_bytes();
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut mended, mut from, mut at, mut in_string) = (String::new(), 0, 0, false);
    while let Some(byte) = bytes.get(at) {
        let (length, instead) = match byte {
            b'"' => {
                in_string = !in_string;
                (1, None)
            }
            b'\\' => match unit(at) {
                Some(0xd800..0xdc00) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => (12, None),
                Some(0xd800..0xe000) => (6, Some("\\ufffd")),
                _ => (2, None),
            },
            b'-' | b'0'..=b'9' | b'N' | b'I' if !in_string && leniency == Leniency::Numbers => {
                let word = number(&text[at..]);
                // Python's words are numbers to Rust, too.
                let none = word.parse::<f64>().is_ok_and(|number| !number.is_finite());
                (word.len().max(1), none.then_some("null"))
            }
            _ => (1, None),
        };
        if let Some(instead) = instead {
            mended.push_str(&text[from..at]);
            mended.push_str(instead);
            from = at + length;
        }
        at += length;
    }
    (from > 0).then(|| mended + &text[from..])
}

/// The number, or what Python calls one, at the start of a text.
fn number(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn half_a_pair_is_one_odd_character() {
        for (text, read) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""a\ude00\ud83d\ude00b""#, "a\u{fffd}\u{1f600}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\\ud83d \ud83dé""#, "\\ud83d \u{fffd}é"),
            (r#""\uD83D\u0041""#, "\u{fffd}A"),
        ] {
            assert_eq!(from_str::<Value>(text).ok(), Some(json!(read)), "{text}");
            assert_eq!(row::<Value>(text.as_bytes()).ok(), Some(json!(read)), "{text}");
        }
        assert_eq!(from_slice::<Value>(b"\"a\xed\xa0\xbdb\"").ok(), Some(json!("a\u{fffd}b")));
        for bad in ["\"\\ud83d", "\"\\", "\"\\u", "{\"a\": \"\\ud83d\""] {
            assert!(from_str::<Value>(bad).is_err() && row::<Value>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(from_slice::<Value>(b"\"\xff\"").is_err() && from_slice::<Value>(b"\"\xed\xa0\"").is_err());
    }

    #[test]
    fn a_number_that_is_none_costs_its_field() {
        let text =
            r#"{"a": NaN, "b": [Infinity, -Infinity, 1e999, -1.5e3, 7], "c": "NaN, -Infinity", "NaN": 0}"#;
        let read: Value = row(text.as_bytes()).unwrap();
        let right = json!({"a": null, "b": [null, null, null, -1.5e3, 7], "c": "NaN, -Infinity", "NaN": 0});
        assert_eq!(read, right);
        assert!(from_slice::<Value>(text.as_bytes()).is_err());
        for bad in ["{\"a\": nan}", "{\"a\": NaNs}", "{\"a\": None}", "{NaN: 1}", "-"] {
            assert!(row::<Value>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_good_json_stays(text in "[\\\\\"ud83dDE0NaIn\\{\\}: ,é]{0,30}") {
            let strict = serde_json::from_str::<Value>(&text).ok();
            let read = row::<Value>(text.as_bytes()).ok();
            proptest::prop_assert!(strict.is_none() || strict == read);
        }
    }
}
