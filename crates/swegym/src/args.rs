//! What can be typed. The doc comments are the help texts.

mod bench;
mod curate;
mod dev;
mod door;
mod export;
mod improve;
mod install;
mod select;
mod store;
mod train;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use bench::Scenario;
pub(crate) use curate::CurateArgs;
pub(crate) use dev::DevModelArgs;
pub(crate) use door::DoorArgs;
pub(crate) use export::ExportArgs;
pub(crate) use improve::{ImproveArgs, Memory, PaperArgs, Start};
pub(crate) use install::{InstallArgs, Network};
pub(crate) use select::{ScoreArgs, SelectArgs};
pub(crate) use store::{GcArgs, StoreVerb};
pub(crate) use train::{
    AdapterArgs, CourseArgs, HeldOutArgs, PretrainArgs, ServeArgs, SftArgs, Size, TokenizerArgs, TrainVerb,
    VerifierArgs, WordsOf,
};

/// Make, check and grade executable software-engineering tasks, and let agents work on them
#[derive(Debug, Parser)]
#[command(name = "swegym", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GlobalArgs {
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but errors and the result
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Folder for images, caches and runs [env: SWEGYM_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Settings file; swegym.toml in this folder if it is there
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Limits of boxes and of the whole run.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Processor cores that jobs use together [default: all]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) cores: Option<usize>,
    /// Memory that jobs use together, in MiB [default: 80 % of what is free]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) memory: Option<u64>,
    /// Memory of one box, in MiB [default: 2048]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) box_memory: Option<u64>,
    /// What one box may write, in MiB [default: 1024]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) box_disk: Option<u64>,
    /// Processes of one box [default: 512]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) box_processes: Option<u64>,
    /// What a box that builds an image may write, in MiB [default: 4096]
    #[arg(long, global = true, value_name = "MIB")]
    pub(crate) build_disk: Option<u64>,
    /// Time of one run of a test suite, in seconds [default: 300]
    #[arg(long, global = true, value_name = "S")]
    pub(crate) test_timeout: Option<u64>,
}

/// Where results go.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RunArgs {
    /// Folder of this run [default: a new one under the home folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out; finished jobs are kept
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
}

/// How bugs are drawn.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct DrawArgs {
    /// Seed of the bugs; the same seed gives the same candidates
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Candidates drawn for each package; about half become instances
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) candidates: u32,
}

