//! `improve`: rounds of sample, grade, curate, train, measure. Each round's data card,
//! model and measurement are kept; finished steps are not repeated.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_agent::model::adapters::load_adapter;
use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part, Sheet};
use swegym_console::{exit, text};
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::{FormatError, Problem};
use swegym_data::metrics;
use swegym_grade::metrics::{Attempt, Comparison, Metrics, compare, measure};

use super::train;
use crate::session::{Place, Session};
use crate::settings::{ImproveSettings, Memory, ModelChoice, Served, Start};
use crate::step::Step;
use crate::workshop::Workshop;

/// What a round left.
pub struct Round {
    /// Its policy.
    pub model: PathBuf,
    /// How it does on what it is measured with.
    pub attempts: Vec<Attempt>,
    /// Trajectories that it learnt; none for the first policy.
    pub learnt: usize,
}

/// Improves a policy.
pub async fn run(session: &Session, settings: &ImproveSettings, run: Place) -> Result<u8, CommandError> {
    let folder = session.run_folder("improve", run.out);
    apart(&settings.instances, &settings.measure)?;
    let mut workshop = Workshop::open(session, &folder, run.resume)?;
    let say = |text: &str| session.printer.say(text);
    let rounds = rounds(&mut workshop, settings, "", say).await?;
    let value = to_json(&rounds, workshop.seconds());
    text::write(&folder.join("improve.json"), &format!("{value:#}\n"))?;
    let table = table(&rounds);
    let page = page(&rounds, &table).write(&folder)?;
    session.printer.result(&value, &table);
    if let Some(found) = gain(&rounds) {
        session.printer.say(&format!(
            "the last round against the first policy: {:+.1} points on {} instances, p = {:.3}",
            100.0 * found.difference,
            found.instances,
            found.p_value
        ));
    }
    session.printer.say(&format!("page: {}", page.display()));
    Ok(exit::DONE)
}

/// Takes the rounds in a workshop; `prefix` stands before the steps' names.
pub async fn rounds(
    workshop: &mut Workshop,
    settings: &ImproveSettings,
    prefix: &str,
    say: impl Fn(&str),
) -> Result<Vec<Round>, CommandError> {
    let mut model = settings.model.clone();
    let named = settings.endpoint.as_ref().map(|served| served.name.clone());
    let mut policy = settings.policy(model.clone(), named);
    let mut rounds = vec![Round {
        attempts: measured(workshop, settings, prefix, 0, &policy).await?,
        model: model.clone(),
        learnt: 0,
    }];
    say(&told(0, &rounds[0]));
    let mut runs: Vec<PathBuf> = Vec::new();
    for round in 1..=settings.rounds {
        let seed = settings.seed * 1000 + u64::from(round);
        let sample = attempts(settings, &settings.instances, settings.attempts, seed, &policy);
        let sampled = workshop.take(&format!("{prefix}sample-{round}"), sample).await?;
        if settings.learn == Memory::Last {
            runs.clear();
        }
        runs.push(sampled);

        let mut curate = settings.curate.clone().seeded(seed);
        curate.runs = settings.mix.iter().chain(&runs).cloned().collect();
        let data = workshop.take(&format!("{prefix}data-{round}"), Step::Curate(curate.into())).await?;

        let mut sft = settings.sft.clone();
        sft.model = if settings.from == Start::Base { settings.model.clone() } else { model };
        sft.data = vec![data.join("train.parquet")];
        sft.course.trainer.seed = seed;
        model = workshop.take(&format!("{prefix}model-{round}"), Step::Sft(sft.into())).await?;
        policy = served(settings, &model, round).await?;
        rounds.push(Round {
            attempts: measured(workshop, settings, prefix, round, &policy).await?,
            model: model.clone(),
            learnt: learnt(&data)?,
        });
        say(&told(round, &rounds[rounds.len() - 1]));
    }
    Ok(rounds)
}

/// The policy of a round, where it can be asked: an endpoint is handed the adapter.
async fn served(settings: &ImproveSettings, model: &Path, round: u32) -> Result<ModelChoice, CommandError> {
    let Some(Served { endpoint, name }) = &settings.endpoint else {
        return Ok(settings.policy(model.to_owned(), None));
    };
    let folder = train::model_folder(model);
    if !folder.join("adapter_config.json").is_file() {
        let message = format!("the endpoint takes adapters, and `{}` is none", folder.display());
        return Err(CommandError::usage(message, "add --lora RANK to the flags of --train"));
    }
    let folder = folder.canonicalize().unwrap_or(folder);
    let name = format!("{name}-round-{round}");
    load_adapter(endpoint, settings.key(), &name, &folder).await.map_err(|why| {
        let message = format!("{endpoint} does not take the adapter of round {round}: {why}");
        CommandError::usage(
            message,
            "let it load adapters: vLLM's --enable-lora, `serve --hot-swap --adapter-folder DIR`",
        )
    })?;
    Ok(settings.policy(model.to_owned(), Some(name)))
}

