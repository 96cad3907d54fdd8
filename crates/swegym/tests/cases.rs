//! Small inputs that were judged wrongly once, each kind with its right value, through
//! the real binary: what real tools print and people hand in.

mod common;

#[path = "cases/answers.rs"]
mod answers;
#[path = "cases/datasets.rs"]
mod datasets;
#[path = "cases/packages.rs"]
mod packages;
#[path = "cases/patches.rs"]
mod patches;
#[path = "cases/runners.rs"]
mod runners;
