//! Rows of conversations from anywhere: an attempt and the question about it,
//! or a reason why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_train::conversation::Conversation;
use swegym_train::packing::Overlong;
use swegym_train::verifier::{Answer, Case, PATCH, TRAJECTORY, Verifier};

fuzz_target!(|line: &str| {
    let Ok(Conversation { messages, tools, patch, .. }) = Conversation::read(line) else { return };
    let case = Case { messages, tools, patch };
    for template in [TRAJECTORY, PATCH] {
        let verifier = Verifier {
            template: template.to_owned(),
            labels: ["YES".to_owned(), "NO".to_owned()],
            answer: Answer::Label,
            overlong: Overlong::Cut,
            context: 64,
        };
        verifier.ask(&case).expect("our own questions render");
    }
});
