//! The metadata of wheels, as resolvers read it. What older tools let pass (`pytz (>=2011k)`)
//! newer ones refuse, and with it every version that asks for it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::str::FromStr as _;

use pep440_rs::VersionSpecifier;

/// Far above what any project says about itself, in bytes.
const LONGEST: u64 = 4 << 20;

/// What a wheel says about itself; nothing where it is none, or says too much.
#[must_use]
pub fn of_wheel(mut wheel: File) -> Option<String> {
    if !has_short_directory(&mut wheel).ok()? {
        return None;
    }
    let mut archive = zip::ZipArchive::new(wheel).ok()?;
    let is_metadata = |name: &&str| {
        name.strip_suffix("/METADATA").is_some_and(|at| at.ends_with(".dist-info") && !at.contains('/'))
    };
    let name = archive.file_names().find(is_metadata)?.to_owned();
    read(archive.by_name(&name).ok()?)
}

/// Whether an archive says that it has fewer files than fit into its short form: room is made
/// for as many as it says before any of them is looked at.
fn has_short_directory(archive: &mut File) -> io::Result<bool> {
    const TAIL: u64 = 128 << 10;
    let length = archive.seek(SeekFrom::End(0))?;
    archive.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    archive.take(TAIL).read_to_end(&mut tail)?;
    archive.rewind()?;
    // The long form has a record of its own.
    let is_long = tail.windows(4).any(|four| four == b"PK\x06\x06" || four == b"PK\x06\x07");
    let is_full = tail.windows(12).any(|end| end.starts_with(b"PK\x05\x06") && end[10..] == [0xff, 0xff]);
    Ok(!is_long && !is_full)
}

/// Metadata from wherever it is.
pub(super) fn read(source: impl io::Read) -> Option<String> {
    let mut bytes = Vec::new();
    source.take(LONGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LONGEST).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The same without the limits on versions that are none: they could not be held anyway. What
/// is well-formed stays as it is.
#[must_use]
pub fn repaired(text: &str) -> String {
    // After an empty line comes the description.
    let (head, rest) = match text.find("\n\n").or_else(|| text.find("\r\n\r\n")) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let line = |line: &str| {
        let mended = line.split_once(':').and_then(|(key, value)| {
            let said = value.trim();
            let new = match key.to_ascii_lowercase().as_str() {
                "requires-dist" => requirement(said),
                "requires-python" => clauses(said)?,
                _ => return None,
            };
            (new != said).then(|| format!("{key}: {new}"))
        });
        mended.unwrap_or_else(|| line.to_owned())
    };
    let lines: Vec<&str> = head.split('\n').collect();
    // One that goes on in the next line is left as it is.
    let goes_on = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with([' ', '\t']));
    let mended =
        lines.iter().enumerate().map(|(at, one)| if goes_on(at) { (*one).to_owned() } else { line(one) });
    mended.collect::<Vec<_>>().join("\n") + rest
}

fn requirement(text: &str) -> String {
    let (asked, marker) = match text.split_once(';') {
        Some((asked, marker)) => (asked.trim(), format!(" ; {}", marker.trim())),
        None => (text, String::new()),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = asked.find(|c| !is_name(c)).unwrap_or(asked.len());
    let (name, rest) = asked.split_at(end);
    let (extras, limits) = match rest.trim_start().split_once(']') {
        Some((extras, limits)) if extras.starts_with('[') => (format!("{extras}]"), limits),
        _ => (String::new(), rest),
    };
    let limits = limits.trim();
    let limits = limits.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(limits);
    match clauses(limits) {
        Some(kept) if !asked.contains('@') => {
            let kept = if kept.is_empty() { kept } else { format!(" ({kept})") };
            format!("{name}{extras}{kept}{marker}")
        }
        _ => text.to_owned(),
    }
}

/// Limits on a version that are some, where not all are.
fn clauses(limits: &str) -> Option<String> {
    let all: Vec<&str> = limits.split(',').map(str::trim).filter(|clause| !clause.is_empty()).collect();
    let kept: Vec<String> = all.iter().filter_map(|clause| mended(clause)).collect();
    let is_whole = all.iter().eq(kept.iter());
    (!is_whole).then(|| kept.join(","))
}

/// A clause that tools can read: `>=3.5.*` says no more than `>=3.5`.
fn mended(clause: &str) -> Option<String> {
    if VersionSpecifier::from_str(clause).is_ok() {
        return Some(clause.to_owned());
    }
    let shorter = clause.strip_suffix(".*").filter(|_| clause.starts_with(['>', '<']))?;
    VersionSpecifier::from_str(shorter).is_ok().then(|| shorter.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn limits_that_are_none_go_and_all_else_stays() {
        for (said, read) in [
            ("pytz (>=2011k)", "pytz"),
            ("pytz>=2011k,<2020; extra == 'a'", "pytz (<2020) ; extra == 'a'"),
            ("numpy[all] (>=1.9.*,!=1.10)", "numpy[all] (>=1.9,!=1.10)"),
            ("six (>=1.5)", "six (>=1.5)"),
            ("six", "six"),
            ("a==1.*,>=0", "a==1.*,>=0"),
            ("a @ https://example.org/a.zip", "a @ https://example.org/a.zip"),
            (
                "a (>=1.0) ; python_version < '3' and extra == 'b'",
                "a (>=1.0) ; python_version < '3' and extra == 'b'",
            ),
        ] {
            assert_eq!(requirement(said), read, "{said}");
        }
        let text = "Metadata-Version: 2.0\nRequires-Python: >=2.7,!=3.0.*,>=3.4.*\nRequires-Dist: pytz (>=2011k)\n\nRequires-Dist: x (>=y)\n";
        assert_eq!(
            repaired(text),
            "Metadata-Version: 2.0\nRequires-Python: >=2.7,!=3.0.*,>=3.4\nRequires-Dist: pytz\n\nRequires-Dist: x (>=y)\n"
        );
        let folded = "Requires-Dist: a (>=1,\n <2k)\n";
        assert_eq!(repaired(folded), folded);
        let plain = "Name: a\r\nRequires-Dist: six (>=1.5)\r\n";
        assert_eq!(repaired(plain), plain);
    }

    #[test]
    fn an_archive_that_says_that_it_has_very_many_files_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("a-1.dist-info/METADATA", zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(b"Name: a\n").unwrap();
        archive.finish().unwrap();
        assert_eq!(of_wheel(File::open(&path).unwrap()).as_deref(), Some("Name: a\n"));
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len() - 22;
        bytes[end + 10..end + 12].fill(0xff);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(of_wheel(File::open(&path).unwrap()), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_what_is_read_stays(text in "\\PC{0,80}") {
            let once = repaired(&format!("Requires-Dist: {text}\n"));
            proptest::prop_assert_eq!(repaired(&once), once);
        }
    }
}
