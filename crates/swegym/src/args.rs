//! Flags of every command, as clap types. Doc comments are the help texts.

mod choice;
mod command_line;
mod curate;
mod dataset;
mod dev;
mod door;
mod examples;
mod export;
mod improve;
mod install;
mod mine;
#[cfg(test)]
mod pages;
mod rollout;
mod select;
mod store;
mod train;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{Args as ClapArgs, FromArgMatches as _, Parser, Subcommand};
use swegym_console::error::CommandError;
use swegym_method::base::Size;
use swegym_tasks::micro::{Family, LEVELS, Split};

use choice::{choice, explained};

pub(crate) use command_line::{CommandLine, asks_for_json};
pub(crate) use curate::{CurateArgs, Kept};
pub(crate) use dataset::{ConvertArgs, DatasetVerb};
pub(crate) use dev::DevModelArgs;
pub(crate) use door::DoorArgs;
pub(crate) use examples::command;
pub(crate) use export::{ExportArgs, RecipeArgs};
pub(crate) use improve::{ImproveArgs, PaperArgs, WayArgs};
pub(crate) use install::InstallArgs;
pub(crate) use mine::{BoundArgs, GymArgs, MineArgs, RemakeArgs};
pub(crate) use rollout::{BudgetArgs, EndpointArgs, ModelArgs, RolloutArgs};
pub(crate) use select::{ScoreArgs, SelectArgs};
pub(crate) use store::{GcArgs, StoreVerb};
pub(crate) use train::{
    AdapterArgs, CourseArgs, HeldOutArgs, PretrainArgs, ServeArgs, SftArgs, TokenizerArgs, TrainVerb,
    VerifierArgs,
};

/// Make executable software-engineering tasks, run agents on them, and grade the answers
#[derive(Debug, Parser)]
#[command(name = "swegym", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Args {
    /// What was typed, completed by the run that `--resume` names.
    ///
    /// # Errors
    /// `--help` and `--version`, which are told to stdout, and flags that do not fit.
    pub(crate) fn read(words: Vec<OsString>) -> Result<(Self, CommandLine), clap::Error> {
        let mut command = command();
        command.build();
        // Names of files come to be in settings, journals and documents, which are text.
        if let Some(odd) = words.iter().find(|word| word.to_str().is_none()) {
            let message = format!("`{}` is not valid UTF-8\n\n  tip: rename the file", odd.to_string_lossy());
            return Err(command.error(ErrorKind::InvalidUtf8, message));
        }
        let words = command_line::completed(&command, words);
        let matches = command.try_get_matches_from_mut(words)?;
        let line = CommandLine::of(&command, &matches);
        Ok((Self::from_arg_matches(&matches)?, line))
    }
}

/// Flags of every verb.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GlobalArgs {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only errors and the result
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Folder for images, caches and runs [env: SWEGYM_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Settings file [default: swegym.toml in the current folder, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Limits of boxes and of the whole run.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Processor cores for all jobs together [default: all]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) cores: Option<usize>,
    /// Memory for all jobs together, in MiB [default: 80 % of what is free]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// Memory limit of one sandbox, in MiB [default: 2048]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) box_memory: Option<u64>,
    /// Disk limit of one sandbox, in MiB [default: 1024]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) box_disk: Option<u64>,
    /// Process limit of one sandbox [default: 512]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) box_processes: Option<u64>,
    /// Disk limit of a sandbox that builds an image, in MiB [default: 4096]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) build_disk: Option<u64>,
    /// Time limit of one run of a test suite, in seconds [default: 300]
    #[arg(long, global = true, value_name = "S")]
    pub(crate) test_timeout: Option<u64>,
}

/// Where results go.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RunArgs {
    /// Folder of this run [default: a new one under the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Continue the run in --out, with the flags that it was begun with; finished jobs are kept
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

/// How bugs are drawn.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DrawArgs {
    /// Random seed; the same seed plants the same bugs
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Candidates per package; about half become instances
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) candidates: u32,
}

/// Every level, as it is typed.
const LEVEL_WORDS: [&str; LEVELS as usize] = ["1", "2", "3"];

