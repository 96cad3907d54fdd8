//! Python syntax trees, by tree-sitter: every node knows its bytes, so an edit
//! leaves the rest of a file as its author wrote it.

use tree_sitter::{Node, Parser, Tree};

/// Parses a file; `None` only if the grammar cannot be loaded.
#[must_use]
pub(crate) fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    parser.parse(text, None)
}

/// The source of a node.
pub(crate) fn text<'s>(node: Node<'_>, source: &'s str) -> &'s str {
    source.get(node.byte_range()).unwrap_or_default()
}

/// A node and everything under it, in source order.
pub(crate) fn descendants(root: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let mut stack = vec![root];
    std::iter::from_fn(move || {
        let node = stack.pop()?;
        let count = node.child_count() as u32;
        stack.extend((0..count).rev().filter_map(|i| node.child(i)));
        Some(node)
    })
}

/// Children without punctuation.
pub(crate) fn named_children(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    (0..node.named_child_count() as u32).filter_map(move |i| node.named_child(i))
}

/// The nodes around a node, innermost first.
pub(crate) fn ancestors(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(node.parent(), Node::parent)
}
