//! What people and programs are told: errors with their exit codes, progress, tables,
//! pages.
//!
//! Data go to stdout and words to stderr, both through [`printer`] alone; what lasts
//! says by [`progress`] how far it is; every error of ours ends as a
//! [`CommandError`](error::CommandError); [`sheet`] makes pages.

pub mod error;
pub mod exit;
pub mod printer;
pub mod progress;
pub mod sheet;
pub mod text;
pub mod unreadable;
