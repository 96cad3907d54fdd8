//! From text to a patch, line by line.

use super::context;
use super::names::{
    self, NOWHERE, header_name, same_with_prefix, split_git_names, unquote, without_prefixes,
};
use super::{FilePatch, Head, Hunk, Origin, Patch, PatchError};

/// Lines of context around a change. As many blank ones may have been chopped
/// off the end of a patch with its last newline.
const CONTEXT: usize = 3;

/// What git says of a last line without an end.
pub(super) const NO_NEWLINE: &str = "\\ No newline at end of file";

pub(super) struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
    contents_may_be_missing: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, contents_may_be_missing: bool) -> Self {
        Self { lines: plain_lines(text), at: 0, contents_may_be_missing }
    }

    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn line(&self) -> usize {
        self.at + 1
    }

    fn malformed<T>(&self, what: &'static str) -> Result<T, PatchError> {
        Err(PatchError::Malformed { line: self.line(), what })
    }

    pub(super) fn read(mut self) -> Result<Patch, PatchError> {
        let mut files = Vec::new();
        while let Some(line) = self.peek() {
            if starts_file(&self.lines[self.at..]) {
                files.push(self.read_file()?);
            } else if parse_hunk_header(line).is_some() {
                return self.malformed("a hunk has no file");
            } else {
                // Mail headers and prose between files are what `git apply` skips too.
                self.at += 1;
            }
        }
        if files.is_empty() {
            return Err(PatchError::NoHeader);
        }
        names::refuse_escaping_links(&files)?;
        Ok(Patch { files })
    }

    fn read_file(&mut self) -> Result<FilePatch, PatchError> {
        let line = self.line();
        let mut section = Section::default();
        if let Some(text) = self.peek().and_then(|l| l.strip_prefix("diff --git ")) {
            let names = split_git_names(text);
            section.in_folder = names.as_ref().and_then(|(old, new)| same_with_prefix(old, new));
            section.git_names = names.map(|(old, new)| without_prefixes(&old, &new));
            section.is_git = true;
            self.at += 1;
            self.read_head(&mut section)?;
        }
        self.read_names(&mut section)?;
        let (encoded, binary) = self.read_binary(&section)?;
        let mut hunks = self.read_context_hunks(&section)?;
        while !binary && self.peek().is_some_and(|l| l.starts_with("@@ ")) {
            hunks.push(self.read_hunk()?);
        }
        hunks.retain(|hunk| !hunk.lines.is_empty());
        let head = Head { encoded, ..section.head(line, &hunks)? };
        let text = |name: &Option<Vec<u8>>| name.as_ref().map(|n| String::from_utf8_lossy(n).into_owned());
        let is_link = |mode: &Option<String>| mode.as_deref() == Some("120000");
        Ok(FilePatch {
            line,
            old_path: text(&head.old_name),
            new_path: text(&head.new_name),
            symlink: head.new_name.is_some() && is_link(&head.new_mode),
            binary,
            hunks,
            head,
        })
    }

    /// The lines after `diff --git`, up to the first that is none of git's.
    fn read_head(&mut self, section: &mut Section) -> Result<(), PatchError> {
        while let Some(line) = self.peek() {
            if let Some(mode) = line.strip_prefix("new file mode ") {
                section.is_created = true;
                section.new_mode = Some(self.mode(mode)?);
            } else if let Some(mode) = line.strip_prefix("deleted file mode ") {
                section.is_deleted = true;
                section.old_mode = Some(self.mode(mode)?);
            } else if let Some(mode) = line.strip_prefix("old mode ") {
                section.old_mode = Some(self.mode(mode)?);
            } else if let Some(mode) = line.strip_prefix("new mode ") {
                section.new_mode = Some(self.mode(mode)?);
            } else if let Some(text) = line.strip_prefix("index ") {
                self.read_blobs(text, section)?;
            } else if let Some((key, name)) = moved(line) {
                let name = names::bare(names::tidy(&unquote(name)));
                match key {
                    "rename from" | "copy from" => section.moved_from = Some(name),
                    _ => section.moved_to = Some(name),
                }
                section.origin = if key.starts_with("copy") { Origin::Copy } else { Origin::Rename };
            } else if !line.starts_with("similarity index ") && !line.starts_with("dissimilarity index ") {
                break;
            }
            self.at += 1;
        }
        // Something else may stand before the names, but only those of this file.
        let rest = &self.lines[self.at..];
        let next = rest.iter().position(|l| l.starts_with("diff --git ") || l.starts_with("@@ "));
        let names = (0..next.unwrap_or(rest.len())).find(|i| starts_file(&rest[*i..]) || is_binary(rest[*i]));
        match names {
            Some(skipped) if is_binary(rest[skipped]) || section.is_named_by(&rest[skipped..]) => {
                self.at += skipped;
            }
            Some(_) => {}
            None if rest.first().is_some_and(|l| l.starts_with("--- ")) => {
                self.at += 1;
                return self.malformed("no `+++` line follows `---`");
            }
            None => self.at += next.unwrap_or(0),
        }
        Ok(())
    }

    fn mode(&self, text: &str) -> Result<String, PatchError> {
        let Ok(mode) = u32::from_str_radix(text.trim(), 8) else {
            return self.malformed("a mode is not a number");
        };
        let mode = match mode >> 12 {
            0o12 => "120000",
            0o16 => "160000",
            0o10 | 0 if mode & 0o100 == 0 => "100644",
            0o10 | 0 => "100755",
            _ => return self.malformed("a mode is not a file's"),
        };
        Ok(mode.to_owned())
    }

    /// `old..new` and perhaps the mode that stays.
    fn read_blobs(&self, text: &str, section: &mut Section) -> Result<(), PatchError> {
        let (blobs, mode) = text.split_once(' ').map_or((text, None), |(blobs, mode)| (blobs, Some(mode)));
        let is_hash = |hash: &str| !hash.is_empty() && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if blobs.split_once("..").is_some_and(|(old, new)| is_hash(old) && is_hash(new)) {
            section.blobs = Some(blobs.to_owned());
        }
        if let Some(mode) = mode.filter(|m| !m.trim().is_empty()) {
            let mode = self.mode(mode)?;
            section.old_mode.get_or_insert_with(|| mode.clone());
            section.new_mode.get_or_insert(mode);
        }
        Ok(())
    }

    /// `---` and `+++`.
    fn read_names(&mut self, section: &mut Section) -> Result<(), PatchError> {
        let rest = &self.lines[self.at..];
        // A section that does something by itself is followed by another one.
        let is_whole = section.is_created
            || section.is_deleted
            || section.moved_to.is_some()
            || section.new_mode.is_some() && section.blobs.is_none();
        let is_other_files = is_whole && !section.is_named_by(rest);
        if !starts_file(rest) || rest[0].starts_with("diff --git ") || is_other_files {
            return Ok(());
        }
        section.is_context = context::starts(rest);
        let (old, new) = (header_name(&rest[0][4..]), header_name(&rest[1][4..]));
        if old != NOWHERE && new != NOWHERE {
            section.in_folder = same_with_prefix(&old, &new);
        }
        section.names = Some((old, new));
        self.at += 2;
        Ok(())
    }

    /// The blocks of a `GIT binary patch`, or that there are none.
    fn read_binary(&mut self, section: &Section) -> Result<(Vec<String>, bool), PatchError> {
        let Some(line) = self.peek().filter(|l| is_binary(l) && section.is_git) else {
            return Ok((Vec::new(), false));
        };
        self.at += 1;
        if line.starts_with("Binary files ") {
            if self.contents_may_be_missing {
                return Ok((Vec::new(), true));
            }
            let name = section.head(self.line(), &[])?.new_name.unwrap_or_default();
            let path = String::from_utf8_lossy(&name).into_owned();
            return Err(PatchError::BinaryWithoutContents { line: self.line() - 1, path });
        }
        let mut encoded = Vec::new();
        while let Some(head) = self.peek().filter(|l| is_block_head(l)) {
            encoded.push(head.to_owned());
            self.at += 1;
            while let Some(line) = self.peek().filter(|l| is_base85(l)) {
                encoded.push(line.to_owned());
                self.at += 1;
            }
            encoded.push(String::new());
            if self.peek().is_some_and(str::is_empty) {
                self.at += 1;
            }
        }
        if encoded.is_empty() && !self.contents_may_be_missing {
            return self.malformed("a binary patch has no contents");
        }
        Ok((encoded, true))
    }

    /// The hunks of a context diff, whose names have been read.
    fn read_context_hunks(&mut self, section: &Section) -> Result<Vec<Hunk>, PatchError> {
        if !section.is_context {
            return Ok(Vec::new());
        }
        let (hunks, taken) = context::read_hunks(&self.lines[self.at..])
            .map_err(|(before, what)| PatchError::Malformed { line: self.line() + before, what })?;
        self.at += taken;
        Ok(hunks)
    }

    fn read_hunk(&mut self) -> Result<Hunk, PatchError> {
        let start = self.line();
        let malformed = |line, what| PatchError::Malformed { line, what };
        let header = self.peek().unwrap_or("");
        let (old, new) = parse_hunk_header(header)
            .ok_or_else(|| malformed(start, "the hunk header is not `@@ -a,b +c,d @@`"))?;
        let heading = header.splitn(3, "@@").nth(2).unwrap_or("").trim().to_owned();
        self.at += 1;
        let (mut old_left, mut new_left) = (old.1, new.1);
        let mut lines: Vec<String> = Vec::new();
        while old_left > 0 || new_left > 0 {
            let Some(line) = self.peek() else {
                if old_left != new_left || old_left > CONTEXT {
                    return Err(malformed(start, "the hunk ends before its last line"));
                }
                lines.extend((0..old_left).map(|_| " ".to_owned()));
                break;
            };
            let (uses_old, uses_new) = match line.as_bytes().first() {
                // Some tools strip the blank of an empty context line; git accepts that.
                Some(b' ') | None => (1, 1),
                Some(b'\r') if line.len() == 1 => (1, 1),
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                // It says that the line above has no end, so there is one.
                Some(b'\\') if !lines.last().is_none_or(|l| l.starts_with('\\')) => (0, 0),
                Some(_) => {
                    return self.malformed(
                        "a line of a hunk starts with no mark, or with one that does not belong there",
                    );
                }
            };
            if uses_old > old_left || uses_new > new_left {
                return self.malformed("the hunk has more lines than its header says");
            }
            old_left -= uses_old;
            new_left -= uses_new;
            lines.push(match line {
                "" | "\r" => format!(" {line}"),
                line if line.starts_with('\\') => NO_NEWLINE.to_owned(),
                line => line.to_owned(),
            });
            self.at += 1;
        }
        let noted = lines.last().is_none_or(|l| l.starts_with('\\'));
        if self.peek().is_some_and(|l| l.starts_with('\\') && !noted) {
            lines.push(NO_NEWLINE.to_owned());
            self.at += 1;
        }
        Ok(Hunk { old_start: old.0, new_start: new.0, heading, lines })
    }
}

