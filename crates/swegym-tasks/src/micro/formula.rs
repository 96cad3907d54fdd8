//! What functions do, as code and as words for it.
//!
//! A family is a table of operations. A formula is one of them, or one applied
//! to what another gives. Its words say exactly what its code computes, in one
//! of several phrasings; its mistakes are what somebody might have written
//! instead: another operation of the family, a constant one off, operands
//! exchanged, a step left out.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A whole number.
    Number,
    /// A list of whole numbers.
    Numbers,
    /// A text.
    Text,
    /// A dictionary from names to numbers.
    Table,
    /// True or false.
    Truth,
}

impl Kind {
    /// The name of a parameter of this kind.
    fn parameter(self) -> &'static str {
        match self {
            Self::Number | Self::Truth => "a",
            Self::Numbers => "xs",
            Self::Text => "s",
            Self::Table => "d",
        }
    }

    /// A literal to call with.
    pub(crate) fn draw(self, rng: &mut ChaCha8Rng) -> String {
        const WORDS: [&str; 12] = [
            "pear",
            "Fig",
            "plum tree",
            "Kiwi",
            "lime",
            "a b c",
            "Date",
            "nut",
            "red Oak",
            "elm",
            "ash",
            "Bay",
        ];
        match self {
            Self::Number | Self::Truth => rng.random_range(-9..30i32).to_string(),
            Self::Numbers => {
                let len = rng.random_range(4..7);
                let items: Vec<String> = (0..len).map(|_| rng.random_range(0..10i32).to_string()).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Text => format!("'{}'", WORDS.choose(rng).unwrap_or(&"oak")),
            Self::Table => {
                let first = rng.random_range(0..4usize);
                let entry =
                    |i: usize| format!("'{}': {}", ["p", "q", "r", "t", "u", "v"][first + i % 3], i * 3);
                let mut entries: Vec<String> = (0..3).map(entry).collect();
                if rng.random_bool(0.5) {
                    entries.reverse();
                }
                format!("{{{}}}", entries.join(", "))
            }
        }
    }
}

/// A table of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Numbers to numbers.
    Arithmetic,
    /// Lists of numbers.
    List,
    /// Texts.
    Text,
    /// Numbers to truths.
    Truth,
    /// Dictionaries.
    Table,
    /// Lists to chosen items.
    Choice,
}

/// One operation: what it takes and gives, its code and its words. `{a}` is
/// the operand, `{b}` a second one of the same kind, `{k}` a constant.
struct Operation {
    takes: Kind,
    gives: Kind,
    code: &'static str,
    words: [&'static str; 2],
}

const fn op(takes: Kind, gives: Kind, code: &'static str, words: [&'static str; 2]) -> Operation {
    Operation { takes, gives, code, words }
}

use Kind::{Number, Numbers, Table, Text, Truth};

const ARITHMETIC: [Operation; 14] = [
    op(Number, Number, "{a} + {b}", ["the sum of {a} and {b}", "{a} and {b} added together"]),
    op(Number, Number, "{a} - {b}", ["{a} less {b}", "the difference of {a} and {b}"]),
    op(Number, Number, "{a} * {b}", ["the product of {a} and {b}", "{a} multiplied by {b}"]),
    op(Number, Number, "max({a}, {b})", ["the larger of {a} and {b}", "{a} or {b}, whichever is larger"]),
    op(Number, Number, "min({a}, {b})", ["the smaller of {a} and {b}", "{a} or {b}, whichever is smaller"]),
    op(Number, Number, "abs({a} - {b})", ["the distance between {a} and {b}", "how far {a} is from {b}"]),
    op(Number, Number, "{a} + {k}", ["{a} plus {k}", "{a} raised by {k}"]),
    op(Number, Number, "{a} - {k}", ["{a} minus {k}", "{a} lowered by {k}"]),
    op(Number, Number, "{a} * {k}", ["{a} times {k}", "{k} times {a}"]),
    op(Number, Number, "{a} // {k}", ["{a} divided by {k}, rounded down", "how often {k} fits into {a}"]),
    op(Number, Number, "{a} % {k}", ["the rest of {a} divided by {k}", "{a} modulo {k}"]),
    op(Number, Number, "max({a}, {k})", ["{a}, but at least {k}", "{a}, and {k} where it is smaller"]),
    op(Number, Number, "min({a}, {k})", ["{a}, but at most {k}", "{a}, and {k} where it is larger"]),
    op(Number, Number, "abs({a})", ["{a} without its sign", "the absolute value of {a}"]),
];

