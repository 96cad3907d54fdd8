//! Chat templates, rendered as `transformers` renders them.
//!
//! Jinja with trimmed blocks, Python's methods on values, `tojson` in Python's
//! spelling, and `{% generation %}` blocks, which mark what a model wrote.

use std::borrow::Cow;
use std::fmt::Write as _;

use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind, Value as JinjaValue};
use serde_json::{Map, Value, json};
use swegym_core::Digest;
use swegym_core::calls::text;
use swegym_core::chat::{Message, Role, Tool, ToolCall};
use swegym_core::wire::openai::{message_json, tool_json};
use thiserror::Error;

/// Stand in the text where a `{% generation %}` block begins and ends. Private
/// characters, so that no conversation means anything by them.
const OPEN: char = '\u{F8F0}';
const CLOSE: char = '\u{F8F1}';

/// Begins the only key of an object that stands for arguments that are no object.
const STANDS_FOR: &str = "arguments-as-said-";

/// The key of what a template is given where it cannot hold such arguments.
/// Nobody said it, and what has it is not learnt.
pub(crate) const UNREADABLE: &str = "unreadable_arguments";

/// Instructions that one rendering may take; a conversation of 200 turns takes some ten thousand.
pub(crate) const FUEL: u64 = 20_000_000;

/// A chat template that was read once.
#[derive(Debug, Clone)]
pub struct Template {
    jinja: Environment<'static>,
    source: String,
    specials: Vec<(String, String)>,
    /// Whether it marks what the model wrote.
    marks: bool,
}

/// Why a conversation cannot be rendered.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// The template is not Jinja.
    #[error("the chat template does not parse: {0}")]
    Parse(String),
    /// The template fails on this conversation, or refuses it.
    #[error("the chat template does not render: {0}")]
    Render(String),
    /// A call has no form in a template without tools.
    #[error("a call cannot be written as text: {0}")]
    Call(String),
    /// What was rendered for the first messages is not how the whole begins.
    #[error(
        "the chat template rewrites what came before message {0}: what is trained would not be what was sampled"
    )]
    Rewrites(usize),
    /// What a template marks as said cannot be told apart by turns.
    #[error(
        "the chat template marks {marks} stretches as said in a conversation of {turns} turns, and not turn by turn"
    )]
    Marks {
        /// Marked stretches.
        marks: usize,
        /// Turns of the assistant.
        turns: usize,
    },
}

/// Which parts of a rendered conversation a model wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole text.
    pub text: String,
    /// For each assistant's message, its index among the messages and its
    /// bytes: without the header, with what ends it. A message that the template
    /// marks in several stretches is there several times.
    pub turns: Vec<(usize, std::ops::Range<usize>)>,
}

