//! What `rollout` is told, from its flags.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use swegym_agent::model::endpoint::{EndpointSettings, Price};
use swegym_agent::{Limits, Scaffold};
use swegym_console::error::CommandError;
use swegym_core::chat::{CallForm, Sampling};
use swegym_core::wire::Wire;
use swegym_method::settings::{BudgetSettings, Environment, ModelChoice, RolloutSettings};

use super::unknown_fields;
use crate::args::{BudgetArgs, EndpointArgs, ModelArgs, RolloutArgs};

impl TryFrom<RolloutArgs> for RolloutSettings {
    type Error = CommandError;

    fn try_from(args: RolloutArgs) -> Result<Self, CommandError> {
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
            unknown: unknown_fields(keep_unknown_fields),
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
    named(name, |name| endpoint(args, name, concurrent))
}

/// The model of a name; `there` says how an endpoint is asked for it.
pub(super) fn named(
    name: String,
    there: impl FnOnce(String) -> Result<EndpointSettings, CommandError>,
) -> Result<ModelChoice, CommandError> {
    if let Some(file) = name.strip_prefix("scripted:") {
        return Ok(ModelChoice::Scripted(PathBuf::from(file)));
    }
    if let Some(file) = name.strip_prefix("program:") {
        return Ok(ModelChoice::Program(PathBuf::from(file)));
    }
    Ok(ModelChoice::There(Box::new(there(name)?)))
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
        place,
        stream,
        requests_at_once,
        request_timeout,
        retries,
        session_header,
        price: cost,
        ..
    } = args;
    Ok(EndpointSettings {
        session_header,
        concurrent: requests_at_once.unwrap_or(concurrent),
        retries,
        timeout: Duration::from_secs(request_timeout.max(1)),
        stream,
        price: cost.as_deref().map(price).transpose()?,
        ..usual_endpoint(place, name, concurrent)?
    })
}

/// An endpoint of which no more is said than where it is.
pub(super) fn usual_endpoint(
    place: EndpointArgs,
    name: String,
    concurrent: usize,
) -> Result<EndpointSettings, CommandError> {
    let EndpointArgs { endpoint, wire, key_from } = place;
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
    let address = address.unwrap_or_else(|| home.to_owned());
    Ok(EndpointSettings {
        key,
        encrypted_proxy: ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
            .into_iter()
            .filter_map(Environment::variable)
            .any(|proxy| proxy.starts_with("https:")),
        ..EndpointSettings::usual(name, address, wire, concurrent)
    })
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