const LIST: [Operation; 12] = [
    op(Numbers, Numbers, "{a}[::-1]", ["{a} in reverse", "{a} from the last item to the first"]),
    op(Numbers, Numbers, "sorted({a})", ["{a} in order", "{a} from the smallest item to the largest"]),
    op(Numbers, Numbers, "{a}[:{k}]", ["the first {k} items of {a}", "{a} up to item {k}"]),
    op(Numbers, Numbers, "{a}[{k}:]", ["{a} without its first {k} items", "what follows item {k} of {a}"]),
    op(Numbers, Numbers, "{a}[-{k}:]", ["the last {k} items of {a}", "the final {k} items of {a}"]),
    op(Numbers, Numbers, "{a}[::{k}]", ["one of every {k} items of {a}", "{a} in steps of {k}"]),
    op(
        Numbers,
        Numbers,
        "sorted(set({a}))",
        ["the distinct items of {a} in order", "{a} in order, without repeats"],
    ),
    op(Numbers, Numbers, "{a} + [{k}]", ["{a} with {k} at its end", "{a} followed by {k}"]),
    op(Numbers, Numbers, "[{k}] + {a}", ["{a} with {k} at its front", "{k} followed by {a}"]),
    op(
        Numbers,
        Numbers,
        "[x + {k} for x in {a}]",
        ["each item of {a} plus {k}", "the items of {a}, each raised by {k}"],
    ),
    op(
        Numbers,
        Numbers,
        "[x * {k} for x in {a}]",
        ["each item of {a} times {k}", "the items of {a}, each {k} times as large"],
    ),
    op(
        Numbers,
        Numbers,
        "[x - {k} for x in {a}]",
        ["each item of {a} minus {k}", "the items of {a}, each lowered by {k}"],
    ),
];

const TEXT: [Operation; 12] = [
    op(Text, Text, "{a}.upper()", ["{a} in capitals", "{a} with every letter large"]),
    op(Text, Text, "{a}.lower()", ["{a} in small letters", "{a} without capitals"]),
    op(Text, Text, "{a}.title()", ["{a} with a capital for each word", "{a} written as a title"]),
    op(Text, Text, "{a}[::-1]", ["{a} backwards", "{a} from its end to its start"]),
    op(Text, Text, "{a}[:{k}]", ["the first {k} letters of {a}", "the start of {a}, {k} letters long"]),
    op(Text, Text, "{a}[{k}:]", ["{a} without its first {k} letters", "what follows letter {k} of {a}"]),
    op(Text, Text, "{a}[-{k}:]", ["the last {k} letters of {a}", "the end of {a}, {k} letters long"]),
    op(Text, Text, "{a} * {k}", ["{a} repeated {k} times", "{k} copies of {a} in a row"]),
    op(
        Text,
        Text,
        "{a}.replace(\" \", \"_\")",
        ["{a} with underscores for blanks", "{a} with each blank an underscore"],
    ),
    op(Text, Text, "{a}.replace(\" \", \"\")", ["{a} without blanks", "{a} with its blanks taken out"]),
    op(Text, Text, "{a} + \"!\"", ["{a} with an exclamation mark", "{a} followed by an exclamation mark"]),
    op(
        Text,
        Text,
        "{a}.swapcase()",
        ["{a} with large and small letters exchanged", "{a} with the case of each letter turned"],
    ),
];

