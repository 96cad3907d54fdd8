//! Where instances come from.
//!
//! Packages: [`package`] gets one (from an index, an archive or a checkout), [`recipe`]
//! reads from its files how it is installed and tested, and [`synth`] plants bugs in its
//! source and describes what goes wrong. Datasets: [`dataset`] reads and writes their
//! files, checks, counts and compares them. Nothing here runs a program: installing and
//! testing happen in boxes, through the runner.

pub mod dataset;
pub mod go;
pub mod index;
pub mod micro;
pub mod package;
pub mod project;
pub mod recipe;
pub mod synth;
pub mod uv;
mod yaml;
