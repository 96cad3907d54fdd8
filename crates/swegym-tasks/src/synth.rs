//! Bugs injected into a package's own source, and the words to report them in.
//!
//! [`source`] says which files are the package's own; an
//! [`operator::Operator`] finds places in a syntax tree; [`mutation`] draws
//! some of them from a seed and turns them into a broken tree and the patch
//! that mends it; [`snippet`] makes scripts of failing tests that show what goes
//! wrong, and [`statement`] a report of them, as somebody would who has never seen
//! the source.

pub mod mutation;
pub mod operator;
pub mod snippet;
pub mod source;
pub mod statement;
pub(crate) mod syntax;

pub use mutation::{Bug, ChangedFile, Mutant, Synthesis};
pub use operator::Operator;
