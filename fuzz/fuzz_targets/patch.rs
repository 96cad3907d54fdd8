//! Patches: any text is read or refused, and what is turned around is a patch.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::Patch;
use swegym_core::patch::reverse;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(patch) = Patch::parse(&text) {
        let _ = (patch.changed_lines(), patch.paths().count());
        if let Ok(turned) = reverse(&text) {
            let back = Patch::parse(&turned).expect("a patch turned around is one");
            assert_eq!(back.changed_lines(), patch.changed_lines());
        }
    }
});
