//! From instances to attempts: records, predictions, and verdicts on request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use swegym_agent::model::budget::Budget;
use swegym_agent::model::endpoint::{Endpoint, EndpointSettings, Price};
use swegym_agent::model::scripted::{Script, Scripted};
use swegym_agent::patch::Grounds;
use swegym_agent::scaffold::Prompts;
use swegym_agent::{Limits, Model, Scaffold};
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::format::instances::{self, UnknownFields};
use swegym_core::format::predictions;
use swegym_core::wire::Wire;
use swegym_core::{Digest, Instance, InstanceId, Prediction, Trajectory};
use swegym_runner::job::JobKind;
use swegym_runner::rollout::{Fork, RolloutPlan, record_path};
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, Outcome};
use tokio::sync::Semaphore;

use super::evaluate::{failed_row, notes, numbered, parts, write_reports};
use super::{Done, Ran, Stage, instances_of};
use crate::args::{ModelArgs, RolloutArgs};
use crate::error::CommandError;
use crate::session::Session;
use crate::settings::Environment;
use crate::text;

/// Commands at once for each core: most wait for disk or sleep part of their time.
const TURNS_PER_CORE: usize = 2;

/// Lets an agent work on every instance; writes `predictions*.jsonl`, and with
/// `--evaluate` also `reports.jsonl`.
pub(crate) async fn rollout(
    session: &Session,
    args: &RolloutArgs,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let text = instances_of(&args.instances, folder, open)?;
    let unknown = if args.keep_unknown_fields { UnknownFields::Keep } else { UnknownFields::Refuse };
    let rows = instances::read(&args.instances.to_string_lossy(), &text, unknown)?;
    let budget =
        Arc::new(Budget::new(args.budget.run_requests, args.budget.run_tokens, args.budget.run_cost));
    let plan = Arc::new(plan(session, args, &budget)?);
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
    let numbers = 0..args.attempts.max(1);
    let attempts: Vec<(Arc<Instance>, u32)> =
        rows.iter().flat_map(|row| numbers.clone().map(move |k| (Arc::clone(row), k))).collect();
    if open != Open::New {
        count_past(folder, &attempts, &budget);
    }
    let (settings, mut inputs) = identity(args, &plan)?;
    inputs.push(Digest::of(text.as_bytes()));
    let stage = Stage {
        session,
        verb: "rollout",
        folder,
        open,
        settings,
        free: Map::from_iter([
            ("attempts".to_owned(), json!(args.attempts)),
            ("concurrent".to_owned(), json!(args.concurrent)),
            ("endpoint".to_owned(), json!(args.model.endpoint)),
        ]),
        aside: Some(aside(&budget)),
        inputs,
        instances: Some(&text),
    };
    let job = |(instance, attempt): (Arc<Instance>, u32)| Job {
        name: format!("{}.{attempt}", instance.instance_id),
        kind: JobKind::Rollout { instance, attempt, plan: Arc::clone(&plan) },
    };
    if plan.limits.snapshots {
        session.host.store().note_run(folder)?;
    }
    let ran = stage.run(attempts.into_iter().map(job).collect()).await?;
    write_predictions(&ran, args.attempts.max(1), &plan.model_name)?;
    let mut marked = Vec::new();
    if args.evaluate {
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
            Outcome::Finished { value, .. } => Some(numbered(value["report"].clone(), attempt)),
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

fn plan(session: &Session, args: &RolloutArgs, budget: &Arc<Budget>) -> Result<RolloutPlan, CommandError> {
    let scaffold = Scaffold::parse(&args.scaffold).ok_or_else(|| {
        let known: Vec<_> = Scaffold::ALL.map(Scaffold::as_str).to_vec();
        CommandError::usage(
            format!("there is no scaffold `{}`", args.scaffold),
            format!("known: {}", known.join(", ")),
        )
    })?;
    let unusable = |why| {
        CommandError::usage(
            format!("a text of --prompts cannot be used: {why}"),
            "see docs/agents.md, \"Scaffolds\"",
        )
    };
    let mut prompts = Prompts::load(scaffold, args.prompts.as_deref()).map_err(unusable)?;
    let calls = CallForm::parse(&args.model.tool_calls).ok_or_else(|| {
        CommandError::usage(
            format!("there is no form `{}` of tool calls", args.model.tool_calls),
            "native or text",
        )
    })?;
    if args.example {
        if calls == CallForm::Native {
            return Err(CommandError::usage("--example shows calls as text", "add --tool-calls text"));
        }
        prompts.show_example(scaffold, args.prompts.as_deref()).map_err(unusable)?;
    }
    if !(0.0..=1.0).contains(&args.noise) {
        return Err(CommandError::usage("--noise is a share", "give a number from 0 to 1"));
    }
    let concurrent = args.concurrent.max(1);
    let (model, model_name) = model(args, scaffold, concurrent, budget)?;
    let (m, b) = (&args.model, &args.budget);
    Ok(RolloutPlan {
        scaffold,
        prompts,
        model,
        model_name,
        calls,
        sampling: Sampling {
            temperature: m.temperature,
            top_p: m.top_p,
            max_tokens: m.max_tokens,
            seed: m.sampling_seed,
            capture_tokens: m.capture_tokens,
            extra: m.extra.as_deref().map(extra).transpose()?.unwrap_or_default(),
        },
        first_greedy: args.first_greedy,
        limits: Limits {
            steps: b.max_steps,
            context: b.max_context,
            cost_usd: b.max_cost,
            wall_time: Duration::from_secs(b.max_time),
            command: Duration::from_secs(b.command_timeout.max(1)),
            format_errors: b.max_format_errors.max(1),
            snapshots: !args.no_snapshots,
        },
        hints: args.hints,
        seed: args.seed,
        noise: args.noise,
        terse: args.prompts.as_deref().is_some_and(Prompts::is_terse),
        evaluates: args.evaluate,
        concurrent,
        turns: Semaphore::new(session.settings.run.cores * TURNS_PER_CORE),
        grounds: Grounds::default(),
        fork: fork(args)?,
    })
}

/// The model and its name; a teacher has the scaffold's.
fn model(
    args: &RolloutArgs,
    scaffold: Scaffold,
    concurrent: usize,
    budget: &Arc<Budget>,
) -> Result<(Option<Arc<dyn Model>>, String), CommandError> {
    if scaffold.is_teacher() {
        if args.model.model.is_some() {
            let message = format!("`{}` is a teacher and has no model", scaffold.as_str());
            return Err(CommandError::usage(message, "leave --model away, or choose another --scaffold"));
        }
        return Ok((None, scaffold.as_str().to_owned()));
    }
    let name = args.model.model.clone().ok_or_else(|| {
        CommandError::usage(
            "no model is named",
            "--model NAME with --endpoint URL, or --model scripted:FILE, or --scaffold gold",
        )
    })?;
    let short =
        |path: &Path| path.file_stem().map_or("scripted".into(), |s| s.to_string_lossy().into_owned());
    if let Some(file) = name.strip_prefix("scripted:") {
        let path = Path::new(file);
        let script = Script::read(&text::read(path)?).map_err(|why| {
            CommandError::usage(format!("`{file}` is no script: {why}"), "see docs/agents.md, \"Models\"")
        })?;
        return Ok((Some(Arc::new(Scripted::new(&short(path), script))), short(path)));
    }
    if let Some(file) = name.strip_prefix("program:") {
        // By its whole path: what has no `/` would be looked for elsewhere.
        let path = std::fs::canonicalize(file).map_err(|e| CommandError::file("run", Path::new(file), &e))?;
        return Ok((Some(Arc::new(Scripted::program(&short(&path), &path))), short(&path)));
    }
    let settings = endpoint_settings(&args.model, &name, concurrent)?;
    let endpoint = Endpoint::new(settings, Arc::clone(budget)).map_err(|why| {
        CommandError::usage(format!("the endpoint cannot be used: {why}"), "see --endpoint and --key-from")
    })?;
    Ok((Some(Arc::new(endpoint)), name))
}

fn endpoint_settings(
    args: &ModelArgs,
    name: &str,
    concurrent: usize,
) -> Result<EndpointSettings, CommandError> {
    let address = args.endpoint.clone().or_else(|| Environment::variable("OPENAI_BASE_URL"));
    let wire = match args.wire.as_deref() {
        Some(word) => Wire::parse(word).ok_or_else(|| {
            CommandError::usage(format!("there is no protocol `{word}`"), "openai or anthropic")
        })?,
        None if address.as_deref().is_some_and(|a| a.contains("anthropic")) => Wire::Anthropic,
        None => Wire::OpenAi,
    };
    let (home, variable) = match wire {
        Wire::OpenAi => ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        Wire::Anthropic => ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    };
    let key = match &args.key_from {
        Some(name) => Some(Environment::variable(name).ok_or_else(|| {
            CommandError::usage(
                format!("the variable `{name}` is not set"),
                "put the key there, or name another",
            )
        })?),
        None => Environment::variable(variable),
    };
    Ok(EndpointSettings {
        address: address.unwrap_or_else(|| home.to_owned()),
        wire,
        model: name.to_owned(),
        key,
        session_header: args.session_header.clone(),
        concurrent: args.requests_at_once.unwrap_or(concurrent),
        retries: args.retries,
        timeout: Duration::from_secs(args.request_timeout.max(1)),
        stream: args.stream,
        price: args.price.as_deref().map(price).transpose()?,
        encrypted_proxy: ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
            .into_iter()
            .filter_map(Environment::variable)
            .any(|proxy| proxy.starts_with("https:")),
    })
}

/// The attempt whose beginning is shared.
fn fork(args: &RolloutArgs) -> Result<Option<Fork>, CommandError> {
    let (Some(path), Some(step)) = (&args.fork, args.at) else { return Ok(None) };
    let text = text::read(path)?;
    let events = swegym_core::format::record::read(&path.to_string_lossy(), &text)?.into_events();
    Ok(Some(Fork { events, step }))
}

fn price(text: &str) -> Result<Price, CommandError> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([prompt, completion]) => Ok(Price { prompt: *prompt, cached: *prompt, completion: *completion }),
        Some([prompt, completion, cached]) => {
            Ok(Price { prompt: *prompt, cached: *cached, completion: *completion })
        }
        _ => Err(CommandError::usage(
            format!("`{text}` is no price"),
            "two or three numbers: dollars for a million tokens read, written, read from a cache",
        )),
    }
}

