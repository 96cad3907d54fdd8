//! The two sides of a file's change as lines that know whether the change made
//! them.

use crate::patch::{FilePatch, Hunk};

/// One line of one side of a change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// From 1, in the file.
    pub(super) number: usize,
    /// Without its mark and its end.
    pub(super) text: &'a str,
    /// Whether the change added it.
    pub(super) fresh: bool,
}

/// Lines that follow each other: a whole file, or what one hunk shows of it.
#[derive(Debug)]
pub(super) struct Passage<'a> {
    pub(super) lines: Vec<Line<'a>>,
    /// Whether the file begins with it, so that nothing before it is unknown.
    pub(super) whole: bool,
}

/// The file as the change leaves it: whole where its old text is known and the
/// hunks fit, or where the change creates it.
pub(super) fn after<'a>(file: &'a FilePatch, base: Option<&'a str>) -> Vec<Passage<'a>> {
    if let Some(lines) = base.and_then(|base| applied(&file.hunks, base)) {
        return vec![Passage { lines, whole: true }];
    }
    let whole = file.old_path.is_none();
    let side = |hunk: &'a Hunk| Passage { lines: side(hunk, hunk.new_start, '-'), whole };
    file.hunks.iter().map(side).collect()
}

/// The file as it was before: whole where its text is known. All its lines count
/// as fresh, so that what was there is found by the same rules.
pub(super) fn before<'a>(file: &'a FilePatch, base: Option<&'a str>) -> Vec<Passage<'a>> {
    let old = |lines: Vec<Line<'a>>, whole| Passage {
        lines: lines.into_iter().map(|line| Line { fresh: true, ..line }).collect(),
        whole,
    };
    if let Some(base) = base {
        return vec![old(numbered(base).collect(), true)];
    }
    file.hunks.iter().map(|hunk| old(side(hunk, hunk.old_start, '+'), false)).collect()
}

/// One side of a hunk: all its lines but those with the other side's mark.
fn side<'a>(hunk: &'a Hunk, start: usize, other: char) -> Vec<Line<'a>> {
    let shown = hunk.lines.iter().filter(|line| !line.starts_with([other, '\\']));
    let line = |(at, line): (usize, &'a String)| Line {
        number: start + at,
        text: bare(line),
        fresh: line.starts_with('+'),
    };
    shown.enumerate().map(line).collect()
}

/// A line of a hunk without its mark and without the carriage return.
fn bare(line: &str) -> &str {
    let text = line.get(1..).unwrap_or_default();
    text.strip_suffix('\r').unwrap_or(text)
}

fn numbered(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines().enumerate().map(|(at, text)| Line { number: at + 1, text, fresh: false })
}

/// A text with the hunks put on; nothing where a hunk does not fit.
fn applied<'a>(hunks: &'a [Hunk], base: &'a str) -> Option<Vec<Line<'a>>> {
    let old: Vec<&str> = base.lines().collect();
    let mut new: Vec<(&str, bool)> = Vec::new();
    let mut at = 0;
    for hunk in hunks {
        let removes_or_keeps = hunk.lines.iter().any(|line| !line.starts_with(['+', '\\']));
        // A hunk that only adds says behind which line.
        let start = if removes_or_keeps { hunk.old_start.checked_sub(1)? } else { hunk.old_start };
        new.extend(old.get(at..start)?.iter().map(|text| (*text, false)));
        at = start;
        for line in hunk.lines.iter().filter(|line| !line.starts_with('\\')) {
            if line.starts_with('+') {
                new.push((bare(line), true));
                continue;
            }
            if old.get(at).copied() != Some(bare(line)) {
                return None;
            }
            if !line.starts_with('-') {
                new.push((bare(line), false));
            }
            at += 1;
        }
    }
    new.extend(old.get(at..)?.iter().map(|text| (*text, false)));
    let line = |(at, (text, fresh)): (usize, (&'a str, bool))| Line { number: at + 1, text, fresh };
    Some(new.into_iter().enumerate().map(line).collect())
}
