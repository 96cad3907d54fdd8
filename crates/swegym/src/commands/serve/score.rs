//! A verifier's judgement: how likely YES is, of YES and NO. One prefill, and
//! nothing is sampled.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use swegym_train::generation::{Drawing, Progress, Request};

use super::question::{Kind, prompt_of};
use super::{Refusal, Served};

/// The labels where a request names none: that the attempt resolves its
/// instance, and that it does not (paper, section 4.1).
const LABELS: [&str; 2] = ["YES", "NO"];

/// What becomes of inputs that are longer than the model's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overlong {
    /// They get no score.
    Refuse,
    /// Their middle is left out.
    Cut,
}

/// Answers a request for a score.
pub(super) async fn score(served: &Served, body: &[u8]) -> Result<Value, Refusal> {
    let body: Value =
        serde_json::from_slice(body).map_err(|e| Refusal::bad(format!("the body is not JSON: {e}")))?;
    let kind = if body["messages"].is_array() { Kind::Chat } else { Kind::Completion };
    let mut prompt = prompt_of(served, kind, &body, &[])?;
    let labels = labels(served, &body)?;
    let overlong = match body["overlong"].as_str() {
        None | Some("refuse") => Overlong::Refuse,
        Some("cut") => Overlong::Cut,
        Some(other) => return Err(Refusal::bad(format!("`overlong` is refuse or cut, not `{other}`"))),
    };
    let len = prompt.len();
    let mut flag = Value::Null;
    if len >= served.context {
        if overlong == Overlong::Refuse {
            return Ok(document(served, None, &Map::new(), &json!("refused"), len));
        }
        let half = (served.context - 1) / 2;
        prompt.drain(half..len - half);
        flag = json!("cut");
    }
    let request = Request {
        prompt,
        max_new: 1,
        drawing: Drawing { temperature: 0.0, ..Drawing::default() },
        ends: Vec::new(),
        alternatives: 0,
        watched: labels.iter().map(|(_, id)| *id).collect(),
        prompt_logprobs: false,
    };
    let mut receiver = served.engine.ask(request);
    while let Some(progress) = receiver.recv().await {
        let Progress::Token { token, .. } = progress else { continue };
        let logprobs = labels.iter().zip(&token.watched);
        let logprobs: Map<String, Value> =
            logprobs.map(|((label, _), l)| (label.clone(), json!(l))).collect();
        return Ok(document(served, Some(share(&token.watched)), &logprobs, &flag, len));
    }
    let message = "the engine has stopped".to_owned();
    Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: "stopped", message })
}

/// The first label's probability among all labels.
fn share(logprobs: &[f32]) -> f64 {
    let first = f64::from(logprobs[0]);
    1.0 / logprobs.iter().map(|&l| (f64::from(l) - first).exp()).sum::<f64>()
}

fn labels(served: &Served, body: &Value) -> Result<Vec<(String, u32)>, Refusal> {
    let named: Vec<String> = match &body["labels"] {
        Value::Null => LABELS.map(str::to_owned).to_vec(),
        Value::Array(labels) => labels.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    if named.len() < 2 {
        return Err(Refusal::bad("`labels` must be a list of two or more texts"));
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
    served: &Served,
    score: Option<f64>,
    logprobs: &Map<String, Value>,
    overlong: &Value,
    prompt_tokens: usize,
) -> Value {
    json!({
        "object": "score", "model": served.name, "score": score, "logprobs": logprobs, "overlong": overlong,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    })
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_score_is_the_first_labels_share() {
        assert!((share(&[0.25f32.ln(), 0.5f32.ln()]) - 1.0 / 3.0).abs() < 1e-6);
        assert!((share(&[-800.0, -801.0]) - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-9);
    }
}
