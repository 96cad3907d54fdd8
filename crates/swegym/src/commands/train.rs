//! `train`: tokenizers, models from scratch, fine-tuning.

mod course;
mod curves;
mod events;
mod rows;
mod verifier;

use std::path::Path;

use serde_json::{Value, json};
use swegym_train::adapter::{Adapter, AdapterShape, TARGETS};
use swegym_train::architecture::{Architecture, Family};
use swegym_train::checkpoint::{self, Held, Precision};
use swegym_train::corpus::{self, Document, Learnt, WordRule};
use swegym_train::decoder::Decoder;
use swegym_train::packing::Overlong;
use swegym_train::rope::Rope;
use swegym_train::schedule::Shape;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::trainer::Settings as TrainSettings;

use crate::args::{AdapterArgs, CourseArgs, PretrainArgs, SftArgs, TokenizerArgs, WordsOf};
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::progress::Bar;
use course::{Course, Outcome};

pub(crate) use course::Stop;
pub(crate) use rows::{conversations, held_groups, warn_of_ends};
pub(crate) use verifier::train as verifier;

/// Columns of a head of a model from nothing.
const HEAD_DIM: usize = 32;

/// What comes before the first step.
const READING: &str = "reading the data";

/// Trains a tokenizer.
pub(crate) fn tokenizer(printer: Printer, args: &TokenizerArgs) -> Result<u8, CommandError> {
    let waiting = Bar::waiting(printer, "train tokenizer", "counting words");
    let documents = corpus::documents(&args.text)?;
    let words: Vec<String> = documents.iter().map(Document::words).collect();
    let template = args.template.as_deref().map(crate::text::read).transpose()?;
    let rule = match args.words {
        WordsOf::Gpt2 => WordRule::Gpt2,
        WordsOf::Qwen2 => WordRule::Qwen2,
    };
    let template = template.as_deref();
    let tokenizer = corpus::train_tokenizer(&words, args.vocabulary, &args.special, template, rule)?;
    checkpoint::replace_folder(&args.out, |draft| {
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
    let value = json!({"out": args.out, "tokens": tokenizer.len(), "bytes_per_token": per_token});
    let table = vec![
        ["tokens", "bytes a token"].map(str::to_owned).to_vec(),
        vec![tokenizer.len().to_string(), format!("{per_token:.2}")],
    ];
    printer.result(&value, &table);
    Ok(exit::DONE)
}

/// Trains a model from nothing.
pub(crate) fn pretrain(
    printer: Printer,
    cores: usize,
    args: &PretrainArgs,
    out: &Path,
    stop: &Stop,
) -> Result<u8, CommandError> {
    let reading = Bar::waiting(printer, "train pretrain", READING);
    let tokenizer = Tokenizer::read(&args.tokenizer)?;
    let config = args.architecture.as_ref().map(|path| read_json(path)).transpose()?;
    let shape = match &config {
        Some(config) => Architecture::read(config)
            .map_err(|e| CommandError::usage(e.to_string(), "see `swegym train pretrain --help`"))?,
        None => small(args, &tokenizer),
    };
    tokenizer.check(shape.vocabulary)?;
    let learnt = if args.answers_only { Learnt::Answers } else { Learnt::All };
    let rows = corpus::rows(&tokenizer, &corpus::documents(&args.text)?, args.course.context, learnt)?;
    let decoder = Decoder::fresh(shape, args.course.seed);
    drop(reading);
    let course = Course {
        printer,
        cores,
        settings: settings(&args.course, 1e-3)?,
        pace: (&args.course).into(),
        out,
        resume: args.run.resume,
        precision: precision(&args.course, Precision::F32)?,
        config,
        base: None,
        files: tokenizer.files(),
        stop,
    };
    finish(printer, &course.run(decoder, &rows, &[])?)
}

/// Fine-tunes a model.
pub(crate) fn sft(
    printer: Printer,
    cores: usize,
    args: &SftArgs,
    out: &Path,
    stop: &Stop,
) -> Result<u8, CommandError> {
    let held = held(&args.adapter);
    let reading = Bar::waiting(printer, "train sft", READING);
    let folder = model_folder(&args.model);
    let checkpoint = checkpoint::read(&folder, held)?;
    let tokenizer = Tokenizer::read(&folder)?;
    tokenizer.check(checkpoint.decoder.shape.vocabulary)?;
    let data = rows::read(printer, &args.data, &tokenizer, args.last_turn_only)?;
    let (rows, held_out) = rows::hold_out(data, &args.held_out, args.course.seed)?;
    let decoder = adapted(checkpoint.decoder, &args.adapter, args.course.seed)?;
    drop(reading);
    let course = Course {
        printer,
        cores,
        settings: settings(&args.course, if args.adapter.lora.is_some() { 1e-3 } else { 1e-4 })?,
        pace: (&args.course).into(),
        out,
        resume: args.run.resume,
        precision: precision(&args.course, checkpoint.precision)?,
        config: Some(checkpoint.config),
        base: Some(folder.display().to_string()),
        files: tokenizer.files(),
        stop,
    };
    finish(printer, &course.run(decoder, &rows, &held_out)?)
}

/// A training run stands for the model that it made.
pub(crate) fn model_folder(folder: &Path) -> std::path::PathBuf {
    let made = folder.join("model");
    if !folder.join("config.json").is_file() && made.is_dir() { made } else { folder.to_owned() }
}

fn small(args: &PretrainArgs, tokenizer: &Tokenizer) -> Architecture {
    let heads = (args.width / HEAD_DIM).max(1);
    Architecture {
        family: Family::Qwen2,
        // A multiple of what kernels compute at once.
        vocabulary: tokenizer.len().next_multiple_of(64),
        width: args.width,
        layers: args.layers,
        heads,
        kv_heads: if heads.is_multiple_of(2) { heads / 2 } else { heads },
        head_dim: HEAD_DIM,
        inner: args.width * 3,
        epsilon: 1e-6,
        rope: Rope::plain(10_000.0, HEAD_DIM),
        context: args.course.context.max(4096),
        tied: true,
        classes: None,
        qkv_bias: true,
        out_bias: false,
        // Nguyen and Salazar (2019), "small init"; 0.02 from about 1000 columns on.
        init_range: (0.4 / args.width as f32).sqrt(),
    }
}

fn held(args: &AdapterArgs) -> Held {
    if args.half { Held::Half } else { Held::Whole }
}

/// The decoder with the adapter that is wished for, if one is.
fn adapted(mut decoder: Decoder, args: &AdapterArgs, seed: u64) -> Result<Decoder, CommandError> {
    if let Some(rank) = args.lora {
        let shape = adapter_shape(args, rank)?;
        decoder.adapter = Some(Adapter::fresh(&decoder, shape, seed));
    }
    Ok(decoder)
}

fn adapter_shape(args: &AdapterArgs, rank: usize) -> Result<AdapterShape, CommandError> {
    let targets = if args.lora_targets.is_empty() {
        TARGETS.map(str::to_owned).to_vec()
    } else {
        args.lora_targets.clone()
    };
    if let Some(odd) = targets.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        return Err(CommandError::usage(format!("there is no projection `{odd}`"), TARGETS.join(", ")));
    }
    if rank == 0 {
        return Err(CommandError::usage("an adapter of rank 0 adds nothing", "8 to 64 are usual"));
    }
    Ok(AdapterShape { rank, alpha: args.lora_alpha.unwrap_or(rank as f32), by_root: false, targets })
}

fn settings(args: &CourseArgs, rate: f64) -> Result<TrainSettings, CommandError> {
    let unknown = |what: &str, word: &str, hint: &str| {
        CommandError::usage(format!("there is no {what} `{word}`"), hint)
    };
    let mut settings = TrainSettings {
        context: args.context,
        overlong: Overlong::named(&args.overlong)
            .ok_or_else(|| unknown("way", &args.overlong, "drop, cut or window"))?,
        packing: !args.no_packing,
        batch: args.batch.max(1),
        epochs: args.epochs,
        steps: args.steps,
        rate: args.rate.unwrap_or(rate),
        schedule: Shape::named(&args.schedule)
            .ok_or_else(|| unknown("schedule", &args.schedule, "cosine, linear or constant"))?,
        warmup: args.warmup,
        clip: args.clip,
        lanes: args.lanes,
        again: args.recompute,
        seed: args.seed,
        ..TrainSettings::default()
    };
    settings.adamw.decay = args.decay;
    Ok(settings)
}

fn precision(args: &CourseArgs, default: Precision) -> Result<Precision, CommandError> {
    let Some(word) = &args.precision else { return Ok(default) };
    Precision::named(word).ok_or_else(|| {
        CommandError::usage(format!("there is no precision `{word}`"), "float32, bfloat16 or float16")
    })
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