impl Template {
    /// Reads a template. `specials` are what it may name: `bos_token` and the like.
    ///
    /// # Errors
    /// It is not Jinja.
    pub fn new(source: &str, specials: &[(&str, String)]) -> Result<Self, TemplateError> {
        let mut jinja = Environment::new();
        // A template comes with a model from anywhere: it may not run for ever.
        jinja.set_fuel(Some(FUEL));
        jinja.set_trim_blocks(true);
        jinja.set_lstrip_blocks(true);
        jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        jinja.add_filter("tojson", to_json);
        jinja.add_function("raise_exception", |why: String| -> Result<JinjaValue, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, why))
        });
        // Templates print today's date with it. A day that does not change
        // makes the same text of the same conversation.
        jinja.add_function("strftime_now", |format: String| strftime(&format));
        let (text, marks) = mark_generation(source);
        jinja.add_template_owned("chat", text).map_err(|e| TemplateError::Parse(describe(&e)))?;
        let specials = specials.iter().map(|(name, token)| ((*name).to_owned(), token.clone())).collect();
        Ok(Self { jinja, source: source.to_owned(), specials, marks })
    }

    /// Whether the template has a place for tools.
    pub fn knows_tools(&self) -> bool {
        self.source.contains("tools")
    }

    /// A conversation as this template can hold it: where it has no place for
    /// tools, they and their calls are told in text, and nothing is lost.
    ///
    /// # Errors
    /// A call cannot be written as text.
    pub fn suited<'a>(
        &self,
        messages: &'a [Message],
        tools: &'a [Tool],
    ) -> Result<(Cow<'a, [Message]>, &'a [Tool]), TemplateError> {
        let called = messages.iter().any(|m| !m.calls.is_empty() || m.call_id.is_some());
        if self.knows_tools() || (tools.is_empty() && !called) {
            return Ok((Cow::Borrowed(messages), tools));
        }
        let told = text::conversation(&text::broken_as_words(messages), tools, text::INSTRUCTIONS);
        let told = told.map_err(|e| TemplateError::Call(e.to_string()))?;
        Ok((Cow::Owned(told), &[]))
    }

    /// Special tokens that the template writes itself.
    pub fn markers(&self) -> impl Iterator<Item = &str> {
        self.source.split("<|").skip(1).filter_map(|rest| {
            let name = &rest[..rest.find("|>")?];
            let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let start = rest.as_ptr() as usize - self.source.as_ptr() as usize - 2;
            plain.then(|| &self.source[start..start + name.len() + 4])
        })
    }

    /// The text of a conversation; with `ask`, up to where the model goes on.
    ///
    /// # Errors
    /// The template fails on it.
    pub fn render(&self, messages: &[Message], tools: &[Tool], ask: bool) -> Result<String, TemplateError> {
        let marked = self.render_marked(messages, tools, ask)?;
        Ok(if self.marks { marked.replace([OPEN, CLOSE], "") } else { marked })
    }

    fn render_marked(
        &self,
        messages: &[Message],
        tools: &[Tool],
        ask: bool,
    ) -> Result<String, TemplateError> {
        let mut context = Map::new();
        context
            .insert("messages".to_owned(), messages.iter().map(|message| told(message, &stand_in)).collect());
        if !tools.is_empty() {
            context.insert("tools".to_owned(), tools.iter().map(tool_json).collect());
        }
        context.insert("add_generation_prompt".to_owned(), Value::Bool(ask));
        context
            .extend(self.specials.iter().map(|(name, token)| (name.clone(), Value::String(token.clone()))));
        let template = self.jinja.get_template("chat").map_err(|e| TemplateError::Parse(describe(&e)))?;
        let render = |context: &Map<String, Value>| {
            let text = template.render(JinjaValue::from_serialize(context));
            text.map_err(|e| TemplateError::Render(describe(&e)))
        };
        let text = render(&context);
        if !messages.iter().flat_map(|message| &message.calls).any(is_broken) {
            return text;
        }
        let text = text.map(|text| with_arguments_as_said(text, messages));
        if let Some(text) = text.ok().filter(|text| !text.contains(STANDS_FOR)) {
            return Ok(text);
        }
        // A template that takes arguments apart gets an object, as an endpoint does.
        let messages = messages.iter().map(|message| told(message, &unreadable)).collect();
        context.insert("messages".to_owned(), messages);
        render(&context)
    }

    /// The text of a conversation, and what of it the model wrote: by the
    /// template's own marks, or else by rendering each beginning.
    ///
    /// # Errors
    /// The template fails on it, or does not keep what it wrote before.
    pub fn render_turns(&self, messages: &[Message], tools: &[Tool]) -> Result<Rendered, TemplateError> {
        let turns =
            messages.iter().enumerate().filter(|(_, m)| m.role == Role::Assistant).map(|(index, _)| index);
        let whole = self.render_marked(messages, tools, false)?;
        if self.marks {
            let stretches = self.without_header(unmark(&whole))?;
            let owners = self.owners(messages, tools, &turns.collect::<Vec<_>>(), stretches.turns.len())?;
            let ranges = stretches.turns.into_iter().map(|(_, bytes)| bytes);
            return Ok(Rendered { text: stretches.text, turns: owners.into_iter().zip(ranges).collect() });
        }
        let mut rendered = Rendered { text: whole, turns: Vec::new() };
        for index in turns {
            let (after, said) = self.render_turn(messages, tools, index)?;
            if !rendered.text.starts_with(&after) {
                return Err(TemplateError::Rewrites(index));
            }
            rendered.turns.push((index, said));
        }
        Ok(rendered)
    }

    /// Whose each of so many marked stretches is: most templates mark every turn
    /// once; what others mark is counted, beginning by beginning.
    fn owners(
        &self,
        messages: &[Message],
        tools: &[Tool],
        turns: &[usize],
        marks: usize,
    ) -> Result<Vec<usize>, TemplateError> {
        if marks == turns.len() {
            return Ok(turns.to_vec());
        }
        let count = |end: usize| -> Result<usize, TemplateError> {
            Ok(self.render_marked(&messages[..end], tools, false)?.matches(OPEN).count())
        };
        let mut owners = Vec::new();
        for &turn in turns {
            let own = count(turn + 1)?.saturating_sub(count(turn)?);
            owners.extend(std::iter::repeat_n(turn, own));
        }
        let unclear = TemplateError::Marks { marks, turns: turns.len() };
        if owners.len() == marks { Ok(owners) } else { Err(unclear) }
    }

    /// What a model is asked with is not what it says, though some templates mark it.
    fn without_header(&self, mut rendered: Rendered) -> Result<Rendered, TemplateError> {
        let asked = [Message::of(Role::User, "?")];
        // A template may refuse so short a conversation.
        let (Ok(told), Ok(asks)) = (self.render(&asked, &[], false), self.render(&asked, &[], true)) else {
            return Ok(rendered);
        };
        let header = asks.strip_prefix(told.as_str()).unwrap_or_default();
        for (_, bytes) in &mut rendered.turns {
            if !header.is_empty() && rendered.text[bytes.clone()].starts_with(header) {
                bytes.start += header.len();
            }
        }
        Ok(rendered)
    }

    /// The text up to the end of one assistant's message, as the template has
    /// it when that is the last, and where in it the message stands.
    ///
    /// # Errors
    /// The template fails, or changes what stood there when the model was asked.
    pub fn render_turn(
        &self,
        messages: &[Message],
        tools: &[Tool],
        index: usize,
    ) -> Result<(String, std::ops::Range<usize>), TemplateError> {
        let before = self.render(&messages[..index], tools, true)?;
        let after = self.render(&messages[..=index], tools, false)?;
        if !after.starts_with(&before) {
            return Err(TemplateError::Rewrites(index));
        }
        let said = before.len()..after.len();
        Ok((after, said))
    }
}

