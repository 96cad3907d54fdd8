//! Flags of `dataset`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

/// A dataset in, and a dataset out.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ConvertArgs {
    /// Dataset: a file or folder of any format
    pub(crate) dataset: PathBuf,
    /// File or folder to write; the ending (.jsonl, .json, .parquet, .arrow) decides the file type
    pub(crate) out: PathBuf,
    /// Format: swe-bench, swe-gym, swe-rebench, swe-smith, r2e,
    /// multi-swe-bench, nemo, swe-bench-tasks, harbor
    #[arg(long, value_name = "FORMAT", default_value = "swe-bench")]
    pub(crate) to: String,
    /// File type: jsonl, json, parquet, arrow, hub (a folder for load_dataset), saved (a folder for
    /// load_from_disk) [default: by OUT's ending]
    #[arg(long, value_name = "KIND")]
    pub(crate) file: Option<String>,
    /// Split name, where the output is a folder
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub(crate) split: String,
    /// Dataset name, where the output is a folder [default: OUT's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DatasetVerb {
    /// Write a dataset in another format, and list what that format cannot hold
    Convert(ConvertArgs),
    /// Find what is wrong with a dataset; each finding has a code and a line
    Check {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// Test logs of the gold patches, as for `grade`; the test lists are checked against them
        #[arg(long, value_name = "MANIFEST")]
        logs: Option<PathBuf>,
        /// Let warnings, too, decide the exit code
        #[arg(long)]
        strict: bool,
    },
    /// Count words, lines, files, functions and tests, per repository
    Stats {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// Draw the means per repository (SVG)
        #[arg(long, value_name = "FILE")]
        chart: Option<PathBuf>,
    },
    /// Keep instances with a self-contained statement and a small fix, as SWE-bench Lite does
    Lite {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// File for what is kept; the ending (.jsonl, .json, .parquet, .arrow) decides its type
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// File for what is dropped and why, JSON Lines [default: OUT with the ending .dropped.jsonl]
        #[arg(long, value_name = "FILE")]
        dropped: Option<PathBuf>,
        /// Site to ask whether `#n` is an issue, at URL/OWNER/NAME/issues/N (the original asks
        /// https://github.com); without it, every `#n` counts as one
        #[arg(long, value_name = "URL")]
        issues_at: Option<String>,
    },
    /// List the instances that only one of two datasets has, and the fields that differ in the rest
    Diff {
        /// Older dataset
        old: PathBuf,
        /// Newer dataset
        new: PathBuf,
    },
}
