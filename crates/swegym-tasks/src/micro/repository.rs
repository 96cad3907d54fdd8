//! A repository of the micro gym: modules, functions, tests, and an issue.

use std::fmt::Write as _;

use rand::Rng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use swegym_core::Names;

use super::World;
use super::formula::{self, Family, Formula, Kind};
use crate::synth::mutation::diff;

/// Modules of a repository, and functions of each.
const MODULES: usize = 3;
const FUNCTIONS: usize = 2;

/// Calls that each test makes.
const CALLS: usize = 3;

/// The head of every program that Python is asked: a call's value as Python
/// writes it, or nothing where it raises.
const PROBE: &str = "import json\ndef value(f, *a):\n    try:\n        return repr(f(*a))\n    except Exception as e:\n        return None\nout = []\n";

/// Of a task's known answers: other mistakes, and the right code in wrong places.
const MISTAKES: usize = 2;
const MISPLACED: usize = 1;

/// Names of modules. None says what is in it, and what tells them apart is one
/// token wherever they stand: copying is what small policies learn last
/// (reference/micro-gym.md).
const MODULE_NAMES: [&str; MODULES] = ["part1", "part2", "part3"];

/// Names of functions: short, and each means nothing here.
const FUNCTION_NAMES: [&str; 48] = [
    "amber", "basil", "cedar", "delta", "ember", "fable", "grove", "hazel", "index", "jolly", "karma",
    "lemon", "maple", "night", "ocean", "piano", "quilt", "river", "solar", "tiger", "umbra", "violet",
    "willow", "xenon", "yacht", "zebra", "acorn", "birch", "coral", "daisy", "eagle", "frost", "ghost",
    "honey", "ivory", "jewel", "koala", "lotus", "mango", "nylon", "olive", "pearl", "quartz", "robin",
    "storm", "tulip", "ultra", "vapor",
];

/// A function of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The module's name, without `.py`.
    pub module: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// What it should do.
    pub formula: Formula,
    /// Which phrasing its docstring has.
    pub phrasing: usize,
}

/// A call of a function, and what it gives, as Python writes both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The arguments as written.
    pub arguments: String,
    /// The right value.
    pub right: String,
    /// The broken function's value, where the function is broken.
    pub wrong: String,
}

/// The values of every function's calls: what only Python can tell.
pub type Tests = Vec<Vec<Call>>;

/// An answer to a task, and whether it is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAnswer {
    /// Its patch.
    pub patch: String,
    /// Whether the tests that decide pass with it.
    pub resolves: bool,
}

/// What Python is asked to learn the values: a program that prints one line of
/// JSON, `[[[right, wrong], …], …]`, a list of calls for each function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The program.
    pub program: String,
}

/// A drawn task, before its values are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroTask {
    /// `micro__<split>-<seed>-<number>`.
    pub instance_id: String,
    /// Level of difficulty.
    pub level: u8,
    /// All functions in the order of their files.
    pub functions: Vec<Function>,
    /// Which of them is broken.
    pub broken: usize,
    /// What it returns instead.
    pub mistake: String,
    /// Arguments of the calls of each function.
    pub arguments: Vec<Vec<String>>,
    /// Which wording the issue has.
    wording: usize,
}

pub(super) fn draw(world: &World, number: u32, rng: &mut ChaCha8Rng) -> MicroTask {
    let level = *world.levels.choose(rng).unwrap_or(&1);
    let mut names = FUNCTION_NAMES.to_vec();
    names.shuffle(rng);
    let broken = rng.random_range(0..MODULES * FUNCTIONS);
    let pick = |rng: &mut ChaCha8Rng| *world.families.choose(rng).unwrap_or(&Family::Arithmetic);
    let family = pick(rng);
    let mut functions: Vec<Function> = Vec::new();
    for index in 0..MODULES * FUNCTIONS {
        let of = if index == broken || level > 2 && index == (broken + 2) % (MODULES * FUNCTIONS) {
            family
        } else {
            pick(rng)
        };
        // Each function of a repository does something else.
        let formula = loop {
            let formula = formula::draw(of, level > 1 && rng.random_bool(0.6), rng);
            if functions.iter().all(|f| f.formula.code != formula.code) {
                break formula;
            }
        };
        let phrasing = rng.random_range(0..2);
        functions.push(Function {
            module: MODULE_NAMES[index / FUNCTIONS],
            name: names[index],
            formula,
            phrasing,
        });
    }
    let mistake = functions[broken].formula.mistakes.choose(rng).cloned().unwrap_or_default();
    // More calls than tests make: some will not tell right from wrong.
    let arguments = functions.iter().map(|f| (0..4 * CALLS).map(|_| arguments(f, rng)).collect()).collect();
    MicroTask {
        instance_id: format!("micro__{}-{}-{number}", world.split.name(), world.seed),
        level,
        functions,
        broken,
        mistake,
        arguments,
        wording: rng.random_range(0..3),
    }
}

