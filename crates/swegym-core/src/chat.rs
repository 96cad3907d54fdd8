//! What is said between a model and an agent, whoever serves the model.
//!
//! The words are those of OpenAI's chat completions, which the field speaks;
//! how they look on a wire is decided in [`mod@crate::wire`].

use serde_json::{Map, Value};

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The rules of the conversation.
    System,
    /// The person, or the agent in the person's place.
    User,
    /// The model.
    Assistant,
    /// The answer to one tool call.
    Tool,
}

impl Role {
    const ALL: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// The word on the wire and in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Reads the word of [`Role::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }
}

/// One use of a tool, as the model wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Joins the call and its answer.
    pub id: String,
    /// Which tool.
    pub name: String,
    /// A JSON object as text, or what the model took for one.
    pub arguments: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The words; of an assistant without those of its calls.
    pub content: String,
    /// What a reasoning model thought before, where the endpoint shows it.
    pub reasoning: Option<String>,
    /// Tools that an assistant uses.
    pub calls: Vec<ToolCall>,
    /// Which call a tool answers.
    pub call_id: Option<String>,
    /// Which tool answers.
    pub tool: Option<String>,
    /// An assistant's words and calls exactly as sampled, where calls are
    /// written as text: a later request must repeat them to the byte.
    pub sampled: Option<String>,
    /// What else of an assistant's message its endpoint wants to be told again,
    /// as its protocol has it: reasoning in its own form, signatures. Models that
    /// think between calls lose the thread without. `null` stands for
    /// [`Self::reasoning`]; `tool_calls` is a list beside [`Self::calls`].
    pub aside: Map<String, Value>,
}

impl Message {
    /// A message of words alone.
    #[must_use]
    pub fn of(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            reasoning: None,
            calls: Vec::new(),
            call_id: None,
            tool: None,
            sampled: None,
            aside: Map::new(),
        }
    }

    /// An assistant that says something and uses tools.
    #[must_use]
    pub fn assistant(content: impl Into<String>, calls: Vec<ToolCall>) -> Self {
        Self { calls, ..Self::of(Role::Assistant, content) }
    }

    /// A tool's answer.
    #[must_use]
    pub fn answer(call: &ToolCall, content: impl Into<String>) -> Self {
        let (call_id, tool) = (Some(call.id.clone()), Some(call.name.clone()));
        Self { call_id, tool, ..Self::of(Role::Tool, content) }
    }
}

/// A tool that is offered to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What the model is told about it.
    pub description: String,
    /// JSON schema of its arguments; `None` where it takes none.
    pub parameters: Option<Map<String, Value>>,
}

/// How calls travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CallForm {
    /// In fields of their own, which the endpoint fills.
    #[default]
    Native,
    /// In the text, as `<function=…>` (reference/agents.md, section 2).
    Text,
}

impl CallForm {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Native, Self::Text];

    /// The word in settings and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Text => "text",
        }
    }

    /// Reads the word of [`CallForm::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == word)
    }
}

/// How tokens are drawn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 is greedy; `None` leaves it to the endpoint.
    pub temperature: Option<f64>,
    /// Mass of the nucleus.
    pub top_p: Option<f64>,
    /// Longest answer, in tokens.
    pub max_tokens: Option<u64>,
    /// For endpoints that repeat themselves.
    pub seed: Option<u64>,
    /// Ask for token ids and their log-probabilities, where the endpoint knows the fields.
    pub capture_tokens: bool,
    /// Fields of every request that only this endpoint knows; `null` takes one
    /// away that would be there.
    pub extra: Map<String, Value>,
}

/// What one call to a model used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Usage {
    /// Tokens that were read, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens that were written, reasoning included.
    pub completion_tokens: u64,
    /// Tokens that were read from a cache.
    pub cached_tokens: u64,
    /// Price in US dollars; `None` where nobody said.
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// Adds another call's use.
    pub fn add(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        if let Some(cost) = other.cost_usd {
            *self.cost_usd.get_or_insert(0.0) += cost;
        }
    }

    /// Tokens read and written.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.completion_tokens
    }
}

/// Why a model stopped writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or met a stop word.
    Stop,
    /// It wants tools to be used.
    ToolCalls,
    /// Its answer was cut at the longest length.
    Length,
    /// Something else: a filter, or a word we do not know.
    Other,
}

impl Finish {
    /// The word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::Other => "other",
        }
    }

    /// Reads a finish reason of OpenAI's, of a server that keeps its model's own
    /// word for one, or of [`Finish::as_str`].
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => Self::Stop,
            "tool_calls" | "function_call" | "tool_use" => Self::ToolCalls,
            "length"
            | "max_length"
            | "model_length"
            | "max_tokens"
            | "max_output_tokens"
            | "model_context_window_exceeded" => Self::Length,
            _ => Self::Other,
        }
    }
}

/// Tokens of one answer, where the endpoint gives them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tokens {
    /// Ids of the prompt.
    pub prompt_ids: Option<Vec<u64>>,
    /// Ids of the answer.
    pub ids: Option<Vec<u64>>,
    /// Log-probability of each token of the answer.
    pub logprobs: Option<Vec<f64>>,
}
