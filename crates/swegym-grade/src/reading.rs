//! What a log says: the tests' statuses, or why it is no result.

use std::io::{self, Read, Seek, SeekFrom};

use swegym_core::{Boundary, Fault, TestStatus};

use crate::infra::{self, Sign, Summary};
use crate::lines::Lines;
use crate::marks::{Marks, Words};
use crate::parser::{Edition, LogParser, StatusMap};

/// How a log is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The tests' output and nothing else: our own logs, whose exit status the
    /// supervisor keeps.
    Bare,
    /// Between start and end markers, with the exit status below (swebench 3 to 5).
    Marked,
    /// After the last "Applied Patch (pred)", which must be there (swebench 1).
    AfterAnswer,
    /// A whole log in which some patch was applied, after the last "Applied
    /// Patch (pred)" if there is one (swebench 2, SWE-Gym's fork).
    Applied,
}

/// Which guards a reading has against logs that do not describe their run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guards {
    /// None, as before the fifth edition.
    None,
    /// Silence needs a sign that tests ran; a failing exit needs a failing test.
    V5,
}

/// A log that can be read more than once.
pub enum Log<'a, F> {
    /// In memory.
    Bytes(&'a [u8]),
    /// Too long for that.
    File(&'a mut F),
}

impl<F: Read + Seek> Log<'_, F> {
    /// Its markers.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn marks(&mut self) -> io::Result<Marks> {
        match self {
            Self::Bytes(bytes) => Ok(Marks::of(bytes)),
            Self::File(file) => {
                file.rewind()?;
                Marks::scan(file)
            }
        }
    }

    fn words(&mut self) -> io::Result<Words> {
        match self {
            // A copy of the slice: reading moves it.
            Self::Bytes(bytes) => Words::scan(&mut &**bytes),
            Self::File(file) => {
                file.rewind()?;
                Words::scan(file)
            }
        }
    }

    /// Reads a part by lines.
    fn read<T>(&mut self, (from, to): (u64, u64), with: impl FnOnce(&mut Lines<'_>) -> T) -> io::Result<T> {
        match self {
            Self::Bytes(bytes) => {
                let to = (to as usize).min(bytes.len());
                Ok(with(&mut Lines::of(&bytes[(from as usize).min(to)..to])))
            }
            Self::File(file) => {
                file.seek(SeekFrom::Start(from))?;
                let mut part = Read::take(&mut **file, to.saturating_sub(from));
                let mut lines = Lines::new(&mut part);
                let value = with(&mut lines);
                lines.failure().map_or(Ok(value), Err)
            }
        }
    }
}

/// One log, read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// What the log says of each test.
    pub statuses: StatusMap,
    /// Why the log is no result; nothing else counts then.
    pub refusal: Option<Fault>,
    /// What may have broken, where there is no result.
    pub sign: Option<Sign>,
    /// What stands between the end marker that counts and the last one: a log
    /// that goes on after its end had it forged, if this says something else.
    pub after_end: StatusMap,
    /// What the runner counted, in a log that names no test.
    pub summary: Option<Summary>,
}

