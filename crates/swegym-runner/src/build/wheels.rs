//! Which wheels an interpreter of this machine can use, and since when there are any: what
//! is older than its interpreter may have to be compiled for minutes, or does not compile.

use std::collections::BTreeSet;

use pep440_rs::Version;
use swegym_tasks::index::Release;
use swegym_tasks::recipe::Way;

use super::checkout;
use crate::clock::now_ms;
use crate::mirror::{Mirror, day_after};

/// Years within which wheels of a version are made for newer interpreters.
const WHEELS_COME_WITHIN: u16 = 3;

/// Bytes of a source archive from which on it is not compiled where a wheel will do.
const LARGE: u64 = 2 << 20;

/// A minor version of Python 3 on this machine, and a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) minor: u32,
    /// `2021-03-01`.
    pub(super) day: &'a str,
}

impl<'a> Moment<'a> {
    /// Of an interpreter's version (`3.9.18`).
    pub(super) fn of(version: &str, day: Option<&'a str>) -> Option<Self> {
        Some(Self { minor: version.split('.').nth(1)?.parse().ok()?, day: day? })
    }

    fn serves(self, file: &Release) -> bool {
        serves(&file.filename, self.minor, std::env::consts::ARCH)
    }

    fn is_past(self, file: &Release) -> bool {
        file.uploaded.as_deref().and_then(|time| time.get(..10)).is_some_and(|day| day <= self.day)
    }

    /// The day after the first wheel that serves, if none of the day does.
    fn first_wheel(self, files: &[Release]) -> Option<String> {
        let wheels: Vec<&Release> = files.iter().filter(|file| self.serves(file)).collect();
        if wheels.iter().any(|file| self.is_past(file)) {
            return None;
        }
        let days = wheels.iter().filter_map(|file| file.uploaded.as_deref()?.get(..10));
        days.min().and_then(day_after)
    }
}

/// Until when wheels of a day's versions are taken: the end of the third year after, but no
/// month that is not over, so that the same is found again.
pub(super) fn come_until(day: &str) -> Option<String> {
    let third = checkout::end_of_year(day, WHEELS_COME_WITHIN)?;
    let now = jiff::Timestamp::from_millisecond(i64::try_from(now_ms()).ok()?).ok()?;
    let month = now.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month().yesterday().ok()?;
    Some(third.min(format!("{month}T23:59:59Z")))
}

/// Whether `name==version` has a wheel that serves an interpreter (`3.9.18`), and is no newer
/// than `until`.
pub(super) fn has_wheel(files: &[Release], package: &str, python: &str, until: &str) -> bool {
    let Some((_, version)) = package.split_once("==") else { return false };
    let Ok(version) = version.parse::<Version>() else { return false };
    let Some(moment) = Moment::of(python, until.get(..10)) else { return false };
    files.iter().any(|file| {
        let named = file.filename.split('-').nth(1).and_then(|text| text.parse::<Version>().ok());
        named.is_some_and(|named| named == version) && moment.serves(file) && moment.is_past(file)
    })
}

/// Frees projects of which only wheels are taken, and of which the day has none.
pub(super) fn free_for_wheels(mirror: &Mirror, way: &mut Way, moment: Moment<'_>) {
    for name in way.wheels_only.clone() {
        let Some(files) = mirror.seen(&name).filter(|_| !way.freed.contains_key(&name)) else { continue };
        if let Some(day) = moment.first_wheel(&files) {
            way.freed.insert(name, day);
        }
    }
}

/// What was asked for, is large, has no wheel of the day that serves, and has one of later.
pub(super) fn heavy(mirror: &Mirror, moment: Moment<'_>) -> BTreeSet<String> {
    let is_heavy = |files: &[Release]| {
        let sources = files.iter().filter(|file| !is_wheel(file) && moment.is_past(file));
        let is_large = sources.filter_map(|file| file.size).max().is_some_and(|size| size >= LARGE);
        let is_compiled =
            files.iter().any(|file| moment.serves(file) && !file.filename.ends_with("-any.whl"));
        is_large && is_compiled && moment.first_wheel(files).is_some()
    };
    mirror.seen_all().into_iter().filter(|(_, files)| is_heavy(files)).map(|(name, _)| name).collect()
}

