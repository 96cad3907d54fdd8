//! The values of a file of JSON, one after the other: lines, lists, lists behind lists; also
//! compressed. Only one value is in memory at a time.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek as _};
use std::path::Path;
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use serde::de::{Deserialize as _, DeserializeSeed, SeqAccess, Visitor};
use serde_json::value::RawValue;
use swegym_core::format::text::{MARK, is_utf16, utf8_of_utf16};

/// A larger value is refused, in bytes.
const LARGEST: u64 = 64 << 20;

/// Why a file was not read to its end.
pub(super) enum Broken {
    Io(io::Error),
    Json { line: usize, why: String },
}

/// The values of one file.
pub(super) struct Values {
    text: Counted,
}

impl Values {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic)?;
        file.rewind()?;
        let mut text: Box<dyn BufRead> = match magic.as_slice() {
            [0x1f, 0x8b] => {
                Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(BufReader::new(file))))
            }
            _ => Box::new(BufReader::with_capacity(1 << 18, file)),
        };
        if is_utf16(text.fill_buf()?) {
            let mut bytes = Vec::new();
            text.take(LARGEST * 16).read_to_end(&mut bytes)?;
            text = Box::new(Cursor::new(utf8_of_utf16(&bytes).unwrap_or_default()));
        }
        if text.fill_buf()?.starts_with(MARK.as_bytes()) {
            text.consume(MARK.len());
        }
        let place = Place { line: Cell::new(1), left: Cell::new(LARGEST), is_cut: Cell::new(false) };
        Ok(Self { text: Counted { back: Vec::new(), at: 0, text, place: Rc::new(place) } })
    }

    /// Gives each value with its line, the elements of lists one by one, until `each` says that
    /// it is enough.
    pub(super) fn each(&mut self, mut each: impl FnMut(usize, &[u8]) -> bool) -> Result<(), Broken> {
        let place = Rc::clone(&self.text.place);
        while let Some(first) = self.text.skip_blanks().map_err(Broken::Io)? {
            place.left.set(LARGEST);
            let line = place.line.get();
            // Most files have one object a line, which is found much faster.
            if first == b'{' {
                let bytes = self.text.read_line().map_err(Broken::Io)?;
                if let Ok(value) = serde_json::from_slice::<&RawValue>(&bytes) {
                    if !each(line, value.get().as_bytes()) {
                        return Ok(());
                    }
                    continue;
                }
                self.text.put_back(bytes, line);
                place.left.set(LARGEST);
            }
            let mut goes_on = true;
            let mut reader = serde_json::Deserializer::from_reader(&mut self.text);
            let read = if first == b'[' {
                let elements = Elements { place: &place, each: &mut each, goes_on: &mut goes_on };
                elements.deserialize(&mut reader)
            } else {
                Box::<RawValue>::deserialize(&mut reader).map(|value| {
                    goes_on = each(line, value.get().as_bytes());
                })
            };
            if !goes_on {
                return Ok(());
            }
            read.map_err(|error| broken(error, &place))?;
        }
        Ok(())
    }
}

fn broken(error: serde_json::Error, place: &Place) -> Broken {
    let line = place.line.get();
    if place.is_cut.get() {
        return Broken::Json { line, why: format!("one value has more than {} MiB", LARGEST >> 20) };
    }
    match error.classify() {
        serde_json::error::Category::Io => Broken::Io(error.into()),
        // Its own lines begin anew with each value.
        _ => {
            let said = error.to_string();
            let why = said.split(" at line ").next().unwrap_or_default().to_owned();
            Broken::Json { line, why }
        }
    }
}

/// Where the reading is.
struct Place {
    line: Cell<usize>,
    /// How many bytes the value may still have.
    left: Cell<u64>,
    is_cut: Cell<bool>,
}

/// A text whose lines are counted.
struct Counted {
    /// What was read too far, and how much of it was read again.
    back: Vec<u8>,
    at: usize,
    text: Box<dyn BufRead>,
    place: Rc<Place>,
}

