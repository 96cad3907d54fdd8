//! Steps of a method that are done (`steps.jsonl`): a line each, in the order in which
//! they were taken. A line that was cut by a crash is a step that is not done.

use serde_json::json;

use super::row::Row;
use super::{FormatError, Problem};

/// The file's name.
pub const FILE: &str = "steps.jsonl";

/// A step that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Its name: that of the folder or file which it made.
    pub step: String,
    /// All that decided what it made; nothing in files of releases that wrote command
    /// lines.
    pub settings: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Reads a file up to its last whole line; gives the length of what was read, too.
///
/// # Errors
/// What is wrong, with the line.
pub fn read(file: &str, text: &str) -> Result<(Vec<Taken>, usize), FormatError> {
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let mut taken = Vec::new();
    for (index, line) in text[..whole].lines().enumerate() {
        let mut row = Row::strict(file, index + 1, line.as_bytes())?;
        let step = row.string("step")?;
        let settings = if row.has("settings") { Some(row.string("settings")?) } else { None };
        let seconds = row.take("seconds");
        let seconds = seconds.and_then(|value| value.as_f64());
        let seconds = seconds.ok_or_else(|| row.error(Problem::Missing("seconds")))?;
        taken.push(Taken { step, settings, seconds });
    }
    Ok((taken, whole))
}

/// A step as a line.
#[must_use]
pub fn line(taken: &Taken) -> String {
    let Taken { step, settings, seconds } = taken;
    format!("{}\n", json!({"step": step, "settings": settings, "seconds": seconds}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_line_is_none() {
        let taken = Taken { step: "data".into(), settings: Some("Curate(…)".into()), seconds: 1.5 };
        let text = line(&taken);
        assert_eq!(read("f", &format!("{text}{{\"step\": \"mo")).unwrap(), (vec![taken.clone()], text.len()));
        // Releases before wrote the words of a command.
        let old = "{\"step\": \"data\", \"words\": [\"curate\"], \"seconds\": 2}\n";
        assert_eq!(read("f", old).unwrap().0[0], Taken { settings: None, seconds: 2.0, ..taken });
        let error = read("f", &format!("{old}{{}}\n")).unwrap_err();
        assert_eq!(error.line, Some(2));
    }
}
