//! A project's page: the files that an index offers, read from either form of
//! the simple repository API and written in either.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::address::server;
use super::pattern;

/// The type of a page as JSON (PEP 691).
pub const JSON_PAGE: &str = "application/vnd.pypi.simple.v1+json";

/// One file that the index offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Release {
    /// The file's name, which carries name and version.
    pub filename: String,
    /// Where to fetch it.
    pub url: String,
    /// What it must hash to, where the index says so.
    pub sha256: Option<String>,
    /// When it was uploaded (RFC 3339), where the index says so.
    pub uploaded: Option<String>,
    /// Interpreters that it is for (`>=3.8`), where it says so.
    pub requires_python: Option<String>,
    /// Why it was taken back, perhaps in no words.
    pub yanked: Option<String>,
    /// The metadata beside it (its address and `.metadata`), where there is any.
    pub beside: Option<Beside>,
    /// Its length in bytes, where the index says so.
    pub size: Option<u64>,
}

/// The metadata beside a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// With a digest that it must have.
    Sha256(String),
    /// Without: whoever reads it believes who serves it.
    Unchecked,
}

impl Release {
    /// The file of its metadata, if the index has it with a digest.
    #[must_use]
    pub fn metadata(&self) -> Option<Self> {
        Some(Self {
            filename: format!("{}.metadata", self.filename),
            url: format!("{}.metadata", self.url),
            sha256: match self.beside.clone()? {
                Beside::Sha256(sha256) => Some(sha256),
                Beside::Unchecked => return None,
            },
            ..Self::default()
        })
    }
}

/// Reads a page in either form; `address` is where it was found.
pub(super) fn read(text: &str, address: &str) -> Vec<Release> {
    let mut files =
        serde_json::from_str(text).map_or_else(|_| from_html(text, address), |v| from_json(&v, address));
    // A name is a part of addresses and of paths.
    files.retain(|f| is_plain(&f.filename));
    files
}

fn is_plain(filename: &str) -> bool {
    let starts_well = filename.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    starts_well
        && filename.len() < 256
        && filename.chars().all(|c| c.is_ascii_alphanumeric() || "._+!-".contains(c))
}

fn digest(text: &str) -> Option<String> {
    let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_digest.then(|| text.to_ascii_lowercase())
}

fn from_json(value: &Value, address: &str) -> Vec<Release> {
    let file = |f: &Value| {
        let text = |key: &str| f.get(key).and_then(Value::as_str).map(str::to_owned);
        let sha256 = |of: Option<&Value>| digest(of?.get("sha256")?.as_str()?);
        let yanked = match f.get("yanked") {
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(why) => Some(why.as_str().unwrap_or_default().to_owned()),
        };
        Some(Release {
            filename: text("filename")?,
            url: absolute(&text("url")?, address),
            sha256: sha256(f.get("hashes")),
            uploaded: text("upload-time"),
            requires_python: text("requires-python"),
            yanked,
            beside: sha256(f.get("core-metadata"))
                .or_else(|| sha256(f.get("dist-info-metadata")))
                .map(Beside::Sha256),
            size: f.get("size").and_then(Value::as_u64),
        })
    };
    value.get("files").and_then(Value::as_array).into_iter().flatten().filter_map(file).collect()
}

fn from_html(text: &str, address: &str) -> Vec<Release> {
    static ANCHOR: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?is)<a\s([^>]*)>(.*?)</a>"));
    static ATTRIBUTE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"(?i)([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'))?"#));
    let file = |attributes: &str, label: &str| {
        let get = |name: &str| {
            let mut found = ATTRIBUTE.captures_iter(attributes).filter(|c| c[1].eq_ignore_ascii_case(name));
            found.next().map(|c| unescape(c.get(2).or(c.get(3)).map_or("", |value| value.as_str())))
        };
        let sha256 = |text: &str| digest(text.strip_prefix("sha256=")?);
        let href = get("href")?;
        let (url, fragment) = href.split_once('#').unwrap_or((&href, ""));
        let metadata = get("data-core-metadata").or_else(|| get("data-dist-info-metadata"));
        Some(Release {
            filename: unescape(label.trim()),
            url: absolute(url, address),
            sha256: sha256(fragment),
            uploaded: get("data-upload-time"),
            requires_python: get("data-requires-python"),
            yanked: get("data-yanked"),
            beside: metadata.and_then(|text| sha256(&text)).map(Beside::Sha256),
            size: None,
        })
    };
    ANCHOR.captures_iter(text).filter_map(|c| file(&c[1], &c[2])).collect()
}

