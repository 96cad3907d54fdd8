//! uv, the installer: fetched from the index as the wheel it is published as.

use std::io::Read as _;

use crate::index::{Index, IndexError, Release};

/// The version that images are built with, so that builds repeat.
pub const VERSION: &str = "0.13.8";

/// The uv program for this machine, as bytes.
///
/// # Errors
/// When the index does not have it or the wheel is not as expected.
pub fn fetch(index: &Index, architecture: &str) -> Result<Vec<u8>, IndexError> {
    let files = index.files("uv")?;
    let release = pick(&files, "uv", VERSION, architecture).ok_or_else(|| IndexError::NoRelease {
        name: "uv".into(),
        what: format!("wheel for Linux on {architecture}"),
        index: "the index".into(),
        offered: Vec::new(),
    })?;
    let wheel = index.download(release)?;
    program_in(&wheel).ok_or_else(|| IndexError::Digest { filename: release.filename.clone() })
}

/// The wheel of a version, else the newest one; static builds run everywhere.
pub(crate) fn pick<'a>(
    files: &'a [Release],
    name: &str,
    version: &str,
    architecture: &str,
) -> Option<&'a Release> {
    let fits = |f: &&Release| {
        f.filename.ends_with(&format!("_{architecture}.whl"))
            && (f.filename.contains("musllinux") || f.filename.contains("manylinux"))
    };
    let fitting: Vec<&Release> = files.iter().filter(fits).collect();
    let of = |version: &str| {
        let prefix = format!("{name}-{version}-");
        let named: Vec<_> = fitting.iter().filter(|f| f.filename.starts_with(&prefix)).copied().collect();
        named.iter().find(|f| f.filename.contains("musllinux")).or(named.first()).copied()
    };
    of(version).or_else(|| {
        let version = |f: &&&Release| f.filename.split('-').nth(1)?.parse::<pep440_rs::Version>().ok();
        let newest =
            fitting.iter().filter(|f| version(f).is_some_and(|v| v.is_stable())).max_by_key(version)?;
        of(newest.filename.split('-').nth(1)?)
    })
}

fn program_in(wheel: &[u8]) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(wheel)).ok()?;
    let name = archive.file_names().find(|n| n.ends_with(".data/scripts/uv"))?.to_owned();
    let mut bytes = Vec::new();
    archive.by_name(&name).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_wheel_of_the_pinned_version_wins() {
        let file = |n: &str| Release { filename: n.into(), ..Release::default() };
        let pinned = format!("uv-{VERSION}-py3-none-musllinux_1_1_x86_64.whl");
        let names = [
            "uv-99.0.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            &format!("uv-{VERSION}-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"),
            &pinned,
            "uv-99.1.0-py3-none-macosx_11_0_arm64.whl",
            "uv-99.2.0.tar.gz",
        ];
        let files: Vec<_> = names.iter().map(|n| file(n)).collect();
        assert_eq!(pick(&files, "uv", VERSION, "x86_64").unwrap().filename, pinned);
        assert_eq!(pick(&files[..1], "uv", VERSION, "x86_64").unwrap().filename, names[0]);
        assert!(pick(&files, "uv", VERSION, "riscv64").is_none());
    }
}
