//! What can be measured, as flags.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measure swegym beside comparable programs (peers), in the same run on this machine
#[derive(Debug, Clone, Parser)]
#[command(name = "swegym-bench", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Print the figures as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Folder for everything that is made, and removed afterwards [env: SWEGYM_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Package index [env: UV_DEFAULT_INDEX, PIP_INDEX_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) index_url: Option<String>,
    /// Python interpreter of the images
    #[arg(long, global = true, value_name = "PYTHON")]
    pub(crate) python: Option<String>,
    /// Cores to use [default: all]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) cores: Option<usize>,
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

/// What is measured.
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
    },
    /// Grading of logs, per language family, against the reference harness
    Grade {
        /// Logs per family
        #[arg(long, default_value_t = 500)]
        logs: usize,
    },
    /// Agents: steps per second, memory, parallelism, against mini-swe-agent
    Rollout {
        /// Our attempts in each of three rounds; mini-swe-agent makes 64
        #[arg(long, default_value_t = 256)]
        attempts: usize,
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
    },
    /// Generation: tokens per second, against transformers
    Generate {
        /// Python with torch and transformers [default: one is installed, which takes gigabytes]
        #[arg(long, value_name = "PYTHON")]
        peer: Option<PathBuf>,
    },
    /// Mining: seconds and memory against a script over `git log`, and how many published
    /// instances are found
    Mine {
        /// Clones or mirrors, as for `swegym mine`
        #[arg(required = true, value_name = "REPOSITORY")]
        repositories: Vec<String>,
        /// What was published of them: a dataset, or a JSON list of instance ids
        #[arg(long, value_name = "FILE")]
        published: Option<PathBuf>,
    },
    /// Images of real commits: another one of a version beside the first, in seconds and on disk
    Gym {
        /// A gym, as `swegym gym` makes it
        #[arg(value_name = "FOLDER")]
        gym: PathBuf,
    },
    /// Short commands in one live session
    Echo {
        /// Number of commands
        #[arg(long, default_value_t = 1000)]
        repeats: u32,
    },
}

impl Scenario {
    /// Its word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Box { .. } => "box",
            Self::Grade { .. } => "grade",
            Self::Mine { .. } => "mine",
            Self::Gym { .. } => "gym",
            Self::Rollout { .. } => "rollout",
            Self::Train { .. } => "train",
            Self::Generate { .. } => "generate",
            Self::Echo { .. } => "echo",
        }
    }
}
