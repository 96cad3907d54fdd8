//! The kinds of bugs, each an operator on the syntax tree (after SWE-smith's
//! procedural modifications; reference/environments.md, section 1.3).
//!
//! An operator lists every place it can change inside functions. What no test
//! can notice is left alone: docstrings, annotations, decorators, messages.

mod places;

use std::ops::Range;

use tree_sitter::Node;

use super::syntax;

/// A kind of bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// `<` for `<=`, `==` for `!=`, `in` for `not in`, …
    ComparisonSwap,
    /// `+` for `-`, `*` for `/`, `<<` for `>>`, …, also in `+=`.
    ArithmeticSwap,
    /// `and` for `or`.
    BooleanSwap,
    /// A whole number one higher or lower.
    OffByOne,
    /// `if not (x)` for `if x`.
    NegatedCondition,
    /// One side of `and`/`or` gone, or a condition that always holds.
    DroppedCondition,
    /// Two neighbouring arguments of a call exchanged.
    SwappedArguments,
    /// Another variable of the same function.
    WrongVariable,
    /// A statement gone.
    DroppedStatement,
    /// Another value returned.
    WrongReturn,
    /// The branches of an `if` exchanged.
    ExchangedBranches,
    /// `x` for `not x`.
    DroppedNot,
    /// `x` for `await x`.
    DroppedAwait,
}

/// One change of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub range: Range<usize>,
    /// By what.
    pub text: String,
}

/// One way to plant one bug: edits that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its kind.
    pub operator: Operator,
    /// In source order, without overlap.
    pub edits: Vec<Edit>,
    /// First byte of the innermost function around it.
    pub function: usize,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 13] = [
        Self::ComparisonSwap,
        Self::ArithmeticSwap,
        Self::BooleanSwap,
        Self::OffByOne,
        Self::NegatedCondition,
        Self::DroppedCondition,
        Self::SwappedArguments,
        Self::WrongVariable,
        Self::DroppedStatement,
        Self::WrongReturn,
        Self::ExchangedBranches,
        Self::DroppedNot,
        Self::DroppedAwait,
    ];

    /// Its name in files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ComparisonSwap => "comparison_swap",
            Self::ArithmeticSwap => "arithmetic_swap",
            Self::BooleanSwap => "boolean_swap",
            Self::OffByOne => "off_by_one",
            Self::NegatedCondition => "negated_condition",
            Self::DroppedCondition => "dropped_condition",
            Self::SwappedArguments => "swapped_arguments",
            Self::WrongVariable => "wrong_variable",
            Self::DroppedStatement => "dropped_statement",
            Self::WrongReturn => "wrong_return",
            Self::ExchangedBranches => "exchanged_branches",
            Self::DroppedNot => "dropped_not",
            Self::DroppedAwait => "dropped_await",
        }
    }

    /// The operator of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name() == name)
    }
}

/// Every site of every operator in a file, in source order. Files that do not
/// parse have none.
#[must_use]
pub fn sites(source: &str) -> Vec<Site> {
    let Some(tree) = syntax::parse(source) else { return Vec::new() };
    if tree.root_node().has_error() {
        return Vec::new();
    }
    let mut sites = Vec::new();
    for node in syntax::descendants(tree.root_node()) {
        let Some(function) = enclosing_function(node) else { continue };
        if is_invisible(node, source) {
            continue;
        }
        for (operator, edits) in places::of(node, function, source) {
            sites.push(Site { operator, edits, function: function.start_byte() });
        }
    }
    sites
}

/// Puts edits into a source, and checks that it is still Python.
#[must_use]
pub fn apply(source: &str, edits: &[Edit]) -> Option<String> {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    edits.sort_by_key(|e| e.range.start);
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    for edit in edits {
        out.push_str(source.get(at..edit.range.start)?);
        out.push_str(&edit.text);
        at = edit.range.end;
    }
    out.push_str(source.get(at..)?);
    let tree = syntax::parse(&out)?;
    (!tree.root_node().has_error() && out != source).then_some(out)
}

