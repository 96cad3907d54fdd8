//! What the history of a checkout says about it. The box is given none of it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;
use swegym_sandbox::tool;

/// When a checkout was last committed to (RFC 3339).
pub(super) fn committed(checkout: &Path) -> Option<String> {
    let said = git(checkout, &["rev-list", "-1", "--format=%cI", "HEAD"])?;
    said.lines().last().map(str::to_owned)
}

/// The end of a time's week (RFC 3339): commits of one week are given the same versions.
pub(super) fn end_of_week(time: &str) -> Option<String> {
    let day: jiff::civil::Date = time.get(..10)?.parse().ok()?;
    let left = 7 - i32::from(day.weekday().to_monday_one_offset());
    let last = day.checked_add(jiff::Span::new().days(left)).ok()?;
    Some(format!("{last}T23:59:59Z"))
}

/// The end of a time's year, or of one that is `later`: what builds packages need be no newer,
/// and environments of one year are shared.
pub(super) fn end_of_year(time: &str, later: u16) -> Option<String> {
    let year = time.get(..4)?.parse::<u16>().ok()?.checked_add(later)?;
    Some(format!("{year:04}-12-31T23:59:59Z"))
}

/// The version that tools make of a checkout's tags: the newest tag's, or, with
/// commits since then, that of a development version of the next one.
pub(super) fn tagged(checkout: &Path) -> Option<String> {
    let said = git(checkout, &["describe", "--tags", "--long", "--match", "*[0-9]*", "HEAD"])?;
    version_of(said.trim())
}

/// `v2.1.0-0-g1a2b3c4` is 2.1.0, `v2.1.0-3-g1a2b3c4` is 2.1.1.dev3.
fn version_of(described: &str) -> Option<String> {
    static TAG: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(\d+(?:[._]\d+)*(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|post|dev)[-_.]?\d*)*)$").ok()
    });
    let (rest, _) = described.rsplit_once("-g")?;
    let (tag, since) = rest.rsplit_once('-')?;
    let number = TAG.as_ref()?.captures(tag)?.get(1)?.as_str().replace('_', ".");
    let version: pep440_rs::Version = number.parse().ok()?;
    if since == "0" {
        return Some(version.to_string());
    }
    let is_final = version.is_stable() && !version.is_post();
    let mut numbers = version.release().to_vec();
    if is_final && let Some(last) = numbers.last_mut() {
        *last += 1;
    }
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    Some(format!("{}.dev{since}", numbers.join(".")))
}

/// Asks in a way in which git starts nothing that the checkout's own settings name:
/// `log` may check signatures, and what is missing may be fetched.
fn git(checkout: &Path, arguments: &[&str]) -> Option<String> {
    if !checkout.join(".git").exists() {
        return None;
    }
    let safe = ["-c", "protocol.allow=never", "-C"].map(OsStr::new);
    let words = safe.into_iter().chain([checkout.as_os_str()]).chain(arguments.iter().map(OsStr::new));
    let said = tool::run("git", words, Duration::from_secs(10)).ok()?;
    Some(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_end_on_sundays() {
        for (time, end) in [
            ("2021-03-01T10:00:00+01:00", Some("2021-03-07T23:59:59Z")),
            ("2021-03-07T23:00:00Z", Some("2021-03-07T23:59:59Z")),
            ("2020-12-31", Some("2021-01-03T23:59:59Z")),
            ("yesterday", None),
        ] {
            assert_eq!(end_of_week(time).as_deref(), end, "{time}");
        }
    }

    #[test]
    fn versions_are_what_tags_say() {
        for (described, version) in [
            ("v2.1.0-0-g1a2b3c4", Some("2.1.0")),
            ("2.1-0-g1a2b3c4", Some("2.1")),
            ("release-1.4-3-g1a2b3c4", Some("1.5.dev3")),
            ("pkg_name-0.9.1-12-gabcdef0", Some("0.9.2.dev12")),
            ("v3.0.0rc1-0-gabcdef0", Some("3.0.0rc1")),
            ("v3.0.0rc1-2-gabcdef0", Some("3.0.0.dev2")),
            ("REL_1_2_3-0-gabcdef0", Some("1.2.3")),
            ("nightly-0-gabcdef0", None),
            ("", None),
        ] {
            assert_eq!(version_of(described).as_deref(), version, "{described}");
        }
    }
}
