//! JSON Lines, and one JSON list of rows. Each row is parsed alone, so that a
//! bad one costs nothing but itself.

use std::io::{self, BufRead};
use std::sync::Arc;

use swegym_core::format::{FormatError, Problem};

use super::rows::RowText;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A longer row is an exception, which the next one is not expected to be.
const LIKELY_ROW: usize = 256 << 10;

/// Rows, one a line.
pub(super) struct Lines<R> {
    file: Arc<str>,
    text: R,
    line: usize,
    /// Length of the row before: those of a file are alike, and one that grows
    /// while it is read is copied each time.
    length: usize,
    over: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(file: Arc<str>, text: R) -> Self {
        Self { file, text, line: 0, length: 0, over: false }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut bytes = Vec::with_capacity((self.length + self.length / 8).min(LIKELY_ROW));
        while !self.over {
            bytes.clear();
            self.line += 1;
            match self.text.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => {
                    self.over = true;
                    return Some(Err(unreadable(&self.file, self.line, &error)));
                }
            }
            if self.line == 1 && bytes.starts_with(MARK) {
                bytes.drain(..MARK.len());
            }
            while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                bytes.pop();
            }
            if !bytes.trim_ascii().is_empty() {
                self.length = bytes.len();
                return Some(Ok(RowText { file: self.file.clone(), line: self.line, json: bytes }));
            }
        }
        None
    }
}

fn unreadable(file: &str, line: usize, error: &io::Error) -> FormatError {
    FormatError::new(file, line, Problem::Unreadable(error.to_string()))
}

/// Rows of one list, found by counting brackets outside of strings.
pub(super) struct List<R> {
    file: Arc<str>,
    text: R,
    line: usize,
    /// The opening bracket was read.
    open: bool,
    over: bool,
}

impl<R: BufRead> List<R> {
    pub(super) fn new(file: Arc<str>, text: R) -> Self {
        Self { file, text, line: 1, open: false, over: false }
    }

    /// The bytes of the next element and the line on which it starts.
    fn element(&mut self) -> io::Result<(usize, Vec<u8>)> {
        let (mut bytes, mut start) = (Vec::new(), self.line);
        let (mut depth, mut in_string, mut escaped) = (0u32, false, false);
        loop {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                self.over = true;
                return Ok((start, bytes));
            }
            let mut used = 0;
            for byte in buffer {
                used += 1;
                self.line += usize::from(*byte == b'\n');
                if !self.open {
                    self.open = *byte == b'[';
                    continue;
                }
                if in_string {
                    in_string = escaped || *byte != b'"';
                    escaped = !escaped && *byte == b'\\';
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        b']' if depth == 0 => {
                            self.over = true;
                            break;
                        }
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        b',' if depth == 0 => {
                            self.text.consume(used);
                            return Ok((start, bytes));
                        }
                        space if space.is_ascii_whitespace() && bytes.is_empty() => {
                            start = self.line;
                            continue;
                        }
                        _ => {}
                    }
                }
                bytes.push(*byte);
            }
            self.text.consume(used);
            if self.over {
                return Ok((start, bytes));
            }
        }
    }
}

impl<R: BufRead> Iterator for List<R> {
    type Item = Result<RowText, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.element() {
            Ok((_, bytes)) if bytes.is_empty() && self.over => None,
            Ok((line, json)) => Some(Ok(RowText { file: self.file.clone(), line, json })),
            Err(error) => {
                self.over = true;
                Some(Err(unreadable(&self.file, self.line, &error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(rows: impl Iterator<Item = Result<RowText, FormatError>>) -> Vec<String> {
        let word = |row: Result<RowText, FormatError>| match row.and_then(|row| row.read()) {
            Ok(row) => format!("{}:{}", row.line, row.fields["a"]),
            Err(error) => error.to_string(),
        };
        rows.map(word).collect()
    }

    #[test]
    fn bad_lines_cost_only_themselves() {
        let text: &[u8] = b"\xef\xbb\xbf{\"a\":1}\n\n{\"a\":NaN}\n[2]\n{\"a\":\"\xff\"}\n{\"a\":3}\n{\"a\"";
        let found = ids(Lines::new("f".into(), text));
        assert_eq!(found.len(), 6);
        assert_eq!((found[0].as_str(), found[4].as_str()), ("1:1", "6:3"));
        assert!(found[1].starts_with("f:3: not valid JSON"), "{found:?}");
        assert!(found[2].starts_with("f:4: a row must be a JSON object"), "{found:?}");
        assert!(found[3].starts_with("f:5: not valid JSON") && found[5].starts_with("f:7: not valid JSON"));
    }

    #[test]
    fn lists_are_split_outside_of_strings() {
        let text = "[\n {\"a\": \"x]},\\\"[\"},\n{\"a\": [1,{}]}, 5\n,{\"a\": 2}]\n";
        let found = ids(List::new("f".into(), text.as_bytes()));
        assert_eq!(found[0], "2:\"x]},\\\"[\"");
        assert_eq!(found[1], "3:[1,{}]");
        assert_eq!(
            (found[2].as_str(), found[3].as_str()),
            ("f:3: a row must be a JSON object, this is a number", "4:2")
        );
        assert_eq!(found.len(), 4);
        assert_eq!(ids(List::new("f".into(), "[ ]".as_bytes())), Vec::<String>::new());
        let cut = ids(List::new("f".into(), "[{\"a\": 1},{\"a\"".as_bytes()));
        assert!(cut[0] == "1:1" && cut[1].starts_with("f:1: not valid JSON"), "{cut:?}");
    }
}
