//! A model of this machine: a folder in Hugging Face format, a training run, or an
//! adapter with its base model.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use swegym_core::Hint;
use thiserror::Error;

use crate::checkpoint::{self, CheckpointError, Held};
use crate::decoder::Decoder;
use crate::tokenizer::{Tokenizer, TokenizerError};

/// A model that can be asked.
pub struct Loaded {
    /// Its weights, with the adapter where it is one.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Where its files lie.
    pub folder: PathBuf,
}

/// Why a model cannot be loaded.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// Its weights cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Its tokenizer cannot be read, or is of another model.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// An adapter's model is not where it says.
    #[error("the model that `{}` adapts is not at `{}`", adapter.display(), base.display())]
    NoBase {
        /// The adapter's folder.
        adapter: PathBuf,
        /// Where its model should be.
        base: PathBuf,
    },
}

impl Hint for PolicyError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::Checkpoint(error) => error.hint(),
            Self::Tokenizer(error) => error.hint(),
            Self::NoBase { .. } => Some(
                "put the model there, or mend base_model_name_or_path; or merge the adapter first, and name the \
                 merged folder"
                    .into(),
            ),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Checkpoint(error) => error.message(),
            Self::Tokenizer(error) => error.message(),
            Self::NoBase { .. } => self.to_string(),
        }
    }

    fn tells_causes(&self) -> bool {
        match self {
            Self::Checkpoint(error) => error.tells_causes(),
            Self::Tokenizer(error) => error.tells_causes(),
            Self::NoBase { .. } => false,
        }
    }
}

/// Loads a model with its tokenizer.
///
/// # Errors
/// See [`PolicyError`].
pub fn load(place: &Path) -> Result<Loaded, PolicyError> {
    let folder = model_folder(place);
    let (decoder, tokenizer) = if folder.join(checkpoint::ADAPTER_CONFIG).is_file() {
        adapted(&folder)?
    } else {
        (checkpoint::read(&folder, Held::Whole)?.decoder, Tokenizer::read(&folder)?)
    };
    tokenizer.check(decoder.shape.vocabulary)?;
    Ok(Loaded { decoder, tokenizer, folder })
}

/// A training run stands for the model that it made.
#[must_use]
pub fn model_folder(folder: &Path) -> PathBuf {
    let made = folder.join("model");
    if !folder.join("config.json").is_file() && made.is_dir() { made } else { folder.to_owned() }
}

/// An adapter's folder stands for the model that it adapts.
fn adapted(folder: &Path) -> Result<(Decoder, Tokenizer), PolicyError> {
    checkpoint::check_adapter(folder)?;
    let config = checkpoint::read_json(&folder.join(checkpoint::ADAPTER_CONFIG))?;
    let base = PathBuf::from(config["base_model_name_or_path"].as_str().unwrap_or_default());
    if !base.join("config.json").is_file() {
        return Err(PolicyError::NoBase { adapter: folder.to_owned(), base });
    }
    let decoder = checkpoint::adopt(checkpoint::read(&base, Held::Whole)?.decoder, folder)?;
    let own = folder.join("tokenizer.json").is_file();
    Ok((decoder, Tokenizer::read(if own { folder } else { &base })?))
}
