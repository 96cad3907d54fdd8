//! The rows of a text, found one after the other and parsed by whoever wants
//! them: JSON Lines; one list; objects one after the other, each on as many
//! lines as it likes; and one object that holds the rows by id, by split, or
//! among other things. A row that is damaged costs nothing but itself.

mod extent;
mod unfolded;

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use extent::Extent;

use super::text::MARK;

/// A longer row is an exception, which the next one is not expected to be.
const LIKELY_ROW: usize = 256 << 10;

/// The text of one row, which may be no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowText {
    /// The line on which it starts, from 1.
    pub line: usize,
    /// The row.
    pub json: Vec<u8>,
}

/// How the rows stand in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Nothing was read yet.
    Unknown,
    /// One a line.
    Lines,
    /// One after the other, found by their brackets.
    Values,
    /// The same between the brackets of a list.
    List,
}

/// Rows of a text.
pub struct Rows<R> {
    text: Source<R>,
    layout: Layout,
    /// The line that is read next.
    line: usize,
    /// Length of the row before: those of a file are alike, and one that grows
    /// while it is read is copied each time.
    length: usize,
    /// Rows of an object that held them all.
    ready: VecDeque<RowText>,
    over: bool,
}

impl<R: BufRead> Rows<R> {
    /// The rows of a text in UTF-8.
    pub fn new(text: R) -> Self {
        let text = Source { back: Vec::new(), at: 0, text };
        Self { text, layout: Layout::Unknown, line: 1, length: 0, ready: VecDeque::new(), over: false }
    }

    fn read(&mut self) -> io::Result<Option<RowText>> {
        if self.layout == Layout::Unknown {
            self.find_layout()?;
        }
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            let found = match self.layout {
                Layout::Values | Layout::List => self.value()?,
                Layout::Lines | Layout::Unknown => self.lines()?,
            };
            // Where that was the end of a list, others may follow.
            if found.is_some() || self.layout != Layout::Values || self.text.fill_buf()?.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Looks at the start of the text. A first object that holds the rows is
    /// taken apart.
    fn find_layout(&mut self) -> io::Result<()> {
        if self.text.starts_with(MARK.as_bytes())? {
            self.text.consume(MARK.len());
        }
        self.skip_blanks()?;
        if self.text.fill_buf()?.first() == Some(&b'[') {
            self.layout = Layout::Values;
            return Ok(());
        }
        self.layout = Layout::Lines;
        let line = self.line;
        let mut bytes = Vec::new();
        self.read_line(&mut bytes)?;
        let whole = match Extent::of(&bytes) {
            Extent::Whole => {
                bytes.truncate(bytes.trim_ascii_end().len());
                Some(RowText { line, json: bytes })
            }
            Extent::Several => {
                self.put_back(bytes, Layout::Values);
                None
            }
            Extent::Open if self.goes_on()? => {
                self.put_back(bytes, Layout::Values);
                self.value()?
            }
            Extent::Open | Extent::Other => {
                self.put_back(bytes, Layout::Lines);
                None
            }
        };
        if let Some(row) = whole {
            match unfolded::rows(&row.json, row.line) {
                Some(rows) => self.ready.extend(rows),
                None => self.ready.push_back(row),
            }
        }
        Ok(())
    }

    /// Whether the next line goes on with an object that is open: no line of
    /// one begins with a bracket at the margin, and every line of JSON Lines does.
    fn goes_on(&mut self) -> io::Result<bool> {
        Ok(self.text.fill_buf()?.first().is_some_and(|byte| *byte != b'{'))
    }

    /// Gives a line back, to be read in another way.
    fn put_back(&mut self, bytes: Vec<u8>, layout: Layout) {
        self.line -= bytes.iter().filter(|byte| **byte == b'\n').count();
        self.text.put_back(bytes);
        self.layout = layout;
    }

    fn read_line(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let read = self.text.read_until(b'\n', bytes)?;
        self.line += usize::from(bytes.last() == Some(&b'\n'));
        Ok(read > 0)
    }

    fn skip_blanks(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.text.fill_buf()?;
            let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.line += buffer[..blanks].iter().filter(|byte| **byte == b'\n').count();
            if blanks == 0 {
                return Ok(());
            }
            self.text.consume(blanks);
        }
    }