const TRUTH: [Operation; 12] = [
    op(Number, Truth, "{a} > {k}", ["whether {a} is above {k}", "if {a} is more than {k}"]),
    op(Number, Truth, "{a} < {k}", ["whether {a} is below {k}", "if {a} is less than {k}"]),
    op(Number, Truth, "{a} >= {k}", ["whether {a} is {k} or more", "if {a} is at least {k}"]),
    op(Number, Truth, "{a} <= {k}", ["whether {a} is {k} or less", "if {a} is at most {k}"]),
    op(Number, Truth, "{a} == {k}", ["whether {a} is {k}", "if {a} equals {k}"]),
    op(Number, Truth, "{a} != {k}", ["whether {a} is anything but {k}", "if {a} differs from {k}"]),
    op(Number, Truth, "{a} % 2 == 0", ["whether {a} is even", "if {a} can be halved"]),
    op(Number, Truth, "{a} % 2 == 1", ["whether {a} is odd", "if {a} cannot be halved"]),
    op(Number, Truth, "{a} % {k} == 0", ["whether {k} divides {a}", "if {a} is a multiple of {k}"]),
    op(Number, Truth, "{a} > {b}", ["whether {a} is above {b}", "if {a} is more than {b}"]),
    op(Number, Truth, "{a} < {b}", ["whether {a} is below {b}", "if {a} is less than {b}"]),
    op(Number, Truth, "{a} == {b}", ["whether {a} and {b} are equal", "if {a} is the same as {b}"]),
];

const TABLE: [Operation; 10] = [
    op(
        Table,
        Numbers,
        "sorted({a}.values())",
        ["the values of {a} in order", "what {a} holds, smallest first"],
    ),
    op(Table, Numbers, "list({a}.values())", ["the values of {a}", "what {a} holds, as a list"]),
    op(Table, Number, "sum({a}.values())", ["the sum of the values of {a}", "all values of {a} added up"]),
    op(Table, Number, "max({a}.values())", ["the largest value of {a}", "the most that {a} holds"]),
    op(Table, Number, "min({a}.values())", ["the smallest value of {a}", "the least that {a} holds"]),
    op(
        Table,
        Number,
        "{a}.get(\"q\", {k})",
        ["what {a} has under q, or {k}", "the value of q in {a}, {k} if there is none"],
    ),
    op(
        Table,
        Number,
        "{a}.get(\"t\", {k})",
        ["what {a} has under t, or {k}", "the value of t in {a}, {k} if there is none"],
    ),
    op(
        Table,
        Number,
        "len({a}) + {k}",
        ["{k} more than {a} has entries", "the number of entries of {a} plus {k}"],
    ),
    op(
        Table,
        Number,
        "len({a}) * {k}",
        ["{k} times the number of entries of {a}", "the entries of {a}, each counted {k} times"],
    ),
    op(
        Table,
        Numbers,
        "[v for v in {a}.values() if v > {k}]",
        ["the values of {a} above {k}", "what {a} holds that is more than {k}"],
    ),
];

