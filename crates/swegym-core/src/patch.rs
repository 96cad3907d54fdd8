//! Reading git patches, as untrusted text.
//!
//! A patch is only looked at here, never applied: applying is git's work,
//! inside a box. Looking first gives a clear refusal for what git would either
//! reject with an unhelpful message or, worse, accept. And since every tool
//! takes other lines for a patch, none is given the text itself: what was read
//! here is written anew ([`Patch::to_text`]).

mod context;
mod names;
mod reader;
mod reverse;
mod written;

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

pub use names::is_git_directory;
pub use reverse::reverse;

use reader::Reader;

use crate::Hint;

/// A patch split by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// In the order of the text.
    pub files: Vec<FilePatch>,
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePatch {
    /// The line on which it starts, from 1.
    pub line: usize,
    /// Path before, without `a/`; `None` for a new file.
    pub old_path: Option<String>,
    /// Path after, without `b/`; `None` for a deleted file.
    pub new_path: Option<String>,
    /// The file is, or becomes, a symbolic link.
    pub symlink: bool,
    /// Contents are given as `GIT binary patch`.
    pub binary: bool,
    /// Text hunks.
    pub hunks: Vec<Hunk>,
    /// What else its head says.
    head: Head,
}

/// What the head of a file's section says beside its paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Head {
    /// The path before, as bytes: a name need not be UTF-8.
    old_name: Option<Vec<u8>>,
    /// The path after, as bytes.
    new_name: Option<Vec<u8>>,
    /// Mode before, as git writes it (`100644`).
    old_mode: Option<String>,
    /// Mode after.
    new_mode: Option<String>,
    /// What the file is called if the text has no prefixes, and what looks like
    /// them is a folder.
    in_folder: Option<Vec<u8>>,
    /// Where the contents come from.
    origin: Origin,
    /// Blobs before and after, `old..new` in hexadecimal.
    blobs: Option<String>,
    /// There is no `diff --git` line: whether the file is new, or goes, is for
    /// the hunks to say.
    is_plain: bool,
    /// What follows `GIT binary patch`.
    encoded: Vec<String>,
}

/// Where the contents of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Origin {
    /// The same path.
    #[default]
    Itself,
    /// The old path, which goes.
    Rename,
    /// The old path, which stays.
    Copy,
}

impl FilePatch {
    /// The path that names this change: the new one, or the old one of a deletion.
    #[must_use]
    pub fn path(&self) -> &str {
        self.new_path.as_deref().or(self.old_path.as_deref()).unwrap_or("")
    }

    /// The paths that it reads or writes, as bytes; one that is not renamed comes once.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let Head { old_name: old, new_name: new, .. } = &self.head;
        old.iter().filter(move |old| Some(*old) != new.as_ref()).chain(new).map(Vec::as_slice)
    }

    /// Another file that the text may mean as well: both sides are called `a/x`,
    /// which is `x` with prefixes, and `a/x` without.
    #[must_use]
    pub fn other_reading(&self) -> Option<&[u8]> {
        self.head.in_folder.as_deref()
    }

    /// A binary change whose contents are not in the patch (`Binary files … differ`).
    #[must_use]
    pub fn lacks_contents(&self) -> bool {
        self.binary && self.head.encoded.is_empty()
    }
}

/// One `@@` block: where it starts and its lines with their marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// First line in the old file, from 1 (0 for an empty side).
    pub old_start: usize,
    /// First line in the new file.
    pub new_start: usize,
    /// What stands after the second `@@`: the function that git names, if it does.
    pub heading: String,
    /// Lines as they stand: ` `, `-`, `+` or `\` first.
    pub lines: Vec<String>,
}

/// The code of a patch whose files cannot be made: their names are too long, or
/// the box has no room for them.
pub const CANNOT_BE_LAID_OUT: &str = "patch_cannot_be_laid_out";

/// Why a patch is refused. Each has a stable code for reports.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatchError {
    /// Not a patch at all.
    #[error("no `diff --git` or `---`/`+++` header found")]
    NoHeader,
    /// Absolute path.
    #[error("line {line}: `{path}` is an absolute path")]
    AbsolutePath {
        /// From 1.
        line: usize,
        /// As written.
        path: String,
    },
    /// A `..` component.
    #[error("line {line}: `{path}` leaves the repository")]
    ParentPath {
        /// From 1.
        line: usize,
        /// As written.
        path: String,
    },
    /// Writes into `.git`, where hooks would run.
    #[error("line {line}: `{path}` is inside .git")]
    GitDirectory {
        /// From 1.
        line: usize,
        /// As written.
        path: String,
    },
    /// A symbolic link that points out of the repository, or a file written through one.
    #[error("line {line}: the symbolic link `{path}` points out of the repository, to `{target}`")]
    SymlinkEscape {
        /// From 1.
        line: usize,
        /// The link.
        path: String,
        /// Where it points.
        target: String,
    },
    /// `Binary files … differ`: the contents are not in the patch.
    #[error("line {line}: `{path}` is binary and its contents are not in the patch")]
    BinaryWithoutContents {
        /// From 1.
        line: usize,
        /// The file.
        path: String,
    },
    /// A name, a path or the target of a link that no file system takes.
    #[error("line {line}: {what} has {bytes} bytes, and may have {limit}")]
    TooLong {
        /// From 1.
        line: usize,
        /// What is too long.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// A hunk whose counts and lines disagree, or that ends early.
    #[error("line {line}: {what}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
}

