//! Where each operator can act, by node.

use tree_sitter::Node;

use super::{Edit, Operator};
use crate::synth::syntax::{self, named_children, text};

type Place = (Operator, Vec<Edit>);

fn replace(node: Node<'_>, by: impl Into<String>) -> Vec<Edit> {
    vec![Edit { range: node.byte_range(), text: by.into() }]
}

/// Two nodes trade places.
fn exchange(a: Node<'_>, b: Node<'_>, source: &str) -> Vec<Edit> {
    vec![
        Edit { range: a.byte_range(), text: text(b, source).to_owned() },
        Edit { range: b.byte_range(), text: text(a, source).to_owned() },
    ]
}

/// Everything that can be done at one node.
pub(super) fn of(node: Node<'_>, function: Node<'_>, source: &str) -> Vec<Place> {
    match node.kind() {
        "comparison_operator" => comparison(node, source),
        "binary_operator" | "augmented_assignment" => arithmetic(node, source),
        "boolean_operator" => boolean(node, source),
        "integer" => off_by_one(node, source),
        "if_statement" => {
            let mut places = condition(node, source);
            places.extend(exchanged_branches(node, source));
            places
        }
        "elif_clause" | "while_statement" => condition(node, source),
        "conditional_expression" => conditional_expression(node, source),
        "not_operator" => dropped_not(node, source),
        "await" => dropped_await(node, source),
        "argument_list" => swapped_arguments(node, source),
        "identifier" => wrong_variable(node, function, source),
        "expression_statement" => dropped_statement(node, source),
        "return_statement" => wrong_return(node, source),
        _ => Vec::new(),
    }
}

fn comparison(node: Node<'_>, source: &str) -> Vec<Place> {
    let mut cursor = node.walk();
    let operators: Vec<_> = node.children_by_field_name("operators", &mut cursor).collect();
    let swapped = |token: Node<'_>| {
        let words: Vec<_> = text(token, source).split_whitespace().collect();
        let by = match words.join(" ").as_str() {
            "<" => "<=",
            "<=" => "<",
            ">" => ">=",
            ">=" => ">",
            "==" => "!=",
            "!=" => "==",
            "in" => "not in",
            "not in" => "in",
            "is" => "is not",
            "is not" => "is",
            _ => return None,
        };
        Some((Operator::ComparisonSwap, replace(token, by)))
    };
    operators.into_iter().filter_map(swapped).collect()
}

fn arithmetic(node: Node<'_>, source: &str) -> Vec<Place> {
    let side = |field| node.child_by_field_name(field).map(|n| n.kind());
    let is_text = |kind| matches!(kind, Some("string" | "concatenated_string"));
    let Some(token) = node.child_by_field_name("operator") else { return Vec::new() };
    let word = text(token, source);
    let (bare, assigns) = word.strip_suffix('=').map_or((word, ""), |bare| (bare, "="));
    // A formatted or concatenated text would only raise a TypeError.
    if is_text(side("left")) || is_text(side("right")) {
        return Vec::new();
    }
    let by = match bare {
        "+" => "-",
        "-" => "+",
        "*" => "/",
        "/" => "*",
        "//" => "%",
        "%" => "//",
        "**" => "*",
        "<<" => ">>",
        ">>" => "<<",
        "&" => "|",
        "|" => "&",
        "^" => "&",
        _ => return Vec::new(),
    };
    vec![(Operator::ArithmeticSwap, replace(token, format!("{by}{assigns}")))]
}

fn boolean(node: Node<'_>, source: &str) -> Vec<Place> {
    let field = |name| node.child_by_field_name(name);
    let (Some(left), Some(token), Some(right)) = (field("left"), field("operator"), field("right")) else {
        return Vec::new();
    };
    let by = if text(token, source) == "and" { "or" } else { "and" };
    vec![
        (Operator::BooleanSwap, replace(token, by)),
        (Operator::DroppedCondition, replace(node, text(left, source))),
        (Operator::DroppedCondition, replace(node, text(right, source))),
    ]
}

