//! Calls written as text: `<function=…><parameter=…>` (reference/agents.md,
//! section 2), the form of SWE-Gym's data and of many open models.
//!
//! Rendering follows the reference to the byte. Parsing has two dialects: the
//! reference's, which strips values and so destroys the indentation of edits,
//! and ours, which takes a value as it stands.

use serde_json::{Map, Value};

use super::check::{allowed, check, properties, required, type_of};
use super::{CallProblem, LONGEST_ARGUMENTS, find};
use crate::chat::{Message, Role, Tool, ToolCall};

/// Where generation ends: a call is closed by whoever reads it.
pub const STOP: &str = "</function";

/// The name that stands for prompts of a few words, which introduce no tools, where
/// somebody may give a folder of prompts.
pub const TERSE: &str = "terse";

/// What follows the system prompt; `{tools}` stands for [`describe`].
pub const INSTRUCTIONS: &str = include_str!("instructions.txt");

const OPEN: &str = "<function=";
const CLOSE: &str = "</function>";
const PARAMETER: &str = "<parameter=";
const PARAMETER_END: &str = "</parameter>";

/// How values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// As they stand, less the line breaks that rendering adds.
    #[default]
    Kept,
    /// Without white space at both ends, by the reference's two expressions.
    Stripped,
}

/// A call found in a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The words before it.
    pub content: String,
    /// Which tool.
    pub name: String,
    /// Checked arguments.
    pub arguments: Map<String, Value>,
    /// Whether the text ends with it.
    pub is_last: bool,
}

/// The tools as the reference describes them.
#[must_use]
pub fn describe(tools: &[Tool]) -> String {
    let mut text = String::new();
    for (i, tool) in tools.iter().enumerate() {
        text += if i > 0 { "\n" } else { "" };
        text += &format!("---- BEGIN FUNCTION #{}: {} ----\n", i + 1, tool.name);
        text += &format!("Description: {}\n", tool.description);
        let parameters = properties(tool).into_iter().flatten().filter(|(_, schema)| !schema.is_null());
        let lines: Vec<String> = parameters
            .enumerate()
            .map(|(j, (name, schema))| {
                let need = if required(tool).any(|r| r == name) { "required" } else { "optional" };
                let says =
                    schema.get("description").and_then(Value::as_str).unwrap_or("No description provided");
                let values = allowed(schema).map_or(String::new(), |values| {
                    let quoted: Vec<_> = values.iter().map(|v| format!("`{v}`")).collect();
                    format!("\nAllowed values: [{}]", quoted.join(", "))
                });
                format!("  ({}) {name} ({}, {need}): {says}{values}\n", j + 1, type_of(schema))
            })
            .collect();
        match tool.parameters {
            Some(_) => text += &format!("Parameters:\n{}", lines.concat()),
            None => text += "No parameters are required for this function.\n",
        }
        text += &format!("---- END FUNCTION #{} ----\n", i + 1);
    }
    text
}

/// One call as text.
///
/// # Errors
/// When its arguments are no JSON object.
pub fn render(call: &ToolCall) -> Result<String, CallProblem> {
    let wrong = |why: String| CallProblem::NotJson { tool: call.name.clone(), why };
    let arguments = match call.arguments.trim() {
        "" => Map::new(),
        text => match crate::json::from_str(text).map_err(|e| wrong(e.to_string()))? {
            Value::Object(map) => map,
            other => return Err(wrong(format!("this is {}", crate::format::kind(&other)))),
        },
    };
    let mut text = format!("{OPEN}{}>\n", call.name);
    for (name, value) in &arguments {
        let value = plain(value);
        let edge = if value.contains('\n') { "\n" } else { "" };
        text += &format!("{PARAMETER}{name}>{edge}{value}{edge}{PARAMETER_END}\n");
    }
    Ok(text + CLOSE)
}