impl PatchError {
    /// The code in reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHeader => "patch_no_header",
            Self::AbsolutePath { .. } => "patch_absolute_path",
            Self::ParentPath { .. } => "patch_parent_path",
            Self::GitDirectory { .. } => "patch_git_directory",
            Self::SymlinkEscape { .. } => "patch_symlink_escape",
            Self::BinaryWithoutContents { .. } => "patch_binary",
            Self::TooLong { .. } => CANNOT_BE_LAID_OUT,
            Self::Malformed { .. } => "patch_malformed",
        }
    }
}

impl Hint for PatchError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: &'static str = match self {
            Self::NoHeader => "write the answer as `git diff` prints it",
            Self::AbsolutePath { .. } | Self::ParentPath { .. } => {
                "make the patch with `git diff` at the root of the repository"
            }
            Self::GitDirectory { .. } => "an answer may only change tracked files",
            Self::SymlinkEscape { .. } => "links in an answer must stay inside the repository",
            Self::BinaryWithoutContents { .. } => "make the patch with `git diff --binary`",
            Self::TooLong { .. } => "names may have 255 bytes, whole paths and targets of links 4095",
            Self::Malformed { .. } => "do not edit hunks by hand; make the patch with `git diff`",
        };
        Some(hint.into())
    }
}

impl Patch {
    /// Splits a patch and refuses what must not reach a repository.
    ///
    /// # Errors
    /// See [`PatchError`]; the line is that of the text.
    pub fn parse(text: &str) -> Result<Self, PatchError> {
        Reader::new(text, false).read()
    }

    /// Splits a patch that is only looked at, not applied: contents of binary
    /// files may be missing.
    ///
    /// # Errors
    /// See [`PatchError`].
    pub fn survey(text: &str) -> Result<Self, PatchError> {
        Reader::new(text, true).read()
    }

