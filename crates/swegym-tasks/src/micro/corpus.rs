//! Text to pre-train a policy on: repositories as they should be, read line by
//! line, and questions about them. No issue, no mistake, no task is in it.

use std::fmt::Write as _;

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::repository::MicroTask;

/// Questions after each listing. Looking up is what a small policy learns last,
/// so there is much of it.
const QUESTIONS: usize = 12;

/// A repository as `grep -n` lists it, then what to look up in it: by name, by
/// the docstring's words or by others, each with the line that answers.
pub(super) fn document(task: &MicroTask, rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    let mut modules = task.modules(false);
    modules.sort();
    for (path, module) in &modules {
        for (index, line) in module.lines().enumerate() {
            _ = writeln!(text, "{path}:{}:{line}", index + 1);
        }
    }
    let mut order: Vec<(usize, usize)> =
        (0..task.functions.len()).flat_map(|index| (0..3).map(move |way| (index, way))).collect();
    order.shuffle(rng);
    for (index, way) in order.into_iter().take(QUESTIONS) {
        let function = &task.functions[index];
        let asked = match way {
            0 => format!("def {}", function.name),
            1 => function.formula.words[1 - function.phrasing].clone(),
            _ => function.formula.words[function.phrasing].clone(),
        };
        let path = format!("{}.py", function.module);
        let line = format!("    return {}", function.formula.code);
        let module = modules.iter().find(|(known, _)| *known == path).map_or("", |(_, module)| module);
        let number = module.lines().position(|found| found == line).map_or(0, |at| at + 1);
        _ = writeln!(text, "{asked}? {path}:{number}:{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Split, World};

    #[test]
    fn a_listing_with_questions_and_no_mistake() {
        let world =
            World { split: Split::Train, seed: 1, families: Family::ALL.to_vec(), levels: vec![1, 2, 3] };
        let text = world.document(4);
        insta::assert_snapshot!(text);
        assert_eq!(text, world.document(4));
        for number in 0..50 {
            assert!(!world.document(number).contains(":0:"), "every line is found");
        }
    }
}
