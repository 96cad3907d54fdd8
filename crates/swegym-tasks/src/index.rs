//! A package index: the simple repository API, as JSON (PEP 691) or HTML (PEP 503).
//!
//! What is fetched is kept: files under their digest, without which nothing is
//! fetched, and pages as they were last seen. With [`Index::only_kept`] that is
//! all there is.

mod address;
pub mod metadata;
mod page;
mod registry;
mod shelf;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use regex::Regex;
use swegym_core::Hint;
use thiserror::Error;

pub use page::{Beside, JSON_PAGE, Release, to_html, to_json};
pub use registry::{Promise, Registry};
use shelf::Shelf;

/// Larger files are refused, in bytes.
const LARGEST_FILE: u64 = 2 << 30;
/// Larger pages are refused, in bytes.
const LARGEST_PAGE: u64 = 32 << 20;
/// Asked so often before the network counts as broken.
const TRIES: u32 = 3;

/// Where packages are looked up.
#[derive(Debug)]
pub struct Index {
    /// Asked in this order; the first that has a project is the only one for it.
    sources: Vec<Source>,
    /// Made when it is first needed: most runs ask no index, and certificates
    /// take time and memory.
    agent: OnceLock<ureq::Agent>,
    /// Whom to trust, as PEM, if not whom this machine trusts.
    certificates: Option<Vec<u8>>,
    /// Files uploaded later than this are not seen (RFC 3339; text order is time order).
    exclude_newer: Option<String>,
    shelf: Shelf,
    only_kept: bool,
    /// Pages that were fetched already: a run sees one state of each.
    fetched_pages: Mutex<HashSet<String>>,
}

/// One index.
#[derive(Debug)]
struct Source {
    url: String,
    /// What its server is told about the user.
    authorization: Option<String>,
}

/// How many bytes may still be fetched.
#[derive(Debug)]
pub struct Room(AtomicU64);

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// Why something could not be had from the index.
#[derive(Debug, Error)]
pub enum IndexError {
    /// No project of that name.
    #[error("there is no package `{name}` on {index}")]
    NoProject {
        /// As asked for.
        name: String,
        /// Its address.
        index: String,
    },
    /// The project has no such file.
    #[error("`{name}` has no {what} on {index}")]
    NoRelease {
        /// The project.
        name: String,
        /// For people, for example "source archive of version 1.2".
        what: String,
        /// Its address.
        index: String,
        /// Versions that there are.
        offered: Vec<String>,
    },
    /// The network or the server failed.
    #[error("cannot fetch `{url}`")]
    Fetch {
        /// What was asked for.
        url: String,
        /// Why not.
        #[source]
        source: Box<ureq::Error>,
    },
    /// What came is not what the index promised.
    #[error("`{filename}` does not have the digest that the index gives")]
    Digest {
        /// The file.
        filename: String,
    },
    /// The index does not say what should come.
    #[error("the index gives no sha256 for `{filename}`")]
    NoDigest {
        /// The file.
        filename: String,
    },
    /// Only what was fetched before may be used, and this was not.
    #[error("{what} was not fetched before")]
    NotKept {
        /// The page or the file.
        what: String,
    },
    /// It is larger than anything that is fetched, or than what is left.
    #[error("`{what}` is too large: no more than {limit} bytes may be fetched")]
    TooLarge {
        /// The page or the file.
        what: String,
        /// In bytes.
        limit: u64,
    },
    /// This machine's disk.
    #[error("cannot keep what was fetched as `{}`", path.display())]
    Keep {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl IndexError {
    /// Whether the network, the server or this machine failed, and not what was asked for.
    #[must_use]
    pub fn is_infrastructure(&self) -> bool {
        matches!(self, Self::Fetch { .. } | Self::Keep { .. })
    }
}

impl Hint for IndexError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: String = match self {
            Self::NoProject { .. } => "check the spelling, or name another index with --index-url".into(),
            Self::NoRelease { offered, .. } if offered.is_empty() => {
                "it publishes wheels only: build from a checkout of its repository instead (a path)".into()
            }
            Self::NoRelease { offered, .. } => format!("there is {}", offered.join(", ")),
            Self::Fetch { .. } => {
                "check the network, a proxy (HTTPS_PROXY), the certificates (SSL_CERT_FILE) or --index-url"
                    .into()
            }
            Self::Digest { .. } => "try again; if it stays, do not trust this index".into(),
            Self::NoDigest { .. } => {
                "what cannot be checked is not installed: use an index that publishes digests".into()
            }
            Self::NotKept { .. } => {
                "build it once with --network index; after that --network none will do".into()
            }
            Self::TooLarge { .. } => "give builds more with --build-disk, if it is an honest package".into(),
            Self::Keep { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "no space left: free some, or set SWEGYM_HOME to a larger disk".into()
            }
            Self::Keep { .. } => "set SWEGYM_HOME to a folder that this user owns".into(),
        };
        Some(hint.into())
    }
}

