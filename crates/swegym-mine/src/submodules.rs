//! Submodules of a commit, laid out from repositories of this machine: nothing is fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

use crate::export::export;
use crate::repository::{MineError, Repository, name_of};

/// How far submodules of submodules are followed.
const DEEPEST: usize = 4;

/// A folder of a commit that is another repository's commit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Submodule {
    /// The folder.
    path: String,
    /// The other repository's commit.
    commit: String,
    /// `owner/name` of the other repository, if the commit says where it is.
    name: Option<String>,
}

/// Lays out the submodules of a commit that was exported to `folder`, each as a repository
/// of that one commit, from the repositories that are `known` by their names. Gives those
/// that stay empty: `path (owner/name)`.
///
/// # Errors
/// git cannot read the commit.
pub fn fill_submodules(
    repository: &Repository,
    commit: &str,
    folder: &Path,
    known: &BTreeMap<String, Repository>,
) -> Result<Vec<String>, MineError> {
    let mut empty = Vec::new();
    fill(repository, commit, (folder, ""), known, DEEPEST, &mut empty)?;
    Ok(empty)
}

fn fill(
    repository: &Repository,
    commit: &str,
    (folder, prefix): (&Path, &str),
    known: &BTreeMap<String, Repository>,
    depth: usize,
    empty: &mut Vec<String>,
) -> Result<(), MineError> {
    for submodule in submodules(repository, commit)? {
        let place = folder.join(&submodule.path);
        let shown = format!("{prefix}{}", submodule.path);
        let source = submodule.name.as_ref().and_then(|name| known.get(name));
        let is_filled = match source {
            Some(source) if depth > 0 && is_free(folder, &submodule.path) => {
                export(source, &submodule.commit, &place).is_ok()
            }
            _ => false,
        };
        match source {
            Some(source) if is_filled => {
                let prefix = format!("{shown}/");
                fill(source, &submodule.commit, (&place, &prefix), known, depth - 1, empty)?;
            }
            _ => {
                // What was begun is no repository.
                let _ = fs::remove_dir_all(place.join(".git"));
                empty.push(match submodule.name {
                    Some(name) => format!("{shown} ({name})"),
                    None => shown,
                });
            }
        }
    }
    Ok(())
}

/// Whether a path leads through folders of `root` alone, to one that is empty or not there.
fn is_free(root: &Path, path: &str) -> bool {
    let mut place = root.to_owned();
    for part in Path::new(path).components() {
        let Component::Normal(name) = part else { return false };
        if name.eq_ignore_ascii_case(".git") {
            return false;
        }
        place.push(name);
        // A link would lead elsewhere.
        if fs::symlink_metadata(&place).is_ok_and(|found| !found.is_dir()) {
            return false;
        }
    }
    fs::read_dir(&place).map_or(true, |mut entries| entries.next().is_none())
}

fn submodules(repository: &Repository, commit: &str) -> Result<Vec<Submodule>, MineError> {
    let words = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit];
    let said = repository.ask(&words).map_err(|source| repository.git_error(source))?;
    let links = said.split('\0').filter_map(|row| {
        let (kind, path) = row.split_once('\t')?;
        let commit = kind.strip_prefix("160000 commit ")?;
        Some((path.to_owned(), commit.to_owned()))
    });
    let links: Vec<(String, String)> = links.collect();
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let named = names(repository, commit);
    let named = links.into_iter().map(|(path, commit)| {
        let name = named.get(&path).cloned();
        Submodule { path, commit, name }
    });
    Ok(named.collect())
}

/// Names of submodules' repositories by their folders, as `.gitmodules` says; none where it
/// says nothing that can be read.
fn names(repository: &Repository, commit: &str) -> BTreeMap<String, String> {
    let blob = format!("{commit}:.gitmodules");
    let words = ["config", "--blob", &blob, "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"];
    let said = repository.ask(&words).unwrap_or_default();
    let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for row in said.split('\0') {
        let Some((key, value)) = row.split_once('\n') else { continue };
        match key.rsplit_once('.') {
            Some((section, "path")) => paths.insert(section, value),
            Some((section, "url")) => urls.insert(section, value),
            _ => None,
        };
    }
    let named = paths.into_iter().filter_map(|(section, path)| {
        let name = name_beside(urls.get(section)?, repository.name())?;
        Some((path.trim_end_matches('/').to_owned(), name))
    });
    named.collect()
}

/// `owner/name` of an address; one that begins with `../` is relative to that of `own`.
fn name_beside(url: &str, own: &str) -> Option<String> {
    if !url.starts_with("../") && !url.starts_with("./") {
        return name_of(url);
    }
    let mut parts: Vec<&str> = own.split('/').collect();
    for part in url.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    let [owner, name] = parts[..] else { return None };
    Some(format!("{owner}/{}", name.strip_suffix(".git").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_repositories() {
        for (url, name) in [
            ("https://example.org/owner/name.git", Some("owner/name")),
            ("git@example.org:owner/name", Some("owner/name")),
            ("../name.git", Some("us/name")),
            ("../../them/name", Some("them/name")),
            ("./name", None),
            ("../../../name", None),
        ] {
            assert_eq!(name_beside(url, "us/here").as_deref(), name, "{url}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("a/empty")).unwrap();
        fs::create_dir_all(folder.join("full/b")).unwrap();
        std::os::unix::fs::symlink("/tmp", folder.join("link")).unwrap();
        for (path, free) in [
            ("a/empty", true),
            ("new/one", true),
            ("full", false),
            ("link", false),
            ("link/in", false),
            ("../out", false),
            ("/tmp/x", false),
            ("a/.GIT/x", false),
        ] {
            assert_eq!(is_free(folder, path), free, "{path}");
        }
    }
}
