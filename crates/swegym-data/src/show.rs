//! `show`: one attempt, step by step, for a terminal or a browser.

use std::path::PathBuf;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::{exit, text};
use swegym_core::chat::Role;
use swegym_core::trajectory::stuck::Stuck;
use swegym_core::trajectory::{Action, Step};
use swegym_core::visible::visible_in_html;
use swegym_core::{StopReason, Trajectory, visible};

use crate::run_view;

/// Lines of a text that are shown unless all are wanted.
const LINES: usize = 12;

/// Which attempt is shown, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowSettings {
    /// A record.
    pub record: PathBuf,
    /// This step alone, in full.
    pub step: Option<u32>,
    /// Everything in full.
    pub full: bool,
    /// Where a page is written.
    pub page: Option<PathBuf>,
}

/// Shows a record.
pub fn trajectory(printer: Printer, settings: &ShowSettings) -> Result<u8, CommandError> {
    let attempt = run_view::record(&settings.record)?.attempt;
    if let Some(step) = settings.step
        && !(1..=attempt.steps.len() as u32).contains(&step)
    {
        let message = format!("the attempt has {} steps, and no step {step}", attempt.steps.len());
        return Err(CommandError::nothing(message, "leave --step away to see all"));
    }
    let wanted = |step: &&Step| settings.step.is_none_or(|n| n == step.number);
    let steps: Vec<&Step> = attempt.steps.iter().filter(wanted).collect();
    let document = document(&attempt, &steps);
    if let Some(path) = &settings.page {
        let page = page(&document).map_err(|e| {
            CommandError::usage(format!("cannot render the page: {e:#}"), "this is a bug in swegym")
        })?;
        text::write(path, &page)?;
        printer.say(&format!("page: {}", path.display()));
    }
    let whole = settings.full || settings.step.is_some();
    let mut text = headline(&attempt);
    if settings.step.is_none() {
        for message in attempt.messages.iter().take_while(|m| m.role != Role::Assistant) {
            text += &format!("\n[{}]\n{}", message.role.as_str(), block(&message.content, whole));
        }
    }
    for step in steps {
        text += &show_step(step, whole);
    }
    if settings.step.is_none() && !attempt.patch.trim().is_empty() {
        text += &format!("\n[patch]\n{}", block(&attempt.patch, whole));
    }
    printer.document(&document, text.trim_end());
    Ok(exit::DONE)
}

fn headline(attempt: &Trajectory) -> String {
    let head = &attempt.head;
    let temperature = head.sampling.temperature.map_or(String::new(), |t| format!(" · temperature {t}"));
    let fork =
        head.forked_from.map_or(String::new(), |(of, step)| format!(" · from step {step} of attempt {of}"));
    let end = match (attempt.stop, &attempt.fault) {
        (Some(reason), _) => reason.as_str().to_owned(),
        (None, Some(fault)) => format!("broke ({})", fault.code),
        (None, None) => "unfinished".to_owned(),
    };
    let cost = attempt.usage.cost_usd.map_or(String::new(), |c| format!(" · ${c:.4}"));
    let changed = attempt.patch.lines().filter(|l| is_change(l)).count();
    format!(
        "{} · attempt {} · {} · {}{temperature}{fork}\n{end} after {} steps · {} tokens read, {} written{cost} · {changed} lines changed\n",
        head.instance_id,
        head.attempt,
        head.scaffold,
        head.model,
        attempt.steps.len(),
        attempt.usage.prompt_tokens,
        attempt.usage.completion_tokens,
    )
}

fn is_change(line: &str) -> bool {
    (line.starts_with('+') && !line.starts_with("+++ "))
        || (line.starts_with('-') && !line.starts_with("--- "))
}

fn show_step(step: &Step, whole: bool) -> String {
    let mut text = format!(
        "\n── step {} · {} ms · {} tokens read, {} written\n",
        step.number, step.latency_ms, step.usage.prompt_tokens, step.usage.completion_tokens
    );
    text += &block(&step.words, whole);
    for action in &step.actions {
        text += &format!("▶ {}\n{}", visible(&action.call.name), block(&arguments(action), whole));
        text += &format!("◀ {}\n{}", ending(action), block(&action.observation, whole));
    }
    if let Some(problem) = &step.problem {
        text += &format!("✗ not carried out: {problem}\n");
    }
    for nudge in &step.nudges {
        text += &format!("↻ {nudge}\n");
    }
    text
}

/// The one text that matters, or all of the arguments.
fn arguments(action: &Action) -> String {
    let Ok(Value::Object(map)) = swegym_core::json::from_str(&action.call.arguments) else {
        return action.call.arguments.clone();
    };
    if let (1, Some(Value::String(text))) = (map.len(), map.values().next()) {
        return text.clone();
    }
    let line = |(key, value): (&String, &Value)| match value {
        Value::String(text) if text.contains('\n') => format!("{key}:\n{text}"),
        Value::String(text) => format!("{key}: {text}"),
        other => format!("{key}: {other}"),
    };
    map.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn ending(action: &Action) -> String {
    let Some(report) = &action.report else { return "no answer".to_owned() };
    let how = match (&report.stopped_by, report.exit_code) {
        (Some(by), _) => format!("stopped by {by}"),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) if report.refused => "refused".to_owned(),
        (None, None) => "done".to_owned(),
    };
    format!("{how} · {} ms", report.wall_time_ms)
}

