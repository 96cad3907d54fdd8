//! Logs: every parser reads anything, and reads a log in memory and one in a
//! file to the same.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use swegym_grade::parser::Edition;
use swegym_grade::reading::{Dialect, Guards};
use swegym_grade::{Log, LogParser, Reading};

const DIALECTS: [Dialect; 4] = [Dialect::Bare, Dialect::Marked, Dialect::AfterAnswer, Dialect::Applied];
const EDITIONS: [Edition; 4] = [Edition::V1, Edition::V2, Edition::V4, Edition::V5];

fuzz_target!(|bytes: &[u8]| {
    let [parser, rules, log @ ..] = bytes else { return };
    let parser = LogParser::ALL[*parser as usize % LogParser::ALL.len()];
    let (dialect, edition) = (DIALECTS[*rules as usize % 4], EDITIONS[*rules as usize / 4 % 4]);
    let read = |log: &mut Log<'_, Cursor<&[u8]>>| {
        let marks = log.marks().expect("memory can be read");
        Reading::of(log, &marks, dialect, Guards::V5, (parser, edition)).expect("memory can be read")
    };
    let in_memory = read(&mut Log::Bytes(log));
    let in_file = read(&mut Log::File(&mut Cursor::new(log)));
    assert_eq!(in_memory, in_file);
});