fn is_wheel(file: &Release) -> bool {
    file.filename.ends_with(".whl")
}

/// Whether a wheel's tags suit CPython 3.`minor` on Linux.
fn serves(filename: &str, minor: u32, architecture: &str) -> bool {
    let Some(stem) = filename.strip_suffix(".whl") else { return false };
    let tags: Vec<&str> = stem.rsplitn(4, '-').collect();
    let [platform, abi, python, _] = tags[..] else { return false };
    let exact = format!("cp3{minor}");
    let is_stable = |tag: &str| {
        abi.contains("abi3")
            && tag.strip_prefix("cp3").and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n <= minor)
    };
    let suits_python = python.split('.').any(|tag| tag == exact || tag == "py3" || is_stable(tag));
    let suits_machine = platform.split('.').any(|tag| {
        tag == "any" || tag.contains("linux") && !tag.contains("musl") && tag.ends_with(architecture)
    });
    suits_python && suits_machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_serve_by_their_tags() {
        for (filename, is_served) in [
            ("numpy-1.14.5-cp37-cp37m-manylinux1_x86_64.whl", true),
            ("numpy-1.14.5-cp36-cp36m-manylinux1_x86_64.whl", false),
            ("numpy-1.14.5-cp37-cp37m-win_amd64.whl", false),
            ("numpy-1.14.5-cp37-cp37m-manylinux1_i686.whl", false),
            ("six-1.12.0-py2.py3-none-any.whl", true),
            ("cryptography-3.4-cp36-abi3-manylinux2014_x86_64.whl", true),
            ("cryptography-3.4-cp38-abi3-manylinux2014_x86_64.whl", false),
            ("lxml-4.9-cp37-cp37m-musllinux_1_1_x86_64.whl", false),
            ("numpy-1.14.5.zip", false),
        ] {
            assert_eq!(serves(filename, 7, "x86_64"), is_served, "{filename}");
        }
    }

    #[test]
    fn wheels_come_within_three_years_and_not_in_the_future() {
        assert_eq!(come_until("2016-03-01").as_deref(), Some("2019-12-31T23:59:59Z"));
        assert!(come_until("9000-01-01").unwrap().as_str() < "3000");
    }

    #[test]
    fn a_version_has_its_own_wheels() {
        let file = |filename: &str, day: &str| Release {
            filename: filename.into(),
            uploaded: Some(format!("{day}T10:00:00Z")),
            ..Release::default()
        };
        let files = [
            file("nose-1.3.4.tar.gz", "2014-08-24"),
            file("nose-1.3.4-py2-none-any.whl", "2015-01-08"),
            file("nose-1.3.4-py3-none-any.whl", "2015-01-08"),
        ];
        let has = |package, until| has_wheel(&files, package, "3.6.15", until);
        assert!(has("nose==1.3.4", "2017-12-31T23:59:59Z"));
        assert!(!has("nose==1.3.4", "2014-12-31T23:59:59Z"));
        assert!(!has("nose==1.3.3", "2017-12-31T23:59:59Z"));
    }

    #[test]
    fn what_has_no_wheel_of_the_day_waits_for_its_first_one() {
        let file = |filename: &str, day: &str| Release {
            filename: filename.into(),
            uploaded: Some(format!("{day}T10:00:00Z")),
            ..Release::default()
        };
        let files = [
            file("numpy-1.11.0.tar.gz", "2016-03-27"),
            file("numpy-1.14.5-cp37-cp37m-manylinux1_x86_64.whl", "2018-06-13"),
            file("numpy-1.15.0-cp37-cp37m-manylinux1_x86_64.whl", "2018-07-23"),
        ];
        let at = |day| Moment { minor: 7, day }.first_wheel(&files);
        assert_eq!(at("2016-09-11").as_deref(), Some("2018-06-14"));
        assert_eq!(at("2018-07-01"), None);
    }
}