const CHOICE: [Operation; 12] = [
    op(
        Numbers,
        Numbers,
        "[x for x in {a} if x > {k}]",
        ["the items of {a} above {k}", "what of {a} is more than {k}"],
    ),
    op(
        Numbers,
        Numbers,
        "[x for x in {a} if x < {k}]",
        ["the items of {a} below {k}", "what of {a} is less than {k}"],
    ),
    op(
        Numbers,
        Numbers,
        "[x for x in {a} if x != {k}]",
        ["the items of {a} other than {k}", "{a} with every {k} taken out"],
    ),
    op(Numbers, Numbers, "[x for x in {a} if x % 2 == 0]", ["the even items of {a}", "what of {a} is even"]),
    op(Numbers, Numbers, "[x for x in {a} if x % 2 == 1]", ["the odd items of {a}", "what of {a} is odd"]),
    op(Numbers, Number, "len({a})", ["the number of items of {a}", "how many items {a} has"]),
    op(Numbers, Number, "sum({a})", ["the sum of {a}", "all items of {a} added up"]),
    op(Numbers, Number, "sum({a}) + {k}", ["the sum of {a} plus {k}", "all items of {a} and {k} added up"]),
    op(Numbers, Number, "{a}.count({k})", ["how often {k} is in {a}", "the number of times {a} has {k}"]),
    op(
        Numbers,
        Number,
        "len(set({a}))",
        ["how many distinct items {a} has", "the number of different items of {a}"],
    ),
    op(
        Numbers,
        Number,
        "max({a}, default={k})",
        ["the largest item of {a}, or {k}", "the most in {a}, {k} if it is empty"],
    ),
    op(
        Numbers,
        Number,
        "min({a}, default={k})",
        ["the smallest item of {a}, or {k}", "the least in {a}, {k} if it is empty"],
    ),
];

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Arithmetic, Self::List, Self::Text, Self::Truth, Self::Table, Self::Choice];

    /// Its name in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::List => "list",
            Self::Text => "text",
            Self::Truth => "truth",
            Self::Table => "table",
            Self::Choice => "choice",
        }
    }

    /// By its name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == word)
    }

    fn operations(self) -> &'static [Operation] {
        match self {
            Self::Arithmetic => &ARITHMETIC,
            Self::List => &LIST,
            Self::Text => &TEXT,
            Self::Truth => &TRUTH,
            Self::Table => &TABLE,
            Self::Choice => &CHOICE,
        }
    }

    /// What a second step of a composed function does: before the family's own
    /// operation, or after it.
    fn step(self) -> Step {
        match self {
            Self::Arithmetic | Self::List | Self::Text => Step::Before(self),
            Self::Truth => Step::Before(Self::Arithmetic),
            Self::Table | Self::Choice => Step::After,
        }
    }
}

/// The second step of a composed function.
enum Step {
    /// An operation of this family on the parameter.
    Before(Family),
    /// An operation on what the family's own gives: arithmetic on a number, a
    /// list's on a list.
    After,
}

/// One operation with its constant.
#[derive(Clone, Copy)]
struct Drawn {
    family: Family,
    operation: &'static Operation,
    constant: i32,
}

impl Drawn {
    fn code(self, operand: &str) -> String {
        fill(self.operation.code, operand, &second(operand), self.constant)
    }

    fn words(self, operand: &str, phrasing: usize) -> String {
        fill(self.operation.words[phrasing], operand, &second(operand), self.constant)
    }

    fn draw(family: Family, fits: impl Fn(&Operation) -> bool, rng: &mut ChaCha8Rng) -> Option<Self> {
        let operations: Vec<&'static Operation> = family.operations().iter().filter(|o| fits(o)).collect();
        let operation = operations.choose(rng)?;
        Some(Self { family, operation, constant: rng.random_range(2..10) })
    }

    fn is_of_two(self) -> bool {
        self.operation.code.contains("{b}")
    }
}

/// The second parameter is only ever a plain number beside the first.
fn second(operand: &str) -> String {
    if operand == "b" { "a".to_owned() } else { "b".to_owned() }
}

fn fill(template: &str, operand: &str, other: &str, constant: i32) -> String {
    template.replace("{k}", &constant.to_string()).replace("{b}", other).replace("{a}", operand)
}

/// What a function does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formula {
    /// Its family.
    pub family: Family,
    /// Its parameters with their kinds.
    pub parameters: Vec<(&'static str, Kind)>,
    /// The right expression.
    pub code: String,
    /// Words for it, in two phrasings.
    pub words: [String; 2],
    /// Expressions that somebody might have written instead, each different.
    pub mistakes: Vec<String>,
}

/// Draws a formula; a composed one where `deep`, if the family has any.
pub fn draw(family: Family, deep: bool, rng: &mut ChaCha8Rng) -> Formula {
    let own = Drawn::draw(family, |_| true, rng).expect("every family has operations");
    let (outer, inner) = if deep { with_step(own, rng) } else { (own, None) };
    let takes = inner.unwrap_or(outer).operation.takes;
    let a = takes.parameter();
    let code = compose(outer, inner, a);
    let words = [0, 1].map(|phrasing| match inner {
        Some(inner) => outer.words(&inner.words(a, phrasing), phrasing),
        None => outer.words(a, phrasing),
    });
    let mistakes = mistakes(outer, inner, a, &code, rng);
    let mut parameters = vec![(a, takes)];
    if outer.is_of_two() || inner.is_some_and(Drawn::is_of_two) {
        parameters.push(("b", takes));
    }
    Formula { family, parameters, code, words, mistakes }
}

