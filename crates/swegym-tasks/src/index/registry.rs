//! Registries of other languages than Python: pages and archives below one address.
//!
//! As with an index, what is fetched is kept, and archives that something promises a
//! digest for are checked by it. What a page says is up to whoever asks for it.

use std::fs::File;
use std::path::Path;
use std::sync::PoisonError;

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use swegym_core::id::hex;

use super::{Broken, Index, IndexError, LARGEST_PAGE, Release, Room, address, copy};

/// Larger archives are refused, in bytes: they are held in memory until they are checked.
const LARGEST_ARCHIVE: u64 = 256 << 20;

/// A registry.
#[derive(Debug)]
pub struct Registry(Index);

/// What is known of an archive before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promise {
    /// Its sha256, as hexadecimal digits.
    Sha256(String),
    /// Its sha1, as hexadecimal digits: all that old releases have.
    Sha1(String),
    /// Digests as browsers spell them, `sha512-…`; the strongest counts.
    Integrity(String),
    /// Nothing: whoever asks for it checks it, or the first answer counts for good.
    Nothing,
}

impl Promise {
    /// Whether these bytes are what was promised. An unknown kind of digest holds for nothing.
    fn holds(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Sha256(digest) => hex(&Sha256::digest(bytes)) == digest.to_lowercase(),
            Self::Sha1(digest) => hex(&Sha1::digest(bytes)) == digest.to_lowercase(),
            Self::Integrity(list) => holds(list, bytes),
            Self::Nothing => true,
        }
    }

    /// What stands for the archive among what is kept.
    fn key(&self, url: &str) -> String {
        match self {
            Self::Sha256(digest) => format!("sha256 {digest}"),
            Self::Sha1(digest) => format!("sha1 {digest}"),
            Self::Integrity(list) => format!("integrity {list}"),
            Self::Nothing => format!("address {url}"),
        }
    }
}

/// Whether bytes have the strongest of these digests.
fn holds(list: &str, bytes: &[u8]) -> bool {
    let given = |kind: &str| {
        let mut all = list.split_whitespace().filter_map(|one| one.strip_prefix(kind)?.strip_prefix('-'));
        // What follows a question mark are options.
        all.next().map(|digest| digest.split('?').next().unwrap_or(digest).to_owned())
    };
    if let Some(digest) = given("sha512") {
        return address::base64(&Sha512::digest(bytes)) == digest;
    }
    if let Some(digest) = given("sha384") {
        return address::base64(&Sha384::digest(bytes)) == digest;
    }
    if let Some(digest) = given("sha256") {
        return address::base64(&Sha256::digest(bytes)) == digest;
    }
    given("sha1").is_some_and(|digest| address::base64(&Sha1::digest(bytes)) == digest)
}

impl Registry {
    /// A registry at this address. What is fetched is kept in `cache`, a folder of this
    /// machine's swegym.
    #[must_use]
    pub fn new(url: &str, cache: &Path) -> Self {
        Self(Index::new(url, cache))
    }

