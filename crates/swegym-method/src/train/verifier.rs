//! `train verifier`: a verifier from evaluated attempts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_data::rows;
use swegym_data::select::Evidence;
use swegym_train::checkpoint;
use swegym_train::conversation::each;
use swegym_train::packing::Overlong;
use swegym_train::policy::model_folder;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::TokenRow;
use swegym_train::verifier::{self, Answer, Case, Verifier};

use super::course::{Course, Training};
use super::{READING, adapted, finish, held, usual_rate};
use crate::settings::{Shown, VerifierSettings};

/// What a verifier should learn from at least: enough for every tenth of the attempts to
/// hold both outcomes several times. A rule of thumb, not a measured bound.
const ENOUGH_TO_LEARN: Evidence = Evidence { resolved: 100, unresolved: 100, instances: 50 };

/// Trains a verifier.
pub fn train(runs: &Training<'_>, settings: &VerifierSettings, out: &Path) -> Result<u8, CommandError> {
    let VerifierSettings { model, adapter, held_out, course, .. } = settings;
    let verifier = verifier_of(settings)?;
    let reading = Bar::waiting(runs.printer, "train verifier", READING);
    let folder = model_folder(model);
    let mut checkpoint = checkpoint::read(&folder, held(adapter))?;
    let tokenizer = Tokenizer::read(&folder)?;
    tokenizer.check(checkpoint.decoder.shape.vocabulary)?;
    let data = judged(runs.printer, &settings.data, &tokenizer, &verifier)?;
    let seed = course.trainer.seed;
    let (rows, held_out) = rows::hold_out(data, held_out, seed)?;
    let mut decoder = checkpoint.decoder;
    if verifier.answer == Answer::Class && decoder.shape.classes.is_none() {
        let frozen = || CommandError::usage("half precision is for reading only", "leave --half away");
        decoder = decoder.with_classes(2, seed).ok_or_else(frozen)?;
        let [yes, no] = &verifier.labels;
        checkpoint.config["id2label"] = json!({"0": no, "1": yes});
        checkpoint.config["label2id"] = json!({no: 0, yes: 1});
        // Without it transformers refuses more than one question at a time.
        if checkpoint.config["pad_token_id"].is_null() {
            checkpoint.config["pad_token_id"] = json!(tokenizer.end);
        }
    }
    let decoder = adapted(decoder, adapter, seed);
    drop(reading);
    let mut files = tokenizer.files().to_vec();
    files.push((verifier::FILE.to_owned(), verifier.write()));
    let mut trainer = course.trainer(usual_rate(adapter));
    // Questions are brought to the context before: what is learnt is at their end.
    trainer.overlong = Overlong::Drop;
    let course = Course {
        runs,
        settings: trainer,
        pace: course.pace,
        out,
        precision: course.precision.unwrap_or(checkpoint.precision),
        config: Some(checkpoint.config),
        base: Some(folder.display().to_string()),
        files: &files,
    };
    finish(runs.printer, &course.run(decoder, &rows, &held_out)?)
}

fn verifier_of(settings: &VerifierSettings) -> Result<Verifier, CommandError> {
    let template = match &settings.shown {
        Shown::Template(path) => swegym_console::text::read(path)?,
        Shown::Trajectory => verifier::TRAJECTORY.to_owned(),
        Shown::Patch => verifier::PATCH.to_owned(),
    };
    let trainer = &settings.course.trainer;
    Ok(Verifier {
        template,
        labels: settings.labels.clone(),
        answer: settings.answer,
        overlong: trainer.overlong,
        context: trainer.context,
    })
}

/// The attempts as questions with their labels.
fn judged(
    printer: Printer,
    data: &[PathBuf],
    tokenizer: &Tokenizer,
    verifier: &Verifier,
) -> Result<Vec<TokenRow>, CommandError> {
    verifier.ids(tokenizer)?;
    let (mut questions, mut overlong, mut resolved) = (Vec::new(), 0, 0);
    for path in data {
        let (found, refused) = each(&swegym_console::text::read(path)?, |mut of| {
            let label = of.resolved.ok_or("nobody knows whether it is resolved: evaluate it first")?;
            let (messages, tools) = (std::mem::take(&mut of.messages), std::mem::take(&mut of.tools));
            let case = Case { messages, tools, patch: std::mem::take(&mut of.patch) };
            let row = verifier.row(tokenizer, &case, label).map_err(|e| e.to_string())?;
            Ok(row.map(|row| (label, row.about(&of))))
        });
        rows::complain(printer, path, found.len(), &refused)?;
        for row in found {
            let Some((label, row)) = row else {
                overlong += 1;
                continue;
            };
            resolved += usize::from(label);
            questions.push(row);
        }
    }
    let unresolved = questions.len() - resolved;
    let instances: BTreeSet<&str> = questions.iter().map(|row| row.instance_id.as_str()).collect();
    printer.say(&format!(
        "{resolved} resolved and {unresolved} unresolved attempts; {overlong} longer than {} tokens left out",
        verifier.context
    ));
    if resolved == 0 || unresolved == 0 {
        let message = format!("{resolved} resolved and {unresolved} unresolved attempts teach no difference");
        return Err(CommandError::nothing(message, "give attempts of both kinds; export without --resolved"));
    }
    let evidence = Evidence { resolved, unresolved, instances: instances.len() };
    if let Some(missing) = evidence.missing(&ENOUGH_TO_LEARN) {
        printer.say(&format!(
            "warning: too few attempts to learn to judge from: {missing}; scores of such a verifier may be no \
             better than chance"
        ));
    }
    Ok(questions)
}
