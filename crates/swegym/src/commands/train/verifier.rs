//! `train verifier`: a verifier from evaluated attempts.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use swegym_train::checkpoint;
use swegym_train::conversation::each;
use swegym_train::packing::Overlong;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::TokenRow;
use swegym_train::verifier::{self, Answer, Case, Verifier};

use super::course::{Course, Stop};
use super::{READING, adapted, finish, held, model_folder, precision, rows, settings};
use crate::args::VerifierArgs;
use crate::commands::select::Evidence;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::progress::Bar;

/// What a verifier should learn from at least. The micro gym's, with a few hundred of
/// each outcome, begin to choose better than chance at about this many.
const ENOUGH_TO_LEARN: Evidence = Evidence { resolved: 100, unresolved: 100, instances: 50 };

/// Trains a verifier.
pub(crate) fn train(
    printer: Printer,
    cores: usize,
    args: &VerifierArgs,
    out: &Path,
    stop: &Stop,
) -> Result<u8, CommandError> {
    let verifier = verifier_of(args)?;
    let reading = Bar::waiting(printer, "train verifier", READING);
    let folder = model_folder(&args.model);
    let mut checkpoint = checkpoint::read(&folder, held(&args.adapter))?;
    let tokenizer = Tokenizer::read(&folder)?;
    tokenizer.check(checkpoint.decoder.shape.vocabulary)?;
    let data = judged(printer, args, &tokenizer, &verifier)?;
    let (rows, held_out) = rows::hold_out(data, &args.held_out, args.course.seed)?;
    let mut decoder = checkpoint.decoder;
    if verifier.answer == Answer::Class && decoder.shape.classes.is_none() {
        let frozen = || CommandError::usage("half precision is for reading only", "leave --half away");
        decoder = decoder.with_classes(2, args.course.seed).ok_or_else(frozen)?;
        let [yes, no] = &verifier.labels;
        checkpoint.config["id2label"] = json!({"0": no, "1": yes});
        checkpoint.config["label2id"] = json!({no: 0, yes: 1});
        // Without it transformers refuses more than one question at a time.
        if checkpoint.config["pad_token_id"].is_null() {
            checkpoint.config["pad_token_id"] = json!(tokenizer.end);
        }
    }
    let decoder = adapted(decoder, &args.adapter, args.course.seed)?;
    drop(reading);
    let mut files = tokenizer.files().to_vec();
    files.push((verifier::FILE.to_owned(), verifier.write()));
    let mut settings = settings(&args.course, if args.adapter.lora.is_some() { 1e-3 } else { 1e-4 })?;
    // Questions are brought to the context before: what is learnt is at their end.
    settings.overlong = Overlong::Drop;
    let course = Course {
        printer,
        cores,
        settings,
        pace: (&args.course).into(),
        out,
        resume: args.run.resume,
        precision: precision(&args.course, checkpoint.precision)?,
        config: Some(checkpoint.config),
        base: Some(folder.display().to_string()),
        files: &files,
        stop,
    };
    finish(printer, &course.run(decoder, &rows, &held_out)?)
}

fn verifier_of(args: &VerifierArgs) -> Result<Verifier, CommandError> {
    let template = match (&args.template, args.shown.as_str()) {
        (Some(path), _) => crate::text::read(path)?,
        (None, "trajectory") => verifier::TRAJECTORY.to_owned(),
        (None, "patch") => verifier::PATCH.to_owned(),
        (None, other) => {
            return Err(CommandError::usage(
                format!("nothing `{other}` can be shown"),
                "trajectory or patch",
            ));
        }
    };
    let labels: [String; 2] = args.labels.clone().try_into().map_err(|labels: Vec<String>| {
        CommandError::usage(format!("{} labels were given", labels.len()), "two, as in --labels YES,NO")
    })?;
    let answer = match args.answer.as_str() {
        "label" => Answer::Label,
        "class" => Answer::Class,
        other => {
            return Err(CommandError::usage(format!("there is no answer `{other}`"), "label or class"));
        }
    };
    let overlong = Overlong::named(&args.course.overlong).filter(|way| *way != Overlong::Window);
    let overlong = overlong.ok_or_else(|| {
        let message = format!("a question is not `{}` where it is too long", args.course.overlong);
        CommandError::usage(message, "drop, or cut to leave its middle out")
    })?;
    Ok(Verifier { template, labels, answer, overlong, context: args.course.context })
}

/// The attempts as questions with their labels.
fn judged(
    printer: Printer,
    args: &VerifierArgs,
    tokenizer: &Tokenizer,
    verifier: &Verifier,
) -> Result<Vec<TokenRow>, CommandError> {
    verifier.ids(tokenizer)?;
    let (mut questions, mut overlong, mut resolved) = (Vec::new(), 0, 0);
    for path in &args.data {
        let (found, refused) = each(&crate::text::read(path)?, |mut of| {
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
