//! A tree of files as git lists it: what stands at which path.

use std::collections::BTreeMap;

/// What stands at a path: the mode and the blob, as git writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Six octal digits.
    pub(super) mode: String,
    /// The blob, in hexadecimal.
    pub(super) blob: String,
}

impl Entry {
    pub(super) fn is_link(&self) -> bool {
        self.mode == "120000"
    }
}

/// Every file of a tree, by its whole path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<Vec<u8>, Entry>);

impl Tree {
    /// Reads `git ls-tree -r -z` and `git ls-files -s -z`: mode and blob among
    /// the words before the tab, the path after it.
    pub(super) fn read(listing: &[u8]) -> Self {
        let row = |row: &[u8]| {
            let tab = row.iter().position(|b| *b == b'\t')?;
            let head = String::from_utf8_lossy(&row[..tab]);
            let mode = head.split(' ').next()?.to_owned();
            let blob = head.split(' ').find(|word| word.len() >= 40)?.to_owned();
            Some((row[tab + 1..].to_vec(), Entry { mode, blob }))
        };
        Self(listing.split(|b| *b == 0).filter_map(row).collect())
    }

    /// Reads listings one after the other, each with its name in a row of its own
    /// at the end.
    pub(super) fn read_named(listings: &[u8]) -> BTreeMap<String, Self> {
        let mut named = BTreeMap::new();
        let mut start = 0;
        let mut at = 0;
        for row in listings.split_inclusive(|b| *b == 0) {
            if let Some(name) = row.strip_suffix(&[0]).filter(|row| !row.contains(&b'\t')) {
                named.insert(String::from_utf8_lossy(name).into_owned(), Self::read(&listings[start..at]));
                start = at + row.len();
            }
            at += row.len();
        }
        named
    }

    /// Some of its paths as `git update-index -z --index-info` reads them.
    pub(super) fn to_index_info<'a>(&self, paths: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        let mut out = Vec::new();
        for path in paths {
            if let Some(entry) = self.get(path) {
                out.extend(format!("{} {}\t", entry.mode, entry.blob).bytes());
                out.extend(path);
                out.push(0);
            }
        }
        out
    }

    /// The paths, one after the other with zeros between them.
    pub(super) fn listing(&self) -> String {
        let paths: Vec<_> = self.0.keys().map(|path| String::from_utf8_lossy(path)).collect();
        paths.join("\0")
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.0.get(path)
    }

    /// Whether there is a file at the path or below it.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.0.contains_key(path) || self.below(path).next().is_some()
    }

    /// The paths below a folder; all of them for the root, which is empty.
    pub(super) fn below(&self, folder: &[u8]) -> impl Iterator<Item = &Vec<u8>> {
        let mut start = folder.to_vec();
        if !start.is_empty() {
            start.push(b'/');
        }
        let prefix = start.clone();
        self.0.range(start..).map(|(path, _)| path).take_while(move |path| path.starts_with(&prefix))
    }

    /// Puts at a path what another tree has there, which may be nothing.
    /// Whatever of this tree is in the way goes; its paths are given back.
    pub(super) fn restore(&mut self, path: &[u8], from: &Self) -> Vec<Vec<u8>> {
        let mut way: Vec<Vec<u8>> =
            folders(path).filter(|f| self.0.contains_key(*f)).map(<[u8]>::to_vec).collect();
        way.extend(self.below(path).filter(|p| !from.0.contains_key(*p)).cloned());
        match from.get(path) {
            Some(entry) => drop(self.0.insert(path.to_vec(), entry.clone())),
            // What stands in the way of nothing stays.
            None => {
                self.0.remove(path);
                return Vec::new();
            }
        }
        way.iter().for_each(|path| drop(self.0.remove(path)));
        way
    }

    /// The paths at which two trees differ, in order.
    pub(super) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Vec<u8>> {
        let here =
            self.0.iter().filter(|(path, entry)| other.get(path) != Some(*entry)).map(|(path, _)| path);
        let gone = other.0.keys().filter(|path| !self.0.contains_key(*path));
        let mut all: Vec<_> = here.chain(gone).collect();
        all.sort();
        all.into_iter()
    }
}

/// The folders of a path, the innermost first; the root is not among them.
pub(super) fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = (0..path.len()).rev().filter(|at| path[*at] == b'/');
    ends.map(|at| &path[..at])
}

/// The folder that a path lies in; empty for the root.
pub(super) fn folder(path: &[u8]) -> &[u8] {
    folders(path).next().unwrap_or_default()
}

/// Paths one after the other, as `-z` options read them.
pub(super) fn zero_ended<'a>(paths: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    paths.into_iter().flat_map(|path| [path, &[0]].concat()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::answer) fn tree(paths: &[&str]) -> Tree {
        let entry = |path: &str| (path.into(), Entry { mode: "100644".into(), blob: format!("{path:0>40}") });
        Tree(paths.iter().map(|path| entry(path)).collect())
    }

    #[test]
    fn listings_are_read_and_written() {
        let blob = "a".repeat(40);
        let listed = format!("100644 blob {blob}\ta b\0120000 {blob} 0\tl\0");
        let tree = Tree::read(listed.as_bytes());
        let written = tree.to_index_info(tree.0.keys());
        assert_eq!(written, format!("100644 {blob}\ta b\0120000 {blob}\tl\0").as_bytes());
        assert!(tree.get(b"l").is_some_and(Entry::is_link));
        assert_eq!(tree.listing(), "a b\0l");
    }

    #[test]
    fn what_was_not_listed_to_its_end_is_not_there() {
        let row = format!("100644 {} 0\ta\0", "a".repeat(40));
        let named = Tree::read_named(format!("{row}base\0ready\0{row}").as_bytes());
        assert_eq!(named.keys().collect::<Vec<_>>(), ["base", "ready"]);
        assert_eq!(named["base"], Tree::read(row.as_bytes()));
        assert_eq!(named["ready"], Tree::default());
    }

    #[test]
    fn what_is_in_the_way_of_what_comes_back_goes() {
        let base = tree(&["tests/test_a.py", "x/y", "z"]);
        let mut answered = tree(&["tests", "z/deep/er", "x/new"]);
        assert_eq!(answered.restore(b"tests/test_a.py", &base), [b"tests"]);
        assert_eq!(answered.restore(b"z", &base), [b"z/deep/er"]);
        answered.restore(b"x/new", &base);
        answered.restore(b"x/y", &base);
        assert_eq!(answered, base);
        assert_eq!(folders(b"a/b/c").collect::<Vec<_>>(), [&b"a/b"[..], b"a"]);
        assert_eq!(tree(&["a", "a-b", "a/b"]).below(b"a").collect::<Vec<_>>(), [b"a/b"]);
    }
}