/// A file's section as its lines come.
#[derive(Default)]
struct Section {
    is_git: bool,
    is_context: bool,
    is_created: bool,
    is_deleted: bool,
    /// After `diff --git`, without prefixes.
    git_names: Option<(Vec<u8>, Vec<u8>)>,
    /// After `---` and `+++`, as they stand.
    names: Option<(Vec<u8>, Vec<u8>)>,
    /// What the file is called if what looks like prefixes is a folder.
    in_folder: Option<Vec<u8>>,
    moved_from: Option<Vec<u8>>,
    moved_to: Option<Vec<u8>>,
    origin: Origin,
    old_mode: Option<String>,
    new_mode: Option<String>,
    blobs: Option<String>,
}

impl Section {
    /// Whether `---` and `+++` at these lines can be this section's.
    fn is_named_by(&self, rest: &[&str]) -> bool {
        let [old, new, ..] = rest else { return false };
        let old = old.strip_prefix("--- ").or_else(|| old.strip_prefix("*** "));
        let new = new.strip_prefix("+++ ").or_else(|| new.strip_prefix("--- "));
        let (Some(old), Some(new)) = (old, new) else {
            return false;
        };
        let (old, new) = (header_name(old), header_name(new));
        if self.is_created && old != NOWHERE || self.is_deleted && new != NOWHERE {
            return false;
        }
        let ours = self.moved_from.clone().zip(self.moved_to.clone()).or_else(|| self.git_names.clone());
        let (old, new) = without_prefixes(&old, &new);
        let is_ours = |name: &Vec<u8>, ours: &Vec<u8>| name == NOWHERE || name.ends_with(ours);
        ours.is_none_or(|ours| is_ours(&old, &ours.0) && is_ours(&new, &ours.1))
    }

