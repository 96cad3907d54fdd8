//! A model that follows a script: what it says is written down beforehand, so
//! that everything around a model can be run without one.
//!
//! A script is JSON Lines, one conversation a line:
//!
//! ```json
//! {"instance_id": "a__b-1", "replies": ["words", {"content": "words", "calls": [{"name": "bash", "arguments": {"command": "ls"}}]}]}
//! ```
//!
//! A line without `instance_id` is for every instance that has no line of its
//! own. A reply may have its `reasoning`, `role` and `finish`, too. Which reply
//! comes next follows from the conversation alone, so that an attempt that is
//! taken up again goes on where it was.
//!
//! A program can stand in its place. It is run once for each answer, reads the
//! request as an endpoint would (JSON, on its standard input) and prints one
//! reply: an object as above, or words.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use swegym_core::calls::text;
use swegym_core::chat::ToolCall;
use swegym_core::wire::Wire;
use swegym_sandbox::tool;

use super::{Answer, Answered, Ask, Model, ModelError};

/// One answer of a script.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScriptedReply {
    /// The words.
    pub content: String,
    /// What is thought before them.
    pub reasoning: Option<String>,
    /// Tools and arguments; text where the script wants other than JSON.
    pub calls: Vec<(String, String)>,
    /// The role it comes in, if not the assistant's.
    pub role: Option<String>,
    /// The finish reason, if not the one that fits.
    pub finish: Option<String>,
}

impl ScriptedReply {
    /// Words and one call.
    #[must_use]
    pub fn call(content: &str, tool: &str, arguments: &Value) -> Self {
        let calls = vec![(tool.to_owned(), arguments.to_string())];
        Self { content: content.to_owned(), calls, ..Self::default() }
    }
}

/// Conversations by instance.
#[derive(Debug, Clone, Default)]
pub struct Script {
    lines: HashMap<String, Vec<ScriptedReply>>,
    any: Option<Vec<ScriptedReply>>,
}

impl Script {
    /// One conversation for everybody.
    #[must_use]
    pub fn for_all(replies: Vec<ScriptedReply>) -> Self {
        Self { lines: HashMap::new(), any: Some(replies) }
    }

    /// Reads a script.
    ///
    /// # Errors
    /// In words, with the line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let at = |why: &str| format!("line {}: {why}", i + 1);
            let value: Value = swegym_core::json::from_str(line).map_err(|e| at(&e.to_string()))?;
            let replies = value.get("replies").and_then(Value::as_array);
            let replies = replies.ok_or_else(|| at("there is no list `replies`"))?;
            let replies = replies.iter().map(read_reply).collect::<Option<Vec<_>>>();
            let replies =
                replies.ok_or_else(|| at("a reply is text or an object with `content` and `calls`"))?;
            match value.get("instance_id").and_then(Value::as_str) {
                Some(id) => script.lines.insert(id.to_owned(), replies),
                None => script.any.replace(replies),
            };
        }
        Ok(script)
    }

    /// The document that an endpoint would send for the answer number `said`.
    ///
    /// # Errors
    /// When the script has no such conversation or no such answer.
    pub fn document(
        &self,
        session: &str,
        said: usize,
        as_text: bool,
        prompt: usize,
    ) -> Result<Value, ModelError> {
        let replies = self.lines.get(session).or(self.any.as_ref());
        let replies =
            replies.ok_or_else(|| ModelError::Script(format!("has no conversation for `{session}`")))?;
        let reply = replies.get(said).ok_or_else(|| {
            ModelError::Script(format!("ends after {} answers of `{session}`", replies.len()))
        })?;
        Ok(document(reply, said, as_text, prompt))
    }
}

fn read_reply(value: &Value) -> Option<ScriptedReply> {
    if let Some(words) = value.as_str() {
        return Some(ScriptedReply { content: words.to_owned(), ..ScriptedReply::default() });
    }
    let object = value.as_object()?;
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let calls = object.get("calls").and_then(Value::as_array);
    let call = |call: &Value| {
        let arguments = match call.get("arguments") {
            Some(Value::String(raw)) => raw.clone(),
            Some(other) => other.to_string(),
            None => "{}".to_owned(),
        };
        Some((call.get("name")?.as_str()?.to_owned(), arguments))
    };
    Some(ScriptedReply {
        content: text("content").unwrap_or_default(),
        reasoning: text("reasoning"),
        calls: calls.map_or(Some(Vec::new()), |calls| calls.iter().map(call).collect())?,
        role: text("role"),
        finish: text("finish"),
    })
}

