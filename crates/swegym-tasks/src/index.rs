//! A package index: the simple repository API, as JSON (PEP 691) or HTML (PEP 503).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Larger downloads are refused.
const LARGEST: u64 = 512 << 20;

/// Where packages are looked up.
#[derive(Clone)]
pub struct Index {
    url: String,
    agent: Arc<LazyLock<ureq::Agent>>,
    /// Files uploaded later than this are not seen (RFC 3339; text order is time order).
    exclude_newer: Option<String>,
}

/// One file that the index offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The file's name, which carries name and version.
    pub filename: String,
    /// Where to fetch it.
    pub url: String,
    /// What it must hash to, where the index says so.
    pub sha256: Option<String>,
    /// When it was uploaded, where the index says so.
    pub uploaded: Option<String>,
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
}

impl IndexError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
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
        }
    }
}

/// A client that trusts whom this machine trusts.
fn agent() -> ureq::Agent {
    let found = rustls_native_certs::load_native_certs();
    let certificates: Vec<_> =
        found.certs.iter().map(|c| ureq::tls::Certificate::from_der(c.as_ref()).to_owned()).collect();
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

impl Index {
    /// An index at this address, `https://…/simple` as a rule.
    #[must_use]
    pub fn new(url: &str, exclude_newer: Option<String>) -> Self {
        // Most runs ask no index, and certificates take time and memory.
        Self {
            url: url.trim_end_matches('/').to_owned(),
            agent: Arc::new(LazyLock::new(agent)),
            exclude_newer,
        }
    }

    /// Every file of a project, in the index's order.
    ///
    /// # Errors
    /// [`IndexError::NoProject`], or the network's failure.
    pub fn files(&self, name: &str) -> Result<Vec<Release>, IndexError> {
        let url = format!("{}/{}/", self.url, normalise(name));
        let accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1";
        let body = match self.get(&url, accept) {
            Ok(body) => body,
            Err(IndexError::Fetch { source, .. }) if matches!(*source, ureq::Error::StatusCode(404)) => {
                return Err(IndexError::NoProject { name: name.to_owned(), index: self.url.clone() });
            }
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(&body);
        let mut files =
            serde_json::from_str(&text).map_or_else(|_| from_html(&text, &url), |v| from_json(&v, &url));
        if let Some(limit) = &self.exclude_newer {
            files.retain(|f| f.uploaded.as_ref().is_none_or(|time| time.as_str() <= limit.as_str()));
        }
        Ok(files)
    }

    /// The source archive of a version, or of the newest stable one.
    ///
    /// # Errors
    /// As [`Index::files`], or [`IndexError::NoRelease`].
    pub fn source_archive(&self, name: &str, version: Option<&str>) -> Result<(String, Release), IndexError> {
        let mut versions: Vec<(pep440_rs::Version, Release)> = self
            .files(name)?
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
            let what =
                version.map_or("source archive".to_owned(), |v| format!("source archive of version {v}"));
            let offered = versions.iter().rev().take(5).map(|(v, _)| v.to_string()).collect();
            return Err(IndexError::NoRelease {
                name: name.to_owned(),
                what,
                index: self.url.clone(),
                offered,
            });
        };
        let (version, release) = versions.swap_remove(at);
        Ok((version.to_string(), release))
    }

    /// Fetches a file and checks its digest.
    ///
    /// # Errors
    /// The network's failure, or [`IndexError::Digest`].
    pub fn download(&self, release: &Release) -> Result<Vec<u8>, IndexError> {
        let bytes = self.get(&release.url, "*/*")?;
        if let Some(expected) = &release.sha256 {
            let found = swegym_core::id::hex(&Sha256::digest(&bytes));
            if found != expected.to_lowercase() {
                return Err(IndexError::Digest { filename: release.filename.clone() });
            }
        }
        Ok(bytes)
    }

    fn get(&self, url: &str, accept: &str) -> Result<Vec<u8>, IndexError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self
                .agent
                .get(url)
                .header("Accept", accept)
                .call()
                .and_then(|mut response| response.body_mut().with_config().limit(LARGEST).read_to_vec());
            match answer {
                Ok(bytes) => return Ok(bytes),
                // The server says no, rather than nothing: asking again does not help.
                Err(source @ ureq::Error::StatusCode(400..=499)) => {
                    return Err(IndexError::Fetch { url: url.to_owned(), source: Box::new(source) });
                }
                Err(source) if tries >= 3 => {
                    return Err(IndexError::Fetch { url: url.to_owned(), source: Box::new(source) });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(300 << tries)),
            }
        }
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

fn from_json(value: &Value, page: &str) -> Vec<Release> {
    let file = |f: &Value| {
        let text = |key: &str| f.get(key).and_then(Value::as_str).map(str::to_owned);
        if f.get("yanked").is_some_and(|y| y != &Value::Bool(false)) {
            return None;
        }
        let sha256 = f.get("hashes").and_then(|h| h.get("sha256")).and_then(Value::as_str).map(str::to_owned);
        Some(Release {
            filename: text("filename")?,
            url: absolute(&text("url")?, page),
            sha256,
            uploaded: text("upload-time"),
        })
    };
    value.get("files").and_then(Value::as_array).into_iter().flatten().filter_map(file).collect()
}

fn from_html(text: &str, page: &str) -> Vec<Release> {
    static ANCHOR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<a\s([^>]*)>(.*?)</a>"));
    static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?i)([\w-]+)\s*=\s*"([^"]*)""#));
    let file = |attributes: &str, label: &str| {
        let get = |name: &str| {
            let mut found = ATTRIBUTE.captures_iter(attributes).filter(|c| c[1].eq_ignore_ascii_case(name));
            found.next().map(|c| unescape(&c[2]))
        };
        if get("data-yanked").is_some() {
            return None;
        }
        let href = get("href")?;
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        Some(Release {
            filename: unescape(label.trim()),
            url: absolute(url, page),
            sha256: fragment.strip_prefix("sha256=").map(str::to_owned),
            uploaded: get("data-upload-time"),
        })
    };
    ANCHOR.captures_iter(text).filter_map(|c| file(&c[1], &c[2])).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Links may be relative to the page, or to the server.
