//! Calls as text against the reference's own: how tools are described, how a call
//! is written, and what is read from whatever a model writes.

use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use swegym_agent::Scaffold;
use swegym_core::calls::CallProblem;
use swegym_core::calls::text::{self, Dialect};
use swegym_core::chat::{Tool, ToolCall};
use swegym_core::wire::openai::tool_json;

use crate::common::wheel::{ask_script, fetch_wheel};

/// The first release line that had the form; SWE-Gym's fork took it over.
const RELEASE: (&str, &str) = ("openhands-ai", "0.15.0");
const CASES: usize = 3000;

/// What texts are put together of.
const PIECES: [&str; 26] = [
    "I look.\n\n",
    "<function=execute_bash>\n",
    "<function=execute_bash>",
    "<function=str_replace_editor>\n",
    "<function=finish>\n",
    "<function=nothing>\n",
    "<function=",
    "<parameter=command>",
    "<parameter=path>",
    "<parameter=insert_line>",
    "<parameter=view_range>",
    "<parameter=other>",
    "</parameter>\n",
    "</parameter>",
    "</function>",
    "</",
    "</function",
    "view",
    "insert",
    " 12 ",
    "[1, 20]",
    "\n",
    "  \tif x:\n",
    "é",
    ">",
    "<",
];

#[test]
fn calls_as_text_are_the_references() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = fetch_wheel(folder.path(), RELEASE.0, RELEASE.1);
    let tools = Scaffold::CodeAct22.tools();
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let cases: Vec<(ToolCall, String)> =
        (0..CASES).map(|_| (draw_call(&mut random), draw_text(&mut random))).collect();
    let asked: Vec<Value> = cases
        .iter()
        .map(|(call, text)| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            let call = json!({"id": call.id, "type": "function", "function": function});
            json!({"tools": tools.iter().map(tool_json).collect::<Vec<_>>(), "call": call, "text": text})
        })
        .collect();
    let answers = ask_script(&wheel, include_str!("calls/convert.py"), &asked);
    assert_eq!(answers.len(), CASES);
    let (mut found, mut refused) = (0, 0);
    for ((call, text), theirs) in cases.iter().zip(&answers) {
        assert_eq!(text::describe(&tools), theirs["tools"]);
        assert_eq!(text::render(call).unwrap(), theirs["call"]);
        let ours = read(text, &tools);
        assert_eq!(ours, theirs["read"], "{text:?}");
        found += usize::from(ours.is_object());
        refused += usize::from(ours == "refused");
    }
    assert!(found > CASES / 50 && refused > CASES / 50, "{found} found, {refused} refused");
}

/// In the form of the reference's answers.
fn read(text: &str, tools: &[Tool]) -> Value {
    match text::parse(&text::repair(text, Dialect::Stripped), tools, Dialect::Stripped) {
        Ok(Some(found)) => {
            json!({"content": found.content, "name": found.name, "arguments": found.arguments})
        }
        // There it is taken for words; here the model is told.
        Ok(None) | Err(CallProblem::Malformed) => Value::Null,
        Err(_) => json!("refused"),
    }
}

fn draw_call(random: &mut ChaCha8Rng) -> ToolCall {
    let mut arguments = Map::new();
    for name in ["command", "path", "file_text"] {
        let words: Vec<&str> =
            (0..random.random_range(0..4)).map(|_| *PIECES.choose(random).unwrap()).collect();
        arguments.insert(name.into(), json!(words.concat()));
    }
    arguments.insert("insert_line".into(), json!(random.random_range(-3..100)));
    arguments.insert("view_range".into(), json!([random.random_range(1..9), -1]));
    let arguments = Value::Object(arguments).to_string();
    ToolCall { id: "c".into(), name: "str_replace_editor".into(), arguments }
}

/// Half of them calls that something may be wrong with, half of them anything.
fn draw_text(random: &mut ChaCha8Rng) -> String {
    let pieces = |random: &mut ChaCha8Rng, most: usize| -> String {
        (0..random.random_range(0..most)).map(|_| *PIECES.choose(random).unwrap()).collect()
    };
    if random.random_bool(0.5) {
        return pieces(random, 12);
    }
    let mut text = format!("{}<function=str_replace_editor>\n", pieces(random, 2));
    for name in ["command", "path", "insert_line", "view_range"] {
        if random.random_bool(0.8) {
            let value = match name {
                "command" => ["view", "insert", "open"].choose(random).unwrap(),
                "path" => "/a b",
                "insert_line" => [" 3", "x", "-1"].choose(random).unwrap(),
                _ => ["[1, 2]", "[1,", "[]"].choose(random).unwrap(),
            };
            text += &format!("<parameter={name}>{value}{}</parameter>\n", ["", "\n"].choose(random).unwrap());
        }
    }
    text + ["</function", "</", "", "</function>"].choose(random).unwrap() + &pieces(random, 2)
}
