//! Chat templates of models from anywhere: text, or a reason why not, in
//! bounded time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::chat::{Message, Role};
use swegym_train::template::Template;

fuzz_target!(|source: &str| {
    let Ok(template) = Template::new(source, &[("eos_token", "<eos>".to_owned())]) else { return };
    let messages = [
        Message::of(Role::System, "s"),
        Message::of(Role::User, "u"),
        Message::of(Role::Assistant, "a"),
        Message::of(Role::User, "v"),
        Message::of(Role::Assistant, "b"),
    ];
    let Ok(rendered) = template.render_turns(&messages, &[]) else { return };
    for (_, said) in rendered.turns {
        assert!(rendered.text.get(said).is_some());
    }
});
