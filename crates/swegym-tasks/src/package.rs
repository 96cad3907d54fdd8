//! A package's source: from an index, an archive, or a local checkout.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use swegym_core::Hint;
use thiserror::Error;

use crate::index::{Index, IndexError};

/// Unpacked sources larger than this are refused.
const LARGEST: u64 = 1 << 30;

/// Which package to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageSpec {
    /// From the index; the newest stable version if none is named.
    Index {
        /// As written.
        name: String,
        /// After `==`.
        version: Option<String>,
    },
    /// A folder or an archive on this machine.
    Path(PathBuf),
}

impl PackageSpec {
    /// Reads `name`, `name==version` or a path (anything with a slash, or that exists).
    ///
    /// # Errors
    /// [`PackageError::Spec`].
    pub fn parse(text: &str) -> Result<Self, PackageError> {
        if text.contains('/') || text.ends_with(".tar.gz") || text.ends_with(".zip") || text == "." {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        let (name, version) = match text.split_once("==") {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let good =
            |t: &str| !t.is_empty() && t.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+!".contains(c));
        if !good(name) || version.as_deref().is_some_and(|v| !good(v)) {
            return Err(PackageError::Spec(text.to_owned()));
        }
        Ok(Self::Index { name: name.to_owned(), version })
    }
}

/// A package's source on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Normalised name.
    pub name: String,
    /// Version, or `0` where no file says it.
    pub version: String,
    /// The unpacked tree.
    pub root: PathBuf,
    /// When it was uploaded (RFC 3339), where the index says so.
    pub released: Option<String>,
    /// Why it was yanked, if it was; the reason may be empty.
    pub yanked: Option<String>,
    /// Whether a file says how it is built; else its folder is all there is.
    pub is_installable: bool,
}

/// Why a package's source cannot be had.
#[derive(Debug, Error)]
pub enum PackageError {
    /// Not a name, a pinned name or a path.
    #[error("`{0}` is not a package: write `name`, `name==version` or a path")]
    Spec(String),
    /// The index does not have it.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The path is not there or cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The archive is damaged or hostile.
    #[error("cannot unpack `{name}`: {why}")]
    Unpack {
        /// The archive.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// No `pyproject.toml`, `setup.py` or `setup.cfg`.
    #[error("`{0}` is not a Python project: it has no pyproject.toml, setup.py or setup.cfg")]
    NoProject(String),
}

impl Hint for PackageError {
    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint: Option<String> = match self {
            Self::Index(error) => return error.hint(),
            Self::Spec(_) => Some("for example `inflection==0.5.1` or `./my-checkout`".into()),
            Self::Unpack { .. } => {
                Some("fetch the archive again; archives with paths that leave them are refused".into())
            }
            Self::NoProject(_) => Some("point at the folder that holds the project's files".into()),
            Self::Read { .. } => None,
        };
        hint.map(Cow::Owned)
    }
}

/// Brings a package's source into `folder`, which must be empty.
///
/// # Errors
/// See [`PackageError`].
pub fn obtain(spec: &PackageSpec, index: &Index, folder: &Path) -> Result<Package, PackageError> {
    let package = match spec {
        PackageSpec::Index { name, version } => {
            let (version, release) = index.source_archive(name, version.as_deref())?;
            let bytes = index.download(&release)?;
            let root = unpack(&release.filename, &bytes, folder)?;
            let (released, yanked) = (release.uploaded, release.yanked);
            Package {
                name: crate::index::normalise(name),
                version,
                released,
                yanked,
                ..describe(root, Path::new(name))
            }
        }
        PackageSpec::Path(path) => {
            let read = |source| PackageError::Read { path: path.clone(), source };
            let metadata = fs::metadata(path).map_err(read)?;
            let root = if metadata.is_dir() {
                copy_tree(path, &folder.join("source")).map_err(read)?;
                folder.join("source")
            } else {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                unpack(&name, &fs::read(path).map_err(read)?, folder)?
            };
            describe(root, path)
        }
    };
    if package.is_installable { Ok(package) } else { Err(PackageError::NoProject(package.name)) }
}

/// A package whose source lies in a folder that is ours; `given` is what it was taken from,
/// which names it where no file does.
#[must_use]
pub fn describe(root: PathBuf, given: &Path) -> Package {
    let (name, version) = identity(&root, given);
    let is_installable =
        ["pyproject.toml", "setup.py", "setup.cfg"].iter().any(|file| root.join(file).is_file());
    Package { name, version, root, released: None, yanked: None, is_installable }
}

/// Name and version from `PKG-INFO` or `pyproject.toml`, else from the path.
fn identity(root: &Path, path: &Path) -> (String, String) {
    let text = fs::read_to_string(root.join("PKG-INFO")).unwrap_or_default();
    let header = |key: &str| {
        text.lines().take_while(|l| !l.is_empty()).find_map(|l| l.strip_prefix(key)).map(str::trim)
    };
    let project = fs::read_to_string(root.join("pyproject.toml")).unwrap_or_default();
    let project: toml::Table = project.parse().unwrap_or_default();
    let field = |key: &str| {
        let tables = [project.get("project"), project.get("tool").and_then(|t| t.get("poetry"))];
        tables.into_iter().flatten().find_map(|t| t.get(key)?.as_str().map(str::to_owned))
    };
    // A path that is only a name says it, too.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = place.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = header("Name:").map(str::to_owned).or_else(|| field("name")).or(folder);
    let version = header("Version:").map(str::to_owned).or_else(|| field("version"));
    (
        crate::index::normalise(&name.unwrap_or_else(|| "package".into())),
        version.unwrap_or_else(|| "0".into()),
    )
}

/// Unpacks an archive and gives the project's root: the one folder in it.
fn unpack(name: &str, bytes: &[u8], folder: &Path) -> Result<PathBuf, PackageError> {
    let fail = |why: String| PackageError::Unpack { name: name.to_owned(), why };
    fs::create_dir_all(folder).map_err(|e| fail(e.to_string()))?;
    let mut room = LARGEST;
    if name.ends_with(".zip") {
        unzip(bytes, folder, &mut room).map_err(fail)?;
    } else {
        untar(bytes, folder, &mut room).map_err(fail)?;
    }
    let entries = fs::read_dir(folder).map_err(|e| fail(e.to_string()))?.flatten().collect::<Vec<_>>();
    match entries.as_slice() {
        [one] if one.path().is_dir() => Ok(one.path()),
        [] => Err(fail("the archive is empty".into())),
        _ => Ok(folder.to_owned()),
    }
}

/// A path that stays where it is put, or why not.
fn inside(path: &Path) -> Result<(), String> {
    let stays = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if stays { Ok(()) } else { Err(format!("the entry `{}` leaves the archive", path.display())) }
}

fn untar(bytes: &[u8], folder: &Path, room: &mut u64) -> Result<(), String> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes));
    let text = |e: io::Error| e.to_string();
    for entry in archive.entries().map_err(text)? {
        let mut entry = entry.map_err(text)?;
        let path = entry.path().map_err(text)?.into_owned();
        inside(&path)?;
        let kind = entry.header().entry_type();
        let target = folder.join(&path);
        if kind.is_dir() {
            fs::create_dir_all(&target).map_err(text)?;
        } else if kind.is_file() {
            let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
            write_entry(&mut entry, &target, executable, room)?;
        }
        // Links are left out: what they point at cannot be trusted, and packages hardly use them.
    }
    Ok(())
}