/// The family's own operation with a second step around it or inside it, if
/// there is one that fits.
fn with_step(own: Drawn, rng: &mut ChaCha8Rng) -> (Drawn, Option<Drawn>) {
    let Operation { takes, gives, .. } = *own.operation;
    match own.family.step() {
        Step::Before(family) => {
            let fits =
                |o: &Operation| o.takes == takes && o.gives == takes && !std::ptr::eq(o, own.operation);
            (own, Drawn::draw(family, fits, rng))
        }
        Step::After => {
            let family = if gives == Number { Family::Arithmetic } else { Family::List };
            let fits = |o: &Operation| o.takes == gives && !o.code.contains("{b}");
            match Drawn::draw(family, fits, rng) {
                Some(outer) => (outer, Some(own)),
                None => (own, None),
            }
        }
    }
}

fn compose(outer: Drawn, inner: Option<Drawn>, a: &str) -> String {
    let Some(inner) = inner else { return outer.code(a) };
    let code = inner.code(a);
    // What is infix needs brackets inside another expression.
    let infix = [" + ", " - ", " * ", " // ", " % "].iter().any(|sign| inner.operation.code.contains(sign));
    let closed =
        code.ends_with(']') && code.starts_with('[') || code.ends_with(')') && !code.starts_with('(');
    let bare = outer.operation.code.contains("({a})") || outer.operation.code.contains("({a},");
    let plain = bare || (!infix || closed) && !code.contains(" for ");
    outer.code(&if plain { code } else { format!("({code})") })
}

fn mistakes(outer: Drawn, inner: Option<Drawn>, a: &str, right: &str, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut wrong = Vec::new();
    let other = |drawn: Drawn, rng: &mut ChaCha8Rng| {
        let Operation { takes, gives, .. } = *drawn.operation;
        let fits = |o: &Operation| {
            o.takes == takes
                && o.gives == gives
                && o.code.contains("{b}") == drawn.is_of_two()
                && !std::ptr::eq(o, drawn.operation)
        };
        Drawn::draw(drawn.family, fits, rng).map(|found| Drawn { constant: drawn.constant, ..found })
    };
    for _ in 0..3 {
        wrong.extend(other(outer, rng).map(|outer| compose(outer, inner, a)));
    }
    let off = |drawn: Drawn, by: i32| Drawn { constant: (drawn.constant + by).max(1), ..drawn };
    let by = if rng.random_bool(0.5) { 1 } else { -1 };
    wrong.push(compose(off(outer, by), inner, a));
    if let Some(inner) = inner {
        wrong.push(compose(outer, Some(off(inner, by)), a));
        wrong.extend(other(inner, rng).map(|inner| compose(outer, Some(inner), a)));
        // A step left out.
        wrong.push(inner.code(a));
        if outer.operation.takes == inner.operation.takes {
            wrong.push(outer.code(a));
        }
    }
    if outer.is_of_two() && inner.is_none() {
        wrong.push(outer.code("b"));
    }
    let mut distinct: Vec<String> = Vec::new();
    for code in wrong {
        if code != right && !distinct.contains(&code) {
            distinct.push(code);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn families_are_large_and_mistakes_differ_from_the_right_code() {
        for family in Family::ALL {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let formulas: Vec<Formula> = (0..2000).map(|i| draw(family, i % 2 == 0, &mut rng)).collect();
            let distinct: HashSet<&str> = formulas.iter().map(|f| f.code.as_str()).collect();
            assert!(distinct.len() > 70, "{family:?}: {}", distinct.len());
            for formula in &formulas {
                assert!(
                    !formula.mistakes.is_empty() && !formula.mistakes.contains(&formula.code),
                    "{formula:?}"
                );
                let whole = format!("{formula:?}");
                assert!(
                    !whole.contains("{a}") && !whole.contains("{b}") && !whole.contains("{k}"),
                    "{whole}"
                );
            }
        }
    }
}