/// Why an answer was not read to its end.
enum Broken {
    /// It ended early; another try may do.
    Cut(io::Error),
    /// It was refused here.
    Refused(IndexError),
}

impl Index {
    /// An index at this address, `https://…/simple` as a rule. What is fetched
    /// is kept in `cache`, a folder of this machine's swegym.
    #[must_use]
    pub fn new(url: &str, cache: &Path) -> Self {
        Self {
            sources: vec![Source::new(url)],
            agent: OnceLock::new(),
            certificates: None,
            exclude_newer: None,
            shelf: Shelf::new(cache),
            only_kept: false,
            fetched_pages: Mutex::default(),
        }
    }

    /// Other indexes, that are asked before the one there is.
    #[must_use]
    pub fn after(mut self, urls: &[String]) -> Self {
        self.sources.splice(..0, urls.iter().map(|url| Source::new(url)));
        self
    }

    /// Without files that were uploaded later.
    #[must_use]
    pub fn as_of(mut self, exclude_newer: Option<String>) -> Self {
        self.exclude_newer = exclude_newer;
        self
    }

    /// Trusts these certificates (PEM) and no others.
    #[must_use]
    pub fn trusting(mut self, certificates: Option<Vec<u8>>) -> Self {
        self.certificates = certificates;
        self
    }

    /// Fetches nothing: what was not fetched before is not there.
    #[must_use]
    pub fn only_kept(mut self, only_kept: bool) -> Self {
        self.only_kept = only_kept;
        self
    }

    /// Whether nothing is fetched.
    #[must_use]
    pub fn is_only_kept(&self) -> bool {
        self.only_kept
    }

    /// Every file of a project that may be chosen, in the index's order.
    ///
    /// # Errors
    /// As [`Index::page`].
    pub fn files(&self, name: &str) -> Result<Vec<Release>, IndexError> {
        let mut files = self.files_as_of(name)?;
        files.retain(|f| f.yanked.is_none());
        Ok(files)
    }

    /// The same with those that were yanked.
    fn files_as_of(&self, name: &str) -> Result<Vec<Release>, IndexError> {
        let mut files = self.page(name, &Room::new(u64::MAX))?;
        if let Some(limit) = &self.exclude_newer {
            let is_old = |time: &String| is_before(time, limit);
            files.retain(|f| f.uploaded.as_ref().is_none_or(is_old));
        }
        Ok(files)
    }

    /// A project's page: every file, also those that were taken back.
    ///
    /// # Errors
    /// [`IndexError::NoProject`], [`IndexError::NotKept`], or the network's failure.
    pub fn page(&self, name: &str, room: &Room) -> Result<Vec<Release>, IndexError> {
        let name = normalise(name);
        for source in &self.sources {
            let page = self.page_of(source, &name, room)?;
            if let Some(files) = page.filter(|files| !(self.only_kept && files.is_empty())) {
                return Ok(files);
            }
        }
        if self.only_kept {
            return Err(IndexError::NotKept { what: format!("`{name}`") });
        }
        let index = self.sources.last().map(|source| source.url.clone()).unwrap_or_default();
        Err(IndexError::NoProject { name, index })
    }

