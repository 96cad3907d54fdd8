//! `config.json` of a model from anywhere: a decoder whose tensors can be laid
//! out, or a reason why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_train::architecture::Architecture;
use swegym_train::layout::Layout;

fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = serde_json::from_slice(bytes) else { return };
    let Ok(shape) = Architecture::read(&config) else { return };
    let again = Architecture::read(&shape.write(Some(&config), "float32")).expect("what was written is read");
    assert_eq!(again.outputs(), shape.outputs());
    // A list of layers is as long as the file says; the numbers are not made.
    if shape.layers < 100 {
        assert!(Layout::of(&shape).len > 0);
    }
});