/// A message as templates expect it: OpenAI's, with arguments as the object
/// that they are, and the words of a turn that was sampled as text to the byte.
/// What stands for arguments that are no object is `broken`'s to say.
fn told(message: &Message, broken: &dyn Fn(&str) -> Value) -> Value {
    let mut value = match &message.sampled {
        Some(text) => {
            let (content, reasoning) = (text.clone(), message.reasoning.clone());
            message_json(&Message { reasoning, ..Message::of(message.role, content) })
        }
        None => message_json(message),
    };
    if value["content"].is_null() {
        value["content"] = Value::String(String::new());
    }
    let calls = value.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten();
    for (call, said) in calls.zip(&message.calls) {
        // What is no object is put in its place when the text is there: templates
        // write it as a text in quotes, which nobody said.
        let arguments = swegym_core::json::from_str::<Map<String, Value>>(&said.arguments);
        call["function"]["arguments"] = match arguments {
            Ok(object) => Value::Object(object),
            Err(_) if said.arguments.trim().is_empty() => json!({}),
            Err(_) => broken(&said.arguments),
        };
    }
    value
}

/// Whether a call's arguments are no object, and are there.
fn is_broken(call: &ToolCall) -> bool {
    !call.arguments.trim().is_empty() && serde_json::from_str::<Map<String, Value>>(&call.arguments).is_err()
}

/// What stands for such arguments until they are put in its place.
fn stand_in(arguments: &str) -> Value {
    json!({format!("{STANDS_FOR}{}", Digest::of(arguments.as_bytes())): 0})
}

fn unreadable(arguments: &str) -> Value {
    json!({UNREADABLE: arguments})
}

/// Puts arguments that are no object where their places are, as they were said.
fn with_arguments_as_said(mut text: String, messages: &[Message]) -> String {
    for call in messages.iter().flat_map(|message| &message.calls).filter(|call| is_broken(call)) {
        let key = format!("\"{STANDS_FOR}{}\"", Digest::of(call.arguments.as_bytes()));
        let Some(at) = text.find(&key) else { continue };
        let before = text[..at].trim_end().strip_suffix('{');
        let after = text[at + key.len()..].trim_start_matches([':', ' ', '0', '\n']).strip_prefix('}');
        if let (Some(before), Some(after)) = (before, after) {
            text = [before, &call.arguments, after].concat();
        }
    }
    text
}