fn arguments(function: &Function, rng: &mut ChaCha8Rng) -> String {
    let of = |(_, kind): &(&str, Kind)| kind.draw(rng);
    function.formula.parameters.iter().map(of).collect::<Vec<_>>().join(", ")
}

impl Function {
    /// Its parameters as they are declared.
    fn parameters(&self) -> String {
        self.formula.parameters.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn text(&self, code: &str) -> String {
        let words = &self.formula.words[self.phrasing];
        format!(
            "def {}({}):\n    \"\"\"Return {words}.\"\"\"\n    return {code}\n",
            self.name,
            self.parameters()
        )
    }
}

impl MicroTask {
    /// The function that is broken.
    #[must_use]
    pub fn culprit(&self) -> &Function {
        &self.functions[self.broken]
    }

    /// The modules as they stand: with the mistake, or without.
    #[must_use]
    pub fn modules(&self, broken: bool) -> Vec<(String, String)> {
        let mut modules: Vec<(String, String)> = Vec::new();
        for (index, function) in self.functions.iter().enumerate() {
            let code = if broken && index == self.broken { &self.mistake } else { &function.formula.code };
            let path = format!("{}.py", function.module);
            match modules.last_mut().filter(|(last, _)| *last == path) {
                Some((_, text)) => text.push_str(&format!("\n\n{}", function.text(code))),
                None => modules.push((path, function.text(code))),
            }
        }
        modules
    }

    /// The program that tells what every call gives.
    #[must_use]
    pub fn probe(&self) -> Probe {
        let mut program = String::from(PROBE);
        for (index, function) in self.functions.iter().enumerate() {
            let parameters = function.parameters();
            let wrong = if index == self.broken { &self.mistake } else { &function.formula.code };
            _ = writeln!(
                program,
                "r, w = lambda {parameters}: {}, lambda {parameters}: {wrong}",
                function.formula.code
            );
            let calls = self.arguments[index].iter().map(|a| format!("[value(r, {a}), value(w, {a})]"));
            _ = writeln!(program, "out.append([{}])", calls.collect::<Vec<_>>().join(", "));
        }
        program.push_str("print(json.dumps(out))\n");
        Probe { program }
    }

    /// Reads what the program printed. Nothing if the mistake is none: no call
    /// tells the two apart.
    #[must_use]
    pub fn tests(&self, printed: &str) -> Option<Tests> {
        let values: Vec<Vec<[Option<String>; 2]>> = serde_json::from_str(printed.trim()).ok()?;
        let mut tests = Tests::new();
        for (index, values) in values.iter().enumerate() {
            let mut calls: Vec<Call> = Vec::new();
            for (arguments, [right, wrong]) in self.arguments[index].iter().zip(values) {
                let Some(right) = right.clone() else { continue };
                let wrong = wrong.clone().unwrap_or_else(|| "an error".to_owned());
                let call = Call { arguments: arguments.clone(), right, wrong };
                if calls.iter().all(|known| known.arguments != call.arguments) {
                    calls.push(call);
                }
            }
            if index == self.broken {
                // What tells right from wrong comes first.
                calls.sort_by_key(|call| call.right == call.wrong);
                calls.first().filter(|call| call.right != call.wrong)?;
            }
            calls.truncate(CALLS);
            tests.push((!calls.is_empty()).then_some(calls)?);
        }
        Some(tests)
    }

