//! The last resort: a model proposes how a commit is installed. What it proposes is tried as
//! anything else is, in the same boxes, and counts only if the tests bear it out.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};
use swegym_agent::Model;
use swegym_agent::model::Ask;
use swegym_core::chat::{Message, Role, Sampling};
use swegym_core::{Boundary, Fault};
use swegym_tasks::recipe::{self, RequirementSet, Way};

use super::baseline::{self, Baseline};
use super::nothing_passes;
use super::prepare::{Raw, Source};
use super::search::{self, Stop};
use crate::context::Context;
use crate::foundation::{self, Foundation};

/// Proposals for one commit, at most.
const MOST_PROPOSALS: usize = 3;
/// Characters of one file that a model is shown, and of one failure.
const LONGEST: usize = 6_000;

/// Files that say how a project is installed and tested.
const SHOWN: [&str; 12] = [
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "tox.ini",
    "pytest.ini",
    "requirements.txt",
    "requirements-dev.txt",
    "dev-requirements.txt",
    "test-requirements.txt",
    "Makefile",
    ".travis.yml",
    "README.md",
];

/// A model that may be asked how something is installed.
#[derive(Clone)]
pub struct Adviser(pub Arc<dyn Model>);

impl fmt::Debug for Adviser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Adviser({})", self.0.name())
    }
}

/// What a model proposes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposal {
    /// `3.8`; the one of the commit's day, where it says nothing.
    python: Option<String>,
    /// PEP 508.
    #[serde(default)]
    requirements: Vec<String>,
    /// Extras of the project itself.
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    way: Way,
}

/// What came of asking.
pub(super) struct Advised<T> {
    /// What the tests bear out.
    pub(super) found: T,
    /// What was proposed, and what came of each.
    pub(super) proposals: Vec<Value>,
}

/// What a model needs to know of a project, in words.
pub(super) fn describe(root: &Path) -> String {
    let shown = |text: &str| -> String { text.chars().take(LONGEST).collect() };
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut text = format!("At its top: {}\n", names.join(" "));
    for name in SHOWN {
        if let Ok(Some(file)) = recipe::read_inside(root, name) {
            text.push_str(&format!("\n--- {name}\n{}\n", shown(&file)));
        }
    }
    text
}

/// Whether a model could know better than the search that ended so.
pub(super) fn may_help(fault: &Fault) -> bool {
    fault.boundary == Boundary::Task
        && ["does_not_install", "nothing_passes", "no_failing_test", "not_fetched"]
            .contains(&fault.code.as_str())
}

/// Asks for proposals until `judge` is content with what one installs. Gives the fault of the
/// search, with what came of asking, where none does.
///
/// # Errors
/// That, and faults of the machinery or of the model.
pub(super) async fn ask<T, F>(
    context: &Context,
    (raw, source, adviser): (&Raw, &Source, &Adviser),
    fault: Fault,
    judge: impl Fn(Baseline, Foundation) -> F,
) -> Result<Advised<T>, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let Adviser(model) = adviser;
    let mut conversation =
        vec![Message::of(Role::System, INSTRUCTIONS), Message::of(Role::User, question(raw, source, &fault))];
    let mut proposals = Vec::new();
    for _ in 0..MOST_PROPOSALS {
        let ask = Ask {
            messages: &conversation,
            tools: &[],
            sampling: &Sampling::default(),
            stop: &[],
            session: raw.instance.instance_id.as_str(),
        };
        let request = model.request(&ask);
        let answer = model.answer(&ask, &request).await.result.map_err(|error| error.to_fault())?;
        let said = answer.reply.message.content;
        let tried = match read(&said) {
            Ok(proposal) => match try_out(context, raw, source, model.name(), &proposal).await {
                Ok((baseline, foundation)) => judge(baseline, foundation).await,
                Err(fault) => Err(fault),
            },
            Err(why) => Err(Fault::new(Boundary::Task, "no_proposal", why)),
        };
        match tried {
            Ok(found) => {
                proposals.push(json!({"said": said, "outcome": "tests pass"}));
                return Ok(Advised { found, proposals });
            }
            Err(fault) if fault.boundary != Boundary::Task => return Err(fault),
            Err(fault) => {
                proposals.push(json!({"said": said, "outcome": fault.code}));
                conversation.push(Message::assistant(said, Vec::new()));
                let words: String = fault.message.chars().take(LONGEST).collect();
                conversation
                    .push(Message::of(Role::User, format!("That ended in `{}`:\n{words}", fault.code)));
            }
        }
    }
    let outcomes: Vec<&str> = proposals.iter().filter_map(|one| one["outcome"].as_str()).collect();
    let message = format!("{}\nproposals of `{}`: {}", fault.message, model.name(), outcomes.join(", "));
    Err(Fault { message, ..fault })
}

const INSTRUCTIONS: &str = "You say how a Python project is installed so that its tests run. \
A search has failed before you. Answer with one TOML block in a fence and nothing else:

```toml
python = \"3.8\"                     # 3.6 or newer; optional
requirements = [\"pytest<7\", \"six\"] # PEP 508; versions are chosen as of the commit's day
extras = []                         # extras of the project itself
[way]                               # all of it optional
wheels_only = []                    # projects of which only wheels are taken
pure = []                           # projects that are built without a compiler
dropped = []                        # requirements that are left out, whoever asks for them
relaxed = []                        # projects of which any version will do
freed = {}                          # name = \"2022-09-01\": may be as new as that day
without_options = []                # options of the test runner that are left out
[way.build_with]                    # constraints on what builds, by step
lock = [\"setuptools<58\"]
environment = [\"setuptools<58\"]
project = [\"setuptools<58\"]
```

