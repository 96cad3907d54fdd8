//! Replacing and inserting: text in, text out.

use std::ops::Range;

use minijinja::Value as Blank;

use super::{Refused, Trouble, refuse};
use crate::profile::Generation;
use crate::tools::text::{line_of, without_tabs};

/// A file's new text, and the lines (from 1, end exclusive) that are new.
pub(super) struct Edit {
    pub(super) text: String,
    /// What undoing it brings back: the file as the edit saw it.
    pub(super) before: String,
    pub(super) lines: Range<usize>,
}

/// Replaces the one place where `old` stands.
pub(super) fn replace(
    generation: Generation,
    path: &str,
    file: &str,
    old: &str,
    new: &str,
) -> Result<Edit, Trouble> {
    let (file, old, new) = match generation {
        Generation::A => (without_tabs(file), without_tabs(old), without_tabs(new)),
        // The file keeps its tabs, so that what had one never matches: as it was.
        Generation::B => (file.to_owned(), without_tabs(old), without_tabs(new)),
        Generation::C => in_line_ends_of(file, old, new),
    };
    if old == new && generation != Generation::A {
        return Err(refuse("same_text", Vec::new()));
    }
    if old.is_empty() {
        return Err(refuse("no_match", vec![("path", path.into()), ("near", Blank::from(()))]));
    }
    let places: Vec<usize> = file.match_indices(&old).map(|(at, _)| at).collect();
    match places[..] {
        [at] => {
            let text = [&file[..at], &new, &file[at + old.len()..]].concat();
            let first = line_of(&file, at);
            Ok(Edit { text, before: file, lines: first..first + new.matches('\n').count() + 1 })
        }
        [] => {
            let trimmed = old.trim();
            let near =
                (generation == Generation::C && !trimmed.is_empty() && file.matches(trimmed).count() == 1)
                    .then(|| file.find(trimmed).map(|at| line_of(&file, at)))
                    .flatten();
            Err(refuse(
                "no_match",
                vec![("path", path.into()), ("near", near.map_or(Blank::from(()), Blank::from))],
            ))
        }
        _ => {
            // Generation B looks line by line, and so has no line for a text of several.
            let lines: Vec<String> = match generation {
                Generation::C => places.iter().map(|at| line_of(&file, *at).to_string()).collect(),
                Generation::A | Generation::B => {
                    let holds =
                        |(i, line): (usize, &str)| line.contains(old.as_str()).then(|| (i + 1).to_string());
                    file.split('\n').enumerate().filter_map(holds).collect()
                }
            };
            let blanks = vec![
                ("path", path.into()),
                ("count", places.len().into()),
                ("lines", format!("[{}]", lines.join(", ")).into()),
            ];
            Err(refuse("many_matches", blanks))
        }
    }
}

/// A file with carriage returns is edited by a model that writes none: where
/// the text as it stands is not there, it is meant in the file's own line ends.
fn in_line_ends_of(file: &str, old: &str, new: &str) -> (String, String, String) {
    let returns = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
    if file.contains("\r\n") && !file.contains(old) && file.contains(&returns(old)) {
        (file.to_owned(), returns(old), returns(new))
    } else {
        (file.to_owned(), old.to_owned(), new.to_owned())
    }
}

/// Puts `new` after a line; 0 is the top.
pub(super) fn insert(generation: Generation, file: &str, line: i64, new: &str) -> Result<Edit, Trouble> {
    let count = match generation {
        Generation::C => file.lines().count(),
        Generation::A | Generation::B => file.split('\n').count(),
    };
    let at = usize::try_from(line).ok().filter(|at| *at <= count);
    let at =
        at.ok_or_else(|| Refused("insert_line", vec![("line", line.into()), ("lines", count.into())]))?;
    if generation != Generation::C {
        let (file, new) = (without_tabs(file), without_tabs(new));
        let mut lines: Vec<&str> = file.split('\n').collect();
        let added: Vec<&str> = new.split('\n').collect();
        let end = at + 1 + added.len();
        lines.splice(at..at, added);
        return Ok(Edit { text: lines.join("\n"), before: file, lines: at + 1..end });
    }
    let end = if file.contains("\r\n") { "\r\n" } else { "\n" };
    let mut added = new.replace("\r\n", "\n").replace('\n', end);
    if !added.ends_with('\n') {
        added += end;
    }
    let mut before: String = file.split_inclusive('\n').take(at).collect();
    let after = &file[before.len()..];
    if !before.is_empty() && !before.ends_with('\n') {
        before += end;
    }
    let lines = at + 1..at + 1 + added.matches('\n').count();
    Ok(Edit { text: [&before, &added, after].concat(), before: file.to_owned(), lines })
}
