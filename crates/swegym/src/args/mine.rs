//! Flags of `mine`, `gym` and `recipe`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_mine::{PUBLIC_API, Source, Split};

use super::choice::{choice, explained};
use super::{EndpointArgs, InstallArgs, RunArgs};

/// Which histories are mined, and how.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct MineArgs {
    /// Clones or mirrors, each a folder; OWNER/NAME=FOLDER where it does not know its origin
    #[arg(required_unless_present = "api", value_name = "REPOSITORY")]
    pub(crate) repositories: Vec<String>,
    /// Ask the API of GitHub about this repository: its issues, pull requests and comments; cloned to
    /// the folder of --out unless it is given. The token is GITHUB_TOKEN, or GH_TOKEN. Can be given
    /// several times
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) api: Vec<String>,
    /// Address of the REST API: for a host of your own, https://HOST/api/v3
    #[arg(long, value_name = "URL", default_value = PUBLIC_API, requires = "api")]
    pub(crate) api_url: String,
    /// Issues, pull requests and comments that were saved: JSON of `gh` or of the API, or events of GH
    /// Archive, also with .gz; the repositories stand before this flag
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) issues: Vec<PathBuf>,
    /// Folder for the instances, and why others are none
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Main branch of each repository [default: what its HEAD names]
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// What counts as a test
    #[arg(long, value_name = "RULE", default_value = "kinds",
          value_parser = choice(explained([
              ("kinds", "by folders, names and contents"),
              ("swe-gym", "whatever has `test` or `e2e` in its path, as SWE-Gym has it"),
          ]), split))]
    pub(crate) split: Split,
    /// Where problem statements may stem from; the best one is taken
    #[arg(long, value_name = "SOURCE,…", value_delimiter = ',',
          default_values = Source::ALL.map(Source::code),
          value_parser = choice(explained([
              ("issue", "the issues that it closes, from --api or --issues"),
              ("pull", "the text of the pull request, from there, too"),
              ("news", "what the change itself adds to the news or the history of releases"),
              ("branch", "messages of its commits"),
              ("landing", "the message of the commit that landed it"),
              ("title", "no more than a title"),
          ]), source))]
    pub(crate) statement: Vec<Source>,
    /// Dataset whose instances are left out: of the same commit, or with nearly the same patch;
    /// can be given several times
    #[arg(long, value_name = "DATASET")]
    pub(crate) against: Vec<PathBuf>,
}

/// Which raw instances become a gym.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GymArgs {
    /// Raw instances, as `mine` writes them
    #[arg(value_name = "FILE")]
    pub(crate) raw: PathBuf,
    /// Where a repository lies, if `repositories.json` beside the instances does not say it; can be
    /// given several times
    #[arg(long, value_name = "OWNER/NAME=FOLDER")]
    pub(crate) repository: Vec<String>,
    /// So many of them, drawn at random [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) sample: Option<usize>,
    /// Random seed; the same seed draws the same instances
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Test runs without the gold patch, and as many with it
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) repeats: u32,
    #[command(flatten)]
    pub(crate) bounds: BoundArgs,
    /// Run all tests of each commit, rather than those of the files that its pull request changes
    #[arg(long)]
    pub(crate) all_tests: bool,
    /// Recipes that are followed as they stand, as a gym has them in its folder `recipes`
    #[arg(long, value_name = "DIR")]
    pub(crate) recipes: Option<PathBuf>,
    /// Model that is asked for a recipe where the search finds none: a name at the endpoint, or
    /// scripted:FILE, or program:FILE
    #[arg(long, value_name = "NAME")]
    pub(crate) recipe_model: Option<String>,
    #[command(flatten)]
    pub(crate) place: EndpointArgs,
    #[command(flatten)]
    pub(crate) install: InstallArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What one test may take.
#[derive(Debug, Clone, Copy, Default, ClapArgs)]
pub(crate) struct BoundArgs {
    /// Longest that one test may take with the gold patch, in seconds: slower ones count for
    /// nothing, and an instance that needs one is dropped [default: no bound]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) test_seconds: Option<u64>,
    /// Most memory that the process of one Python test may have, in MiB, in the same way
    /// [default: no bound]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) test_memory: Option<u64>,
}

/// Which gym's images are made again.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct RemakeArgs {
    /// The gym: a folder with `instances.jsonl` and `recipes`
    #[arg(value_name = "GYM")]
    pub(crate) gym: PathBuf,
    /// Where a repository lies, if the gym's `repositories.json` does not say it; can be given
    /// several times
    #[arg(long, value_name = "OWNER/NAME=FOLDER")]
    pub(crate) repository: Vec<String>,
    #[command(flatten)]
    pub(crate) install: InstallArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

fn split(word: &str) -> Option<Split> {
    match word {
        "kinds" => Some(Split::Kinds),
        "swe-gym" => Some(Split::SweGym),
        _ => None,
    }
}

fn source(word: &str) -> Option<Source> {
    Source::ALL.into_iter().find(|source| source.code() == word)
}
