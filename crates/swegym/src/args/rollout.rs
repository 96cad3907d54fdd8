//! Flags of `rollout`: the model, the budgets, the agent.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swegym_agent::Scaffold;
use swegym_core::chat::CallForm;
use swegym_core::wire::Wire;

use super::RunArgs;
use super::choice::choice;

/// Where models answer.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Model")]
pub(crate) struct EndpointArgs {
    /// Address of the endpoint, up to /v1 [env: OPENAI_BASE_URL] [default: the protocol's own]
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Protocol: openai, anthropic [default: by the address]
    #[arg(long, value_name = "NAME", hide_possible_values = true,
          value_parser = choice(Wire::ALL.map(Wire::as_str), Wire::parse))]
    pub(crate) wire: Option<Wire>,
    /// Environment variable with the API key [default: OPENAI_API_KEY or ANTHROPIC_API_KEY]
    #[arg(long, value_name = "VARIABLE")]
    pub(crate) key_from: Option<String>,
}

/// Who answers, and where.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArgs {
    /// Model name at the endpoint, or scripted:FILE, or program:FILE; teachers need none
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) place: EndpointArgs,
    /// Form of tool calls: native, or text for models that write <function=…>
    #[arg(long, value_name = "FORM", default_value = "native", hide_possible_values = true,
          value_parser = choice(CallForm::ALL.map(CallForm::as_str), CallForm::parse))]
    pub(crate) tool_calls: CallForm,
    /// Sampling temperature [default: the endpoint's]
    #[arg(long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Top-p (nucleus) sampling [default: the endpoint's]
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f64>,
    /// Token limit of one answer [default: the endpoint's]
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
    /// Sampling seed, for endpoints that take one; attempt k uses this seed plus k
    #[arg(long, value_name = "N")]
    pub(crate) sampling_seed: Option<u64>,
    /// Request token ids and log-probabilities, and record them (vLLM, SGLang, `swegym serve`)
    #[arg(long)]
    pub(crate) capture_tokens: bool,
    /// Extra fields for every request, as a JSON object: '{"top_k": 20}'; null removes one of ours
    #[arg(long, value_name = "JSON")]
    pub(crate) extra: Option<String>,
    /// Request streamed answers
    #[arg(long)]
    pub(crate) stream: bool,
    /// Most parallel requests [default: as many as attempts]
    #[arg(long, value_name = "N")]
    pub(crate) requests_at_once: Option<usize>,
    /// Time limit of one request, in seconds
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub(crate) request_timeout: u64,
    /// Most retries of a failed request, with growing waits
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) retries: u32,
    /// Header that carries the instance id, so that a load balancer can use prefix caches
    #[arg(long, value_name = "NAME", default_value = "x-session-id")]
    pub(crate) session_header: String,
    /// US dollars per million input, output and cached input tokens: 2.5,10,1.25
    #[arg(long, value_name = "IN,OUT[,CACHED]")]
    pub(crate) price: Option<String>,
}

/// What one attempt, and what the run may use.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Budgets")]
pub(crate) struct BudgetArgs {
    /// Most model answers per attempt
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) max_steps: u32,
    /// Most tokens per conversation [default: the model's own limit]
    #[arg(long, value_name = "N")]
    pub(crate) max_context: Option<u64>,
    /// Cost limit per attempt, in US dollars
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<f64>,
    /// Time limit per attempt, in seconds
    #[arg(long, value_name = "S", default_value_t = 7200)]
    pub(crate) max_time: u64,
    /// Time limit per command of the agent, in seconds
    #[arg(long, value_name = "S", default_value_t = 120)]
    pub(crate) command_timeout: u64,
    /// Most malformed answers in a row
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) max_format_errors: u32,
    /// Most requests in the whole run
    #[arg(long, value_name = "N")]
    pub(crate) run_requests: Option<u64>,
    /// Most input and output tokens in the whole run
    #[arg(long, value_name = "N")]
    pub(crate) run_tokens: Option<u64>,
    /// Cost limit of the whole run, in US dollars
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
    #[arg(long, value_name = "NAME", default_value = "codeact", hide_possible_values = true,
          value_parser = choice(Scaffold::ALL.map(Scaffold::as_str), Scaffold::parse))]
    pub(crate) scaffold: Scaffold,
    /// Attempts per instance; a resumed run may ask for more
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) attempts: u32,
    /// Sample attempt 0 at temperature 0, the others at --temperature
    #[arg(long)]
    pub(crate) first_greedy: bool,
    /// Test each answer as soon as it is there, in a fresh sandbox
    #[arg(long)]
    pub(crate) evaluate: bool,
    /// Most parallel attempts; memory may allow fewer
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) concurrent: usize,
    /// Folder with prompts of your own (system.txt, task.txt, text_tools.txt, messages.toml,
    /// example.txt), or `terse`: short prompts and teachers for small policies
    #[arg(long, value_name = "DIR")]
    pub(crate) prompts: Option<PathBuf>,
    /// Show a worked example before the task, where calls are text; exports leave it out
    #[arg(long)]
    pub(crate) example: bool,
    /// Add the instance's hints_text to the task
    #[arg(long)]
    pub(crate) hints: bool,
    /// Keep no sandbox snapshots: less disk, but a killed attempt starts over and none can be forked
    #[arg(long)]
    pub(crate) no_snapshots: bool,
    /// Record of an earlier attempt; every new attempt continues from its step --at
    #[arg(long, value_name = "RECORD", requires = "at")]
    pub(crate) fork: Option<PathBuf>,
    /// Last step that forked attempts share
    #[arg(long, value_name = "STEP", requires = "fork")]
    pub(crate) at: Option<u32>,
    /// Random seed of a teacher
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Share of the noisy expert's attempts that fail
    #[arg(long, value_name = "SHARE", default_value_t = 0.4)]
    pub(crate) noise: f64,
    /// Accept unknown fields that look like misspelt known ones
    #[arg(long)]
    pub(crate) keep_unknown_fields: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) budget: BudgetArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}