    /// Refuses what no name may be, also of those that do not count.
    fn check_names(&self, line: usize) -> Result<(), PatchError> {
        let bare = self.names.as_ref().map(|(old, new)| without_prefixes(old, new));
        let pairs = self.git_names.iter().chain(&bare).flat_map(|(old, new)| [old, new]);
        let mut all = pairs.chain(&self.moved_from).chain(&self.moved_to);
        all.try_for_each(|name| if name == NOWHERE { Ok(()) } else { names::check(name, line) })
    }

    /// Which of the names count, and what follows from them: those in the lines
    /// of a rename, else those after `---` and `+++`, else those of the first line.
    fn head(&self, line: usize, hunks: &[Hunk]) -> Result<Head, PatchError> {
        let (mut created, mut deleted) = (self.is_created, self.is_deleted);
        let mut names = self.git_names.clone();
        self.check_names(line)?;
        if let Some((old, new)) = &self.names {
            created |= old == NOWHERE;
            deleted |= new == NOWHERE;
            let (old, new) = without_prefixes(old, new);
            names = match (&*old == NOWHERE, &*new == NOWHERE) {
                (true, true) => names,
                (true, false) => names.or_else(|| Some((new.clone(), new))),
                (false, true) => names.or_else(|| Some((old.clone(), old))),
                (false, false) => Some((old, new)),
            };
        }
        let origin = self.origin;
        if origin != Origin::Itself {
            names = self.moved_from.clone().zip(self.moved_to.clone());
        } else if let Some((old, new)) = names.as_mut() {
            // Without the lines of a rename there is one file: `x.py.orig` is a way to say `x.py`.
            if new.starts_with(old) { new.clone_from(old) } else { old.clone_from(new) }
        }
        let Some((old, new)) = names.filter(|(old, new)| *old != NOWHERE && *new != NOWHERE) else {
            return Err(PatchError::Malformed { line, what: "a file has no name" });
        };
        if created && deleted {
            return Err(PatchError::Malformed { line, what: "a file is both new and gone" });
        }
        // Without `new file mode` a hunk of nothing on one side may be a whole file.
        let is_open = hunks.iter().any(|h| h.old_start == 0) && !self.says_a_mode();
        let is_plain = !created && !deleted && origin == Origin::Itself && (!self.is_git || is_open);
        let blobs = self.blobs.clone().filter(|_| !is_plain);
        let (old_mode, new_mode) = self.modes(created, deleted, blobs.is_some());
        Ok(Head {
            is_plain,
            old_name: (!created).then_some(old),
            new_name: (!deleted).then_some(new),
            old_mode,
            new_mode,
            in_folder: self.in_folder.clone(),
            origin: if created || deleted { Origin::Itself } else { origin },
            blobs,
            encoded: Vec::new(),
        })
    }

