//! A file's part of a patch, written as git writes it.
//!
//! That it is to the byte is not taken for granted: an [`Original`] is only
//! learnt from a section of git's own that it would have written alike.

use std::fmt::Write as _;
use std::ops::Range;

use imara_diff::sources::lines;
use imara_diff::{Algorithm, Diff, Hunk, InternedInput};
use sha1::{Digest as _, Sha1};
use swegym_core::id::hex;

use super::index::Blob;

/// Lines around a change.
const CONTEXT: u32 = 3;
/// Longest line shown beside a hunk's numbers, in bytes (git's `xdiff/xemit.c`).
const HEADING: usize = 80;
/// So many bytes git looks at to tell binary files.
const LOOKED_AT: usize = 8000;

/// A text file as the commit has it, and how git names it.
#[derive(Debug)]
pub(super) struct Original {
    text: String,
    /// The blob's name, as short as git shows it.
    id: String,
    /// Digits of the names of what comes later.
    digits: usize,
    pub(super) executable: bool,
}

impl Original {
    /// Of a file that git has just compared, from what it holds now. `None` where
    /// that is not the blob, or where attributes or settings make git write
    /// something else than we do.
    pub(super) fn learn(path: &str, blob: Blob, section: &str, now: &str) -> Option<Self> {
        let text = take_back(section, now)?;
        let names = section.lines().find_map(|line| line.strip_prefix("index "))?;
        let (old, new) = names.split_once(' ')?.0.split_once("..")?;
        if blob_id(&text) != blob.id {
            return None;
        }
        let original = Self { text, id: old.to_owned(), digits: new.len(), executable: blob.executable };
        (original.section(path, now)? == section).then_some(original)
    }

    /// The section for what the file holds now; empty where it holds the same,
    /// `None` where git may see more in it than text.
    pub(super) fn section(&self, path: &str, now: &str) -> Option<String> {
        if *now == self.text {
            return Some(String::new());
        }
        let looks_binary = now.as_bytes()[..now.len().min(LOOKED_AT)].contains(&0);
        // Where attributes ask for it, git takes line ends for others.
        let has_new_ends = now.contains('\r') && !self.text.contains('\r');
        if looks_binary || has_new_ends {
            return None;
        }
        let id = hex(&blob_id(now));
        let mode = if self.executable { "100755" } else { "100644" };
        let mut section = format!(
            "diff --git a/{path} b/{path}\nindex {}..{} {mode}\n--- a/{path}\n+++ b/{path}\n",
            self.id,
            id.get(..self.digits)?
        );
        write_hunks(&mut section, &self.text, now)?;
        Some(section)
    }
}

/// Whether git writes a name as it is, with nothing around or behind it.
pub(super) fn is_plain(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

fn blob_id(text: &str) -> [u8; 20] {
    let mut hash = Sha1::new_with_prefix(format!("blob {}\0", text.len()));
    hash.update(text);
    hash.finalize().into()
}

/// Changes with the lines around them; `None` where a heading would be cut
/// within a letter.
fn write_hunks(section: &mut String, old: &str, new: &str) -> Option<()> {
    let input = InternedInput::new(lines(old), lines(new));
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_lines(&input);
    let old: Vec<&str> = lines(old).collect();
    let new: Vec<&str> = lines(new).collect();
    let changes: Vec<Hunk> = diff.hunks().collect();
    let near = |a: &Hunk, b: &Hunk| b.before.start - a.before.end <= 2 * CONTEXT;
    for group in changes.chunk_by(near) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let lead = first.before.start.min(CONTEXT);
        let tail = (old.len() as u32 - last.before.end).min(CONTEXT);
        let before = first.before.start - lead..last.before.end + tail;
        let after = first.after.start - lead..last.after.end + tail;
        let _ = write!(section, "@@ -{} +{} @@", span(&before), span(&after));
        if let Some(heading) = heading(&old[..before.start as usize])? {
            section.push(' ');
            section.push_str(heading);
        }
        section.push('\n');
        let mut at = before.start;
        for change in group {
            write_lines(section, ' ', &old, at..change.before.start);
            write_lines(section, '-', &old, change.before.clone());
            write_lines(section, '+', &new, change.after.clone());
            at = change.before.end;
        }
        write_lines(section, ' ', &old, at..before.end);
    }
    Some(())
}

