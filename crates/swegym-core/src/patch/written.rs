//! A patch as text: the only text of an answer that a tool gets to see.

use std::fmt::Write as _;

use super::names::quote;
use super::{FilePatch, Hunk, Origin, Patch};

impl Patch {
    /// The patch as git writes it, of what was read alone: no prose, no other
    /// form of a patch, no name in a second place. Reading it gives the same
    /// patch. Sections that change nothing, or whose contents are missing, are
    /// left out.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.files.iter().map(write_file).collect()
    }

    /// The same patch with the line ends that the files have: `is_crlf` says
    /// whether every line of a path ends in CR LF (`Some(true)`), or none
    /// (`Some(false)`); hunks of other files stay.
    #[must_use]
    pub fn with_line_ends(&self, is_crlf: impl Fn(&[u8]) -> Option<bool>) -> Self {
        let mut patch = self.clone();
        for file in &mut patch.files {
            let Some(crlf) = file.head.old_name.as_deref().and_then(&is_crlf) else { continue };
            for line in file.hunks.iter_mut().flat_map(|h| &mut h.lines).filter(|l| !l.starts_with('\\')) {
                match (line.ends_with('\r'), crlf) {
                    (true, false) => drop(line.pop()),
                    (false, true) => line.push('\r'),
                    _ => {}
                }
            }
        }
        patch
    }
}

fn write_file(file: &FilePatch) -> String {
    let head = &file.head;
    let changes_mode = head.old_mode != head.new_mode;
    let is_whole = head.old_name.is_none() || head.new_name.is_none() || head.origin != Origin::Itself;
    let changes_nothing = !is_whole && !changes_mode && file.hunks.is_empty() && head.encoded.is_empty();
    if file.lacks_contents() || changes_nothing {
        return String::new();
    }
    let mut out = String::new();
    let (old, new) = (head.old_name.as_deref(), head.new_name.as_deref());
    let (named_old, named_new) = (old.or(new).unwrap_or_default(), new.or(old).unwrap_or_default());
    if !head.is_plain {
        let _ = writeln!(out, "diff --git {} {}", quote("a/", named_old), quote("b/", named_new));
        write_modes(file, changes_mode, &mut out);
        let word = match head.origin {
            Origin::Itself => "",
            Origin::Rename => "rename",
            Origin::Copy => "copy",
        };
        if !word.is_empty() {
            let _ = writeln!(out, "{word} from {}", quote("", named_old));
            let _ = writeln!(out, "{word} to {}", quote("", named_new));
        }
        if let Some(blobs) = &head.blobs {
            let same = head.new_mode.as_ref().filter(|_| !changes_mode && old.is_some() && new.is_some());
            let _ = writeln!(out, "index {blobs}{}", same.map(|m| format!(" {m}")).unwrap_or_default());
        }
    }
    if !head.encoded.is_empty() {
        out.push_str("GIT binary patch\n");
        head.encoded.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    } else if !file.hunks.is_empty() {
        let side = |prefix, name: Option<&[u8]>| {
            // After a tab a time may stand, so that a name with blanks ends there.
            let name = name.map_or_else(|| "/dev/null".to_owned(), |name| quote(prefix, name));
            if name.contains(' ') && !name.starts_with('"') { name + "\t" } else { name }
        };
        let _ = writeln!(out, "--- {}\n+++ {}", side("a/", old), side("b/", new));
        file.hunks.iter().for_each(|hunk| write_hunk(hunk, &mut out));
    }
    out
}

fn write_modes(file: &FilePatch, changes_mode: bool, out: &mut String) {
    let head = &file.head;
    let _ = match (&head.old_mode, &head.new_mode) {
        (None, Some(new)) => writeln!(out, "new file mode {new}"),
        (Some(old), None) => writeln!(out, "deleted file mode {old}"),
        (Some(old), Some(new)) if changes_mode => writeln!(out, "old mode {old}\nnew mode {new}"),
        _ => Ok(()),
    };
}

