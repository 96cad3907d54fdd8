//! `curate`: from attempts to training data, by rejection sampling, caps and splits,
//! with a data card that accounts for every attempt.

mod card;
mod pool;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use swegym_train::curation::{Curated, Ladder, Rank, Reason, Rules, balanced, curate, ladder, mix};
use swegym_train::token_file::TokenWriter;

use crate::args::CurateArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::progress::Bar;
use pool::Pool;

/// Curates the attempts of some runs.
pub(crate) fn run(printer: Printer, args: &CurateArgs) -> Result<u8, CommandError> {
    let rules = rules(args)?;
    let reading = Bar::waiting(printer, "curate", "reading attempts and writing data");
    let pool = Pool::read(printer, args)?;
    let mut curated = curate(&pool.candidates, &rules);
    mix(&pool.candidates, &mut curated, &shares(args)?, args.seed);
    let Curated { mut kept, dropped } = curated;
    if args.verifier {
        kept = balanced(&pool.candidates, &kept, args.negatives, args.pairs, args.seed);
    }
    if kept.is_empty() {
        return Err(nothing(&pool, &dropped, args));
    }
    std::fs::create_dir_all(&args.out).map_err(|e| CommandError::file("make the folder", &args.out, &e))?;
    let groups = |index: &usize| pool.group(*index, &args.held_out.split_by);
    let all: BTreeSet<String> = kept.iter().map(groups).collect();
    let held = super::train::held_groups(all, &args.held_out, args.seed)?;
    let (held_out, train): (Vec<usize>, Vec<usize>) =
        kept.iter().copied().partition(|index| held.contains(&groups(index)));
    let mut files = vec![("train", train.clone())];
    if !held_out.is_empty() {
        files.push(("held_out", held_out));
    }
    let by = Ladder::named(&args.ladder_by).ok_or_else(|| {
        let message = format!("there is no ladder by `{}`", args.ladder_by);
        CommandError::usage(message, "random, distinct or repo")
    })?;
    let mut shares = args.ladder.clone();
    shares.sort_by(f64::total_cmp);
    let names: Vec<String> = shares.iter().map(|share| format!("train-{:.0}", share * 100.0)).collect();
    let steps = ladder(&pool.candidates, &train, by, &shares, args.seed);
    files.extend(names.iter().map(String::as_str).zip(steps));

    let mut written = Vec::new();
    for (name, indices) in &files {
        written.push(if args.verifier {
            conversations(&pool, args, name, indices)?
        } else {
            rows(&pool, args, name, indices)?
        });
    }
    let card = card::make(&pool, &rules, args, &kept, &dropped, &written);
    card::write(&args.out, &card, &pool, &dropped)?;
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
        args.out.join("card.md").display()
    ));
    Ok(exit::DONE)
}

/// The share of each run, where they are given.
fn shares(args: &CurateArgs) -> Result<Vec<(String, f64)>, CommandError> {
    let sound = |share: &f64| share.is_finite() && *share >= 0.0;
    if args.shares.is_empty() {
        return Ok(Vec::new());
    }
    if args.shares.len() != args.runs.len() || !args.shares.iter().all(sound) {
        let message = format!("{} shares do not fit {} runs", args.shares.len(), args.runs.len());
        return Err(CommandError::usage(message, "give each run a number, in their order: --shares 1,1"));
    }
    let sets = args.runs.iter().map(|run| run.display().to_string());
    Ok(sets.zip(args.shares.iter().copied()).collect())
}

/// Why nothing is left, by the commonest reason.
fn nothing(pool: &Pool, dropped: &[(usize, Reason)], args: &CurateArgs) -> CommandError {
    let counts = card::reasons(dropped);
    let told: Vec<String> = counts.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let message = format!("none of {} attempts is left: {}", pool.candidates.len(), told.join(", "));
    let hint = if args.verifier {
        "a verifier needs instances with both outcomes: more attempts an instance, or --pairs and --keep"
    } else if counts.contains_key("not_tested") {
        "evaluate the runs first (rollout --evaluate)"
    } else {
        "sample more attempts, or keep more: --outcome, --keep, --band, --max-tokens"
    };
    CommandError::nothing(message, hint)
}

fn rules(args: &CurateArgs) -> Result<Rules, CommandError> {
    let unknown = |what: &str, word: &str, known: &str| {
        CommandError::usage(format!("there is no {what} `{word}`"), known.to_owned())
    };
    let resolved = match args.outcome.as_deref() {
        None if args.verifier => None,
        None | Some("resolved") => Some(true),
        Some("unresolved") => Some(false),
        Some("any") => None,
        Some(other) => return Err(unknown("outcome", other, "resolved, unresolved or any")),
    };
    let kinds = ["loops", "empty", "limits", "cheating"];
    if let Some(odd) = args.keep.iter().find(|word| !kinds.contains(&word.as_str())) {
        return Err(unknown("kind of attempts", odd, "loops, empty, limits, cheating"));
    }
    // A verifier must see the failures that policies make.
    let keeps = |word: &str| args.verifier || args.keep.iter().any(|kept| kept == word);
    let rank = Rank::named(&args.rank)
        .ok_or_else(|| unknown("rank", &args.rank, &Rank::ALL.map(Rank::name).join(", ")))?;
    if rank == Rank::Score && args.scores.is_empty() {
        return Err(CommandError::usage("--rank score needs scores", "name their files with --scores"));
    }
    let band = match args.band.as_slice() {
        [] => None,
        [low, high] if low < high => Some((*low, *high)),
        _ => {
            return Err(CommandError::usage(
                "a band has two bounds",
                "--band 0,1 leaves out what is always or never resolved",
            ));
        }
    };
    Ok(Rules {
        resolved,
        keep_loops: keeps("loops"),
        keep_empty: keeps("empty"),
        keep_masked: keeps("limits"),
        // No verifier should learn that it pays.
        keep_cheating: args.keep.iter().any(|kept| kept == "cheating"),
        most_tokens: args.max_tokens,
        band,
        distinct: args.distinct,
        per_instance: args.cap,
        per_repo: args.per_repo,
        rank,
        seed: args.seed,
    })
}

/// Writes a token file; gives what the card says of it.
fn rows(pool: &Pool, args: &CurateArgs, name: &str, indices: &[usize]) -> Result<Value, CommandError> {
    let file = format!("{name}.parquet");
    let path = args.out.join(&file);
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
fn conversations(
    pool: &Pool,
    args: &CurateArgs,
    name: &str,
    indices: &[usize],
) -> Result<Value, CommandError> {
    let file = format!("{name}.jsonl");
    let path = args.out.join(&file);
    let mut text = String::new();
    for &index in indices {
        text += &format!("{}\n", pool.conversation(index)?);
    }
    swegym_train::checkpoint::write_synced(&path, text.as_bytes())?;
    let resolved = indices.iter().filter(|&&index| pool.candidates[index].resolved == Some(true)).count();
    let tokens: usize = indices.iter().map(|&index| pool.candidates[index].tokens).sum();
    Ok(json!({
        "file": file, "attempts": indices.len(), "instances": pool.instances(indices),
        "resolved": resolved, "unresolved": indices.len() - resolved, "tokens": tokens,
    }))
}
