//! `dataset stats`: counts per repository.

use std::path::Path;

use serde_json::{Map, Value, json};
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_tasks::dataset::RowText;
use swegym_tasks::dataset::statistics::{Counts, Measure, Sample, Statistics};

use super::{Workplace, chart, each};

/// Counts what the paper counts, and draws it where that is wanted; gives the exit code.
///
/// # Errors
/// The dataset cannot be read.
pub fn run(at: &Workplace, dataset: &Path, picture: Option<&Path>) -> Result<u8, CommandError> {
    let printer = at.printer;
    picture.map_or(Ok(()), |picture| text::refuse_overwriting(dataset, picture))?;
    let mut statistics = Statistics::default();
    let count = |row: &RowText| Ok(Counts::of(&row.own_fields()?));
    let unreadable = each(at, "stats", dataset, count, |counts| {
        statistics.add(&counts);
        Ok(())
    })?;
    if statistics.all.instances == 0 {
        return Err(CommandError::nothing(
            format!("`{}` has no instance that can be read", dataset.display()),
            "check that this is the file you meant; `swegym dataset check` says what is wrong",
        ));
    }
    let mut table = vec![header()];
    table.push(row("all", &statistics.all));
    table.extend(statistics.repositories.iter().map(|(name, sample)| row(name, sample)));
    let repositories: Map<String, Value> =
        statistics.repositories.iter().map(|(name, sample)| (name.clone(), numbers(sample))).collect();
    let value = json!({
        "dataset": dataset, "unreadable": unreadable.count,
        "all": numbers(&statistics.all), "repositories": repositories,
    });
    printer.result(&value, &table);
    let odd = statistics.all.unreadable_patches;
    if odd > 0 {
        printer.say(&format!("{odd} gold patches cannot be read and count in no mean of one"));
    }
    if let Some(path) = picture {
        let title = dataset.file_name().unwrap_or_default().to_string_lossy();
        text::write(path, &chart::draw(&title, &statistics)?)?;
        printer.say(&format!("chart in {}", path.display()));
    }
    Ok(unreadable.tell(printer, dataset))
}

fn header() -> Vec<String> {
    let measures = Measure::ALL.map(|m| m.title().to_owned());
    ["repository".to_owned(), "instances".to_owned()].into_iter().chain(measures).collect()
}

fn row(name: &str, sample: &Sample) -> Vec<String> {
    let mean = |measure| sample.mean(measure).map_or("-".to_owned(), |mean| format!("{mean:.1}"));
    [name.to_owned(), sample.instances.to_string()].into_iter().chain(Measure::ALL.map(mean)).collect()
}

fn numbers(sample: &Sample) -> Value {
    let mut value = json!({"instances": sample.instances, "unreadable_patches": sample.unreadable_patches});
    for measure in Measure::ALL {
        value[measure.name()] = json!({
            "mean": sample.mean(measure), "median": sample.median(measure), "max": sample.largest(measure),
        });
    }
    value
}
