//! The data card: what the data consists of, and why the other attempts are left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::{StopReason, visible};
use swegym_train::curation::{Reason, pass_rates};

use super::pool::Pool;
use crate::curate::settings::CurateSettings;

/// How many attempts each reason left out.
pub(super) fn reasons(dropped: &[(usize, Reason)]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, reason) in dropped {
        *counts.entry(reason.name()).or_insert(0) += 1;
    }
    counts
}

/// The card as a document.
pub(super) fn make(
    pool: &Pool,
    settings: &CurateSettings,
    kept: &[usize],
    dropped: &[(usize, Reason)],
    files: &[Value],
) -> Value {
    let of = |index: usize| &pool.candidates[index];
    let about = |index: usize| &pool.about[index];
    let mut by = Map::new();
    by.insert("repository".into(), json!(pool.count(kept, |i| of(i).repo.clone())));
    by.insert("set".into(), json!(pool.count(kept, |i| of(i).set.clone())));
    by.insert("model".into(), json!(pool.count(kept, |i| about(i).model.clone())));
    by.insert("scaffold".into(), json!(pool.count(kept, |i| about(i).scaffold.clone())));
    by.insert("temperature".into(), json!(pool.count(kept, |i| about(i).temperature.clone())));
    by.insert(
        "stop reason".into(),
        json!(pool.count(kept, |i| of(i).stop.map_or("", StopReason::as_str).to_owned())),
    );
    let rates = pass_rates(&pool.candidates);
    let never = rates.values().filter(|rate| **rate <= 0.0).count();
    let always = rates.values().filter(|rate| **rate >= 1.0).count();
    // What pairing left out has no reason of its own.
    let unpaired = pool.candidates.len() - kept.len() - dropped.len();
    let mut left_out = json!(reasons(dropped));
    if settings.pairs.is_some() {
        left_out["without_a_pair"] = json!(unpaired);
    }
    json!({
        "version": 1, "swegym": env!("CARGO_PKG_VERSION"), "runs": settings.runs, "model": settings.model,
        "attempts": pool.candidates.len(), "kept": kept.len(), "instances": pool.instances(kept),
        "turns": mean(kept, |i| of(i).turns), "tokens": mean(kept, |i| of(i).tokens),
        "by": by, "left_out": left_out, "unfinished": pool.unfinished, "unusable": pool.unusable,
        "difficulty": {"never_resolved": never, "sometimes": rates.len() - never - always, "always": always},
        "rules": format!("{:?}", settings.rules), "files": files,
    })
}

fn mean(indices: &[usize], of: impl Fn(usize) -> usize) -> f64 {
    indices.iter().map(|&index| of(index) as f64).sum::<f64>() / indices.len().max(1) as f64
}

/// Writes `card.json`, `card.md` and `dropped.jsonl`.
pub(super) fn write(
    folder: &Path,
    card: &Value,
    pool: &Pool,
    dropped: &[(usize, Reason)],
) -> Result<(), CommandError> {
    let line = |(index, reason): &(usize, Reason)| {
        let of = &pool.candidates[*index];
        json!({
            "instance_id": of.instance_id, "attempt": of.attempt, "set": of.set, "reason": reason.name(),
            "tokens": of.tokens, "turns": of.turns,
        })
        .to_string()
            + "\n"
    };
    text::write(&folder.join("dropped.jsonl"), &dropped.iter().map(line).collect::<String>())?;
    text::write(&folder.join("card.json"), &format!("{card:#}\n"))?;
    text::write(&folder.join("card.md"), &visible(&page(card)))
}

fn page(card: &Value) -> String {
    let mut text = format!(
        "# Data card\n\n{} of {} attempts, of {} instances; {:.1} turns and {:.0} tokens each.\n",
        card["kept"],
        card["attempts"],
        card["instances"],
        card["turns"].as_f64().unwrap_or(0.0),
        card["tokens"].as_f64().unwrap_or(0.0)
    );
    let counts = |text: &mut String, title: &str, counts: &Value| {
        _ = write!(text, "\n| {title} | attempts |\n|---|---|\n");
        let mut rows: Vec<(&String, u64)> =
            counts.as_object().into_iter().flatten().map(|(k, v)| (k, v.as_u64().unwrap_or(0))).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows.iter().for_each(|(name, count)| _ = writeln!(text, "| {name} | {count} |"));
    };
    counts(&mut text, "left out because", &card["left_out"]);
    counts(&mut text, "instances of all runs", &card["difficulty"]);
    for (title, of) in card["by"].as_object().into_iter().flatten() {
        counts(&mut text, title, of);
    }
    _ = write!(text, "\n| file | attempts | instances | tokens |\n|---|---|---|---|\n");
    for file in card["files"].as_array().into_iter().flatten() {
        let name = file["file"].as_str().unwrap_or_default();
        _ = writeln!(text, "| {name} | {} | {} | {} |", file["attempts"], file["instances"], file["tokens"]);
    }
    _ = write!(text, "\nRules: `{}`\n", card["rules"].as_str().unwrap_or_default());
    text
}
