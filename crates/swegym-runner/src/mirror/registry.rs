//! Registries of other languages as a build box sees them: pages rewritten so that they
//! name no other server, archives checked by what pages promise.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, LazyLock};

use regex::{Captures, Regex};
use serde::Deserialize;
use serde_json::{Value, json};
use swegym_tasks::index::{IndexError, Promise, Registry};

use super::{Desk, PORT, REMEMBERED, Shop, ShopKind, Source, lock};

/// What there is at a path.
pub(super) enum Found {
    Text(String, &'static str),
    File(fs::File),
    Nothing,
}

/// Archives of one package of npm's: name of the file, address, promise.
pub(super) type Archives = Vec<(String, String, Promise)>;

const JSON: &str = "application/json";
/// The longest path.
const LONGEST: usize = 512;

/// Looks for what a path names.
pub(super) fn look(desk: &Desk, path: &str) -> Result<Found, IndexError> {
    let Source::Registry(shop) = &desk.source else { return Ok(Found::Nothing) };
    let path = decoded(path);
    let path = path.trim_start_matches('/');
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.len() > LONGEST || !path.split('/').all(is_plain) {
        return Ok(Found::Nothing);
    }
    match shop.kind {
        ShopKind::Npm => npm(desk, shop, path),
        ShopKind::Crates => crates(desk, shop, path),
        ShopKind::Go => go(desk, shop, path),
    }
}

/// Undoes the only encoding that registries' clients need: of the blank-free names of
/// packages, a scope's slash and the like.
fn decoded(path: &str) -> String {
    [("%2f", "/"), ("%2F", "/"), ("%40", "@"), ("%2b", "+"), ("%2B", "+")]
        .iter()
        .fold(path.to_owned(), |path, (code, text)| path.replace(code, text))
}

/// A package's page, or `NAME/-/FILE`, at whatever place a lock file has it.
fn npm(desk: &Desk, shop: &Shop, path: &str) -> Result<Found, IndexError> {
    let (holder, file) = path.rsplit_once("/-/").map_or((path, None), |(holder, file)| (holder, Some(file)));
    let parts: Vec<&str> = holder.split('/').collect();
    let name = match parts[..] {
        [.., scope, name] if scope.starts_with('@') => format!("{scope}/{name}"),
        [name] => name.to_owned(),
        [.., name] if file.is_some() => name.to_owned(),
        _ => return Ok(Found::Nothing),
    };
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || "@/-_.~".contains(c));
    if !is_name || name.starts_with(['-', '.']) {
        return Ok(Found::Nothing);
    }
    match file {
        None => {
            let page = npm_page(desk, &shop.registry, &name)?;
            Ok(page.map_or(Found::Nothing, |page| Found::Text(localised(&page, &name), JSON)))
        }
        Some(file) => {
            let archives = npm_archives(desk, &shop.registry, &name)?;
            let Some((_, url, promise)) = archives.iter().find(|(named, _, _)| named == file) else {
                return Ok(Found::Nothing);
            };
            archive(shop.registry.archive(url, promise, &desk.room)?)
        }
    }
}

fn archive(found: Option<fs::File>) -> Result<Found, IndexError> {
    Ok(found.map_or(Found::Nothing, Found::File))
}

fn npm_page(desk: &Desk, registry: &Registry, name: &str) -> Result<Option<String>, IndexError> {
    registry.page(&name.replace('/', "%2f"), &desk.room)
}

