//! `score`: a verifier's scores of a rollout's attempts, by one forward pass each,
//! without sampling.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_train::generation::{Generator, Limits};
use swegym_train::policy;
use swegym_train::verifier::{Case, Question, Verifier, judge};

use super::export::{self, Form};
use crate::run_view::{self, RunView};
use crate::select::settings::ScoreSettings;

/// Attempts that are judged together: neighbours are of one instance, and what
/// their questions begin with alike is read once.
const TOGETHER: usize = 64;

/// Scores every finished attempt.
pub fn run(
    printer: Printer,
    cores: usize,
    settings: &ScoreSettings,
    place: &Path,
) -> Result<u8, CommandError> {
    let loaded = policy::load(&settings.verifier)?;
    let verifier = Verifier::read(&loaded.folder)?.ok_or_else(|| {
        let message = format!("`{}` is no verifier: it has no verifier.json", settings.verifier.display());
        CommandError::usage(message, "train one with `swegym train verifier`")
    })?;
    let tokenizer = loaded.tokenizer;
    let ids = verifier.ids(&tokenizer)?;
    let verifier = Verifier { context: verifier.context.min(loaded.decoder.shape.context - 1), ..verifier };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cores).build();
    let pool = Arc::new(pool.map_err(|e| CommandError::from(std::io::Error::other(e)))?);
    let mut generator = Generator::new(Arc::new(loaded.decoder), pool, Limits::default());

    let runs: Vec<RunView> = settings.runs.iter().map(|run| RunView::open(run)).collect::<Result<_, _>>()?;
    let mut out = export::Written::begin(place)?;
    let (mut scored, mut refused, mut cut) = (0, 0, 0);
    let bar = Bar::counting(printer, "score", "attempts");
    for (run, view) in settings.runs.iter().zip(&runs) {
        for records in view.records()?.chunks(TOGETHER) {
            let (mut heads, mut questions) = (Vec::new(), Vec::new());
            for record in records {
                let attempt = view.record(record)?.attempt;
                if !attempt.is_over() {
                    continue;
                }
                questions.push(question(&verifier, &tokenizer, &attempt)?);
                heads.push(attempt.head);
            }
            for (head, judgement) in heads.iter().zip(judge(&mut generator, questions, ids)) {
                let overlong = match (judgement.overlong, judgement.score) {
                    (false, _) => None,
                    (true, Some(_)) => Some("cut"),
                    (true, None) => Some("refused"),
                };
                scored += usize::from(judgement.score.is_some());
                refused += usize::from(judgement.score.is_none());
                cut += usize::from(overlong == Some("cut"));
                let line = json!({
                    "instance_id": head.instance_id.as_str(), "attempt": head.attempt, "set": run,
                    "score": judgement.score, "overlong": overlong, "tokens": judgement.tokens,
                    "verifier": settings.verifier,
                });
                out.line(&line)?;
                bar.add(1);
            }
        }
    }
    if scored + refused == 0 {
        return Err(run_view::nothing_finished(&runs));
    }
    bar.finish();
    out.finish()?;
    let value = json!({"scored": scored, "refused": refused, "cut": cut, "out": place});
    let table = vec![
        ["scored", "too long", "cut"].map(str::to_owned).to_vec(),
        [scored, refused, cut].map(|n| n.to_string()).to_vec(),
    ];
    printer.result(&value, &table);
    Ok(exit::DONE)
}

/// The question about an attempt, as its export would ask it: with calls in
/// the form in which they travelled.
fn question(
    verifier: &Verifier,
    tokenizer: &swegym_train::tokenizer::Tokenizer,
    attempt: &swegym_core::Trajectory,
) -> Result<Question, CommandError> {
    let messages = export::conversation(attempt, &Form::of(None, None)?);
    let case = Case { messages, tools: attempt.head.tools.clone(), patch: attempt.patch.clone() };
    Ok(verifier.question(tokenizer, &case)?)
}
