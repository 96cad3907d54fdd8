//! Flags of a verb in one text, as `improve` takes them for its steps.
//!
//! Words end at blanks. Quotes and backslashes mean what they do in a shell; and a
//! JSON object or list, at the beginning of a word or behind its first `=`, is one
//! word as it stands, with its blanks and quotes: `--extra {"top_k": 20}`.

use serde::de::IgnoredAny;
use swegym_console::error::CommandError;

/// The words of the flags that an option holds.
///
/// # Errors
/// A quote that does not end.
pub(crate) fn words(option: &str, text: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, behind) = word(rest).ok_or_else(|| {
            let message = format!("a quote in {option} does not end: {rest}");
            CommandError::usage(message, "end it, or write \\\" or \\' for a quote that is meant as such")
        })?;
        words.push(word);
        rest = behind.trim_start();
    }
    Ok(words)
}

/// The first word of a text that begins with one, and what is behind it.
fn word(text: &str) -> Option<(String, &str)> {
    let (mut word, mut rest) = (String::new(), text);
    let mut may_be_json = true;
    loop {
        if let Some(length) = may_be_json.then(|| json(rest)).flatten() {
            word.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        let Some(first) = rest.chars().next().filter(|c| !c.is_whitespace()) else {
            return Some((word, rest));
        };
        rest = &rest[first.len_utf8()..];
        may_be_json = first == '=' && !word.contains('=');
        match first {
            '\'' => {
                let end = rest.find('\'')?;
                word.push_str(&rest[..end]);
                rest = &rest[end + 1..];
            }
            '"' => rest = quoted(&mut word, rest)?,
            '\\' => {
                let meant = rest.chars().next()?;
                word.push(meant);
                rest = &rest[meant.len_utf8()..];
            }
            other => word.push(other),
        }
    }
}

/// What stands in double quotes; gives what is behind them.
fn quoted<'a>(word: &mut String, text: &'a str) -> Option<&'a str> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some(&text[at + 1..]),
            '\\' => match characters.next()?.1 {
                meant @ ('"' | '\\' | '$' | '`') => word.push(meant),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
    None
}

/// The length of the JSON object or list that a text begins with.
fn json(text: &str) -> Option<usize> {
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_word_with_its_blanks_and_quotes() {
        for (text, expected) in [
            ("", &[][..]),
            ("  --lora 4\n --half ", &["--lora", "4", "--half"]),
            ("--extra {\"top_k\": 20} --stream", &["--extra", "{\"top_k\": 20}", "--stream"]),
            ("--extra={\"a\": {\"b\": [1, 2]}}", &["--extra={\"a\": {\"b\": [1, 2]}}"]),
            ("--extra '{\"top_k\": 20}'", &["--extra", "{\"top_k\": 20}"]),
            ("--extra \"{\\\"top_k\\\": 20}\"", &["--extra", "{\"top_k\": 20}"]),
            ("--extra {\"stop\": \"it's \\\"over\\\"\"}", &["--extra", "{\"stop\": \"it's \\\"over\\\"\"}"]),
            ("--prompts 'my prompts/a'", &["--prompts", "my prompts/a"]),
            ("--prompts my\\ prompts", &["--prompts", "my prompts"]),
            ("--model a=b={c} ''", &["--model", "a=b={c}", ""]),
            ("--band [0,1] {no json}", &["--band", "[0,1]", "{no", "json}"]),
            ("--name é'ü ö'\"ä\"", &["--name", "éü öä"]),
        ] {
            assert_eq!(words("--rollout", text).unwrap(), expected, "{text}");
        }
        for text in ["--prompts 'a", "\"a\\", "a \\"] {
            let error = words("--rollout", text).unwrap_err();
            assert!(error.message.contains("--rollout") && error.hint.is_some(), "{text}");
        }
    }
}
