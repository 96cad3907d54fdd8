//! A local model: a folder in Hugging Face format, a training run, or an adapter with
//! its base model.

use std::path::{Path, PathBuf};

use serde_json::Value;
use swegym_train::checkpoint::{self, Held};
use swegym_train::decoder::Decoder;
use swegym_train::tokenizer::Tokenizer;

use crate::error::CommandError;

/// A model that can be asked.
pub(crate) struct Loaded {
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Tokenizer,
    /// Where its files lie.
    pub(crate) folder: PathBuf,
}

/// Loads a model with its tokenizer.
pub(crate) fn load(place: &Path) -> Result<Loaded, CommandError> {
    let folder = super::train::model_folder(place);
    let (decoder, tokenizer) = if folder.join("adapter_config.json").is_file() {
        adapted(&folder)?
    } else {
        (checkpoint::read(&folder, Held::Whole)?.decoder, Tokenizer::read(&folder)?)
    };
    tokenizer.check(decoder.shape.vocabulary)?;
    Ok(Loaded { decoder, tokenizer, folder })
}

/// An adapter's folder stands for the model that it adapts.
fn adapted(folder: &Path) -> Result<(Decoder, Tokenizer), CommandError> {
    checkpoint::check_adapter(folder)?;
    let path = folder.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).map_err(|e| CommandError::file("read", &path, &e))?;
    let config: Value = serde_json::from_str(&text).unwrap_or_default();
    let base = config["base_model_name_or_path"].as_str().unwrap_or_default();
    let base = Path::new(base);
    if !base.join("config.json").is_file() {
        let message = format!("the model that `{}` adapts is not at `{}`", folder.display(), base.display());
        return Err(CommandError::usage(
            message,
            "put the model there, or mend base_model_name_or_path; or merge the adapter first, and name the merged folder",
        ));
    }
    let decoder = checkpoint::adopt(checkpoint::read(base, Held::Whole)?.decoder, folder)?;
    let own = folder.join("tokenizer.json").is_file();
    Ok((decoder, Tokenizer::read(if own { folder } else { base })?))
}