    /// Trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn trusting(self, certificates: Option<Vec<u8>>) -> Self {
        Self(self.0.trusting(certificates))
    }

    /// Fetches nothing: what was not fetched before is not there.
    #[must_use]
    pub fn only_kept(self, only_kept: bool) -> Self {
        Self(self.0.only_kept(only_kept))
    }

    /// Whether nothing is fetched.
    #[must_use]
    pub fn is_only_kept(&self) -> bool {
        self.0.only_kept
    }

    /// Its address, without what only the server may read in it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.sources.first().map_or("", |source| source.url.as_str())
    }

    /// The text of a page at a path below the address; nothing where there is none. A run
    /// sees one state of each.
    ///
    /// # Errors
    /// [`IndexError::NotKept`], [`IndexError::TooLarge`], or the failure of the network or
    /// the disk.
    pub fn page(&self, path: &str, room: &Room) -> Result<Option<String>, IndexError> {
        let Self(index) = self;
        let address = format!("{}/{path}", self.url());
        let seen = || index.fetched_pages.lock().unwrap_or_else(PoisonError::into_inner);
        if index.only_kept || seen().contains(&address) {
            let kept = index.shelf.page(&address);
            if kept.is_some() {
                return Ok(kept);
            }
            if index.only_kept {
                return Err(IndexError::NotKept { what: format!("`{path}`") });
            }
        }
        let body = match self.fetch(&address, path, LARGEST_PAGE, room) {
            Ok(body) => body,
            Err(error) if is_absence(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        let keep = |source| IndexError::Keep { path: index.shelf.page_path(&address), source };
        index.shelf.put_page(&address, &text).map_err(keep)?;
        seen().insert(address);
        Ok(Some(text))
    }

    /// An archive that is what was promised: the kept one, or fetched now. `url` is a whole
    /// address; the registry's own servers are told about the user.
    ///
    /// # Errors
    /// [`IndexError::Digest`], and those of [`Self::page`].
    pub fn archive(&self, url: &str, promise: &Promise, room: &Room) -> Result<Option<File>, IndexError> {
        let filename = url.rsplit('/').next().unwrap_or(url).to_owned();
        if let Promise::Sha256(sha256) = promise {
            let release = Release {
                filename,
                url: url.to_owned(),
                sha256: Some(sha256.to_lowercase()),
                ..Release::default()
            };
            return present(self.0.open(&release, room));
        }
        let shelf = &self.0.shelf;
        let key = promise.key(url);
        let keep = |source| IndexError::Keep { path: shelf.page_path(&key), source };
        let noted = shelf.page(&key).filter(|note| note.len() == 64);
        if let Some(kept) = noted.map(|note| shelf.file(&note)).transpose().map_err(keep)?.flatten() {
            return Ok(Some(kept));
        }
        if self.0.only_kept {
            return Err(IndexError::NotKept { what: format!("`{filename}`") });
        }
        let Some(bytes) = present(self.fetch(url, &filename, LARGEST_ARCHIVE, room))? else {
            return Ok(None);
        };
        if !promise.holds(&bytes) {
            return Err(IndexError::Digest { filename });
        }
        let sha256 = hex(&Sha256::digest(&bytes));
        let mut partial = shelf.begin(&sha256).map_err(keep)?;
        let file = match shelf.file(&sha256).map_err(keep)? {
            Some(file) => file,
            None => {
                partial.restart().and_then(|()| partial.push(&bytes)).map_err(keep)?;
                let finished = shelf.finish(partial, &sha256).map_err(keep)?;
                finished.ok_or(IndexError::Digest { filename })?
            }
        };
        shelf.put_page(&key, &sha256).map_err(keep)?;
        Ok(Some(file))
    }

    fn fetch(&self, url: &str, what: &str, limit: u64, room: &Room) -> Result<Vec<u8>, IndexError> {
        self.0.fetch(url, "application/json, */*;q=0.5", |answer| {
            let mut body = Vec::new();
            copy(answer, what, limit, room, |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
            Ok::<_, Broken>(body)
        })
    }
}

/// What is there; nothing where the server says that it is not.
fn present<T>(found: Result<T, IndexError>) -> Result<Option<T>, IndexError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &IndexError) -> bool {
    matches!(error, IndexError::Fetch { source, .. } if matches!(**source, ureq::Error::StatusCode(404 | 410 | 451)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_promise_counts() {
        let bytes = b"right";
        let sha1 = format!("sha1-{}", address::base64(&Sha1::digest(bytes)));
        let sha512 = format!("sha512-{}", address::base64(&Sha512::digest(bytes)));
        let wrong = format!("sha512-{}", address::base64(&Sha512::digest(b"wrong")));
        for (list, expected) in [
            (sha1.clone(), true),
            (sha512.clone(), true),
            (format!("{sha512}?opt"), true),
            (format!("{sha1} {wrong}"), false),
            ("md5-AAAA".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(Promise::Integrity(list.clone()).holds(bytes), expected, "{list}");
        }
        assert!(Promise::Sha1(hex(&Sha1::digest(bytes)).to_uppercase()).holds(bytes));
        assert!(!Promise::Sha256(hex(&Sha256::digest(b"wrong"))).holds(bytes));
    }
}
