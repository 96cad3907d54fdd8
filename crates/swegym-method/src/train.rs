//! `train`: tokenizers, models from scratch, fine-tuning.

mod course;
mod curves;
mod events;
mod verifier;

use std::path::Path;

use serde_json::{Value, json};
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_data::rows;
use swegym_train::adapter::Adapter;
use swegym_train::architecture::{Architecture, Family};
use swegym_train::checkpoint::{self, Held, Precision};
use swegym_train::corpus::{self, Document, Learnt};
use swegym_train::decoder::Decoder;
use swegym_train::rope::Rope;
use swegym_train::tokenizer::Tokenizer;

use crate::settings::{AdapterSettings, ModelShape, PretrainSettings, SftSettings, TokenizerSettings};
use course::{Course, Outcome};

pub use course::Training;
pub use verifier::train as verifier;

/// Columns of a head of a model from nothing.
const HEAD_DIM: usize = 32;

/// What comes before the first step.
const READING: &str = "reading the data";

/// Trains a tokenizer.
pub fn tokenizer(printer: Printer, settings: &TokenizerSettings, out: &Path) -> Result<u8, CommandError> {
    let waiting = Bar::waiting(printer, "train tokenizer", "counting words");
    let documents = corpus::documents(&settings.text)?;
    let words: Vec<String> = documents.iter().map(Document::words).collect();
    let template = settings.template.as_deref().map(swegym_console::text::read).transpose()?;
    let (size, template) = (settings.vocabulary, template.as_deref());
    let tokenizer = corpus::train_tokenizer(&words, size, &settings.special, template, settings.words)?;
    checkpoint::replace_folder(out, |draft| {
        tokenizer
            .files()
            .iter()
            .try_for_each(|(name, bytes)| checkpoint::write_synced(&draft.join(name), bytes))
    })?;
    let characters: usize = words.iter().map(String::len).sum();
    let tokens: usize =
        corpus::rows(&tokenizer, &documents, 1 << 20, Learnt::All)?.iter().map(|r| r.input_ids.len()).sum();
    drop(waiting);
    let per_token = characters as f64 / tokens as f64;
    let value = json!({"out": out, "tokens": tokenizer.len(), "bytes_per_token": per_token});
    let table = vec![
        ["tokens", "bytes a token"].map(str::to_owned).to_vec(),
        vec![tokenizer.len().to_string(), format!("{per_token:.2}")],
    ];
    printer.result(&value, &table);
    Ok(exit::DONE)
}

/// Trains a model from nothing.
pub fn pretrain(runs: &Training<'_>, settings: &PretrainSettings, out: &Path) -> Result<u8, CommandError> {
    let reading = Bar::waiting(runs.printer, "train pretrain", READING);
    let tokenizer = Tokenizer::read(&settings.tokenizer)?;
    let course = &settings.course;
    let (config, shape) = match &settings.shape {
        ModelShape::File(path) => {
            let config = read_json(path)?;
            let shape = Architecture::read(&config)
                .map_err(|e| CommandError::usage(e.to_string(), "see `swegym train pretrain --help`"))?;
            (Some(config), shape)
        }
        ModelShape::Small { width, layers } => {
            (None, small(*width, *layers, course.trainer.context, &tokenizer))
        }
    };
    tokenizer.check(shape.vocabulary)?;
    let learnt = if settings.answers_only { Learnt::Answers } else { Learnt::All };
    let documents = corpus::documents(&settings.text)?;
    let rows = corpus::rows(&tokenizer, &documents, course.trainer.context, learnt)?;
    let decoder = Decoder::fresh(shape, course.trainer.seed);
    drop(reading);
    let course = Course {
        runs,
        settings: course.trainer(1e-3),
        pace: course.pace,
        out,
        precision: course.precision.unwrap_or(Precision::F32),
        config,
        base: None,
        files: tokenizer.files(),
    };
    finish(runs.printer, &course.run(decoder, &rows, &[])?)
}