/// The first line and how many, as unified diffs have them.
fn span(lines: &Range<u32>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => (lines.start + 1).to_string(),
        length => format!("{},{length}", lines.start + 1),
    }
}

fn write_lines(section: &mut String, mark: char, all: &[&str], range: Range<u32>) {
    for line in &all[range.start as usize..range.end as usize] {
        section.push(mark);
        section.push_str(line);
        if !line.ends_with('\n') {
            section.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// The last line above that begins like a name: git's rule for files without
/// a language. The outer `None` is for one that is cut within a letter.
fn heading<'a>(above: &[&'a str]) -> Option<Option<&'a str>> {
    let begins = |line: &&&str| line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$');
    let Some(line) = above.iter().rev().find(begins) else { return Some(None) };
    let cut = line.get(..line.len().min(HEADING))?;
    Some(Some(cut.trim_end_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b')))
}

/// What a file held before the changes of a section, from what it holds now.
fn take_back(section: &str, now: &str) -> Option<String> {
    let mut kept = now.split_inclusive('\n');
    let mut at = 0;
    let mut text = String::new();
    let mut lines = section.split_terminator('\n').skip_while(|line| !line.starts_with("@@ ")).peekable();
    while let Some(line) = lines.next() {
        let (mark, words) = line.split_at_checked(1)?;
        match mark {
            "@" => {
                let new = words.split(' ').find_map(|word| word.strip_prefix('+'))?;
                let (start, length) = new.split_once(',').unwrap_or((new, "1"));
                // Without lines, it names the one before.
                let start = start.parse::<usize>().ok()? - usize::from(length != "0");
                for _ in at..start {
                    text.push_str(kept.next()?);
                }
                at = at.max(start);
            }
            " " | "+" => {
                let line = kept.next()?;
                at += 1;
                if line.strip_suffix('\n').unwrap_or(line) != words {
                    return None;
                }
                if mark == " " {
                    text.push_str(line);
                }
            }
            "-" => {
                text.push_str(words);
                if lines.peek().is_none_or(|next| !next.starts_with('\\')) {
                    text.push('\n');
                }
            }
            "\\" => {}
            _ => return None,
        }
    }
    text.extend(kept);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn original(text: &str) -> Original {
        Original { text: text.to_owned(), id: String::new(), digits: 7, executable: false }
    }

    #[test]
    fn a_section_reads_as_git_writes_it() {
        let old: String = (0..30)
            .map(|i| if i % 10 == 0 { format!("part_{i}:  \n") } else { format!("  {i}\n") })
            .collect();
        let new = old.replace("  4\n", "").replace("  25\n", "  25\n  26 again").replace("  29\n", "  last");
        insta::assert_snapshot!(original(&old).section("a/b.txt", &new).unwrap());
    }

    #[test]
    fn what_git_may_take_for_more_than_text_has_no_section() {
        let file = original("a\n");
        assert_eq!(file.section("f", "a\n"), Some(String::new()));
        assert_eq!(file.section("f", "a\0\n"), None);
        assert_eq!(file.section("f", "a\r\n"), None);
        assert!(original("a\r\n").section("f", "b\r\n").is_some());
        let long = format!("{}é\n", "x".repeat(HEADING - 1));
        assert_eq!(original(&format!("{long}\n\n\n\n1\n")).section("f", &format!("{long}\n\n\n\n2\n")), None);
    }

    proptest! {
        #[test]
        fn changes_are_taken_back(old in "([ab ]?\n){0,30}[a]?", new in "([ab ]?\n){0,30}[b]?") {
            let section = original(&old).section("f", &new).unwrap();
            prop_assert_eq!(take_back(&section, &new), Some(old));
        }

        #[test]
        fn nothing_makes_it_panic(section in "([-+ @\\\\]{1,3}[-+0-9, a\n]{0,9}\n?){0,9}", now in "[a\n]{0,9}") {
            let _ = take_back(&section, &now);
        }
    }
}
