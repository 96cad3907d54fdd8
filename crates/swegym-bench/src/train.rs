//! Benchmark of the engine against PyTorch on this machine's processor: same model,
//! same tokens, same number of threads, one after the other.

mod data;
mod peers;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::printer::Printer;
use swegym_method::settings::Settings;
use swegym_sandbox::tool;
use swegym_train::architecture::{Architecture, Family};
use swegym_train::checkpoint::{self, Precision};
use swegym_train::decoder::{Decoder, Pack};
use swegym_train::generation::{Drawing, Generator, Limits, Request};
use swegym_train::gradient::Lanes;
use swegym_train::optimizer::{self, AdamW, Moments};
use swegym_train::rope::Rope;

use crate::case::{Case, median_ms};

/// The models of reference/engine.md: width, layers, heads, inner size, vocabulary.
const SHAPES: [(&str, [usize; 5]); 3] =
    [("B", [128, 4, 4, 384, 2048]), ("A", [256, 6, 8, 768, 2048]), ("C", [512, 6, 8, 1536, 4096])];

/// A case of training: its name, shape, packs, context, threads.
const TRAINING: [(&str, usize, usize, usize, usize); 10] = [
    ("B 8x512, 2 threads", 0, 8, 512, 2),
    ("B 8x512, 1 thread", 0, 8, 512, 1),
    ("A 8x512, 2 threads", 1, 8, 512, 2),
    ("A 8x512, 1 thread", 1, 8, 512, 1),
    ("C 8x512, 2 threads", 2, 8, 512, 2),
    ("C 8x512, 1 thread", 2, 8, 512, 1),
    ("B 2x2048, 2 threads", 0, 2, 2048, 2),
    ("B 2x2048, 1 thread", 0, 2, 2048, 1),
    ("B 1x4096, 2 threads", 0, 1, 4096, 2),
    ("B 1x4096, 1 thread", 0, 1, 4096, 1),
];

/// A case of generation: its name, shape, requests.
const GENERATION: [(&str, usize, usize); 4] =
    [("B, 1 request", 0, 1), ("B, 16 requests", 0, 16), ("A, 1 request", 1, 1), ("A, 16 requests", 1, 16)];

/// Tokens of a prompt and of an answer.
const PROMPT: usize = 64;
const ANSWER: usize = 128;

/// Steps that warm up and are not counted, with both.
const WARM: usize = 2;

/// Trains each case with both.
pub(super) fn measure(
    settings: &Settings,
    printer: Printer,
    python: Option<&Path>,
    steps: usize,
    only: Option<&str>,
    cases: &mut Vec<Case>,
) -> Result<(), CommandError> {
    let peer = Peer::open(settings, printer, python)?;
    let wanted = |name: &str| only.is_none_or(|word| name.contains(word));
    for (name, shape, batch, context, threads) in TRAINING.into_iter().filter(|case| wanted(case.0)) {
        let decoder = decoder(shape);
        let model = peer.model(&decoder)?;
        let rows = tokens(batch * (steps + WARM), context + 1, decoder.shape.vocabulary);
        let file = peer.folder.join("tokens");
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|id| id.to_le_bytes()).collect();
        checkpoint::write_synced(&file, &bytes)?;
        let numbers = [batch, context, steps, threads].map(|n| n.to_string());
        let file = file.to_string_lossy().into_owned();
        let theirs = peer.ask([&["train".to_owned(), model, file][..], &numbers].concat())?;
        let ours = train(decoder, &rows, batch, threads)?;
        let losses: Vec<f64> =
            theirs["losses"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let apart = losses.iter().zip(&ours.losses).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
        let number = |key: &str| theirs[key].as_f64().unwrap_or(f64::NAN);
        cases.push(Case {
            name,
            ours: ours.per_second,
            peer: number("per_second"),
            unit: "tokens/s",
            more_is_better: true,
            against: format!("transformers, SDPA; losses within {apart:.1e}"),
        });
        if threads == 2 && context == 512 {
            cases.push(Case {
                name: "  memory of it",
                ours: ours.memory_mib,
                peer: number("memory_mib"),
                unit: "MiB",
                more_is_better: false,
                against: "the same".to_owned(),
            });
        }
    }
    // Last, since they leave memory behind.
    if wanted(peers::CURVE) {
        peers::curve(&peer, cases)?;
    }
    if wanted(peers::PREPARATION) {
        peers::preparation(&peer, cases)?;
    }
    Ok(())
}

/// Generates with both.
pub(super) fn measure_generation(
    settings: &Settings,
    printer: Printer,
    python: Option<&Path>,
    cases: &mut Vec<Case>,
) -> Result<(), CommandError> {
    let peer = Peer::open(settings, printer, python)?;
    for (name, shape, requests) in GENERATION {
        let decoder = decoder(shape);
        let model = peer.model(&decoder)?;
        let numbers = [requests, PROMPT, ANSWER, 2].map(|n| n.to_string());
        let theirs = peer.ask([&["generate".to_owned(), model][..], &numbers].concat())?;
        cases.push(Case {
            name,
            ours: generate(decoder, requests)?,
            peer: theirs["per_second"].as_f64().unwrap_or(f64::NAN),
            unit: "tokens/s",
            more_is_better: true,
            against: "transformers' generate, 2 threads".to_owned(),
        });
    }
    Ok(())
}

fn decoder(shape: usize) -> Decoder {
    let [width, layers, heads, inner, vocabulary] = SHAPES[shape].1;
    let head_dim = width / heads;
    let shape = Architecture {
        family: Family::Qwen2,
        vocabulary,
        width,
        layers,
        heads,
        kv_heads: 2,
        head_dim,
        inner,
        epsilon: 1e-6,
        rope: Rope::plain(10_000.0, head_dim),
        context: 8192,
        tied: true,
        classes: None,
        qkv_bias: true,
        out_bias: false,
        init_range: 0.02,
    };
    Decoder::fresh(shape, 0)
}

