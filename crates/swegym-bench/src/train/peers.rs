//! What must agree with the peer, apart from speed: loss curves of fine-tuning, and
//! tokens and masks of prepared conversations.

use std::time::Instant;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_train::checkpoint::{self, Precision};
use swegym_train::packing::Overlong;
use swegym_train::schedule::Shape;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::{self, TokenRow};
use swegym_train::trainer::{Settings as TrainSettings, Trainer};

use super::{Peer, data, decoder, pool};
use crate::case::Case;

/// Names of the cases.
pub(super) const CURVE: &str = "losses of 200 SFT steps";
pub(super) const PREPARATION: &str = "10,000 conversations prepared";

/// Steps of the curve, and the largest difference that is allowed.
const STEPS: u64 = 200;
const APART: f64 = 1e-3;

/// Conversations that are prepared.
const PREPARED: usize = 10_000;

/// Fine-tunes with masks and packing; the peer does the same rows unpacked,
/// padded, by its own optimiser, at the rates that ours says.
pub(super) fn curve(peer: &Peer, cases: &mut Vec<Case>) -> Result<(), CommandError> {
    let decoder = decoder(0);
    let tokenizer = data::tokenizer(decoder.shape.vocabulary)?;
    let rows = prepared(&tokenizer, &data::conversations(300, 4, 16))?;
    let settings = TrainSettings {
        context: 512,
        overlong: Overlong::Drop,
        packing: true,
        batch: 2,
        steps: Some(STEPS),
        rate: 5e-4,
        schedule: Shape::Cosine,
        ..TrainSettings::default()
    };
    let model = peer.model(&decoder)?;
    let mut trainer = Trainer::new(decoder, settings.clone(), &rows, pool(2)?)?;
    let (mut steps, mut losses) = (Vec::new(), Vec::new());
    while trainer.done() < trainer.steps() {
        let chosen = trainer.rows_of(trainer.done());
        let report = trainer.step()?;
        losses.push(report.measured.loss);
        steps.push(json!({"rows": chosen, "rate": report.rate}));
    }
    let of_row = |row: &TokenRow| json!({"ids": row.input_ids, "mask": row.loss_mask});
    let plan = json!({
        "rows": rows.iter().map(of_row).collect::<Vec<_>>(), "steps": steps, "beta2": settings.adamw.beta2,
        "epsilon": settings.adamw.epsilon, "decay": settings.adamw.decay, "clip": settings.clip,
    });
    let file = peer.folder.join("plan.json");
    checkpoint::write_synced(&file, plan.to_string().as_bytes())?;
    let theirs = peer.ask(vec!["curve".to_owned(), model, file.to_string_lossy().into_owned()])?;
    let theirs: Vec<f64> =
        theirs["losses"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    if theirs.len() != losses.len() {
        let message = format!("the peer did {} steps of {}", theirs.len(), losses.len());
        return Err(CommandError::from(std::io::Error::other(message)));
    }
    let apart = |step: &usize| (theirs[*step] / losses[*step] - 1.0).abs();
    let most = (0..losses.len()).max_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap_or(0);
    cases.push(Case {
        name: CURVE,
        ours: apart(&most),
        peer: APART,
        unit: "apart",
        more_is_better: false,
        against: format!(
            "packs here, padded rows there; from {:.3} to {:.3}; most at step {}",
            losses[0],
            losses[losses.len() - 1],
            most + 1
        ),
    });
    Ok(())
}

/// Renders, tokenises and masks conversations; the peer is TRL's preparation
/// with as many processes as we have threads.
pub(super) fn preparation(peer: &Peer, cases: &mut Vec<Case>) -> Result<(), CommandError> {
    let tokenizer = data::tokenizer(4096)?;
    let conversations = data::conversations(PREPARED, 12, 40);
    let text: String = conversations.iter().map(|row| format!("{row}\n")).collect();
    let decoder = decoder(0);
    let folder = peer.folder.join("model");
    checkpoint::write(&folder, &decoder, None, Precision::F32, tokenizer.files())?;
    let file = peer.folder.join("conversations.jsonl");
    checkpoint::write_synced(&file, text.as_bytes())?;
    let begun = Instant::now();
    let (rows, refused) = pool(2)?.install(|| tokens::conversations(&tokenizer, &text, false))?;
    let seconds = begun.elapsed().as_secs_f64();
    let words = ["prepare", &folder.to_string_lossy(), &file.to_string_lossy()].map(str::to_owned);
    let theirs = peer.ask([&words[..], &["2".to_owned()]].concat())?;
    let same = refused.is_empty() && theirs["digest"] == digest(&rows);
    let tokens: usize = rows.iter().map(|row| row.input_ids.len()).sum();
    cases.push(Case {
        name: PREPARATION,
        ours: rows.len() as f64 / seconds,
        peer: PREPARED as f64 / theirs["seconds"].as_f64().unwrap_or(f64::NAN),
        unit: "rows/s",
        more_is_better: true,
        against: format!(
            "TRL {}, {tokens} tokens, ids and masks {}",
            theirs["version"].as_str().unwrap_or_default(),
            if same { "the same" } else { "NOT the same" }
        ),
    });
    Ok(())
}

fn prepared(tokenizer: &Tokenizer, conversations: &[Value]) -> Result<Vec<TokenRow>, CommandError> {
    let text: String = conversations.iter().map(|row| format!("{row}\n")).collect();
    Ok(tokens::conversations(tokenizer, &text, false)?.0)
}

/// SHA-256 over all rows: each token, and whether it is learnt.
fn digest(rows: &[TokenRow]) -> String {
    let word = |(&id, &learnt): (&u32, &bool)| (id << 1 | u32::from(learnt)).to_le_bytes();
    let bytes: Vec<u8> =
        rows.iter().flat_map(|row| row.input_ids.iter().zip(&row.loss_mask).flat_map(word)).collect();
    swegym_core::Digest::of(&bytes).hex()
}