    fn page_of(&self, source: &Source, name: &str, room: &Room) -> Result<Option<Vec<Release>>, IndexError> {
        let address = format!("{}/{name}/", source.url);
        let fetched = || self.fetched_pages.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = || self.shelf.page(&address).map(|text| page::read(&text, &address));
        if self.only_kept {
            return Ok(kept().map(|files| self.kept_of(files)));
        }
        if fetched().contains(&address)
            && let Some(files) = kept()
        {
            return Ok(Some(files));
        }
        let accept = format!("{JSON_PAGE}, text/html;q=0.1");
        let body = self.fetch(&address, &accept, |answer| {
            let mut body = Vec::new();
            copy(answer, &address, LARGEST_PAGE, room, |bytes| {
                body.extend_from_slice(bytes);
                Ok(())
            })?;
            Ok(body)
        });
        let body = match body {
            Ok(body) => body,
            Err(IndexError::Fetch { source, .. })
                if matches!(*source, ureq::Error::StatusCode(404 | 410)) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let files = page::read(&String::from_utf8_lossy(&body), &address);
        self.shelf
            .put_page(&address, &to_json(name, &files, |f| f.url.clone()))
            .map_err(|source| IndexError::Keep { path: self.shelf.page_path(&address), source })?;
        fetched().insert(address);
        Ok(Some(files))
    }

    /// A page may have been fetched for another version than the one that is wanted.
    fn kept_of(&self, mut files: Vec<Release>) -> Vec<Release> {
        let is_kept = |sha256: &String| self.shelf.file_path(sha256).is_file();
        files.retain(|file| file.sha256.as_ref().is_some_and(is_kept));
        files
    }

    /// The source archive of a version, or of the newest stable one. A version that
    /// was yanked is for those who ask for exactly that one.
    ///
    /// # Errors
    /// As [`Index::files`], or [`IndexError::NoRelease`].
    pub fn source_archive(&self, name: &str, version: Option<&str>) -> Result<(String, Release), IndexError> {
        let files = if version.is_some() { self.files_as_of(name)? } else { self.files(name)? };
        let mut versions: Vec<(pep440_rs::Version, Release)> = files
            .into_iter()
            .filter_map(|f| Some((version_of_archive(&f.filename, name)?.parse().ok()?, f)))
            .collect();
        versions.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted = version.map(str::parse::<pep440_rs::Version>);
        let found = match wanted {
            None => {
                let stable = versions.iter().rposition(|(v, _)| v.is_stable());
                stable.or(versions.len().checked_sub(1))
            }
            Some(Ok(wanted)) => versions.iter().rposition(|(v, _)| *v == wanted),
            Some(Err(_)) => None,
        };
        let Some(at) = found else {
            let what = match version {
                Some(version) => format!("source archive of version {version}"),
                None if self.files_as_of(name)?.iter().any(|file| file.yanked.is_some()) => {
                    "source archive that was not yanked".to_owned()
                }
                None => "source archive".to_owned(),
            };
            let offered = versions.iter().rev().take(5).map(|(v, _)| v.to_string()).collect();
            return Err(IndexError::NoRelease {
                name: name.to_owned(),
                what,
                index: self.sources.last().map(|source| source.url.clone()).unwrap_or_default(),
                offered,
            });
        };
        let (version, release) = versions.swap_remove(at);
        Ok((version.to_string(), release))
    }

    /// Fetches a file and checks its digest.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn download(&self, release: &Release) -> Result<Vec<u8>, IndexError> {
        let mut file = self.open(release, &Room::new(u64::MAX))?;
        let mut bytes = Vec::new();
        let path =
            || release.sha256.as_deref().map(|sha256| self.shelf.file_path(sha256)).unwrap_or_default();
        file.read_to_end(&mut bytes).map_err(|source| IndexError::Keep { path: path(), source })?;
        Ok(bytes)
    }

    /// What a wheel says about itself, from beside it or from within; nothing where it says
    /// nothing that can be read.
    ///
    /// # Errors
    /// As of [`Index::open`].
    pub fn metadata(&self, wheel: &Release, room: &Room) -> Result<Option<String>, IndexError> {
        match wheel.metadata() {
            Some(beside) => Ok(metadata::read(self.open(&beside, room)?)),
            None => Ok(metadata::of_wheel(self.open(wheel, room)?)),
        }
    }

    /// A file with the digest that the index gives: the kept one, or fetched now.
    ///
    /// # Errors
    /// [`IndexError::NoDigest`], [`IndexError::Digest`], [`IndexError::NotKept`],
    /// [`IndexError::TooLarge`], or the failure of the network or the disk.
    pub fn open(&self, release: &Release, room: &Room) -> Result<File, IndexError> {
        let filename = || release.filename.clone();
        let sha256 =
            release.sha256.as_deref().ok_or_else(|| IndexError::NoDigest { filename: filename() })?;
        let path = self.shelf.file_path(sha256);
        let keep = |source| IndexError::Keep { path: path.clone(), source };
        if let Some(kept) = self.shelf.file(sha256).map_err(keep)? {
            return Ok(kept);
        }
        if self.only_kept {
            return Err(IndexError::NotKept { what: format!("`{}`", release.filename) });
        }
        let mut partial = self.shelf.begin(sha256).map_err(keep)?;
        // Whoever was at it may have finished.
        if let Some(kept) = self.shelf.file(sha256).map_err(keep)? {
            return Ok(kept);
        }
        let fetched = self.fetch(&release.url, "*/*", |answer| {
            partial.restart().map_err(|e| Broken::Refused(keep(e)))?;
            copy(answer, &release.filename, LARGEST_FILE, room, |bytes| partial.push(bytes).map_err(keep))
        });
        if let Err(error) = fetched {
            partial.abandon();
            return Err(error);
        }
        self.shelf
            .finish(partial, sha256)
            .map_err(keep)?
            .ok_or_else(|| IndexError::Digest { filename: filename() })
    }

