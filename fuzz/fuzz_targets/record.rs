//! Files of runs: any text is read or refused, and what is read of a record folds
//! or says why it does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::Trajectory;
use swegym_core::format::record::{read, write_entry};
use swegym_core::format::{attempts, evidence, journal, reports, run, scores};
use swegym_core::history::History;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(found) = attempts::read("a.0.json", &text) {
        assert_eq!(attempts::read("a.0.json", &attempts::write(&found).to_string()), Ok(found));
    }
    if let Ok(found) = evidence::read("evidence.json", &text) {
        assert_eq!(evidence::read("evidence.json", &evidence::write(&found)), Ok(found));
    }
    let _ = journal::read("events.jsonl", &text).map(|read| History::of(&read.entries));
    let _ = (run::read("run.json", &text), reports::read_judged("reports.jsonl", &text));
    let _ = scores::read("scores.jsonl", &text);
    let Ok(record) = read("0.jsonl", &text) else { return };
    let again: String = record.entries.iter().map(|e| write_entry(e.seq, e.at_ms, &e.event)).collect();
    assert_eq!(read("0.jsonl", &again).map(|r| r.entries), Ok(record.entries.clone()));
    let _ = Trajectory::fold(&record.into_events());
});
