//! From instances to attempts: records, predictions, and verdicts on request.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swegym_agent::Model;
use swegym_agent::model::budget::Budget;
use swegym_agent::model::endpoint::Endpoint;
use swegym_agent::model::scripted::{Script, Scripted};
use swegym_agent::patch::Grounds;
use swegym_agent::scaffold::Prompts;
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::format::results::JobOutput;
use swegym_core::format::run::INSTANCES;
use swegym_core::format::{instances, predictions};
use swegym_core::{Digest, Instance, InstanceId, Prediction, Trajectory};
use swegym_runner::job::JobKind;
use swegym_runner::rollout::{Fork, RolloutPlan, record_path};
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, Outcome};
use tokio::sync::Semaphore;

use super::evaluate::{failed_row, notes, numbered, parts, write_reports};
use super::{Done, Ran, Stage, input, without_secrets};
use crate::session::Session;
use crate::settings::{BudgetSettings, ModelChoice, RolloutSettings};

/// Commands at once for each core: most wait for disk or sleep part of their time.
const TURNS_PER_CORE: usize = 2;

/// Lets an agent work on every instance; writes `predictions*.jsonl`, and with
/// `--evaluate` also `reports.jsonl`.
pub async fn rollout(
    session: &Session,
    settings: &RolloutSettings,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let (place, text) = input(&settings.instances, INSTANCES, folder, open)?;
    let rows = instances::read(&place.to_string_lossy(), &text, settings.unknown)?;
    let BudgetSettings { requests, tokens, cost } = settings.budget;
    let budget = Arc::new(Budget::new(requests, tokens, cost));
    let plan = Arc::new(plan(session, settings, &budget)?);
    let mut rows: Vec<Arc<Instance>> = rows.into_iter().map(Arc::new).collect();
    if let Some(fork) = &plan.fork {
        let id = Trajectory::fold(&fork.events).map(|t| t.head.instance_id).ok();
        rows.retain(|row| id.as_ref() == Some(&row.instance_id));
        if rows.is_empty() {
            let hint = "give the instances that the attempt was made with";
            return Err(CommandError::nothing("the instance of the attempt is not in the file", hint));
        }
    }
    // Attempts at an instance begin together: what they share is there once, here
    // and in the endpoint's cache.
    let numbers = 0..settings.attempts;
    let attempts: Vec<(Arc<Instance>, u32)> =
        rows.iter().flat_map(|row| numbers.clone().map(move |k| (Arc::clone(row), k))).collect();
    if open != Open::New {
        count_past(folder, &attempts, &budget);
    }
    let (identity, mut inputs) = identity(settings, &plan)?;
    inputs.push(Digest::of(text.as_bytes()));
    let stage = Stage {
        free: Map::from_iter([
            ("attempts".to_owned(), json!(settings.attempts)),
            ("concurrent".to_owned(), json!(settings.concurrent)),
            ("endpoint".to_owned(), json!(address(&settings.model))),
        ]),
        // A teacher asks nobody.
        aside: (!plan.scaffold.is_teacher()).then(|| aside(&budget)),
        inputs,
        kept: vec![(INSTANCES, &text)],
        ..Stage::new(session, "rollout", (folder, open), identity)
    };
    let job = |(instance, attempt): (Arc<Instance>, u32)| Job {
        name: format!("{}.{attempt}", instance.instance_id),
        kind: JobKind::Rollout { instance, attempt, plan: Arc::clone(&plan) },
    };
    if plan.limits.snapshots {
        session.host.store().note_run(folder)?;
    }
    let ran = stage.run(attempts.into_iter().map(job).collect()).await?;
    write_predictions(&ran, settings.attempts, &plan.model_name)?;
    let mut marked = Vec::new();
    if settings.evaluate {
        let ids: Vec<InstanceId> = rows.iter().map(|r| r.instance_id.clone()).collect();
        let reports = reports(&ran);
        write_reports(&ran, &ids, &reports)?;
        marked = notes(&reports);
    }
    Ok(Done { notes: marked, ..ran.close(session)? })
}

/// A row each attempt that was tested, or that broke on the way.
fn reports(ran: &Ran) -> Vec<Value> {
    let row = |(name, outcome): &(String, Outcome)| {
        let (id, attempt) = parts(name);
        match outcome {
            Outcome::Finished(output) => match &**output {
                JobOutput::Attempted(of) => Some(numbered(json!(of.report), attempt)),
                _ => None,
            },
            Outcome::Failed(fault) => Some(numbered(failed_row(id, fault), attempt)),
            Outcome::Unfinished => None,
        }
    };
    ran.outcomes.iter().filter_map(row).collect()
}

