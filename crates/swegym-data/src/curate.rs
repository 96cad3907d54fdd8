//! `curate`: from attempts to training data, by rejection sampling, caps and splits,
//! with a data card that accounts for every attempt.

mod card;
mod pool;
pub mod settings;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_console::{exit, text};
use swegym_train::curation::{Curated, Reason, balanced, curate, ladder, mix};
use swegym_train::token_file::TokenWriter;

use crate::rows;
use pool::Pool;
use settings::{CurateSettings, Pairs};

/// Curates the attempts of some runs.
pub fn run(printer: Printer, settings: &CurateSettings, out: &Path) -> Result<u8, CommandError> {
    let CurateSettings { runs, shares, .. } = settings;
    if !shares.is_empty() && shares.len() != runs.len() {
        let message = format!("{} shares do not fit {} runs", shares.len(), runs.len());
        return Err(CommandError::usage(message, "give each run a number, in their order: --shares 1,1"));
    }
    let reading = Bar::waiting(printer, "curate", "reading attempts and writing data");
    let pool = Pool::read(printer, settings)?;
    let mut curated = curate(&pool.candidates, &settings.rules);
    let sets = runs.iter().map(|run| run.display().to_string());
    let shares: Vec<(String, f64)> = sets.zip(shares.iter().copied()).collect();
    mix(&pool.candidates, &mut curated, &shares, settings.seed);
    let Curated { mut kept, dropped } = curated;
    if let Some(Pairs { negatives, most }) = settings.pairs {
        kept = balanced(&pool.candidates, &kept, negatives, most, settings.seed);
    }
    if kept.is_empty() {
        return Err(nothing(&pool, &dropped, settings));
    }
    std::fs::create_dir_all(out).map_err(|e| CommandError::file("make the folder", out, &e))?;
    let groups = |index: &usize| pool.group(*index, settings.held_out.by);
    let all: BTreeSet<String> = kept.iter().map(groups).collect();
    let held = rows::held_groups(all, &settings.held_out, settings.seed)?;
    let (held_out, train): (Vec<usize>, Vec<usize>) =
        kept.iter().copied().partition(|index| held.contains(&groups(index)));
    let mut files = vec![("train", train.clone())];
    if !held_out.is_empty() {
        files.push(("held_out", held_out));
    }
    let names: Vec<String> =
        settings.ladder.iter().map(|share| format!("train-{:.0}", share * 100.0)).collect();
    let steps = ladder(&pool.candidates, &train, settings.ladder_by, &settings.ladder, settings.seed);
    files.extend(names.iter().map(String::as_str).zip(steps));

    let mut written = Vec::new();
    for (name, indices) in &files {
        written.push(if settings.pairs.is_some() {
            conversations(&pool, out, name, indices)?
        } else {
            rows(&pool, out, name, indices)?
        });
    }
    let card = card::make(&pool, settings, &kept, &dropped, &written);
    card::write(out, &card, &pool, &dropped)?;
    let table = card["files"].as_array().into_iter().flatten().map(|file| {
        let number = |key: &str| file[key].to_string();
        vec![
            file["file"].as_str().unwrap_or_default().to_owned(),
            number("attempts"),
            number("instances"),
            number("tokens"),
        ]
    });
    drop(reading);
    let head = ["file", "attempts", "instances", "tokens"].map(str::to_owned).to_vec();
    printer.result(&card, &std::iter::once(head).chain(table).collect::<Vec<_>>());
    printer.say(&format!(
        "{} of {} attempts; why not the others: {}",
        kept.len(),
        pool.candidates.len(),
        out.join("card.md").display()
    ));
    Ok(exit::DONE)
}

/// Why nothing is left, by the commonest reason.
fn nothing(pool: &Pool, dropped: &[(usize, Reason)], settings: &CurateSettings) -> CommandError {
    let counts = card::reasons(dropped);
    let told: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let message = format!("none of {} attempts is left: {}", pool.candidates.len(), told.join(", "));
    let hint = if settings.pairs.is_some() {
        "a verifier needs instances with both outcomes: more attempts an instance, or --pairs and --keep"
    } else if counts.contains_key("not_tested") {
        "evaluate the runs first (rollout --evaluate)"
    } else {
        "sample more attempts, or keep more: --outcome, --keep, --band, --max-tokens"
    };
    CommandError::nothing(message, hint)
}

/// Writes a token file; gives what the card says of it.
fn rows(pool: &Pool, out: &Path, name: &str, indices: &[usize]) -> Result<Value, CommandError> {
    let file = format!("{name}.parquet");
    let path = out.join(&file);
    let mut writer = TokenWriter::create(&path)?;
    let (mut tokens, mut learnt) = (0, 0);
    for &index in indices {
        for row in pool.rows(index)? {
            tokens += row.input_ids.len();
            learnt += row.learnt();
            writer.push(row)?;
        }
    }
    let rows = writer.finish()?;
    Ok(json!({
        "file": file, "attempts": indices.len(), "instances": pool.instances(indices), "rows": rows,
        "tokens": tokens, "learnt_tokens": learnt,
    }))
}

/// Writes conversations with their outcomes, for a verifier.
fn conversations(pool: &Pool, out: &Path, name: &str, indices: &[usize]) -> Result<Value, CommandError> {
    let file = format!("{name}.jsonl");
    let path = out.join(&file);
    let mut rows = String::new();
    for &index in indices {
        rows += &format!("{}\n", pool.conversation(index)?);
    }
    text::write(&path, &rows)?;
    let resolved = indices.iter().filter(|&&index| pool.candidates[index].resolved == Some(true)).count();
    let tokens: usize = indices.iter().map(|&index| pool.candidates[index].tokens).sum();
    Ok(json!({
        "file": file, "attempts": indices.len(), "instances": pool.instances(indices),
        "resolved": resolved, "unresolved": indices.len() - resolved, "tokens": tokens,
    }))
}
