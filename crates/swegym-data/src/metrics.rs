//! `metrics`: the figures of a rollout, and whether another one differs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_core::format::attempts::AttemptResult;
use swegym_core::id::repository_by_id;
use swegym_core::trajectory::stuck::Stuck;
use swegym_grade::metrics::{Attempt, Comparison, Estimate, Metrics, compare, measure};

use crate::run_view::{self, RunView, Verdicts};

/// What `metrics` is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsSettings {
    /// A rollout.
    pub run: PathBuf,
    /// Where its verdicts are, if not in itself.
    pub evaluation: Option<PathBuf>,
    /// Another rollout, compared on the instances that both have.
    pub against: Option<PathBuf>,
    /// Where that one's verdicts are.
    pub against_evaluation: Option<PathBuf>,
}

/// Measures a run; with another one also the difference.
pub fn run(printer: Printer, settings: &MetricsSettings) -> Result<u8, CommandError> {
    let (attempts, broke) = load(&settings.run, settings.evaluation.as_deref())?;
    let mut groups: BTreeMap<(&str, &str), Vec<Attempt>> = BTreeMap::new();
    for attempt in &attempts {
        for key in [("repository", attempt.repo.as_str()), ("exit status", attempt.exit_status.as_str())] {
            groups.entry(key).or_default().push(attempt.clone());
        }
    }
    let all = measure(&attempts);
    let head = ["", "attempts", "resolved", "95 %", "±", "marked", "empty", "stuck", "turns", "tokens", "$"];
    let mut table = vec![head.map(str::to_owned).to_vec(), row("all", attempts.len(), &all)];
    let mut by: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for ((kind, name), group) in &groups {
        let metrics = measure(group);
        table.push(row(&format!("{kind} {name}"), group.len(), &metrics));
        by.entry(kind).or_default().insert((*name).to_owned(), to_json(group.len(), &metrics));
    }
    let mut value = to_json(attempts.len(), &all);
    value["broke"] = json!(broke);
    value["by_repository"] = json!(by.get("repository"));
    value["by_exit_status"] = json!(by.get("exit status"));
    let mut words =
        format!("resolved of the attempts that were tested; {broke} broke on the way and count nowhere");
    if let Some((tokens, cost)) = per_resolved(&attempts) {
        value["per_resolved"] = json!({"tokens": tokens, "cost_usd": cost});
        let money = cost.map_or(String::new(), |cost| format!(" and ${cost:.4}"));
        words = format!("{words}\n{tokens:.0} tokens{money} for each resolved instance");
    }
    if let Some(other) = &settings.against {
        let (others, _) = load(other, settings.against_evaluation.as_deref())?;
        let found = compare(&attempts, &others).ok_or_else(|| {
            CommandError::nothing(
                "the two runs share no instance that both tested",
                "evaluate both, or name their evaluations with --evaluation and --against-evaluation",
            )
        })?;
        value["against"] = comparison_json(&found);
        words = format!("{words}\n{}", comparison_words(&found));
    }
    printer.result(&value, &table);
    printer.say(&words);
    Ok(exit::DONE)
}

/// What all tested attempts used, failures included, for each instance that any
/// of them resolves: tokens, and money where it is known of all.
fn per_resolved(attempts: &[Attempt]) -> Option<(f64, Option<f64>)> {
    let tested = || attempts.iter().filter(|attempt| attempt.resolved.is_some());
    let resolved = tested().filter(|attempt| attempt.resolved == Some(true));
    let instances: BTreeSet<&str> = resolved.map(|attempt| attempt.instance_id.as_str()).collect();
    if instances.is_empty() {
        return None;
    }
    let count = instances.len() as f64;
    let cost: Option<f64> = tested().map(|attempt| attempt.cost_usd).sum();
    Some((tested().map(|attempt| attempt.tokens).sum::<f64>() / count, cost.map(|cost| cost / count)))
}

/// Finished attempts of a run, and how many broke.
pub fn load(run: &Path, evaluation: Option<&Path>) -> Result<(Vec<Attempt>, usize), CommandError> {
    let view = RunView::open(run)?;
    let verdicts = run_view::verdicts(evaluation.unwrap_or(run))?;
    let results = view.attempts()?;
    if results.is_empty() {
        return Err(run_view::nothing_finished([&view]));
    }
    let attempts = results.into_iter().map(|result| attempt(result, &verdicts));
    Ok((attempts.collect(), view.broke()))
}

