//! Attempts as token files: with the sampled token ids where the record has them,
//! otherwise rendered by the model's chat template.

use std::path::Path;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_core::Trajectory;
use swegym_core::chat::CallForm;
use swegym_core::record::RecordEvent;
use swegym_core::trajectory::live;
use swegym_train::conversation::Conversation;
use swegym_train::recorded::{self, Turn};
use swegym_train::template::Template;
use swegym_train::token_file::TokenWriter;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::{TokenRow, TokensError, rows_of};

use super::masked::{Masked, unmasked};
use super::{Choice, Chosen, Counts, Form, Taken, each, messages};
use crate::export::settings::ExportSettings;
use crate::run_view::Record;

/// Where the tokens of attempts came from.
#[derive(Debug, Default)]
struct Sources {
    sampled: usize,
    rendered: usize,
    refused: usize,
    rows: usize,
}

/// Writes the token file of a run. Says how many attempts had their tokens
/// recorded.
pub(super) fn write(
    printer: Printer,
    run: &Path,
    settings: &ExportSettings,
    choice: &Choice,
    out: &Path,
) -> Result<(Counts, Value), CommandError> {
    let tokenizer = tokenizer(settings)?;
    let out = &swegym_files::place_of(out).map_err(|e| CommandError::file("write", out, &e))?;
    let partial = out.with_extension("partial");
    let mut writer = TokenWriter::create(&partial)?;
    let mut sources = Sources::default();
    crate::rows::warn_of_ends(printer, &tokenizer);
    let taken = if run.is_file() {
        conversations(printer, &tokenizer, run, settings.masked, choice, &mut sources, &mut writer)
    } else {
        each(printer, run, settings.evaluation.as_deref(), choice, |chosen| {
            let Chosen { record, mask, .. } = chosen;
            let taken = Taken { record: &record, mask };
            match rows(&tokenizer, &choice.form, &taken) {
                Ok((rows, source)) => {
                    match source {
                        Source::Sampled => sources.sampled += 1,
                        Source::Rendered => sources.rendered += 1,
                    }
                    rows.into_iter().try_for_each(|row| writer.push(row))?;
                }
                Err(problem) => {
                    sources.refused += 1;
                    let head = &record.attempt.head;
                    let which = format!("{} attempt {}", head.instance_id, head.attempt);
                    printer.say(&format!("warning: {which}: {problem}"));
                }
            }
            Ok(())
        })
    };
    let counts = match taken {
        Ok(counts) => counts,
        Err(error) => {
            // What there is of the file is of no use.
            _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    sources.rows = writer.finish()?;
    std::fs::rename(&partial, out).map_err(|e| CommandError::file("write", out, &e))?;
    let Sources { sampled, rendered, refused, rows } = sources;
    Ok((counts, json!({"rows": rows, "sampled": sampled, "rendered": rendered, "refused": refused})))
}

pub(super) fn tokenizer(settings: &ExportSettings) -> Result<Tokenizer, CommandError> {
    let folder = settings.model.as_ref().ok_or_else(|| {
        CommandError::usage("tokens need a tokenizer", "--model names the folder that holds the model's")
    })?;
    Ok(Tokenizer::read(&swegym_train::policy::model_folder(folder))?)
}

/// The conversations of a file, as `export` writes them.
fn conversations(
    printer: Printer,
    tokenizer: &Tokenizer,
    path: &Path,
    with_masked: bool,
    choice: &Choice,
    sources: &mut Sources,
    writer: &mut TokenWriter,
) -> Result<Counts, CommandError> {
    let text = swegym_console::text::read(path)?;
    let (text, masked) = if with_masked { (text, Masked::default()) } else { unmasked(&text) };
    if text.trim().is_empty() && masked.count() > 0 {
        return Err(masked.nothing(path));
    }
    let rows = crate::rows::conversations(printer, path, &text, tokenizer, choice.last_only)?;
    masked.tell(printer);
    sources.rendered = rows.len();
    let counts = Counts { written: rows.len(), masked, ..Counts::default() };
    rows.into_iter().try_for_each(|row| writer.push(row))?;
    Ok(counts)
}

/// Where an attempt's tokens came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// They are those that were sampled.
    Sampled,
    /// They were rendered by the model's template.
    Rendered,
}

/// The rows of an attempt.
pub fn rows(
    tokenizer: &Tokenizer,
    form: &Form,
    taken: &Taken<'_>,
) -> Result<(Vec<TokenRow>, Source), TokensError> {
    let Taken { record: Record { events, attempt, repo }, mask } = taken;
    let about = Conversation {
        instance_id: attempt.head.instance_id.to_string(),
        repo: Some(repo.clone()),
        attempt: attempt.head.attempt,
        model: Some(attempt.head.model.clone()),
        ..Conversation::default()
    };
    let turns = recorded::turns(events).ok().flatten();
    if let Some(turns) = turns.filter(|turns| belong(tokenizer, turns, events, attempt)) {
        let named = |row: TokenRow| {
            let policy = row.policy.clone();
            let row = row.about(&about);
            TokenRow { policy: policy.or(row.policy.clone()), ..row }
        };
        return Ok((recorded::rows(&turns, mask).into_iter().map(named).collect(), Source::Sampled));
    }
    // A model without a place for tools was, or will be, told of them in text.
    let has_place = tokenizer.template.as_ref().is_none_or(Template::knows_tools);
    let text = Form { calls: Some(CallForm::Text), ..(*form).clone() };
    let form = if form.calls.is_none() && !has_place { &text } else { form };
    let conversation = messages::conversation(attempt, form);
    let native = form.calls(attempt) == CallForm::Native;
    let tools = if native { attempt.head.tools.as_slice() } else { &[] };
    let rows = rows_of(tokenizer, &conversation, tools, &messages::mask_of(attempt, form, mask))?;
    Ok((rows.into_iter().map(|row| row.about(&about)).collect(), Source::Rendered))
}

/// Whether recorded ids are of this tokenizer: they say what the endpoint said
/// that they do. Another model's ids would train noise. What became of the words
/// afterwards does not matter: a call that could not be read is mended before it
/// is told again.
fn belong(tokenizer: &Tokenizer, turns: &[Turn], events: &[RecordEvent], attempt: &Trajectory) -> bool {
    let ids = turns.iter().flat_map(|turn| turn.prompt.iter().chain(&turn.answer));
    if ids.into_iter().any(|&id| id as usize >= tokenizer.len()) {
        return false;
    }
    let answers = live(events).unwrap_or_default().into_iter().filter_map(|event| match event {
        RecordEvent::Answered { response, .. } => Some(attempt.head.wire.read(response)),
        _ => None,
    });
    turns.iter().zip(answers).all(|(turn, answer)| {
        let text = tokenizer.decode(&turn.answer);
        answer.is_ok_and(|answer| text.contains(answer.message.content.trim()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use swegym_core::chat::{Finish, Message, Role, Sampling, Usage};
    use swegym_core::record::{AttemptHead, Delta};
    use swegym_core::wire::Wire;
    use swegym_core::{InstanceId, StopReason};
    use swegym_train::corpus::{WordRule, train_tokenizer};
    use swegym_train::mask::Mask;

    use super::*;

    /// An attempt of one answer: the ids that were sampled, what the endpoint said
    /// that they say, and what was told of it afterwards.
    fn attempt(prompt: &[u32], ids: &[u32], said: &str, told: &str) -> Vec<RecordEvent> {
        let logprobs: Vec<Value> = ids.iter().map(|_| json!({"logprob": -0.5})).collect();
        let choice = json!({
            "message": {"role": "assistant", "content": said}, "finish_reason": "stop", "token_ids": ids,
            "logprobs": {"content": logprobs},
        });
        let response =
            json!({"choices": [choice], "prompt_token_ids": prompt, "system_fingerprint": "m@7"}).to_string();
        let head = AttemptHead {
            instance_id: InstanceId::new("a__b-1").unwrap(),
            repo: Some("a/b".into()),
            attempt: 0,
            scaffold: "codeact@3".into(),
            model: "m".into(),
            wire: Wire::OpenAi,
            calls: CallForm::Text,
            sampling: Sampling::default(),
            image: "swegym:x".into(),
            base_commit: "abc".into(),
            tools: Vec::new(),
            limits: Map::new(),
            forked_from: None,
        };
        vec![
            RecordEvent::Started(Box::new(head)),
            RecordEvent::Said(Message::of(Role::User, "Go.")),
            RecordEvent::Answered {
                request: Delta::between("", "{}"),
                response: response.into_bytes(),
                tries: 1,
                latency_ms: 1,
                usage: Usage::default(),
                finish: Finish::Stop,
            },
            RecordEvent::Said(Message::of(Role::Assistant, told)),
            RecordEvent::Malformed { code: "malformed_call".into(), message: "no".into() },
            RecordEvent::Ended { reason: StopReason::FormatErrors, patch: String::new() },
        ]
    }

    #[test]
    fn what_was_sampled_stays_where_a_call_was_mended_and_another_models_ids_go() {
        let text = "I look. <function=bash> <parameter=command>ls </function> Go. ".repeat(9);
        let tokenizer = train_tokenizer(&[text], 300, &[], None, WordRule::default()).unwrap();
        let half = "I look.\n<function=bash>\n<parameter=command>ls\n";
        let (prompt, ids) =
            (tokenizer.encode("Go.").unwrap(), tokenizer.encode(&format!("{half}</function")).unwrap());
        let form = Form { calls: None, instructions: String::new() };
        let made = |ids: &[u32]| {
            let events = attempt(&prompt, ids, half, &format!("{half}</function>"));
            let attempt = Trajectory::fold(&events).unwrap();
            let record = Record { events, attempt, repo: "a/b".to_owned() };
            let taken = Taken { record: &record, mask: Mask::default() };
            rows(&tokenizer, &form, &taken).unwrap()
        };
        let (found, source) = made(&ids);
        assert_eq!(source, Source::Sampled);
        assert_eq!(found[0].input_ids, [&prompt[..], &ids].concat());
        assert_eq!((found[0].learnt(), found[0].policy.as_deref()), (ids.len(), Some("m@7")));
        assert!(found[0].logprobs.is_some() && found[0].repo.as_deref() == Some("a/b"));
        let others: Vec<u32> = ids.iter().map(|id| id / 2).collect();
        assert_eq!(made(&others).1, Source::Rendered);
    }
}
