//! From a seed to instances of the micro gym.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use swegym_runner::job::JobKind;
use swegym_runner::run_dir::Open;
use swegym_runner::{Job, micro};
use swegym_tasks::micro::{Family, LEVELS, Split, World};

use super::{Done, Stage};
use crate::args::MicroArgs;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::progress::Bar;
use crate::session::Session;

/// Draws repositories; writes `candidates.jsonl`, `bugs.jsonl`, `dropped.jsonl`;
/// `examples.jsonl`: the same instances with tests that anybody can make of the
/// issue and the visible tests, for a hybrid selection; and `answers.jsonl`: for
/// each instance a few changes that nobody attempted, with their outcomes, from
/// which a verifier learns to read.
pub(crate) async fn micro(
    session: &Session,
    args: &MicroArgs,
    folder: &Path,
    open: Open,
) -> Result<Done, CommandError> {
    let world = Arc::new(world(args)?);
    let known = Map::from_iter([
        ("split".to_owned(), json!(world.split.name())),
        ("seed".to_owned(), json!(world.seed)),
        ("count".to_owned(), json!(args.count)),
        ("families".to_owned(), world.families.iter().map(|f| json!(f.name())).collect()),
        ("levels".to_owned(), json!(world.levels)),
    ]);
    let stage = Stage {
        session,
        verb: "micro",
        folder,
        open,
        settings: known,
        free: Map::new(),
        aside: None,
        inputs: Vec::new(),
        instances: None,
    };
    let preparing = Bar::waiting(session.printer, "micro", "preparing the interpreter");
    let ground: Arc<str> = micro::ground(&stage.context()).await?.into();
    drop(preparing);
    let job = |number: u32| Job {
        name: format!("{}-{}-{number}", world.split.name(), world.seed),
        kind: JobKind::Micro { ground: Arc::clone(&ground), world: Arc::clone(&world), number },
    };
    let ran = stage.run((0..args.count).map(job).collect()).await?;
    let part = |outcome: &str, key: &str| -> Vec<Value> {
        ran.values(outcome).map(|(_, value)| value[key].clone()).collect()
    };
    ran.write_lines("candidates.jsonl", part("candidate", "instance"))?;
    ran.write_lines("examples.jsonl", part("candidate", "example"))?;
    let answers = part("candidate", "answers").into_iter();
    ran.write_lines("answers.jsonl", answers.flat_map(|of| of.as_array().cloned().unwrap_or_default()))?;
    ran.write_lines("bugs.jsonl", part("candidate", "bug"))?;
    ran.write_lines("dropped.jsonl", part("equivalent", "bug"))?;
    ran.close(session)
}

/// Writes conversations to pre-train on.
pub(crate) fn micro_text(printer: Printer, args: &MicroArgs, path: &Path) -> Result<u8, CommandError> {
    let world = world(args)?;
    let line = |number: u32| {
        let turns = world.exchanges(number).into_iter().flat_map(|(asked, answered)| {
            [json!({"role": "user", "content": asked}), json!({"role": "assistant", "content": answered})]
        });
        json!({"messages": turns.collect::<Vec<_>>()}).to_string() + "\n"
    };
    let text: String = (0..args.count).map(line).collect();
    swegym_sandbox::store::write_whole(path, text.as_bytes())
        .map_err(|e| CommandError::file("write", path, &e))?;
    let table = vec![vec!["texts".to_owned()], vec![args.count.to_string()]];
    printer.result(&json!({"texts": args.count, "out": path}), &table);
    Ok(exit::DONE)
}

fn world(args: &MicroArgs) -> Result<World, CommandError> {
    let split = Split::named(&args.split).ok_or_else(|| {
        let names = Split::ALL.map(Split::name).join(", ");
        CommandError::usage(format!("there is no split `{}`", args.split), names)
    })?;
    let family = |word: &String| {
        let names = Family::ALL.map(Family::name).join(", ");
        Family::named(word).ok_or_else(|| CommandError::usage(format!("there is no family `{word}`"), names))
    };
    let families: Vec<Family> = if args.families.is_empty() {
        Family::ALL.to_vec()
    } else {
        args.families.iter().map(family).collect::<Result<_, _>>()?
    };
    let levels = if args.levels.is_empty() { (1..=LEVELS).collect() } else { args.levels.clone() };
    if let Some(odd) = levels.iter().find(|level| !(1..=LEVELS).contains(*level)) {
        return Err(CommandError::usage(format!("there is no level {odd}"), format!("1 to {LEVELS}")));
    }
    Ok(World { split, seed: args.seed, families, levels })
}
