//! Server-sent events.

use serde_json::{Value, json};

/// Events so far, as bytes of a body.
#[derive(Default)]
pub(super) struct Events {
    text: String,
    count: u64,
}

impl Events {
    /// An event without a name.
    pub(super) fn add(&mut self, data: &Value) {
        self.text += &format!("data: {data}\n\n");
    }

    /// An event whose name is its data's `type`.
    pub(super) fn add_named(&mut self, data: &Value) {
        self.text += &format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    }

    /// The same, numbered from 0.
    pub(super) fn add_numbered(&mut self, mut data: Value) {
        data["sequence_number"] = json!(self.count);
        self.count += 1;
        self.add_named(&data);
    }

    /// All of them, and a word of the protocol's that ends them.
    pub(super) fn end(self, word: &str) -> String {
        format!("{}data: {word}\n\n", self.text)
    }

    /// All of them.
    pub(super) fn whole(self) -> String {
        self.text
    }
}

/// A text in two pieces, so that whoever reads them has something to join.
pub(super) fn halves(text: &str) -> [&str; 2] {
    let mut at = text.len() / 2;
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let (first, second) = text.split_at(at);
    [first, second]
}
