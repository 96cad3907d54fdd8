//! A page of tables and charts in one self-contained file. The same content is written
//! as a document beside the page, so that `report` can show it again.

use std::path::{Path, PathBuf};

use minijinja::{Environment, context};
use serde_json::{Value, json};
use swegym_core::format::{FormatError, Problem};
use swegym_core::visible::visible_in_html;

use crate::error::CommandError;
use crate::text;

/// The document beside the page.
const DOCUMENT: &str = "sheet.json";
const VERSION: u64 = 1;

const TEMPLATE: &str = include_str!("sheet/page.html");

/// Width and height of a chart's plane.
const PLANE: (f64, f64) = (440.0, 220.0);

/// A page under construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    title: String,
    lead: String,
    parts: Vec<Part>,
}

/// A heading with what belongs under it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Part {
    /// The heading.
    pub title: String,
    /// What there is to say.
    pub words: String,
    /// Rows, the first of which is the head; none where there is no table.
    pub table: Vec<Vec<String>>,
    /// Lines of one chart; none where there is none.
    pub lines: Vec<Line>,
    /// What is to the right.
    pub across: String,
}

/// A curve with its uncertainty.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: Vec<Point>,
}

/// Where along, how much, and between what.
pub type Point = (f64, f64, Option<(f64, f64)>);

impl Sheet {
    /// A page without parts.
    #[must_use]
    pub fn new(title: &str, lead: impl Into<String>) -> Self {
        Self { title: title.to_owned(), lead: lead.into(), parts: Vec::new() }
    }

    /// Adds a part at its end.
    pub fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// Writes `report.html` and its document into a folder; gives the page's place.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, CommandError> {
        text::write(&folder.join(DOCUMENT), &format!("{:#}\n", self.to_json()))?;
        self.write_page(&folder.join("report.html"))
    }

    /// Writes the page alone.
    ///
    /// # Errors
    /// Its place cannot be written to.
    pub fn write_page(&self, path: &Path) -> Result<PathBuf, CommandError> {
        text::write(path, &self.render()?)?;
        Ok(path.to_owned())
    }

    /// Reads the document of a folder; nothing where there is none.
    ///
    /// # Errors
    /// The document is damaged, or of a newer version.
    pub fn read(folder: &Path) -> Result<Option<Self>, CommandError> {
        let path = folder.join(DOCUMENT);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| CommandError::file("read", &path, &e))?,
        };
        let file = path.to_string_lossy();
        let value: Value = serde_json::from_str(&text)
            .map_err(|e| FormatError::new(&file, e.line(), Problem::Json(e.to_string())))?;
        if let Some(found) = value["version"].as_u64().filter(|found| *found > VERSION) {
            return Err(FormatError::new(&file, 1, Problem::Newer { found, known: VERSION }).into());
        }
        let sheet = Self::from_json(&value).filter(|_| value["version"] == VERSION);
        sheet.map(Some).ok_or_else(|| {
            let message = format!("`{}` is no sheet of version {VERSION}", path.display());
            CommandError::usage(message, "make the folder again with this version of swegym")
        })
    }

    /// Several sheets as one: their parts, under the names of what they are of.
    #[must_use]
    pub fn side_by_side(sheets: Vec<(String, Self)>) -> Self {
        let part = |(of, sheet): (String, Self)| {
            let named = move |part: Part| Part { title: format!("{of}: {}", part.title), ..part };
            sheet.parts.into_iter().map(named)
        };
        let lead = "What several runs found, side by side.".to_owned();
        Self { title: "Runs".to_owned(), lead, parts: sheets.into_iter().flat_map(part).collect() }
    }

    /// Title and table of each part that has one.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &[Vec<String>])> {
        let with_table = self.parts.iter().filter(|part| !part.table.is_empty());
        with_table.map(|part| (part.title.as_str(), part.table.as_slice()))
    }

    /// The document beside the page.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let point = |(x, y, bar): &Point| match bar {
            Some((low, high)) => json!([x, y, low, high]),
            None => json!([x, y]),
        };
        let line = |line: &Line| {
            let points: Vec<Value> = line.points.iter().map(point).collect();
            json!({"name": line.name, "points": points})
        };
        let part = |part: &Part| {
            let lines: Vec<Value> = part.lines.iter().map(line).collect();
            json!({
                "title": part.title, "words": part.words, "table": part.table, "across": part.across,
                "lines": lines,
            })
        };
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        json!({"version": VERSION, "title": self.title, "lead": self.lead, "parts": parts})
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let texts = |row: &Value| row.as_array()?.iter().map(text).collect::<Option<Vec<_>>>();
        let point = |point: &Value| {
            let number = |at: usize| point.get(at).and_then(Value::as_f64);
            Some((number(0)?, number(1)?, number(2).zip(number(3))))
        };
        let line = |line: &Value| {
            let points = line["points"].as_array()?.iter().map(point).collect::<Option<_>>()?;
            Some(Line { name: text(&line["name"])?, points })
        };
        let part = |part: &Value| {
            Some(Part {
                title: text(&part["title"])?,
                words: text(&part["words"])?,
                table: part["table"].as_array()?.iter().map(texts).collect::<Option<_>>()?,
                lines: part["lines"].as_array()?.iter().map(line).collect::<Option<_>>()?,
                across: text(&part["across"])?,
            })
        };
        let parts = value["parts"].as_array()?.iter().map(part).collect::<Option<_>>()?;
        Some(Self { title: text(&value["title"])?, lead: text(&value["lead"])?, parts })
    }

    fn render(&self) -> Result<String, CommandError> {
        let mut environment = Environment::new();
        environment.add_template("page.html", TEMPLATE).map_err(std::io::Error::other)?;
        let template = environment.get_template("page.html").map_err(std::io::Error::other)?;
        let part = |part: &Part| {
            let (head, rows) = part.table.split_first().map_or((None, &[][..]), |(h, rows)| (Some(h), rows));
            context! { title => part.title, words => part.words, head, rows, chart => chart(part) }
        };
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        let page = context! {
            title => self.title, lead => self.lead, parts, width => PLANE.0, height => PLANE.1,
            version => env!("CARGO_PKG_VERSION"),
        };
        let page = template.render(page).map_err(std::io::Error::other)?;
        Ok(visible_in_html(&page).into_owned())
    }
}