/// A value as the reference writes it: lists with a blank after each comma.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// Closes a call that was cut at the stop word.
#[must_use]
pub fn repair(text: &str, dialect: Dialect) -> String {
    match dialect {
        Dialect::Kept => repair_kept(text),
        // The reference asks nothing else: there is one call, and it was cut.
        Dialect::Stripped if text.matches(OPEN).count() != 1 => text.to_owned(),
        Dialect::Stripped if text.ends_with("</") => format!("{text}function>"),
        Dialect::Stripped => format!("{text}\n{CLOSE}"),
    }
}

fn repair_kept(text: &str) -> String {
    let Some(start) = text.find(OPEN) else { return text.to_owned() };
    if text[start..].contains(CLOSE) {
        return text.to_owned();
    }
    let end = text.trim_end();
    if end.ends_with(STOP) {
        format!("{end}>")
    } else if end.ends_with("</") {
        format!("{end}function>")
    } else if text.ends_with('\n') {
        // Endpoints leave the stop word out, but not the line break before it;
        // a second one would make another text of what was sampled.
        format!("{text}{CLOSE}")
    } else {
        format!("{text}\n{CLOSE}")
    }
}

/// Finds and checks the call in a text; `None` where there is none.
///
/// # Errors
/// A call that begins but does not parse, or that the tools do not allow.
pub fn parse(text: &str, tools: &[Tool], dialect: Dialect) -> Result<Option<Found>, CallProblem> {
    const THOUGHT: &str = "</think>";
    let thought = text.find(THOUGHT).filter(|_| dialect == Dialect::Kept);
    let Some(end) = thought.map(|at| at + THOUGHT.len()) else { return parse_from(text, 0, tools, dialect) };
    // What a model weighs before it answers is no call. A file may hold the word,
    // too: then it is within a call that goes on to the end of the text.
    match parse_from(text, 0, tools, dialect) {
        Ok(Some(found)) if found.is_last && !text.trim_start().starts_with("<think>") => Ok(Some(found)),
        _ => parse_from(text, end, tools, dialect),
    }
}

fn parse_from(
    text: &str,
    from: usize,
    tools: &[Tool],
    dialect: Dialect,
) -> Result<Option<Found>, CallProblem> {
    let mut starts = text[from..].match_indices(OPEN).map(|(at, _)| from + at);
    let Some(first) = starts.next() else { return Ok(None) };
    let start = match dialect {
        Dialect::Kept => first,
        Dialect::Stripped => {
            let mut all = [first].into_iter().chain(starts);
            all.find(|at| is_whole(&text[at + OPEN.len()..])).ok_or(CallProblem::Malformed)?
        }
    };
    let (name, body) = text[start + OPEN.len()..].split_once('>').ok_or(CallProblem::Malformed)?;
    if dialect == Dialect::Kept && name.contains(['\n', '<']) {
        return Err(CallProblem::Malformed);
    }
    let name = if dialect == Dialect::Kept { name.trim() } else { name };
    let tool = find(name, tools)?;
    if body.len() > LONGEST_ARGUMENTS {
        return Err(CallProblem::TooLong { tool: name.to_owned(), bytes: body.len() });
    }
    let (values, after) = match dialect {
        Dialect::Kept => values(body)?,
        Dialect::Stripped => stripped_values(body)?,
    };
    // What is text in a call is text in the arguments; `check` reads the rest.
    let values = values.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let content = text[..first].trim_end();
    // Models that know other forms wrap the call.
    let content = content.strip_suffix("<tool_call>").unwrap_or(content).trim();
    Ok(Some(Found {
        content: content.to_owned(),
        name: name.to_owned(),
        arguments: check(tool, values)?,
        is_last: is_end(after),
    }))
}

/// The reference's `([^>]+)>\n(.*?)</function>`: it passes over what is not.
fn is_whole(call: &str) -> bool {
    let parts = call.split_once(">\n");
    parts.is_some_and(|(name, rest)| !name.is_empty() && !name.contains('>') && rest.contains(CLOSE))
}