    /// Paths after the change (before it, for deletions), in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(FilePatch::path)
    }

    /// Added and removed lines.
    #[must_use]
    pub fn changed_lines(&self) -> usize {
        let hunks = self.files.iter().flat_map(|f| &f.hunks);
        hunks.flat_map(|h| &h.lines).filter(|l| l.starts_with(['+', '-'])).count()
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.paths().collect();
        write!(f, "{} changed lines in {}", self.changed_lines(), paths.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "diff --git a/x.py b/x.py\nindex 1..2 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n";

    #[test]
    fn a_plain_patch_has_its_file_and_lines() {
        let patch = Patch::parse(GOOD).unwrap();
        assert_eq!(patch.paths().collect::<Vec<_>>(), ["x.py"]);
        assert_eq!(patch.changed_lines(), 2);
        assert_eq!(patch.files[0].hunks[0].lines, [" a", "-b", "+c"]);
    }

    #[test]
    fn refused_patches_have_stable_codes() {
        let link = |target: &str| {
            format!(
                "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
            )
        };
        let cases = [
            ("", "patch_no_header"),
            ("hello\n", "patch_no_header"),
            (&GOOD.replace("a/x.py", "/etc/x").replace("b/x.py", "/etc/x"), "patch_absolute_path"),
            (&GOOD.replace("x.py", "../x.py"), "patch_parent_path"),
            (&GOOD.replace("x.py", ".git/hooks/x"), "patch_git_directory"),
            (&GOOD.replace("a/x.py", "//etc/x").replace("b/x.py", "//etc/x"), "patch_absolute_path"),
            (&GOOD.replace("x.py", "./x/../../y"), "patch_parent_path"),
            (&GOOD.replace("x.py", "/./.git/x"), "patch_git_directory"),
            (&GOOD.replace("x.py", "x/"), "patch_malformed"),
            (&GOOD.replace("x.py", "x/."), "patch_malformed"),
            (&GOOD.replace("+c\n", ""), "patch_malformed"),
            (&GOOD.replace("@@ -1,2 +1,2 @@", "@@ what @@"), "patch_malformed"),
            (&GOOD.replace("+++ b/x.py\n", ""), "patch_malformed"),
            (
                &GOOD.replace("--- a/x.py\n+++ b/x.py\n", "prose\n\n").replace("diff --git", ""),
                "patch_malformed",
            ),
            ("diff --git a/x b/x\nBinary files a/x and b/x differ\n", "patch_binary"),
            (&GOOD.replace("x.py", &"x".repeat(256)), CANNOT_BE_LAID_OUT),
            (&GOOD.replace("x.py", &("x/".repeat(2048) + "x")), CANNOT_BE_LAID_OUT),
            (&link(&"x/".repeat(2048)), CANNOT_BE_LAID_OUT),
            (&link("/etc/passwd"), "patch_symlink_escape"),
            (&link("../../x"), "patch_symlink_escape"),
            (
                &(link("sub")
                    + "diff --git a/l/f b/l/f\nnew file mode 100644\n--- /dev/null\n+++ b/l/f\n@@ -0,0 +1 @@\n+x\n"),
                "patch_symlink_escape",
            ),
        ];
        for (text, code) in cases {
            assert_eq!(Patch::parse(text).unwrap_err().code(), code, "{text}");
        }
        assert!(Patch::parse(&link("sub/target")).is_ok());
        assert!(Patch::parse(&link(&"x".repeat(4095))).is_ok());
        assert!(Patch::parse(&GOOD.replace("x.py", &"x".repeat(255))).is_ok());
        assert!(Patch::parse(&GOOD.replace("x.py", &("x/".repeat(2047) + "x"))).is_ok());
    }

    #[test]
    fn names_with_blanks_and_quotes_are_read() {
        let text = GOOD
            .replace("--- a/x.py\n+++ b/x.py\n", "--- \"a/\\303\\244 b.py\"\n+++ \"b/\\303\\244 b.py\"\n");
        assert_eq!(Patch::parse(&text).unwrap().files[0].path(), "ä b.py");
        let text = GOOD.replace("x.py", "a b.py");
        assert_eq!(Patch::parse(&text).unwrap().files[0].path(), "a b.py");
    }

    #[test]
    fn parts_that_say_nothing_are_not_there() {
        let hunk = "@@ -1 +1 @@\n-a\n+b\n";
        let paths = |text: &str| {
            let patch = Patch::parse(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            (patch.files[0].old_path.clone().unwrap(), patch.files[0].path().to_owned())
        };
        let same = |name: &str| (name.to_owned(), name.to_owned());
        for (old, new, name) in [
            ("./x.py", "./x.py", "x.py"),
            ("./x.py.orig", "./x.py", "x.py"),
            ("./x.py", "x.py", "x.py"),
            ("./d/x.py", "d/x.py", "d/x.py"),
            (".//./d/x.py", "./d/./x.py", "d/x.py"),
            ("a/./x.py", "b/./x.py", "x.py"),
            ("a//x.py", "b//x.py", "x.py"),
            ("a//x.py", "b/x.py", "x.py"),
            ("a/d//x.py", "b/d/./x.py", "d/x.py"),
            ("./a/x.py", "./a/x.py", "a/x.py"),
            ("\"a/./\\303\\244.py\"", "\"b/./\\303\\244.py\"", "ä.py"),
        ] {
            assert_eq!(paths(&format!("--- {old}\n+++ {new}\n{hunk}")), same(name), "{old} {new}");
            let git = format!("diff --git {old} {new}\n--- {old}\n+++ {new}\n{hunk}");
            assert_eq!(paths(&git), same(name), "{git}");
        }
        let moved = "diff --git a/./o b/d//n\nrename from ./o\nrename to d//n\n";
        assert_eq!(paths(moved), ("o".to_owned(), "d/n".to_owned()));
        let mode = "diff --git a//x b//x\nold mode 100644\nnew mode 100755\n";
        assert_eq!(paths(mode), same("x"));
    }

    #[test]
    fn below_the_hunks_names_are_prose() {
        let patch = Patch::parse(&(GOOD.to_owned() + "rename to y.py\n+++ b/../z.py\n")).unwrap();
        assert_eq!(patch.paths().collect::<Vec<_>>(), ["x.py"]);
    }

    #[test]
    fn carriage_returns_inside_a_file_are_content() {
        let text = GOOD.replace("-b\n+c\n", "-b\r\n+c\r\n");
        assert_eq!(Patch::parse(&text).unwrap().files[0].hunks[0].lines[2], "+c\r");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(diff --git |--- |\\+\\+\\+ |@@ -1,2 \\+1 @@|a/|\"|\\\\|[ +-]x|\n|\r|é|\\.\\./){0,60}") {
            let _ = Patch::parse(&text);
        }
    }
}
