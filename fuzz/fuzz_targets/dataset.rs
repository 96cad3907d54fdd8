//! Datasets: any file gives rows, errors or a refusal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("swegym-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a folder for temporary files");
    for need in [Need::Grading, Need::Everything] {
        if let Ok(rows) = dataset::instances(&path, need) {
            // A few bytes of a damaged file can promise many rows.
            let _ = rows.take(1000).filter(Result::is_ok).count();
        }
    }
});
