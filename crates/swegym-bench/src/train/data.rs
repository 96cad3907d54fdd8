//! Data for the benchmark of the engine: generated conversations of a coding agent,
//! and a tokenizer trained on them.

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_train::corpus;
use swegym_train::tokenizer::Tokenizer;

/// ChatML that marks what the assistant says, as TRL needs it to mask.
const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
    {% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>{% endgeneration %}\
    {% else %}{{ message['content'] }}<|im_end|>{% endif %}\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const WORDS: [&str; 48] = [
    "self",
    "return",
    "def",
    "import",
    "value",
    "index",
    "config",
    "parser",
    "None",
    "raise",
    "error",
    "path",
    "file",
    "test",
    "assert",
    "result",
    "for",
    "in",
    "if",
    "not",
    "is",
    "the",
    "issue",
    "function",
    "module",
    "check",
    "that",
    "when",
    "argument",
    "string",
    "list",
    "dict",
    "fix",
    "run",
    "python",
    "pytest",
    "passed",
    "failed",
    "line",
    "Traceback",
    "class",
    "method",
    "should",
    "instead",
    "of",
    "default",
    "edit",
    "view",
];

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// Words with indents, numbers and signs between, as code has them.
    fn text(&mut self, words: usize) -> String {
        let mut text = String::new();
        for _ in 0..words {
            text += WORDS[self.below(WORDS.len())];
            text += match self.below(12) {
                0 => "\n    ",
                1 => "(x, ",
                2 => "): ",
                3 => ".",
                4 => " = ",
                5 => ["0 ", "17\n", "== ", "'é' "][self.below(4)],
                _ => " ",
            };
        }
        text.trim().to_owned()
    }
}

/// Conversations of some turns each, as `export` writes them.
pub(super) fn conversations(count: usize, turns: usize, words: usize) -> Vec<Value> {
    let conversation = |nth: usize| {
        let mut draw = Draw(nth as u64 + 1);
        let said = |draw: &mut Draw, role: &str, words: usize| {
            let words = words / 2 + draw.below(words);
            json!({"role": role, "content": draw.text(words)})
        };
        let mut messages = vec![said(&mut draw, "system", words), said(&mut draw, "user", 2 * words)];
        for _ in 0..turns {
            messages.push(said(&mut draw, "assistant", words));
            messages.push(said(&mut draw, "user", 2 * words));
        }
        messages.pop();
        json!({"instance_id": format!("made-{nth}"), "messages": messages})
    };
    (0..count).map(conversation).collect()
}

/// A tokenizer of that many tokens, made of some of the conversations.
pub(super) fn tokenizer(vocabulary: usize) -> Result<Tokenizer, CommandError> {
    let texts: Vec<String> = conversations(200, 6, 40)
        .iter()
        .flat_map(|row| row["messages"].as_array().cloned().unwrap_or_default())
        .filter_map(|message| message["content"].as_str().map(str::to_owned))
        .collect();
    Ok(corpus::train_tokenizer(&texts, vocabulary, &[], Some(TEMPLATE), corpus::WordRule::default())?)
}
