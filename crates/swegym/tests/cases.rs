//! Small inputs that were judged wrongly once, each kind with its right value:
//! what real tools print and people hand in.

mod common;

#[path = "cases/packages.rs"]
mod packages;
#[path = "cases/runners.rs"]
mod runners;