impl Reading {
    /// Reads a log.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of<F: Read + Seek>(
        log: &mut Log<'_, F>,
        marks: &Marks,
        dialect: Dialect,
        guards: Guards,
        (parser, edition): (LogParser, Edition),
    ) -> io::Result<Self> {
        let mut reading = Self::default();
        let whole = (0, marks.length);
        let part = match dialect {
            Dialect::Bare => Ok(whole),
            Dialect::Marked => marked_part(marks),
            Dialect::AfterAnswer => marks
                .answer_applied
                .map(|from| (from, marks.length))
                .ok_or(("answer_not_applied", "the log has no \"Applied Patch (pred)\"")),
            Dialect::Applied => {
                let words = marks.words.map_or_else(|| log.words(), Ok)?;
                applied_part(marks, words)
            }
        };
        match part {
            Err((code, message)) => reading.refuse(code, message),
            Ok(part) => {
                reading.parse(log, part, parser, edition)?;
                if reading.statuses.is_empty() && dialect == Dialect::Marked {
                    reading.parse(log, whole, parser, edition)?;
                }
                if dialect == Dialect::Marked && guards == Guards::V5 {
                    reading.doubt(log, marks)?;
                    reading.read_after_end(log, (part.1, marks.last_end), parser, edition)?;
                }
            }
        }
        if reading.refusal.is_some() {
            reading.sign = log.read(whole, infra::classify)?;
        }
        Ok(reading)
    }

    /// Reads a log of our own, which is the tests' output and nothing else.
    #[must_use]
    pub fn bare(log: &str, parser: LogParser) -> Self {
        let statuses = parser.parse(log);
        let summary = statuses.is_empty().then(|| infra::summary(&mut Lines::of(log.as_bytes()))).flatten();
        Self { statuses, summary, ..Self::default() }
    }

    /// Reads the log of a script of ours, which marks the tests' output.
    #[must_use]
    pub fn marked(log: &str, parser: LogParser) -> Self {
        let marks = Marks::of(log.as_bytes());
        let mut log = Log::<io::Cursor<&[u8]>>::Bytes(log.as_bytes());
        let rules = (parser, Edition::Own);
        // A log in memory gives no errors.
        Self::of(&mut log, &marks, Dialect::Marked, Guards::V5, rules).unwrap_or_default()
    }

    fn refuse(&mut self, code: &str, message: &str) {
        self.refusal = Some(Fault::new(Boundary::Agent, code, message));
    }

    fn parse<F: Read + Seek>(
        &mut self,
        log: &mut Log<'_, F>,
        part: (u64, u64),
        parser: LogParser,
        edition: Edition,
    ) -> io::Result<()> {
        let (statuses, too_long) = log.read(part, |lines| (parser.read(lines, edition), lines.too_long()))?;
        self.statuses = statuses;
        if too_long {
            let message = format!("`{}` needs the whole log at once, and it is too long", parser.name());
            self.refuse("log_too_long", &message);
        }
        Ok(())
    }

    /// Rules 2 and 3 of the fifth edition. The reference believes the first
    /// exit status in the log, which the tests can forge; here every one counts.
    fn doubt<F: Read + Seek>(&mut self, log: &mut Log<'_, F>, marks: &Marks) -> io::Result<()> {
        if self.statuses.is_empty() {
            self.summary = log.read((0, marks.length), infra::summary)?;
            if !log.read((0, marks.length), infra::suite_ran)? {
                self.refusal = Some(no_results(self.summary.as_ref()));
            }
        } else if marks.exits_clean.contains(&false) && !has_failures(&self.statuses) {
            self.refuse("exit_without_failure", "the test command failed although every listed test passed");
        }
        Ok(())
    }

    fn read_after_end<F: Read + Seek>(
        &mut self,
        log: &mut Log<'_, F>,
        (end, last): (u64, Option<u64>),
        parser: LogParser,
        edition: Edition,
    ) -> io::Result<()> {
        if let Some(last) = last.filter(|last| *last > end) {
            self.after_end = log.read((end, last), |lines| parser.read(lines, edition))?;
        }
        Ok(())
    }
}

/// A log that names no test: nothing ran, or what ran is counted and not named.
pub(crate) fn no_results(summary: Option<&Summary>) -> Fault {
    match summary {
        None => {
            let message = "the log names no test and nothing says that tests ran";
            Fault::new(Boundary::Agent, "no_test_results", message)
        }
        Some(Summary { runner, said, .. }) if said.to_lowercase().starts_with("no tests") => {
            Fault::new(Boundary::Agent, "no_tests_ran", format!("{runner} found no test to run"))
                .with_hint("look at what it collects: the files and names that it is told, and errors above")
        }
        Some(summary) => not_named(Some(summary)),
    }
}

/// A log that names no test, though some ran.
pub(crate) fn not_named(summary: Option<&Summary>) -> Fault {
    let (message, hint) = match summary {
        Some(Summary { runner, said, naming }) => {
            (format!("the log names no test, though {runner} counted some: {said}"), *naming)
        }
        None => (
            "the log names no test, though its runner counted some".to_owned(),
            "let the runner name every test and how it ended",
        ),
    };
    Fault::new(Boundary::Agent, "tests_not_named", message).with_hint(hint)
}

/// Whether any test failed or broke.
#[must_use]
pub fn has_failures(statuses: &StatusMap) -> bool {
    statuses.values().any(|s| matches!(s.status(), Some(TestStatus::Failed | TestStatus::Error)))
}

type Part = Result<(u64, u64), (&'static str, &'static str)>;

/// Rule 1: no trouble, both markers.
fn marked_part(marks: &Marks) -> Part {
    if let Some(trouble) = marks.trouble {
        return Err((trouble, "the log says that the tests gave no result"));
    }
    marks.tests().ok_or(("markers_missing", "the log lacks its start or its end marker"))
}

/// The second edition's rule (reference/swe-gym.md, section 3.5).
fn applied_part(marks: &Marks, words: Words) -> Part {
    match marks.trouble {
        Some(trouble) => Err((trouble, "the log says that the tests gave no result")),
        None if words.reset_failed => Err(("reset_failed", "the log says that the task could not be reset")),
        None if !words.applied => Err(("test_patch_not_applied", "no patch was applied, by the log")),
        None => Ok((marks.answer_applied.unwrap_or(0), marks.length)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// Found by the fuzz target `log`: looking for words emptied the log.
    #[test]
    fn a_log_in_memory_is_read_whole_after_its_words_are_looked_for() {
        let text = ">>>>> Applied Patch (pred)\n>>>>> Start Test Output\nPASSED a.py::t\n";
        let mut log = Log::<Cursor<&[u8]>>::Bytes(text.as_bytes());
        let marks = log.marks().unwrap();
        let rules = (LogParser::Pytest, Edition::V2);
        let reading = Reading::of(&mut log, &marks, Dialect::Applied, Guards::None, rules).unwrap();
        assert_eq!(reading.refusal, None);
        assert_eq!(reading.statuses.keys().collect::<Vec<_>>(), ["a.py::t"]);
    }
}