/// Whether nothing is said after a call.
fn is_end(rest: &str) -> bool {
    matches!(rest.trim(), "" | "</tool_call>")
}

/// Parameters by name, and what is behind the call.
type Values<'a> = (Vec<(String, String)>, &'a str);

/// The reference's `(.*?)</function>` and `<parameter=([^>]+)>(.*?)</parameter>`.
fn stripped_values(body: &str) -> Result<Values<'_>, CallProblem> {
    let body = body.strip_prefix('\n').ok_or(CallProblem::Malformed)?;
    let (mut rest, behind) = body.split_once(CLOSE).ok_or(CallProblem::Malformed)?;
    let mut values = Vec::new();
    while let Some((_, after)) = rest.split_once(PARAMETER) {
        let Some((name, after)) = after.split_once('>') else { break };
        let Some((value, after)) = after.split_once(PARAMETER_END) else { break };
        values.push((name.to_owned(), value.trim().to_owned()));
        rest = after;
    }
    Ok((values, behind))
}

/// Parameter after parameter; a value may hold anything but its own true end.
fn values(body: &str) -> Result<Values<'_>, CallProblem> {
    let mut values: Vec<(String, String)> = Vec::new();
    let mut rest = body.trim_start();
    while !rest.starts_with(CLOSE) {
        let after = rest.strip_prefix(PARAMETER).ok_or(CallProblem::Malformed)?;
        // `<parameter=name=value</parameter>` is some models' way.
        let at = after.find(['>', '=', '\n']).filter(|at| !after[*at..].starts_with('\n'));
        let at = at.ok_or(CallProblem::Malformed)?;
        let (name, value) = (after[..at].trim(), &after[at + 1..]);
        let end = end_of_value(value, |next| next != name && values.iter().all(|(n, _)| n != next));
        let end = end.ok_or(CallProblem::Malformed)?;
        values.push((name.to_owned(), without_added_breaks(&value[..end]).to_owned()));
        rest = value[end + PARAMETER_END.len()..].trim_start();
    }
    Ok((values, &rest[CLOSE.len()..]))
}

/// The first `</parameter>` that another parameter or the end of the whole text
/// follows; failing that, the first that any call's end follows.
fn end_of_value(value: &str, is_new: impl Fn(&str) -> bool) -> Option<usize> {
    let ends =
        || value.match_indices(PARAMETER_END).map(|(at, end)| (at, value[at + end.len()..].trim_start()));
    let is_next = |rest: &str| {
        let name = rest.strip_prefix(PARAMETER).and_then(|r| r.split(['>', '=']).next()).unwrap_or_default();
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !name.is_empty() && name.chars().all(is_name) && is_new(name)
    };
    let is_last = |rest: &str| rest.strip_prefix(CLOSE).is_some_and(is_end);
    let strict = ends().find(|(_, rest)| is_next(rest) || is_last(rest));
    let loose = || ends().find(|(_, rest)| rest.starts_with(CLOSE));
    strict.or_else(loose).map(|(at, _)| at)
}

/// Rendering puts a line break on both sides of a value that holds one.
fn without_added_breaks(value: &str) -> &str {
    match value.strip_prefix('\n') {
        Some(rest) => rest.strip_suffix('\n').unwrap_or(rest),
        None => value,
    }
}

/// A conversation as an endpoint without tools gets it: tools in the system
/// prompt, calls in the text, answers as the user's words.
///
/// # Errors
/// A call whose arguments are no JSON object.
pub fn conversation(
    messages: &[Message],
    tools: &[Tool],
    instructions: &str,
) -> Result<Vec<Message>, CallProblem> {
    let suffix = instructions.replace("{tools}", describe(tools).trim_end());
    let mut texts = Vec::new();
    // Whoever has no rules of its own is told of the tools all the same.
    if !tools.is_empty() && messages.first().is_none_or(|first| first.role != Role::System) {
        texts.push(Message::of(Role::System, suffix.clone()));
    }
    for message in one_call_each(messages) {
        texts.push(match message.role {
            Role::System if texts.is_empty() => {
                Message::of(Role::System, format!("{}\n\n{suffix}", message.content.trim_end()))
            }
            Role::Assistant => {
                Message { content: assistant_text(&message)?, calls: Vec::new(), sampled: None, ..message }
            }
            Role::Tool => {
                let tool = message.tool.as_deref().unwrap_or("function");
                Message::of(Role::User, format!("EXECUTION RESULT of [{tool}]:\n{}", message.content))
            }
            _ => message,
        });
    }
    Ok(texts)
}

