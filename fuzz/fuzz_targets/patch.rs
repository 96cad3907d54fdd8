//! Patches: any text is read or refused, and what is written anew or turned around is a patch.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::Patch;
use swegym_core::patch::{PatchError, reverse};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(patch) = Patch::parse(&text) {
        let written = patch.to_text();
        if !written.is_empty() {
            let again = Patch::parse(&written).expect("a patch that is written is one");
            assert_eq!(again.to_text(), written);
        }
        if let Ok(turned) = reverse(&text) {
            match Patch::parse(&turned) {
                Ok(back) => assert_eq!(back.changed_lines(), patch.changed_lines()),
                // Undoing the removal of such a link makes it.
                Err(PatchError::SymlinkEscape { .. }) => {}
                Err(why) => panic!("a patch turned around is one: {why}"),
            }
        }
    }
});