    /// Asks the network; `read` is called anew with each answer that begins well.
    fn fetch<T>(
        &self,
        url: &str,
        accept: &str,
        mut read: impl FnMut(&mut dyn Read) -> Result<T, Broken>,
    ) -> Result<T, IndexError> {
        let (url, own) = address::without_credentials(url);
        // A server is told about the user by what names it, be it in an index's address.
        let known = self.sources.iter().find(|s| address::server(&s.url) == address::server(&url));
        let authorization = own.or_else(|| known?.authorization.clone());
        let agent = self.agent.get_or_init(|| agent(self.certificates.as_deref()));
        let mut tries = 0;
        loop {
            tries += 1;
            let mut request = agent.get(&url).header("Accept", accept);
            if let Some(authorization) = &authorization {
                request = request.header("Authorization", authorization);
            }
            let answer = request.call().map_err(Box::new).and_then(|mut response| {
                let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
                match read(&mut body) {
                    Ok(value) => Ok(Ok(value)),
                    Err(Broken::Refused(error)) => Ok(Err(error)),
                    Err(Broken::Cut(error)) => Err(Box::new(ureq::Error::Io(error))),
                }
            });
            match answer {
                Ok(read) => return read,
                // The server says no, rather than nothing: asking again does not help.
                Err(source) if tries == TRIES || matches!(*source, ureq::Error::StatusCode(400..=499)) => {
                    return Err(IndexError::Fetch { url, source });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(300 << tries)),
            }
        }
    }
}

impl Source {
    fn new(url: &str) -> Self {
        let (url, authorization) = address::without_credentials(url);
        Self { url: url.trim_end_matches('/').to_owned(), authorization }
    }
}

/// Whether a time comes before another one, both RFC 3339 in UTC. A time with parts of a
/// second goes on where one without ends.
fn is_before(time: &str, limit: &str) -> bool {
    time.trim_end_matches('Z') < limit.trim_end_matches('Z')
}

/// A client that trusts these certificates, or whom this machine trusts.
fn agent(certificates: Option<&[u8]>) -> ureq::Agent {
    use ureq::tls::{Certificate, PemItem};
    let certificates: Vec<Certificate<'static>> = match certificates {
        Some(pem) => ureq::tls::parse_pem(pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect(),
        None => {
            let found = rustls_native_certs::load_native_certs();
            found.certs.iter().map(|c| Certificate::from_der(c.as_ref()).to_owned()).collect()
        }
    };
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::Specific(Arc::new(certificates)))
        .build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_global(Some(Duration::from_secs(600)))
        .build();
    config.into()
}

/// Reads an answer to its end, within limits.
fn copy(
    answer: &mut dyn Read,
    what: &str,
    limit: u64,
    room: &Room,
    mut each: impl FnMut(&[u8]) -> Result<(), IndexError>,
) -> Result<(), Broken> {
    let own = Room::new(limit);
    let mut block = vec![0; 256 << 10];
    loop {
        let n = answer.read(&mut block).map_err(Broken::Cut)?;
        if n == 0 {
            return Ok(());
        }
        if !own.take(n as u64) || !room.take(n as u64) {
            return Err(Broken::Refused(IndexError::TooLarge { what: what.to_owned(), limit }));
        }
        each(&block[..n]).map_err(Broken::Refused)?;
    }
}

/// A project's name as indexes spell it (PEP 503).
#[must_use]
pub fn normalise(name: &str) -> String {
    static RUNS: LazyLock<Regex> = LazyLock::new(|| pattern("[-_.]+"));
    RUNS.replace_all(name, "-").to_lowercase()
}

fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constant patterns, compiled by the tests")]
    Regex::new(text).expect("a valid pattern")
}

/// The version in a source archive's name; `None` for wheels and other files.
fn version_of_archive<'a>(filename: &'a str, name: &str) -> Option<&'a str> {
    let stem = filename.strip_suffix(".tar.gz").or_else(|| filename.strip_suffix(".zip"))?;
    // The name may be spelt with any separator, and may hold dashes itself.
    let (at, _) = stem.match_indices('-').find(|(at, _)| normalise(&stem[..*at]) == normalise(name))?;
    Some(&stem[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_any_spelling_of_the_name() {
        assert_eq!(version_of_archive("more-itertools-9.1.0.tar.gz", "more_itertools"), Some("9.1.0"));
        assert_eq!(version_of_archive("python_slugify-8.0.zip", "python-slugify"), Some("8.0"));
        assert_eq!(version_of_archive("a-1.0-py3-none-any.whl", "a"), None);
        assert_eq!(normalise("A.b__C"), "a-b-c");
    }
}