/// The innermost function whose body the node is in.
fn enclosing_function(node: Node<'_>) -> Option<Node<'_>> {
    let mut inner = node;
    for outer in syntax::ancestors(node) {
        let is_body = outer.child_by_field_name("body").is_some_and(|b| b.id() == inner.id());
        if outer.kind() == "function_definition" && is_body {
            return Some(outer);
        }
        inner = outer;
    }
    None
}

/// Annotations, decorators, docstrings, messages of `raise` and `assert`, and
/// blocks for type checkers: changes there are noise.
fn is_invisible(node: Node<'_>, source: &str) -> bool {
    std::iter::once(node).chain(syntax::ancestors(node)).any(|n| match n.kind() {
        "type"
        | "decorator"
        | "raise_statement"
        | "assert_statement"
        | "global_statement"
        | "import_statement"
        | "import_from_statement"
        | "format_specifier"
        | "type_alias_statement" => true,
        "if_statement" => n
            .child_by_field_name("condition")
            .is_some_and(|c| syntax::text(c, source).ends_with("TYPE_CHECKING")),
        "function_definition" => n
            .child_by_field_name("name")
            .is_some_and(|name| matches!(syntax::text(name, source), "__repr__" | "__dir__")),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All mutants of one operator for a function body.
    fn check(operator: Operator, source: &str, expected: &[&str]) {
        let found: Vec<String> = sites(source)
            .iter()
            .filter(|s| s.operator == operator)
            .map(|s| apply(source, &s.edits).unwrap_or_else(|| panic!("{s:?} does not parse")))
            .collect();
        assert_eq!(found, expected, "{operator:?}");
    }

    #[test]
    fn comparisons() {
        check(Operator::ComparisonSwap, "def f(a):\n    return a <= 1\n", &["def f(a):\n    return a < 1\n"]);
        check(
            Operator::ComparisonSwap,
            "def f(a):\n    return a not in b\n",
            &["def f(a):\n    return a in b\n"],
        );
        check(
            Operator::ComparisonSwap,
            "def f(a):\n    return a is None\n",
            &["def f(a):\n    return a is not None\n"],
        );
        check(
            Operator::ComparisonSwap,
            "def f(a):\n    return 0 < a == 1\n",
            &["def f(a):\n    return 0 <= a == 1\n", "def f(a):\n    return 0 < a != 1\n"],
        );
        check(Operator::ComparisonSwap, "x = 1 < 2\ndef f(a: 1 < 2):\n    pass\n", &[]);
    }

    #[test]
    fn arithmetic_and_booleans() {
        check(
            Operator::ArithmeticSwap,
            "def f(a):\n    a += 1\n    return a % 2\n",
            &["def f(a):\n    a -= 1\n    return a % 2\n", "def f(a):\n    a += 1\n    return a // 2\n"],
        );
        check(Operator::ArithmeticSwap, "def f(a):\n    return 'x %s' % a\n", &[]);
        check(Operator::BooleanSwap, "def f(a):\n    return a and 1\n", &["def f(a):\n    return a or 1\n"]);
    }

    #[test]
    fn numbers() {
        check(
            Operator::OffByOne,
            "def f(a):\n    return a[1:0x10]\n",
            &["def f(a):\n    return a[2:0x10]\n", "def f(a):\n    return a[0:0x10]\n"],
        );
    }

    #[test]
    fn conditions() {
        check(
            Operator::NegatedCondition,
            "def f(a):\n    if a:\n        return 1\n    while a > 1: a -= 1\n",
            &[
                "def f(a):\n    if not (a):\n        return 1\n    while a > 1: a -= 1\n",
                "def f(a):\n    if a:\n        return 1\n    while not (a > 1): a -= 1\n",
            ],
        );
        check(
            Operator::DroppedCondition,
            "def f(a, b):\n    if a and b:\n        return 1\n",
            &[
                "def f(a, b):\n    if True:\n        return 1\n",
                "def f(a, b):\n    if a:\n        return 1\n",
                "def f(a, b):\n    if b:\n        return 1\n",
            ],
        );
        check(Operator::DroppedNot, "def f(a):\n    return not a\n", &["def f(a):\n    return a\n"]);
    }

    #[test]
    fn arguments_and_variables() {
        check(
            Operator::SwappedArguments,
            "def f(a, b):\n    return g(a, b, k=1)\n",
            &["def f(a, b):\n    return g(b, a, k=1)\n"],
        );
        check(
            Operator::WrongVariable,
            "def f(a, b):\n    return a.b + c(k=b)\n",
            &["def f(a, b):\n    return b.b + c(k=b)\n", "def f(a, b):\n    return a.b + c(k=a)\n"],
        );
    }

    #[test]
    fn statements_and_returns() {
        check(
            Operator::DroppedStatement,
            "def f(a):\n    \"doc\"\n    a.sort()\n    a.x = 1\n    return a\n",
            &[
                "def f(a):\n    \"doc\"\n    a.x = 1\n    return a\n",
                "def f(a):\n    \"doc\"\n    a.sort()\n    return a\n",
            ],
        );
        check(
            Operator::DroppedStatement,
            "def f(a):\n    for x in a:\n        x.go()\n",
            &["def f(a):\n    for x in a:\n        pass\n"],
        );
        check(Operator::WrongReturn, "def f(a):\n    return True\n", &["def f(a):\n    return False\n"]);
        check(Operator::WrongReturn, "def f(a):\n    return a, 1\n", &["def f(a):\n    return 1, a\n"]);
        check(Operator::WrongReturn, "def f(a):\n    return g(a)\n", &["def f(a):\n    return None\n"]);
    }

    #[test]
    fn branches_and_awaits() {
        check(
            Operator::ExchangedBranches,
            "def f(a):\n    if a:\n        x = 1\n        y = 2\n    else:\n        x = 3\n    return x\n",
            &["def f(a):\n    if a:\n        x = 3\n    else:\n        x = 1\n        y = 2\n    return x\n"],
        );
        check(
            Operator::ExchangedBranches,
            "def f(a):\n    return 1 if a else 2\n",
            &["def f(a):\n    return 2 if a else 1\n"],
        );
        check(
            Operator::DroppedAwait,
            "async def f(a):\n    return await a.b()\n",
            &["async def f(a):\n    return a.b()\n"],
        );
    }

    #[test]
    fn invisible_places_are_left_alone() {
        let source = "import typing\n@d(1 < 2)\ndef f(a: int = 3 < 4) -> 1 < 2:\n    \"1 < 2\"\n    raise X('a' + 1)\n";
        assert_eq!(sites(source), []);
        assert_eq!(sites("def f(:\n    return 1 <"), []);
    }

    proptest::proptest! {
        #[test]
        fn every_site_of_any_source_is_applied_or_refused(
            lines in proptest::collection::vec("    (if a < b:|else:|return a|x = f\\(a, b\\)|a \\+= 1|é = not a|await b|pass|    x\\(\\)|while a and b: c\\(1\\))", 0..12),
        ) {
            let source = format!("def g(a, b):\n    pass\n{}\n", lines.join("\n"));
            for site in sites(&source) { let _ = apply(&source, &site.edits); }
        }
    }
}
