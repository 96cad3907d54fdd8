//! Context diffs, the form before the unified one, as hunks.

use super::Hunk;
use super::reader::NO_NEWLINE;

/// The line before each hunk.
const STARS: &str = "***************";

/// A line of one side: its mark, its text, and whether it has an end.
type Line<'a> = (u8, &'a str, bool);

/// Whether a file's section starts here.
pub(super) fn starts(rest: &[&str]) -> bool {
    matches!(rest, [old, new, stars, first, ..] if old.starts_with("*** ")
        && new.starts_with("--- ") && stars.starts_with(STARS) && range(first, "*** ", " ****").is_some())
}

/// Reads the hunks at the beginning of these lines, and says how many lines they take.
///
/// # Errors
/// How many lines there are before the one that is wrong, and what is wrong.
pub(super) fn read_hunks(rest: &[&str]) -> Result<(Vec<Hunk>, usize), (usize, &'static str)> {
    let mut hunks = Vec::new();
    let mut at = 0;
    while rest.get(at).is_some_and(|line| line.starts_with(STARS)) {
        at += 1;
        let head = |at: usize| (rest.get(at).copied().unwrap_or_default(), at);
        let (line, old_at) = head(at);
        let old = range(line, "*** ", " ****").ok_or((old_at, "a hunk does not say where it is"))?;
        let old_lines = side(&rest[at + 1..], b'-', old.1);
        at += 1 + taken(&old_lines);
        let (line, new_at) = head(at);
        let new = range(line, "--- ", " ----").ok_or((new_at, "a hunk has no second side"))?;
        let new_lines = side(&rest[at + 1..], b'+', new.1);
        at += 1 + taken(&new_lines);
        let lines =
            merged(&old_lines, &new_lines).ok_or((new_at, "the sides of a hunk do not belong together"))?;
        let count = |other: char| lines.iter().filter(|l| !l.starts_with([other, '\\'])).count();
        if (count('+'), count('-')) != (old.1, new.1) {
            return Err((new_at, "the hunk has other lines than its header says"));
        }
        if lines.is_empty() {
            return Err((new_at, "a hunk has no lines"));
        }
        hunks.push(Hunk { old_start: old.0, new_start: new.0, heading: String::new(), lines });
    }
    Ok((hunks, at))
}

/// `*** 3,7 ****` as its first line and how many there are; 0 is before the first.
fn range(line: &str, before: &str, after: &str) -> Option<(usize, usize)> {
    let text = line.strip_prefix(before)?.trim_end().strip_suffix(after)?;
    match text.split_once(',') {
        Some((first, last)) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            Some((first, (last + 1).checked_sub(first)?))
        }
        None => text.parse().ok().map(|first| (first, usize::from(first > 0))),
    }
}

/// The lines of one side, which are not there where nothing on it changes.
fn side<'a>(rest: &[&'a str], mark: u8, count: usize) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for line in rest {
        match line.as_bytes() {
            [b'\\', ..] if !lines.is_empty() => {
                if let Some(last) = lines.last_mut() {
                    last.2 = false;
                }
            }
            _ if lines.len() == count => break,
            [first, b' ', ..] if [b' ', b'!', mark].contains(first) => lines.push((*first, &line[2..], true)),
            // Blanks at the end of a line get lost.
            [] | [b' '] => lines.push((b' ', "", true)),
            _ => break,
        }
    }
    lines
}

/// How many lines of text a side takes.
fn taken(lines: &[Line<'_>]) -> usize {
    lines.iter().map(|(.., ends)| 1 + usize::from(!ends)).sum()
}

/// Both sides as one run of lines; a side that is not there is what the other one leaves.
fn merged(old: &[Line<'_>], new: &[Line<'_>]) -> Option<Vec<String>> {
    let (left, right) = (context(new), context(old));
    let (old, new) = (if old.is_empty() { &left } else { old }, if new.is_empty() { &right } else { new });
    let mut lines = Vec::new();
    let mut push = |mark: char, (_, text, ends): &Line<'_>| {
        lines.push(format!("{mark}{text}"));
        if !ends {
            lines.push(NO_NEWLINE.to_owned());
        }
    };
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        if let Some(line) = old.next_if(|l| l.0 != b' ') {
            push('-', line);
        } else if let Some(line) = new.next_if(|l| l.0 != b' ') {
            push('+', line);
        } else {
            match (old.next(), new.next()) {
                (None, None) => return Some(lines),
                (Some(one), Some(other)) if one == other => push(' ', one),
                _ => return None,
            }
        }
    }
}

/// The lines of a side that do not change.
fn context<'a>(lines: &[Line<'a>]) -> Vec<Line<'a>> {
    lines.iter().filter(|line| line.0 == b' ').copied().collect()
}

#[cfg(test)]
mod tests {
    use crate::Patch;

    #[test]
    fn a_context_diff_is_the_unified_one() {
        let text = "*** a/x.py\tMon\n--- b/x.py\tTue\n***************\n*** 1,5 ****\n  a\n! b\n! c\n  d\n- e\n--- 1,5 ----\n+ z\n  a\n! B\n! C\n  d\n***************\n*** 9 ****\n--- 9,10 ----\n  i\n+ j\n\\ No newline at end of file\n";
        let unified = "--- a/x.py\n+++ b/x.py\n@@ -1,5 +1,5 @@\n+z\n a\n-b\n-c\n+B\n+C\n d\n-e\n@@ -9 +9,2 @@\n i\n+j\n\\ No newline at end of file\n";
        assert_eq!(Patch::parse(text).unwrap().to_text(), unified);
    }

    #[test]
    fn a_context_diff_is_refused_for_what_others_are() {
        let text = "*** .git/config\n--- .git/config\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n";
        assert_eq!(Patch::parse(text).unwrap_err().code(), "patch_git_directory");
        let short = text.replace(".git/config", "x").replace("! b\n", "");
        assert_eq!(Patch::parse(&short).unwrap_err().code(), "patch_malformed");
        let nothing = "*** x\n--- x\n***************\n*** 0 ****\n--- 0 ----\n";
        assert_eq!(Patch::parse(nothing).unwrap_err().code(), "patch_malformed");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\*\\*\\* x\n--- x\n(\\*{15}\n|\\*\\*\\* [0-3](,[0-9])? \\*{4}\n|--- [0-3](,[0-9])? ----\n|[ !+-] [ab]\n|\\\\ No\n|\n){0,14}") {
            if let Ok(patch) = Patch::parse(&text) {
                assert_eq!(Patch::parse(&patch.to_text()).unwrap().to_text(), patch.to_text());
            }
        }
    }
}
