//! Paths in patches: git's quoting, prefixes, and what no path may be.

use super::{FilePatch, PatchError};

/// The characters that HFS+ does not look at in a name.
const IGNORED: [char; 16] = [
    '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}',
    '\u{202e}', '\u{206a}', '\u{206b}', '\u{206c}', '\u{206d}', '\u{206e}', '\u{206f}', '\u{feff}',
];

/// The path that stands for no file.
pub(super) const NOWHERE: &[u8] = b"/dev/null";

/// Whether some file system takes a part of a path for `.git`: without regard
/// to case, to characters that are not shown, to dots and blanks at the end, as
/// a stream of it, or by its short name.
#[must_use]
pub fn is_git_directory(part: &str) -> bool {
    let plain: String = part.chars().filter(|c| !IGNORED.contains(c)).collect();
    plain.split('\\').any(|part| {
        let name = part.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
        name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
    })
}

/// The longest part of a path that a file system takes, in bytes.
const NAME_MAX: usize = 255;

/// The longest path, or target of a link, that the kernel takes, in bytes.
const PATH_MAX: usize = 4095;

/// A name without the parts that say nothing: `.`, and none between two slashes.
/// The first part stays, for it may be a prefix or the root, and so does the
/// last, without which a folder would be a file.
pub(super) fn tidy(name: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
    let last = parts.len() - 1;
    let says = |(at, part): &(usize, &[u8])| *at == 0 || *at == last || !matches!(*part, b"" | b".");
    let parts: Vec<&[u8]> = parts.iter().copied().enumerate().filter(says).map(|(_, part)| part).collect();
    parts.join(&b'/')
}

/// A tidy name that has no prefix, or none any more: `./x` is `x`.
pub(super) fn bare(name: Vec<u8>) -> Vec<u8> {
    name.strip_prefix(b"./").map(<[u8]>::to_vec).unwrap_or(name)
}

/// Refuses what must not be written to.
pub(super) fn check(name: &[u8], line: usize) -> Result<(), PatchError> {
    let path = String::from_utf8_lossy(name).into_owned();
    if path.starts_with('/') {
        return Err(PatchError::AbsolutePath { line, path });
    }
    if path.contains('\0') {
        return Err(PatchError::Malformed { line, what: "a path holds a zero byte" });
    }
    for part in path.split('/') {
        if part.is_empty() || part == "." {
            return Err(PatchError::Malformed { line, what: "a path has an empty part" });
        }
        if part == ".." {
            return Err(PatchError::ParentPath { line, path });
        }
        if is_git_directory(part) {
            return Err(PatchError::GitDirectory { line, path });
        }
    }
    if name.len() > PATH_MAX {
        return Err(PatchError::TooLong { line, what: "a path", bytes: name.len(), limit: PATH_MAX });
    }
    if let Some(part) = name.split(|b| *b == b'/').find(|part| part.len() > NAME_MAX) {
        return Err(PatchError::TooLong { line, what: "a name", bytes: part.len(), limit: NAME_MAX });
    }
    Ok(())
}

/// Takes the prefixes off the two names of one file: `a/` and `b/`, whatever
/// else differs before names that are the same (`i/` and `w/`, `x-1.0/` and
/// `x-1.1/`), or none.
pub(super) fn without_prefixes(old: &[u8], new: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let strip = |name: &[u8], prefixes: &[&str]| {
        let rest = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_bytes()));
        bare(rest.unwrap_or(name).to_vec())
    };
    let either = ["a/", "b/"];
    if old == new || old == NOWHERE || new == NOWHERE {
        return (strip(old, &either), strip(new, &either));
    }
    let rest = |name: &[u8]| name.iter().position(|b| *b == b'/').map(|at| name[at + 1..].to_vec());
    match (rest(old), rest(new)) {
        (Some(old), Some(new)) if old == new && !old.is_empty() => (old, new),
        _ => (strip(old, &["a/"]), strip(new, &["b/"])),
    }
}

/// The name that both sides have, where it begins as if it had a prefix: git
/// gives each side one of its own, so this may be a folder.
pub(super) fn same_with_prefix(old: &[u8], new: &[u8]) -> Option<Vec<u8>> {
    let has_prefix = old.starts_with(b"a/") || old.starts_with(b"b/");
    (old == new && has_prefix).then(|| old.to_vec())
}

/// The name in a `---` or `+++` line: a tab starts a time stamp, and a CR at the
/// end is the line's, since git quotes a name that has one.
pub(super) fn header_name(text: &str) -> Vec<u8> {
    let text = text.strip_suffix('\r').unwrap_or(text);
    let end = match text.strip_prefix('"') {
        Some(quoted) => quoted_len(quoted).map(|len| len + 2),
        None => text.find('\t'),
    };
    tidy(&unquote(end.map_or(text, |end| &text[..end])))
}

