//! Imports a model that another framework trained.

use std::path::Path;

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_train::checkpoint::{self, Held};
use swegym_train::tokenizer::Tokenizer;

use crate::export::settings::ExportSettings;

/// Reads a model or an adapter with every tensor checked, and writes it with
/// its tokenizer where `serve` and `train` find it.
pub(super) fn run(printer: Printer, folder: &Path, settings: &ExportSettings) -> Result<u8, CommandError> {
    let own = folder.join("tokenizer.json").is_file();
    let beside = match (&settings.model, own) {
        (_, true) => folder.to_owned(),
        (Some(model), false) => swegym_train::policy::model_folder(model),
        (None, false) => {
            let message = format!("`{}` has no tokenizer.json", folder.display());
            return Err(CommandError::usage(message, "--model names the folder of the model it came from"));
        }
    };
    let tokenizer = Tokenizer::read(&beside)?;
    let kind = if folder.join("adapter_config.json").is_file() {
        let base = settings.model.as_ref().ok_or_else(|| {
            let message = format!("`{}` is an adapter", folder.display());
            CommandError::usage(message, "--model names the folder of the model that it adapts")
        })?;
        let base = std::path::absolute(swegym_train::policy::model_folder(base))?;
        let decoder = checkpoint::read(&base, Held::Half)?.decoder;
        tokenizer.check(decoder.shape.vocabulary)?;
        let adapter = checkpoint::read_adapter(folder, &decoder)?;
        checkpoint::write_adapter(&settings.out, &adapter, &base.display().to_string(), tokenizer.files())?;
        "adapter"
    } else {
        let found = checkpoint::read(folder, Held::Whole)?;
        tokenizer.check(found.decoder.shape.vocabulary)?;
        let config = Some(&found.config);
        checkpoint::write(&settings.out, &found.decoder, config, found.precision, tokenizer.files())?;
        "model"
    };
    let table = vec![
        ["kind", "out"].map(str::to_owned).to_vec(),
        vec![kind.to_owned(), settings.out.display().to_string()],
    ];
    printer.result(&json!({"kind": kind, "out": settings.out}), &table);
    Ok(exit::DONE)
}
