//! Files of a commit whose contents a partial clone does not have, by what git prints.

use std::collections::HashSet;

/// Arguments of git that list a tree's objects, those that are missing with a `?` before
/// them. What follows is the tree.
pub const WALK: [&str; 4] = ["rev-list", "--objects", "--no-object-names", "--missing=print"];

/// Arguments of git that list a tree's files. What follows is the tree.
pub const LIST: [&str; 4] = ["ls-tree", "-r", "-z", "--full-tree"];

/// Whether [`WALK`] said that something is missing.
#[must_use]
pub fn is_partial(walked: &[u8]) -> bool {
    walked.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"?"))
}

/// Paths of the files that [`LIST`] lists and of which [`WALK`] said that their contents are
/// missing, and how many files there are. Names that are no text have marks in them.
#[must_use]
pub fn absent_files(walked: &[u8], listed: &[u8]) -> (Vec<String>, usize) {
    let walked = String::from_utf8_lossy(walked);
    let missing: HashSet<&str> = walked.lines().filter_map(|line| line.strip_prefix('?')).collect();
    let listed = String::from_utf8_lossy(listed);
    let rows: Vec<&str> = listed.split('\0').filter(|row| !row.is_empty()).collect();
    let absent = rows.iter().filter_map(|row| {
        let (head, path) = row.split_once('\t')?;
        missing.contains(head.rsplit_once(' ')?.1).then(|| path.to_owned())
    });
    (absent.collect(), rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_absent_whose_contents_are_missing() {
        let walked = b"aa\n?bb\n?dd\ncc\n";
        let listed = ["100644 blob aa\ta", "100755 blob bb\tb\tc", "160000 commit ee\tm", ""].join("\0");
        assert!(is_partial(walked) && !is_partial(b"aa\nb?b\n"));
        assert_eq!(absent_files(walked, listed.as_bytes()), (vec!["b\tc".to_owned()], 3));
    }
}
