//! `improve`: rounds of sample, grade, curate, train, measure. Each round's data card,
//! model and measurement are kept; finished steps are not repeated.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use swegym_agent::model::adapters::load_adapter;
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::{FormatError, Problem};
use swegym_grade::metrics::{Attempt, Comparison, Metrics, compare, measure};
use swegym_train::checkpoint::write_synced;

use super::{metrics, train};
use crate::args::{ImproveArgs, Memory, Start};
use crate::error::CommandError;
use crate::exit;
use crate::session::Session;
use crate::settings::Environment;
use crate::sheet::{Line, Part, Sheet};
use crate::text;
use crate::words::words as words_of;
use crate::workshop::{Policy, Workshop};

/// What a round left.
pub(crate) struct Round {
    /// Its policy.
    pub(crate) model: PathBuf,
    /// How it does on what it is measured with.
    pub(crate) attempts: Vec<Attempt>,
    /// Trajectories that it learnt; none for the first policy.
    pub(crate) learnt: usize,
}

/// Improves a policy.
pub(crate) async fn run(session: &Session, args: &ImproveArgs) -> Result<u8, CommandError> {
    let folder = session.run_folder("improve", args.run.out.clone());
    apart(&args.instances, &args.measure)?;
    // Before the first step: the last one would find it hours later.
    for (option, text) in
        [("--rollout", &args.rollout_flags), ("--curate", &args.curate_flags), ("--train", &args.train_flags)]
    {
        words_of(option, text)?;
    }
    let mut workshop = Workshop::open(session, &folder, args.run.resume)?;
    let say = |text: &str| session.printer.say(text);
    let rounds = rounds(&mut workshop, args, "", say).await?;
    let value = to_json(&rounds, workshop.seconds());
    write_synced(&folder.join("improve.json"), format!("{value:#}\n").as_bytes())?;
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
pub(crate) async fn rounds(
    workshop: &mut Workshop,
    args: &ImproveArgs,
    prefix: &str,
    say: impl Fn(&str),
) -> Result<Vec<Round>, CommandError> {
    let ways = &args.ways;
    let mut model = args.model.clone();
    let mut policy = match (&args.endpoint, &args.policy) {
        (Some(endpoint), Some(name)) => Policy::There { name: name.clone(), endpoint: endpoint.clone() },
        _ => Policy::Here(model.clone()),
    };
    let mut rounds = vec![Round {
        attempts: measured(workshop, args, prefix, 0, &policy).await?,
        model: model.clone(),
        learnt: 0,
    }];
    say(&told(0, &rounds[0]));
    let mut runs: Vec<PathBuf> = Vec::new();
    for round in 1..=args.rounds {
        let seed = (args.seed * 1000 + u64::from(round)).to_string();
        let words = attempts(args, &args.instances, ways.attempts, &seed)?;
        let sampled = workshop.ask(&format!("{prefix}sample-{round}"), &policy, words).await?;
        if ways.learn == Memory::Last {
            runs.clear();
        }
        runs.push(sampled);

        let mut words = vec!["curate".to_owned()];
        words.extend(ways.mix.iter().chain(&runs).map(|run| run.display().to_string()));
        words.extend(["--model".to_owned(), args.model.display().to_string()]);
        words.extend(["--outcome".to_owned(), ways.outcome.clone(), "--seed".to_owned(), seed.clone()]);
        if ways.cap > 0 {
            words.extend(["--cap".to_owned(), ways.cap.to_string()]);
        }
        if !ways.skip_turns.is_empty() {
            words.extend(["--skip-turns".to_owned(), ways.skip_turns.join(",")]);
        }
        words.extend(words_of("--curate", &args.curate_flags)?);
        let data = workshop.step(&format!("{prefix}data-{round}"), words).await?;

        let from = if ways.from == Start::Base { &args.model } else { &model };
        let mut words = ["train", "sft", "--model"].map(str::to_owned).to_vec();
        words.extend([from.display().to_string(), "--data".to_owned()]);
        words.extend([data.join("train.parquet").display().to_string(), "--seed".to_owned(), seed]);
        words.extend(words_of("--train", &args.train_flags)?);
        model = workshop.step(&format!("{prefix}model-{round}"), words).await?;
        policy = served(args, &model, round).await?;
        rounds.push(Round {
            attempts: measured(workshop, args, prefix, round, &policy).await?,
            model: model.clone(),
            learnt: learnt(&data)?,
        });
        say(&told(round, &rounds[rounds.len() - 1]));
    }
    Ok(rounds)
}

/// The policy of a round, where it can be asked: an endpoint is handed the adapter.
async fn served(args: &ImproveArgs, model: &Path, round: u32) -> Result<Policy, CommandError> {
    let (Some(endpoint), Some(name)) = (&args.endpoint, &args.policy) else {
        return Ok(Policy::Here(model.to_owned()));
    };
    let folder = train::model_folder(model);
    if !folder.join("adapter_config.json").is_file() {
        let message = format!("the endpoint takes adapters, and `{}` is none", folder.display());
        return Err(CommandError::usage(message, "add --lora RANK to the flags of --train"));
    }
    let folder = folder.canonicalize().unwrap_or(folder);
    let name = format!("{name}-round-{round}");
    let key = Environment::variable("OPENAI_API_KEY");
    load_adapter(endpoint, key.as_deref(), &name, &folder).await.map_err(|why| {
        let message = format!("{endpoint} does not take the adapter of round {round}: {why}");
        CommandError::usage(
            message,
            "let it load adapters: vLLM's --enable-lora, `serve --hot-swap --adapter-folder DIR`",
        )
    })?;
    Ok(Policy::There { name, endpoint: endpoint.clone() })
}

async fn measured(
    workshop: &mut Workshop,
    args: &ImproveArgs,
    prefix: &str,
    round: u32,
    policy: &Policy,
) -> Result<Vec<Attempt>, CommandError> {
    // The same seed in every round: what differs is the policy.
    let words = attempts(args, &args.measure, args.measure_attempts, &args.seed.to_string())?;
    let run = workshop.ask(&format!("{prefix}measure-{round}"), policy, words).await?;
    Ok(metrics::load(&run, None)?.0)
}

fn attempts(
    args: &ImproveArgs,
    instances: &Path,
    count: u32,
    seed: &str,
) -> Result<Vec<String>, CommandError> {
    let mut words = ["rollout", "--evaluate", "--no-snapshots", "--instances"].map(str::to_owned).to_vec();
    words.push(instances.display().to_string());
    words.extend(["--attempts".to_owned(), count.to_string(), "--sampling-seed".to_owned(), seed.to_owned()]);
    words.extend(["--temperature".to_owned(), args.ways.temperature.to_string()]);
    words.extend(words_of("--rollout", &args.rollout_flags)?);
    Ok(words)
}

/// Trajectories in a data card.
pub(crate) fn learnt(data: &Path) -> Result<usize, CommandError> {
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
pub(crate) fn table(rounds: &[Round]) -> Vec<Vec<String>> {
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
