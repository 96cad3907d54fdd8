//! What `rollout` is told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use swegym_agent::model::endpoint::{EndpointSettings, Price};
use swegym_agent::{Limits, Scaffold};
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::format::instances::UnknownFields;
use swegym_core::wire::Wire;

use super::Environment;
use crate::args::{BudgetArgs, ModelArgs, RolloutArgs};
use crate::error::CommandError;

/// Which agent works on what, and how often.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RolloutSettings {
    pub(crate) instances: PathBuf,
    pub(crate) unknown: UnknownFields,
    pub(crate) scaffold: Scaffold,
    pub(crate) model: ModelChoice,
    /// Attempts at each instance, at least one.
    pub(crate) attempts: u32,
    /// Attempt 0 is greedy.
    pub(crate) first_greedy: bool,
    /// Each answer is tested.
    pub(crate) evaluate: bool,
    /// Attempts at once, at least one.
    pub(crate) concurrent: usize,
    /// Prompts of the user's own, or `terse`.
    pub(crate) prompts: Option<PathBuf>,
    pub(crate) example: bool,
    pub(crate) hints: bool,
    /// An earlier attempt, and the last step that is shared with it.
    pub(crate) fork: Option<(PathBuf, u32)>,
    /// Of a teacher.
    pub(crate) seed: u64,
    /// Share of the noisy expert's attempts that fail.
    pub(crate) noise: f64,
    pub(crate) calls: CallForm,
    pub(crate) sampling: Sampling,
    pub(crate) limits: Limits,
    pub(crate) budget: BudgetSettings,
}

/// What a whole run may use.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct BudgetSettings {
    pub(crate) requests: Option<u64>,
    pub(crate) tokens: Option<u64>,
    /// US dollars.
    pub(crate) cost: Option<f64>,
}

/// Who answers.
#[derive(Clone, PartialEq)]
pub(crate) enum ModelChoice {
    /// The scaffold is a teacher.
    Teacher,
    /// Answers from a file.
    Scripted(PathBuf),
    /// Answers of a program.
    Program(PathBuf),
    /// A model of this machine, served within the process while it is asked; and how it
    /// is asked then, but for the address.
    Here(PathBuf, Box<EndpointSettings>),
    /// A model behind an address.
    There(Box<EndpointSettings>),
}

impl ModelChoice {
    /// A model of this machine.
    pub(crate) fn here(model: PathBuf) -> Self {
        Self::Here(model, Box::new(reached("policy".to_owned(), String::new(), 64)))
    }

    /// As it is named in files; never how it is reached: an endpoint may have moved when
    /// a run is taken up, and a key is nobody's business.
    pub(crate) fn name(&self) -> Option<String> {
        match self {
            Self::Teacher => None,
            Self::Scripted(path) => Some(format!("scripted:{}", path.display())),
            Self::Program(path) => Some(format!("program:{}", path.display())),
            Self::Here(path, _) => Some(path.display().to_string()),
            Self::There(endpoint) => Some(endpoint.model.clone()),
        }
    }
}

impl fmt::Debug for ModelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().as_deref().unwrap_or("teacher"))
    }
}

impl RolloutSettings {
    /// One attempt of a model, or of a teacher, at each instance of a file.
    pub(crate) fn new(instances: PathBuf, scaffold: Scaffold, model: ModelChoice) -> Self {
        Self {
            instances,
            unknown: UnknownFields::Refuse,
            scaffold,
            model,
            attempts: 1,
            first_greedy: false,
            evaluate: false,
            concurrent: 64,
            prompts: None,
            example: false,
            hints: false,
            fork: None,
            seed: 1,
            noise: 0.4,
            calls: CallForm::Native,
            sampling: Sampling::default(),
            limits: Limits::default(),
            budget: BudgetSettings::default(),
        }
    }