/// A page as JSON, with addresses of the writer's choice.
#[must_use]
pub fn to_json(name: &str, files: &[Release], address: impl Fn(&Release) -> String) -> String {
    let file = |f: &Release| {
        let mut file = json!({"filename": f.filename, "url": address(f), "hashes": {}});
        if let Some(sha256) = &f.sha256 {
            file["hashes"]["sha256"] = json!(sha256);
        }
        for (key, value) in [("requires-python", &f.requires_python), ("upload-time", &f.uploaded)] {
            if let Some(value) = value {
                file[key] = json!(value);
            }
        }
        if let Some(why) = &f.yanked {
            file["yanked"] = if why.is_empty() { json!(true) } else { json!(why) };
        }
        if let Some(beside) = &f.beside {
            let value = match beside {
                Beside::Sha256(sha256) => json!({"sha256": sha256}),
                Beside::Unchecked => json!(true),
            };
            // The second name is the one of older readers.
            file["core-metadata"] = value.clone();
            file["dist-info-metadata"] = value;
        }
        if let Some(size) = f.size {
            file["size"] = json!(size);
        }
        file
    };
    let files: Vec<Value> = files.iter().map(file).collect();
    json!({"meta": {"api-version": "1.0"}, "name": name, "files": files}).to_string()
}

/// A page as HTML (PEP 503), for readers that know nothing else.
#[must_use]
pub fn to_html(name: &str, files: &[Release], address: impl Fn(&Release) -> String) -> String {
    let anchor = |f: &Release| {
        let mut attributes = String::new();
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                attributes.push_str(&format!(" {name}=\"{}\"", escape(&value)));
            }
        };
        let metadata = f.beside.as_ref().map(|beside| match beside {
            Beside::Sha256(sha256) => format!("sha256={sha256}"),
            Beside::Unchecked => "true".to_owned(),
        });
        add("data-requires-python", f.requires_python.clone());
        add("data-yanked", f.yanked.clone());
        add("data-upload-time", f.uploaded.clone());
        add("data-dist-info-metadata", metadata.clone());
        add("data-core-metadata", metadata);
        let fragment = f.sha256.as_ref().map(|sha256| format!("#sha256={sha256}")).unwrap_or_default();
        let href = escape(&format!("{}{fragment}", address(f)));
        format!("<a href=\"{href}\"{attributes}>{}</a><br>\n", escape(&f.filename))
    };
    let anchors: String = files.iter().map(anchor).collect();
    format!("<!DOCTYPE html>\n<html><head><title>{name}</title></head><body>\n{anchors}</body></html>\n")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&gt;", ">")
        .replace("&lt;", "<")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}

/// Links may be relative to the page, or to the server.
fn absolute(link: &str, page: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    if link.starts_with('/') {
        return format!("{}{link}", server(page));
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

    const PAGE: &str = "https://h/simple/a/";

    fn whole() -> Vec<Release> {
        let file = |filename: &str| Release {
            filename: filename.into(),
            url: format!("https://h/files/{filename}"),
            sha256: Some("ab".repeat(32)),
            ..Release::default()
        };
        vec![
            Release {
                uploaded: Some("2020-01-01T00:00:00Z".into()),
                requires_python: Some(">=3.8,<4".into()),
                beside: Some(Beside::Sha256("cd".repeat(32))),
                ..file("a-1.0-py3-none-any.whl")
            },
            Release { yanked: Some("it is \"bad\" & old".into()), ..file("a-2.0.tar.gz") },
            Release { yanked: Some(String::new()), sha256: None, ..file("a-3.0+x.tar.gz") },
        ]
    }

    #[test]
    fn what_is_written_in_either_form_is_read_back() {
        let address = |f: &Release| format!("../../files/{}", f.filename);
        assert_eq!(read(&to_json("a", &whole(), address), PAGE), whole());
        assert_eq!(read(&to_html("a", &whole(), address), PAGE), whole());
    }

    #[test]
    fn other_peoples_pages_are_read() {
        let html = "<A HREF='/f/a-1.0.tar.gz#md5=00' data-yanked data-dist-info-metadata=\"true\" data-requires-python='&gt;=3'> a-1.0.tar.gz </A><a href=\"x\">../x</a>";
        let json = r#"{"files":[{"filename":"a-1.0.tar.gz","url":"https://h/f/a-1.0.tar.gz","hashes":{"md5":"00"},"yanked":true,"requires-python":">=3","core-metadata":true},{"filename":"a/b","url":"x"}]}"#;
        let files = read(html, PAGE);
        assert_eq!(files, read(json, PAGE));
        assert_eq!(files.len(), 1, "a name that is a path is none");
        assert_eq!((files[0].sha256.as_ref(), files[0].yanked.as_deref()), (None, Some("")));
        assert!(files[0].metadata().is_none(), "metadata without a digest is none");
    }

    #[test]
    fn links_are_relative_to_the_page_or_the_server() {
        assert_eq!(absolute("/f/x", PAGE), "https://h/f/x");
        assert_eq!(absolute("../../f/x", PAGE), "https://h/f/x");
        assert_eq!(absolute("x", PAGE), "https://h/simple/a/x");
    }
}