/// The two names after `diff --git`, with their prefixes. Without quotes they
/// can hold blanks, so the split is where both halves name the same file, as
/// git does it; names that differ stand in lines of their own.
pub(super) fn split_git_names(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.starts_with('"') || text.ends_with('"') {
        let end = match text.strip_prefix('"') {
            Some(quoted) => quoted_len(quoted)? + 2,
            None => text.find(" \"")?,
        };
        return Some((tidy(&unquote(text.get(..end)?)), tidy(&unquote(text.get(end + 1..)?))));
    }
    let mut halves = text.match_indices(' ').map(|(i, _)| (&text[..i], &text[i + 1..]));
    let (a, b) = halves.find(|(a, b)| match (a.split_once('/'), b.split_once('/')) {
        (Some((_, a)), Some((_, b))) => a == b,
        _ => a == b && !a.is_empty(),
    })?;
    Some((tidy(a.as_bytes()), tidy(b.as_bytes())))
}

/// Bytes up to the quote that ends a quoted name.
fn quoted_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Undoes git's C-style quoting of unusual names.
pub(super) fn unquote(text: &str) -> Vec<u8> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return text.into();
    };
    let mut out = Vec::new();
    let mut bytes = inner.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                while let Some(next) = bytes.next_if(|b| (b'0'..=b'7').contains(b) && value < 32) {
                    value = value * 8 + u32::from(next - b'0');
                }
                out.push(value as u8);
            }
            Some(letter) => out.push(ESCAPES.iter().find(|(l, _)| *l == letter).map_or(letter, |(_, b)| *b)),
            None => {}
        }
    }
    out
}

/// Letters after a backslash and the bytes that they stand for.
const ESCAPES: [(u8, u8); 7] =
    [(b'a', 7), (b'b', 8), (b't', b'\t'), (b'n', b'\n'), (b'v', 11), (b'f', 12), (b'r', b'\r')];

/// A name as git writes it: in quotes where a line could not hold it plainly.
pub(super) fn quote(prefix: &str, name: &[u8]) -> String {
    let plain = std::str::from_utf8(name);
    if let Ok(text) = plain
        && !text.contains(|c: char| c.is_control() || matches!(c, '"' | '\\'))
    {
        return format!("{prefix}{text}");
    }
    let mut out = format!("\"{prefix}");
    for byte in name {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => match ESCAPES.iter().find(|(_, escaped)| escaped == byte) {
                Some((letter, _)) => out.extend(['\\', char::from(*letter)]),
                None => out.push_str(&format!("\\{byte:03o}")),
            },
        }
    }
    out + "\""
}

/// A link is refused when its target is too long, leaves the repository or lies in its
/// `.git`, and so is a file whose parent is a link made by the same patch.
pub(super) fn refuse_escaping_links(files: &[FilePatch]) -> Result<(), PatchError> {
    let mut links = Vec::new();
    for file in files.iter().filter(|f| f.symlink) {
        let (line, path) = (file.line, file.path().to_owned());
        let added = file.hunks.iter().flat_map(|h| &h.lines).filter_map(|l| l.strip_prefix('+'));
        let target = added.collect::<Vec<_>>().join("\n");
        if target.len() > PATH_MAX {
            let what = "the target of a link";
            return Err(PatchError::TooLong { line, what, bytes: target.len(), limit: PATH_MAX });
        }
        if leaves(&path, &target) {
            return Err(PatchError::SymlinkEscape { line, path, target });
        }
        if target.split('/').any(is_git_directory) {
            return Err(PatchError::GitDirectory { line, path: target });
        }
        links.push((format!("{path}/"), target));
    }
    // What goes was there before the link.
    for file in files.iter().filter(|f| f.new_path.is_some()) {
        if let Some((link, target)) = links.iter().find(|(link, _)| file.path().starts_with(link.as_str())) {
            let path = link.trim_end_matches('/').to_owned();
            return Err(PatchError::SymlinkEscape { line: file.line, path, target: target.clone() });
        }
    }
    Ok(())
}

fn leaves(link: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = link.split('/').count() as i64 - 1;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_git_is_git() {
        for part in [
            ".git",
            ".GIT",
            ".gIt",
            ".git.",
            ".git ",
            ".git. .",
            ".git::$INDEX_ALLOCATION",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            "\u{feff}.git",
            "x\\.git\\hooks",
        ] {
            assert!(is_git_directory(part), "{part}");
            for path in [format!("{part}/config"), format!("sub/{part}/config"), format!("sub/{part}")] {
                assert_eq!(check(path.as_bytes(), 1).unwrap_err().code(), "patch_git_directory", "{path}");
            }
        }
        for part in [".gitignore", ".gitattributes", "git", ".github", "x.git", "git~2"] {
            assert!(!is_git_directory(part), "{part}");
        }
    }
}
