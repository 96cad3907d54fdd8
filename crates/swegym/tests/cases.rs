//! Answers and rows as people have them: small inputs with their right values,
//! through the real binary. Each folder under `cases/` is one kind.

mod common;

#[path = "cases/answers.rs"]
mod answers;
#[path = "cases/datasets.rs"]
mod datasets;
#[path = "cases/patches.rs"]
mod patches;
