//! Where instances come from.
//!
//! Today: packages. [`package`] gets one (from an index, an archive or a
//! checkout), [`recipe`] finds out how it is installed and tested from the
//! files it carries, and [`synth`] injects bugs into its source and says what
//! goes wrong in plain words. And datasets of the field: [`dataset`] reads
//! and writes their files, checks, counts and compares them. Nothing here runs
//! a program: installing and testing happen in boxes, by way of the runner.

pub mod dataset;
pub mod index;
pub mod micro;
pub mod package;
pub mod recipe;
pub mod synth;
pub mod uv;
mod yaml;