async fn measured(
    workshop: &mut Workshop,
    settings: &ImproveSettings,
    prefix: &str,
    round: u32,
    policy: &ModelChoice,
) -> Result<Vec<Attempt>, CommandError> {
    // The same seed in every round: what differs is the policy.
    let step = attempts(settings, &settings.measure, settings.measure_attempts, settings.seed, policy);
    let run = workshop.take(&format!("{prefix}measure-{round}"), step).await?;
    Ok(metrics::load(&run, None)?.0)
}

fn attempts(
    settings: &ImproveSettings,
    instances: &Path,
    count: u32,
    seed: u64,
    policy: &ModelChoice,
) -> Step {
    let mut rollout = settings.rollout.clone();
    rollout.instances = instances.to_owned();
    rollout.attempts = count;
    rollout.sampling.seed = Some(seed);
    rollout.model = policy.clone();
    Step::Rollout(rollout.into())
}

/// Trajectories in a data card.
pub fn learnt(data: &Path) -> Result<usize, CommandError> {
    let path = data.join("card.json");
    let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
    let file = path.to_string_lossy();
    let card: Value = serde_json::from_str(&text)
        .map_err(|e| FormatError::new(&file, e.line(), Problem::Json(e.to_string())))?;
    let attempts = card.pointer("/files/0/attempts").and_then(Value::as_u64);
    let attempts = attempts.ok_or_else(|| FormatError::new(&file, None, Problem::Missing("attempts")))?;
    Ok(attempts as usize)
}

/// Nothing may be learnt that is measured with.
fn apart(learn: &Path, measure: &Path) -> Result<(), CommandError> {
    let ids = |path: &Path| -> Result<Vec<String>, CommandError> {
        let text = text::read(path)?;
        let rows = instances::read(&path.to_string_lossy(), &text, UnknownFields::Keep)?;
        Ok(rows.into_iter().map(|row| row.instance_id.to_string()).collect())
    };
    let learnt = ids(learn)?;
    match ids(measure)?.iter().find(|id| learnt.contains(id)) {
        None => Ok(()),
        Some(id) => Err(CommandError::usage(
            format!("`{id}` would be learnt from and measured with"),
            "hold instances out: `dataset`, or `micro --split test`",
        )),
    }
}

/// The last round against the first policy, paired by instance.
fn gain(rounds: &[Round]) -> Option<Comparison> {
    let [first, .., last] = rounds else { return None };
    compare(&last.attempts, &first.attempts)
}

fn told(round: u32, of: &Round) -> String {
    let metrics = measure(&of.attempts);
    let rate = metrics.resolve_rate.map_or("nothing tested".to_owned(), |rate| {
        format!("{:.1} % ({:.1}–{:.1})", 100.0 * rate.mean, 100.0 * rate.interval.0, 100.0 * rate.interval.1)
    });
    format!("round {round}: resolves {rate} after {} trajectories", of.learnt)
}

/// A row a round.
pub fn table(rounds: &[Round]) -> Vec<Vec<String>> {
    let head = ["round", "learnt"].into_iter().chain(metrics::CELLS).map(str::to_owned).collect();
    let row = |(index, round): (usize, &Round)| {
        let told = [index.to_string(), round.learnt.to_string()];
        told.into_iter().chain(metrics::cells(&round.attempts)).collect()
    };
    std::iter::once(head).chain(rounds.iter().enumerate().map(row)).collect()
}

fn to_json(rounds: &[Round], seconds: f64) -> Value {
    let row = |(index, round): (usize, &Round)| {
        let mut value = metrics::to_json(round.attempts.len(), &measure(&round.attempts));
        value["round"] = json!(index);
        value["model"] = json!(round.model);
        value["learnt"] = json!(round.learnt);
        value
    };
    let gain = gain(rounds).map(|found| metrics::comparison_json(&found));
    json!({"rounds": rounds.iter().enumerate().map(row).collect::<Vec<_>>(), "gain": gain, "seconds": seconds})
}

fn page(rounds: &[Round], table: &[Vec<String>]) -> Sheet {
    let mut sheet = Sheet::new(
        "Self-improvement",
        "Each round samples attempts, grades them, learns from those that resolve, and is measured on \
         instances that no round learns from. Bars are 95 % intervals over instances.",
    );
    let line = |name: &str, of: &dyn Fn(&Metrics) -> Option<swegym_grade::metrics::Estimate>| {
        let point = |(index, round): (usize, &Round)| {
            let found = of(&measure(&round.attempts))?;
            let bar = (100.0 * found.interval.0, 100.0 * found.interval.1);
            Some((index as f64, 100.0 * found.mean, Some(bar)))
        };
        Line { name: name.to_owned(), points: rounds.iter().enumerate().filter_map(point).collect() }
    };
    sheet.push(Part {
        title: "Resolved, empty and stuck, in percent".to_owned(),
        table: table.to_vec(),
        lines: vec![
            line("resolved", &|m| m.resolve_rate),
            line("empty patch", &|m| m.empty_patch_rate),
            line("stuck in a loop", &|m| m.stuck_in_loop_rate),
        ],
        across: "round".to_owned(),
        ..Part::default()
    });
    sheet
}