    /// Whether there is a mode that says something: a new one that is the old one
    /// does so beside the blobs alone.
    fn says_a_mode(&self) -> bool {
        let old = self.old_mode.as_deref().unwrap_or("100644");
        self.new_mode.as_deref().is_some_and(|new| new != old || self.blobs.is_some())
    }

    /// The modes before and after, as far as they are written: what is new or
    /// goes has one, what stays has two, and two that are the same stand beside
    /// the blobs.
    fn modes(&self, created: bool, deleted: bool, beside_blobs: bool) -> (Option<String>, Option<String>) {
        let or_plain = |mode: &Option<String>| Some(mode.clone().unwrap_or_else(|| "100644".to_owned()));
        let (old, new) = (or_plain(&self.old_mode), or_plain(&self.new_mode));
        match (created, deleted) {
            (true, _) => (None, new),
            (_, true) => (old, None),
            _ if self.new_mode.is_none() || (old == new && !beside_blobs) => (None, None),
            _ => (old, new),
        }
    }
}

/// The lines of a text as they were before somebody sent it on: without the CR
/// that a whole patch got, headers and all, and without what every line of it
/// is indented by.
pub(super) fn plain_lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    let first = |lines: &[&str]| (0..lines.len()).find(|i| starts_file(&lines[*i..]));
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t', '>']).len();
    if first(&lines).is_none()
        && let Some(at) = (0..lines.len()).find(|i| {
            let rest: Vec<&str> = lines[*i..].iter().take(4).map(|l| &l[indent(l)..]).collect();
            indent(lines[*i]) > 0 && starts_file(&rest)
        })
    {
        let before = lines[at].split_at(indent(lines[at])).0;
        lines.iter_mut().for_each(|line| *line = line.strip_prefix(before).unwrap_or(line));
    }
    if first(&lines).is_some_and(|at| lines[at].ends_with('\r')) {
        lines.iter_mut().for_each(|line| *line = line.strip_suffix('\r').unwrap_or(line));
    }
    lines
}