/// Names this mirror where a page names where its archives are. Pages are large, and are not
/// taken apart for that; within texts, a quotation mark has a backslash before it.
fn localised(page: &str, name: &str) -> String {
    static PLACE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""tarball"\s*:\s*"([^"\\]+)""#).ok());
    let Some(place) = PLACE.as_ref() else { return page.to_owned() };
    let here = |found: &Captures<'_>| {
        format!("\"tarball\":\"http://127.0.0.1:{PORT}/{name}/-/{}\"", file_of(&found[1]))
    };
    place.replace_all(page, here).into_owned()
}

fn file_of(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

/// The archives of a package, the same ones for as long as the box lives.
fn npm_archives(desk: &Desk, registry: &Registry, name: &str) -> Result<Arc<Archives>, IndexError> {
    if let Some(known) = lock(&desk.archives).get(name) {
        return Ok(Arc::clone(known));
    }
    let page = npm_page(desk, registry, name)?.unwrap_or_default();
    let page: Page = serde_json::from_str(&page).unwrap_or_default();
    let archive = |release: PageRelease| {
        let Dist { tarball, integrity, shasum } = release.dist;
        // What cannot be checked is not installed.
        let promise = integrity.map(Promise::Integrity).or(shasum.map(Promise::Sha1))?;
        Some((file_of(&tarball).to_owned(), tarball, promise))
    };
    let found: Arc<Archives> = Arc::new(page.versions.into_values().filter_map(archive).collect());
    let mut known = lock(&desk.archives);
    let remembered: usize = known.values().map(|archives| archives.len()).sum();
    if remembered + found.len() > REMEMBERED {
        known.clear();
    }
    Ok(Arc::clone(known.entry(name.to_owned()).or_insert(found)))
}

/// What matters here of a package's page.
#[derive(Default, Deserialize)]
struct Page {
    #[serde(default)]
    versions: HashMap<String, PageRelease>,
}

#[derive(Deserialize)]
struct PageRelease {
    #[serde(default)]
    dist: Dist,
}

#[derive(Default, Deserialize)]
struct Dist {
    #[serde(default)]
    tarball: String,
    integrity: Option<String>,
    shasum: Option<String>,
}

/// The index's settings, a crate's lines, or `dl/NAME/VERSION/download`.
fn crates(desk: &Desk, shop: &Shop, path: &str) -> Result<Found, IndexError> {
    if path == "config.json" {
        let here = json!({"dl": format!("http://127.0.0.1:{PORT}/dl")});
        return Ok(Found::Text(here.to_string(), JSON));
    }
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match path.split('/').collect::<Vec<_>>()[..] {
        ["dl", name, version, "download"] if is_name(name) => {
            let lines = crate_lines(desk, shop, &place_of(name))?;
            let line = lines.iter().find(|line| line["vers"] == version);
            let Some(sha256) = line.and_then(|line| line["cksum"].as_str()) else {
                return Ok(Found::Nothing);
            };
            let url = crate_url(desk, &shop.registry, name, version, sha256)?;
            archive(shop.registry.archive(&url, &Promise::Sha256(sha256.to_owned()), &desk.room)?)
        }
        [.., name] if is_name(name) && path == place_of(name) => {
            let lines = crate_lines(desk, shop, path)?;
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let found = Found::Text(text, "text/plain; charset=utf-8");
            Ok(if lines.is_empty() { Found::Nothing } else { found })
        }
        _ => Ok(Found::Nothing),
    }
}

/// Where a crate's lines are: `se/rd/serde`, `3/b/bar`.
fn place_of(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.len() {
        0..=2 => format!("{}/{lower}", lower.len()),
        3 => format!("3/{}/{lower}", &lower[..1]),
        _ => format!("{}/{}/{lower}", &lower[..2], &lower[2..4]),
    }
}

/// A crate's releases up to the time that counts; older indexes do not say when.
fn crate_lines(desk: &Desk, shop: &Shop, place: &str) -> Result<Vec<Value>, IndexError> {
    let Some(text) = shop.registry.page(place, &desk.room)? else { return Ok(Vec::new()) };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_seen = |line: &Value| match (line["pubtime"].as_str(), shop.until.as_deref()) {
        (Some(published), Some(until)) => published.trim_end_matches('Z') <= until.trim_end_matches('Z'),
        _ => true,
    };
    Ok(lines.filter(is_seen).collect())
}

/// Where the index says that its archives are.
fn crate_url(
    desk: &Desk,
    registry: &Registry,
    name: &str,
    version: &str,
    sha256: &str,
) -> Result<String, IndexError> {
    let settings = registry.page("config.json", &desk.room)?.unwrap_or_default();
    let settings: Value = serde_json::from_str(&settings).unwrap_or_default();
    let template = settings["dl"].as_str().unwrap_or_default();
    if !template.contains('{') {
        return Ok(format!("{template}/{name}/{version}/download"));
    }
    let place = place_of(name);
    let prefix = place.rsplit_once('/').map_or("", |(prefix, _)| prefix);
    let parts = [("{crate}", name), ("{version}", version), ("{prefix}", prefix), ("{lowerprefix}", prefix)];
    let filled = parts.iter().fold(template.to_owned(), |url, (mark, text)| url.replace(mark, text));
    Ok(filled.replace("{sha256-checksum}", sha256))
}

/// `MODULE/@v/…` and `MODULE/@latest`. Archives are checked by `go.sum`, in the box.
fn go(desk: &Desk, shop: &Shop, path: &str) -> Result<Found, IndexError> {
    let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~!/@+".contains(c));
    let Some((_, what)) = path.split_once("/@").filter(|_| is_path) else { return Ok(Found::Nothing) };
    if what.ends_with(".zip") || what.ends_with(".mod") {
        let url = format!("{}/{path}", shop.registry.url());
        return archive(shop.registry.archive(&url, &Promise::Nothing, &desk.room)?);
    }
    let text = shop.registry.page(path, &desk.room)?;
    let kind = if what == "v/list" { "text/plain; charset=utf-8" } else { JSON };
    Ok(text.map_or(Found::Nothing, |text| Found::Text(text, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_no_other_server() {
        let page = r#"{"readme":"\"tarball\": \"x\"","versions":{"1.0.0":{"dist":{"tarball": "https://h/x/a/-/a-1.0.0.tgz?k=1"}}}}"#;
        let here = r#"{"readme":"\"tarball\": \"x\"","versions":{"1.0.0":{"dist":{"tarball":"http://127.0.0.1:3141/@s/a/-/a-1.0.0.tgz"}}}}"#;
        assert_eq!(localised(page, "@s/a"), here);
        assert_eq!(decoded("/@s%2fa"), "/@s/a");
    }

    #[test]
    fn crates_lie_where_the_protocol_says() {
        for (name, place) in
            [("a", "1/a"), ("ab", "2/ab"), ("Bar", "3/b/bar"), ("serde_json", "se/rd/serde_json")]
        {
            assert_eq!(place_of(name), place);
        }
    }
}