/// The same conversation with calls that are no JSON as words: what a model
/// wrote stays in what is told, though nothing could carry it out.
#[must_use]
pub fn broken_as_words(messages: &[Message]) -> Vec<Message> {
    let mut told = one_call_each(messages);
    for message in &mut told {
        let Some(call) = message.calls.first().filter(|call| render(call).is_err()) else { continue };
        let words = format!("{}\n\n{OPEN}{}>\n{}", message.content, call.name, call.arguments);
        words.trim_start().clone_into(&mut message.content);
        message.calls.clear();
    }
    told
}

/// What an assistant said and called, as one text.
///
/// # Errors
/// A call whose arguments are no JSON object.
pub fn assistant_text(message: &Message) -> Result<String, CallProblem> {
    if let Some(sampled) = &message.sampled {
        return Ok(sampled.clone());
    }
    let Some(call) = message.calls.first() else { return Ok(message.content.clone()) };
    Ok(format!("{}\n\n{}", message.content, render(call)?).trim_start().to_owned())
}

/// Splits messages of several calls: the first keeps the words, each is
/// followed by its answer, and one that nobody answered at the very end goes.
#[must_use]
pub fn one_call_each(messages: &[Message]) -> Vec<Message> {
    let mut split = Vec::new();
    let mut rest = messages;
    while let [message, after @ ..] = rest {
        rest = after;
        if message.calls.len() < 2 {
            split.push(message.clone());
            continue;
        }
        let answers = rest.iter().take_while(|m| m.role == Role::Tool).count();
        let (answers, after) = rest.split_at(answers);
        rest = after;
        for (i, call) in message.calls.iter().enumerate() {
            let answer = answers.iter().find(|a| a.call_id.as_deref() == Some(&call.id));
            if answer.is_none() && after.is_empty() && i > 0 {
                continue;
            }
            let first = Message { calls: Vec::new(), ..message.clone() };
            let said = if i == 0 { first } else { Message::assistant("", Vec::new()) };
            split.push(Message { calls: vec![call.clone()], ..said });
            split.extend(answer.cloned());
        }
    }
    split
}