    /// Answers to judge, as (function, what it returns): the right one, other
    /// mistakes, another function's code, and the right code in a wrong place.
    #[must_use]
    pub fn tries(&self) -> Vec<(usize, String)> {
        let right = &self.culprit().formula.code;
        let others = || (1..self.functions.len()).map(|step| (self.broken + step) % self.functions.len());
        let mistakes = self.culprit().formula.mistakes.iter().filter(|code| **code != self.mistake);
        let mut codes: Vec<String> = vec![right.clone()];
        for code in mistakes.take(MISTAKES) {
            if !codes.contains(code) {
                codes.push(code.clone());
            }
        }
        // The next function's, which is as good as any: they are drawn.
        codes.extend(others().take(1).map(|index| self.functions[index].formula.code.clone()));
        let mut tries: Vec<(usize, String)> = codes.into_iter().map(|code| (self.broken, code)).collect();
        tries.extend(others().skip(1).take(MISPLACED).map(|index| (index, right.clone())));
        tries
    }

    /// The program that tells what the tries at the broken function give on the
    /// calls of the tests that decide.
    #[must_use]
    pub fn trial(&self, tests: &Tests) -> Probe {
        let mut program = String::from(PROBE);
        let parameters = self.culprit().parameters();
        for (_, code) in self.tries().iter().filter(|(index, _)| *index == self.broken) {
            let calls = tests[self.broken].iter().map(|call| format!("value(f, {})", call.arguments));
            _ = writeln!(program, "f = lambda {parameters}: {code}");
            _ = writeln!(program, "out.append([{}])", calls.collect::<Vec<_>>().join(", "));
        }
        program.push_str("print(json.dumps(out))\n");
        Probe { program }
    }

    /// The tries with their outcomes, from what the program printed. What is
    /// written in a wrong place leaves the fault where it was.
    #[must_use]
    pub fn known_answers(&self, tests: &Tests, printed: &str) -> Vec<KnownAnswer> {
        let values: Vec<Vec<Option<String>>> = serde_json::from_str(printed.trim()).unwrap_or_default();
        let mut values = values.into_iter();
        let answer = |(index, code): (usize, String)| {
            let values = if index == self.broken { Some(values.next()?) } else { None };
            let right = |values: &Vec<Option<String>>| {
                tests[self.broken].iter().zip(values).all(|(call, value)| value.as_ref() == Some(&call.right))
            };
            let resolves = values.as_ref().is_some_and(right);
            Some(KnownAnswer { patch: self.patch_of(index, &code)?, resolves })
        };
        self.tries().into_iter().filter_map(answer).collect()
    }

    /// The patch that lets a function return something else; nothing where it
    /// does already.
    fn patch_of(&self, index: usize, code: &str) -> Option<String> {
        let function = &self.functions[index];
        let old_code = if index == self.broken { &self.mistake } else { &function.formula.code };
        let path = format!("{}.py", function.module);
        let (_, old) = self.modules(true).into_iter().find(|(name, _)| *name == path)?;
        let new = old.replace(&function.text(old_code), &function.text(code));
        (new != old).then(|| diff(&path, &old, &new))
    }

    /// The tests that everybody sees: of all functions but the broken one.
    #[must_use]
    pub fn visible_tests(&self, tests: &Tests) -> String {
        let others = (0..self.functions.len()).filter(|index| *index != self.broken);
        self.test_file("TestAll", &others.collect::<Vec<_>>(), tests)
    }

    /// The tests that decide.
    #[must_use]
    pub fn hidden_tests(&self, tests: &Tests) -> String {
        self.test_file("TestIssue", &[self.broken], tests)
    }