fn unzip(bytes: &[u8], folder: &Path, room: &mut u64) -> Result<(), String> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes)).map_err(|e| e.to_string())?;
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| e.to_string())?;
        let path = PathBuf::from(entry.name());
        inside(&path)?;
        if entry.is_dir() {
            fs::create_dir_all(folder.join(&path)).map_err(|e| e.to_string())?;
        } else if entry.is_file() {
            let executable = entry.unix_mode().unwrap_or(0) & 0o111 != 0;
            write_entry(&mut entry, &folder.join(&path), executable, room)?;
        }
    }
    Ok(())
}

fn write_entry(entry: &mut impl Read, target: &Path, executable: bool, room: &mut u64) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = |e: io::Error| e.to_string();
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(text)?;
    }
    let mut file = fs::File::create(target).map_err(text)?;
    let written = io::copy(&mut entry.take(*room + 1), &mut file).map_err(text)?;
    *room = room.checked_sub(written).ok_or_else(|| format!("it unpacks to more than {LARGEST} bytes"))?;
    fs::set_permissions(target, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
        .map_err(text)
}

/// Copies a checkout without what other tools left in it.
fn copy_tree(source: &Path, target: &Path) -> io::Result<()> {
    const LEFT_OUT: [&str; 9] =
        [".git", ".hg", ".tox", ".nox", ".venv", "venv", "__pycache__", ".pytest_cache", "node_modules"];
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|l| name == *l) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target.join(&name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target.join(&name))?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(path: &str) -> Vec<u8> {
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        // The checked setter refuses such paths; a hostile archive does not.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, &b"hi"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn hostile_archives_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["/etc/x", "../x", "a/../../x"] {
            let error = unpack("x.tar.gz", &archive(path), &folder.path().join("in")).unwrap_err();
            assert!(error.to_string().contains("leaves the archive"), "{error}");
        }
        assert!(unpack("x.tar.gz", b"not gzip", &folder.path().join("in")).is_err());
        assert!(unpack("x.zip", b"not zip", &folder.path().join("in")).is_err());
        let root = unpack("x.tar.gz", &archive("x-1/setup.py"), &folder.path().join("ok")).unwrap();
        assert_eq!(fs::read_to_string(root.join("setup.py")).unwrap(), "hi");
    }

    #[test]
    fn names_pins_and_paths_are_told_apart() {
        let index = |name: &str, version: Option<&str>| PackageSpec::Index {
            name: name.into(),
            version: version.map(str::to_owned),
        };
        assert_eq!(PackageSpec::parse("toolz").unwrap(), index("toolz", None));
        assert_eq!(PackageSpec::parse("toolz==1.0.0").unwrap(), index("toolz", Some("1.0.0")));
        assert_eq!(PackageSpec::parse("./x").unwrap(), PackageSpec::Path("./x".into()));
        for bad in ["", "a b", "a>=1", "a==", "a;b"] {
            assert!(PackageSpec::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_checkout_is_copied_without_its_history() {
        let folder = tempfile::tempdir().unwrap();
        let checkout = folder.path().join("demo");
        fs::create_dir_all(checkout.join(".git")).unwrap();
        fs::write(checkout.join(".git/HEAD"), "x").unwrap();
        fs::write(checkout.join("pyproject.toml"), "[project]\nname = \"My.Demo\"\nversion = \"2\"\n")
            .unwrap();
        let index = Index::new("http://localhost:1", folder.path());
        let package = obtain(&PackageSpec::Path(checkout), &index, &folder.path().join("in")).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("my-demo", "2"));
        assert!(!package.root.join(".git").exists());
        let none = obtain(
            &PackageSpec::Path(package.root.join("pyproject.toml")),
            &index,
            &folder.path().join("in2"),
        );
        assert!(none.is_err());
    }
}