/// Indented, and cut to some lines.
fn block(text: &str, whole: bool) -> String {
    let text = visible(text);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let shown = if whole || lines.len() <= LINES + 2 { lines.len() } else { LINES };
    let mut block: String = lines[..shown].iter().map(|line| format!("    {line}\n")).collect();
    if shown < lines.len() {
        block += &format!("    … {} more lines\n", lines.len() - shown);
    }
    block
}

fn document(attempt: &Trajectory, steps: &[&Step]) -> Value {
    let head = &attempt.head;
    let action = |a: &Action| {
        json!({
            "tool": a.call.name, "arguments": arguments(a), "observation": a.observation,
            "ending": ending(a), "exit_code": a.report.as_ref().and_then(|r| r.exit_code),
        })
    };
    let step = |s: &&Step| {
        json!({
            "step": s.number, "words": s.words, "actions": s.actions.iter().map(action).collect::<Vec<_>>(),
            "problem": s.problem, "nudges": s.nudges, "latency_ms": s.latency_ms,
            "prompt_tokens": s.usage.prompt_tokens, "completion_tokens": s.usage.completion_tokens,
            "patch": s.patch,
        })
    };
    let opening = attempt.messages.iter().take_while(|m| m.role != Role::Assistant);
    json!({
        "instance_id": head.instance_id.as_str(), "attempt": head.attempt, "scaffold": head.scaffold,
        "model": head.model, "temperature": head.sampling.temperature,
        "exit_status": attempt.stop.map(StopReason::as_str),
        "fault": attempt.fault.as_ref().map(|f| json!({"code": f.code, "message": f.message})),
        "stuck": Stuck::ALL.into_iter().filter(|s| s.holds(&attempt.steps)).map(Stuck::name).collect::<Vec<_>>(),
        "prompt_tokens": attempt.usage.prompt_tokens, "completion_tokens": attempt.usage.completion_tokens,
        "cost_usd": attempt.usage.cost_usd,
        "opening": opening.map(|m| json!({"role": m.role.as_str(), "content": m.content})).collect::<Vec<_>>(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
        "patch": attempt.patch,
    })
}

fn page(document: &Value) -> Result<String, minijinja::Error> {
    let mut templates = minijinja::Environment::new();
    templates.add_template("trajectory.html", include_str!("show/trajectory.html"))?;
    let page =
        templates.get_template("trajectory.html")?.render(minijinja::Value::from_serialize(document))?;
    Ok(visible_in_html(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use swegym_core::chat::ToolCall;

    use super::*;

    /// Turns around what follows, hides words, and steers a terminal.
    const HOSTILE: &str =
        "a\u{202e}b\u{2066}c\u{200b}d\u{e0041}e\u{feff}f\u{61c}\u{1b}]0;title\u{7}\u{9b}2J\u{7f} <script>";

    #[test]
    fn what_a_model_and_a_repository_wrote_is_seen_as_it_is_on_the_page() {
        let step = json!({
            "step": 1, "words": HOSTILE, "problem": HOSTILE, "nudges": [HOSTILE], "latency_ms": 1,
            "prompt_tokens": 2, "completion_tokens": 3, "patch": HOSTILE,
            "actions": [{
                "tool": HOSTILE, "arguments": HOSTILE, "observation": HOSTILE, "ending": HOSTILE, "exit_code": 1,
            }],
        });
        let document = json!({
            "instance_id": HOSTILE, "attempt": 0, "scaffold": HOSTILE, "model": HOSTILE, "temperature": null,
            "exit_status": null, "fault": {"code": HOSTILE, "message": HOSTILE}, "stuck": [HOSTILE],
            "prompt_tokens": 2, "completion_tokens": 3, "cost_usd": null,
            "opening": [{"role": "user", "content": HOSTILE}], "steps": [step], "patch": HOSTILE,
        });
        let page = page(&document).unwrap();
        assert_eq!(visible(&page), page);
        insta::assert_snapshot!(page);
    }

    #[test]
    fn what_a_model_and_a_repository_wrote_is_seen_as_it_is_at_a_terminal() {
        let call = ToolCall { id: String::new(), name: HOSTILE.to_owned(), arguments: HOSTILE.to_owned() };
        let action = Action { call, observation: HOSTILE.to_owned(), report: None };
        let text = block(&arguments(&action), true) + &block(&action.observation, true);
        assert_eq!(visible(&text), text);
        assert!(
            text.starts_with("    a<U+202E>b<U+2066>c<U+200B>d<U+E0041>e<U+FEFF>f<U+061C><U+001B>]0;"),
            "{text}"
        );
    }
}
