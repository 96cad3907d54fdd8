//! The program as its users have it: the real binary on real packages, repositories and
//! sockets.
//!
//! All of it is one test binary, so that no core idles while the last test of a file is at
//! work, and so that what tests build on (`common::base`) is made once. A file's tests run
//! alone by its name: `cargo test -p swegym --test it rollout::`.

mod common;

mod answers;
mod bad_input;
mod build_box;
mod calls;
mod cases;
mod counter;
mod curate;
mod dataset;
mod editor;
mod endpoint;
mod engine;
mod errors;
mod forged;
mod grade;
mod help;
mod improve;
mod interpreters;
mod kills;
mod languages;
mod machines;
mod masked;
mod micro;
mod mine;
mod packages;
mod patches;
mod peers;
mod pipeline;
mod places;
mod progress;
mod real;
mod reference;
mod resume;
mod rollout;
mod run_folders;
mod runner;
mod scripts;
mod serve;
mod statements;
mod store;
mod verdicts;
