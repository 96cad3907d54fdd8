//! Where the file system of an instance comes from.

use std::fmt;

/// An image, as rows name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageRef {
    /// One of this store, by the digest of its description in hexadecimal.
    Store(String),
    /// A container's, by its name in a registry.
    Container(String),
}

/// What names of this store's images begin with.
const STORE: &str = "swegym:";

impl ImageRef {
    /// Reads a row's word; nothing where it is empty.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word.strip_prefix(STORE) {
            Some(digest) => Some(Self::Store(digest.to_owned())),
            None if word.trim().is_empty() => None,
            None => Some(Self::Container(word.to_owned())),
        }
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(digest) => write!(f, "{STORE}{digest}"),
            Self::Container(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back() {
        for (word, expected) in [
            ("swegym:ab12", ImageRef::Store("ab12".into())),
            (
                "swebench/sweb.eval.x86_64.a:latest",
                ImageRef::Container("swebench/sweb.eval.x86_64.a:latest".into()),
            ),
        ] {
            assert_eq!(ImageRef::parse(word).unwrap(), expected);
            assert_eq!(expected.to_string(), word);
        }
        assert_eq!(ImageRef::parse(" "), None);
    }
}