/// Fields of `--extra`, none of which is set in another way.
fn extra(text: &str) -> Result<Map<String, Value>, CommandError> {
    let wrong = |why: String| {
        CommandError::usage(format!("--extra cannot be used: {why}"), "for example '{\"top_k\": 20}'")
    };
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    for key in fields.keys() {
        match key.as_str() {
            "temperature" | "top_p" | "max_tokens" => {
                return Err(wrong(format!("`{key}` has a flag of its own, --{}", key.replace('_', "-"))));
            }
            "seed" => return Err(wrong("`seed` has a flag of its own, --sampling-seed".into())),
            "model" | "messages" | "system" | "tools" | "stream" | "n" => {
                return Err(wrong(format!("`{key}` is the rollout's")));
            }
            _ => {}
        }
    }
    Ok(fields)
}

/// What must be the same when the run is taken up.
fn identity(
    args: &RolloutArgs,
    plan: &RolloutPlan,
) -> Result<(Map<String, Value>, Vec<Digest>), CommandError> {
    let sampling = &plan.sampling;
    let mut settings = Map::from_iter([
        ("instances".to_owned(), json!(args.instances)),
        ("scaffold".to_owned(), json!(plan.scaffold.version())),
        ("model".to_owned(), json!(args.model.model)),
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
        if let Some(path) = args.prompts.as_ref().map(|f| f.join(name)).filter(|p| p.is_file()) {
            inputs.push(Digest::of(text::read(&path)?.as_bytes()));
        }
    }
    if let Some(path) = &args.fork {
        settings.insert("at".to_owned(), json!(args.at));
        inputs.push(Digest::of(text::read(path)?.as_bytes()));
    }
    let model = args.model.model.as_deref().unwrap_or_default();
    if let Some(file) = ["scripted:", "program:"].iter().find_map(|kind| model.strip_prefix(kind)) {
        let path = Path::new(file);
        let bytes = std::fs::read(path).map_err(|e| CommandError::file("read", path, &e))?;
        inputs.push(Digest::of(&bytes));
    }
    Ok((settings, inputs))
}

/// One file for each attempt number, and `predictions.jsonl` where there is only one.
fn write_predictions(ran: &Ran, attempts: u32, model: &str) -> Result<(), CommandError> {
    for k in 0..attempts {
        let of_attempt = ran.outcomes.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Finished { value, .. } if value["attempt"] == k => Some(value),
            _ => None,
        });
        let prediction = |value: &Value| {
            Some(Prediction {
                instance_id: InstanceId::new(value["instance_id"].as_str()?).ok()?,
                model_name_or_path: model.to_owned(),
                model_patch: Some(value["patch"].as_str()?.to_owned()),
            })
        };
        let text = predictions::write(&of_attempt.filter_map(prediction).collect::<Vec<_>>());
        let name =
            if attempts == 1 { "predictions.jsonl".to_owned() } else { format!("predictions.{k}.jsonl") };
        ran.run.write_file(&name, &text)?;
    }
    Ok(())
}
