//! Flags of `bench`.

use std::path::PathBuf;

use clap::Subcommand;

use super::InstallArgs;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    /// Boxes: start, sessions, many at once, a real test suite, disk
    Box {
        /// Repetitions of the short cases
        #[arg(long, default_value_t = 100)]
        repeats: u32,
        /// Leave out the cases that build packages, which take minutes and an index
        #[arg(long)]
        bare: bool,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Logs graded, by family of languages, against the reference harness
    Grade {
        /// Logs of each family
        #[arg(long, default_value_t = 500)]
        logs: usize,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Agents: steps a second, memory, many at once, against mini-swe-agent
    Rollout {
        /// Attempts of ours in each of three turns; the peer makes 64
        #[arg(long, default_value_t = 256)]
        attempts: usize,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// The engine's training: tokens a second and memory, against PyTorch
    Train {
        /// A Python that has torch, transformers and trl [default: one is made, which takes gigabytes]
        #[arg(long, value_name = "PYTHON")]
        peer: Option<PathBuf>,
        /// Optimiser steps of each case
        #[arg(long, default_value_t = 6)]
        steps: usize,
        /// Only cases whose name holds this
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// The engine's generation: tokens a second, against transformers
    Generate {
        /// A Python that has torch and transformers [default: one is made, which takes gigabytes]
        #[arg(long, value_name = "PYTHON")]
        peer: Option<PathBuf>,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// One command after another in a live session
    Echo {
        /// Commands
        #[arg(long, default_value_t = 1000)]
        repeats: u32,
        #[command(flatten)]
        install: InstallArgs,
    },
}