/// Which repositories of the micro gym are made.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct MicroArgs {
    /// Repositories; a few of a hundred come to nothing
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) count: u32,
    /// What they are for: train, validation, test; no two share a repository
    #[arg(long, default_value = "train")]
    pub(crate) split: String,
    /// Seed within the split
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Families of functions: arithmetic, list, text, truth, table, choice [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) families: Vec<String>,
    /// Write so many texts to pre-train a policy on to this file, and no instances
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "resume"])]
    pub(crate) text: Option<PathBuf>,
    /// Write the gym's base policy to this folder, and no instances
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "resume", "text"])]
    pub(crate) policy: Option<PathBuf>,
    /// Its size
    #[arg(long, value_enum, default_value_t = Size::Large, requires = "policy")]
    pub(crate) size: Size,
    /// Levels of difficulty, 1 to 3 [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',')]
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
    /// Logs, JSON Lines: {"instance_id", "log", "semantics"?, "junit"?, "patch"?}
    #[arg(long, value_name = "MANIFEST", conflicts_with = "run")]
    pub(crate) logs: Option<PathBuf>,
    /// The folder of an evaluation of ours, graded again from its evidence
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Reports, JSON Lines, in the order of the logs
    #[arg(long, value_name = "REPORTS")]
    pub(crate) out: PathBuf,
    /// SWE-bench's run report [default: REPORTS with the ending .run_report.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Rules: v5, v4, v1, swe-gym, multi-swe-bench, swe-bench-live, r2e, pro [default: the log's own]
    #[arg(long, value_name = "NAME")]
    pub(crate) semantics: Option<String>,
    /// Print for each expected test who said what, and which rule decided
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Who answers, and where.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// The model's name at the endpoint, scripted:FILE, or program:FILE; teachers need none
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Address of the endpoint, up to /v1 [env: OPENAI_BASE_URL] [default: the protocol's own]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Protocol: openai, anthropic [default: by the address]
    #[arg(long, value_name = "NAME")]
    pub(crate) wire: Option<String>,
    /// Variable that holds the key [default: OPENAI_API_KEY or ANTHROPIC_API_KEY]
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_from: Option<String>,
    /// How tool calls travel: native, or text for models that write <function=…>
    #[arg(long, value_name = "FORM", default_value = "native")]
    pub(crate) tool_calls: String,
    /// Temperature of sampling [default: the endpoint's]
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Mass of the nucleus [default: the endpoint's]
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Longest answer, in tokens [default: the endpoint's]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
    /// Seed of sampling, for endpoints that have one; attempt k adds k
    #[arg(long, value_name = "N")]
    pub(crate) sampling_seed: Option<u64>,
    /// Ask for token ids and log-probabilities (vLLM, SGLang)
    #[arg(long)]
    pub(crate) capture_tokens: bool,
    /// Fields for every request, as a JSON object: '{"top_k": 20}'; null takes one of ours away
    #[arg(long, value_name = "JSON")]
    pub(crate) extra: Option<String>,
    /// Ask for answers piece by piece
    #[arg(long)]
    pub(crate) stream: bool,
    /// Requests at once [default: as many as attempts]
    #[arg(long, value_name = "N")]
    pub(crate) requests_at_once: Option<usize>,
    /// Time of one request, in seconds
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub(crate) request_timeout: u64,
    /// Tries after the first, with growing waits
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) retries: u32,
    /// Header that names the instance, so that its requests meet where their beginning is cached
    #[arg(long, value_name = "NAME", default_value = "x-session-id")]
    pub(crate) session_header: String,
    /// Price of a million tokens read, written, and read from a cache, in US dollars: 2.5,10,1.25
    #[arg(long, value_name = "IN,OUT[,CACHED]")]
    pub(crate) price: Option<String>,
}

/// What one attempt, and what the run may use.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Budgets")]
pub(crate) struct BudgetArgs {
    /// Answers of the model in one attempt
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) max_steps: u32,
    /// Tokens of one conversation [default: what the model takes]
    #[arg(long, value_name = "N")]
    pub(crate) max_context: Option<u64>,
    /// Money for one attempt, in US dollars
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<f64>,
    /// Time of one attempt, in seconds
    #[arg(long, value_name = "S", default_value_t = 7200)]
    pub(crate) max_time: u64,
    /// Time of one command of the agent, in seconds
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(crate) command_timeout: u64,
    /// Answers in a row that cannot be carried out
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_format_errors: u32,
    /// Requests of the whole run
    #[arg(long, value_name = "N")]
    pub(crate) run_requests: Option<u64>,
    /// Tokens of the whole run, read and written
    #[arg(long, value_name = "N")]
    pub(crate) run_tokens: Option<u64>,
    /// Money for the whole run, in US dollars
    #[arg(long, value_name = "USD")]
    pub(crate) run_cost: Option<f64>,
}

