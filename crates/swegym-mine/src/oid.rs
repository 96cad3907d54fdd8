//! Names of git's objects.

use std::fmt;

/// The name of an object, of either of git's hashes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Oid {
    bytes: [u8; 32],
    /// 20 or 32.
    length: u8,
}

impl Oid {
    /// Reads 40 or 64 hexadecimal digits.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if !matches!(text.len(), 40 | 64) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self { bytes, length: (text.len() / 2) as u8 })
    }

    /// Takes the bytes that stand in a tree.
    pub(crate) fn from_bytes(given: &[u8]) -> Option<Self> {
        if !matches!(given.len(), 20 | 32) {
            return None;
        }
        let mut bytes = [0; 32];
        bytes[..given.len()].copy_from_slice(given);
        Some(Self { bytes, length: given.len() as u8 })
    }

    /// How many bytes it has.
    pub(crate) fn length(self) -> usize {
        usize::from(self.length)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes[..self.length()].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let name = "0123456789abcdef0123456789abcdef01234567";
        let oid = Oid::parse(name.as_bytes()).unwrap();
        assert_eq!(oid.to_string(), name);
        assert_eq!(Oid::from_bytes(&oid.bytes[..20]), Some(oid));
        assert_eq!(Oid::parse(&name.as_bytes()[1..]), None);
        assert_eq!(Oid::parse(name.to_uppercase().as_bytes()), None);
        assert_eq!(Oid::from_bytes(&[0; 19]), None);
    }
}
