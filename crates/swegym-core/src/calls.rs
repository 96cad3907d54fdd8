//! Tool calls: one path for checking, rendering and parsing them, whether they
//! travel in fields of their own or in the text.

mod check;
pub mod text;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::chat::{Tool, ToolCall};

pub use check::{check, parameter_names};

/// Longest arguments that are looked at, in bytes. Longer ones are no edit of
/// a source file, and every later request would have to repeat them.
pub const LONGEST_ARGUMENTS: usize = 1 << 20;

/// Why a call cannot be carried out. The model is told, and goes on.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum CallProblem {
    /// The arguments are no JSON object.
    #[error("the arguments of `{tool}` are not a JSON object: {why}")]
    NotJson {
        /// The tool.
        tool: String,
        /// What the reader says.
        why: String,
    },
    /// No such tool.
    #[error("there is no tool `{name}`; the tools are: {known}")]
    UnknownTool {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A parameter that the tool does not have.
    #[error("`{tool}` has no parameter `{parameter}`; it takes: {known}")]
    UnknownParameter {
        /// The tool.
        tool: String,
        /// The parameter.
        parameter: String,
        /// What it takes.
        known: String,
    },
    /// Required parameters are not there.
    #[error("`{tool}` needs the parameters: {missing}")]
    MissingParameters {
        /// The tool.
        tool: String,
        /// In the tool's order.
        missing: String,
    },
    /// A value of another type.
    #[error("`{parameter}` must be {expected}")]
    WrongType {
        /// The parameter.
        parameter: String,
        /// In words.
        expected: String,
    },
    /// A value outside the allowed ones.
    #[error("`{parameter}` must be one of: {allowed}")]
    NotAllowed {
        /// The parameter.
        parameter: String,
        /// The values.
        allowed: String,
    },
    /// Arguments beyond [`LONGEST_ARGUMENTS`].
    #[error("the arguments of `{tool}` are {bytes} bytes long; {LONGEST_ARGUMENTS} are the most")]
    TooLong {
        /// The tool.
        tool: String,
        /// Their length.
        bytes: usize,
    },
    /// A call as text that begins and does not parse.
    #[error("the call is not in the form `<function=name>`, parameters, `</function>`")]
    Malformed,
    /// The answer was cut at its longest length before it was whole.
    #[error("the answer was cut at its longest length")]
    Cut,
    /// The message came in a role that is not the model's.
    #[error("the answer came in the role `{0}`")]
    WrongRole(String),
}

impl CallProblem {
    /// A stable word for counting, and the key of its text in the message catalogue.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::UnknownTool { .. } => "unknown_tool",
            Self::UnknownParameter { .. } => "unknown_parameter",
            Self::MissingParameters { .. } => "missing_parameters",
            Self::WrongType { .. } => "wrong_type",
            Self::NotAllowed { .. } => "not_allowed",
            Self::TooLong { .. } => "too_long",
            Self::Malformed => "malformed_call",
            Self::Cut => "cut",
            Self::WrongRole(_) => "wrong_role",
        }
    }

    /// What a message about it may name.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NotJson { tool, why } => vec![("tool", tool.clone()), ("why", why.clone())],
            Self::UnknownTool { name, known } => vec![("tool", name.clone()), ("known", known.clone())],
            Self::UnknownParameter { tool, parameter, known } => {
                vec![("tool", tool.clone()), ("parameter", parameter.clone()), ("known", known.clone())]
            }
            Self::MissingParameters { tool, missing } => {
                vec![("tool", tool.clone()), ("missing", missing.clone())]
            }
            Self::WrongType { parameter, expected } => {
                vec![("parameter", parameter.clone()), ("expected", expected.clone())]
            }
            Self::NotAllowed { parameter, allowed } => {
                vec![("parameter", parameter.clone()), ("allowed", allowed.clone())]
            }
            Self::TooLong { tool, bytes } => {
                vec![
                    ("tool", tool.clone()),
                    ("bytes", bytes.to_string()),
                    ("most", LONGEST_ARGUMENTS.to_string()),
                ]
            }
            Self::WrongRole(role) => vec![("role", role.clone())],
            Self::Malformed | Self::Cut => Vec::new(),
        }
    }
}

/// Reads the arguments of a call that came in fields of its own, and checks
/// them against the tools.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(call: &ToolCall, tools: &[Tool]) -> Result<Map<String, Value>, CallProblem> {
    let tool = find(&call.name, tools)?;
    let text = call.arguments.trim();
    if text.len() > LONGEST_ARGUMENTS {
        return Err(CallProblem::TooLong { tool: call.name.clone(), bytes: text.len() });
    }
    let wrong = |why: String| CallProblem::NotJson { tool: call.name.clone(), why };
    let arguments = match text {
        // Endpoints leave the arguments of a tool without parameters empty.
        "" => Map::new(),
        _ => match crate::json::from_str(text).map_err(|e| wrong(e.to_string()))? {
            Value::Object(map) => map,
            other => return Err(wrong(format!("this is {}", crate::format::kind(&other)))),
        },
    };
    check(tool, arguments)
}

fn find<'a>(name: &str, tools: &'a [Tool]) -> Result<&'a Tool, CallProblem> {
    tools.iter().find(|t| t.name == name).ok_or_else(|| {
        let known: Vec<_> = tools.iter().map(|t| t.name.as_str()).collect();
        CallProblem::UnknownTool { name: name.to_owned(), known: known.join(", ") }
    })
}
