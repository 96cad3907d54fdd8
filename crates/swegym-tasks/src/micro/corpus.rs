//! What a policy is pre-trained on: questions about repositories as they should
//! be, and their answers. No issue, no mistake, no task is in it.

use std::fmt::Write as _;

use rand::Rng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use swegym_core::calls::text;
use swegym_core::chat::ToolCall;

use super::repository::{Function, MicroTask};

/// Questions about one repository.
const QUESTIONS: usize = 6;

/// What is asked, and the answer.
pub type Exchange = (String, String);

/// A call of the shell as it travels in text.
fn call(command: &str) -> String {
    let arguments = json!({"command": command}).to_string();
    let call = ToolCall { id: String::new(), name: "execute_bash".to_owned(), arguments };
    text::render(&call).unwrap_or_default()
}

/// Questions of one kind about one repository.
pub(super) fn exchanges(task: &MicroTask, rng: &mut ChaCha8Rng) -> Vec<Exchange> {
    match rng.random_range(0..10) {
        0..4 => bodies(task, rng),
        4..8 => places(task, rng),
        _ => commands(task, rng),
    }
}

/// From what a function should do to the line that does it.
fn bodies(task: &MicroTask, rng: &mut ChaCha8Rng) -> Vec<Exchange> {
    let ask = |function: &Function| {
        let text = function.text("");
        let head = text.lines().take(2).collect::<Vec<_>>().join("\n");
        (head, format!("    return {}", function.formula.code))
    };
    let mut exchanges: Vec<Exchange> = task.functions.iter().map(ask).collect();
    exchanges.shuffle(rng);
    exchanges
}

/// Where it is done: by name, by the docstring's words, or by others.
fn places(task: &MicroTask, rng: &mut ChaCha8Rng) -> Vec<Exchange> {
    let mut modules = task.modules(false);
    if rng.random_bool(0.5) {
        // Only one of them.
        modules.shuffle(rng);
        modules.truncate(1);
    }
    let mut listing = String::new();
    for (path, text) in &modules {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            _ = writeln!(listing, "{path}:{}:{line}", index + 1);
        }
    }
    let mut exchanges = Vec::new();
    let path = |function: &Function| format!("{}.py", function.module);
    let shown: Vec<&Function> = task
        .functions
        .iter()
        .filter(|function| modules.iter().any(|(known, _)| *known == path(function)))
        .collect();
    for _ in 0..QUESTIONS {
        let Some(function) = shown.choose(rng) else { break };
        let asked = match rng.random_range(0..4) {
            0 => format!("Where is {}?", function.name),
            1 => format!("What gives {}?", function.formula.words[function.phrasing]),
            _ => format!("What gives {}?", function.formula.words[1 - function.phrasing]),
        };
        let line = format!("    return {}", function.formula.code);
        let text = modules.iter().find(|(known, _)| *known == path(function)).map_or("", |(_, text)| text);
        let number = text.lines().position(|found| found == line).map_or(0, |at| at + 1);
        exchanges.push((asked, format!("{}:{number}:{line}", path(function))));
    }
    if let Some((first, _)) = exchanges.first_mut() {
        first.insert_str(0, &listing);
    }
    exchanges
}

/// How calls are written: what they say is told.
fn commands(task: &MicroTask, rng: &mut ChaCha8Rng) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for function in &task.functions {
        let path = format!("{}.py", function.module);
        exchanges.push(match rng.random_range(0..4) {
            0 => (
                format!("Read {}.", function.name),
                call(&format!("grep -n -A2 'def {}' *.py", function.name)),
            ),
            1 => (format!("Read {path}."), call(&format!("grep -n . {path}"))),
            2 => {
                let code = &function.formula.code;
                let number = if rng.random_bool(0.5) { 3 } else { 8 };
                let escaped = code.replace('\\', "\\\\").replace('\'', "'\\''");
                (
                    format!("Write to {path}:{number}:\n    return {code}"),
                    call(&format!("sed -i '{number}c\\    return {escaped}' {path}")),
                )
            }
            _ => ("Read all.".to_owned(), call("grep -n . *.py --exclude='test_*'")),
        });
    }
    exchanges
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Split, World};

    #[test]
    fn questions_with_answers_and_no_mistake() {
        let world =
            World { split: Split::Train, seed: 1, families: Family::ALL.to_vec(), levels: vec![1, 2, 3] };
        let shown: Vec<String> = (0..9)
            .flat_map(|number| world.exchanges(number).into_iter().take(2))
            .map(|(asked, answered)| format!("{asked}\n> {answered}"))
            .collect();
        insta::assert_snapshot!(shown.join("\n----\n"));
        assert_eq!(world.exchanges(4), world.exchanges(4));
        for number in 0..50 {
            assert!(
                world.exchanges(number).iter().all(|(_, answer)| !answer.contains(":0:")),
                "all is found"
            );
        }
    }
}