/// Which agent works on what, and how often.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RolloutArgs {
    /// Instances (SWE-bench rows, JSON Lines)
    #[arg(long, value_name = "FILE")]
    pub(crate) instances: PathBuf,
    /// Scaffold: codeact, codeact-2.1, codeact-2.2, bash; or a teacher: gold, noisy-expert
    #[arg(long, value_name = "NAME", default_value = "codeact")]
    pub(crate) scaffold: String,
    /// Attempts at each instance; a resumed run may ask for more
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) attempts: u32,
    /// Attempt 0 at temperature 0, the others at --temperature
    #[arg(long)]
    pub(crate) first_greedy: bool,
    /// Test each answer at once, in a fresh box
    #[arg(long)]
    pub(crate) evaluate: bool,
    /// Attempts at once; memory may allow fewer
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) concurrent: usize,
    /// Folder with texts of your own: system.txt, task.txt, text_tools.txt, messages.toml, example.txt;
    /// or terse: few words, and teachers that say none and edit by line, as small policies can
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    /// Show an example of the work before the task, where calls are text; exports leave it out
    #[arg(long)]
    pub(crate) example: bool,
    /// Tell what was discussed before the fix
    #[arg(long)]
    pub(crate) hints: bool,
    /// Keep no snapshots of boxes: less disk, but a killed attempt begins again, and none can be forked
    #[arg(long)]
    pub(crate) no_snapshots: bool,
    /// Record of another attempt to begin as: every attempt goes on from its step --at
    #[arg(long, value_name = "RECORD", requires = "at")]
    pub(crate) fork: Option<PathBuf>,
    /// The last step that forked attempts share
    #[arg(long, value_name = "STEP", requires = "fork")]
    pub(crate) at: Option<u32>,
    /// Seed of a teacher
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of the noisy expert's attempts that go wrong
    #[arg(long, value_name = "SHARE", default_value_t = 0.4)]
    pub(crate) noise: f64,
    /// Carry fields along that look like misspelt ones
    #[arg(long)]
    pub(crate) keep_unknown_fields: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Do everything once on real packages: build, synth, validate, evaluate, rollout, report
    Quickstart {
        /// Packages: `name`, `name==version`, an archive or a checkout [default: three small ones]
        packages: Vec<String>,
        #[command(flatten)]
        draw: DrawArgs,
        /// Runs of the tests without and with the gold patch
        #[arg(long, default_value_t = 3, value_name = "N")]
        repeats: u32,
        #[command(flatten)]
        install: InstallArgs,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Make images of packages
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
    /// Make small repositories with bugs from a seed: candidates of the micro gym
    Micro(MicroArgs),
    /// Keep the instances whose tests fail before and pass after the gold patch, every time
    Validate {
        /// Instances (SWE-bench rows, JSON Lines)
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Runs of the tests without and with the gold patch
        #[arg(long, default_value_t = 3, value_name = "N")]
        repeats: u32,
        /// Try a standing set of harmless cheats on each kept instance; drop what one of
        /// them passes without a mark
        #[arg(long)]
        probe: bool,
        /// Carry fields along that look like misspelt ones
        #[arg(long)]
        keep_unknown_fields: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Let an agent work on instances, each attempt with a record of everything
    Rollout(Box<RolloutArgs>),
    /// Test predictions in fresh boxes and grade them
    Evaluate {
        /// Instances (SWE-bench rows, JSON Lines)
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Predictions file, the folder of a rollout, or one of: gold, empty, wrong
        #[arg(long, value_name = "FILE|SET")]
        predictions: String,
        /// Carry fields along that look like misspelt ones
        #[arg(long)]
        keep_unknown_fields: bool,
        #[command(flatten)]
        run: RunArgs,
    },
    /// Grade logs of any SWE-style run, without running anything
    Grade(GradeArgs),
    /// Look into datasets of any format, and write them in another
    Dataset {
        #[command(subcommand)]
        verb: DatasetVerb,
    },
    /// Show runs as tables and write a page
    Report {
        /// Run folders; a quickstart's folder stands for all its stages. Folders of select, improve and paper, too
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// Accepted as by the other verbs; a report is written anew from the runs' files
        #[arg(long)]
        resume: bool,
    },
    /// Look at what a run recorded
    Show {
        #[command(subcommand)]
        verb: ShowVerb,
    },
    /// Rates and means of a rollout with intervals, by repository and by why attempts ended
    Metrics(MetricsArgs),
    /// Reproduce the paper's tables and figures on the micro gym
    Paper(PaperArgs),
    /// Improve a policy in rounds: sample, grade, curate, train, measure
    Improve(Box<ImproveArgs>),
    /// Write a rollout's attempts as training data: messages and tools, JSON Lines
    Export(Box<ExportArgs>),
    /// Choose what is learnt from of evaluated rollouts: token files and a data card
    Curate(Box<CurateArgs>),
    /// Let a verifier score the attempts of rollouts
    Score(ScoreArgs),
    /// Choose the best of several attempts at each instance; Pass@K and Best@K
    Select(SelectArgs),
    /// Train tokenizers and models on this machine
    Train {
        #[command(subcommand)]
        verb: TrainVerb,
    },
    /// Serve a model of this machine as a chat endpoint (OpenAI's protocol)
    Serve(ServeArgs),
    /// Do an attempt again with its recorded answers, and compare
    Replay {
        /// Record: trajectories/<instance_id>/<attempt>.jsonl of a run
        record: PathBuf,
        /// Instances that the attempt was made with
        #[arg(long, value_name = "FILE")]
        instances: PathBuf,
        /// Folder of the replay's record [default: a new one under the home folder]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// For developers of swegym and of agents
    Dev {
        #[command(subcommand)]
        verb: DevVerb,
    },
    /// Check what this machine allows
    Doctor,
    /// Look into the store of images, and give its space back
    Store {
        #[command(subcommand)]
        verb: StoreVerb,
    },
    /// Measure against peers on this machine
    Bench {
        #[command(subcommand)]
        scenario: Scenario,
    },
}

/// A dataset in, and a dataset out.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ConvertArgs {
    /// Dataset: a file or folder of any format
    pub(crate) dataset: PathBuf,
    /// File or folder to write; the ending .jsonl, .json, .parquet or .arrow says which kind of file
    pub(crate) out: PathBuf,
    /// Whose columns, or whose folders: swe-bench, swe-gym, swe-rebench, swe-smith, r2e,
    /// multi-swe-bench, nemo, swe-bench-tasks, harbor
    #[arg(long, value_name = "FORMAT", default_value = "swe-bench")]
    pub(crate) to: String,
    /// Kind of file: jsonl, json, parquet, arrow, hub (a folder for load_dataset), saved (a folder
    /// for load_from_disk) [default: by OUT's ending]
    #[arg(long, value_name = "KIND")]
    pub(crate) file: Option<String>,
    /// Part of the dataset, where a folder names it
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub(crate) split: String,
    /// The dataset's name, where a folder says it [default: OUT's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DatasetVerb {
    /// Write a dataset in another format, and say what that format cannot hold
    Convert(ConvertArgs),
    /// Find what is wrong with a dataset, each with a code and a line
    Check {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// Logs of the gold patches, as for `grade`: the lists must agree with them
        #[arg(long, value_name = "MANIFEST")]
        logs: Option<PathBuf>,
        /// Let warnings decide the exit code too
        #[arg(long)]
        strict: bool,
    },
    /// Count words, lines, files, functions and tests, for each repository
    Stats {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// Draw the means of the repositories (SVG)
        #[arg(long, value_name = "FILE")]
        chart: Option<PathBuf>,
    },
    /// Keep instances with a statement that stands alone and a small fix, as SWE-bench Lite does
    Lite {
        /// Dataset: a file or folder of any format
        dataset: PathBuf,
        /// What is kept; the ending .jsonl, .json, .parquet or .arrow says which kind of file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// What is dropped and why, JSON Lines [default: OUT with the ending .dropped.jsonl]
        #[arg(long, value_name = "FILE")]
        dropped: Option<PathBuf>,
        /// Ask this site whether `#n` is an issue, at URL/OWNER/NAME/issues/N, as the original asks
        /// https://github.com; without it every `#n` counts as one
        #[arg(long, value_name = "URL")]
        issues_at: Option<String>,
    },
    /// Say which instances two datasets do not share, and in which fields the others differ
    Diff {
        /// The older one
        old: PathBuf,
        /// The newer one
        new: PathBuf,
    },
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
    /// Only this step, in full
    #[arg(long, value_name = "N")]
    pub(crate) step: Option<u32>,
    /// Everything in full
    #[arg(long)]
    pub(crate) full: bool,
    /// Write a page for browsers, too
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
    /// Folder of another rollout, to compare with on the instances that both have
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// Folder of the other's evaluation
    #[arg(long, value_name = "DIR", requires = "against")]
    pub(crate) against_evaluation: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum DevVerb {
    /// Serve a script as a model endpoint (OpenAI's and Anthropic's protocol), with faults
    Model(DevModelArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_fit_together() {
        super::Args::command().debug_assert();
    }
}