/// Tokens and money so far.
fn aside(budget: &Arc<Budget>) -> Box<dyn Fn() -> String + Send> {
    let budget = Arc::clone(budget);
    Box::new(move || format!("{} tokens ${:.2}", thousands(budget.tokens()), budget.cost_usd()))
}

fn thousands(n: u64) -> String {
    match n {
        0..1000 => n.to_string(),
        1000..1_000_000 => format!("{:.1}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// What earlier parts of the run used counts.
fn count_past(folder: &Path, attempts: &[(Arc<Instance>, u32)], budget: &Budget) {
    for (instance, attempt) in attempts {
        let path = record_path(folder, instance, *attempt);
        let Ok(text) = std::fs::read(&path) else { continue };
        let read =
            swegym_core::format::record::read(&path.to_string_lossy(), &String::from_utf8_lossy(&text));
        // A damaged record is said so when its attempt is taken up.
        let Ok(record) = read else { continue };
        if let Ok(past) = Trajectory::fold(&record.into_events()) {
            budget.add_past(u64::from(past.answers), &past.usage);
        }
    }
}

fn plan(
    session: &Session,
    settings: &RolloutSettings,
    budget: &Arc<Budget>,
) -> Result<RolloutPlan, CommandError> {
    let unusable = |why| {
        CommandError::usage(
            format!("a text of --prompts cannot be used: {why}"),
            "see docs/agents.md, \"Scaffolds\"",
        )
    };
    let scaffold = settings.scaffold;
    let mut prompts = Prompts::load(scaffold, settings.prompts.as_deref()).map_err(unusable)?;
    if settings.example {
        prompts.show_example(scaffold, settings.prompts.as_deref()).map_err(unusable)?;
    }
    let (model, model_name) = match open_model(&settings.model, budget)? {
        Some((model, name)) => (Some(model), name),
        None => (None, settings.scaffold.as_str().to_owned()),
    };
    Ok(RolloutPlan {
        scaffold,
        prompts,
        model,
        model_name,
        calls: settings.calls,
        sampling: settings.sampling.clone(),
        first_greedy: settings.first_greedy,
        limits: settings.limits.clone(),
        hints: settings.hints,
        seed: settings.seed,
        noise: settings.noise,
        terse: settings.prompts.as_deref().is_some_and(Prompts::is_terse),
        evaluates: settings.evaluate,
        concurrent: settings.concurrent,
        turns: Semaphore::new(session.settings.run.cores * TURNS_PER_CORE),
        grounds: Grounds::default(),
        fork: settings.fork.as_ref().map(|(path, step)| fork(path, *step)).transpose()?,
    })
}

/// A model with its name.
pub(super) type NamedModel = (Arc<dyn Model>, String);

/// Opens a model; a teacher has none.
pub(super) fn open_model(
    choice: &ModelChoice,
    budget: &Arc<Budget>,
) -> Result<Option<NamedModel>, CommandError> {
    let short =
        |path: &Path| path.file_stem().map_or("scripted".into(), |s| s.to_string_lossy().into_owned());
    let (model, name): NamedModel = match choice {
        ModelChoice::Teacher => return Ok(None),
        ModelChoice::Scripted(path) => {
            let script = Script::read(&text::read(path)?).map_err(|why| {
                let message = format!("`{}` is no script: {why}", path.display());
                CommandError::usage(message, "see docs/agents.md, \"Models\"")
            })?;
            (Arc::new(Scripted::new(&short(path), script)), short(path))
        }
        ModelChoice::Program(file) => {
            // By its whole path: what has no `/` would be looked for elsewhere.
            let path = std::fs::canonicalize(file).map_err(|e| CommandError::file("run", file, &e))?;
            (Arc::new(Scripted::program(&short(&path), &path)), short(&path))
        }
        ModelChoice::Here(_, endpoint) | ModelChoice::There(endpoint) => {
            let name = endpoint.model.clone();
            let endpoint = Endpoint::new((**endpoint).clone(), Arc::clone(budget)).map_err(|why| {
                let message = format!("the endpoint cannot be used: {why}");
                CommandError::usage(message, "see --endpoint and --key-from")
            })?;
            (Arc::new(endpoint), name)
        }
    };
    Ok(Some((model, name)))
}

/// The attempt whose beginning is shared.
fn fork(path: &Path, step: u32) -> Result<Fork, CommandError> {
    let text = text::read(path)?;
    let events = swegym_core::format::record::read(&path.to_string_lossy(), &text)?.into_events();
    Ok(Fork { events, step })
}

/// The model's name in files; of a policy that is served here, the one it is asked by.
fn model_name(model: &ModelChoice) -> Option<String> {
    match model {
        ModelChoice::Here(_, endpoint) => Some(endpoint.model.clone()),
        other => other.name(),
    }
}

/// Where it is asked, without what only the user may know.
fn address(model: &ModelChoice) -> Option<String> {
    match model {
        ModelChoice::Here(_, endpoint) | ModelChoice::There(endpoint) => {
            Some(without_secrets(&endpoint.address))
        }
        ModelChoice::Teacher | ModelChoice::Scripted(_) | ModelChoice::Program(_) => None,
    }
}

/// What must be the same when the run is taken up.
fn identity(
    of: &RolloutSettings,
    plan: &RolloutPlan,
) -> Result<(Map<String, Value>, Vec<Digest>), CommandError> {
    let sampling = &plan.sampling;
    let mut settings = Map::from_iter([
        ("instances".to_owned(), json!(of.instances)),
        ("scaffold".to_owned(), json!(plan.scaffold.version())),
        ("model".to_owned(), json!(model_name(&of.model))),
        ("tool-calls".to_owned(), json!(plan.calls.as_str())),
        ("temperature".to_owned(), json!(sampling.temperature)),
        ("top-p".to_owned(), json!(sampling.top_p)),
        ("max-tokens".to_owned(), json!(sampling.max_tokens)),
        ("sampling-seed".to_owned(), json!(sampling.seed)),
        ("capture-tokens".to_owned(), json!(sampling.capture_tokens)),
        ("first-greedy".to_owned(), json!(plan.first_greedy)),
        ("evaluate".to_owned(), json!(plan.evaluates)),
        ("hints".to_owned(), json!(plan.hints)),
    ]);
    if !sampling.extra.is_empty() {
        settings.insert("extra".to_owned(), json!(sampling.extra));
    }
    if plan.prompts.example.is_some() {
        settings.insert("example".to_owned(), json!(true));
    }
    settings.extend(plan.limits.to_map());
    if plan.scaffold.is_teacher() {
        settings.extend([
            ("seed".to_owned(), json!(plan.seed)),
            ("noise".to_owned(), json!(plan.noise)),
            ("terse".to_owned(), json!(plan.terse)),
        ]);
    }
    let mut inputs = Vec::new();
    for name in ["system.txt", "task.txt", "text_tools.txt", "messages.toml", "example.txt"] {
        if let Some(path) = of.prompts.as_ref().map(|f| f.join(name)).filter(|p| p.is_file()) {
            inputs.push(Digest::of(text::read(&path)?.as_bytes()));
        }
    }
    if let Some((path, step)) = &of.fork {
        settings.insert("at".to_owned(), json!(step));
        inputs.push(Digest::of(text::read(path)?.as_bytes()));
    }
    if let ModelChoice::Scripted(path) | ModelChoice::Program(path) = &of.model {
        let bytes = std::fs::read(path).map_err(|e| CommandError::file("read", path, &e))?;
        inputs.push(Digest::of(&bytes));
    }
    Ok((settings, inputs))
}

/// One file for each attempt number, and `predictions.jsonl` where there is only one.
fn write_predictions(ran: &Ran, attempts: u32, model: &str) -> Result<(), CommandError> {
    for k in 0..attempts {
        let prediction = |(_, output): (&str, &JobOutput)| match output {
            JobOutput::Attempted(of) if of.attempt == k => Some(Prediction {
                instance_id: of.instance_id.clone(),
                model_name_or_path: model.to_owned(),
                model_patch: Some(of.patch.clone()),
            }),
            _ => None,
        };
        let text = predictions::write(&ran.outputs().filter_map(prediction).collect::<Vec<_>>());
        let name =
            if attempts == 1 { "predictions.jsonl".to_owned() } else { format!("predictions.{k}.jsonl") };
        ran.run.write_file(&name, &text)?;
    }
    Ok(())
}