fn document(reply: &ScriptedReply, said: usize, as_text: bool, prompt: usize) -> Value {
    let mut content = reply.content.clone();
    let mut message =
        Map::from_iter([("role".to_owned(), json!(reply.role.as_deref().unwrap_or("assistant")))]);
    let calls = reply.calls.iter().enumerate().map(|(i, (name, arguments))| ToolCall {
        id: format!("call_{said}_{i}"),
        name: name.clone(),
        arguments: arguments.clone(),
    });
    let calls: Vec<ToolCall> = calls.collect();
    if as_text {
        for call in &calls {
            let rendered = text::render(call)
                .unwrap_or_else(|_| format!("<function={}>\n{}", call.name, call.arguments));
            content = format!("{content}\n\n{}", rendered.trim_end_matches("</function>").trim_end());
        }
    }
    message.insert("content".into(), json!(content.trim_start()));
    if let Some(reasoning) = &reply.reasoning {
        message.insert("reasoning_content".into(), json!(reasoning));
    }
    if !as_text && !calls.is_empty() {
        let call = |c: &ToolCall| json!({"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}});
        message.insert("tool_calls".into(), calls.iter().map(call).collect());
    }
    let fits = if as_text || calls.is_empty() { "stop" } else { "tool_calls" };
    let written: usize = content.len() + calls.iter().map(|c| c.arguments.len()).sum::<usize>();
    let mut choice =
        json!({"index": 0, "message": message, "finish_reason": reply.finish.as_deref().unwrap_or(fits)});
    if as_text && !calls.is_empty() && reply.finish.is_none() {
        // Which stop word it met, as vLLM tells it.
        choice["stop_reason"] = json!(text::STOP);
    }
    json!({
        "id": format!("scripted-{said}"),
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
        // No tokenizer is asked: four bytes are about a token.
        "usage": {"prompt_tokens": prompt / 4, "completion_tokens": written / 4 + 1},
    })
}

/// A script, or a program, in the place of a model.
#[derive(Debug, Clone)]
pub struct Scripted {
    name: String,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Script(Script),
    Program(PathBuf),
}

/// How long a program may think about one answer.
const THINKING: Duration = Duration::from_secs(60);

impl Scripted {
    /// A model of this name that follows a script.
    #[must_use]
    pub fn new(name: &str, script: Script) -> Self {
        Self { name: name.to_owned(), source: Source::Script(script) }
    }

    /// A model of this name that a program answers for.
    #[must_use]
    pub fn program(name: &str, program: &Path) -> Self {
        Self { name: name.to_owned(), source: Source::Program(program.to_owned()) }
    }
}

/// What a program says to a request.
async fn think(program: &Path, request: &str) -> Result<ScriptedReply, ModelError> {
    let (program, input) = (program.to_owned(), request.to_owned().into_bytes());
    let run = move || tool::ask(program, [] as [&str; 0], input, THINKING);
    let printed = tokio::task::spawn_blocking(run).await.map_err(|e| ModelError::Script(e.to_string()))?;
    let printed = printed.map_err(|e| {
        let why = std::error::Error::source(&e).map_or_else(String::new, |why| format!(": {why}"));
        ModelError::Script(format!("{e}{why}"))
    })?;
    let text = String::from_utf8_lossy(&printed);
    let said = swegym_core::json::from_str::<Value>(&text).ok().filter(Value::is_object);
    match said {
        None => Ok(ScriptedReply { content: text.trim_end().to_owned(), ..ScriptedReply::default() }),
        Some(value) => read_reply(&value)
            .ok_or_else(|| ModelError::Script("printed an object that is no reply".to_owned())),
    }
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn wire(&self) -> Wire {
        Wire::OpenAi
    }

    async fn answer(&self, ask: &Ask<'_>, request: &Arc<str>) -> Answered {
        let said = ask.answers();
        let as_text = ask.stop.contains(&text::STOP);
        let document = match &self.source {
            Source::Script(script) => script.document(ask.session, said, as_text, request.len()),
            Source::Program(program) => {
                let reply = think(program, request).await;
                reply.map(|reply| document(&reply, said, as_text, request.len()))
            }
        };
        let result = document.and_then(|document| {
            let response = document.to_string().into_bytes();
            let reply = Wire::OpenAi.read(&response).map_err(|e| ModelError::Script(e.to_string()))?;
            Ok(Answer { response, reply, latency: Duration::ZERO })
        });
        Answered { failed: Vec::new(), result }
    }
}