/// Removes the marks; the stretches between them, numbered from 0.
fn unmark(text: &str) -> Rendered {
    let mut rendered = Rendered { text: String::with_capacity(text.len()), turns: Vec::new() };
    let mut open = None;
    for c in text.chars() {
        match c {
            OPEN => open = Some(rendered.text.len()),
            CLOSE => {
                let (number, end) = (rendered.turns.len(), rendered.text.len());
                rendered.turns.extend(open.take().map(|start| (number, start..end)));
            }
            c => rendered.text.push(c),
        }
    }
    rendered
}

/// Replaces `{% generation %}` blocks, which only TRL's Jinja knows, by marks
/// in the text. Dashes keep their meaning.
fn mark_generation(source: &str) -> (String, bool) {
    let mut out = String::with_capacity(source.len());
    let (mut rest, mut marks) = (source, false);
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start..].find("%}") else { break };
        let block = &rest[start..start + len + 2];
        let inner = block[2..block.len() - 2].trim_matches(['-', '+']).trim();
        out.push_str(&rest[..start]);
        let mark = match inner {
            "generation" => Some(OPEN),
            "endgeneration" => Some(CLOSE),
            _ => None,
        };
        match mark {
            Some(mark) => {
                marks = true;
                let dash = |yes: bool| if yes { "-" } else { "" };
                let (left, right) = (dash(block.starts_with("{%-")), dash(block.ends_with("-%}")));
                // A block in place of an expression, so that trimming of lines
                // around blocks stays as it was.
                _ = write!(out, "{{%{left} if true %}}{mark}{{% endif {right}%}}");
            }
            None => out.push_str(block),
        }
        rest = &rest[start + len + 2..];
    }
    out.push_str(rest);
    (out, marks)
}

/// `json.dumps` of Python: `", "` and `": "` between, nothing escaped that
/// need not be, keys in their order.
#[expect(clippy::needless_pass_by_value, reason = "a filter takes its options by value")]
fn to_json(value: &JinjaValue, options: Kwargs) -> Result<JinjaValue, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let value = serde_json::to_value(value)
        .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let style = Style { indent, item, key, ascii: ascii.unwrap_or(false), sorted: sorted.unwrap_or(false) };
    let mut out = String::new();
    style.put(&value, 0, &mut out);
    Ok(JinjaValue::from_safe_string(out))
}

struct Style {
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

impl Style {
    fn put(&self, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::Number(number) => out.push_str(&python_number(number)),
            Value::String(text) => self.put_text(text, out),
            Value::Array(items) => self.put_all('[', ']', items.iter(), depth, out, |style, item, out| {
                style.put(item, depth + 1, out);
            }),
            Value::Object(map) => {
                let mut fields: Vec<_> = map.iter().collect();
                if self.sorted {
                    fields.sort_by_key(|(key, _)| key.as_str());
                }
                self.put_all('{', '}', fields.into_iter(), depth, out, |style, (key, value), out| {
                    style.put_text(key, out);
                    out.push_str(&style.key);
                    style.put(value, depth + 1, out);
                });
            }
            plain => out.push_str(&plain.to_string()),
        }
    }

    fn put_all<T>(
        &self,
        open: char,
        close: char,
        items: impl ExactSizeIterator<Item = T>,
        depth: usize,
        out: &mut String,
        put: impl Fn(&Self, T, &mut String),
    ) {
        let line = |depth: usize, out: &mut String| {
            if let Some(indent) = self.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        out.push(open);
        let empty = items.len() == 0;
        for (index, item) in items.enumerate() {
            if index > 0 {
                out.push_str(&self.item);
            }
            line(depth + 1, out);
            put(self, item, out);
        }
        if !empty {
            line(depth, out);
        }
        out.push(close);
    }

    fn put_text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if (c as u32) < 0x20 || (self.ascii && !c.is_ascii()) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A number as Python's `repr` writes it.
fn python_number(number: &serde_json::Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    let shortest = format!("{float:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = float.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// Dates in templates: always the day of the paper, so that texts stay alike.
fn strftime(format: &str) -> String {
    let parts = [
        ("%Y", "2024"),
        ("%m", "12"),
        ("%d", "30"),
        ("%B", "December"),
        ("%b", "Dec"),
        ("%H", "00"),
        ("%M", "00"),
        ("%S", "00"),
    ];
    parts.iter().fold(format.to_owned(), |text, (code, value)| text.replace(code, value))
}

fn describe(error: &minijinja::Error) -> String {
    let place = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{detail}{place}"),
        None => format!("{error}{place}"),
    }
}