    /// A test made of what the issue says and nothing else: its example. Where
    /// the issue names no function, any function may be meant that it may be
    /// about.
    #[must_use]
    pub fn example_patch(&self, tests: &Tests) -> String {
        let function = self.culprit();
        let Call { arguments, right, .. } = &tests[self.broken][0];
        let modules = if self.level > 2 { MODULE_NAMES.to_vec() } else { vec![function.module] };
        let mut text = String::from("import unittest\n\n");
        modules.iter().for_each(|module| _ = writeln!(text, "import {module}"));
        text.push_str("\n\nclass TestExample(unittest.TestCase):\n    def test_example(self):\n");
        if self.level == 1 {
            let call = format!("{}.{}({arguments})", function.module, function.name);
            _ = writeln!(text, "        self.assertEqual({call}, {right})");
        } else {
            _ = write!(
                text,
                "        found = []\n        for module in ({},):\n            for function in vars(module).values():\n                try:\n                    found.append(function({arguments}))\n                except Exception:\n                    pass\n        self.assertIn({right}, found)\n",
                modules.join(", ")
            );
        }
        new_file("test_example.py", &text)
    }

    fn test_file(&self, class: &str, indices: &[usize], tests: &Tests) -> String {
        let mut modules: Vec<&str> = indices.iter().map(|index| self.functions[*index].module).collect();
        modules.dedup();
        let mut text = String::from("import unittest\n\n");
        modules.iter().for_each(|module| _ = writeln!(text, "import {module}"));
        _ = write!(text, "\n\nclass {class}(unittest.TestCase):");
        for &index in indices {
            let function = &self.functions[index];
            _ = write!(text, "\n    def test_{}(self):\n", function.name);
            for Call { arguments, right, .. } in &tests[index] {
                let call = format!("{}.{}({arguments})", function.module, function.name);
                _ = writeln!(text, "        self.assertEqual({call}, {right})");
            }
        }
        text
    }

    /// The name of the test of [`MicroTask::example_patch`].
    pub const EXAMPLE: &'static str = "test_example.TestExample.test_example";

    /// Tests by the names that unittest gives them: must flip, must hold.
    #[must_use]
    pub fn test_ids(&self) -> (Names, Names) {
        let held = self.functions.iter().enumerate().filter(|(index, _)| *index != self.broken);
        (
            [format!("test_issue.TestIssue.test_{}", self.culprit().name)].iter().collect(),
            held.map(|(_, function)| format!("test_all.TestAll.test_{}", function.name)).collect(),
        )
    }

    /// The patch that mends it.
    #[must_use]
    pub fn gold_patch(&self) -> String {
        let changed =
            self.modules(true).into_iter().zip(self.modules(false)).find(|(old, new)| old.1 != new.1);
        changed.map_or_else(String::new, |((path, old), (_, new))| diff(&path, &old, &new))
    }

    /// The patch that adds the tests that decide.
    #[must_use]
    pub fn test_patch(&self, tests: &Tests) -> String {
        let text = self.hidden_tests(tests);
        new_file("test_issue.py", &text)
    }