/// Which repositories of the micro gym are made.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct MicroArgs {
    /// Repositories to make; a few in a hundred yield no instance
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) count: u32,
    /// Split: train, validation or test; splits never share a repository
    #[arg(long, default_value = "train", hide_possible_values = true,
          value_parser = choice(Split::ALL.map(Split::name), Split::named))]
    pub(crate) split: Split,
    /// Random seed within the split
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Families of functions: arithmetic, list, text, truth, table, choice [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', hide_possible_values = true,
          value_parser = choice(Family::ALL.map(Family::name), Family::named))]
    pub(crate) families: Vec<Family>,
    /// Instead of instances, write --count pre-training texts to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "resume"])]
    pub(crate) text: Option<PathBuf>,
    /// Instead of instances, write the built-in base policy to this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "resume", "text"])]
    pub(crate) policy: Option<PathBuf>,
    /// Size of the base policy
    #[arg(long, default_value = "large", requires = "policy", value_parser = choice(sizes(), Size::named))]
    pub(crate) size: Size,
    /// Difficulty levels, 1 to 3: how little the issue says about the fault's place [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',', hide_possible_values = true,
          value_parser = choice(LEVEL_WORDS, |word| word.parse::<u8>().ok()))]
    pub(crate) levels: Vec<u8>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What is graded, by which rules, and where the verdicts go.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GradeArgs {
    /// Instances: a file or folder of any dataset format [default with --run: the run's own]
    #[arg(long, value_name = "FILE")]
    pub(crate) instances: Option<PathBuf>,
    /// Logs, JSON Lines: {"instance_id", "log", "semantics"?, "junit"?, "patch"?}; `log` is a path, or
    /// the log itself if it has a line break or a `>>>>>` mark
    #[arg(long, value_name = "MANIFEST", conflicts_with = "run")]
    pub(crate) logs: Option<PathBuf>,
    /// Grade a swegym evaluation again, from its saved evidence
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// File for the reports, JSON Lines, in the order of the logs
    #[arg(long, value_name = "REPORTS")]
    pub(crate) out: PathBuf,
    /// File for SWE-bench's run report [default: REPORTS with the ending .run_report.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Grading rules: v5, v4, v1, swe-gym, multi-swe-bench, swe-bench-live, r2e, pro [default: by the
    /// row's dataset and the log's markers]
    #[arg(long, value_name = "NAME")]
    pub(crate) semantics: Option<String>,
    /// For each expected test, print what each source says and which rule decided
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run everything once: graded attempts at small tasks within a minute, then a policy and a
    /// verifier, then the pipeline on real packages (build, synth, validate, evaluate, rollout, report)
    Quickstart {
        /// Packages: `name`, `name==version`, an archive or a checkout [default: three small ones]
        packages: Vec<String>,
        #[command(flatten)]
        draw: DrawArgs,
        /// Test runs without the gold patch, and as many with it
        #[arg(long, default_value_t = 3, value_name = "N")]
        repeats: u32,
        #[command(flatten)]
        install: InstallArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Turn pull requests of repositories into raw instances: from their history, and from what people
    /// wrote about them
    Mine(MineArgs),
    /// Turn raw instances into tasks: build an image of each commit as of its day, list its tests,
    /// validate
    Gym(GymArgs),
    /// Make the images of a gym again, of its recipes alone, and compare them
    Recipe(RemakeArgs),
    /// Build an image of each package, ready to run its tests
    Build {
        /// Packages: `name`, `name==version`, an archive or a checkout
        #[arg(required = true)]
        packages: Vec<String>,
        #[command(flatten)]
        install: InstallArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Plant bugs in built packages and write candidate instances
    Synth {
        /// `images.jsonl` of a build
        #[arg(long, value_name = "FILE")]
        images: PathBuf,
        #[command(flatten)]
        draw: DrawArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Generate small buggy repositories from a seed: candidate instances of the micro gym
    Micro(MicroArgs),
    /// Keep instances whose tests always fail before and always pass after the gold patch
    Validate {
        /// Instances (SWE-bench rows, JSON Lines)
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Test runs without the gold patch, and as many with it
        #[arg(long, default_value_t = 3, value_name = "N")]
        repeats: u32,
        #[command(flatten)]
        bounds: BoundArgs,
        /// Try a fixed set of harmless cheats on each kept instance, and drop an instance that one
        /// of them passes undetected
        #[arg(long)]
        probe: bool,
        /// Accept unknown fields that look like misspelt known ones
        #[arg(long)]
        keep_unknown_fields: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Run an agent on instances and record every attempt in full
    Rollout(Box<RolloutArgs>),
    /// Test predictions in fresh sandboxes and grade them
    Evaluate {
        /// Instances (SWE-bench rows, JSON Lines)
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Predictions file, the folder of a rollout, or one of: gold, empty, wrong
        #[arg(long, value_name = "FILE|SET")]
        predictions: String,
        /// Accept unknown fields that look like misspelt known ones
        #[arg(long)]
        keep_unknown_fields: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Grade test logs of any SWE-bench-style run, without running anything
    Grade(GradeArgs),
    /// Check, count, convert, filter and compare datasets of any known format
    Dataset {
        #[command(subcommand)]
        verb: DatasetVerb,
    },
    /// Show runs as tables and write an HTML page
    Report {
        /// Run folders of any verb; a quickstart's folder stands for all its stages
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Accepted as by the other verbs, without effect: a report is always written anew
        #[arg(long)]
        resume: bool,
    },
    /// Show what a run recorded
    Show {
        #[command(subcommand)]
        verb: ShowVerb,
    },
    /// Print a rollout's rates and means with intervals, by repository and by exit status
    Metrics(MetricsArgs),
    /// Reproduce the paper's tables and figures on the micro gym
    Paper(PaperArgs),
    /// Improve a policy in rounds: sample, grade, curate, train, measure
    Improve(Box<ImproveArgs>),
    /// Write a rollout's attempts as training data: messages and tools, JSON Lines
    Export(Box<ExportArgs>),
    /// Select training data from evaluated rollouts: token files and a data card
    Curate(Box<CurateArgs>),
    /// Score the attempts of rollouts with a verifier
    Score(ScoreArgs),
    /// Choose the best of several attempts per instance; compute Pass@K and Best@K
    Select(SelectArgs),
    /// Train tokenizers, policies and verifiers on this machine
    Train {
        #[command(subcommand)]
        verb: TrainVerb,
    },
    /// Serve a local model as a chat endpoint (OpenAI's protocol)
    Serve(ServeArgs),
    /// Repeat an attempt with its recorded answers, and compare the observations
    Replay {
        /// Record: trajectories/<instance_id>/<attempt>.jsonl of a run
        record: PathBuf,
        /// Instances file of the attempt's run
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Folder of the replay's record [default: a new one under the home folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Tools for developers of swegym and of agents
    Dev {
        #[command(subcommand)]
        verb: DevVerb,
    },
    /// Check what this machine allows, and name the setting to change where it does not
    Doctor,
    /// List the image store, and free its space
    Store {
        #[command(subcommand)]
        verb: StoreVerb,
    },
    /// Print a script that completes verbs and flags in your shell
    Completions {
        /// Shell that will read the script
        shell: clap_complete::Shell,
    },
}

impl Verb {
    /// Where its run is, if it makes one that can be taken up.
    pub(crate) fn run_mut(&mut self) -> Option<&mut RunArgs> {
        match self {
            Self::Quickstart { run, .. }
            | Self::Build { run, .. }
            | Self::Synth { run, .. }
            | Self::Validate { run, .. }
            | Self::Evaluate { run, .. } => Some(run),
            Self::Micro(args) => (args.text.is_none() && args.policy.is_none()).then_some(&mut args.run),
            Self::Rollout(args) => Some(&mut args.run),
            Self::Paper(args) => Some(&mut args.run),
            Self::Improve(args) => Some(&mut args.run),
            Self::Gym(args) => Some(&mut args.run),
            Self::Recipe(args) => Some(&mut args.run),
            Self::Train { verb } => match verb {
                TrainVerb::Tokenizer(_) => None,
                TrainVerb::Pretrain(args) => Some(&mut args.run),
                TrainVerb::Base(args) => Some(&mut args.run),
                TrainVerb::Sft(args) => Some(&mut args.run),
                TrainVerb::Verifier(args) => Some(&mut args.run),
            },
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ShowVerb {
    /// One attempt, step by step
    Trajectory(ShowTrajectoryArgs),
}

/// Which attempt, and how much of it.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ShowTrajectoryArgs {
    /// Record: trajectories/<instance_id>/<attempt>.jsonl of a run
    pub(crate) record: PathBuf,
    /// Show only this step, in full
    #[arg(long, value_name = "N")]
    pub(crate) step: Option<u32>,
    /// Show everything in full
    #[arg(long)]
    pub(crate) full: bool,
    /// Also write an HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) page: Option<PathBuf>,
}

/// Which run, and which other one.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct MetricsArgs {
    /// Folder of a rollout
    pub(crate) run: PathBuf,
    /// Folder of its evaluation [default: the rollout's own, with --evaluate]
    #[arg(long, value_name = "DIR")]
    pub(crate) evaluation: Option<PathBuf>,
    /// Folder of another rollout, compared on the instances that both have
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// Folder of the other rollout's evaluation
    #[arg(long, value_name = "DIR", requires = "against")]
    pub(crate) against_evaluation: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DevVerb {
    /// Serve a script as a model endpoint (OpenAI's and Anthropic's protocol), with faults
    Model(DevModelArgs),
}

/// Sizes of policies, with what they are.
fn sizes() -> [PossibleValue; 3] {
    explained([
        ("small", "64 columns, 2 layers"),
        ("medium", "96 columns, 3 layers"),
        ("large", "128 columns, 4 layers"),
    ])
}

/// Flags that do not fit: what is wrong, then the tips and the usage.
pub(crate) fn refusal(error: &clap::Error) -> CommandError {
    let text = error.to_string();
    let is_advice = |line: &str| ["tip:", "Usage:", "For more"].iter().any(|word| line.starts_with(word));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let advice = lines.iter().position(|line| is_advice(line)).unwrap_or(lines.len());
    let joined =
        |lines: &[&str]| lines.iter().filter(|line| !line.is_empty()).copied().collect::<Vec<_>>().join("\n");
    let message = joined(&lines[..advice]).trim_start_matches("error: ").to_owned();
    CommandError::usage(message, joined(&lines[advice..]))
}