/// Rows that a model can learn: each token is one of four that follow the last.
fn tokens(rows: usize, len: usize, vocabulary: usize) -> Vec<Vec<u32>> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut row = || {
        let mut token = next() % vocabulary;
        let mut row = Vec::with_capacity(len);
        for _ in 0..len {
            row.push(token as u32);
            token = (token * 31 + 7 + next() % 4) % vocabulary;
        }
        row
    };
    (0..rows).map(|_| row()).collect()
}

struct Trained {
    per_second: f64,
    memory_mib: f64,
    losses: Vec<f64>,
}

fn train(
    mut decoder: Decoder,
    rows: &[Vec<u32>],
    batch: usize,
    threads: usize,
) -> Result<Trained, CommandError> {
    let pool = pool(threads)?;
    forget_peak();
    let (mut lanes, mut moments) = (Lanes::new(&decoder, 2), Moments::new(decoder.trained_len()));
    let settings = AdamW { beta2: 0.95, ..AdamW::default() };
    let (mut losses, mut times) = (Vec::new(), Vec::new());
    for rows in rows.chunks_exact(batch) {
        let begun = Instant::now();
        let packs: Vec<Pack> = rows.iter().map(|row| Pack::of(row, &vec![1.0; row.len()])).collect();
        let learnt: usize = packs.iter().map(|pack| pack.tokens.len()).sum();
        let outcomes = lanes.take(&pool, &decoder, &packs, 1.0 / learnt as f32, false);
        let (gradient, norm) = lanes.total(&pool);
        let scale = (1.0 / (norm + 1e-6)).min(1.0) as f32;
        let decay_from = decoder.decay_from();
        let numbers = decoder.trained_mut().map(Vec::as_mut_slice).unwrap_or_default();
        optimizer::step(&pool, settings, 1e-3, scale, numbers, gradient, &mut moments, decay_from);
        losses.push(outcomes.iter().flatten().map(|o| -f64::from(o.logprob)).sum::<f64>() / learnt as f64);
        times.push(begun.elapsed());
    }
    let tokens = (rows.len() / (losses.len().max(1)) * (rows[0].len() - 1)) as f64;
    let seconds = median_ms(times.split_off(WARM.min(times.len()))) / 1e3;
    Ok(Trained { per_second: tokens / seconds, memory_mib: peak_mib(), losses })
}

fn generate(decoder: Decoder, requests: usize) -> Result<f64, CommandError> {
    let (decoder, pool) = (Arc::new(decoder), Arc::new(pool(2)?));
    let mut best = f64::MAX;
    for round in 0..3 {
        let mut generator = Generator::new(Arc::clone(&decoder), Arc::clone(&pool), Limits::default());
        let begun = Instant::now();
        for request in 0..requests {
            generator.submit(Request {
                prompt: (0..PROMPT).map(|i| ((request * 7 + i * 13 + round) % 256) as u32).collect(),
                max_new: ANSWER,
                drawing: Drawing { temperature: 0.8, seed: request as u64, ..Drawing::default() },
                ends: Vec::new(),
                alternatives: 0,
                watched: Vec::new(),
                prompt_logprobs: false,
            });
        }
        generator.finish();
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok((requests * ANSWER) as f64 / best)
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, CommandError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|e| CommandError::from(std::io::Error::other(e)))
}

/// Lets the highest memory so far be measured anew.
fn forget_peak() {
    // A kernel that does not let us gives a figure that is too high.
    _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok()).map_or(f64::NAN, |kb| kb / 1024.0)
}

/// A Python with the peer's packages.
struct Peer {
    python: PathBuf,
    folder: PathBuf,
}

impl Peer {
    fn open(settings: &Settings, printer: Printer, python: Option<&Path>) -> Result<Self, CommandError> {
        let folder = settings.home.join("peer");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("peer.py"), include_str!("train/peer.py"))?;
        if let Some(python) = python {
            return Ok(Self { python: python.to_owned(), folder });
        }
        printer.say("the peer: torch, transformers and trl, some gigabytes");
        let place = folder.join("python").to_string_lossy().into_owned();
        let limit = Duration::from_secs(3600);
        tool::run(settings.install.usual_python(), ["-m", "venv", &place], limit)
            .map_err(|e| host_error(&e))?;
        let python = folder.join("python/bin/python");
        let install = ["-m", "pip", "install", "--quiet", "--index-url", &settings.packages.index_url];
        let packages = ["torch", "transformers", "trl", "datasets", "numpy"];
        tool::run(&python, install.iter().chain(&packages), limit).map_err(|e| host_error(&e))?;
        Ok(Self { python, folder })
    }

    /// Writes a model where the peer reads it.
    fn model(&self, decoder: &Decoder) -> Result<String, CommandError> {
        let place = self.folder.join("model");
        checkpoint::write(&place, decoder, None, Precision::F32, &[])?;
        Ok(place.to_string_lossy().into_owned())
    }

    fn ask(&self, words: Vec<String>) -> Result<Value, CommandError> {
        let script = self.folder.join("peer.py").to_string_lossy().into_owned();
        let arguments = std::iter::once(script).chain(words);
        let output =
            tool::run(&self.python, arguments, Duration::from_secs(3600)).map_err(|e| host_error(&e))?;
        let text = String::from_utf8_lossy(&output);
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|e| CommandError::from(std::io::Error::other(e)))
    }
}

fn host_error(error: &tool::ToolError) -> CommandError {
    CommandError::usage(error.to_string(), "the benchmark needs Python 3 with venv, and a package index")
}