    pub(crate) fn resolve(args: RolloutArgs) -> Result<Self, CommandError> {
        let RolloutArgs {
            instances,
            scaffold,
            attempts,
            first_greedy,
            evaluate,
            concurrent,
            prompts,
            example,
            hints,
            no_snapshots,
            fork,
            at,
            seed,
            noise,
            keep_unknown_fields,
            model,
            budget,
            run: _,
        } = args;
        let BudgetArgs {
            max_steps,
            max_context,
            max_cost,
            max_time,
            command_timeout,
            max_format_errors,
            run_requests,
            run_tokens,
            run_cost,
        } = budget;
        if !(0.0..=1.0).contains(&noise) {
            return Err(CommandError::usage("--noise is a share", "give a number from 0 to 1"));
        }
        if example && model.tool_calls == CallForm::Native {
            return Err(CommandError::usage("--example shows calls as text", "add --tool-calls text"));
        }
        let concurrent = concurrent.max(1);
        Ok(Self {
            instances,
            unknown: if keep_unknown_fields { UnknownFields::Keep } else { UnknownFields::Refuse },
            scaffold,
            attempts: attempts.max(1),
            first_greedy,
            evaluate,
            concurrent,
            prompts,
            example,
            hints,
            fork: fork.zip(at),
            seed,
            noise,
            calls: model.tool_calls,
            sampling: sampling(&model)?,
            limits: Limits {
                steps: max_steps,
                context: max_context,
                cost_usd: max_cost,
                wall_time: Duration::from_secs(max_time),
                command: Duration::from_secs(command_timeout.max(1)),
                format_errors: max_format_errors.max(1),
                snapshots: !no_snapshots,
            },
            budget: BudgetSettings { requests: run_requests, tokens: run_tokens, cost: run_cost },
            model: choose(scaffold, model, concurrent)?,
        })
    }
}

/// Who answers; a teacher brings its own answers.
fn choose(scaffold: Scaffold, args: ModelArgs, concurrent: usize) -> Result<ModelChoice, CommandError> {
    let Some(name) = args.model.clone() else {
        return match scaffold.is_teacher() {
            true => Ok(ModelChoice::Teacher),
            false => Err(CommandError::usage(
                "no model is named",
                "--model NAME with --endpoint URL, or --model scripted:FILE, or --scaffold gold",
            )),
        };
    };
    if scaffold.is_teacher() {
        let message = format!("`{}` is a teacher and has no model", scaffold.as_str());
        return Err(CommandError::usage(message, "leave --model away, or choose another --scaffold"));
    }
    if let Some(file) = name.strip_prefix("scripted:") {
        return Ok(ModelChoice::Scripted(PathBuf::from(file)));
    }
    if let Some(file) = name.strip_prefix("program:") {
        return Ok(ModelChoice::Program(PathBuf::from(file)));
    }
    Ok(ModelChoice::There(Box::new(endpoint(args, name, concurrent)?)))
}

fn sampling(args: &ModelArgs) -> Result<Sampling, CommandError> {
    Ok(Sampling {
        temperature: args.temperature,
        top_p: args.top_p,
        max_tokens: args.max_tokens,
        seed: args.sampling_seed,
        capture_tokens: args.capture_tokens,
        extra: args.extra.as_deref().map(extra).transpose()?.unwrap_or_default(),
    })
}

fn endpoint(args: ModelArgs, name: String, concurrent: usize) -> Result<EndpointSettings, CommandError> {
    let ModelArgs {
        model: _,
        endpoint,
        wire,
        key_from,
        tool_calls: _,
        temperature: _,
        top_p: _,
        max_tokens: _,
        sampling_seed: _,
        capture_tokens: _,
        extra: _,
        stream,
        requests_at_once,
        request_timeout,
        retries,
        session_header,
        price: cost,
    } = args;
    let address = endpoint.or_else(|| Environment::variable("OPENAI_BASE_URL"));
    let wire = wire.unwrap_or(match &address {
        Some(address) if address.contains("anthropic") => Wire::Anthropic,
        _ => Wire::OpenAi,
    });
    let (home, variable) = match wire {
        Wire::OpenAi => ("https://api.openai.com/v1", "OPENAI_API_KEY"),
        Wire::Anthropic => ("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
    };
    let key = match &key_from {
        Some(name) => Some(Environment::variable(name).ok_or_else(|| {
            let message = format!("the variable `{name}` is not set");
            CommandError::usage(message, "put the key there, or name another")
        })?),
        None => Environment::variable(variable),
    };
    Ok(EndpointSettings {
        address: address.unwrap_or_else(|| home.to_owned()),
        wire,
        key,
        session_header,
        concurrent: requests_at_once.unwrap_or(concurrent),
        retries,
        timeout: Duration::from_secs(request_timeout.max(1)),
        stream,
        price: cost.as_deref().map(price).transpose()?,
        encrypted_proxy: ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
            .into_iter()
            .filter_map(Environment::variable)
            .any(|proxy| proxy.starts_with("https:")),
        ..reached(name, String::new(), concurrent)
    })
}

/// A model at an address of ours, which wants no key.
fn reached(model: String, address: String, concurrent: usize) -> EndpointSettings {
    EndpointSettings {
        address,
        wire: Wire::OpenAi,
        model,
        key: Environment::variable("OPENAI_API_KEY"),
        session_header: "x-session-id".to_owned(),
        concurrent,
        retries: 8,
        timeout: Duration::from_secs(600),
        stream: false,
        price: None,
        encrypted_proxy: false,
    }
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