impl Counted {
    /// The first byte that is no blank, which stays.
    fn skip_blanks(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = self.fill()?;
            let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let (first, is_over) = (buffer.get(blanks).copied(), buffer.is_empty());
            self.consume(blanks);
            if first.is_some() || is_over {
                return Ok(first);
            }
        }
    }

    /// What there is up to the end of the line, or as much as a value may have.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        while (line.len() as u64) < LARGEST {
            let buffer = self.fill()?;
            let end = buffer.iter().position(|byte| *byte == b'\n').map_or(buffer.len(), |at| at + 1);
            line.extend_from_slice(&buffer[..end]);
            self.consume(end);
            if end == 0 || line.last() == Some(&b'\n') {
                break;
            }
        }
        Ok(line)
    }

    /// Gives back what was read since that line.
    fn put_back(&mut self, mut bytes: Vec<u8>, line: usize) {
        bytes.extend_from_slice(&self.back[self.at..]);
        (self.back, self.at) = (bytes, 0);
        self.place.line.set(line);
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        if self.at < self.back.len() { Ok(&self.back[self.at..]) } else { self.text.fill_buf() }
    }

    fn consume(&mut self, amount: usize) {
        let is_back = self.at < self.back.len();
        let buffer = if is_back { &self.back[self.at..] } else { self.text.fill_buf().unwrap_or_default() };
        let lines = buffer[..amount].iter().filter(|byte| **byte == b'\n').count();
        self.place.line.update(|line| line + lines);
        if is_back { self.at += amount } else { self.text.consume(amount) }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let there = self.fill()?;
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        let Some(left) = self.place.left.get().checked_sub(read as u64) else {
            self.place.is_cut.set(true);
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.consume(read);
        self.place.left.set(left);
        Ok(read)
    }
}

/// The elements of a list, each given when it is read.
struct Elements<'a, F> {
    place: &'a Place,
    each: &'a mut F,
    goes_on: &'a mut bool,
}

impl<'de, F: FnMut(usize, &[u8]) -> bool> DeserializeSeed<'de> for Elements<'_, F> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(usize, &[u8]) -> bool> Visitor<'de> for Elements<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element::<Box<RawValue>>()? {
            self.place.left.set(LARGEST);
            // Where it ends is known, and how many lines it has.
            let text = value.get();
            let line = self.place.line.get().saturating_sub(text.bytes().filter(|b| *b == b'\n').count());
            if !(self.each)(line, text.as_bytes()) {
                *self.goes_on = false;
                return Err(serde::de::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(usize, Value)>, usize> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, text).unwrap();
        let mut found = Vec::new();
        let read = Values::open(&path).unwrap().each(|line, json| {
            found.push((line, serde_json::from_slice(json).unwrap()));
            true
        });
        match read {
            Ok(()) => Ok(found),
            Err(Broken::Json { line, .. }) => Err(line),
            Err(Broken::Io(error)) => panic!("{error}"),
        }
    }

    /// Objects with whatever characters and nested lists.
    fn objects() -> impl Strategy<Value = Vec<Value>> {
        let object =
            (any::<String>(), any::<String>(), any::<i64>(), prop::collection::vec(any::<String>(), 0..3));
        let object =
            object.prop_map(|(name, text, number, list)| json!({name: text, "n": number, "list": list}));
        prop::collection::vec(object, 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn values_are_the_same_however_they_stand(values in objects(), gap in "[ \n\t\r]{0,3}") {
            let lines: String = values.iter().map(|value| format!("{value}\n")).collect();
            let indented: Vec<String> = values.iter().map(|value| format!("{value:#}")).collect();
            let list = format!("{gap}[{gap}{}{gap}]{gap}", indented.join(","));
            let place = |texts: &[String], first: usize, between: usize| {
                let mut line = first;
                let mut places = Vec::new();
                for text in texts {
                    places.push(line);
                    line += text.matches('\n').count() + between;
                }
                places
            };
            let with = |places: Vec<usize>| places.into_iter().zip(values.clone()).collect::<Vec<_>>();
            let gaps = gap.matches('\n').count();
            prop_assert_eq!(read(lines.as_bytes()), Ok(with((1..=values.len()).collect())));
            prop_assert_eq!(read(indented.join("\n").as_bytes()), Ok(with(place(&indented, 1, 1))));
            prop_assert_eq!(read(indented.join("").as_bytes()), Ok(with(place(&indented, 1, 0))));
            prop_assert_eq!(read(list.as_bytes()), Ok(with(place(&indented, 1 + 2 * gaps, 0))));
            prop_assert_eq!(read(format!("{lines}{list}").as_bytes()).map(|found| found.len()), Ok(2 * values.len()));
            prop_assert_eq!(read(format!("{lines}{{\"a\": ").as_bytes()), Err(values.len() + 1));
        }

        #[test]
        fn bytes_of_all_kinds_are_no_trouble(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            std::fs::write(&path, &bytes).unwrap();
            let _ = Values::open(&path).map(|mut values| values.each(|_, _| true).is_ok());
        }
    }
}
