//! Records as training frameworks read them: OpenAI messages and tools, a row
//! an attempt.

use std::collections::HashMap;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use swegym_core::calls::text;
use swegym_core::chat::{CallForm, Message};
use swegym_core::wire::openai::{message_json, tool_json};
use swegym_core::{StopReason, Trajectory};

use crate::args::ExportArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;

/// Writes every finished attempt of a run.
pub(crate) fn run(printer: Printer, args: &ExportArgs) -> Result<u8, CommandError> {
    let form = args.calls.as_deref().map(|word| {
        CallForm::parse(word)
            .ok_or_else(|| CommandError::usage(format!("there is no form `{word}`"), "native or text"))
    });
    let form = form.transpose()?;
    let verdicts = verdicts(args.evaluation.as_deref().unwrap_or(&args.run))?;
    let records = records(&args.run)?;
    // Beside its place until it is whole: rows of a large run need not fit in memory.
    let partial = args.out.with_extension("partial");
    let failed = |e: std::io::Error| CommandError::file("write", &partial, &e);
    let mut out = BufWriter::new(std::fs::File::create(&partial).map_err(failed)?);
    let (mut written, mut unfinished, mut unresolved) = (0, 0, 0);
    for path in &records {
        let attempt = super::show::read(path)?;
        if !attempt.is_over() {
            unfinished += 1;
            continue;
        }
        let key = (attempt.head.instance_id.to_string(), u64::from(attempt.head.attempt));
        let resolved = verdicts.get(&key).copied();
        if args.resolved && resolved != Some(true) {
            unresolved += 1;
            continue;
        }
        let row = row(&attempt, resolved, form.unwrap_or(attempt.head.calls));
        writeln!(out, "{row}").map_err(failed)?;
        written += 1;
    }
    out.flush().map_err(failed)?;
    if written == 0 {
        std::fs::remove_file(&partial).map_err(failed)?;
        return Err(CommandError::nothing(
            format!("`{}` has no attempt to write", args.run.display()),
            "name the folder of a rollout; with --resolved, one that is evaluated",
        ));
    }
    std::fs::rename(&partial, &args.out).map_err(|e| CommandError::file("write", &args.out, &e))?;
    let value =
        json!({"written": written, "unfinished": unfinished, "unresolved": unresolved, "out": args.out});
    let table = vec![
        ["written", "unfinished", "unresolved"].map(str::to_owned).to_vec(),
        [written, unfinished, unresolved].map(|n: usize| n.to_string()).to_vec(),
    ];
    printer.result(&value, &table);
    Ok(exit::DONE)
}

/// Records of a run, by instance and attempt.
pub(crate) fn records(run: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let folder = run.join("trajectories");
    let list = |folder: &Path| -> Result<Vec<PathBuf>, CommandError> {
        let entries =
            std::fs::read_dir(folder).map_err(|e| CommandError::file("read the folder", folder, &e))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        Ok(paths)
    };
    let mut records = Vec::new();
    for instance in list(&folder)?.iter().filter(|p| p.is_dir()) {
        let number = |p: &PathBuf| p.file_stem().and_then(|s| s.to_str()?.parse::<u32>().ok());
        let mut of_instance: Vec<_> =
            list(instance)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
        of_instance.sort_by_key(number);
        records.extend(of_instance);
    }
    Ok(records)
}

/// Whether attempts are resolved, by the reports of a run; none where it was not evaluated.
pub(crate) fn verdicts(run: &Path) -> Result<HashMap<(String, u64), bool>, CommandError> {
    let path = run.join("reports.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(HashMap::new()) };
    let mut verdicts = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        let row: Value = serde_json::from_str(line).map_err(|e| {
            CommandError::usage(
                format!("{}:{}: {e}", path.display(), i + 1),
                "evaluate again, or restore the file",
            )
        })?;
        // What broke on our side is no verdict.
        if row["infra_failure"].is_object() {
            continue;
        }
        let id = row["instance_id"].as_str().unwrap_or_default().to_owned();
        let attempt = row.get("attempt").and_then(Value::as_u64).unwrap_or(0);
        verdicts.insert((id, attempt), row["resolved"] == true);
    }
    Ok(verdicts)
}

fn row(attempt: &Trajectory, resolved: Option<bool>, form: CallForm) -> Value {
    let head = &attempt.head;
    let messages: Vec<Message> = match form {
        // A call that is no JSON can only be shown in the form it came in.
        CallForm::Text => text::conversation(&attempt.messages, &head.tools, text::INSTRUCTIONS)
            .unwrap_or_else(|_| attempt.messages.clone()),
        CallForm::Native => attempt.messages.clone(),
    };
    let mut row = Map::new();
    row.insert("instance_id".into(), json!(head.instance_id.as_str()));
    row.insert("attempt".into(), json!(head.attempt));
    row.insert("messages".into(), messages.iter().map(message_json).collect());
    if form == CallForm::Native {
        row.insert("tools".into(), head.tools.iter().map(tool_json).collect());
    }
    row.insert("resolved".into(), json!(resolved));
    row.insert("exit_status".into(), json!(attempt.stop.map(StopReason::as_str)));
    // A limit of ours ended it: whoever trains decides whether that is a lesson.
    row.insert("mask".into(), json!(attempt.stop.is_none_or(StopReason::is_budget)));
    row.insert("model".into(), json!(head.model));
    row.insert("scaffold".into(), json!(head.scaffold));
    row.insert("temperature".into(), json!(head.sampling.temperature));
    row.insert("test_result".into(), json!({"git_patch": attempt.patch}));
    Value::Object(row)
}
