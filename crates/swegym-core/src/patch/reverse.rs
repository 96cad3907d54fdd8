//! The patch that undoes a patch.

use super::names::split_git_names;
use super::reader::{parse_hunk_header, plain_lines};
use super::{FilePatch, Patch, PatchError};

/// Turns a patch around: what it adds is removed, files it makes are deleted,
/// renames go back.
///
/// # Errors
/// When the text is no patch, or holds binary contents, which are not turned.
pub fn reverse(text: &str) -> Result<String, PatchError> {
    let patch = Patch::parse(text)?;
    if patch.files.iter().any(|file| file.binary) {
        return Err(PatchError::Malformed { line: 1, what: "a binary patch cannot be turned around" });
    }
    let mut out: Vec<String> = Vec::new();
    let mut files = patch.files.iter().peekable();
    let mut lines = plain_lines(text).into_iter().peekable();
    while let Some(line) = lines.next() {
        // So far as many lines came out as went in.
        let file = files.next_if(|file| file.line == out.len() + 1);
        if let Some((old, new)) = parse_hunk_header(line).filter(|_| line.starts_with("@@ ")) {
            out.push(turned_hunk_header(line));
            let mut left = (old.1, new.1);
            let mut hunk = Vec::new();
            while left.0 > 0 || left.1 > 0 {
                let Some(line) = lines.next() else { break };
                match line.as_bytes().first() {
                    Some(b'-') => left.0 = left.0.saturating_sub(1),
                    Some(b'+') => left.1 = left.1.saturating_sub(1),
                    Some(b'\\') => {}
                    _ => left = (left.0.saturating_sub(1), left.1.saturating_sub(1)),
                }
                hunk.push(line);
            }
            hunk.extend(lines.next_if(|line| line.starts_with('\\')));
            turn_lines(&hunk, &mut out);
        } else if line.starts_with("--- ") && lines.peek().is_some_and(|next| next.starts_with("+++ ")) {
            let new = lines.next().unwrap_or_default();
            out.push(format!("--- {}", swap_prefix(&new[4..], "b/", "a/")));
            out.push(format!("+++ {}", swap_prefix(&line[4..], "a/", "b/")));
        } else if let Some((names, file)) = line.strip_prefix("diff --git ").zip(file) {
            out.push(turned_names(names, file));
        } else {
            out.push(turned_header(line));
        }
    }
    Ok(out.join("\n"))
}

/// `@@ -a,b +c,d @@ words` with its sides exchanged.
fn turned_hunk_header(line: &str) -> String {
    let mut words: Vec<&str> = line.splitn(4, ' ').collect();
    if let [_, old, new, _] = words.as_mut_slice() {
        (*old, *new) = (new.trim_start_matches('+'), old.trim_start_matches('-'));
        return format!("{} -{} +{} {}", words[0], words[1], words[2], words[3]);
    }
    line.to_owned()
}

/// Lines of a hunk with their marks exchanged; of each change what is removed
/// comes first, as git writes it.
fn turn_lines(hunk: &[&str], out: &mut Vec<String>) {
    let (mut removed, mut added): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    // A line that says that no newline follows belongs to the one before it.
    let mut last = ' ';
    for line in hunk {
        let mark = line.chars().next().unwrap_or(' ');
        match if mark == '\\' { last } else { mark } {
            '-' => added.push(if mark == '-' { format!("+{}", &line[1..]) } else { (*line).to_owned() }),
            '+' => removed.push(if mark == '+' { format!("-{}", &line[1..]) } else { (*line).to_owned() }),
            _ => {
                out.append(&mut removed);
                out.append(&mut added);
                out.push((*line).to_owned());
            }
        }
        if mark != '\\' {
            last = mark;
        }
    }
    out.append(&mut removed);
    out.append(&mut added);
}

/// The line that starts a file. Quoted names stay where they are: other lines say which is which.
fn turned_names(names: &str, file: &FilePatch) -> String {
    let quoted = names.contains('"');
    match (split_git_names(names), &file.old_path, &file.new_path) {
        (Some((old, new)), ..) if !quoted => {
            let (old, new) = (String::from_utf8_lossy(&old), String::from_utf8_lossy(&new));
            format!("diff --git {} {}", swap_prefix(&new, "b/", "a/"), swap_prefix(&old, "a/", "b/"))
        }
        (None, Some(old), Some(new)) if !quoted => format!("diff --git a/{new} b/{old}"),
        _ => format!("diff --git {names}"),
    }
}

fn turned_header(line: &str) -> String {
    const PAIRS: [(&str, &str); 5] = [
        ("new file mode ", "deleted file mode "),
        ("old mode ", "new mode "),
        ("rename from ", "rename to "),
        ("copy from ", "copy to "),
        ("similarity index ", "similarity index "),
    ];
    for (one, other) in PAIRS {
        for (from, to) in [(one, other), (other, one)] {
            if let Some(rest) = line.strip_prefix(from) {
                return format!("{to}{rest}");
            }
        }
    }
    if let Some((old, rest)) = line.strip_prefix("index ").and_then(|blobs| blobs.split_once(".."))
        && let new = rest.split(' ').next().unwrap_or_default()
        && let mode = &rest[new.len()..]
    {
        return format!("index {new}..{old}{mode}");
    }
    line.to_owned()
}

fn swap_prefix(path: &str, from: &str, to: &str) -> String {
    let quoted = path.strip_prefix('"').map(|path| ("\"", path));
    let (quote, bare) = quoted.unwrap_or(("", path));
    bare.strip_prefix(from).map_or_else(|| path.to_owned(), |rest| format!("{quote}{to}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/x.py b/x.py\nindex 12..34 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,2 @@ def f():\n a\n-b\n-c\n+d\n\\ No newline at end of file\ndiff --git a/new.py b/new.py\nnew file mode 100644\nindex 0000000..56\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+--- not a header\ndiff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to n\n";

    #[test]
    fn everything_is_turned_around() {
        let turned = reverse(PATCH).unwrap();
        assert_eq!(
            turned,
            "diff --git a/x.py b/x.py\nindex 34..12 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,3 @@ def f():\n a\n-d\n\\ No newline at end of file\n+b\n+c\ndiff --git a/new.py b/new.py\ndeleted file mode 100644\nindex 56..0000000\n--- a/new.py\n+++ /dev/null\n@@ -1 +0,0 @@\n---- not a header\ndiff --git a/n b/o\nsimilarity index 100%\nrename to o\nrename from n\n"
        );
        Patch::parse(&turned).unwrap();
        assert!(reverse("no patch").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_turned_around_is_a_patch(text in "diff --git a/n b/n\n(new file mode |--- /dev/null\n|\\+\\+\\+ b/n\n|@@ -0,0 \\+1 @@\n|\\+x\n|rename to m\n|\n){0,12}") {
            if let Ok(turned) = reverse(&text) {
                Patch::parse(&turned).unwrap();
            }
        }
    }
}
