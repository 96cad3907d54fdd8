//! `store`: the store of images.

use std::collections::HashSet;

use serde_json::json;
use swegym_console::error::CommandError;
use swegym_console::exit;
use swegym_console::printer::Printer;
use swegym_console::progress::Bar;
use swegym_method::settings::Settings;
use swegym_runner::snapshots;
use swegym_sandbox::Store;

use crate::args::{GcArgs, StoreVerb};

pub(crate) fn run(settings: &Settings, printer: Printer, verb: &StoreVerb) -> Result<u8, CommandError> {
    let store = Store::open(&settings.home)?;
    match verb {
        StoreVerb::List => list(&store, printer),
        StoreVerb::Gc(args) => gc(&store, printer, args),
    }
}

fn list(store: &Store, printer: Printer) -> Result<u8, CommandError> {
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
            mebibytes(bytes),
        ]);
        rows.push(json!({"image": name, "package": package, "layers": image.layers.len(), "files": files, "bytes": bytes}));
    }
    printer.result(&json!({"store": store.home(), "images": rows}), &table);
    Ok(exit::DONE)
}

/// Whatever a run that is still there may go on from stays.
fn gc(store: &Store, printer: Printer, args: &GcArgs) -> Result<u8, CommandError> {
    let (mut runs, gone): (Vec<_>, Vec<_>) = store.runs()?.into_iter().partition(|run| run.is_dir());
    for run in &args.runs {
        if !swegym_data::run_view::RunView::is_at(run) {
            let hint = "give the folder of a run, or leave --run away";
            return Err(CommandError::usage(format!("`{}` holds no run", run.display()), hint));
        }
        if !args.dry_run {
            store.note_run(run)?;
        }
        runs.push(run.clone());
    }
    let mut wanted = HashSet::new();
    for run in &runs {
        wanted.extend(snapshots::named_by(run, args.keep_unfinished_only)?);
    }
    let sweeping = Bar::waiting(printer, "store gc", "looking through the store");
    let swept = store.sweep(&wanted, !args.dry_run)?;
    if !args.dry_run {
        for run in &gone {
            store.forget_run(run)?;
        }
    }
    drop(sweeping);
    let table = [
        ("runs whose snapshots stay", runs.len().to_string()),
        ("their snapshots", wanted.len().to_string()),
        ("runs that are gone", gone.len().to_string()),
        (if args.dry_run { "layers that would go" } else { "layers taken away" }, swept.layers.to_string()),
        ("files", swept.files.to_string()),
        ("MiB", mebibytes(swept.bytes)),
    ];
    let value = json!({
        "store": store.home(),
        "dry_run": args.dry_run,
        "runs": runs,
        "gone": gone,
        "snapshots": wanted.len(),
        "freed": {"layers": swept.layers, "files": swept.files, "bytes": swept.bytes},
    });
    printer.result(&value, &table.map(|(what, number)| vec![what.to_owned(), number]));
    Ok(exit::DONE)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}