fn starts_file(rest: &[&str]) -> bool {
    if context::starts(rest) {
        return true;
    }
    let starts = |at: usize, with: &str| rest.get(at).is_some_and(|line| line.starts_with(with));
    starts(0, "diff --git ") || (starts(0, "--- ") && starts(1, "+++ "))
}

fn is_binary(line: &str) -> bool {
    let line = line.strip_suffix('\r').unwrap_or(line);
    line.starts_with("GIT binary patch") || (line.starts_with("Binary files ") && line.ends_with(" differ"))
}

fn is_block_head(line: &str) -> bool {
    let size = line.strip_prefix("literal ").or_else(|| line.strip_prefix("delta "));
    size.is_some_and(|size| !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()))
}

/// A line of git's base 85: a length as a letter, and five characters for four bytes.
fn is_base85(line: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&()*+-;<=>?@^_`{|}~".contains(&b);
    line.len() % 5 == 1
        && line.len() > 1
        && line.as_bytes()[0].is_ascii_alphabetic()
        && line.bytes().all(is_digit)
}

/// A line of a rename or a copy: its key and its name.
fn moved(line: &str) -> Option<(&str, &str)> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    ["rename from", "rename to", "copy from", "copy to"]
        .into_iter()
        .find_map(|key| Some((key, line.strip_prefix(key)?.strip_prefix(' ')?)))
}

/// `-a,b +c,d` as ((a, b), (c, d)); a missing count is 1.
pub(super) fn parse_hunk_header(line: &str) -> Option<((usize, usize), (usize, usize))> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    Some((range(old)?, range(new)?))
}
