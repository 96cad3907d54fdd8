//! Flags of `bench`.

use std::path::PathBuf;

use clap::Subcommand;

use super::InstallArgs;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Scenario {
    /// Sandboxes: start, sessions, many in parallel, a real test suite, disk
    Box {
        /// Repetitions of each short case
        #[arg(long, default_value_t = 100)]
        repeats: u32,
        /// Skip the cases that build packages: they take minutes and need a package index
        #[arg(long)]
        bare: bool,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Grading of logs, per language family, against the reference harness
    Grade {
        /// Logs per family
        #[arg(long, default_value_t = 500)]
        logs: usize,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Agents: steps per second, memory, parallelism, against mini-swe-agent
    Rollout {
        /// Our attempts in each of three rounds; mini-swe-agent makes 64
        #[arg(long, default_value_t = 256)]
        attempts: usize,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Training: tokens per second and memory, against PyTorch
    Train {
        /// Python with torch, transformers and trl [default: one is installed, which takes gigabytes]
        #[arg(long, value_name = "PYTHON")]
        peer: Option<PathBuf>,
        /// Optimiser steps per case
        #[arg(long, default_value_t = 6)]
        steps: usize,
        /// Run only cases whose name contains this
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Generation: tokens per second, against transformers
    Generate {
        /// Python with torch and transformers [default: one is installed, which takes gigabytes]
        #[arg(long, value_name = "PYTHON")]
        peer: Option<PathBuf>,
        #[command(flatten)]
        install: InstallArgs,
    },
    /// Short commands in one live session
    Echo {
        /// Number of commands
        #[arg(long, default_value_t = 1000)]
        repeats: u32,
        #[command(flatten)]
        install: InstallArgs,
    },
}
