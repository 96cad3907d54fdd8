//! What a script of a statement binds, reads and shows.

use std::collections::BTreeSet;

use tree_sitter::{Node, Tree};

use crate::synth::syntax::{ancestors, descendants, named_children, parse, text};

/// A script that parses.
pub(super) struct Code<'s> {
    source: &'s str,
    tree: Tree,
}

impl<'s> Code<'s> {
    /// `None` where it is no Python.
    pub(super) fn parse(source: &'s str) -> Option<Self> {
        let tree = parse(source)?;
        (!tree.root_node().has_error()).then_some(Self { source, tree })
    }

    /// Names that are read and bound nowhere in the script, nor by Python itself.
    pub(super) fn undefined(&self) -> BTreeSet<String> {
        let (mut bound, mut read) = (BTreeSet::new(), BTreeSet::new());
        for node in descendants(self.tree.root_node()).filter(|n| n.kind() == "identifier") {
            match role(node) {
                Role::Bound => bound.insert(text(node, self.source)),
                Role::Read => read.insert(text(node, self.source)),
                Role::Label => false,
            };
        }
        let own = |name: &&&str| !bound.contains(**name) && !BUILTINS.split_whitespace().any(|b| b == **name);
        read.iter().filter(own).map(|name| (*name).to_owned()).collect()
    }

    /// Calls of what cannot be called.
    pub(super) fn called_literals(&self) -> Vec<String> {
        let is_called = |node: &Node<'_>| {
            let function = node.child_by_field_name("function");
            node.kind() == "call" && function.is_some_and(is_literal)
        };
        let calls = descendants(self.tree.root_node()).filter(is_called);
        calls.map(|node| text(node, self.source).to_owned()).collect()
    }

    /// What the last line shows, where that is written in it.
    pub(super) fn shown_literal(&self) -> Option<String> {
        let last = named_children(self.tree.root_node()).filter(|n| n.kind() != "comment").last()?;
        let mut shown = named_children(last).next().filter(|_| last.kind() == "expression_statement")?;
        while let Some(inner) = self.argument_of_print(shown) {
            shown = inner;
        }
        is_literal(shown).then(|| text(shown, self.source).to_owned())
    }

    fn argument_of_print<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        let function = node.child_by_field_name("function")?;
        let mut arguments = named_children(node.child_by_field_name("arguments")?);
        let (first, second) = (arguments.next(), arguments.next());
        first.filter(|_| second.is_none() && matches!(text(function, self.source), "print" | "repr"))
    }
}

fn is_literal(node: Node<'_>) -> bool {
    match node.kind() {
        "string" => !descendants(node).any(|n| n.kind() == "interpolation"),
        "integer" | "float" | "true" | "false" | "none" | "concatenated_string" => true,
        "list" | "tuple" | "set" | "dictionary" | "pair" | "unary_operator" | "parenthesized_expression" => {
            named_children(node).all(is_literal)
        }
        _ => false,
    }
}

/// What a name is doing where it stands.
enum Role {
    Bound,
    Read,
    /// An attribute, a keyword, a part of a module's name: no name of the script.
    Label,
}

fn role(node: Node<'_>) -> Role {
    let Some(parent) = node.parent() else { return Role::Read };
    let is = |field| parent.child_by_field_name(field).is_some_and(|n| n.id() == node.id());
    match parent.kind() {
        "attribute" if is("attribute") => Role::Label,
        "keyword_argument" if is("name") => Role::Label,
        "aliased_import" | "dotted_name" => imported(node, parent),
        "function_definition" | "class_definition" if is("name") => Role::Bound,
        "parameters" | "lambda_parameters" | "global_statement" | "nonlocal_statement"
        | "as_pattern_target" => Role::Bound,
        "default_parameter" | "typed_default_parameter" | "named_expression" if is("name") => Role::Bound,
        "typed_parameter" => Role::Bound,
        "list_splat_pattern" | "dictionary_splat_pattern" | "splat_pattern" => Role::Bound,
        _ if is_target(node) => Role::Bound,
        _ => Role::Read,
    }
}

/// `a` of `import a.b`, `c` of `import a.b as c`, and captures of `case`.
fn imported(node: Node<'_>, parent: Node<'_>) -> Role {
    let is_alias =
        |n: Node<'_>, of: Node<'_>| of.child_by_field_name("alias").is_some_and(|a| a.id() == n.id());
    if parent.kind() == "aliased_import" {
        return if is_alias(node, parent) { Role::Bound } else { Role::Label };
    }
    let first = parent.named_child(0).is_some_and(|n| n.id() == node.id());
    let Some(outer) = parent.parent() else { return Role::Read };
    match outer.kind() {
        "import_statement" if first => Role::Bound,
        "import_from_statement" => {
            let is_module = outer.child_by_field_name("module_name").is_some_and(|n| n.id() == parent.id());
            if is_module { Role::Label } else { Role::Bound }
        }
        "import_statement" | "aliased_import" | "relative_import" | "future_import_statement" => Role::Label,
        "case_pattern" | "list_pattern" | "tuple_pattern" | "as_pattern"
            if parent.named_child_count() == 1 =>
        {
            Role::Bound
        }
        _ if first => Role::Read,
        _ => Role::Label,
    }
}

/// Whether a name is bound by an assignment, a loop, a comprehension or a `del`.
fn is_target(node: Node<'_>) -> bool {
    let mut inner = node;
    for outer in ancestors(node) {
        let left = outer.child_by_field_name("left").is_some_and(|n| n.id() == inner.id());
        match outer.kind() {
            "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => return left,
            "pattern_list" | "tuple_pattern" | "list_pattern" | "tuple" | "list" | "list_splat_pattern" => {
                inner = outer;
            }
            _ => return false,
        }
    }
    false
}

/// Names that Python brings, and those that every script has.
const BUILTINS: &str = "ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup \
BlockingIOError BrokenPipeError BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError \
ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError Ellipsis EncodingWarning EnvironmentError \
Exception ExceptionGroup False FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit \
IOError ImportError ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError \
KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError None NotADirectoryError NotImplemented \
NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError ProcessLookupError \
RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration StopIteration \
SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError True TypeError UnboundLocalError \
UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError \
Warning ZeroDivisionError __builtins__ __debug__ __doc__ __import__ __name__ __class__ abs aiter all anext any \
ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex copyright credits delattr dict \
dir divmod enumerate eval exec exit filter float format frozenset getattr globals hasattr hash help hex id input \
int isinstance issubclass iter len license list locals map max memoryview min next object oct open ord pow print \
property quit range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip";
