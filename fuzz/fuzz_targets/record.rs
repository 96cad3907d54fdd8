//! Records of attempts: any text is read or refused, and what is read folds or
//! says why it does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::Trajectory;
use swegym_core::format::record::{read, write_entry};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(record) = read("0.jsonl", &text) else { return };
    let again: String = record.entries.iter().map(|e| write_entry(e.seq, e.at_ms, &e.event)).collect();
    assert_eq!(read("0.jsonl", &again).map(|r| r.entries), Ok(record.entries.clone()));
    let _ = Trajectory::fold(&record.into_events());
});
