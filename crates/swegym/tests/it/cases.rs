//! Small inputs that were judged wrongly once, each kind with its right value, through
//! the real binary: what real tools print and people hand in.

mod answers;
mod datasets;
mod packages;
mod patches;
mod runners;