fn off_by_one(node: Node<'_>, source: &str) -> Vec<Place> {
    let word = text(node, source);
    let Ok(value) = word.parse::<i64>() else { return Vec::new() };
    let mut others = vec![value + 1];
    if value > 0 {
        others.push(value - 1);
    }
    others.into_iter().map(|v| (Operator::OffByOne, replace(node, v.to_string()))).collect()
}

fn condition(node: Node<'_>, source: &str) -> Vec<Place> {
    let Some(condition) = node.child_by_field_name("condition") else { return Vec::new() };
    let word = text(condition, source);
    let mut places = Vec::new();
    // `if not x` is what the operator on `not` handles, and `(a := b)` needs its place.
    if !matches!(condition.kind(), "not_operator" | "true" | "false" | "named_expression") {
        places.push((Operator::NegatedCondition, replace(condition, format!("not ({word})"))));
    }
    // A loop whose condition always holds would only time out.
    if node.kind() != "while_statement" && condition.kind() != "true" {
        places.push((Operator::DroppedCondition, replace(condition, "True")));
    }
    places
}

fn exchanged_branches(node: Node<'_>, source: &str) -> Vec<Place> {
    let mut cursor = node.walk();
    let alternatives: Vec<_> = node.children_by_field_name("alternative", &mut cursor).collect();
    let [alternative] = alternatives.as_slice() else { return Vec::new() };
    let (Some(first), Some(second)) =
        (node.child_by_field_name("consequence"), alternative.child_by_field_name("body"))
    else {
        return Vec::new();
    };
    // Only blocks of equal indentation can trade places as text.
    let same_column = first.start_position().column == second.start_position().column;
    if alternative.kind() != "else_clause" || !same_column || text(first, source) == text(second, source) {
        return Vec::new();
    }
    vec![(Operator::ExchangedBranches, exchange(first, second, source))]
}

fn conditional_expression(node: Node<'_>, source: &str) -> Vec<Place> {
    let parts: Vec<_> = named_children(node).filter(|n| n.kind() != "comment").collect();
    let [yes, condition, no] = parts.as_slice() else { return Vec::new() };
    let mut places = Vec::new();
    if text(*yes, source) != text(*no, source) {
        places.push((Operator::ExchangedBranches, exchange(*yes, *no, source)));
    }
    if condition.kind() != "not_operator" {
        let negated = format!("not ({})", text(*condition, source));
        places.push((Operator::NegatedCondition, replace(*condition, negated)));
    }
    places
}

fn dropped_not(node: Node<'_>, source: &str) -> Vec<Place> {
    let argument = node.child_by_field_name("argument");
    argument.map(|a| (Operator::DroppedNot, replace(node, text(a, source)))).into_iter().collect()
}

fn dropped_await(node: Node<'_>, source: &str) -> Vec<Place> {
    let awaited = named_children(node).next();
    awaited.map(|a| (Operator::DroppedAwait, replace(node, text(a, source)))).into_iter().collect()
}

fn swapped_arguments(node: Node<'_>, source: &str) -> Vec<Place> {
    let plain = |n: &Node<'_>| {
        !matches!(
            n.kind(),
            "keyword_argument" | "dictionary_splat" | "list_splat" | "comment" | "generator_expression"
        )
    };
    let arguments: Vec<_> = named_children(node).filter(plain).collect();
    let differ = |pair: &&[Node<'_>]| text(pair[0], source) != text(pair[1], source);
    arguments
        .windows(2)
        .filter(differ)
        .map(|pair| (Operator::SwappedArguments, exchange(pair[0], pair[1], source)))
        .collect()
}

/// A read of one local variable becomes the read of another that is bound
/// before it; at most one change a place, the nearest other name.
fn wrong_variable(node: Node<'_>, function: Node<'_>, source: &str) -> Vec<Place> {
    if !is_read(node) {
        return Vec::new();
    }
    let name = text(node, source);
    let locals = bound_before(function, node.start_byte(), source);
    let mine = locals.contains(&name);
    let other = locals.iter().rev().find(|l| **l != name && !matches!(**l, "self" | "cls" | "_"));
    match (mine && !matches!(name, "self" | "cls"), other) {
        (true, Some(other)) => vec![(Operator::WrongVariable, replace(node, *other))],
        _ => Vec::new(),
    }
}

