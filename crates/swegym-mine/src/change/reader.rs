//! Many diffs from one process of git, each of a pair of commits.

use std::io::{self, BufRead as _};

use swegym_sandbox::tool::Stream;

use super::Section;
use crate::oid::Oid;
use crate::repository::{MineError, Repository};

/// Between which commits a diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) base: Oid,
    pub(crate) head: Oid,
}

/// Larger diffs are no task. In bytes.
const MOST: usize = 8 << 20;

/// What came of asking for a diff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The files' sections.
    Diff(Vec<Section>),
    /// It is longer than [`MOST`].
    TooLarge,
    /// It holds what is no UTF-8.
    NoText,
    /// git could not make it: an object is missing, for one.
    Unreadable(String),
}

/// Which files each pair changes, in order.
pub(crate) fn names(
    repository: &Repository,
    pairs: &[Pair],
    mut each: impl FnMut(usize, &[String]) -> Result<(), MineError>,
) -> Result<(), MineError> {
    let words = ["diff-tree", "--stdin", "--always", "-r", "-z", "--name-only", "--no-renames"];
    let mut begin = 0;
    while begin < pairs.len() {
        let mut stream = ask(repository, &words, &pairs[begin..])?;
        let (mut at, mut paths, mut word) = (None, Vec::new(), Vec::new());
        loop {
            word.clear();
            let read = stream.read_until(0, &mut word).map_err(|e| repository.answer_error(e))?;
            let text = word.strip_suffix(b"\0").unwrap_or(&word);
            let next = at.map_or(begin, |at| at + 1);
            let is_head = next < pairs.len() && Oid::parse(text) == Some(pairs[next].head);
            if let Some(at) = at.filter(|_| is_head || read == 0) {
                each(at, &paths)?;
                paths.clear();
            }
            if read == 0 {
                break;
            }
            match is_head {
                true => at = Some(next),
                false => paths.push(String::from_utf8_lossy(text).into_owned()),
            }
        }
        begin = at.map_or(begin, |at| at + 1);
        // One whose trees are not there: the diff itself says why.
        if stream.finish().is_err() && begin < pairs.len() {
            each(begin, &[])?;
            begin += 1;
        } else if begin < pairs.len() {
            return Err(repository.answer_error(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(())
}

/// The diff of each pair, in order.
pub(crate) fn read(
    repository: &Repository,
    pairs: &[Pair],
    mut each: impl FnMut(usize, Outcome) -> Result<(), MineError>,
) -> Result<(), MineError> {
    let mut begin = 0;
    // After a failure the next few are asked for one by one, until the one that fails is found.
    let mut singly = 0;
    while begin < pairs.len() {
        let end = if singly > 0 { begin + 1 } else { pairs.len() };
        let (done, failure) =
            read_some(repository, &pairs[begin..end], |at, outcome| each(begin + at, outcome))?;
        begin += done;
        match failure {
            None => singly = usize::max(singly, 1) - 1,
            Some(reason) if end == begin + 1 => {
                each(begin, Outcome::Unreadable(reason))?;
                (begin, singly) = (begin + 1, 0);
            }
            Some(_) => singly = 2,
        }
    }
    Ok(())
}

/// Gives how many are done, and what git complained of.
fn read_some(
    repository: &Repository,
    pairs: &[Pair],
    mut each: impl FnMut(usize, Outcome) -> Result<(), MineError>,
) -> Result<(usize, Option<String>), MineError> {
    let words = [
        "diff-tree",
        "--stdin",
        "--always",
        "-r",
        "-p",
        "-M",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--diff-algorithm=myers",
        "--src-prefix=a/",
        "--dst-prefix=b/",
        "--submodule=short",
    ];
    let mut stream = ask(repository, &words, pairs)?;
    let mut line = Vec::new();
    let mut diff: Option<Diff> = None;
    // The last one that began is done when the next one begins, or git ends well.
    let mut begun = 0;
    loop {
        line.clear();
        let read = stream.read_until(b'\n', &mut line).map_err(|e| repository.answer_error(e))?;
        if read == 0 {
            break;
        }
        let is_head = begun < pairs.len() && Oid::parse(line.trim_ascii_end()) == Some(pairs[begun].head);
        if is_head {
            if let Some(done) = diff.take() {
                each(begun - 1, done.finish())?;
            }
            diff = Some(Diff::default());
            begun += 1;
        } else if let Some(diff) = &mut diff {
            diff.take_line(&line);
        }
    }
    match (stream.finish(), diff) {
        (Ok(()), diff) => {
            if let Some(done) = diff {
                each(begun - 1, done.finish())?;
            }
            let failure = (begun < pairs.len()).then(|| "git said nothing of it".to_owned());
            Ok((begun, failure))
        }
        (Err(error), _) => Ok((begun.saturating_sub(1), Some(error.to_string()))),
    }
}

fn ask(repository: &Repository, words: &[&str], pairs: &[Pair]) -> Result<Stream, MineError> {
    let mut stream = repository.start(words)?;
    // A commit and what counts as its parent.
    let lines: Vec<Pair> = pairs.to_vec();
    stream.feed(lines.into_iter().map(|pair| format!("{} {}\n", pair.head, pair.base)));
    Ok(stream)
}

/// A diff while it is read.
#[derive(Debug, Default)]
struct Diff {
    sections: Vec<Section>,
    /// The section that is read.
    text: Vec<u8>,
    /// Before its first hunk.
    is_in_head: bool,
    head: Head,
    size: usize,
    is_no_text: bool,
}

/// What the head of a section says.
#[derive(Debug, Default)]
struct Head {
    /// What follows `diff --git`.
    both: String,
    old: Option<String>,
    new: Option<String>,
    is_binary: bool,
    is_submodule: bool,
    is_new: bool,
}

impl Diff {
    fn take_line(&mut self, line: &[u8]) {
        if self.size > MOST {
            return;
        }
        if let Some(both) = line.strip_prefix(b"diff --git ") {
            self.close();
            self.head = Head { both: text(both), ..Head::default() };
            self.is_in_head = true;
        } else if self.is_in_head && self.read_head(line) {
            return;
        }
        self.size += line.len();
        self.text.extend_from_slice(line);
    }

    /// Whether the line is left out.
    fn read_head(&mut self, line: &[u8]) -> bool {
        let head = &mut self.head;
        let path = |rest: &[u8]| Some(unquoted(&text(rest))).filter(|path| path != "/dev/null");
        let side = |rest: &[u8]| path(rest).and_then(|path| path.get(2..).map(str::to_owned));
        if line.starts_with(b"@@ ") {
            self.is_in_head = false;
        } else if let Some(rest) = line.strip_prefix(b"--- ") {
            head.old = side(rest);
        } else if let Some(rest) = line.strip_prefix(b"+++ ") {
            head.new = side(rest);
        } else if let Some(rest) = line.strip_prefix(b"rename to ").or(line.strip_prefix(b"copy to ")) {
            head.new = path(rest);
        } else if line.starts_with(b"Binary files ") {
            head.is_binary = true;
        } else if line.starts_with(b"new file mode ") {
            head.is_new = true;
        }
        let mode = line.trim_ascii_end().ends_with(b" 160000");
        head.is_submodule |= mode;
        line.starts_with(b"index ")
    }

    fn close(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let Head { both, old, new, is_binary, is_submodule, is_new } = std::mem::take(&mut self.head);
        let path = new.or(old).unwrap_or_else(|| of_both(&both));
        match String::from_utf8(std::mem::take(&mut self.text)) {
            Ok(text) => self.sections.push(Section { path, text, is_binary, is_submodule, is_new }),
            Err(_) => self.is_no_text = true,
        }
    }

    fn finish(mut self) -> Outcome {
        self.close();
        match (self.size > MOST, self.is_no_text) {
            (true, _) => Outcome::TooLarge,
            (_, true) => Outcome::NoText,
            _ => Outcome::Diff(self.sections),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    // git ends names that hold blanks with a tab.
    String::from_utf8_lossy(line.strip_suffix(b"\t").unwrap_or(line)).into_owned()
}

/// The name in `a/NAME b/NAME`, which is the same on both sides: it is not renamed.
fn of_both(both: &str) -> String {
    let half = both.get(..both.len().saturating_sub(1) / 2).unwrap_or_default();
    unquoted(half).get(2..).unwrap_or_default().to_owned()
}

/// Undoes git's quotes: `"a/caf\303\251"`.
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return name.to_owned();
    };
    let (mut bytes, mut rest) = (Vec::new(), inner.bytes().peekable());
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(first @ b'0'..=b'3') => {
                let mut value = first - b'0';
                for _ in 0..2 {
                    value = (value << 3) | rest.next().map_or(0, |digit| digit & 7);
                }
                bytes.push(value);
            }
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'a') => bytes.push(7),
            Some(b'b') => bytes.push(8),
            Some(b'v') => bytes.push(11),
            Some(b'f') => bytes.push(12),
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(diff: &str) -> Vec<Section> {
        let mut reader = Diff::default();
        diff.split_inclusive('\n').for_each(|line| reader.take_line(line.as_bytes()));
        match reader.finish() {
            Outcome::Diff(sections) => sections,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_diff_is_split_by_files_without_the_lines_of_blobs() {
        let diff = "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-index 1..2\n+diff\n\
                    diff --git a/old name.py b/new name.py\nsimilarity index 90%\nrename from old name.py\nrename to new name.py\n\
                    diff --git \"a/caf\\303\\251.bin\" \"b/caf\\303\\251.bin\"\nnew file mode 100644\nindex 0..3\nBinary files /dev/null and \"b/caf\\303\\251.bin\" differ\n\
                    diff --git a/sub b/sub\nnew file mode 160000\nindex 0..4\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n+Subproject commit 4\n\
                    diff --git a/x b b/x b\nold mode 100644\nnew mode 100755\n";
        let found = sections(diff);
        let paths: Vec<_> = found.iter().map(|section| section.path.as_str()).collect();
        assert_eq!(paths, ["a.py", "new name.py", "café.bin", "sub", "x b"]);
        assert!(found[0].text.contains("-index 1..2\n") && !found[0].text.contains("100644"));
        assert!(found[2].is_binary && found[2].is_new && found[3].is_submodule);
        assert_eq!(found[0].marked('+').collect::<Vec<_>>(), ["diff"]);
        assert_eq!(found[4].text, "diff --git a/x b b/x b\nold mode 100644\nnew mode 100755\n");
    }

    #[test]
    fn what_is_no_text_or_too_much_says_so() {
        let mut reader = Diff::default();
        reader.take_line(b"diff --git a/a b/a\n");
        reader.take_line(b"+\xff\n");
        assert_eq!(reader.finish(), Outcome::NoText);
        let mut reader = Diff::default();
        reader.take_line(b"diff --git a/a b/a\n");
        (0..200).for_each(|_| reader.take_line(&[b'+'; 1 << 16]));
        assert_eq!(reader.finish(), Outcome::TooLarge);
    }
}