    /// The next line that is not blank. Almost every one is a row and nothing
    /// else, which is seen by its ends.
    fn lines(&mut self) -> io::Result<Option<RowText>> {
        let mut bytes = Vec::with_capacity((self.length + self.length / 8).min(LIKELY_ROW));
        loop {
            bytes.clear();
            let line = self.line;
            if !self.read_line(&mut bytes)? {
                return Ok(None);
            }
            let row = bytes.trim_ascii();
            let length = bytes.trim_ascii_end().len();
            let whole = row.last() == Some(&b'}') && !may_be_several(row);
            let values = row.first() == Some(&b'{')
                && !whole
                && match Extent::of(row) {
                    Extent::Several => true,
                    Extent::Open => self.goes_on()?,
                    Extent::Whole | Extent::Other => false,
                };
            if values {
                self.put_back(bytes, Layout::Values);
                return self.value();
            }
            if length > 0 {
                bytes.truncate(length);
                self.length = length;
                return Ok(Some(RowText { line, json: bytes }));
            }
        }
    }

    /// The next value, found by counting brackets outside of strings; `None` at
    /// the end of a list, and of the text.
    fn value(&mut self) -> io::Result<Option<RowText>> {
        self.skip_separators()?;
        let Some(first) = self.text.fill_buf()?.first().copied() else { return Ok(None) };
        let line = self.line;
        let mut json = Vec::new();
        match (self.layout, first) {
            (Layout::List, b']') => {
                self.text.consume(1);
                self.layout = Layout::Values;
                return Ok(None);
            }
            (Layout::List, _) | (_, b'{') => self.take_value(&mut json)?,
            (_, b'[') => {
                self.text.consume(1);
                self.layout = Layout::List;
                return self.value();
            }
            _ => drop(self.read_line(&mut json)?),
        }
        json.truncate(json.trim_ascii_end().len());
        Ok(Some(RowText { line, json }))
    }

    /// Blanks, and what people put between values.
    fn skip_separators(&mut self) -> io::Result<()> {
        loop {
            self.skip_blanks()?;
            match self.text.fill_buf()?.first() {
                Some(b',' | 0x1e) => self.text.consume(1),
                _ => return Ok(()),
            }
        }
    }

    fn take_value(&mut self, json: &mut Vec<u8>) -> io::Result<()> {
        let in_list = self.layout == Layout::List;
        let mut extent = extent::Counter::default();
        loop {
            let buffer = self.text.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let (mut used, mut over) = (0, false);
            for byte in buffer {
                // Of a row that was cut off, the next line is another one.
                if extent.is_cut_before(*byte) || in_list && extent.ends_before(*byte) {
                    over = true;
                    break;
                }
                used += 1;
                extent.count(*byte);
                if extent.is_over() && !in_list {
                    over = true;
                    break;
                }
            }
            self.line += buffer[..used].iter().filter(|byte| **byte == b'\n').count();
            json.extend_from_slice(&buffer[..used]);
            self.text.consume(used);
            if over {
                return Ok(());
            }
        }
    }
}

/// Whether a line has what stands between two objects. Most have not, and the
/// others are looked at more closely.
fn may_be_several(row: &[u8]) -> bool {
    memchr::memchr_iter(b'}', row).any(|at| row[at + 1..].trim_ascii_start().first() == Some(&b'{'))
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = io::Result<RowText>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.read().transpose();
        // What follows in a file that cannot be read is not found.
        self.over = !matches!(read, Some(Ok(_)));
        read
    }
}

impl<R> Rows<R> {
    /// The line that is read next.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }
}

/// A text of which a piece can be given back.
struct Source<R> {
    back: Vec<u8>,
    at: usize,
    text: R,
}

impl<R: BufRead> Source<R> {
    fn put_back(&mut self, bytes: Vec<u8>) {
        let rest = self.back.split_off(self.at.min(self.back.len()));
        self.back = bytes;
        self.back.extend(rest);
        self.at = 0;
    }

    fn starts_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        Ok(self.fill_buf()?.starts_with(bytes))
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let buffer = self.fill_buf()?;
        let count = buffer.len().min(into.len());
        into[..count].copy_from_slice(&buffer[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.back.get(self.at..) {
            Some(rest) if !rest.is_empty() => Ok(&self.back[self.at..]),
            _ => self.text.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if self.at < self.back.len() {
            self.at += count;
        } else {
            self.text.consume(count);
        }
    }
}

#[cfg(test)]
mod tests;