The project and what it requires itself are installed anyway. Tests run without a network. \
You are told what came of it, and may answer again.";

fn question(raw: &Raw, source: &Source, fault: &Fault) -> String {
    let instance = &raw.instance;
    let failure: String = fault.message.chars().take(LONGEST).collect();
    let files = source.recipe.test_paths.join(" ");
    format!(
        "The project is {}, version {}, as of {}. The tests are: {files}\n\n{}\nThe search ended in `{}`:\n{failure}",
        instance.repo,
        instance.version,
        source.package.released.as_deref().unwrap_or("a day that nobody knows"),
        source.shown,
        fault.code,
    )
}

/// The one block of TOML of an answer.
fn read(said: &str) -> Result<Proposal, String> {
    let block = said.split("```").nth(1).unwrap_or(said);
    let block = block.strip_prefix("toml").unwrap_or(block);
    let proposal: Proposal = toml::from_str(block).map_err(|why| format!("this is no proposal: {why}"))?;
    check(&proposal)?;
    let way = Way { lacking: BTreeSet::new(), needs_python: None, remedies: Vec::new(), ..proposal.way };
    Ok(Proposal { way, ..proposal })
}

/// Words become lines of files and options of tools: each is one, and says what it is meant to.
fn check(proposal: &Proposal) -> Result<(), String> {
    let Proposal { python: _, requirements, extras, way } = proposal;
    let is_line = |text: &&String| !text.starts_with('-') && !text.contains(char::is_control);
    let is_name = |text: &&String| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let is_day = |text: &&String| text.len() == 10 && text.chars().all(|c| c.is_ascii_digit() || c == '-');
    let is_option = |text: &&String| text.starts_with('-') && !text.contains(char::is_whitespace);
    let lines = requirements.iter().chain(&way.added).chain(way.build_with.values().flatten());
    let names = extras.iter().chain(&way.wheels_only).chain(&way.pure).chain(&way.dropped);
    let names = names.chain(&way.relaxed).chain(&way.extras).chain(way.freed.keys());
    let wrong = lines
        .filter(|text| !is_line(text))
        .chain(names.filter(|text| !is_name(text)))
        .chain(way.freed.values().filter(|text| !is_day(text)))
        .chain(way.without_options.iter().filter(|text| !is_option(text)));
    let mut wrong = wrong;
    match wrong.next() {
        Some(text) => {
            Err(format!("this is no proposal: `{}` is not what belongs there", text.escape_debug()))
        }
        None => Ok(()),
    }
}

async fn try_out(
    context: &Context,
    raw: &Raw,
    source: &Source,
    model: &str,
    proposal: &Proposal,
) -> Result<(Baseline, Foundation), Fault> {
    let package = &source.package;
    let foundation = match &proposal.python {
        Some(version) => foundation::lay_named(context, version).await?,
        None => foundation::lay(context, &source.wanted()).await?,
    };
    let project = source.project(context, &foundation, &raw.instance);
    let set = RequirementSet {
        from: format!("proposed by {model}"),
        requirements: proposal.requirements.clone(),
        extras: proposal.extras.clone(),
        until: package.released.clone().filter(|_| context.install.exclude_newer.is_none()),
    };
    let mut way = proposal.way.clone();
    let ends = Instant::now() + project.patience();
    let baseline = match baseline::install_and_test(&project, &set, &mut way, &[], ends).await {
        Ok(baseline) => baseline,
        Err(Stop::Refused(refused)) => return Err(search::explained(refused.fault, &way)),
        Err(Stop::OlderPython) => {
            let below = way.python_below.unwrap_or_default();
            let message = format!("an interpreter below {below} is wanted: name one");
            return Err(Fault::new(Boundary::Task, "does_not_install", message));
        }
    };
    if baseline.passing().is_empty() || baseline.is_cut() {
        return Err(nothing_passes(&package.name, &baseline.runs, &[]));
    }
    Ok((baseline, foundation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_a_block_of_toml() {
        let said = "Try this:\n```toml\npython = \"3.7\"\nrequirements = [\"pytest<5\"]\n[way]\npure = [\"x\"]\n```\nbecause";
        let proposal = read(said).unwrap();
        assert_eq!(proposal.python.as_deref(), Some("3.7"));
        assert_eq!(proposal.requirements, ["pytest<5"]);
        assert!(proposal.way.pure.contains("x"));
        assert!(read("```toml\ncommand = \"rm\"\n```").unwrap_err().contains("unknown field"));
        assert!(read("I do not know").is_err());
        for hostile in [
            "requirements = [\"-r /etc/passwd\"]",
            "requirements = [\"a\\n--index-url x\"]",
            "[way]\nwheels_only = [\"a; touch b\"]",
            "[way]\nfreed = {a = \"2020-01-01T00:00:00Z; touch b\"}",
            "[way]\nwithout_options = [\"touch b\"]",
        ] {
            assert!(read(hostile).unwrap_err().contains("belongs"), "{hostile}");
        }
        // The example that models are shown is one.
        assert!(read(INSTRUCTIONS).is_ok());
    }
}
