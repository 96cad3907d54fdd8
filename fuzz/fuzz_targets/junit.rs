//! JUnit XML: any text is read or refused, and cases can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_grade::{junit, witness};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(cases) = junit::read(&String::from_utf8_lossy(bytes)) {
        let structured = witness::Structured::new(&cases);
        for case in &cases {
            let _ = structured.status_of(&format!("{}::{}", case.classname, case.name));
        }
    }
});
