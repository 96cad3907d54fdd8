//! Bytes of a file as text, whatever editor or shell wrote them: UTF-8 with or
//! without its mark, or UTF-16, as PowerShell's `>` writes it.

use std::borrow::Cow;

use super::{FormatError, Problem};

/// UTF-8's mark, which says nothing.
pub const MARK: &str = "\u{feff}";

/// How the two bytes of UTF-16's units stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// Whether a file that begins so is UTF-16.
#[must_use]
pub fn is_utf16(start: &[u8]) -> bool {
    order(start).is_some()
}

/// By the mark; or, where there is none, by a first character that rows begin with.
fn order(start: &[u8]) -> Option<Order> {
    match start {
        [0xff, 0xfe, 0, 0, ..] | [0xff, 0xfe, 0xff, 0xff, ..] => None,
        [0xff, 0xfe, ..] | [b'{' | b'[' | b' ' | b'\r' | b'\n', 0, _, 0, ..] => Some(Order::Little),
        [0xfe, 0xff, ..] | [0, b'{' | b'[' | b' ' | b'\r' | b'\n', 0, _, ..] => Some(Order::Big),
        _ => None,
    }
}

/// A file's text. Half a surrogate pair of UTF-16 is one odd character.
///
/// # Errors
/// Bytes that are neither, with the line of the first that is not.
pub fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<Cow<'a, str>, FormatError> {
    if let Some(order) = order(bytes) {
        return Ok(Cow::Owned(from_utf16(bytes, order)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Cow::Borrowed(text.strip_prefix(MARK).unwrap_or(text))),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            Err(FormatError::new(file, line, Problem::NotText(error.valid_up_to())))
        }
    }
}

/// UTF-16 as UTF-8, without its mark.
#[must_use]
pub fn utf8_of_utf16(bytes: &[u8]) -> Option<String> {
    order(bytes).map(|order| from_utf16(bytes, order))
}

fn from_utf16(bytes: &[u8], order: Order) -> String {
    let unit = |pair: &[u8]| match (order, pair) {
        (Order::Little, [low, high]) => u16::from_le_bytes([*low, *high]),
        (Order::Big, [high, low]) => u16::from_be_bytes([*high, *low]),
        // The file ends in the middle of a unit.
        _ => 0xfffd,
    };
    let text: String = char::decode_utf16(bytes.chunks(2).map(unit))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    text.strip_prefix(MARK).map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, order: Order) -> Vec<u8> {
        let bytes = |unit: u16| if order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_and_utf16_are_text() {
        let text = "{\"a\": \"é\u{1f600}\"}\n";
        assert_eq!(decode("f", text.as_bytes()).unwrap(), text);
        assert_eq!(decode("f", format!("\u{feff}{text}").as_bytes()).unwrap(), text);
        for order in [Order::Little, Order::Big] {
            assert_eq!(decode("f", &utf16(text, order)).unwrap(), text);
            assert_eq!(decode("f", &utf16(&format!("\u{feff}{text}"), order)).unwrap(), text);
        }
        let mut cut = utf16(text, Order::Little);
        cut.pop();
        assert_eq!(decode("f", &cut).unwrap(), text.replace('\n', "\u{fffd}"));
        assert_eq!(decode("f", b"").unwrap(), "");
        let error = decode("f", b"a\nb\n\xe9\n").unwrap_err();
        assert_eq!(error.to_string(), "f:3: not UTF-8 text (byte 4)");
    }
}
