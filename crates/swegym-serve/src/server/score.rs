//! A verifier's score: how likely YES is, of YES and NO. One prefill, no sampling.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use swegym_train::conversation::Conversation;
use swegym_train::generation::Progress;
use swegym_train::packing::Overlong;
use swegym_train::verifier::{self, Answer, LABELS, PATCH, TRAJECTORY, Verifier, request, share};

use super::policies::Policy;
use super::question::{Kind, prompt_of};
use super::{Refusal, Served, numbers};

/// Labels of one question.
const MOST_LABELS: usize = 64;

/// Who judges, by which labels and their tokens, and what.
struct Case {
    policy: Policy,
    labels: Vec<(String, u32)>,
    question: verifier::Question,
}

impl Case {
    /// Reads a request for a score: of an `attempt`, put into the verifier's own
    /// question, or of a question that the request asks itself.
    fn read(served: &Served, body: &[u8]) -> Result<Self, Refusal> {
        let body: Value = swegym_core::json::from_slice(body)
            .map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
        let policy = served.policies.pick(numbers::text(&body, "model")?)?;
        let verifier = verifier_of(served, &policy, &body)?;
        let labels = labels(served, &verifier, &body)?;
        let question = if body["attempt"].is_object() {
            let attempt = Conversation::read(&body["attempt"].to_string());
            let Conversation { messages, tools, patch, .. } =
                attempt.map_err(|e| Refusal::bad(format!("`attempt`: {e}")))?;
            let question = verifier.question(&served.tokenizer, &verifier::Case { messages, tools, patch });
            question.map_err(|e| Refusal::bad(e.to_string()))?
        } else {
            let kind = if body["messages"].is_array() { Kind::Chat } else { Kind::Completion };
            verifier.fit(prompt_of(served, kind, &body, &[])?)
        };
        Ok(Self { policy, labels, question })
    }
}

/// Answers a request for a score.
pub(super) async fn score(served: &Served, body: &[u8]) -> Result<Value, Refusal> {
    // Long questions take their time to be cut into tokens; others go on meanwhile.
    let Case { policy, labels, question } = tokio::task::block_in_place(|| Case::read(served, body))?;
    let len = question.len;
    let Some(ids) = question.ids else {
        return Ok(document(&policy, None, &Map::new(), &json!("refused"), len));
    };
    let flag = if ids.len() < len { json!("cut") } else { Value::Null };
    let asked = request(ids, labels.iter().map(|(_, id)| *id).collect());
    let mut receiver = served.engine.ask(asked, policy.adapter.clone());
    while let Some(progress) = receiver.recv().await {
        let Progress::Token { token, .. } = progress else { continue };
        let logprobs = labels.iter().zip(&token.watched);
        let logprobs: Map<String, Value> =
            logprobs.map(|((label, _), l)| (label.clone(), json!(l))).collect();
        return Ok(document(&policy, Some(share(&token.watched)), &logprobs, &flag, len));
    }
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", "the engine has stopped"))
}

/// The policy's own way to judge; or, for a model that was not trained to, the
/// usual question. Requests may ask for another treatment of long questions.
fn verifier_of(served: &Served, policy: &Policy, body: &Value) -> Result<Verifier, Refusal> {
    let template = if body["shown"] == "patch" { PATCH } else { TRAJECTORY };
    let usual = || Verifier {
        template: template.to_owned(),
        labels: LABELS.map(str::to_owned),
        answer: if served.classes.is_some() { Answer::Class } else { Answer::Label },
        overlong: Overlong::Drop,
        context: served.context,
    };
    let mut verifier = policy.verifier.clone().unwrap_or_else(usual);
    // Room for the label.
    verifier.context = verifier.context.min(served.context - 1);
    match body["overlong"].as_str() {
        None => {}
        Some("refuse") => verifier.overlong = Overlong::Drop,
        Some("cut") => verifier.overlong = Overlong::Cut,
        Some(other) => return Err(Refusal::bad(format!("`overlong` is refuse or cut, not `{other}`"))),
    }
    Ok(verifier)
}

/// The labels with the tokens, or classes, that stand for them.
fn labels(served: &Served, verifier: &Verifier, body: &Value) -> Result<Vec<(String, u32)>, Refusal> {
    let named: Vec<String> = match &body["labels"] {
        Value::Null => {
            let ids = verifier.ids(&served.tokenizer).map_err(|e| Refusal::bad(e.to_string()))?;
            return Ok(verifier.labels.iter().cloned().zip(ids).collect());
        }
        Value::Array(labels) => labels.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if verifier.answer == Answer::Class {
        return Err(Refusal::bad("this verifier answers with classes; `labels` cannot be chosen"));
    }
    if !(2..=MOST_LABELS).contains(&named.len()) {
        let message = format!("`labels` must be a list of 2 to {MOST_LABELS} texts");
        return Err(Refusal::about("labels", message));
    }
    let id = |label: String| {
        let ids = served.tokenizer.encode(&label).map_err(|e| Refusal::bad(e.to_string()))?;
        match ids.as_slice() {
            [id] => Ok((label, *id)),
            ids => Err(Refusal::bad(format!("the label `{label}` is {} tokens; a label is one", ids.len()))),
        }
    };
    named.into_iter().map(id).collect()
}

fn document(
    policy: &Policy,
    score: Option<f64>,
    logprobs: &Map<String, Value>,
    overlong: &Value,
    prompt_tokens: usize,
) -> Value {
    json!({
        "object": "score", "model": policy.name, "generation": policy.generation, "score": score,
        "logprobs": logprobs, "overlong": overlong,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    })
}
