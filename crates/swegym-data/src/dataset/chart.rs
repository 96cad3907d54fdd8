//! A bar chart of a dataset's repositories, one panel per measure.

use minijinja::{Environment, context};
use swegym_console::error::CommandError;
use swegym_core::visible::visible_in_html;
use swegym_tasks::dataset::statistics::{Measure, Sample, Statistics};

const TEMPLATE: &str = include_str!("chart.svg");

/// Bars of a panel; the other repositories are one bar less to read.
const MOST_BARS: usize = 40;

/// Draws the number of instances and the mean of each measure.
pub(super) fn draw(title: &str, statistics: &Statistics) -> Result<String, CommandError> {
    let mut repositories: Vec<_> = statistics.repositories.iter().collect();
    repositories.sort_by_key(|(name, sample)| (std::cmp::Reverse(sample.instances), *name));
    let left_out = repositories.len().saturating_sub(MOST_BARS);
    repositories.truncate(MOST_BARS);
    let panel = |title: &str, value: &dyn Fn(&Sample) -> Option<f64>| {
        let values = repositories.iter().filter_map(|(_, sample)| value(sample));
        let largest = values.fold(f64::MIN_POSITIVE, f64::max);
        let bars: Vec<_> = repositories
            .iter()
            .map(|(_, sample)| {
                let value = value(sample);
                context! { share => value.unwrap_or(0.0) / largest, label => label(value) }
            })
            .collect();
        context! { title, all => label(value(&statistics.all)), bars }
    };
    let mut panels = vec![panel("instances", &|sample| Some(sample.instances as f64))];
    panels.extend(Measure::ALL.map(|measure| panel(measure.title(), &|sample| sample.mean(measure))));
    let names: Vec<_> = repositories.iter().map(|(name, _)| name.as_str()).collect();
    let mut environment = Environment::new();
    // The ending says that text is escaped.
    environment.add_template("chart.html", TEMPLATE).map_err(std::io::Error::other)?;
    let template = environment.get_template("chart.html").map_err(std::io::Error::other)?;
    let drawn = template.render(context! { title, names, panels, left_out });
    Ok(visible_in_html(&drawn.map_err(std::io::Error::other)?).into_owned())
}

fn label(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(whole) if whole.fract() == 0.0 => format!("{whole:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}