/// The chart of a part, in units of the plane.
fn chart(part: &Part) -> Option<minijinja::Value> {
    let points = || part.lines.iter().flat_map(|line| &line.points);
    let widest = |of: &dyn Fn(&Point) -> [f64; 2]| {
        points()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), [a, b]| (low.min(a), high.max(b)))
    };
    points().next()?;
    let (left, right) = widest(&|p| [p.0, p.0]);
    let (low, high) = widest(&|p| p.2.map_or([p.1, p.1], |(low, high)| [low, high]));
    let low = low.min(0.0);
    let x = |at: f64| if right > left { (at - left) / (right - left) * PLANE.0 } else { PLANE.0 / 2.0 };
    let y = |at: f64| (1.0 - (at - low) / (high - low).max(1e-9)) * PLANE.1;
    let line = |(index, line): (usize, &Line)| {
        let path: Vec<String> = line.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let bar = |p: &Point| {
            let (low, high) = p.2?;
            Some(
                context! { x => format!("{:.1}", x(p.0)), low => format!("{:.1}", y(low)), high => format!("{:.1}", y(high)) },
            )
        };
        let dots: Vec<_> = line
            .points
            .iter()
            .map(|p| context! { x => format!("{:.1}", x(p.0)), y => format!("{:.1}", y(p.1)), tell => format!("{} at {}: {:.2}", line.name, p.0, p.1) })
            .collect();
        let bars: Vec<_> = line.points.iter().filter_map(bar).collect();
        context! { name => line.name, way => index % 6, path => path.join(" "), bars, dots }
    };
    let lines: Vec<_> = part.lines.iter().enumerate().map(line).collect();
    Some(context! {
        lines, left => tell(left), right => tell(right), low => tell(low), high => tell(high), across => part.across,
    })
}

fn tell(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_charts_are_on_the_page_and_nothing_untrusted_is_code() {
        let mut sheet = Sheet::new("Found", "Two <rounds>.");
        sheet.push(Part {
            title: "Resolved".to_owned(),
            table: vec![
                vec!["round".to_owned(), "%".to_owned()],
                vec!["0".to_owned(), "<b>4</b>\u{202e}5".to_owned()],
            ],
            lines: vec![Line {
                name: "policy".to_owned(),
                points: vec![(0.0, 4.0, Some((2.0, 6.0))), (1.0, 40.0, None)],
            }],
            across: "round".to_owned(),
            ..Part::default()
        });
        sheet.push(Part { title: "Empty".to_owned(), ..Part::default() });
        assert_eq!(Sheet::from_json(&sheet.to_json()).unwrap(), sheet);
        let page = sheet.render().unwrap();
        assert!(page.contains("points=\"0.0,198.0 440.0,0.0\""), "{page}");
        assert!(page.contains("&lt;rounds&gt;") && !page.contains("<b>4"), "{page}");
        assert!(page.contains("&lt;U+202E&gt;5") && !page.contains('\u{202e}'), "{page}");
    }
}