fn write_hunk(hunk: &Hunk, out: &mut String) {
    let count = |other: char| hunk.lines.iter().filter(|l| !l.starts_with([other, '\\'])).count();
    let range = |start: usize, count: usize| match count {
        1 => start.to_string(),
        _ => format!("{start},{count}"),
    };
    let (old, new) = (range(hunk.old_start, count('+')), range(hunk.new_start, count('-')));
    let _ = writeln!(out, "@@ -{old} +{new} @@ {}", hunk.heading);
    if hunk.heading.is_empty() {
        out.truncate(out.len() - 2);
        out.push('\n');
    }
    for line in &hunk.lines {
        let _ = writeln!(out, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A patch without the places where its sections stood.
    fn placeless(text: &str) -> Option<Patch> {
        let mut patch = Patch::parse(text).ok()?;
        patch.files.retain(|file| !write_file(file).is_empty());
        // What is written has prefixes.
        patch.files.iter_mut().for_each(|file| (file.line, file.head.in_folder) = (0, None));
        Some(patch)
    }

    fn rewritten(text: &str) -> String {
        Patch::parse(text).unwrap_or_else(|e| panic!("{e}: {text}")).to_text()
    }

    #[test]
    fn what_git_writes_is_written_as_it_was() {
        let texts = [
            "diff --git a/x.py b/x.py\nindex 12..34 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,2 @@ def f():\n a\n-b\n-c\n+d\n\\ No newline at end of file\n",
            "diff --git a/e b/e\nnew file mode 100755\nindex 0000000..e69de29\n",
            "diff --git a/e b/e\ndeleted file mode 100644\nindex e69de29..0000000\n",
            "diff --git a/o b/n\nrename from o\nrename to n\n",
            "diff --git a/o b/a b\ncopy from o\ncopy to a b\nindex 1..2 100644\n--- a/o\n+++ b/a b\t\n@@ -1 +1 @@\n-a\r\n+b\r\n",
            "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n",
            "diff --git \"a/\\303\\251\\377\\\"\\t\" \"b/\\303\\251\\377\\\"\\t\"\nnew file mode 120000\n--- /dev/null\n+++ \"b/\\303\\251\\377\\\"\\t\"\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n",
            "diff --git a/b b/b\nindex 1111..2222 100644\nGIT binary patch\nliteral 5\nMcmZQzU|?imU|;|M0RR91\n\nliteral 0\nHcmV?d00001\n\n",
            "--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+x\n",
        ];
        for text in texts {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn nothing_that_only_another_tool_reads_is_written() {
        let good = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        let others = [
            "Index: .git/config\nPrereq: 1\n===\n1c1\n< a\n---\n> b\n",
            "--- .git/config\n1a\nx\n.\n",
            "   Index: y\n   0a1\n   > c\n",
            "diff --git a/y b/y\n",
        ];
        for other in others {
            assert_eq!(rewritten(&format!("{other}{good}{other}prose\n")), good, "{other}");
        }
    }

    #[test]
    fn a_patch_that_was_sent_on_badly_is_what_it_was() {
        let good = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,4 +1,4 @@\n-a\n+b\n c\n \n \n";
        let short = good.trim_end();
        let indented: String = good.lines().map(|l| format!("    {l}\n")).collect();
        let quoted: String = good.lines().map(|l| format!("> {l}\n")).collect();
        let texts = [
            short.to_owned(),
            format!("{short}\n"),
            good.replace('\n', "\r\n"),
            good.replace(" \n", "\n"),
            good.replace("a/x", "i/x").replace("b/x", "w/x"),
            good.replace("a/x", "x").replace("b/x", "x"),
            format!("Here it is:\n\n```diff\n{good}```\n"),
            indented,
            quoted,
        ];
        for text in texts {
            assert_eq!(rewritten(&text), good, "{text}");
        }
        let quoted = "--- /dev/null\n+++ \"b/\\303\\251 1\"\t\n@@ -0,0 +1 @@\n+1\n";
        assert_eq!(Patch::parse(quoted).unwrap().files[0].path(), "é 1");
        let plain = "--- src/x.py\t2020-01-01\n+++ src/x.py\t2020-01-02\n@@ -1 +1 @@\n-a\n+b\n";
        assert!(rewritten(plain).starts_with("--- a/src/x.py\n+++ b/src/x.py\n"));
        assert!(
            rewritten(&plain.replace("--- src/x.py", "--- src/x.py.orig")).starts_with("--- a/src/x.py\n")
        );
    }

    #[test]
    fn a_mode_that_says_nothing_changes_nothing() {
        let text = "diff --git a/n b/n\nnew mode 100644\n@@ -0,2 +1,2 @@\n\n\n";
        assert_eq!(placeless(&rewritten(text)), placeless(text));
    }

    #[test]
    fn line_ends_become_those_of_the_file() {
        let patch = Patch::parse("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
        let crlf = patch.with_line_ends(|name| (name == b"x").then_some(true));
        assert_eq!(crlf.files[0].hunks[0].lines, ["-a\r", "+b\r"]);
        assert_eq!(crlf.with_line_ends(|_| None), crlf);
        assert_eq!(crlf.with_line_ends(|_| Some(false)), patch);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]
        #[test]
        fn what_is_written_is_read_as_the_same(text in "(diff --git (a/|b/)?n (a/|b/)?n\n|diff --git a/o \"b/\\\\303\\\\251\"\n|new file mode 100(644|755)\n|(deleted file|old|new) mode 1(00644|00755|20000)\n|index 1..2( 100644)?\n|rename (from|to) [no]\n|copy (from|to) n\n|--- (/dev/null|a/n|n x|i/n)\n\\+\\+\\+ (/dev/null|b/n|n x|w/n)\n|@@ -[01](,[02])? \\+1(,[02])? @@( f)?\n|[ +-]x\r?\n|\\\\ No\n|GIT binary patch\nliteral 1\nAcmZQz\n\n|Binary files a and b differ\n|\r?\n){0,12}") {
            if let Some(patch) = placeless(&text) {
                let written = patch.to_text();
                if patch.files.is_empty() {
                    assert_eq!(written, "");
                } else {
                    assert_eq!(placeless(&written), Some(patch), "{text}\n->\n{written}");
                }
            }
        }
    }
}