/// How many messages each message of the assistant becomes in [`one_call_each`].
#[must_use]
pub fn parts_of_turns(messages: &[Message]) -> Vec<usize> {
    let is_turn = |message: &Message| message.role == Role::Assistant;
    if messages.iter().all(|message| message.calls.len() < 2) {
        return vec![1; messages.iter().filter(|message| is_turn(message)).count()];
    }
    let starts = messages.iter().enumerate().filter(|(_, message)| is_turn(message)).map(|(at, _)| at);
    let from = |at: usize| one_call_each(&messages[at..]).iter().filter(|m| is_turn(m)).count();
    let mut rest: Vec<usize> = starts.map(from).collect();
    rest.push(0);
    rest.windows(2).map(|pair| pair[0] - pair[1]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn tools() -> Vec<Tool> {
        let parameters = json!({
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "What to do.", "enum": ["view", "create"]},
                "path": {"type": "string", "description": "Where."},
                "file_text": {"type": "string", "description": "What."},
                "view_range": {"type": "array", "items": {"type": "integer"}, "description": "Lines."},
            },
            "required": ["command", "path"],
        });
        let editor = Tool {
            name: "editor".into(),
            description: "Edits.".into(),
            parameters: parameters.as_object().cloned(),
        };
        vec![editor, Tool { name: "finish".into(), description: "Ends.".into(), parameters: None }]
    }

    fn call(arguments: &Value) -> ToolCall {
        ToolCall { id: "c".into(), name: "editor".into(), arguments: arguments.to_string() }
    }

    #[test]
    fn tools_are_described_as_in_the_reference() {
        insta::assert_snapshot!(describe(&tools()));
    }

    #[test]
    fn a_call_is_rendered_as_in_the_reference() {
        let call =
            call(&json!({"command": "create", "path": "/a", "file_text": "x\n  y", "view_range": [1, 2]}));
        insta::assert_snapshot!(render(&call).unwrap());
    }

    #[test]
    fn what_a_stop_word_cut_is_closed() {
        for (cut, whole) in [
            ("I\n<function=finish>\n", "I\n<function=finish>\n</function>"),
            ("I\n<function=finish>", "I\n<function=finish>\n</function>"),
            ("<function=finish>\n</", "<function=finish>\n</function>"),
            ("<function=finish>\n</function", "<function=finish>\n</function>"),
            ("<function=finish>\n</function>", "<function=finish>\n</function>"),
            ("only words", "only words"),
        ] {
            assert_eq!(repair(cut, Dialect::Kept), whole);
            assert!(parse(whole, &tools(), Dialect::Kept).is_ok());
        }
        // The reference's own way, for profiles that keep to it.
        let cut = "<function=finish>\n";
        assert_eq!(repair(cut, Dialect::Stripped), "<function=finish>\n\n</function>");
    }

    #[test]
    fn indentation_survives_in_ours_and_not_in_theirs() {
        let arguments = json!({"command": "create", "path": "/a", "file_text": "    if x:\n        y\n"});
        let text = format!("I see.\n\n{}", render(&call(&arguments)).unwrap());
        let ours = parse(&text, &tools(), Dialect::Kept).unwrap().unwrap();
        assert_eq!((Value::Object(ours.arguments), ours.content.as_str()), (arguments, "I see."));
        let theirs = parse(&text, &tools(), Dialect::Stripped).unwrap().unwrap();
        assert_eq!(theirs.arguments["file_text"], "if x:\n        y");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let says = |text: &str| parse(text, &tools(), Dialect::Kept).unwrap_err().to_string();
        assert_eq!(
            says("<function=edit>\n</function>"),
            "there is no tool `edit`; the tools are: editor, finish"
        );
        assert_eq!(
            says("<function=editor>\n<parameter=path>/a</parameter>\n</function>"),
            "`editor` needs the parameters: command"
        );
        let start =
            "<function=editor>\n<parameter=command>view</parameter>\n<parameter=path>/a</parameter>\n";
        let with = |more: &str| says(&format!("{start}{more}\n</function>"));
        assert_eq!(with("<parameter=view_range>1-2</parameter>"), "`view_range` must be a JSON list");
        assert_eq!(
            with("<parameter=view_range>[1, \"a\"]</parameter>"),
            "`view_range` must be a JSON list of whole numbers"
        );
        assert_eq!(
            with("<parameter=mode>1</parameter>"),
            "`editor` has no parameter `mode`; it takes: command, path, file_text, view_range"
        );
        assert_eq!(
            says(
                "<function=editor>\n<parameter=command>see</parameter>\n<parameter=path>/a</parameter>\n</function>"
            ),
            "`command` must be one of: view, create"
        );
        assert_eq!(says("<function=finish>\nthat was it\n</function>"), CallProblem::Malformed.to_string());
        assert_eq!(says("<function=finish\n"), CallProblem::Malformed.to_string());
    }

    #[test]
    fn other_models_ways_are_understood() {
        for text in [
            "<tool_call>\n<function=editor>\n<parameter=command>view</parameter><parameter=path>/a</parameter></function>\n</tool_call>",
            "<function=editor><parameter=command=view</parameter>\n<parameter=path>/a</parameter>\n</function>",
        ] {
            let found = parse(text, &tools(), Dialect::Kept).unwrap().unwrap();
            assert_eq!(
                (Value::Object(found.arguments), found.content),
                (json!({"command": "view", "path": "/a"}), String::new())
            );
        }
    }

    #[test]
    fn a_call_that_is_only_thought_of_is_none() {
        let thought = "I could use <function=editor>, or\n<function=finish>\n</function>.\n</think>\n\n";
        for (text, name) in [
            (format!("{thought}Done.\n<function=finish>\n</function>"), Some("finish")),
            (format!("<think>{thought}I wait."), None),
            (
                "<function=editor>\n<parameter=command>create</parameter>\n<parameter=path>/a</parameter>\n\
                 <parameter=file_text></think><function=finish></parameter>\n</function>"
                    .to_owned(),
                Some("editor"),
            ),
        ] {
            let found = parse(&text, &tools(), Dialect::Kept).unwrap();
            assert_eq!(found.map(|f| f.name).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn tools_are_told_whether_there_are_rules_or_not() {
        let asked = Message::of(Role::User, "Go.");
        let told = |messages: &[Message]| conversation(messages, &tools(), "Use {tools}.").unwrap();
        let (with, without) = (
            told(&[Message::of(Role::System, "Be kind."), asked.clone()]),
            told(std::slice::from_ref(&asked)),
        );
        assert_eq!((with.len(), without.len()), (2, 2));
        assert_eq!(with[0].content, format!("Be kind.\n\n{}", without[0].content));
        assert_eq!(conversation(std::slice::from_ref(&asked), &[], "Use {tools}.").unwrap(), [asked]);
    }

    #[test]
    fn several_calls_become_several_messages() {
        let calls = ["a", "b", "c"].map(|id| ToolCall {
            id: id.into(),
            name: "finish".into(),
            arguments: String::new(),
        });
        let mut messages = vec![Message::assistant("words", calls.to_vec())];
        messages.extend(calls[..2].iter().map(|c| Message::answer(c, c.id.clone())));
        let split: Vec<_> = one_call_each(&messages).into_iter().map(|m| (m.role, m.content)).collect();
        let expected =
            [(Role::Assistant, "words"), (Role::Tool, "a"), (Role::Assistant, ""), (Role::Tool, "b")];
        assert_eq!(split, expected.map(|(r, c)| (r, c.to_owned())));
        messages.insert(0, Message::assistant("before", Vec::new()));
        assert_eq!(parts_of_turns(&messages), [1, 2]);
        messages.push(Message::of(Role::User, "go on"));
        assert_eq!(parts_of_turns(&messages), [1, 3], "more is said, and so nothing goes");
    }

    proptest! {
            /// The law of the form: whatever a value holds, but for what looks
            /// like the end of its own call, comes back to the byte.
            #[test]
            fn what_is_rendered_is_read_back(value in "([a-z<>/=\\n\\t\\r é]|</parameter>|<function=|</function>|<parameter=x>|</think>){0,12}") {
    // A value that holds the start of a next parameter is the one thing the form cannot say.
                prop_assume!(!value.split("</parameter>").skip(1).any(|rest| rest.trim_start().starts_with("<parameter=")));
                let arguments = json!({"command": "create", "file_text": value, "path": "/a"});
                let text = render(&call(&arguments)).unwrap();
                let found = parse(&text, &tools(), Dialect::Kept).unwrap().unwrap();
                prop_assert_eq!(Value::Object(found.arguments), arguments);
            }

            #[test]
            fn no_text_is_too_odd(text in "(<function=|editor>|finish>|\\n|<parameter=|path>|</parameter>|</function>|</think>|</|x|é){0,16}") {
                for dialect in [Dialect::Kept, Dialect::Stripped] {
                    let _ = parse(&repair(&text, dialect), &tools(), dialect);
                }
            }
        }
}
