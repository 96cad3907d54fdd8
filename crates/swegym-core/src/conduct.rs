//! How somebody came to an answer, as far as what they left shows it: named,
//! versioned predicates over the [`commands`] of an attempt and over the
//! [`patch`] that it ends with. What holds for tests' verdicts holds here, too:
//! a predicate is a pure function, and says where it saw what it saw.

pub mod commands;
pub mod patch;