fn is_read(node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    let is_field = |field| parent.child_by_field_name(field).is_some_and(|n| n.id() == node.id());
    match parent.kind() {
        "attribute" => !is_field("attribute"),
        "keyword_argument" => !is_field("name"),
        "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => !is_field("left"),
        "call" => !is_field("function"),
        "parameters"
        | "default_parameter"
        | "typed_parameter"
        | "typed_default_parameter"
        | "lambda_parameters"
        | "function_definition"
        | "class_definition"
        | "pattern_list"
        | "tuple_pattern"
        | "as_pattern_target"
        | "list_splat_pattern"
        | "dictionary_splat_pattern"
        | "delete_statement"
        | "nonlocal_statement"
        | "dotted_name"
        | "aliased_import" => false,
        "named_expression" => !is_field("name"),
        _ => true,
    }
}

/// Parameters, and names assigned in the function before a byte, in order.
fn bound_before<'s>(function: Node<'_>, before: usize, source: &'s str) -> Vec<&'s str> {
    let mut names = Vec::new();
    let mut add = |node: Node<'_>| {
        let name = text(node, source);
        if node.kind() == "identifier" && !names.contains(&name) {
            names.push(name);
        }
    };
    if let Some(parameters) = function.child_by_field_name("parameters") {
        for parameter in named_children(parameters) {
            match parameter.kind() {
                "identifier" => add(parameter),
                _ => parameter
                    .child_by_field_name("name")
                    .or(parameter.named_child(0))
                    .into_iter()
                    .for_each(&mut add),
            }
        }
    }
    for node in syntax::descendants(function).take_while(|n| n.start_byte() < before) {
        let left = match node.kind() {
            "assignment" if node.end_byte() <= before => node.child_by_field_name("left"),
            "for_statement" => node.child_by_field_name("left"),
            _ => None,
        };
        left.into_iter().for_each(&mut add);
    }
    names
}

fn dropped_statement(node: Node<'_>, source: &str) -> Vec<Place> {
    let Some(inner) = named_children(node).next() else { return Vec::new() };
    let droppable = match inner.kind() {
        "call" | "await" | "augmented_assignment" => true,
        // A dropped binding of a plain name would only raise a NameError.
        "assignment" => {
            inner.child_by_field_name("left").is_some_and(|l| matches!(l.kind(), "attribute" | "subscript"))
        }
        _ => false,
    };
    let Some(block) = node.parent().filter(|_| droppable) else { return Vec::new() };
    let siblings = named_children(block).filter(|n| n.kind() != "comment").count();
    if siblings < 2 {
        return vec![(Operator::DroppedStatement, replace(node, "pass"))];
    }
    // The whole line goes, if nothing else stands on it.
    let line_start = source[..node.start_byte()].rfind('\n').map_or(0, |at| at + 1);
    let line_end = source[node.end_byte()..].find('\n').map(|at| node.end_byte() + at + 1);
    let alone = source[line_start..node.start_byte()].trim().is_empty()
        && line_end.is_some_and(|end| source[node.end_byte()..end].trim().is_empty());
    match line_end {
        Some(end) if alone => {
            vec![(Operator::DroppedStatement, vec![Edit { range: line_start..end, text: String::new() }])]
        }
        _ => vec![(Operator::DroppedStatement, replace(node, "pass"))],
    }
}

fn wrong_return(node: Node<'_>, source: &str) -> Vec<Place> {
    let Some(value) = named_children(node).find(|n| n.kind() != "comment") else { return Vec::new() };
    let edits = match value.kind() {
        "true" => replace(value, "False"),
        "false" => replace(value, "True"),
        "none" => return Vec::new(),
        "expression_list" | "tuple" => {
            let items: Vec<_> = named_children(value).collect();
            match items.as_slice() {
                [a, b, ..] if text(*a, source) != text(*b, source) => exchange(*a, *b, source),
                _ => return Vec::new(),
            }
        }
        "comparison_operator" | "boolean_operator" => {
            replace(value, format!("not ({})", text(value, source)))
        }
        _ => replace(value, "None"),
    };
    vec![(Operator::WrongReturn, edits)]
}