fn attempt(result: AttemptResult, verdicts: &Verdicts) -> Attempt {
    let id = result.instance_id.to_string();
    let verdict = verdicts.get(&(id.clone(), u64::from(result.attempt)));
    Attempt {
        resolved: verdict.map(|v| v.resolved),
        bought: verdict.is_some_and(|v| v.is_bought()),
        exit_status: result.exit_status.as_str().to_owned(),
        empty_patch: result.is_empty(),
        stuck_in_loop: result.stuck.iter().any(|name| name == Stuck::Trailing3.name()),
        turns: result.turns as f64,
        tokens: (result.usage.prompt_tokens + result.usage.completion_tokens) as f64,
        cost_usd: result.usage.cost_usd,
        repo: result.repo.unwrap_or_else(|| repository_by_id(&id)),
        instance_id: id,
    }
}

fn row(name: &str, attempts: usize, metrics: &Metrics) -> Vec<String> {
    let percent = |e: &Option<Estimate>| e.map_or("-".into(), |e| format!("{:.1} %", 100.0 * e.mean));
    let plain =
        |e: &Option<Estimate>, digits: usize| e.map_or("-".into(), |e| format!("{:.digits$}", e.mean));
    let interval = metrics
        .resolve_rate
        .map_or("-".into(), |e| format!("{:.1}–{:.1}", 100.0 * e.interval.0, 100.0 * e.interval.1));
    let spread = metrics.resolve_rate.map_or("-".into(), |e| format!("{:.1}", 100.0 * e.paper_spread));
    vec![
        name.to_owned(),
        attempts.to_string(),
        percent(&metrics.resolve_rate),
        interval,
        spread,
        percent(&metrics.marked_rate),
        percent(&metrics.empty_patch_rate),
        percent(&metrics.stuck_in_loop_rate),
        plain(&metrics.avg_turns, 1),
        plain(&metrics.avg_tokens, 0),
        plain(&metrics.avg_cost_usd, 4),
    ]
}

/// What [`cells`] are about, in percent but for the turns.
pub const CELLS: [&str; 5] = ["resolved %", "95 %", "empty %", "stuck %", "turns"];

/// How some attempts did, as cells of a table.
pub fn cells(attempts: &[Attempt]) -> [String; 5] {
    let Metrics { resolve_rate, empty_patch_rate, stuck_in_loop_rate, avg_turns, .. } = measure(attempts);
    let percent = |x: f64| format!("{:.1}", 100.0 * x);
    let mean = |e: Option<Estimate>| e.map_or("-".to_owned(), |e| percent(e.mean));
    let interval = |e: Estimate| format!("{} to {}", percent(e.interval.0), percent(e.interval.1));
    [
        mean(resolve_rate),
        resolve_rate.map_or("-".to_owned(), interval),
        mean(empty_patch_rate),
        mean(stuck_in_loop_rate),
        avg_turns.map_or("-".to_owned(), |e| format!("{:.1}", e.mean)),
    ]
}

/// The figures of some attempts, as `--json` prints them.
pub fn to_json(attempts: usize, metrics: &Metrics) -> Value {
    let estimate = |e: &Option<Estimate>| {
        e.map(|e| json!({"mean": e.mean, "low": e.interval.0, "high": e.interval.1, "spread": e.paper_spread, "attempts": e.attempts}))
    };
    json!({
        "attempts": attempts,
        "resolve_rate": estimate(&metrics.resolve_rate),
        "marked_rate": estimate(&metrics.marked_rate),
        "empty_patch_rate": estimate(&metrics.empty_patch_rate),
        "stuck_in_loop_rate": estimate(&metrics.stuck_in_loop_rate),
        "avg_turns": estimate(&metrics.avg_turns),
        "avg_tokens": estimate(&metrics.avg_tokens),
        "avg_cost_usd": estimate(&metrics.avg_cost_usd),
    })
}

/// What a comparison found, as `--json` prints it.
pub fn comparison_json(found: &Comparison) -> Value {
    json!({
        "instances": found.instances, "difference": found.difference, "p_value": found.p_value,
        "better": found.better, "worse": found.worse,
    })
}

fn comparison_words(found: &Comparison) -> String {
    format!(
        "against the other run: {:+.1} points on {} instances ({} better, {} worse), p = {:.3} (paired permutation test)",
        100.0 * found.difference,
        found.instances,
        found.better,
        found.worse,
        found.p_value
    )
}