    /// What a user reports.
    #[must_use]
    pub fn issue(&self, tests: &Tests) -> String {
        let function = self.culprit();
        let (module, name) = (function.module, function.name);
        let Call { arguments, right, wrong } = &tests[self.broken][0];
        // The other phrasing than the docstring's.
        let words = &function.formula.words[1 - function.phrasing];
        match (self.level, self.wording) {
            (1, 0) => format!("In {module}.py {name}({arguments}) gives {wrong}. It should give {right}."),
            (1, 1) => format!(
                "The result of {name} in {module}.py is wrong: {name}({arguments}) is {wrong}, expected {right}."
            ),
            (1, _) => {
                format!("I use {module}.py, and {name}({arguments}) should be {right}, but it is {wrong}.")
            }
            (2, 0) => format!(
                "A function in {module}.py should give {words}. For ({arguments}) it gives {wrong}, not {right}."
            ),
            (2, 1) => format!(
                "The file {module}.py is wrong: I want {words}, and for ({arguments}) I get {wrong} where {right} is right."
            ),
            (2, _) => format!(
                "I use {module}.py to get {words}. With ({arguments}) the result is {wrong}; it should be {right}."
            ),
            (_, 0) => {
                format!("One function should give {words}. For ({arguments}) it gives {wrong}, not {right}.")
            }
            (_, 1) => format!("I want {words}, and for ({arguments}) I get {wrong} where {right} is right."),
            (_, _) => format!(
                "When I ask for {words} with ({arguments}), the result is {wrong}; it should be {right}."
            ),
        }
    }
}

/// The patch that adds a file.
fn new_file(path: &str, text: &str) -> String {
    let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
    let count = text.lines().count();
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{count} @@\n{lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Split;
    use super::*;
    use swegym_core::Patch;

    fn world(split: Split, levels: &[u8]) -> World {
        World { split, seed: 3, families: Family::ALL.to_vec(), levels: levels.to_vec() }
    }

    /// As Python would answer, for tests without one: right and wrong differ.
    fn answered(task: &MicroTask) -> Tests {
        let value = |index: usize| {
            [Some("1".to_owned()), Some(if index == task.broken { "2" } else { "1" }.to_owned())]
        };
        let of = |(index, calls): (usize, &Vec<String>)| vec![value(index); calls.len()];
        let values: Vec<_> = task.arguments.iter().enumerate().map(of).collect();
        task.tests(&serde_json::to_string(&values).unwrap()).unwrap()
    }

    #[test]
    fn a_number_is_one_task_and_splits_share_none() {
        let of = |split| -> Vec<MicroTask> { (0..40).map(|n| world(split, &[1, 2, 3]).task(n)).collect() };
        assert_eq!(of(Split::Train), of(Split::Train));
        let texts = |split| -> Vec<_> { of(split).iter().map(|task| task.modules(true)).collect() };
        let (train, test) = (texts(Split::Train), texts(Split::Test));
        assert!(train.iter().all(|text| !test.contains(text)));
    }

    #[test]
    fn a_task_as_people_see_it() {
        let task = world(Split::Train, &[2]).task(5);
        let tests = answered(&task);
        let modules: String =
            task.modules(true).into_iter().map(|(path, text)| format!("# {path}\n{text}\n")).collect();
        let shown = [
            task.issue(&tests),
            modules,
            task.visible_tests(&tests),
            task.gold_patch(),
            task.test_patch(&tests),
            task.example_patch(&tests),
            format!("{:?}", task.test_ids()),
        ];
        insta::assert_snapshot!(shown.join("\n----\n"));
    }

    #[test]
    fn patches_parse_and_change_one_line() {
        for number in 0..200 {
            let task = world(Split::Test, &[1, 2, 3]).task(number);
            let gold = Patch::parse(&task.gold_patch()).unwrap();
            assert_eq!((gold.files.len(), gold.changed_lines()), (1, 2), "{}", task.gold_patch());
            assert!(Patch::parse(&task.test_patch(&answered(&task))).is_ok());
        }
    }

    #[test]
    fn known_answers_are_patches_and_calls_decide() {
        for number in 0..100 {
            let task = world(Split::Train, &[1, 2, 3]).task(number);
            let (tests, tries) = (answered(&task), task.tries());
            assert_eq!(tries[0], (task.broken, task.culprit().formula.code.clone()));
            assert_ne!(tries[tries.len() - 1].0, task.broken);
            // As Python would answer, were only the right one right.
            let calls = tests[task.broken].len();
            let at_it = tries.iter().filter(|(index, _)| *index == task.broken).count();
            let values: Vec<Vec<&str>> =
                (0..at_it).map(|i| vec![if i == 0 { "1" } else { "3" }; calls]).collect();
            let answers = task.known_answers(&tests, &serde_json::to_string(&values).unwrap());
            assert_eq!(answers[0], KnownAnswer { patch: task.gold_patch(), resolves: true });
            assert!(answers[1..].iter().all(|answer| !answer.resolves));
            assert!(answers.iter().all(|answer| Patch::parse(&answer.patch).unwrap().changed_lines() == 2));
            assert_eq!(task.known_answers(&tests, "not what it prints").len(), MISPLACED);
        }
    }

    #[test]
    fn a_mistake_that_no_call_shows_is_no_task() {
        let task = world(Split::Train, &[1]).task(0);
        let same: Vec<Vec<[&str; 2]>> =
            task.arguments.iter().map(|calls| vec![["1", "1"]; calls.len()]).collect();
        assert_eq!(task.tests(&serde_json::to_string(&same).unwrap()), None);
    }
}
