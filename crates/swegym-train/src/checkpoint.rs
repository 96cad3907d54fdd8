//! Hugging Face model folders and PEFT adapter folders, in and out.
//!
//! A folder is written beside its place, synced, and renamed: a full disk or a
//! crash leaves what was there before. What is read is checked tensor by
//! tensor: names, shapes, kinds of numbers, and that they are numbers.

mod adapter;
mod folder;
mod tensors;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_core::Hint;
use thiserror::Error;

pub use adapter::{
    ADAPTER_CONFIG, ADAPTER_MODEL, adopt, check_adapter, parse_adapter, read_adapter, write_adapter,
};
pub use folder::{remove_drafts, replace_folder, write_synced};

use crate::architecture::{Architecture, ArchitectureError};
use crate::decoder::Decoder;
use crate::layout::Layout;
use crate::weights::Weights;

/// Kinds of numbers in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// `float32`.
    F32,
    /// `bfloat16`.
    Bf16,
    /// `float16`.
    F16,
}

impl Precision {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name that `config.json` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// By the name that `config.json` uses.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|precision| precision.name() == name)
    }
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// A file cannot be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a model folder.
    #[error("{} holds no model: neither model.safetensors nor model.safetensors.index.json is there", .0.display())]
    NoModel(PathBuf),
    /// A file that is not what its name says.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A decoder that the engine does not have.
    #[error("{}: {source}", path.display())]
    Architecture {
        /// The folder.
        path: PathBuf,
        /// What it is.
        source: ArchitectureError,
    },
    /// Tensors that the architecture has, and the files do not.
    #[error("{}: {} tensors are missing: {}", path.display(), names.len(), some_of(names))]
    Missing {
        /// The folder.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// Tensors that the files have, and the architecture does not.
    #[error("{}: {} tensors do not belong to this architecture: {}", path.display(), names.len(), some_of(names))]
    Extra {
        /// The folder.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// A tensor of another shape than `config.json` says.
    #[error("{}: {name} has shape {found:?}; by config.json it is {expected:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What it should be.
        expected: Vec<usize>,
    },
    /// A tensor of numbers that cannot be read.
    #[error("{}: {name} holds {kind}; float32, bfloat16 and float16 are read", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it holds.
        kind: String,
    },
    /// An adapter where a model is expected.
    #[error("{} is an adapter and no model", .0.display())]
    IsAdapter(PathBuf),
    /// An adapter that changes more than this engine adds to a model.
    #[error("{}: {problem}", path.display())]
    OtherAdapter {
        /// Its settings.
        path: PathBuf,
        /// What they ask for.
        problem: String,
    },
    /// An adapter whose head tells classes apart, for a model that tells none.
    #[error("{}: the adapter has a head of classes of its own", .0.display())]
    OwnHead(PathBuf),
    /// A weight that is not a number.
    #[error("{}: {name} holds a weight that is not a finite number, the {nth}th", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Which, from 1, in the file's order.
        nth: usize,
    },
}

impl CheckpointError {
    pub(crate) fn io(verb: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { verb, path: path.to_owned(), source }
    }
}

impl Hint for CheckpointError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: &'static str = match self {
            Self::Io { .. } => "check that the path exists, may be used, and that the disk has room",
            Self::NoModel(_) => "name a folder in Hugging Face form: config.json with safetensors beside it",
            Self::IsAdapter(_) | Self::OtherAdapter { .. } => {
                "merge it first: in PEFT, `merge_and_unload()` and `save_pretrained()`; then name the merged folder"
            }
            Self::Malformed { .. } => "the file is damaged or cut short; copy it again",
            Self::Architecture { .. } => "train other models with `swegym export --to trl`",
            Self::Missing { .. } | Self::Extra { .. } | Self::Shape { .. } => {
                "config.json and the weights are of different models, or a shard is missing"
            }
            Self::Kind { .. } => {
                "convert the weights to float32, bfloat16 or float16; quantised ones are not read"
            }
            Self::OwnHead(_) => "use it alone, by its own folder: a model has one head at a time",
            Self::NotFinite { .. } => "the weights are damaged: go back to an earlier checkpoint",
        };
        Some(hint.into())
    }

    fn tells_causes(&self) -> bool {
        true
    }
}

fn some_of(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(4).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// How weights are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Single precision.
    Whole,
    /// Matrices in bfloat16; for weights that are not trained.
    Half,
}

/// A model as its folder holds it.
#[derive(Debug)]
pub struct Checkpoint {
    /// The decoder.
    pub decoder: Decoder,
    /// Its `config.json`, with what the engine does not know.
    pub config: Value,
    /// The precision of its files.
    pub precision: Precision,
}

/// Reads a model folder.
///
/// # Errors
/// The folder, its settings or its tensors are not what they should be.
pub fn read(folder: &Path, held: Held) -> Result<Checkpoint, CheckpointError> {
    let path = folder.join("config.json");
    if !path.exists() && folder.join(ADAPTER_CONFIG).is_file() {
        return Err(CheckpointError::IsAdapter(folder.to_owned()));
    }
    let config = read_json(&path)?;
    let shape = Architecture::read(&config)
        .map_err(|source| CheckpointError::Architecture { path: folder.to_owned(), source })?;
    let layout = Layout::of(&shape);
    let (numbers, precision) = tensors::read_model(folder, &shape, &layout)?;
    let mut weights = Weights::Whole(numbers);
    if held == Held::Half {
        weights = weights.halved(&layout);
    }
    Ok(Checkpoint { decoder: Decoder { shape, layout, weights, adapter: None }, config, precision })
}

/// Writes a model folder in place of whatever is there. `beside` names files
/// that go with it (tokenizer, template), with their content.
///
/// # Errors
/// Something cannot be written; the folder is then as it was.
pub fn write(
    folder: &Path,
    decoder: &Decoder,
    config: Option<&Value>,
    precision: Precision,
    beside: &[(String, Vec<u8>)],
) -> Result<(), CheckpointError> {
    replace_folder(folder, |draft| {
        let config = decoder.shape.write(config, precision.name());
        write_synced(&draft.join("config.json"), &pretty(&config))?;
        for (name, content) in beside {
            write_synced(&draft.join(name), content)?;
        }
        tensors::write_model(draft, decoder, precision)
    })
}

pub(crate) fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}");
    text.push('\n');
    text.into_bytes()
}

/// Reads a JSON document.
///
/// # Errors
/// It cannot be read, or is not JSON.
pub(crate) fn read_json(path: &Path) -> Result<Value, CheckpointError> {
    parse_json(path, &tensors::read_bytes(path)?)
}

pub(crate) fn parse_json(path: &Path, bytes: &[u8]) -> Result<Value, CheckpointError> {
    serde_json::from_slice(bytes).map_err(|e| malformed(path, format!("not valid JSON: {e}")))
}

pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> CheckpointError {
    CheckpointError::Malformed { path: path.to_owned(), problem: problem.into() }
}
