//! A training run as a page: its curves, read from `metrics.jsonl` only.

use std::path::Path;

use minijinja::{Environment, context};
use serde_json::Value;
use swegym_console::error::CommandError;
use swegym_console::text;
use swegym_core::visible::visible_in_html;

const TEMPLATE: &str = include_str!("curves.html");

/// The curves of the page, by the field that they draw.
const CURVES: [(&str, &str); 6] = [
    ("loss", "loss"),
    ("held_out_loss", "loss on what is held out"),
    ("accuracy", "share of tokens that were the likeliest"),
    ("gradient", "length of the gradient"),
    ("rate", "learning rate"),
    ("tokens_per_second", "tokens a second"),
];

/// Points of a curve at most; more than a screen shows.
const MOST_POINTS: usize = 600;

/// Writes `report.html` of a run.
pub(super) fn write(folder: &Path) -> Result<(), CommandError> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let rows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let panels: Vec<_> = CURVES.iter().filter_map(|(field, title)| panel(&rows, field, title)).collect();
    let mut environment = Environment::new();
    environment.add_template("curves.html", TEMPLATE).map_err(std::io::Error::other)?;
    let template = environment.get_template("curves.html").map_err(std::io::Error::other)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let page = template.render(context! { name, panels }).map_err(std::io::Error::other)?;
    text::write(&folder.join("report.html"), &visible_in_html(&page))
}

fn panel(rows: &[Value], field: &str, title: &str) -> Option<minijinja::Value> {
    let points: Vec<(f64, f64)> =
        rows.iter().filter_map(|row| Some((row["step"].as_f64()?, row[field].as_f64()?))).collect();
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let (first, last) = (points.first()?, points.last()?);
    let least = points.iter().fold(f64::MAX, |least, p| least.min(p.1));
    let most = points.iter().fold(f64::MIN, |most, p| most.max(p.1));
    let (width, height) = ((last.0 - first.0).max(1.0), (most - least).max(f64::MIN_POSITIVE));
    let place = |(x, y): &(f64, f64)| {
        format!("{:.1},{:.1}", (x - first.0) / width * 400.0, (most - y) / height * 120.0)
    };
    let line: Vec<String> = points.iter().step_by(every).chain([last]).map(place).collect();
    let label = |x: f64| if x != 0.0 && x.abs() < 1e-3 { format!("{x:.2e}") } else { format!("{x:.4}") };
    Some(context! {
        title,
        line => line.join(" "),
        most => label(most),
        least => label(least),
        last => label(last.1),
        from => first.0,
        to => last.0,
    })
}
