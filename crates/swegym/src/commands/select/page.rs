//! Selection as a page: curves over K, and how far scores can be believed.

use minijinja::{Environment, context};
use serde_json::Value;

use crate::error::CommandError;

const TEMPLATE: &str = include_str!("page.html");

/// Width and height of a chart's plane.
const PLANE: (f64, f64) = (420.0, 220.0);

/// Renders the page of a `selection.json`.
pub(super) fn render(value: &Value) -> Result<String, CommandError> {
    let mut environment = Environment::new();
    environment.add_template("page.html", TEMPLATE).map_err(std::io::Error::other)?;
    let template = environment.get_template("page.html").map_err(std::io::Error::other)?;
    let ways = value["ways"].as_object();
    let most = ways.into_iter().flatten().filter_map(|(_, c)| c.as_array().map(Vec::len)).max().unwrap_or(1);
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    for (index, (way, curve)) in ways.into_iter().flatten().enumerate() {
        let points = curve.as_array().map(Vec::as_slice).unwrap_or_default();
        if index == 0 {
            lines.push(
                context! { name => "any (Pass@K)", line => line(points, "pass", most), class => "pass" },
            );
        }
        lines.push(
            context! { name => way, line => line(points, "best", most), class => format!("way{index}") },
        );
        for point in points {
            let number = |path: &str| point.pointer(path).and_then(Value::as_f64).map(|x| 100.0 * x);
            let tell = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.1}"));
            rows.push(context! {
                way, k => point["k"].as_u64(), pass => tell(number("/pass/mean")), best => tell(number("/best/mean")),
                low => tell(number("/best/low")), high => tell(number("/best/high")),
                conversion => tell(number("/conversion/mean")),
            });
        }
    }
    let bins: Vec<_> = value["reliability"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|bin| {
            let (score, resolved) = (bin["score"].as_f64()?, bin["resolved"].as_f64()?);
            Some(context! {
                x => format!("{:.1}", score * PLANE.0), y => format!("{:.1}", (1.0 - resolved) * PLANE.1),
                r => format!("{:.1}", 3.0 + bin["attempts"].as_f64()?.sqrt().min(12.0)),
                title => format!("score {score:.2}, resolved {resolved:.2}, {} attempts", bin["attempts"]),
            })
        })
        .collect();
    let page = template.render(context! {
        run => value["run"].as_str(), instances => value["instances"].as_u64(),
        attempts => value["attempts"].as_u64(), width => PLANE.0, height => PLANE.1, lines, rows, bins, most,
        auc => value["auc"].as_f64(), within => value["auc_within"].as_f64(),
        error => value["calibration_error"].as_f64(),
    });
    Ok(page.map_err(std::io::Error::other)?)
}

/// A curve over K, its scale from nothing to everything.
fn line(points: &[Value], of: &str, most: usize) -> String {
    let place = |point: &Value| {
        let (k, rate) = (point["k"].as_f64()?, point[of]["mean"].as_f64()?);
        let x = if most > 1 { (k - 1.0) / (most as f64 - 1.0) } else { 0.5 };
        Some(format!("{:.1},{:.1}", x * PLANE.0, (1.0 - rate) * PLANE.1))
    };
    points.iter().filter_map(place).collect::<Vec<_>>().join(" ")
}