fn absolute(link: &str, page: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    if link.starts_with('/') {
        let server = page.match_indices('/').nth(2).map_or(page, |(at, _)| &page[..at]);
        return format!("{server}{link}");
    }
    let mut folders: Vec<&str> = page.trim_end_matches('/').split('/').collect();
    let mut rest = link;
    while let Some(up) = rest.strip_prefix("../") {
        folders.pop();
        rest = up;
    }
    format!("{}/{rest}", folders.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_page_give_the_same_files() {
        let html = "<a href=\"../../files/a-1.0.tar.gz#sha256=ab\" data-upload-time=\"2020-01-01T00:00:00Z\">a-1.0.tar.gz</a>\n<a href=\"x\" data-yanked=\"\">a-2.0.tar.gz</a>";
        let json = r#"{"files":[{"filename":"a-1.0.tar.gz","url":"https://h/files/a-1.0.tar.gz","hashes":{"sha256":"ab"},"upload-time":"2020-01-01T00:00:00Z","yanked":false},{"filename":"a-2.0.tar.gz","url":"x","yanked":"bad"}]}"#;
        let page = "https://h/simple/a/";
        let files = from_html(html, page);
        assert_eq!(files, from_json(&serde_json::from_str(json).unwrap(), page));
        assert_eq!(files[0].url, "https://h/files/a-1.0.tar.gz");
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn versions_are_read_from_any_spelling_of_the_name() {
        assert_eq!(version_of_archive("more-itertools-9.1.0.tar.gz", "more_itertools"), Some("9.1.0"));
        assert_eq!(version_of_archive("python_slugify-8.0.zip", "python-slugify"), Some("8.0"));
        assert_eq!(version_of_archive("a-1.0-py3-none-any.whl", "a"), None);
        assert_eq!(normalise("A.b__C"), "a-b-c");
        assert_eq!(absolute("/f/x", "https://h/simple/a/"), "https://h/f/x");
    }
}
