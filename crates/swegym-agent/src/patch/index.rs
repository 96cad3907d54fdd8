//! Git's index, as far as to tell what a name stood for when it was written.
//!
//! The form is that of git's `Documentation/gitformat-index.txt`, versions 2 to 4
//! with SHA-1 names; indexes in parts (`split`, `sparse`) are not read.

/// A regular file in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    /// The SHA-1 name of what it holds.
    pub(super) id: [u8; 20],
    /// Whether it may be run.
    pub(super) executable: bool,
}

/// Bytes of an entry before its flags: times, place, mode, owner, size, name of
/// the blob.
const FIXED: usize = 60;
const MODE: usize = 24;
const CHECKSUM: usize = 20;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;

/// What an index has for a name: `Some(None)` where that is no merged regular
/// file, `None` where the index is none that is read here.
pub(super) fn find(index: &[u8], path: &str) -> Option<Option<Blob>> {
    let (header, mut rest) = index.split_first_chunk::<12>()?;
    let version = number(header, 4)?;
    if &header[..4] != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let mut name = Vec::new();
    for _ in 0..number(header, 8)? {
        let entry = rest;
        let (fixed, after) = rest.split_at_checked(FIXED)?;
        let (flags, after) = after.split_first_chunk::<2>()?;
        let flags = u16::from_be_bytes(*flags);
        rest = after.get(if flags & EXTENDED == 0 { 0 } else { 2 }..)?;
        if version == 4 {
            // Names share their beginning with the one before.
            name.truncate(name.len().checked_sub(take_offset(&mut rest)?)?);
        } else {
            name.clear();
        }
        let length = rest.iter().position(|b| *b == 0)?;
        name.extend_from_slice(&rest[..length]);
        rest = if version == 4 {
            &rest[length + 1..]
        } else {
            // Filled up with one to eight zeros.
            entry.get((entry.len() - rest.len() + length + 8) & !7..)?
        };
        if name == path.as_bytes() && flags & STAGE == 0 {
            let mode = number(fixed, MODE)?;
            let id = fixed[FIXED - 20..].try_into().ok()?;
            let is_file = mode & 0o170_000 == 0o100_000;
            return Some(is_file.then_some(Blob { id, executable: mode & 0o100 != 0 }));
        }
    }
    while rest.len() > CHECKSUM {
        // Whoever does not know an extension in small letters does not know the names.
        if rest[0].is_ascii_lowercase() {
            return None;
        }
        rest = rest.get(8 + number(rest, 4)? as usize..)?;
    }
    Some(None)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A number as in pack files' offsets: seven bits a byte, the highest first.
fn take_offset(bytes: &mut &[u8]) -> Option<usize> {
    let mut value = 0_usize;
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value = value.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        value = value.checked_add(1)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;
    use swegym_sandbox::tool;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let place = folder.to_string_lossy();
        let arguments = ["-C", &place].into_iter().chain(arguments.iter().copied());
        String::from_utf8(tool::run("git", arguments, Duration::from_secs(60)).unwrap()).unwrap()
    }

    #[test]
    fn every_version_says_what_git_says() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        git(folder, &["init", "-q", "."]);
        fs::create_dir_all(folder.join("deep/er")).unwrap();
        for i in 0..40 {
            let path = folder.join(format!("deep/er/{}{i}", "n".repeat(i)));
            fs::write(&path, i.to_string()).unwrap();
            if i % 3 == 0 {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        std::os::unix::fs::symlink("deep", folder.join("link")).unwrap();
        git(folder, &["add", "-A"]);
        let later = folder.join("later");
        for (version, add) in [("2", "--refresh"), ("3", "-N"), ("4", "-N")] {
            if add == "-N" {
                fs::write(&later, version).unwrap();
                git(folder, &["add", "-N", "later"]);
            }
            git(folder, &["update-index", "--index-version", version]);
            let index = fs::read(folder.join(".git/index")).unwrap();
            assert_eq!(index[7].to_string(), version);
            let listed = git(folder, &["ls-files", "-s"]);
            assert!(listed.lines().count() > 40);
            for line in listed.lines() {
                let (about, name) = line.split_once('\t').unwrap();
                let found = find(&index, name).unwrap().map(|blob| {
                    let mode = if blob.executable { "100755" } else { "100644" };
                    format!("{mode} {} 0", swegym_core::id::hex(&blob.id))
                });
                assert_eq!(found.as_deref(), Some(about).filter(|a| !a.starts_with("120000")), "{name}");
            }
            assert_eq!(find(&index, "deep/er"), Some(None));
        }
        git(folder, &["update-index", "--split-index"]);
        assert_eq!(find(&fs::read(folder.join(".git/index")).unwrap(), "nowhere"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(version in 0_u32..6, entries in any::<u32>(), rest in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..400)) {
            let index = [b"DIRC".as_slice(), &version.to_be_bytes(), &entries.to_be_bytes(), &rest].concat();
            let _ = find(&index, "a");
            let _ = find(&index, "");
        }
    }
}