/// Fine-tunes a model.
pub fn sft(runs: &Training<'_>, settings: &SftSettings, out: &Path) -> Result<u8, CommandError> {
    let SftSettings { model, data, last_turn_only, adapter, held_out, course } = settings;
    let reading = Bar::waiting(runs.printer, "train sft", READING);
    let folder = model_folder(model);
    let checkpoint = checkpoint::read(&folder, held(adapter))?;
    let tokenizer = Tokenizer::read(&folder)?;
    tokenizer.check(checkpoint.decoder.shape.vocabulary)?;
    let data = rows::read(runs.printer, data, &tokenizer, *last_turn_only)?;
    let (rows, held_out) = rows::hold_out(data, held_out, course.trainer.seed)?;
    let decoder = adapted(checkpoint.decoder, adapter, course.trainer.seed);
    drop(reading);
    let course = Course {
        runs,
        settings: course.trainer(usual_rate(adapter)),
        pace: course.pace,
        out,
        precision: course.precision.unwrap_or(checkpoint.precision),
        config: Some(checkpoint.config),
        base: Some(folder.display().to_string()),
        files: tokenizer.files(),
    };
    finish(runs.printer, &course.run(decoder, &rows, &held_out)?)
}

/// A training run stands for the model that it made.
pub fn model_folder(folder: &Path) -> std::path::PathBuf {
    let made = folder.join("model");
    if !folder.join("config.json").is_file() && made.is_dir() { made } else { folder.to_owned() }
}

fn small(width: usize, layers: usize, context: usize, tokenizer: &Tokenizer) -> Architecture {
    let heads = (width / HEAD_DIM).max(1);
    Architecture {
        family: Family::Qwen2,
        // A multiple of what kernels compute at once.
        vocabulary: tokenizer.len().next_multiple_of(64),
        width,
        layers,
        heads,
        kv_heads: if heads.is_multiple_of(2) { heads / 2 } else { heads },
        head_dim: HEAD_DIM,
        inner: width * 3,
        epsilon: 1e-6,
        rope: Rope::plain(10_000.0, HEAD_DIM),
        context: context.max(4096),
        tied: true,
        classes: None,
        qkv_bias: true,
        out_bias: false,
        // Nguyen and Salazar (2019), "small init"; 0.02 from about 1000 columns on.
        init_range: (0.4 / width as f32).sqrt(),
    }
}

fn held(adapter: &AdapterSettings) -> Held {
    if adapter.half { Held::Half } else { Held::Whole }
}

/// The decoder with the adapter that is wished for, if one is.
fn adapted(mut decoder: Decoder, adapter: &AdapterSettings, seed: u64) -> Decoder {
    if let Some(shape) = &adapter.shape {
        decoder.adapter = Some(Adapter::fresh(&decoder, shape.clone(), seed));
    }
    decoder
}

/// The usual learning rate: an adapter takes a higher one.
fn usual_rate(adapter: &AdapterSettings) -> f64 {
    if adapter.shape.is_some() { 1e-3 } else { 1e-4 }
}

fn read_json(path: &Path) -> Result<Value, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|e| CommandError::file("read", path, &e))?;
    serde_json::from_str(&text)
        .map_err(|e| CommandError::usage(format!("{}: not valid JSON: {e}", path.display()), "mend the file"))
}

fn finish(printer: Printer, done: &Outcome) -> Result<u8, CommandError> {
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
    let table = vec![
        ["steps", "loss", "held-out loss", "tokens a second", "stopped"].map(str::to_owned).to_vec(),
        vec![
            done.steps.to_string(),
            number(done.loss),
            number(done.held_out),
            format!("{:.0}", done.per_second),
            done.why.to_owned(),
        ],
    ];
    printer.result(&done.to_json(), &table);
    printer.say(&format!("model: {}", done.model.display()));
    Ok(done.exit)
}
