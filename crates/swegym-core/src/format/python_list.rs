//! A list of strings as Python prints it: `['a', "it's", 'b\\n']`.

use crate::Names;

/// Reads such a list; `None` when it is anything else.
pub(crate) fn read(text: &str) -> Option<Names> {
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    let mut list = Names::default();
    while !rest.starts_with(']') {
        let (item, after) = string(rest)?;
        list.push(&item);
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with(']') => {}
            None => return None,
        }
    }
    rest[1..].is_empty().then_some(list)
}

/// One quoted string at the start of a text, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            '\\' => {
                let (at, kind) = chars.next()?;
                let digits = match kind {
                    'n' => ('\n', 0),
                    't' => ('\t', 0),
                    'r' => ('\r', 0),
                    '\\' | '\'' | '"' => (kind, 0),
                    'x' => ('\0', 2),
                    'u' => ('\0', 4),
                    'U' => ('\0', 8),
                    _ => return None,
                };
                if digits.1 == 0 {
                    value.push(digits.0);
                } else {
                    let code = text.get(at + 1..at + 1 + digits.1)?;
                    value.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                    chars.nth(digits.1 - 1)?;
                }
            }
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_python_writes_them() {
        let list = read(r#"['a', "it's", 't[\'x\']\n\\', '\x00\u00e9', ]"#).unwrap();
        assert_eq!(list, ["a", "it's", "t['x']\n\\", "\0é"]);
        assert!(read("[]").unwrap().is_empty());
        for bad in ["", "[", "['a'", "['a' 'b']", "[a]", "['a']x", "['\\", "['\\u12']", "[1]"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_or_refused(text in "[\\[\\]'\", a\\\\ux0é]{0,20}") {
            let _ = read(&text);
        }
    }
}
