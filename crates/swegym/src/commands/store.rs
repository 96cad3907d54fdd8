//! The store of images.

use serde_json::json;
use swegym_sandbox::Store;

use crate::args::StoreVerb;
use crate::error::CommandError;
use crate::exit;
use crate::printer::Printer;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, printer: Printer, verb: StoreVerb) -> Result<u8, CommandError> {
    let StoreVerb::List = verb;
    let store = Store::open(&settings.home)?;
    let mut table = vec![["image", "package", "layers", "files", "MiB"].map(str::to_owned).to_vec()];
    let mut rows = Vec::new();
    for (name, image) in store.images()? {
        let mut files = 0;
        let mut bytes = 0;
        for layer in &image.layers {
            let stats = store.layer_stats(*layer)?;
            files += stats.files;
            bytes += stats.bytes;
        }
        let package = image.labels.get("swegym.package").cloned().unwrap_or_default();
        table.push(vec![
            name.clone(),
            package.clone(),
            image.layers.len().to_string(),
            files.to_string(),
            format!("{:.1}", bytes as f64 / f64::from(1 << 20)),
        ]);
        rows.push(json!({"image": name, "package": package, "layers": image.layers.len(), "files": files, "bytes": bytes}));
    }
    printer.result(&json!({"store": store.home(), "images": rows}), &table);
    Ok(exit::DONE)
}
