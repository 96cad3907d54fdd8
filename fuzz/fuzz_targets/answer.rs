//! What a model endpoint sends: any bytes are an answer or an error, and a call
//! found in the words can be written again and found again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::calls::text::{Dialect, parse, render, repair};
use swegym_core::calls::read;
use swegym_core::chat::{Tool, ToolCall};
use swegym_core::wire::{Refusal, Wire};

fuzz_target!(|bytes: &[u8]| {
    let parameters = serde_json::json!({
        "type": "object",
        "properties": {"command": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}, "n": {"type": "integer"}},
        "required": ["command"],
    });
    let tool = Tool { name: "t".into(), description: String::new(), parameters: parameters.as_object().cloned() };
    let tools = [tool];
    for status in [400, 413, 429, 500] {
        let _ = Refusal::read(bytes).kind(status);
    }
    for wire in [Wire::OpenAi, Wire::Anthropic] {
        let _ = wire.tokens(bytes);
        if let Ok(reply) = wire.read(bytes) {
            for call in &reply.message.calls {
                let _ = read(call, &tools);
            }
        }
    }
    let text = String::from_utf8_lossy(bytes);
    for dialect in [Dialect::Kept, Dialect::Stripped] {
        let Ok(Some(found)) = parse(&repair(&text, dialect), &tools, dialect) else { continue };
        let arguments = serde_json::Value::Object(found.arguments.clone()).to_string();
        let call = ToolCall { id: String::new(), name: found.name, arguments };
        assert_eq!(read(&call, &tools), Ok(found.arguments));
        assert!(render(&call).is_ok());
    }
});
